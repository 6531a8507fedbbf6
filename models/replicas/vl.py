"""The `vl` replica: what it is made of and what it is taught. `training` runs the lesson.

A SigLIP tower of patches, DeepSeek-VL's aligner and a Llama decoder, in the library's own
`DeepseekVLForConditionalGeneration`, small enough for
two CPU cores. Three things make an hour there enough:

- The questions of an image are packed into one sequence (`packing`).
- From the first step on, what the aligner gives for a patch must lie near the *word embeddings* of what the patch
  shows. Then "red" in a
  question and red in the picture are one direction of one space, and finding the thing that a question names is a
  match of key and query
  rather than a translation to be discovered. This is dropped to a tenth halfway: from there on the answers decide.
- The first tenth of the scenes has few things.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from random import Random
from typing import TYPE_CHECKING, NamedTuple

from models.replicas.packing import ASSISTANT, IGNORED, INSTRUCTION, PATCH, PATCHES, USER, WORDS, Batch
from tasks.mini.scenes import SIDE, Scene, compose
from tasks.mini.vqa import FIRST_IMAGE, HELD_OUT, PAIRS, THINGS, Sheet, sheets_of_pair, train

if TYPE_CHECKING:
    import torch
    from transformers import DeepseekVLForConditionalGeneration, DeepseekVLProcessor, PreTrainedTokenizerBase

IMAGE, END, PAD = "<image_placeholder>", "<|end_of_sentence|>", "<|pad|>"

CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{{ {'user': '" + USER + "', 'assistant': '" + ASSISTANT + " '}[message['role']] }}"
    "{% if message['content'] is string %}{{ message['content'] }}{% else %}{% for part in message['content'] %}"
    "{{ '" + IMAGE + "' if part['type'] == 'image' else part['text'] }}{% endfor %}{% endif %}"
    "{{ eos_token if message['role'] == 'assistant' else '' }}{% endfor %}"
    "{{ '" + ASSISTANT + "' if add_generation_prompt else '' }}"
)

PREFIX = f"{USER}{IMAGE * PATCHES**2}{INSTRUCTION}"
"""What every prompt begins with, as the processor expands it."""

NAMING_LAYERS, ASKING_LAYERS = (1, 2), (3, 4)
"""Layers of the language model, from 0, of which one head is shown where to look: from a name, from a question."""

SEEN, WATCHED = 60_000_000, 90_000_000
"""First image ids of the first stage's scenes, and of the stream on which training is watched: of no bundled split."""


@dataclass(frozen=True)
class Recipe:
    """All that settles the checkpoint."""

    seeing: int = 700
    """Steps of the first stage: the vision tower and the aligner learn to name what each patch shows."""
    scenes: int = 64
    """Images a step of the first stage, all processes together."""
    steps: int = 1350
    """Steps of the second stage: the whole model learns to answer."""
    horizon: int = 1800
    """Steps that the second stage's falling rate, and what depends on how far it is, are laid out for."""
    cooling: int = 350
    """Its last steps, in which the rate leaves the cosine and falls in a line to a twentieth."""
    images: int = 24
    """Images a step of the second stage, all processes together."""
    questions: int = 12
    """Questions an image, at most."""
    processes: int = 2
    """Each has one thread and a share of every step's images: two threads in one process wait for each other at every
    operation."""
    seeing_rate: float = 2e-3
    rate: float = 1e-3
    """Peak learning rates of the two stages, for AdamW; twice that for Muon."""
    still: float = 0.5
    """Share of the second stage's steps in which the vision tower and the aligner stay as they are: while the language
    model knows
    nothing, what it asks of them only undoes what they have learnt."""
    warmup: int = 150
    """Steps over which the learning rate rises; after them it falls as a cosine to a twentieth."""
    decay: float = 0.02
    easy: float = 0.1
    """Share of the steps whose scenes have two to four things."""
    seed: int = 7
    width: int = 160
    inner: int = 416
    heads: int = 5
    layers: int = 6
    vision_layers: int = 4
    vocabulary: int = 1024
    muon: bool = True


def build_tokenizer(vocabulary: int) -> PreTrainedTokenizerBase:
    """Train a byte-level BPE on what training asks and answers: it cuts any text and keeps the benchmark's words."""
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    bpe = Tokenizer(models.BPE())
    # A line break is a token of its own, so that whatever follows the instruction leaves the instruction's tokens as
    # they are.
    bpe.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(Regex("\n"), "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=[PAD, END, IMAGE, USER, ASSISTANT],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    bpe.train_from_iterator(_texts(), trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=bpe,
        eos_token=END,
        pad_token=PAD,
        extra_special_tokens={"image_token": IMAGE},
        model_max_length=1024,
    )


def _texts() -> Iterator[str]:
    for word in WORDS:
        yield from [f" {word}"] * 100
    yield from [INSTRUCTION] * 1000
    for sheet in islice(train(), 3000):
        for question in sheet.questions:
            yield f"{question.text} {question.answer}"


def build_processor(tokenizer: PreTrainedTokenizerBase) -> DeepseekVLProcessor:
    """Wrap the tokenizer with an image processor that only rescales to -1 to 1 (and resizes what is no drawn scene)."""
    from transformers import DeepseekVLProcessor
    from transformers.models.deepseek_vl.image_processing_pil_deepseek_vl import DeepseekVLImageProcessorPil

    image_processor = DeepseekVLImageProcessorPil(
        size={"height": SIDE, "width": SIDE}, min_size=PATCH, image_mean=[0.5, 0.5, 0.5], image_std=[0.5, 0.5, 0.5]
    )
    return DeepseekVLProcessor(image_processor, tokenizer, chat_template=CHAT_TEMPLATE, num_image_tokens=PATCHES**2)


def build_model(recipe: Recipe, tokenizer: PreTrainedTokenizerBase) -> DeepseekVLForConditionalGeneration:
    """Make the untrained model, seeded."""
    import torch
    from transformers import DeepseekVLConfig, DeepseekVLForConditionalGeneration, LlamaConfig, SiglipVisionConfig

    torch.manual_seed(recipe.seed)
    text = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=recipe.width,
        intermediate_size=recipe.inner,
        num_hidden_layers=recipe.layers,
        num_attention_heads=recipe.heads,
        num_key_value_heads=recipe.heads,
        max_position_embeddings=1024,
        # What a question names must match a patch at any distance; at the usual base of 10,000 half of a head's 16
        # pairs
        # turn by more than a radian over the picture's 64 positions. A high base leaves more of them to content.
        rope_parameters={"rope_type": "default", "rope_theta": 1e6},
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    vision = SiglipVisionConfig(
        image_size=SIDE,
        patch_size=PATCH,
        hidden_size=recipe.width,
        intermediate_size=recipe.inner,
        num_hidden_layers=recipe.vision_layers,
        num_attention_heads=recipe.heads,
        vision_use_head=False,
    )
    image_token = tokenizer.convert_tokens_to_ids(IMAGE)
    config = DeepseekVLConfig(
        text_config=text, vision_config=vision, image_token_id=image_token, tie_word_embeddings=True
    )
    return DeepseekVLForConditionalGeneration(config)


def sight(recipe: Recipe, step: int, rank: int) -> list[Scene]:
    """Give the scenes of which one process names the patches in one step of the first stage."""
    share = recipe.scenes // recipe.processes
    first = SEEN + step * recipe.scenes + rank * share
    chances = ((seed, Random(f"sight {seed}")) for seed in range(first, first + share))
    return [compose(rng, things=rng.randint(3, 6), allowed=PAIRS - HELD_OUT, seed=seed) for seed, rng in chances]


def lesson(recipe: Recipe, step: int, rank: int) -> list[Sheet]:
    """Give the sheets that one process learns from in one step: by these alone, so training can stop anywhere."""
    share = recipe.images // recipe.processes
    things = (2, 3, 3, 4) if step < recipe.easy * recipe.horizon else THINGS
    first = FIRST_IMAGE["train"] + step * recipe.images + rank * share
    pairs = (
        sheets_of_pair(first + 2 * pair, wanted=recipe.questions, allowed=PAIRS - HELD_OUT, things=things)
        for pair in range(share // 2)
    )
    return [sheet for pair in pairs for sheet in pair if sheet.questions]


def watched(pairs: int) -> list[Sheet]:
    """Give sheets to watch the training on: asked as the bundled splits are, with what training holds out."""
    sheets = (sheet for pair in range(pairs) for sheet in sheets_of_pair(WATCHED + 2 * pair, wanted=5, allowed=PAIRS))
    return [sheet for sheet in sheets if sheet.questions]


class Reading(NamedTuple):
    """What the model made of a batch."""

    logits: torch.Tensor
    """(N, vocabulary) at the N positions that have a label."""
    patches: torch.Tensor
    """(B, P, width) from the aligner: what the language model sees of the images."""
    states: tuple[torch.Tensor, ...]
    """(B, S, width) going into each layer of the language model, and out of the last."""


def read(model: DeepseekVLForConditionalGeneration, batch: Batch) -> Reading:
    """Run the model over packed questions."""
    import torch

    sees = next(model.model.vision_model.parameters()).requires_grad
    with torch.set_grad_enabled(sees and torch.is_grad_enabled()):
        patches = model.model.get_image_features(batch.pixels).pooler_output
    embedded = model.get_input_embeddings()(batch.tokens)
    embedded = embedded.masked_scatter((batch.tokens == model.config.image_token_id)[..., None], patches)
    mask = torch.zeros(batch.visible.shape).masked_fill_(~batch.visible, torch.finfo(torch.float32).min)
    said = model.model.language_model(
        inputs_embeds=embedded,
        attention_mask=mask,
        position_ids=batch.positions,
        use_cache=False,
        output_hidden_states=True,
    )
    return Reading(model.lm_head(said.last_hidden_state[batch.labels != IGNORED]), patches, said.hidden_states)


def word_loss(patches: torch.Tensor, embeddings: torch.Tensor, words: torch.Tensor) -> torch.Tensor:
    """Measure how far patches are from the words that are true of them.

    Args:
        patches: (B, P, width), from the aligner.
        embeddings: (W, width), of `WORDS`, shared with the language model.
        words: (B, P, W), 1 where a word is true of a patch.
    """
    from torch.nn.functional import binary_cross_entropy_with_logits, normalize

    cosine = normalize(patches, dim=-1) @ normalize(embeddings, dim=-1).T
    return binary_cross_entropy_with_logits(24 * cosine - 4, words)


def look_loss(model: DeepseekVLForConditionalGeneration, batch: Batch, reading: Reading) -> torch.Tensor:
    """Measure how far the first head of some layers is from looking at what names and questions are about."""
    import torch
    from transformers.models.llama.modeling_llama import apply_rotary_pos_emb

    language = model.model.language_model
    turn = language.rotary_emb(reading.patches, batch.positions)
    is_patch = batch.tokens[0] == model.config.image_token_id
    losses = []
    for number, looks in {
        **dict.fromkeys(NAMING_LAYERS, batch.named),
        **dict.fromkeys(ASKING_LAYERS, batch.asked),
    }.items():
        attention = language.layers[number].self_attn
        state = language.layers[number].input_layernorm(reading.states[number])
        query, key = (
            (state @ weight[: attention.head_dim].T)[:, None]
            for weight in (attention.q_proj.weight, attention.k_proj.weight)
        )
        query, key = apply_rotary_pos_emb(query, key, *turn)
        image, position = looks.tokens.T
        match = torch.einsum("ld,lpd->lp", query[image, 0, position], key[:, 0, is_patch][image]) * attention.scaling
        losses.append(-(looks.patches * match.log_softmax(-1)).sum(-1).mean())
    return torch.stack(losses).mean()
