"""Make the page: one HTML document with its style and its script, allowed by their hashes."""

from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path

from evals.errors import InputError
from evals.reports.viewer.index import RunIndex, SampleQuery, len_of
from evals.schema import Json
from evals.temporaries import write_atomically

_HERE = Path(__file__).parent
_MOST = 5000
"""Most samples that a file holds of one run."""


def policy(*, served: bool) -> str:
    """Return the content security policy of the page: its own style and script, images in it, and the server's data."""
    style, script = (_digest((_HERE / name).read_text(encoding="utf-8")) for name in ("view.css", "view.js"))
    connect = "; connect-src 'self'" if served else ""
    return (
        f"default-src 'none'; style-src 'sha256-{style}'; script-src 'sha256-{script}'; img-src data:{connect}; "
        f"base-uri 'none'; form-action 'none'"
    )


def _digest(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def render(data: Json = None) -> str:
    """Return the page.

    Args:
        data: runs and samples for a page without a server; None for a page that asks its server.
    """
    texts = {name: (_HERE / name).read_text(encoding="utf-8") for name in ("view.html", "view.css", "view.js")}
    embedded = "null" if data is None else json.dumps(data, ensure_ascii=True).replace("<", "\\u003c")
    page = texts["view.html"]
    for mark, text in (
        ("POLICY", policy(served=data is None)), ("STYLE", texts["view.css"]), ("DATA", embedded),
        ("SCRIPT", texts["view.js"]),
    ):  # fmt: skip
        before, mark_in_page, after = page.partition(f"<!--{mark}-->")
        assert mark_in_page, mark
        page = before + text + after
    return page


def write_file(index: RunIndex, path: Path, samples: int = _MOST) -> int:
    """Write the page with the data of the runs as one file.

    Args:
        index: the runs.
        path: the file; an existing one is replaced.
        samples: most samples of each run, the first ones of the split; the page says how many there are.

    Returns:
        The number of samples in the file.

    Raises:
        InputError: the file cannot be written, or `samples` is less than 1.
    """
    if samples < 1:
        raise InputError(f"{samples} samples were asked for, expected at least 1")
    runs = index.runs()
    listed: list[Json] = []
    count = 0
    for number in range(len(index.records)):
        page = index.samples(SampleQuery(number, count=min(samples, len_of(index, number))))
        rows = [
            {**row, "labels": whole["labels"], "whole": whole}
            for row in page["rows"]
            for whole in [index.sample(number, row["id"])]
        ]
        count += len(rows)
        listed.append({"total": page["total"], "rows": rows})
    held = [{row["position"] for row in part["rows"]} for part in listed]
    pairs = {
        run: {other: {a: pair for a, pair in of.items() if a in held[run]} for other, of in others.items()}
        for run, others in index.pairs().items()
    }
    data = {"runs": runs, "samples": listed, "pairs": pairs}
    write_atomically(path, render(data).encode(errors="backslashreplace"))
    return count
