"""The `vl` replica: what it is made of, and all that settles its training.

A SigLIP tower of patches, DeepSeek-VL's aligner and a Llama decoder, in the library's own
`DeepseekVLForConditionalGeneration`, small enough to be trained by two CPU cores in little more than an hour. Four
things make that enough; without them the answers stay near the blind score as long:

- First it learns to see (`teaching.see`): what the aligner gives for a patch must lie near the *word embeddings* of
  what the patch shows. Then "red" in a question and red in the picture are one direction of one space.
- Then it learns to answer (`teaching.answer`), the questions of an image packed into one sequence (`packing`).
- Meanwhile one head of a few layers is shown where to look: from a name to the things that it fits, from the end of a
  question to the thing that it is about. This counts less and less.
- Until halfway through the horizon the vision tower stays as it is. While the decoder knows nothing, what it asks of
  the tower only undoes what that has learnt: of the shapes it named right, a fifth was lost within 200 steps.

Then it learns to match pictures and captions (`matching`), in a third stage in which it goes on answering. That costs a
sixteenth of the answers. So the fourth begins with a mean of the weights after the second and after the third stage
(0.3 and 0.7), and mostly answers.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from evals.models.replicas.recipes.vl.data import ASSISTANT, INSTRUCTION, PATCH, PATCHES, USER, WORDS
from evals.models.replicas.training.llama import llama_config
from evals.tasks.mini.images.scenes import SIDE
from evals.tasks.mini.vqa import train

if TYPE_CHECKING:
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
    matching: int = 350
    """Steps of the third stage: the model learns to match pictures and captions, and goes on answering."""
    matched: int = 64
    """Images a step of the third stage, all processes together."""
    rehearsed: int = 12
    """Of these so many are also asked about."""
    matching_rate: float = 7e-4
    """Peak learning rate of the third stage, for AdamW; twice that for Muon."""
    warming: int = 40
    """Steps over which the third stage's learning rate rises; after them it falls as a cosine, to a twentieth."""
    settling: int = 120
    """Steps of the fourth stage: as the third, with more questions and fewer captions."""
    settling_matched: int = 16
    settling_rehearsed: int = 48
    settling_rate: float = 3e-4
    """Peak learning rate of the fourth stage; it rises over ten steps and falls as the third's does."""
    processes: int = 2
    seeing_rate: float = 2e-3
    rate: float = 1e-3
    """Peak learning rates of the two stages, for AdamW; twice that for Muon."""
    warmup: int = 150
    """Steps over which a stage's learning rate rises; after them it falls as a cosine, to a twentieth at most."""
    decay: float = 0.02
    """Weight decay of Muon."""
    easy: float = 0.1
    """Share of the horizon during which scenes have two to four things only."""
    still: float = 0.5
    """Share of the horizon during which the vision tower and the aligner stay as they are."""
    seed: int = 7
    width: int = 160
    inner: int = 416
    heads: int = 5
    layers: int = 6
    vision_layers: int = 4
    vocabulary: int = 1024
    """At most: there are no more pairs to merge once every word of the benchmark is one token."""


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
    """Wrap the tokenizer with an image processor that rescales to -1 to 1, and resizes what is not a drawn scene."""
    from transformers import DeepseekVLProcessor
    from transformers.models.deepseek_vl.image_processing_pil_deepseek_vl import DeepseekVLImageProcessorPil

    image_processor = DeepseekVLImageProcessorPil(
        size={"height": SIDE, "width": SIDE}, min_size=PATCH, image_mean=[0.5, 0.5, 0.5], image_std=[0.5, 0.5, 0.5]
    )
    return DeepseekVLProcessor(image_processor, tokenizer, chat_template=CHAT_TEMPLATE, num_image_tokens=PATCHES**2)


def build_model(recipe: Recipe, tokenizer: PreTrainedTokenizerBase) -> DeepseekVLForConditionalGeneration:
    """Make the untrained model, seeded."""
    import torch
    from transformers import DeepseekVLConfig, DeepseekVLForConditionalGeneration, SiglipVisionConfig

    torch.manual_seed(recipe.seed)
    text = llama_config(recipe, tokenizer)
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
