"""The soak (`python -m tests.soak`) reads a few mutants of every kind, and notices faults that are planted."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
from commands import ROOT

pytestmark = pytest.mark.slow


def soak(tmp_path, *arguments):
    command = [sys.executable, "-m", "tests.soak", "--minutes", "3", "--processes", "1", *arguments]
    folders = ["--counts", str(tmp_path / "counts.json"), "--keep", str(tmp_path / "faults")]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [*command, *folders], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=400, check=False
    )
    return done, json.loads((tmp_path / "counts.json").read_text())


def test_a_few_mutants_and_kills_break_nothing(tmp_path):
    kinds = "embeddings npz,GLUE Parquet,PNG,outputs JSONL"
    done, counts = soak(tmp_path, "--kinds", kinds, "--mutants", "5", "--kills", "2")
    assert done.returncode == 0, done.stdout + done.stderr
    assert [row["mutants"] for row in counts["inputs"].values()] == [5, 5, 5, 5]
    assert sum(row["started"] for row in counts["kills"].values()) == 2
    assert "| embeddings npz |       5 |" in done.stdout


def test_planted_faults_are_counted_and_kept(tmp_path):
    done, counts = soak(tmp_path, "--kinds", "planted", "--mutants", "12", "--kills", "0")
    assert done.returncode == 1, done.stderr
    row = counts["inputs"]["planted"]
    assert row["mutants"] == 12 == sum(row.values()) - 12
    assert row["traceback"] > 0
    assert row["over 1 GiB"] > 0
    kept = [path.read_text() for path in (tmp_path / "faults").glob("*/verdict.txt")]
    assert len(kept) == row["traceback"] + row["hang"] + row["over 1 GiB"]
    assert any("KeyError: 'planted'" in text for text in kept)
    again, _ = soak(tmp_path, "--kinds", "planted", "--mutants", "12", "--kills", "0")  # nothing is left to read
    assert again.stdout == done.stdout


def test_lost_doubled_and_changed_records_are_noticed(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT))
    from tests.soak import kills

    def folder(name, rows, seconds):
        (tmp_path / name).mkdir()
        text = "".join(
            json.dumps({"id": id, "output": output, "cost": {"seconds": seconds}}) + "\n" for id, output in rows
        )
        (tmp_path / name / "samples.jsonl").write_text(text)
        (tmp_path / name / "result.json").write_text(json.dumps({"n": len(rows), "efficiency": {"seconds": seconds}}))
        return kills.contents(tmp_path / name)

    whole = folder("whole", [("1", "a"), ("2", "b")], 1.0)
    assert kills.differences(whole, folder("slower", [("2", "b"), ("1", "a")], 2.0)) == []
    assert [d[:4] for d in kills.differences(whole, folder("lost", [("1", "a")], 1.0))] == ["lost", "diff"]
    assert [d[:4] for d in kills.differences(whole, folder("twice", [("1", "a"), ("2", "b"), ("2", "b")], 1.0))] == [
        "doub",
        "diff",
    ]
    assert [d[:4] for d in kills.differences(whole, folder("other", [("1", "a"), ("2", "c")], 1.0))] == ["diff"]


def test_mutants_are_the_same_for_a_seed(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT))
    from random import Random

    from tests.soak import mutators

    text = b'{"a": [1, {"b": "c"}]}'
    made = [mutators.mutate("json", text, Random(seed)) for seed in range(50)]
    assert made == [mutators.mutate("json", text, Random(seed)) for seed in range(50)]
    assert len(set(made)) > 40
