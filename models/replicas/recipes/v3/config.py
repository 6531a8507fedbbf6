"""The `v3` replica: a stream for pictures and one for text that meet in cross-attention, and a module that aligns them.

The library's BLIP, in the two classes that share their streams. `BlipForQuestionAnswering` has a vision tower, a text
encoder whose layers look at the picture, and a text decoder that answers; without a picture it answers what is only
text. `BlipForImageTextRetrieval` has the same tower and the same encoder, and projects both into one space. A
checkpoint holds the weights of both.

The tower begins as that of the `vl` replica, which learnt to name what a patch shows. What is taught is in
`v3_training`, and what a step reads in `v3_packing`.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evals.models.architectures.blip_decoder import heed_masks
from evals.models.replicas import CHECKPOINTS
from evals.models.replicas.recipes.vl.data import PATCH, WORDS
from evals.models.replicas.training.lessons import TASKS, lesson
from evals.tasks.mini.images.scenes import SIDE
from evals.tasks.mini.retrieval import GROUP, group
from evals.tasks.mini.vqa import HELD_OUT, PAIRS, train

if TYPE_CHECKING:
    from torch import nn
    from transformers import BlipProcessor, PreTrainedTokenizerBase

START, END, SAY, PAD = "<|start|>", "<|end|>", "<|say|>", "<|pad|>"
"""What a text begins and ends with, what an answer begins with, and what fills rows."""

TOWER = CHECKPOINTS / "vl"
"""Whose vision tower this one begins as."""

NAMING_LAYERS, ASKING_LAYERS = (1, 2), (3, 4)
"""Layers of the encoder, from 0, of which the first head that looks at the picture is shown where to: from a name, and
from a question's beginning."""

BESIDE = ("vision_proj.", "text_proj.", "itm_head.")
"""What the names of the weights begin with that only `BlipForImageTextRetrieval` has."""

READ = (2000, 200, 800)
"""Images with questions, groups of images with captions and rows of each task of GLUE that the tokenizer reads."""

ALIKE = 0.07
"""Standard deviation of the weights with which a head that finds named things begins, its keys those of its queries."""


@dataclass(frozen=True)
class Recipe:
    """All that settles the checkpoint."""

    seeing: int = 240
    """Steps of the first stage: the tower learns to name what each patch shows in the encoder's own embeddings."""
    scenes: int = 48
    """Images a step of the first stage."""
    learning: int = 1500
    """Steps of the second stage, in which everything else is learnt at once."""
    cooling: int = 400
    """Over so many of its last steps the rates fall to nothing."""
    images: int = 16
    """Images a step of which questions are asked."""
    questions: int = 12
    """Questions an image, at most."""
    groups: int = 3
    """Groups of four images a step that are only told, not asked about."""
    rows: int = 8
    """Rows of each task of GLUE a step."""
    easy: int = 200
    """In so many of the first steps of the second stage scenes have few things, and the shorter half of twice as many
    rows is kept."""
    apart: int = 350
    """So many steps of the second stage the tower learns nothing from answers: what is untaught would spoil it."""
    early: int = 800
    """The weight of where to look falls to a tenth over so many steps of the second stage."""
    processes: int = 1
    seeing_rate: float = 1.5e-3
    rate: float = 1.2e-3
    """Highest of AdamW, of the two stages; Muon's is twice as high."""
    warmup: int = 60
    decay: float = 0.02
    """Weight decay of Muon."""
    seed: int = 3
    width: int = 160
    inner: int = 416
    heads: int = 5
    layers: int = 5
    """Of the encoder, and as many of the decoder: the class has one number for both."""
    vision_layers: int = 4
    shared: int = 128
    """Width of the space in which pictures and texts are compared."""
    vocabulary: int = 2560
    """At most."""


def build_tokenizer(vocabulary: int) -> PreTrainedTokenizerBase:
    """Train a byte-level BPE on what training reads: it cuts any text, keeps those words whole and digits apart."""
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex("\n"), "isolated"),
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=[PAD, START, END, SAY],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    bpe.train_from_iterator(_texts(), trainer)
    ends = [(name, bpe.token_to_id(name)) for name in (START, END)]
    bpe.post_processor = processors.TemplateProcessing(single=f"{START} $A {END}", special_tokens=ends)
    return PreTrainedTokenizerFast(
        tokenizer_object=bpe, bos_token=SAY, cls_token=START, eos_token=END, sep_token=END, pad_token=PAD,
        model_max_length=256,
    )  # fmt: skip


def _texts() -> Iterator[str]:
    for word in WORDS:
        yield from [f" {word}"] * 100
    sheets, groups, rows = READ
    for sheet in islice(train(), sheets):
        for question in sheet.questions:
            yield f"{question.text} {question.answer}"
    for image_id in range(0, groups * GROUP, GROUP):
        for one in group(image_id, allowed=PAIRS - HELD_OUT):
            yield from one.captions
    for task in TASKS[:-1]:
        # The second genre of MNLI is read too, so that its words are whole.
        splits = ("train", "train", "validation_mismatched watched") if task == "mnli" else ("train",)
        for number, split in enumerate(splits):
            for index in range(rows):
                made = lesson(task, split, 10_000_000 * (1 + number) + index)
                yield f"{made.asked}{made.answer}"


def build_processor(tokenizer: PreTrainedTokenizerBase) -> BlipProcessor:
    """Wrap the tokenizer with an image processor that rescales to -1 to 1, and resizes what is not a drawn scene."""
    from transformers import BlipProcessor
    from transformers.models.blip.image_processing_pil_blip import BlipImageProcessorPil

    half = [0.5, 0.5, 0.5]
    pictures = BlipImageProcessorPil(size={"height": SIDE, "width": SIDE}, image_mean=half, image_std=half)
    return BlipProcessor(pictures, tokenizer)


def build_model(recipe: Recipe, tokenizer: PreTrainedTokenizerBase, tower: Path | None = None) -> nn.ModuleDict:
    """Make the untrained model, seeded: the two classes, `answering` and `matching`, with the same streams.

    Args:
        recipe: Its sizes and seed.
        tokenizer: Its words.
        tower: The checkpoint of `vl` whose vision tower it begins with; None leaves it random.
    """
    import torch
    from torch import nn
    from transformers import BlipForImageTextRetrieval, BlipForQuestionAnswering

    torch.manual_seed(recipe.seed)
    config = _config(recipe, tokenizer)
    answering, matching = BlipForQuestionAnswering(config), BlipForImageTextRetrieval(config)
    heed_masks(answering)
    matching.vision_model, matching.text_encoder = answering.vision_model, answering.text_encoder
    # One word is one direction for both while they learn; a saved checkpoint has it twice, as its class wants it.
    words = answering.text_encoder.embeddings.word_embeddings.weight
    answering.text_decoder.bert.embeddings.word_embeddings.weight = words
    answering.text_decoder.cls.predictions.decoder.weight = words
    for number in NAMING_LAYERS:
        looking, head = answering.text_encoder.encoder.layer[number].crossattention.self, recipe.width // recipe.heads
        nn.init.normal_(looking.query.weight.data[:head], std=ALIKE)
        looking.key.weight.data[:head] = looking.query.weight.data[:head]
    if tower:
        _copy_tower(tower, answering.vision_model)
    return nn.ModuleDict({"answering": answering, "matching": matching})


def _config(recipe: Recipe, tokenizer: PreTrainedTokenizerBase) -> Any:
    from transformers import BlipConfig

    shape = {"hidden_size": recipe.width, "intermediate_size": recipe.inner, "num_attention_heads": recipe.heads}
    text = {
        **shape, "num_hidden_layers": recipe.layers, "vocab_size": len(tokenizer), "layer_norm_eps": 1e-6,
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
    """Begin as the SigLIP tower of a checkpoint: the same layers, and one position more, the whole picture's."""
    import torch
    from safetensors.torch import load_file

    stem = "model.vision_model."
    found = {
        name.removeprefix(stem): weight.float()
        for name, weight in load_file(checkpoint / "model.safetensors").items()
        if name.startswith(stem)
    }
    embeddings = tower.embeddings
    embeddings.patch_embedding.weight.data.copy_(found.pop("embeddings.patch_embedding.weight"))
    embeddings.patch_embedding.bias.data.copy_(found.pop("embeddings.patch_embedding.bias"))
    embeddings.position_embedding.data[0, 1:] = found.pop("embeddings.position_embedding.weight")
    own = tower.state_dict()
    for name in [name for name in found if ".q_proj." in name]:
        joined = torch.cat([found.pop(name.replace("q_proj", f"{which}_proj")) for which in "qkv"])
        own[name.replace("q_proj", "qkv")].copy_(joined)
    for name, weight in found.items():
        own[name.replace("out_proj", "projection")].copy_(weight)


def save(model: nn.ModuleDict, processor: BlipProcessor, out: Path) -> None:
    """Save a model, which stays as it is, at half precision.

    The files are those of `BlipForQuestionAnswering`, with the weights that `BlipForImageTextRetrieval` has beside.
    """
    import torch
    from safetensors.torch import load_file, save_file

    half = copy.deepcopy(model).to(torch.float16)
    decoder = half["answering"].text_decoder
    apart = torch.nn.Parameter(decoder.bert.embeddings.word_embeddings.weight.detach().clone())
    decoder.bert.embeddings.word_embeddings.weight = decoder.cls.predictions.decoder.weight = apart
    half["answering"].save_pretrained(out)
    weights = load_file(out / "model.safetensors")
    weights |= {name: w for name, w in half["matching"].state_dict().items() if name.startswith(BESIDE)}
    save_file(weights, out / "model.safetensors", metadata={"format": "pt"})
    processor.save_pretrained(out)
