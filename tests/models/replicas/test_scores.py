"""The bundled checkpoints of `v3`, `v3-seq2seq`, `v2` and `r1-zero`: what they are, run and score.

pytest tests/models/replicas/test_scores.py
"""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import pytest

import evals
from evals import registry
from evals.models.replicas.recipes.r1_zero.curve import COLUMNS, CURVE
from evals.models.replicas.train import CHECKPOINTS
from evals.registry import VARIANTS
from evals.statistics.intervals import wilson

pytestmark = pytest.mark.slow

ZERO = ("r1-zero@0", "r1-zero@5000", "r1-zero@last")
NAMES = ("v3", "v3-seq2seq", "v2", *ZERO)
CLASSES = {"v3": "BlipForQuestionAnswering", "v3-seq2seq": "T5ForConditionalGeneration"}
CARDS = [
    ("v3", "vqa", "accuracy", "VQA, validation"),
    ("v3", "retrieval", "image-to-text/recall@5", "retrieval, image to text @5, first 100 images"),
    ("v3", "glue/qqp", "accuracy", "QQP, accuracy"),
    ("v3-seq2seq", "glue/stsb", "pearson", "STS-B, Pearson"),
    ("v3-seq2seq", "glue/qqp", "accuracy", "QQP, accuracy"),
    ("v2", "glue/cola", "matthews", "CoLA, Matthews"),
    ("v2", "glue/stsb", "pearson", "STS-B, Pearson"),
    *((name, "math/sums", "accuracy", f"`{name}`") for name in ZERO),
]
"""What is run again here, and the row of the card that says what it gives."""

registry.discover()


def folder(name):
    return Path(VARIANTS.get(name).checkpoints["mini"])


def card(name):
    return (CHECKPOINTS / name.partition("@")[0] / "README.md").read_text()


@pytest.mark.parametrize("name", NAMES)
def test_a_checkpoint_is_what_its_card_says(name):
    config = json.loads((folder(name) / "config.json").read_text())
    assert config["architectures"] == [CLASSES.get(name, "LlamaForCausalLM")]
    assert {path.suffix for path in folder(name).iterdir()} <= {".json", ".safetensors", ".md"}
    assert sum(path.stat().st_size for path in folder(name).iterdir()) < 12e6
    for what in ("parameters", "Seed", "steps", "What it cannot do", "minutes"):
        assert what in card(name)


def test_all_checkpoints_together_are_small():
    assert sum(path.stat().st_size for path in CHECKPOINTS.rglob("*") if path.is_file()) < 60e6


@pytest.mark.parametrize("name", [*NAMES, "r1-zero"])
def test_a_replica_runs_every_task_that_it_says(name, tmp_path):
    for task in VARIANTS.get(name).tasks:
        record = evals.run(name, task, limit=2, device="cpu", out=tmp_path / task)
        assert record.result["n"] >= 2
        assert record.result["failed"] == 0


@pytest.mark.parametrize(("name", "task", "metric", "row"), CARDS)
def test_the_card_says_what_a_run_gives(name, task, metric, row, tmp_path):
    subset = {"first": 100} if "first 100" in row else {}
    value = evals.run(name, task, **subset, device="cpu", out=tmp_path / "run").result.metrics[metric].value
    printed = re.search(rf"^\| {re.escape(row)}[^|]*\| ([0-9.]+)", card(name), re.MULTILINE)[1]
    assert value == pytest.approx(float(printed) / 100, abs=0.0006)  # the card prints one decimal of a percent


def test_integers_lie_on_the_disk():
    from safetensors import safe_open

    with safe_open(folder("v2") / "model.safetensors", "pt") as file:
        kinds = {name: str(file.get_slice(name).get_dtype()) for name in file.keys()}  # noqa: SIM118  # no mapping
    inside = {name: kind for name, kind in kinds.items() if name.endswith("proj.weight")}
    assert len(inside) == 6 * 7
    assert set(inside.values()) == {"I8"}


def test_the_learning_curve_is_whole():
    with (CHECKPOINTS / "r1-zero" / CURVE).open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == COLUMNS
    at = {(int(row["interactions"]), row["split"]): row for row in rows}
    assert len(at) == len(rows) >= 16
    assert {(0, "environment"), (5000, "environment"), (5000, "validation")} <= set(at)
    for row in rows:
        low, high = wilson(int(row["right"]), int(row["of"]))
        assert (float(row["low"]), float(row["high"])) == pytest.approx((low, high), abs=1e-4)
    for name, interactions in zip(ZERO, (0, 5000, max(at)[0]), strict=True):
        said = re.search(rf"^\| `{name}`[^|]*\| ([0-9.]+)", card(name), re.MULTILINE)
        assert float(said[1]) / 100 == pytest.approx(float(at[interactions, "environment"]["rate"]), abs=0.001)
