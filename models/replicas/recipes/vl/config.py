"""The `vl` replica: a SigLIP vision tower, DeepSeek-VL's aligner and a Llama decoder.

It is the library's own `DeepseekVLForConditionalGeneration`, small enough to be trained by two CPU cores in little more
than an hour. Four measures make this possible; without them the score stays near that of a blind model for as long:

- Stage 1 teaches the model to see: the aligner's output for a patch must be close to the *word embeddings* of what the
  patch shows. Then "red" in a question and red in the image are one direction of one space.
- Stage 2 teaches it to answer, with all questions about an image packed into one sequence (`question_packing`).
- In stage 2, one head of each of a few layers is taught where to attend: from a name to the things that it fits, and
  from the end of a question to the thing that it is about. The weight of this falls.
- The vision tower is frozen for half of the horizon of stage 2. While the decoder is untrained, its gradients only undo
  what the tower has learned: within 200 steps, a fifth of the shapes that it named right was lost.

Stage 3 teaches it to match images and captions (`contrastive`) while it continues to answer. That costs a sixteenth of
the answers, so stage 4 starts from the mean of the weights after stages 2 and 3 (0.3 and 0.7), and mostly answers.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from evals.models.replicas.training.llama import LayerShape, llama_config
from evals.models.replicas.training.patches import PATCH, PATCHES, WORDS, image_processor
from evals.models.replicas.training.question_packing import INSTRUCTION
from evals.models.replicas.training.tokenizers import ASSISTANT, END, IMAGE, PAD, USER, chat_template, train_bpe
from evals.tasks.mini.images.scenes import SIDE
from evals.tasks.mini.vqa import train

if TYPE_CHECKING:
    from transformers import DeepseekVLForConditionalGeneration, DeepseekVLProcessor, PreTrainedTokenizerBase

CHAT_TEMPLATE = chat_template(f"'{IMAGE}' if part['type'] == 'image' else part['text']")


@dataclass(frozen=True)
class Recipe:
    """Everything that determines the checkpoint."""

    seeing: int = 700
    """Steps of stage 1: the vision tower and the aligner learn to name what each patch shows."""
    scenes: int = 64
    """Images in a step of stage 1, over all processes."""
    steps: int = 1350
    """Steps of stage 2: the whole model learns to answer."""
    horizon: int = 1800
    """Number of steps for which the falling rate of stage 2, and all other schedules of stage 2, are laid out."""
    cooling: int = 350
    """Last steps of stage 2, in which the rate leaves the cosine and falls linearly to a twentieth."""
    images: int = 24
    """Images in a step of stage 2, over all processes."""
    questions: int = 12
    """Largest number of questions about an image."""
    matching: int = 350
    """Steps of stage 3: the model learns to match images and captions, and continues to answer."""
    matched: int = 64
    """Images with captions in a step of stage 3, over all processes."""
    rehearsed: int = 12
    """Images with questions in a step of stage 3, over all processes."""
    matching_rate: float = 7e-4
    """Highest learning rate of AdamW in stage 3; Muon's is twice as high."""
    warming: int = 40
    """Steps over which the rate of stage 3 rises; then it falls as a cosine to a twentieth."""
    settling: int = 120
    """Steps of stage 4: as stage 3, with more questions and fewer captions."""
    settling_matched: int = 16
    settling_rehearsed: int = 48
    settling_rate: float = 3e-4
    """Highest learning rate of AdamW in stage 4; it rises over ten steps and falls as that of stage 3."""
    processes: int = 2
    seeing_rate: float = 2e-3
    """Highest learning rate of AdamW in stage 1; Muon's is twice as high."""
    rate: float = 1e-3
    """The same in stage 2."""
    warmup: int = 150
    """Steps over which the rates of stages 1 and 2 rise; then they fall as a cosine, to a twentieth at least."""
    decay: float = 0.02
    """Weight decay of Muon."""
    easy: float = 0.1
    """Share of the horizon during which scenes have two to four things only."""
    frozen: float = 0.5
    """Share of the horizon during which the vision tower and the aligner are frozen."""
    seed: int = 7
    shape: LayerShape = LayerShape(layers=6, width=160, inner=416, heads=5)
    """Layers of the decoder; those of the vision tower have the same size."""
    vision_layers: int = 4
    vocabulary: int = 1024
    """Upper limit: no pairs are left to merge when every word of the benchmark is one token."""


def build_tokenizer(vocabulary: int) -> PreTrainedTokenizerBase:
    """Train a byte-level BPE on questions and answers: it keeps their words whole, and encodes any text."""
    from transformers import PreTrainedTokenizerFast

    bpe = train_bpe(_texts(), vocabulary, [PAD, END, IMAGE, USER, ASSISTANT], split_digits=False)
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
    """Combine the tokenizer with an image processor."""
    from transformers import DeepseekVLProcessor

    return DeepseekVLProcessor(image_processor(), tokenizer, chat_template=CHAT_TEMPLATE, num_image_tokens=PATCHES**2)


def build_model(recipe: Recipe, tokenizer: PreTrainedTokenizerBase) -> DeepseekVLForConditionalGeneration:
    """Create the untrained model with seeded weights."""
    import torch
    from transformers import DeepseekVLConfig, DeepseekVLForConditionalGeneration, SiglipVisionConfig

    torch.manual_seed(recipe.seed)
    vision = SiglipVisionConfig(
        image_size=SIDE,
        patch_size=PATCH,
        hidden_size=recipe.shape.width,
        intermediate_size=recipe.shape.inner,
        num_hidden_layers=recipe.vision_layers,
        num_attention_heads=recipe.shape.heads,
        vision_use_head=False,
    )
    config = DeepseekVLConfig(
        text_config=llama_config(recipe.shape, tokenizer),
        vision_config=vision,
        image_token_id=tokenizer.convert_tokens_to_ids(IMAGE),
        tie_word_embeddings=True,
    )
    return DeepseekVLForConditionalGeneration(config)
