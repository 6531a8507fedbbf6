"""Describe the registered models for the terminal: a block per model, or everything about one.

A block shows what a document says about a system beside the models that represent it here: the bundled replica and the
public checkpoint of that name. Sizes are in decimal units (1 GB is 1,000,000,000 bytes), as model cards print them.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence

from evals.reports.rendering.formatting import MISSING, one_line
from evals.schema import Json, Variant

ModelFields = list[tuple[str, str]]
"""Labels with what is printed beside them."""

_WIDTH = 100
_SCALES = ("mini", "full")
_FORMATS = {"mini": (4, "float32"), "full": (2, "bfloat16")}
"""Bytes per parameter in the number format in which each scale is usually run, and that format."""
_UNITS = ("B", "kB", "MB", "GB", "TB")


def blocks(variants: Sequence[Variant]) -> str:
    """Write a block for each model, with all fields of its row in the table of models."""
    return "\n".join(sheet(f"{v.name}  ({v.family})  {v.summary}", row(v)) for v in variants)


def sheets(title: str, groups: Sequence[ModelFields]) -> str:
    """Write groups of fields about one model below each other; the title is above the first."""
    width = max((len(name) for fields in groups for name, _ in fields), default=0)
    return "\n".join(
        sheet(title if not number else "", [(name.ljust(width), value) for name, value in fields])
        for number, fields in enumerate(groups)
    )


def sheet(title: str, fields: Sequence[tuple[str, str]]) -> str:
    """Write the fields of one model, one per line, with the names in a column.

    Example:
        >>> print(sheet("m", [("layers", "61"), ("experts", "256")]), end="")
        m
          layers   61
          experts  256
    """
    width = max((len(name) for name, _ in fields), default=0)
    indent = " " * (width + 4)
    lines = [
        textwrap.fill(one_line(value), _WIDTH, initial_indent=f"  {name:<{width}}  ", subsequent_indent=indent)
        for name, value in fields
    ]
    head = [textwrap.fill(one_line(title), _WIDTH, subsequent_indent="    ")] if title else []
    return "\n".join([*head, *lines]) + "\n"


def row(variant: Variant) -> ModelFields:
    """Return the fields of a model's row in the table of models, without the empty ones."""
    details = variant.details
    fields: ModelFields = [
        ("document", _text(details.get("document"))),
        ("claimed", _text(details.get("claimed"))),
        ("replica", _replica(variant)),
        ("public", _public(variant)),
        ("proxy", _text(details.get("proxy"))),
        ("composed of", _composed(details.get("compose"))),
        ("tasks", " ".join(variant.tasks)),
        ("reads", _reads(variant)),
        ("memory", _memory(variant)),
    ]
    return [(name, value) for name, value in fields if value]


def size(source: str, counted: Mapping[str, Json]) -> ModelFields:
    """Return the fields of a model's size as it was counted.

    Args:
        source: what was counted.
        counted: the fields of `evals.models.backend.size.ModelSize`; `weights` holds bytes by bits per parameter,
            `assumed` what no source states, and `on disk` the bytes of the files, where there are any.
    """
    fields: ModelFields = [("counted from", source), ("parameters", f"{counted['parameters']:,}")]
    if counted["assumed"]:
        fields.append(("assumed", counted["assumed"]))
    if counted["experts"]:
        fields.append(("active", _active(counted)))
        shared = f" and {counted['shared']} shared" if counted["shared"] else ""
        fields.append(("experts", f"{counted['experts']} a layer, {counted['chosen']} of them{shared} for a token"))
    fields.append(("layers", _text(counted["layers"]) or MISSING))
    fields += [(f"weights at {bits} bits", decimal(count)) for bits, count in counted["weights"].items()]
    if counted["on disk"] is not None:
        fields.append(("files on disk", decimal(counted["on disk"])))
    return fields


def decimal(count: float) -> str:
    """Print bytes in decimal units.

    Example:
        >>> decimal(1342052808704), decimal(6006817), decimal(12)
        ('1.342 TB', '6.007 MB', '12 B')
    """
    step = 0
    while count >= 1000 and step < len(_UNITS) - 1:
        count, step = count / 1000, step + 1
    return f"{count:.4g} {_UNITS[step]}"


def _composed(routes: Json) -> str:
    return ", ".join(f"{kind}: {part}" for kind, part in sorted((routes or {}).items()))


def _replica(variant: Variant) -> str:
    description, bundled = _text(variant.details.get("replica")), variant.checkpoints.get("mini")
    if not description:
        return f"in {bundled}" if bundled else ""
    return f"{description} ({bundled or 'no checkpoint is bundled yet'})"


def _public(variant: Variant) -> str:
    details = variant.details
    name, checkpoint = details.get("public"), variant.checkpoints.get("full")
    where = ""
    if details.get("endpoint"):
        where = " (served elsewhere: --scale full --checkpoint endpoint:URL#NAME)"
    elif checkpoint and checkpoint != name:
        where = f" (--scale full loads {checkpoint})"
    return f"{name}{where}: {details.get('public_is', '')}" if name else _text(details.get("public_is"))


def _reads(variant: Variant) -> str:
    by_scale = variant.details.get("modalities") or {}
    text_by_scale = {scale: " ".join(by_scale[scale]) for scale in _SCALES if scale in by_scale}
    if len(set(text_by_scale.values())) == 1:
        return next(iter(text_by_scale.values()))
    return "; ".join(f"{scale}: {modalities}" for scale, modalities in text_by_scale.items())


def _memory(variant: Variant) -> str:
    return "; ".join(_weights(variant))


def _weights(variant: Variant) -> Iterator[str]:
    counts = variant.details.get("parameters") or {}
    for scale in _SCALES:
        if scale in counts:
            bytes_each, name = _FORMATS[scale]
            yield f"{scale}: {decimal(bytes_each * counts[scale])} of weights in {name}"


def _active(counted: Mapping[str, Json]) -> str:
    active, embedding = counted["active"], counted["embedding"]
    without = f"; {active - embedding:,} without the input embedding" if embedding else ""
    return f"{active:,} for a token ({100 * active / counted['parameters']:.1f} %{without})"


def _text(value: Json) -> str:
    return "" if value is None else str(value)
