"""Compare a configuration with the shapes of the stored weights, for architectures whose weights have known names.

The library compares them too, after seconds of imports, in words about tensors. Here a weight is only compared if its
name is known for the model type, the fields that its shape needs are in the configuration, and nothing (packed weights,
removed heads) gives it another shape. So a right checkpoint is never refused, and what is not compared here is compared
by the library.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

SizeProduct = tuple[str | int, ...]
"""One dimension of a weight: the product of fields and numbers."""
_HEAD = "head_dim"
_EMBEDDINGS: Mapping[str, tuple[SizeProduct, ...]] = {
    r"(model\.)?embed_tokens\.weight": (("vocab_size",), ("hidden_size",)),
    r"(model\.)?norm\.weight": (("hidden_size",),),
}
_ATTENTION: Mapping[str, tuple[SizeProduct, ...]] = {
    r"(model\.)?layers\.\d+\.self_attn\.q_proj\.weight": (("num_attention_heads", _HEAD), ("hidden_size",)),
    r"(model\.)?layers\.\d+\.self_attn\.[kv]_proj\.weight": (("num_key_value_heads", _HEAD), ("hidden_size",)),
    r"(model\.)?layers\.\d+\.self_attn\.o_proj\.weight": (("hidden_size",), ("num_attention_heads", _HEAD)),
}
_GATED: Mapping[str, tuple[SizeProduct, ...]] = {
    r"(model\.)?layers\.\d+\.mlp\.(gate|up)_proj\.weight": (("intermediate_size",), ("hidden_size",)),
    r"(model\.)?layers\.\d+\.mlp\.down_proj\.weight": (("hidden_size",), ("intermediate_size",)),
}
_GPT2: Mapping[str, tuple[SizeProduct, ...]] = {
    r"(transformer\.)?wte\.weight": (("vocab_size",), ("n_embd",)),
    r"(transformer\.)?wpe\.weight": (("n_positions",), ("n_embd",)),
    r"(transformer\.)?h\.\d+\.ln_[12]\.weight|(transformer\.)?ln_f\.weight": (("n_embd",),),
    r"(transformer\.)?h\.\d+\.attn\.c_attn\.weight": (("n_embd",), (3, "n_embd")),
    r"(transformer\.)?h\.\d+\.mlp\.c_fc\.weight": (("n_embd",), ("n_inner",)),
}
_NEOX: Mapping[str, tuple[SizeProduct, ...]] = {
    r"(gpt_neox\.)?embed_in\.weight": (("vocab_size",), ("hidden_size",)),
    r"(gpt_neox\.)?layers\.\d+\.attention\.query_key_value\.weight": ((3, "hidden_size"), ("hidden_size",)),
    r"(gpt_neox\.)?layers\.\d+\.mlp\.dense_h_to_4h\.weight": (("intermediate_size",), ("hidden_size",)),
}
_OPT: Mapping[str, tuple[SizeProduct, ...]] = {
    r"(model\.)?decoder\.embed_tokens\.weight": (("vocab_size",), ("word_embed_proj_dim",)),
    r"(model\.)?decoder\.layers\.\d+\.self_attn\.[qkv]_proj\.weight": (("hidden_size",), ("hidden_size",)),
    r"(model\.)?decoder\.layers\.\d+\.fc1\.weight": (("ffn_dim",), ("hidden_size",)),
}
_BERT: Mapping[str, tuple[SizeProduct, ...]] = {
    r"(\w+\.)?embeddings\.word_embeddings\.weight": (("vocab_size",), ("hidden_size",)),
    r"(\w+\.)?embeddings\.position_embeddings\.weight": (("max_position_embeddings",), ("hidden_size",)),
    r"(\w+\.)?encoder\.layer\.\d+\.attention\.self\.(query|key|value)\.weight": (
        ("hidden_size",), ("hidden_size",)),
    r"(\w+\.)?encoder\.layer\.\d+\.intermediate\.dense\.weight": (("intermediate_size",), ("hidden_size",)),
}  # fmt: skip
_DISTILBERT: Mapping[str, tuple[SizeProduct, ...]] = {
    r"(distilbert\.)?embeddings\.word_embeddings\.weight": (("vocab_size",), ("dim",)),
    r"(distilbert\.)?embeddings\.position_embeddings\.weight": (("max_position_embeddings",), ("dim",)),
    r"(distilbert\.)?transformer\.layer\.\d+\.attention\.[qkv]_lin\.weight": (("dim",), ("dim",)),
    r"(distilbert\.)?transformer\.layer\.\d+\.ffn\.lin1\.weight": (("hidden_dim",), ("dim",)),
}
_T5: Mapping[str, tuple[SizeProduct, ...]] = {
    r"shared\.weight|(en|de)coder\.embed_tokens\.weight": (("vocab_size",), ("d_model",)),
    r"(en|de)coder\.block\.\d+\.layer\.\d\.(Self|EncDec)Attention\.[qkv]\.weight": (
        ("num_heads", "d_kv"), ("d_model",)),
    r"(en|de)coder\.block\.\d+\.layer\.\d\.DenseReluDense\.wi(_[01])?\.weight": (("d_ff",), ("d_model",)),
}  # fmt: skip
_DENSE_TYPES = ("arcee", "gemma", "gemma2", "gemma3_text", "granite", "llama", "mistral", "olmo", "olmo2", "qwen2",
                "qwen3", "smollm3", "stablelm")  # fmt: skip
_MIXTURE_TYPES = ("mixtral", "olmoe", "qwen2_moe", "qwen3_moe")
_DENSE = {**_EMBEDDINGS, **_ATTENTION, **_GATED}
_MIXTURE = {**_EMBEDDINGS, **_ATTENTION}
RULES: Mapping[str, Mapping[str, tuple[SizeProduct, ...]]] = {
    **dict.fromkeys(_DENSE_TYPES, _DENSE),
    **dict.fromkeys(_MIXTURE_TYPES, _MIXTURE),
    **dict.fromkeys(("bert", "camembert", "roberta", "xlm-roberta"), _BERT),
    **dict.fromkeys(("mt5", "t5", "umt5"), _T5),
    "distilbert": _DISTILBERT,
    "gpt2": _GPT2,
    "gpt_neox": _NEOX,
    "opt": _OPT,
}
"""By model type: the dimensions of weights, by their names as regular expressions."""
_OF_WIDTH = frozenset({"arcee", "granite", "llama", "mistral", "mixtral", "olmo", "olmo2", "olmoe", "qwen2",
                       "qwen2_moe", "smollm3", "stablelm"})  # fmt: skip
"""Model types whose heads, unless the configuration says otherwise, divide the width among them."""


@dataclass(frozen=True)
class Mismatch:
    """A weight that has another shape than the configuration says."""

    fields: tuple[str, ...]
    """The fields of which one must be wrong."""
    name: str
    """The weight."""
    stored: tuple[int, ...]
    configured: tuple[int, ...]
    """Its shapes in the file and by the configuration."""


class _ComparedSize(NamedTuple):
    """A dimension of a stored weight beside that of the configuration."""

    name: str
    fields: tuple[str, ...]
    is_equal: bool
    configured: tuple[int, ...]


def first_mismatch(config: Mapping[str, Any], shapes: Mapping[str, Sequence[int]]) -> Mismatch | None:
    """Return the first weight whose shape is not that of the configuration; None if all agree, or none is known.

    Args:
        config: the contents of `config.json`.
        shapes: the shape of each stored weight.

    Example:
        >>> config = {"model_type": "gpt2", "vocab_size": 50, "n_embd": 16}
        >>> first_mismatch(config, {"wte.weight": (50, 8), "ln_f.weight": (8,)}).fields
        ('n_embd',)
    """
    if config.get("quantization_config") or config.get("pruned_heads"):
        return None
    compared = list(_compared(config, shapes))
    wrong = [dimension for dimension in compared if not dimension.is_equal]
    if not wrong:
        return None
    right = {field for dimension in compared if dimension.is_equal for field in dimension.fields}
    first = next((dimension for dimension in wrong if not right.issuperset(dimension.fields)), wrong[0])
    fields = tuple(field for field in first.fields if field not in right) or first.fields
    return Mismatch(fields, first.name, tuple(shapes[first.name]), first.configured)


def _compared(config: Mapping[str, Any], shapes: Mapping[str, Sequence[int]]) -> Iterator[_ComparedSize]:
    """Yield every dimension of a stored weight that the configuration determines."""
    of_type = RULES.get(str(config.get("model_type")), {})
    rules = [(re.compile(pattern), dimensions) for pattern, dimensions in of_type.items()]
    for name, shape in shapes.items():
        for pattern, dimensions in rules:
            if pattern.fullmatch(name) and len(shape) == len(dimensions):
                sizes = [_size(config, dimension) for dimension in dimensions]
                configured = tuple(
                    stored if size is None else size[0] for size, stored in zip(sizes, shape, strict=True)
                )
                for size, stored in zip(sizes, shape, strict=True):
                    if size is not None:
                        yield _ComparedSize(name, size[1], size[0] == stored, configured)


def _size(config: Mapping[str, Any], dimension: SizeProduct) -> tuple[int, tuple[str, ...]] | None:
    """Return the size of a dimension with the fields that determine it; None if the configuration lacks one."""
    if dimension == ("num_attention_heads", _HEAD) and config.get(_HEAD) is None and _field(config, _HEAD) is not None:
        dimension = ("hidden_size",)  # which the heads divide among them, however many they are
    factors = [(entry, ()) if isinstance(entry, int) else _field(config, entry) for entry in dimension]
    if any(factor is None for factor in factors):
        return None
    known = [factor for factor in factors if factor is not None]
    fields = tuple(dict.fromkeys(field for _, names in known for field in names))
    return math.prod(value for value, _ in known), fields


def _field(config: Mapping[str, Any], name: str) -> tuple[int, tuple[str, ...]] | None:
    """Return the value of a field, and the fields that it comes from."""
    value = config.get(name)
    if isinstance(value, int) and not isinstance(value, bool):
        return value, (name,)
    if name == _HEAD and config["model_type"] in _OF_WIDTH and value is None:
        width, heads = config.get("hidden_size"), config.get("num_attention_heads")
        if isinstance(width, int) and isinstance(heads, int) and heads and not width % heads:
            return width // heads, ("num_attention_heads", "hidden_size")
    return None
