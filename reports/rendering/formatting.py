"""Print numbers and texts.

Inside the suite a score is a fraction; percent exists only in print and is never read back. Text that a model or a
user's file wrote passes through `visible` before anybody reads it, so that no character is hidden, reverses the
direction of a line or controls a terminal.
"""

from __future__ import annotations

import json
import math
import re
import unicodedata

from evals.schema import Json, Metric

MISSING = "–"
"""Printed in place of a missing number."""
LIMIT = 2000
"""Maximum number of characters of one text that are shown."""
_LONG_PATH = 40
"""Characters of a path that are shown whole."""

_BYTES = ("B", "KiB", "MiB", "GiB", "TiB")
_UNSEEN = re.compile(r"[^\n\t\u200c\u200d -~]")  # the joiners belong to emoji and to Persian
_HIDDEN = {"Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp"}


# Numbers


def amount(value: float | None, unit: str) -> str:
    """Print a value in its unit.

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


def metric_value(metric: Metric) -> str:
    """Print a metric's value: a fraction as percent with two decimals, as the official scorers print it.

    Example:
        >>> metric_value(Metric(0.810866, 0.78, 0.84, 589)), metric_value(Metric(2.0, None, None, 5, "rank"))
        ('81.09 %', '2.0')
    """
    return f"{metric.value * 100:z.2f} %" if metric.unit == "fraction" else amount(metric.value, metric.unit)


def interval(metric: Metric) -> str:
    """Print a 95 % interval, with its unit once.

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
    """Print a p-value for a sentence.

    Example:
        >>> p_value(0.0352), p_value(2e-9)
        ('p = 0.0352', 'p < 0.0001')
    """
    text = probability(p)
    return f"p {text}" if text.startswith("<") else f"p = {text}"


def _significant(value: float) -> str:
    """Print three significant digits, and all digits before the decimal point."""
    digits = 2 - math.floor(math.log10(abs(value))) if value else 0
    return f"{value:,.{min(max(digits, 0), 9)}f}"


def _bytes(value: float) -> str:
    step = min(int(math.log(value, 1024)), len(_BYTES) - 1) if value >= 1 else 0
    return f"{value / 1024**step:,.{1 if step else 0}f} {_BYTES[step]}"


# Text


def visible(text: str, limit: int = LIMIT) -> str:
    r"""Make every character visible: control, direction and other invisible ones become escapes; long texts are cut.

    Args:
        text: any text, with lone surrogates too.
        limit: maximum number of characters that are kept.

    Returns:
        Text in which line feeds and tabs are the only control characters; it can always be encoded.

    Example:
        >>> visible("red\x00\u202eder"), visible("abcdefghi", limit=6)
        ('red\\x00\\u202eder', 'abcd … (3 of 9 characters left out) … hi')
    """
    if len(text) > limit:
        tail = limit // 3  # a long text often ends with its answer
        left_out = f"{len(text) - limit:,} of {len(text):,} characters left out"
        return f"{visible(text[: limit - tail], limit)} … ({left_out}) … {visible(text[len(text) - tail :], limit)}"
    return _UNSEEN.sub(lambda match: _escape(match[0]), text)


def one_line(text: str, limit: int = LIMIT) -> str:
    r"""Show a text on one line, with line feeds as arrows.

    Example:
        >>> one_line("two\nlines")
        'two ↵ lines'
    """
    return visible(text, limit).replace("\n", " ↵ ").replace("\t", " ")


def shorten_path(name: str) -> str:
    """Shorten a long path, or a model's name that is one, to its end.

    Example:
        >>> shorten_path("replay:/home/somebody/downloads/outputs/vqa.json")
        'replay:…/vqa.json'
    """
    if len(name) <= _LONG_PATH or "/" not in name:
        return name
    kind, colon, _ = name.partition(":")
    return f"{kind}:…/{name.rpartition('/')[2]}" if colon else f"…/{name.rpartition('/')[2]}"


def json_text(value: Json) -> str:
    """Write a JSON value as text: a string unchanged, anything else as compact JSON.

    Example:
        >>> json_text("two"), json_text(2), json_text({"b": [1.5], "a": None}), json_text(None)
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
