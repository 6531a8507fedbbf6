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


def test_a_few_mutants_kills_and_faults_of_a_server_break_nothing(tmp_path):
    kinds = "embeddings npz,GLUE Parquet,PNG,server answers"
    done, counts = soak(
        tmp_path, "--kinds", kinds, "--mutants", "5", "--commands", "run,compare", "--kills", "2", "--server-runs", "1"
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert [row["mutants"] for row in counts["inputs"].values()] == [5, 5, 5, 5]
    assert sum(row["started"] for row in counts["kills"].values()) == 2
    assert counts["server_runs"]["run"]["runs"] == 1
    assert counts["server_runs"]["run"]["faults"] > 0
    assert "| embeddings npz |       5 |" in done.stdout


def test_planted_faults_are_counted_and_kept(tmp_path):
    arguments = ("--kinds", "planted", "--mutants", "12", "--kills", "0", "--server-runs", "0", "--seconds", "1")
    done, counts = soak(tmp_path, *arguments)
    assert done.returncode == 1, done.stderr
    row = counts["inputs"]["planted"]
    assert row["mutants"] == 12 == sum(row.values()) - 12
    assert row["traceback"] > 0
    assert row["hang"] > 0
    assert row["over 1 GiB"] > 0
    kept = [path.read_text() for path in (tmp_path / "faults").glob("*/verdict.txt")]
    assert len(kept) == row["traceback"] + row["hang"] + row["over 1 GiB"]
    assert any("KeyError: 'planted'" in text for text in kept)


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


def test_a_key_a_repeated_request_and_a_wrong_record_are_noticed(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT))
    from tests.soak import faulty_server, server_runs
    from tests.soak.processes import Ending
    from tests.support.servers import Call

    (tmp_path / "a").write_text("nothing")
    clean, leaking = Ending(0, "a", "b", 1.0), Ending(0, "", f"it is {faulty_server.KEY}!", 1.0)
    assert server_runs._keys_written(tmp_path, [clean]) == []
    for name, form in faulty_server.KEY_FORMS.items():
        (tmp_path / "a").write_text(f"x{form}y")
        assert server_runs._keys_written(tmp_path, [clean, leaking]) == ["a", "output 1"], name

    call = Call("POST", "/v1/chat/completions", {}, {"messages": [{"role": "user", "content": "number 7"}]})
    with faulty_server.FaultyServer() as server:
        server._respond_and_count(call)
        assert server.asked_twice == 0, "it was not sent yet"
        server.answered[7] += 1
        server._respond_and_count(call)
        assert server.asked_twice == 1

    good = {"run/samples.jsonl 1 1": {"failure": None, "output": "a"}, "run/result.json": {"failed": 0}}
    wrong = {"run/samples.jsonl 1 1": {"failure": "the connection broke", "output": None}, "run/result.json": {}}
    rejected = {"run/samples.jsonl 1 1": {"failure": "the server answers 400: no"}, "run/result.json": {"failed": 1}}
    assert server_runs._differences(good, good) == server_runs._differences(good, rejected) == []
    assert server_runs._differences(good, wrong)
