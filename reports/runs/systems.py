"""What the registered models are, for the terminal: a block a model, and all about one.

A block sets side by side what a document says of a system and what stands for it here: the bundled replica and the
public checkpoint of that name. Sizes are in decimal units (1 GB is 1,000,000,000 bytes), as model cards print them.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence

from evals.reports.rendering.formatting import MISSING, one_line
from evals.schema import Json, Variant

Fields = list[tuple[str, str]]

_WIDTH = 100
_SCALES = ("mini", "full")
_FORMATS = {"mini": (4, "float32"), "full": (2, "bfloat16")}
"""Bytes a parameter in the number format that each scale is usually run in."""
_UNITS = ("B", "kB", "MB", "GB", "TB")


def blocks(variants: Sequence[Variant]) -> str:
    """Write a block for each model, with all that its row tells."""
    return "\n".join(sheet(f"{v.name}  ({v.family})  {v.summary}", row(v)) for v in variants)


def sheets(title: str, groups: Sequence[Fields]) -> str:
    """Write groups of fields about one model, one below the other; the first has the title."""
    width = max((len(name) for fields in groups for name, _ in fields), default=0)
    return "\n".join(
        sheet(title if not number else "", [(name.ljust(width), value) for name, value in fields])
        for number, fields in enumerate(groups)
    )


def sheet(title: str, fields: Sequence[tuple[str, str]]) -> str:
    """Write what is known of one model: a field a line, the names in a column.

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


def row(variant: Variant) -> Fields:
    """Tell what a row of the table says of a model, without what it does not say."""
    told = variant.details
    wanted: Fields = [
        ("document", _text(told.get("document"))),
        ("claimed", _text(told.get("claimed"))),
        ("replica", _replica(variant)),
        ("public", _public(variant)),
        ("proxy", _text(told.get("proxy"))),
        ("tasks", " ".join(variant.tasks)),
        ("reads", _reads(variant)),
        ("memory", _memory(variant)),
    ]
    return [(name, value) for name, value in wanted if value]


def size(source: str, counted: Mapping[str, Json]) -> Fields:
    """Tell a counted size.

    Args:
        source: what was counted.
        counted: the fields of `evals.models.backend.size.Size`; under `weights` their bytes by bits a parameter, under
        `assumed` what
            no source states, and under `on disk` the bytes of the files, where there are any.
    """
    fields: Fields = [("counted from", source), ("parameters", f"{counted['parameters']:,}")]
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


def _replica(variant: Variant) -> str:
    told, bundled = _text(variant.details.get("replica")), variant.checkpoints.get("mini")
    if not told:
        return f"in {bundled}" if bundled else ""
    return f"{told} ({bundled or 'no checkpoint is bundled yet'})"


def _public(variant: Variant) -> str:
    told = variant.details
    name, checkpoint = told.get("public"), variant.checkpoints.get("full")
    where = ""
    if told.get("endpoint"):
        where = " (served elsewhere: --scale full --checkpoint endpoint:URL#NAME)"
    elif checkpoint and checkpoint != name:
        where = f" (--scale full loads {checkpoint})"
    return f"{name}{where}: {told.get('public_is', '')}" if name else _text(told.get("public_is"))


def _reads(variant: Variant) -> str:
    by_scale = variant.details.get("modalities") or {}
    told = {scale: " ".join(by_scale[scale]) for scale in _SCALES if scale in by_scale}
    if len(set(told.values())) == 1:
        return next(iter(told.values()))
    return "; ".join(f"{scale}: {modalities}" for scale, modalities in told.items())


def _memory(variant: Variant) -> str:
    return "; ".join(_weights(variant))


def _weights(variant: Variant) -> Iterator[str]:
    counts = variant.details.get("parameters") or {}
    for scale in _SCALES:
        if scale in counts:
            each, name = _FORMATS[scale]
            yield f"{scale}: {decimal(each * counts[scale])} of weights in {name}"


def _active(counted: Mapping[str, Json]) -> str:
    active, embedding = counted["active"], counted["embedding"]
    without = f"; {active - embedding:,} without the input embedding" if embedding else ""
    return f"{active:,} for a token ({100 * active / counted['parameters']:.1f} %{without})"


def _text(value: Json) -> str:
    return "" if value is None else str(value)
