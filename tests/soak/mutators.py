"""Damage a file: flipped bytes, cuts, insertions, and changes that keep its structure. A seed decides which.

`mutate(form, content, random)` returns another content. Texts are changed here, binary formats in `binary`.
"""

from __future__ import annotations

import base64
import json
import re
import warnings
from collections.abc import Callable, Mapping
from random import Random
from typing import Any

HOSTILE_TEXTS = [
    "", " ", "\x00", "a\x00b", "\n", "line\nbreak", "\x1b[31mred", "\u202egnp.exe", "\ufeff", "\ud800", "é" * 300,
    "a" * 5_000, "x" * 200_000, "../../etc/passwd", "/etc/passwd", "/dev/zero", "/dev/stdin", "~nobody/x", "C:\\x",
    "a" * 256,
    "a/" * 3_000, "{{ 7*7 }}", "<script>alert(1)</script>", "=HYPERLINK(1)", "%s%n", "1e999999999", "NaN", "-0", "١٢",
    "9" * 5_000, "data:image/png;base64,@@@", "data:image/png;base64,é", "data:,x",
    base64.b64encode(b"\0" * 90).decode(),
    "\\boxed{" * 2_000, "(" * 10_000, "\\frac{" * 50 + "1", "#### " + "9" * 10_000, "9^9^9^9", "<think>" * 500,
    "\\boxed{9^{99999999}}",
]  # fmt: skip
HOSTILE_VALUES: list[Any] = [
    None, True, False, 0, -1, 1, 0.5, -0.0, 1e308, 2**31, 2**53 + 1, 2**63, 2**64, 10**30, 10**400, float("nan"),
    float("inf"), [], {}, [[]], [None], {"": None}, {"a": {"a": {}}}, *HOSTILE_TEXTS,
]  # fmt: skip
RAW = [
    "[" * 100_000, '{"a":' * 50_000, "1e999999", "-", "0" * 9, "9" * 6_000, "NaN", "Infinity", '"\\ud800"', '"\\',
    "tru", '"\x01"', "[1,]", "1.5e-99999", '{"a":1,"a":2}'
]  # fmt: skip
"""What stands in a JSON text in place of a value; some is no JSON."""
_MARK = "\u2603replaced\u2603"

EXPRESSIONS = [
    "9^9999999", "1e999999999", "9^400", "((2^60)^60)^60", "(" * 300 + "1" + ")" * 300, "-" * 1_000 + "1",
    "+".join(["1"] * 5_000), "1" * 5_000, "1/0", "sqrt(-1)", "sqrt()", "exact()", "max()", "1e100^200", "\x00", "١٢",
    "1..2", "5 " + "byte*" * 400 + "byte", "max(" + ",".join(["1"] * 300) + ")", "9^-1", "9^1.5", "1e5e5",
    "2 byte^99999",
]  # fmt: skip
SCALARS = [
    "!!bool foo", '!!int ""', "!!timestamp foo", "!!float x", '!!binary "@@@"', "!!set {a}", "!!omap [a]",
    "!!python/object:os.system x", "1e999999999", '"' + "9" * 6_000 + '"', "9" * 6_000, "0x" + "f" * 6_000, "-.inf",
    ".nan", "[[]]", "{}", "~", "&a [*a]", "2001-13-45", "0b2", "1:99:99", '"\\ud800"', "\x07", "<<: 1", "!!null x",
    "0o9",
    "2001-12-14t21:59:43.10-99:00", "!!merge x", "!<tag:x> y", "|99", "? [a]", "'" + "a" * 5_000 + "'",
]  # fmt: skip
FRAGMENTS = [
    "[" * 5, "[" * 30, "[" * 60_000, "{a: " * 3_000, "- " * 20_000, "? " * 500, "&a ", "*a", "\x00", "\ufeff", "!!",
    "%YAML 9.9\n", "---\n", "...\n", "\t", "a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\n",
    "<<: *a\n",
]  # fmt: skip

Mutator = Callable[[bytes, Random], bytes]


def mutate(form: str, content: bytes, random: Random) -> bytes:
    """Damage a file once, or with a chance of one in five twice."""
    from tests.soak import binary

    structured = {**_TEXTS, **binary.MUTATORS}[form]
    share = 0.25 if form in _TEXTS else 0.4
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # zipfile warns about the names that are wanted here
        for _ in range(1 if random.random() < 0.8 else 2):
            content = (flip if random.random() < share else structured)(content, random)
    return content


def flip(content: bytes, random: Random) -> bytes:
    """Change bytes anywhere: flips, cuts, insertions, repeated and missing pieces, large numbers."""
    data = bytearray(content or b"\0")
    at = random.randrange(len(data))
    length = random.choice([1, 2, 4, 8, 50, 500])
    match random.randrange(9):
        case 0 | 1:
            for _ in range(random.choice([1, 1, 2, 5, 30])):
                data[random.randrange(len(data))] = random.randrange(256)
        case 2:
            data[at] ^= 1 << random.randrange(8)
        case 3:
            del data[at:]
        case 4:
            data[at:at] = bytes(random.randrange(256) for _ in range(length))
        case 5:
            data[at:at] = data[at : at + length] * random.choice([1, 2, 100])
        case 6:
            del data[at : at + length]
        case 7:
            width = random.choice([1, 2, 4, 8])
            large = random.choice([0, 1, (1 << (8 * width - 1)) - 1, (1 << (8 * width)) - 1, 1 << (8 * width - 1)])
            data[at : at + width] = large.to_bytes(width, random.choice(["little", "big"]))
        case 8:
            data = bytearray(
                random.choice([b"", b"\0", b"\xef\xbb\xbf" + data, data + b"\0" * 5_000, data * 3, b"\n" + data])
            )
    return bytes(data)


# JSON


def json_value(document: Any, random: Random) -> str:
    """Change a value at a random place of a JSON document, and return the text."""
    holder = [document]
    parent, key = random.choice(list(_places(holder)))
    raw = None
    match random.randrange(8):
        case 0 | 1 | 2:
            parent[key] = random.choice(HOSTILE_VALUES)
        case 3:
            raw, parent[key] = random.choice(RAW), _MARK
        case 4 if parent is not holder:
            del parent[key]
        case 5 if isinstance(parent, dict):
            parent[random.choice([*HOSTILE_TEXTS, str(key).upper(), f"{key} "])] = parent.pop(key)
        case 6 if isinstance(parent, list) and parent is not holder:
            parent.insert(key, parent[key])
        case _:
            parent[key] = random.choice(
                [[parent[key]], {"a": parent[key]}, str(parent[key]), random.choice(HOSTILE_VALUES)]
            )
    text = json.dumps(holder[0], ensure_ascii=random.random() < 0.5)
    return (
        text
        if raw is None
        else text.replace(json.dumps(_MARK), raw).replace(json.dumps(_MARK, ensure_ascii=False), raw)
    )


def _places(value: Any) -> Any:
    """Yield every place of a document: what holds it, and its key or index."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in list(items):
        yield value, key
        yield from _places(inner)


def _json(content: bytes, random: Random) -> bytes:
    try:
        return json_value(json.loads(content), random).encode("utf-8", "surrogatepass")
    except (ValueError, RecursionError):  # it was damaged before
        return flip(content, random)


def _jsonl(content: bytes, random: Random) -> bytes:
    lines = content.split(b"\n")
    if random.random() < 0.25:
        return b"\n".join(_shuffled(lines, random))
    at = random.randrange(len(lines))
    lines[at] = _json(lines[at], random) if lines[at] else b"{}"
    return b"\n".join(lines)


def _shuffled(lines: list[Any], random: Random) -> list[Any]:
    """Repeat, remove, swap or empty a line."""
    a, b = random.randrange(len(lines)), random.randrange(len(lines))
    match random.randrange(5):
        case 0:
            lines.insert(a, lines[b])
        case 1:
            del lines[a]
        case 2:
            lines[a], lines[b] = lines[b], lines[a]
        case 3:
            lines[a] = lines[a][:0]
        case 4:
            lines[a] = lines[a] + lines[b]
    return lines


# TSV and YAML


def _tsv(content: bytes, random: Random) -> bytes:
    lines = content.decode("utf-8", "replace").split("\n")
    at = random.randrange(len(lines))
    cells = lines[at].split("\t")
    cell = random.randrange(len(cells))
    match random.randrange(6):
        case 0 | 1:
            cells[cell] = random.choice([*HOSTILE_TEXTS, "\t", '"', "1", "entailment", "1.5", "-1", "١"])
        case 2:
            cells.insert(cell, random.choice(cells))
        case 3:
            del cells[cell]
        case 4:
            lines = _shuffled(lines, random) or [""]
            return "\n".join(lines).encode("utf-8", "surrogatepass")
        case 5:
            return (
                "\n".join(lines)
                .replace("\n", random.choice(["\r\n", "\r", "\u2028", "\x85"]), random.randrange(1, 9))
                .encode()
            )
    lines[at] = "\t".join(cells)
    return "\n".join(lines).encode("utf-8", "surrogatepass")


def _yaml(content: bytes, random: Random) -> bytes:
    text = content.decode("utf-8", "replace")
    values = list(re.finditer(r"(?<=: )[^,}\n#]+", text))
    expressions = list(re.finditer(r"(?:derive|left|right|first|second|reads): ?([^\n]*)", text))
    choice = random.random()
    if choice < 0.25 and expressions:
        match = random.choice(expressions)
        text = text[: match.start(1)] + repr(random.choice(EXPRESSIONS)) + text[match.end(1) :]
    elif choice < 0.5 and values:
        match = random.choice(values)
        text = (
            text[: match.start()]
            + random.choice([*SCALARS, json.dumps(random.choice(HOSTILE_VALUES))])
            + text[match.end() :]
        )
    elif choice < 0.65:
        start, end = random.randrange(len(text) + 1), random.randrange(len(text) + 1)
        text = text[:start] + random.choice(FRAGMENTS) + text[end if random.random() < 0.3 else start :]
    else:
        text = "\n".join(_shuffled(text.split("\n"), random))
    return text.encode("utf-8", "surrogatepass")


_TEXTS: Mapping[str, Mutator] = {"json": _json, "jsonl": _jsonl, "tsv": _tsv, "yaml": _yaml}
