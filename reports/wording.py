"""What numbers and runs are called in print.

Inside the suite a score is a fraction; percent begins here and is never read back. The same holds for text: what a
model or a user's file wrote passes through `visible` before anybody looks at it, so that no character can hide, turn
the line around or speak to a terminal.
"""

from __future__ import annotations

import json
import math
import re
import unicodedata
from collections.abc import Sequence
from pathlib import PurePosixPath

from evals.records import Record
from evals.schema import Json, Metric
from reports.controls import demonstrated

MISSING = "–"
"""Printed where there is no number: nothing is made up."""
LIMIT = 2000
"""Characters of one text that are shown; a model may write without end."""

_CONTROLS = "Blind runs are controls: each picture was replaced by a flat one."
_LONG = 40
_MANY = 3
"""So many runs a report names one by one."""
_BYTES = ("B", "KiB", "MiB", "GiB", "TiB")
_UNSEEN = re.compile(r"[^\n\t\u200c\u200d -~]")  # the joiners belong to emoji and to Persian
_HIDDEN = {"Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp"}


# Numbers


def amount(value: float | None, unit: str) -> str:
    """Print a figure in its unit.

    Example:
        >>> amount(0.7834, "fraction"), amount(-0.0001, "coefficient"), amount(3, "rank")
        ('78.3 %', '0.000', '3.0')
        >>> amount(0.01234, "seconds"), amount(3 << 30, "bytes"), amount(15000, "count"), amount(31.4159, "tokens/s")
        ('12.3 ms', '3.0 GiB', '15,000', '31.4 tokens/s')
    """
    if value is None:
        return MISSING
    match unit:
        case "fraction":
            return f"{value * 100:z.1f} %"
        case "coefficient":
            return f"{value:z.3f}"
        case "rank":
            return f"{value:,.1f}"
        case "count":
            return f"{value:,.0f}"
        case "bytes":
            return _bytes(value)
        case "bytes/s":
            return f"{_significant(value / 1e9)} GB/s"
        case "operations/s":
            return f"{_significant(value / 1e9)} GFLOP/s"
        case "seconds":
            return f"{_significant(value * 1000)} ms" if 0 < abs(value) < 1 else f"{_significant(value)} s"
        case _:
            return f"{_significant(value)} {unit}".rstrip()


def measured(metric: Metric) -> str:
    """Print a metric's value: a fraction with two decimals of a percent, as the official scorers print theirs.

    Example:
        >>> measured(Metric(0.810866, 0.78, 0.84, 589)), measured(Metric(2.0, None, None, 5, "rank"))
        ('81.09 %', '2.0')
    """
    return f"{metric.value * 100:z.2f} %" if metric.unit == "fraction" else amount(metric.value, metric.unit)


def interval(metric: Metric) -> str:
    """Print a 95 % interval, its unit once.

    Example:
        >>> interval(Metric(0.783, 0.756, 0.809, 1000)), interval(Metric(2.0, None, None, 5, "rank"))
        ('75.6 to 80.9 %', '–')
    """
    if metric.low is None or metric.high is None:
        return MISSING
    low, high = amount(metric.low, metric.unit), amount(metric.high, metric.unit)
    number, _, unit = low.partition(" ")
    return f"{number} to {high}" if high.partition(" ")[2] == unit else f"{low} to {high}"


def probability(p: float | None) -> str:
    """Print a p-value.

    Example:
        >>> probability(0.0352), probability(2e-9), probability(None)
        ('0.0352', '< 0.0001', '–')
    """
    return MISSING if p is None else "< 0.0001" if p < 1e-4 else f"{p:.4f}"


def p_value(p: float | None) -> str:
    """Print a p-value within a sentence.

    Example:
        >>> p_value(0.0352), p_value(2e-9)
        ('p = 0.0352', 'p < 0.0001')
    """
    text = probability(p)
    return f"p {text}" if text.startswith("<") else f"p = {text}"


def _significant(value: float) -> str:
    """Print three significant digits, but never drop digits before the point."""
    digits = 2 - math.floor(math.log10(abs(value))) if value else 0
    return f"{value:,.{min(max(digits, 0), 9)}f}"


def _bytes(value: float) -> str:
    step = min(int(math.log(value, 1024)), len(_BYTES) - 1) if value >= 1 else 0
    return f"{value / 1024**step:,.{1 if step else 0}f} {_BYTES[step]}"


# Text


def visible(text: str, limit: int = LIMIT) -> str:
    r"""Show every character: control, direction and other unseen ones as escapes; a long text is cut and says so.

    Args:
        text: anything, lone surrogates included.
        limit: how many characters are kept.

    Returns:
        Text in which line feeds and tabs are the only control characters; it can always be encoded.

    Example:
        >>> visible("red\x00\u202eder"), visible("abcdefghi", limit=6)
        ('red\\x00\\u202eder', 'abcd … (3 of 9 characters left out) … hi')
    """
    if len(text) > limit:
        tail = limit // 3  # a long text often says its answer last
        left_out = f"{len(text) - limit:,} of {len(text):,} characters left out"
        return f"{visible(text[: limit - tail], limit)} … ({left_out}) … {visible(text[len(text) - tail :], limit)}"
    return _UNSEEN.sub(lambda match: _escape(match[0]), text)


def one_line(text: str, limit: int = LIMIT) -> str:
    r"""Show a text on one line: line feeds are shown, not followed.

    Example:
        >>> one_line("two\nlines")
        'two ↵ lines'
    """
    return visible(text, limit).replace("\n", " ↵ ").replace("\t", " ")


def written(value: Json) -> str:
    """Write a JSON value as text: a string as it is, anything else as compact JSON.

    Example:
        >>> written("two"), written(2), written({"b": [1.5], "a": None}), written(None)
        ('two', '2', '{"a": null, "b": [1.5]}', '')
    """
    if value is None or isinstance(value, str):
        return value or ""
    return json.dumps(value, ensure_ascii=False, sort_keys=True)


def _escape(character: str) -> str:
    if unicodedata.category(character) not in _HIDDEN:
        return character
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


# Runs


def blind(record: Record) -> bool:
    """Whether the run is a blind control: every picture was replaced by a flat one."""
    return bool(record.manifest["task"].get("blind"))


def model(record: Record) -> str:
    """Name a run's model, a long path by its end.

    Example:
        >>> from pathlib import Path
        >>> model(Record(Path(), {"model": {"name": "replay:/home/somebody/downloads/outputs/vqa.json"}}, None))
        'replay:…/vqa.json'
    """
    name: str = record.manifest["model"]["name"]
    if len(name) <= _LONG or "/" not in name:
        return name
    kind, colon, _ = name.partition(":")
    return f"{kind}:…/{name.rpartition('/')[2]}" if colon else f"…/{name.rpartition('/')[2]}"


def title(record: Record) -> str:
    """Name a run for people: `vl on vqa`."""
    control = ", blind control" if blind(record) else ""
    return one_line(f"{model(record)} on {record.manifest['task']['name']}{control}")


def short_names(records: Sequence[Record]) -> list[str]:
    """Name runs as columns: by model, and by signature too where that is not enough."""
    names = [model(record) + (" (blind)" if blind(record) else "") for record in records]
    return [
        one_line(name if names.count(name) == 1 else f"{name} {record.manifest['signature'][:6]}", limit=40)
        for name, record in zip(names, records, strict=True)
    ]


def about(records: Sequence[Record]) -> str:
    """Say which scale, checkpoint and data a report is about: the first line of every report.

    A result of a replica says so, and that it is no evidence about the public model.
    """
    scales = list(dict.fromkeys(_scale(record) for record in records))
    runs = list(dict.fromkeys(_subject(record) for record in records))
    said = "; ".join(runs) if len(runs) <= _MANY else _together(records)
    sentences = [f"{' and '.join(scales).capitalize()}: {said}."]
    if any(blind(record) for record in records):
        sentences.append("Blind control: every picture was replaced by a flat one." if len(records) == 1 else _CONTROLS)
    if any(record.manifest["model"].get("replica") for record in records):
        sentences.append("Mini results are of replicas: no evidence about the public models.")
    if len(records) > 1:
        sentences += demonstrated(records)
    return one_line(" ".join(sentences))


def _scale(record: Record) -> str:
    """Say which scale a run is of; one with neither a bundled model nor bundled data is of the user's own files."""
    manifest = record.manifest
    bundled = manifest["model"].get("replica") or manifest["data"].get("source") == "bundled"
    return f"{manifest['task']['scale']} scale" if bundled or manifest["task"]["scale"] == "full" else "own files"


def _subject(record: Record) -> str:
    """Say which checkpoint met which data."""
    checkpoint = record.manifest["model"].get("checkpoint")
    weights = f" (checkpoint {checkpoint})" if checkpoint else ""
    return f"{model(record)}{' blind' if blind(record) else ''}{weights} on {_asked(record)}"


def _asked(*records: Record) -> str:
    """Say what was asked, of which data; what shares its details has them once."""
    tasks: dict[str, list[str]] = {}
    for record in records:
        task, data = record.manifest["task"], record.manifest["data"]
        details = [f"data {data['source']}"] if data.get("source") else []
        if data.get("protocol"):
            details.append(f"{data['protocol']} protocol: {data['images']:,} images, {data['captions']:,} captions")
        details += [f"first {task['limit']:,} samples only"] if task.get("limit") else []
        tasks.setdefault(", ".join(details), []).append(f"{task['name']} {task['split']}")
    return "; ".join(
        ", ".join(dict.fromkeys(names)) + (f" ({details})" if details else "") for details, names in tasks.items()
    )


def _together(records: Sequence[Record]) -> str:
    """Say of many runs which checkpoints met which data, each once."""
    places = {model(record): record.manifest["model"].get("checkpoint") for record in records}
    folders = [PurePosixPath(place).parents for place in places.values() if place]
    shared = [folder for folder in folders[0] if all(folder in own for own in folders)] if folders else []
    if len(folders) == len(places) and shared and len(shared[0].parts) > 1:
        who = f"{', '.join(places)} (checkpoints under {shared[0]})"
    else:
        who = ", ".join(name + (f" (checkpoint {place})" if place else "") for name, place in places.items())
    return f"{who} on {_asked(*records)}"
