"""Which architectures run in batches, which are read one row at a time, and which are refused.

The table `models/architectures.yaml` says it for every decoder and encoder-decoder that the library offers. It is made
by `tests/benchmarks/architectures.py`, which compares rows in batches with each row alone on small random checkpoints.
An architecture that is not in the table is read row by row. Rotary embeddings that are scaled by the longest row of a
batch have rows of their own, because any architecture can have them. Quantised models whose inputs are scaled by the
largest value of the whole batch are read row by row too.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from evals.errors import InputError

if TYPE_CHECKING:
    from transformers import PreTrainedConfig

Runs = Literal["in batches", "row by row", "refused"]
PaddingSide = Literal["left", "right"]
IN_BATCHES: Runs = "in batches"
ROW_BY_ROW: Runs = "row by row"
REFUSED: Runs = "refused"
TABLE = Path(__file__).parents[2] / "architectures.yaml"

ENCODERS = frozenset({
    "albert", "deberta", "deberta-v2", "distilbert", "esm", "esmc", "eurobert", "flaubert", "gte", "ibert",
    "jina_embeddings_v3", "layoutlm", "longformer", "markuplm", "modernbert", "mpnet", "nomic_bert", "splinter",
    "squeezebert", "tapas", "ultrabert", "visual_bert",
})  # fmt: skip
"""Encoders outside the table whose outputs were the same with and without padding on the right, to 1e-5 (small random
checkpoints, float32, 2026-11-28). CANINE, ConvBERT, FNet, MobileBERT, Reformer, XLNet and YOSO read padding."""


class ArchitectureRow(msgspec.Struct, frozen=True, omit_defaults=True):
    """One row of the table."""

    runs: Runs
    reason: str = ""
    """Why it does not run in batches, why it was not compared, or a note on the library's own behaviour."""
    requires: str = ""
    """A field of the configuration that must be true: without it, a token's scores depend on later tokens."""
    padding: list[PaddingSide] = []
    """The sides on which padding changes a row's logits."""


class ArchitectureTable(msgspec.Struct, frozen=True):
    """The contents of `architectures.yaml`."""

    transformers: str
    """The library's version."""
    date: str
    decoders: dict[str, ArchitectureRow]
    """By model type: architectures for causal language modelling."""
    encoder_decoders: dict[str, ArchitectureRow]
    """By model type: architectures for sequence-to-sequence language modelling."""
    ropes: dict[str, ArchitectureRow]
    """By `rope_type`: scalings of rotary embeddings."""


@dataclass(frozen=True)
class BatchRule:
    """How a loaded model reads the rows of a batch."""

    runs: Runs
    reason: str = ""

    @property
    def in_batches(self) -> bool:
        """Whether rows go through the model together."""
        return self.runs == IN_BATCHES

    def __str__(self) -> str:
        """Return the rule with its reason, for the manifest."""
        return f"{self.runs}: {self.reason}" if self.reason else self.runs


@cache
def read_table() -> ArchitectureTable:
    """Read the table."""
    return msgspec.yaml.decode(TABLE.read_text(encoding="utf-8"), type=ArchitectureTable)


def batch_rule(config: PreTrainedConfig) -> BatchRule:
    """Return how a language model reads the rows of a batch; unknown architectures are read row by row.

    Args:
        config: the configuration of a decoder or an encoder-decoder with a language-model head.

    Example:
        >>> from transformers import LlamaConfig, RwkvConfig
        >>> str(batch_rule(LlamaConfig())), batch_rule(RwkvConfig()).runs
        ('in batches', 'row by row')
    """
    table = read_table()
    rows = table.encoder_decoders if config.is_encoder_decoder else table.decoders
    row = rows.get(config.model_type)
    if row is None:
        reason = (
            f"{config.model_type} is not in the table of architectures, made with transformers {table.transformers}"
        )
        return BatchRule(ROW_BY_ROW, reason)
    if row.requires and not getattr(config, row.requires, None):
        return BatchRule(REFUSED, f"{row.requires} is false in its config.json: its attention reads later tokens")
    return _stricter(BatchRule(row.runs, row.reason if row.runs != IN_BATCHES else ""), _number_rule(config))


def text_model_rule(config: PreTrainedConfig) -> BatchRule:
    """Return how the language model inside a larger model reads rows, as far as the table knows its type.

    Args:
        config: the configuration of a vision-language model. Whether its images allow batches is for the family to say.
    """
    row = read_table().decoders.get(config.get_text_config(decoder=True).model_type)
    rule = BatchRule(IN_BATCHES) if row is None else BatchRule(row.runs, row.reason)
    return _stricter(BatchRule(IN_BATCHES) if rule.runs == REFUSED else rule, _number_rule(config))


def encoding_rule(config: PreTrainedConfig) -> BatchRule:
    """Return how a classifier or an encoder of texts, whose rows are padded on the right, reads rows.

    Args:
        config: its configuration.

    Example:
        >>> from transformers import BertConfig, FNetConfig
        >>> str(encoding_rule(BertConfig())), str(encoding_rule(FNetConfig()))
        ('in batches', 'row by row: fnet was not compared in batches, or they change its results')
    """
    table = read_table()
    rows = table.encoder_decoders if config.is_encoder_decoder else table.decoders
    kind = config.get_text_config().model_type
    row = rows.get(kind)
    if row is None or row.runs == REFUSED:
        reason = f"{kind} was not compared in batches, or they change its results"
        rule = BatchRule(IN_BATCHES) if kind in ENCODERS else BatchRule(ROW_BY_ROW, reason)
    elif "right" in row.padding:
        rule = BatchRule(ROW_BY_ROW, "it reads padding on the right")
    elif row.runs == ROW_BY_ROW and not row.padding:
        rule = BatchRule(ROW_BY_ROW, row.reason)
    else:
        rule = BatchRule(IN_BATCHES)
    return _stricter(rule, _number_rule(config))


def check(folder: Path, rule: BatchRule) -> None:
    """Refuse an architecture whose scores would be wrong. Raises `InputError`."""
    if rule.runs == REFUSED:
        raise InputError(f"{folder} cannot be scored as a language model: {rule.reason}")


def _stricter(rule: BatchRule, other: BatchRule) -> BatchRule:
    return other if rule.in_batches else rule


def _number_rule(config: PreTrainedConfig) -> BatchRule:
    """Return what a model requires whatever its architecture: by its rotary embeddings and its number formats."""
    return _stricter(_rope_rule(config), _quantisation_rule(config.to_dict()))


def _quantisation_rule(config: Mapping[str, Any]) -> BatchRule:
    """Return how the rows of a quantised model are read.

    LLM.int8 keeps an input dimension in 16 bits if any row of the batch has a large value in it (an outlier), and
    the strategy `tensor` scales all inputs of a layer by the largest one.

    Example:
        >>> str(_quantisation_rule({"quantization_config": {"load_in_8bit": True}}))
        'row by row: LLM.int8 looks for outliers in all rows of a batch'
    """
    stated = config.get("quantization_config") or (config.get("text_config") or {}).get("quantization_config") or {}
    if stated.get("load_in_8bit") and stated.get("llm_int8_threshold", 6.0):
        return BatchRule(ROW_BY_ROW, "LLM.int8 looks for outliers in all rows of a batch")
    groups = stated.get("config_groups")
    for group in groups.values() if isinstance(groups, dict) else ():
        inputs = group.get("input_activations") if isinstance(group, dict) else None
        strategy = (inputs or {}).get("strategy")
        if inputs and inputs.get("dynamic") and getattr(strategy, "value", strategy) in {None, "tensor"}:
            return BatchRule(ROW_BY_ROW, "its inputs are scaled by the largest value of all rows of a batch")
    return BatchRule(IN_BATCHES)


def _rope_rule(config: PreTrainedConfig) -> BatchRule:
    """Return what the scaling of a model's rotary embeddings requires; unknown scalings are read row by row."""
    table = read_table()
    for kind in sorted(set(_rope_types(config.to_dict()))):
        row = table.ropes.get(kind)
        if row is None:
            return BatchRule(ROW_BY_ROW, f"rope_type {kind} is not in the table of architectures")
        if row.runs != IN_BATCHES:
            return BatchRule(row.runs, row.reason)
    return BatchRule(IN_BATCHES)


def _rope_types(config: Mapping[str, Any]) -> Iterator[str]:
    """Yield every `rope_type` of a configuration and its parts, without those of encoders of images and audio."""
    for name, value in config.items():
        if name == "rope_type" and isinstance(value, str):
            yield value
        elif isinstance(value, Mapping) and not name.startswith(("vision", "audio")):
            yield from _rope_types(value)
