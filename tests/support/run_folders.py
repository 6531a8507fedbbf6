"""Write run folders for the tests of reports: four samples with a failure, an unread output and two images."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from evals import records
from evals.records.digests import digest_of_ids, signature_of
from evals.records.folder import Record
from evals.reports.runs import page, tables

FORMATS = ("md", "csv", "tex", "json", "text", "html")
HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)",
    "{{ 7 * 7 }} {% raw %}",
    "moc.elpmaxe\u202egnp.exe\u2066",
    "null\x00 bell\x07 \x1b[31mred\x1b[0m",
    "a | b `c`\n# heading\n\n| x | y |",
    "]]> --> </style></title>",
    "=HYPERLINK(1)",
    "\\input{x} 50% $x_1^2$ #&~",
]
"""What a model may write to break a report."""

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


def metric(value: float, n: int = 4, unit: str = "fraction", spread: float | None = 0.05) -> dict[str, Any]:
    low, high = (None, None) if spread is None else (value - spread, value + spread)
    return {"value": value, "low": low, "high": high, "n": n, "unit": unit}


METRICS = {
    "accuracy": metric(0.475),
    "accuracy/yes-no": metric(0.5, 2),
    "accuracy/number": metric(0.25, 1),
    "accuracy/other": metric(0.65, 1),
    "accuracy-2017": metric(0.45),
    "accuracy/question-type/how many": metric(0.25, 1),
    "accuracy/question-type/is there a": metric(0.5, 2),
    "accuracy/question-type/what color is the": metric(0.65, 1, spread=None),
}


def row(id: str, value: float, kind: str = "other", **changes: Any) -> dict[str, Any]:
    question = {"other": "What color is the ball?", "number": "How many balls?", "yes/no": "Is there a ball?"}[kind]
    return {
        "id": id, "index": int(id), "prompt": question, "output": "blue", "answer": "blue",
        "target": ["red"] * 7 + ["blue"] * 3, "values": {"accuracy": value}, "failed": False, "failure": None,
        "truncated": False, "scores": [], "cluster": str(int(id) // 2),
        "labels": {"answer type": kind}, "cost": {},
    } | changes  # fmt: skip


ROWS = (
    row("10", 1.0, "yes/no"),
    row("11", 0.0, "yes/no", output="It is\nthere | `maybe`", answer=None),
    row("12", 0.3),
    row("13", 0.0, "number", output=None, answer=None, failed=True, failure="13.jpg is truncated"),
)


def manifest(**task: Any) -> dict[str, Any]:
    chosen = {
        "name": "vqa", "version": 1, "needs": "generate", "split": "validation", "scale": "mini", "limit": None,
        "blind": False,
    }  # fmt: skip
    replica = (chosen | task)["scale"] == "mini"
    model = {"name": "vl", "replica": replica, "family": "vision_language", "checkpoint": "models/replicas/vl"}
    return {
        "signature": "a1b2c3d4e5f6",
        "task": chosen | task,
        "data": {
            "source": "bundled", "digests": {"validation.parquet": "9f2c"}, "samples": 4,
            "ids": digest_of_ids([row["id"] for row in ROWS]),
        },
        "model": {**model, "digest": "c0ffee"},
        "plan": {"budget": None, "share": True, "window": 1024, "token_budget": 8192},
        "code": {"digest": "44aa", "commit": "1f2e3d4c5b6a"},
        "machine": {"python": "3.11.7", "cores": 2},
        "command": "python -m evals run --model vl --task vqa",
    }  # fmt: skip


def sign(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """Give a manifest the signature of its fields."""
    return {**manifest, "signature": signature_of(manifest)}


def of_run(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields that a result shares with the manifest of its run."""
    task = manifest["task"]
    return {
        "signature": manifest["signature"], "task": task["name"], "model": manifest["model"]["name"],
        "scale": task["scale"], "split": task["split"],
    }  # fmt: skip


def result(metrics: Mapping[str, Any], headline: str = "accuracy", **changes: Any) -> dict[str, Any]:
    efficiency = {"seconds": 21.43, "samples_per_second": 0.19, "padding_share": 0.0413, "peak_memory_bytes": 700 << 20}
    return {
        "task": "vqa", "model": "vl", "scale": "mini", "split": "validation", "n": 4, "failed": 1, "unparsed": 1,
        "truncated": 0, "signature": "a1b2c3d4e5f6", "metrics": dict(metrics), "headline": headline,
        "efficiency": efficiency,
    } | changes  # fmt: skip


def make(
    folder: Path,
    rows: Sequence[Mapping[str, Any]] = ROWS,
    metrics: Mapping[str, Any] = METRICS,
    signed: Mapping[str, Any] | None = None,
    **changes: Any,
) -> Record:
    """Write a run folder with an image of every second sample, and read it."""
    (folder / "worst").mkdir(parents=True, exist_ok=True)
    signed = signed or manifest()
    ids = [row["id"] for row in sorted(rows, key=lambda row: row["index"])]
    count = changes.get("n", len(rows))  # reports of a result alone do not read the samples
    signed = sign({**signed, "data": {**signed["data"], "samples": count, "ids": digest_of_ids(ids)}})
    counts = {
        "failed": sum(row["failed"] for row in rows),
        "unparsed": sum(row["answer"] is None and not row["failed"] for row in rows),
    }
    signed_result = result(metrics, **{"n": len(rows), **counts, **of_run(signed), **changes})
    (folder / "manifest.json").write_bytes(records.dumps(signed))
    (folder / "result.json").write_bytes(records.dumps(signed_result))
    (folder / "samples.jsonl").write_text("".join(json.dumps(each) + "\n" for each in rows))
    for each in rows[::2]:
        (folder / "worst" / records.image_name(each["id"])).write_bytes(PNG)
    return records.load(folder)


def render(runs: Sequence[Record], format: str) -> str:
    return page.render(runs) if format == "html" else tables.render(runs, format)


class Outline(HTMLParser):
    """The tags of a page with their attributes, and its text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str | None]] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value) for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        self.tags.append(f"/{tag}")

    def handle_data(self, data: str) -> None:
        self.text += data
