"""The `r1-moe` replica: what it is made of, and all that settles its training.

A decoder of DeepSeek-V3's class with 64 routed experts a layer, of which 8 work on a token; a ResNet whose last cells
become tokens of a picture; and a mel front end whose steps become tokens of a recording
(`evals.models.architectures.mixture`). One process of one thread has less than an hour for all of it, so:

- Cells and steps enter the decoder about as long as word embeddings are. In the `vl` replica they are 14 times as long,
  and most of its training goes into undrowning the words.
- First it learns to see and to hear: what the bridges give for a cell or a step must lie near the word embeddings of
  what it shows.
- Then it learns everything at once: questions about pictures, which digit sounds, the nine tasks of GLUE, and, from
  some step on, to match pictures and captions.
- A head of a few layers is led: from words to their like (`alignment`), from names to the things that they fit, and
  from the end of a question to the thing that it is about. This counts less and less.
- For some hundred steps the encoders learn with everything else. That cost them much of their sight; so for some steps
  they only sense again, and then stay still (`mending`). The README beside this file tells what that and other changes
  showed.
- Experts are kept busy as DeepSeek-V3's are: no loss, but a bias of each expert in the choice, raised where it is
  chosen too rarely (`balance`). Muon orthogonalises each expert's matrices on their own.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from evals.models.replicas.recipes.vl.data import ASSISTANT, INSTRUCTION, PATCH, PATCHES, USER, WORDS
from evals.models.replicas.training import lessons
from evals.tasks.mini import glue, tones
from evals.tasks.mini.images.scenes import SIDE
from evals.tasks.mini.retrieval import group
from evals.tasks.mini.vqa import HELD_OUT, PAIRS, train

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from evals.models.architectures.mixture import MixtureForConditionalGeneration, MixtureProcessor

IMAGE, AUDIO, END, PAD = "<image_placeholder>", "<audio_placeholder>", "<|end_of_sentence|>", "<|pad|>"

CELL = 16
"""Pixels of the enlarged picture to a cell of the ResNet's last feature map: a cell is a patch of `packing`."""
STEPS = 13
"""Steps of a recording of a second."""
DIGITS = tuple(tones.KEYS)

CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{{ {'user': '" + USER + "', 'assistant': '" + ASSISTANT + " '}[message['role']] }}"
    "{% if message['content'] is string %}{{ message['content'] }}{% else %}{% for part in message['content'] %}"
    "{{ {'image': '" + IMAGE + "', 'audio': '" + AUDIO + "'}.get(part['type'], part['text']) }}"
    "{% endfor %}{% endif %}"
    "{{ eos_token if message['role'] == 'assistant' else '' }}{% endfor %}"
    "{{ '" + ASSISTANT + "' if add_generation_prompt else '' }}"
)

PREFIX = f"{USER}{IMAGE * PATCHES**2}{INSTRUCTION}"
HEARD = f"{USER}{AUDIO * STEPS}{INSTRUCTION}{tones.QUESTION}{ASSISTANT}"
"""What every prompt about a picture begins with, and the whole prompt about a recording, as the processor has them."""


@dataclass(frozen=True)
class Recipe:
    """All that settles the checkpoint."""

    sensing: int = 500
    """Steps of the first stage: the encoders and their bridges learn to name what each cell and each step holds."""
    scenes: int = 48
    """Pictures a step of the first stage."""
    sounds: int = 16
    """Recordings a step of the first stage."""
    steps: int = 1360
    """Steps of the second stage: the decoder learns to answer and to match."""
    images: int = 12
    """Pictures that are asked about in a step of the second stage."""
    questions: int = 12
    """Questions a picture, at most."""
    heard: int = 6
    """Recordings that are asked about in a step."""
    rows: int = 4
    """Rows of each task of GLUE a step."""
    problems: int = 0
    drill: int = 0
    """It learns no mathematics."""
    easy: int = 250
    """In so many of the first steps of the second stage twice as many rows are drawn, of which the shorter half is
    kept, and scenes have two to four things only."""
    matched: int = 16
    """Pictures a step that are matched with two captions each."""
    matching: int = 500
    """The step of the second stage from which it matches, and its encoders learn too."""
    mending: int = 900
    """The step of the second stage from which, for some steps, it only learns to see and to hear again."""
    mended: int = 60
    """So many. Then its encoders stay as they are for good, and cells, steps and words are lengthened."""
    lengthened: float = 16.0
    """How many times as long they become, where the norm before the head becomes as much smaller."""
    gathering: int = 1000
    """The step of the second stage from which names are led to their words, and the ends of questions to names."""
    images_later: int = 20
    """Pictures that are asked about in a step after that."""
    cooling: int = 160
    """Last steps, in which the rates fall to nothing."""
    processes: int = 1
    sensing_rate: float = 2e-3
    rate: float = 1.5e-3
    """Highest learning rates of AdamW in the two stages."""
    muon_rate: float = 2.5e-3
    """Highest of Muon; in the first stage it is the same."""
    warmup: int = 60
    decay: float = 0.02
    looks: float = 1.0
    """Weight of looking where it is shown; it falls to a tenth over the first `early` steps of the second stage."""
    reading: float = 0.3
    """Weight of continuing GLUE's questions; it falls as that of looking does."""
    early: int = 900
    balance: float = 2e-3
    """What is added a step to the bias of an expert that is chosen too rarely, and taken from the others'."""
    seed: int = 11
    width: int = 128
    inner: int = 352
    """Width inside the feed-forward layer of the first layer, the only one without experts."""
    heads: int = 4
    layers: int = 6
    experts: int = 64
    active: int = 8
    expert_inner: int = 24
    latent: int = 64
    """Width of what is kept of keys and values."""
    turned: int = 8
    """Of the 32 numbers of a head's keys those that know their position; the others are content alone."""
    stem: int = 32
    cells: tuple[int, ...] = (64, 128)
    depths: tuple[int, ...] = (2, 3)
    """Widths and depths of the ResNet's stages."""
    vocabulary: int = 2048


def build_tokenizer(vocabulary: int) -> PreTrainedTokenizerBase:
    """Train a byte-level BPE on what training asks and answers: it cuts any text, and leaves those words whole."""
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    bpe = Tokenizer(models.BPE())
    # A line break is a token of its own: whatever follows the instruction leaves the instruction's tokens as they are.
    bpe.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(Regex("\n"), "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=[PAD, END, IMAGE, AUDIO, USER, ASSISTANT],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    bpe.train_from_iterator(_texts(), trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=bpe,
        eos_token=END,
        pad_token=PAD,
        extra_special_tokens={"image_token": IMAGE, "audio_token": AUDIO},
        model_max_length=1024,
    )


def _texts() -> Iterator[str]:
    """Give what the tokenizer learns from; the second genre of MNLI is read too, so that its words are whole."""
    for word in (*WORDS, *DIGITS):
        yield from [f" {word}"] * 100
    yield from [INSTRUCTION, f"{tones.QUESTION} "] * 1000
    for sheet in islice(train(), 2000):
        for question in sheet.questions:
            yield f"{question.text} {question.answer}"
    for image_id in range(10_000_000, 10_000_400, 4):
        for one in group(image_id, allowed=PAIRS - HELD_OUT):
            yield from one.captions
    for task in glue.TABLE:
        splits = ("train", "train", "validation_mismatched watched") if task == "mnli" else ("train",)
        for number, split in enumerate(splits):
            for index in range(800):
                made = lessons.lesson(task, split, 10_000_000 * (1 + number) + index)
                yield f"{made.asked}{made.answer}"


def build_processor(tokenizer: PreTrainedTokenizerBase) -> MixtureProcessor:
    """Wrap the tokenizer with an image processor that rescales to -1 to 1, and a mel front end."""
    from transformers.models.deepseek_vl.image_processing_pil_deepseek_vl import DeepseekVLImageProcessorPil

    from evals.models.architectures.mixture import MelExtractor, MixtureProcessor

    image_processor = DeepseekVLImageProcessorPil(
        size={"height": SIDE, "width": SIDE}, min_size=PATCH, image_mean=[0.5] * 3, image_std=[0.5] * 3
    )
    return MixtureProcessor(
        image_processor, MelExtractor(sampling_rate=tones.RATE), tokenizer, chat_template=CHAT_TEMPLATE,
        num_image_tokens=PATCHES**2, num_audio_tokens=STEPS,
    )  # fmt: skip


def build_model(recipe: Recipe, tokenizer: PreTrainedTokenizerBase) -> MixtureForConditionalGeneration:
    """Make the untrained model, seeded."""
    import torch
    from transformers import DeepseekV3Config, ResNetConfig

    from evals.models.architectures.mixture import MixtureConfig, MixtureForConditionalGeneration

    torch.manual_seed(recipe.seed)
    head = recipe.width // recipe.heads
    text = DeepseekV3Config(
        vocab_size=len(tokenizer),
        hidden_size=recipe.width,
        intermediate_size=recipe.inner,
        moe_intermediate_size=recipe.expert_inner,
        num_hidden_layers=recipe.layers,
        num_attention_heads=recipe.heads,
        num_key_value_heads=recipe.heads,
        n_routed_experts=recipe.experts,
        num_experts_per_tok=recipe.active,
        n_shared_experts=1,
        n_group=1,
        topk_group=1,
        first_k_dense_replace=1,
        num_mtp_layers=0,
        q_lora_rank=None,
        kv_lora_rank=recipe.latent,
        qk_nope_head_dim=head - recipe.turned,
        qk_rope_head_dim=recipe.turned,
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
        hidden_sizes=list(recipe.cells),
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
    # What is led must be seen, and the library's plain attention is the one that shows it.
    model: MixtureForConditionalGeneration = MixtureForConditionalGeneration._from_config(
        config, attn_implementation="eager"
    )
    return model
