"""The `v3` replica: a vision stream and a text stream that meet in cross-attention, and a shared embedding space.

It is the library's BLIP, in the two classes that share its streams. `BlipForQuestionAnswering` has a vision tower, a
text encoder whose layers attend to the image, and a text decoder that writes the answer; without an image it answers
questions about text alone. `BlipForImageTextRetrieval` has the same tower and the same encoder, and projects both into
one embedding space. A checkpoint holds the weights of both.

The tower starts as that of the `vl` replica, which has learned to name what a patch shows. `train` defines
what is learned, and `data` what a step reads.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evals.models.architectures.blip_decoder import apply_cross_attention_masks
from evals.models.replicas import CHECKPOINTS
from evals.models.replicas.training.image_examples import caption_groups
from evals.models.replicas.training.llama import LayerShape
from evals.models.replicas.training.patches import PATCH, WORDS
from evals.models.replicas.training.text_examples import GLUE_TASKS, TextPortions, tokenizer_texts
from evals.models.replicas.training.tokenizers import train_bpe
from evals.tasks.mini.images.scenes import SIDE
from evals.tasks.mini.retrieval import GROUP
from evals.tasks.mini.vqa import HELD_OUT, PAIRS, train

if TYPE_CHECKING:
    from torch import nn
    from transformers import BlipProcessor, PreTrainedTokenizerBase

START, END, SAY, PAD = "<|start|>", "<|end|>", "<|say|>", "<|pad|>"
"""Start and end of a text, start of an answer, and padding."""

TOWER = CHECKPOINTS / "vl"
"""The checkpoint whose vision tower this replica starts with."""

NAME_LAYERS, QUESTION_LAYERS = (1, 2), (3, 4)
"""Encoder layers, counted from 0, whose first cross-attention head is taught to attend from names, and from the
starts of questions."""

RETRIEVAL_WEIGHTS = ("vision_proj.", "text_proj.", "itm_head.")
"""Prefixes of the names of the weights that only `BlipForImageTextRetrieval` has."""

TOKENIZER_SAMPLES = (2000, 200, 800)
"""What the tokenizer is trained on: images with questions, groups of images with captions, rows of each GLUE task."""

HEAD_SCALE = 0.07
"""Standard deviation of the initial query and key weights of a head that attends to named things; both are equal."""


@dataclass(frozen=True)
class Recipe:
    """Everything that determines the checkpoint."""

    seeing: int = 240
    """Steps of stage 1: the tower learns to name what each patch shows, in the encoder's embeddings."""
    scenes: int = 48
    """Images in a step of stage 1."""
    learning: int = 1500
    """Steps of stage 2, in which everything else is learned at once."""
    cooling: int = 400
    """Last steps of stage 2, over which the rates fall to zero."""
    images: int = 16
    """Images with questions in a step of stage 2."""
    questions: int = 12
    """Largest number of questions about an image."""
    groups: int = 3
    """Groups of four images in a step of stage 2 that have captions but no questions."""
    texts: TextPortions = TextPortions(rows=8, easy=200)
    """Rows of GLUE in a step of stage 2; in the easy steps, scenes have few things, too."""
    detached: int = 350
    """First steps of stage 2, in which answers do not train the tower: an untrained decoder would make it worse."""
    early: int = 800
    """Steps of stage 2 over which the weight of attention falls linearly to a tenth."""
    processes: int = 1
    seeing_rate: float = 1.5e-3
    """Highest learning rate of AdamW in stage 1; Muon's is twice as high."""
    rate: float = 1.2e-3
    """The same in stage 2."""
    warmup: int = 60
    decay: float = 0.02
    """Weight decay of Muon."""
    seed: int = 3
    shape: LayerShape = LayerShape(layers=5, width=160, inner=416, heads=5)
    """Layers of the encoder and of the decoder: the class has one number for both."""
    vision_layers: int = 4
    shared: int = 128
    """Size of the space in which images and texts are compared."""
    vocabulary: int = 2560
    """Upper limit."""


def build_tokenizer(vocabulary: int) -> PreTrainedTokenizerBase:
    """Train a byte-level BPE on what training reads: it keeps words whole and digits apart, and encodes any text."""
    from tokenizers import processors
    from transformers import PreTrainedTokenizerFast

    bpe = train_bpe(_texts(), vocabulary, [PAD, START, END, SAY], split_digits=True)
    ends = [(name, bpe.token_to_id(name)) for name in (START, END)]
    bpe.post_processor = processors.TemplateProcessing(single=f"{START} $A {END}", special_tokens=ends)
    return PreTrainedTokenizerFast(
        tokenizer_object=bpe, bos_token=SAY, cls_token=START, eos_token=END, sep_token=END, pad_token=PAD,
        model_max_length=256,
    )  # fmt: skip


def _texts() -> Iterator[str]:
    for word in WORDS:
        yield from [f" {word}"] * 100
    sheets, groups, rows = TOKENIZER_SAMPLES
    for sheet in islice(train(), sheets):
        for question in sheet.questions:
            yield f"{question.text} {question.answer}"
    for captioned in caption_groups(range(0, groups * GROUP, GROUP), allowed=PAIRS - HELD_OUT):
        yield from captioned.captions
    yield from tokenizer_texts(GLUE_TASKS, rows)


def build_processor(tokenizer: PreTrainedTokenizerBase) -> BlipProcessor:
    """Combine the tokenizer with an image processor that scales pixels to -1 to 1 and resizes images to a scene's."""
    from transformers import BlipProcessor
    from transformers.models.blip.image_processing_pil_blip import BlipImageProcessorPil

    half = [0.5, 0.5, 0.5]
    images = BlipImageProcessorPil(size={"height": SIDE, "width": SIDE}, image_mean=half, image_std=half)
    return BlipProcessor(images, tokenizer)


def build_model(recipe: Recipe, tokenizer: PreTrainedTokenizerBase, tower: Path | None = None) -> nn.ModuleDict:
    """Create the untrained model with seeded weights: two classes, `answering` and `matching`, that share streams.

    Args:
        recipe: The sizes and the seed.
        tokenizer: The model's tokenizer.
        tower: The checkpoint of `vl` whose vision tower is copied; None leaves the tower random.
    """
    import torch
    from torch import nn
    from transformers import BlipForImageTextRetrieval, BlipForQuestionAnswering

    torch.manual_seed(recipe.seed)
    config = _config(recipe, tokenizer)
    answering, matching = BlipForQuestionAnswering(config), BlipForImageTextRetrieval(config)
    apply_cross_attention_masks(answering)
    matching.vision_model, matching.text_encoder = answering.vision_model, answering.text_encoder
    # Encoder and decoder share their embeddings while they learn; a checkpoint holds them twice, as its class requires.
    embeddings = answering.text_encoder.embeddings.word_embeddings.weight
    answering.text_decoder.bert.embeddings.word_embeddings.weight = embeddings
    answering.text_decoder.cls.predictions.decoder.weight = embeddings
    head = recipe.shape.width // recipe.shape.heads
    for number in NAME_LAYERS:
        attention = answering.text_encoder.encoder.layer[number].crossattention.self
        nn.init.normal_(attention.query.weight.data[:head], std=HEAD_SCALE)
        attention.key.weight.data[:head] = attention.query.weight.data[:head]
    if tower:
        _copy_tower(tower, answering.vision_model)
    return nn.ModuleDict({"answering": answering, "matching": matching})


def _config(recipe: Recipe, tokenizer: PreTrainedTokenizerBase) -> Any:
    from transformers import BlipConfig

    layers = recipe.shape
    shape = {"hidden_size": layers.width, "intermediate_size": layers.inner, "num_attention_heads": layers.heads}
    text = {
        **shape, "num_hidden_layers": layers.layers, "vocab_size": len(tokenizer), "layer_norm_eps": 1e-6,
        "max_position_embeddings": tokenizer.model_max_length, "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id, "sep_token_id": tokenizer.sep_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }  # fmt: skip
    vision = {
        **shape, "num_hidden_layers": recipe.vision_layers, "image_size": SIDE, "patch_size": PATCH,
        "hidden_act": "gelu_pytorch_tanh", "layer_norm_eps": 1e-6, "initializer_range": 0.02,
    }  # fmt: skip
    return BlipConfig(text_config=text, vision_config=vision, image_text_hidden_size=recipe.shared)


def _copy_tower(checkpoint: Path, tower: Any) -> None:
    """Copy the SigLIP tower of a checkpoint; this tower has one more position, which represents the whole image."""
    import torch
    from safetensors.torch import load_file

    prefix = "model.vision_model."
    weights = {
        name.removeprefix(prefix): weight.float()
        for name, weight in load_file(checkpoint / "model.safetensors").items()
        if name.startswith(prefix)
    }
    embeddings = tower.embeddings
    embeddings.patch_embedding.weight.data.copy_(weights.pop("embeddings.patch_embedding.weight"))
    embeddings.patch_embedding.bias.data.copy_(weights.pop("embeddings.patch_embedding.bias"))
    embeddings.position_embedding.data[0, 1:] = weights.pop("embeddings.position_embedding.weight")
    state = tower.state_dict()
    for name in [name for name in weights if ".q_proj." in name]:
        joined = torch.cat([weights.pop(name.replace("q_proj", f"{which}_proj")) for which in "qkv"])
        state[name.replace("q_proj", "qkv")].copy_(joined)
    for name, weight in weights.items():
        state[name.replace("out_proj", "projection")].copy_(weight)


def save(model: nn.ModuleDict, processor: BlipProcessor, out: Path) -> None:
    """Save a float16 copy of a model; the model itself is not changed.

    The files are those of `BlipForQuestionAnswering`, with the weights added that only `BlipForImageTextRetrieval` has.
    """
    import torch
    from safetensors.torch import load_file, save_file

    half = copy.deepcopy(model).to(torch.float16)
    decoder = half["answering"].text_decoder
    separate = torch.nn.Parameter(decoder.bert.embeddings.word_embeddings.weight.detach().clone())
    decoder.bert.embeddings.word_embeddings.weight = decoder.cls.predictions.decoder.weight = separate
    half["answering"].save_pretrained(out)
    weights = load_file(out / "model.safetensors")
    weights |= {name: w for name, w in half["matching"].state_dict().items() if name.startswith(RETRIEVAL_WEIGHTS)}
    save_file(weights, out / "model.safetensors", metadata={"format": "pt"})
    processor.save_pretrained(out)
