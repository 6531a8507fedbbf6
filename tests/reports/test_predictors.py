"""`show RUN --predictor OTHER`: recorded outputs of one system predict those of another."""

from __future__ import annotations

import json

import pytest
from commands import refused


@pytest.fixture
def run(tmp_path, command, monkeypatch):
    """Score recorded outputs of 200 questions: `make(name, rights, *options)` returns the run's folder."""
    monkeypatch.chdir(tmp_path)
    questions = [{"id": str(n), "text": f"How much is {n} + 1?", "target": str(n + 1)} for n in range(200)]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in questions))

    def make(name, right, *options):
        lines = ({"id": str(n), "output": str(n + 1 if right(n) else -1)} for n in range(200))
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        done = command(
            "run",
            "--model",
            f"replay:{name}.jsonl",
            "--task",
            "custom",
            "--data",
            "rows.jsonl",
            "--out",
            name,
            *options,
        )
        assert done.returncode == 0, done.stderr
        return name

    return make


@pytest.mark.slow
def test_a_part_with_predictions_of_the_whole(run, command):
    part = run("large", lambda n: n % 4 != 0, "--limit", "80")
    good, useless = run("small", lambda n: n % 4 > 1), run("other", lambda n: n % 7 > 2)
    shown = command("show", part, "--predictor", good).stdout
    title, with_them, without, gain = (line for line in shown.splitlines()[:7] if line)
    assert title == "replay:large.jsonl: accuracy of all 200 samples, from 80 of them"
    assert with_them.endswith("with the predictions of replay:small.jsonl")
    assert without.endswith("without them")
    value, _, low, _, high = with_them.split()[:5]
    assert float(low) < 75 < float(high)
    assert 70 < float(value) < 80
    assert "The interval is as narrow as that of " in gain
    assert "nothing" in command("show", part, "--predictor", useless).stdout
    both = command("show", part, "--predictor", good, "--predictor", useless).stdout
    assert "with the predictions of replay:small.jsonl and replay:other.jsonl" in both


@pytest.mark.slow
def test_what_cannot_be_predicted_is_one_line(run, command):
    whole, part, other = run("a", bool), run("b", bool, "--limit", "20"), run("c", bool, "--limit", "21")
    first = run("d", bool, "--first", "20")
    refused(command("show", whole, "--predictor", whole), "a has all samples of its split")
    refused(command("show", first, "--predictor", whole), "d has the first samples of its split")
    refused(command("show", part, "--predictor", other), "c cannot predict: it has accuracy of 21 samples")
    refused(command("show", part, "--predictor", "nothing"), "nothing")
    stopped = run("e", bool, "--precision", "20")
    refused(command("show", stopped, "--predictor", whole), "e was stopped by its own results")
    refused(command("show", part, "--predictor", whole, "--where", "wrong"), "give one or the other")


@pytest.mark.slow
def test_a_predictor_of_other_samples_is_refused_though_it_has_those_of_the_run(run, command, tmp_path):
    part = run("part", bool, "--limit", "20")
    shared = [json.loads(line)["id"] for line in (tmp_path / part / "samples.jsonl").read_text().splitlines()]
    ids = [*shared, *(str(n) for n in range(1000, 1180))]
    rows = [{"id": id, "text": f"What is {id}?", "target": "1"} for id in ids]
    outputs = [{"id": id, "output": "1"} for id in ids]
    for name, lines in (("rows", rows), ("others", outputs)):
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    done = command(
        "run", "--model", "replay:others.jsonl", "--task", "custom", "--data", "rows.jsonl", "--out", "others"
    )
    assert done.returncode == 0, done.stderr
    refused(command("show", part, "--predictor", "others"), "no random part of the samples of the predictors")
