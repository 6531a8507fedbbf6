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
def test_a_run_stops_at_a_precision_earlier_with_predictions(run, command, tmp_path):
    """The recorded values of one model predict those of the other; the interval of the table does without them."""
    good = run("small", lambda n: n % 4 > 1 or n % 16 == 1)
    plain = run("plain", lambda n: n % 4 > 1, "--precision", "8")
    early = run("early", lambda n: n % 4 > 1, "--precision", "8", "--predictor", good)
    alone, helped = (json.loads((tmp_path / name / "result.json").read_text()) for name in (plain, early))
    entry = helped["sequential"]
    assert helped["n"] < alone["n"] < 200
    assert entry["predictors"] == ["replay:small.jsonl"]
    assert max(entry["high"] - entry["estimate"], entry["estimate"] - entry["low"]) <= 0.08
    assert entry["low"] <= 0.5 <= entry["high"]
    table = helped["metrics"]["accuracy"]
    assert table["high"] - table["low"] > entry["high"] - entry["low"]
    shown = command("show", plain, "--predictor", good).stdout
    assert f"With these predictions, --precision 8 would have stopped after {helped['n']} samples; this run" in shown
    page = command("show", early).stdout
    samples = f"{helped['n']} of 200 samples"
    assert f"{samples} and the predictions of replay:small.jsonl show accuracy within 8 points" in page
    assert f"accuracy is estimated as {100 * entry['estimate']:.1f} %" in page
    twice = command("show", early, "--predictor", good, "--predictor", good).stdout
    assert "with the predictions of replay:small.jsonl\n" in twice, "a run that is given twice counts once"
    # predictions stay as they were when the run began
    more = ["run", "--model", "replay:early.jsonl", "--task", "custom", "--data", "rows.jsonl", "--out", early]
    refused(command(*more, "--precision", "4"), "early was begun with --predictor of 'replay:small.jsonl'")
    refused(command(*more, "--precision", "4", "--predictor", early), "early cannot predict: it has no accuracy of ")
    assert json.loads((tmp_path / early / "result.json").read_text()) == helped
    assert command(*more, "--precision", "4", "--predictor", good).returncode == 0
    assert helped["n"] < json.loads((tmp_path / early / "result.json").read_text())["n"] < 200
    refused(command(*more, "--predictor", good), "give --precision too")
    two = ["--model", "replay:early.jsonl,replay:small.jsonl", "--task", "custom", "--data", "rows.jsonl"]
    refused(command("run", *two, "--until-decided", "--predictor", good), "--predictor is for --precision")
    refused(command("show", plain, "--predictor", run("other", bool, "--limit", "21")), "cannot predict")


@pytest.mark.slow
def test_what_cannot_be_predicted_is_one_line(run, command):
    whole, part, other = run("a", bool), run("b", bool, "--limit", "20"), run("c", bool, "--limit", "21")
    first = run("d", bool, "--first", "20")
    refused(command("show", whole, "--predictor", whole), "a has all samples of its split")
    refused(command("show", first, "--predictor", whole), "d has the first samples of its split")
    refused(command("show", part, "--predictor", other), "c cannot predict: it has accuracy of 21 samples")
    refused(command("show", part, "--predictor", "nothing"), "nothing")
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
