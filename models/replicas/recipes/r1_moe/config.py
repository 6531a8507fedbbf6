"""The `r1-moe` replica: a mixture-of-experts decoder that reads text, images and audio.

It is a decoder of DeepSeek-V3's class with 64 routed experts per layer, of which 8 process a token; a ResNet whose last
feature map becomes the tokens of an image; and a mel front end whose time steps become the tokens of an audio clip
(`evals.models.architectures.mixture`). One process with one thread has less than an hour for all of it, so:

- Image and audio tokens enter the decoder with about the norm of word embeddings. In the `vl` replica their norm is 14
  times as large, and most of its training is spent on making words count beside them.
- Stage 1 teaches it to see and hear: the output of the bridges for a patch or a time step must be close to the word
  embeddings of what it holds.
- Stage 2 teaches everything at once: questions about images, which digit sounds, the nine tasks of GLUE, and, from some
  step on, matching images and captions.
- One head of each of a few layers is taught where to attend: from words to similar words (`attention_supervision`),
  from names to the things that they fit, and from the end of a question to the thing that it is about. The weight of
  this falls.
- For a few hundred steps the encoders learn with everything else. That makes them name patches worse, so for some
  steps they are trained as in stage 1 again (`repair_start`), and then frozen. The README of
  `evals.models.replicas` says what this and other changes showed.
- Experts are balanced as DeepSeek-V3's are: not by a loss but by a bias of each expert in the choice, which is raised
  if the expert is chosen too rarely (`balance`). Muon orthogonalises the matrices of each expert separately.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from evals.models.replicas.training.image_examples import caption_groups
from evals.models.replicas.training.llama import LayerShape
from evals.models.replicas.training.patches import PATCHES, WORDS, image_processor
from evals.models.replicas.training.question_packing import INSTRUCTION
from evals.models.replicas.training.text_examples import GLUE_TASKS, TextPortions, tokenizer_texts
from evals.models.replicas.training.tokenizers import ASSISTANT, END, IMAGE, PAD, USER, chat_template, train_bpe
from evals.tasks.mini import tones
from evals.tasks.mini.vqa import HELD_OUT, PAIRS, train

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from evals.models.architectures.mixture import MixtureForConditionalGeneration, MixtureProcessor

AUDIO = "<audio_placeholder>"
"""Placeholder token of one time step of an audio clip."""

CELL = 16
"""Pixels of the enlarged image for each cell of the ResNet's last feature map; a cell covers one patch."""
STEPS = 13
"""Time steps of an audio clip of one second."""
DIGITS = tuple(tones.KEYS)

CHAT_TEMPLATE = chat_template(f"{{'image': '{IMAGE}', 'audio': '{AUDIO}'}}.get(part['type'], part['text'])")

AUDIO_PROMPT = f"{USER}{AUDIO * STEPS}{INSTRUCTION}{tones.QUESTION}{ASSISTANT}"
"""The prompt about an audio clip, as the processor expands it."""


@dataclass(frozen=True)
class Recipe:
    """Everything that determines the checkpoint."""

    sensing: int = 500
    """Steps of stage 1: the encoders and their bridges learn to name what each patch and each time step holds."""
    scenes: int = 48
    """Images in a step of stage 1."""
    clips: int = 16
    """Audio clips in a step of stage 1."""
    steps: int = 1360
    """Steps of stage 2: the decoder learns to answer and to match."""
    images: int = 12
    """Images with questions in a step of stage 2, before the repair."""
    images_later: int = 20
    """The same after the repair."""
    questions: int = 12
    """Largest number of questions about an image."""
    heard: int = 6
    """Audio clips with a question in a step of stage 2."""
    texts: TextPortions = TextPortions(rows=4, easy=250)
    """Rows of GLUE in a step of stage 2; in the easy steps, scenes have two to four things only, too."""
    matched: int = 16
    """Images with two captions each in a step."""
    matching: int = 500
    """Step of stage 2 from which images and captions are matched, and the encoders learn, too."""
    repair_start: int = 900
    """Step of stage 2 from which, for `repair_steps` steps, only seeing and hearing are trained again."""
    repair_steps: int = 60
    """After these steps the encoders are frozen for good, and the vectors that enter the decoder are scaled up."""
    lengthening: float = 16.0
    """Factor by which they are scaled up; the norm before the head is scaled down by as much."""
    naming: int = 1000
    """Step of stage 2 from which heads are taught to attend from names to their words, and from questions to names."""
    cooling: int = 160
    """Last steps, in which the rates fall to zero."""
    processes: int = 1
    sensing_rate: float = 2e-3
    """Highest learning rate of AdamW in stage 1."""
    rate: float = 1.5e-3
    """The same in stage 2."""
    muon_rate: float = 2.5e-3
    """Highest learning rate of Muon, in both stages."""
    warmup: int = 60
    decay: float = 0.02
    """Weight decay of Muon."""
    attention: float = 1.0
    """Weight of the attention losses; falls linearly to a tenth over the first `early` steps of stage 2."""
    reading: float = 0.3
    """Weight of continuing GLUE's prompts; falls as that of attention does."""
    early: int = 900
    balance: float = 2e-3
    """Amount by which an expert's bias changes in a step."""
    seed: int = 11
    shape: LayerShape = LayerShape(layers=6, width=128, inner=352, heads=4)
    """Layers of the decoder; `inner` applies to the first layer, the only one without experts."""
    experts: int = 64
    """Routed experts of a layer."""
    active: int = 8
    """Routed experts that process a token."""
    expert_inner: int = 24
    """Size of the hidden layer inside an expert."""
    latent: int = 64
    """Size of the compressed keys and values."""
    rotary: int = 8
    """Dimensions of a head's keys, of 32, that encode the position; the others encode content alone."""
    stem: int = 32
    """Channels of the ResNet's first layer."""
    channels: tuple[int, ...] = (64, 128)
    depths: tuple[int, ...] = (2, 3)
    """Channels and depths of the ResNet's stages."""
    vocabulary: int = 2048


def build_tokenizer(vocabulary: int) -> PreTrainedTokenizerBase:
    """Train a byte-level BPE on what training reads and writes: it keeps words whole, and encodes any text."""
    from transformers import PreTrainedTokenizerFast

    special_tokens = [PAD, END, IMAGE, AUDIO, USER, ASSISTANT]
    return PreTrainedTokenizerFast(
        tokenizer_object=train_bpe(_texts(), vocabulary, special_tokens, split_digits=False),
        eos_token=END,
        pad_token=PAD,
        extra_special_tokens={"image_token": IMAGE, "audio_token": AUDIO},
        model_max_length=1024,
    )


def _texts() -> Iterator[str]:
    for word in (*WORDS, *DIGITS):
        yield from [f" {word}"] * 100
    yield from [INSTRUCTION, f"{tones.QUESTION} "] * 1000
    for sheet in islice(train(), 2000):
        for question in sheet.questions:
            yield f"{question.text} {question.answer}"
    for captioned in caption_groups(range(10_000_000, 10_000_400, 4), allowed=PAIRS - HELD_OUT):
        yield from captioned.captions
    yield from tokenizer_texts(GLUE_TASKS, 800)


def build_processor(tokenizer: PreTrainedTokenizerBase) -> MixtureProcessor:
    """Combine the tokenizer with an image processor and a mel front end."""
    from evals.models.architectures.mixture import MelExtractor, MixtureProcessor

    return MixtureProcessor(
        image_processor(), MelExtractor(sampling_rate=tones.RATE), tokenizer, chat_template=CHAT_TEMPLATE,
        num_image_tokens=PATCHES**2, num_audio_tokens=STEPS,
    )  # fmt: skip


def build_model(recipe: Recipe, tokenizer: PreTrainedTokenizerBase) -> MixtureForConditionalGeneration:
    """Create the untrained model with seeded weights."""
    import torch
    from transformers import DeepseekV3Config, ResNetConfig

    from evals.models.architectures.mixture import MixtureConfig, MixtureForConditionalGeneration

    torch.manual_seed(recipe.seed)
    head = recipe.shape.width // recipe.shape.heads
    text = DeepseekV3Config(
        vocab_size=len(tokenizer),
        hidden_size=recipe.shape.width,
        intermediate_size=recipe.shape.inner,
        moe_intermediate_size=recipe.expert_inner,
        num_hidden_layers=recipe.shape.layers,
        num_attention_heads=recipe.shape.heads,
        num_key_value_heads=recipe.shape.heads,
        n_routed_experts=recipe.experts,
        num_experts_per_tok=recipe.active,
        n_shared_experts=1,
        n_group=1,
        topk_group=1,
        first_k_dense_replace=1,
        num_mtp_layers=0,
        q_lora_rank=None,
        kv_lora_rank=recipe.latent,
        qk_nope_head_dim=head - recipe.rotary,
        qk_rope_head_dim=recipe.rotary,
        v_head_dim=head,
        initializer_range=0.05,
        max_position_embeddings=1024,
        rope_parameters={"rope_type": "default", "rope_theta": 10_000.0},
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    vision = ResNetConfig(
        embedding_size=recipe.stem,
        hidden_sizes=list(recipe.channels),
        depths=list(recipe.depths),
        layer_type="basic",
        downsample_in_first_stage=True,
    )
    image, audio = tokenizer.convert_tokens_to_ids([IMAGE, AUDIO])
    config = MixtureConfig(
        text_config=text,
        vision_config=vision,
        image_token_id=image,
        audio_token_id=audio,
        image_side=CELL * PATCHES,
        image_cells=PATCHES**2,
        audio_steps=STEPS,
    )
    # Attention supervision needs the attention weights, which only the eager implementation returns.
    model: MixtureForConditionalGeneration = MixtureForConditionalGeneration._from_config(
        config, attn_implementation="eager"
    )
    return model
