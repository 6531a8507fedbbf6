"""`compare`: paired tests on shared samples, differences of the set-ups, and runs that cannot be compared."""

from __future__ import annotations

import json

import pytest
from commands import evals as command
from commands import refused
from run_folders import make, manifest, metric, row

import evals


def rows(right, alone=False):
    """Rows of two questions to an image, or of one."""
    return [row(str(10 + n), float(value), **({"cluster": ""} if alone else {})) for n, value in enumerate(right)]


def runs(tmp_path, a, b, alone=False, **changes):
    """Two run folders of the same samples: right and wrong answers, and what their manifests have otherwise."""
    for name, right, signed in (("a", a, manifest()), ("b", b, manifest() | changes)):
        make(
            tmp_path / name,
            rows(right, alone),
            {"accuracy": metric(sum(right) / len(right), len(right))},
            signed,
            headline="accuracy",
        )
    return tmp_path / "a", tmp_path / "b"


def test_the_headline_is_tested_on_the_same_samples(tmp_path):
    a, b = runs(tmp_path, [1] * 8 + [0, 0] * 5, [0] * 8 + [1, 0] * 5, alone=True)
    found = evals.compare(a, b).metrics[0]
    assert (found.name, found.n, found.wins, found.losses) == ("accuracy", 18, 8, 5)
    assert found.difference == pytest.approx(3 / 18)
    assert found.p == pytest.approx(0.58105469)  # of 13 coin throws, 8 or more on one side
    assert found.test == "McNemar, exact"
    assert found.low < found.difference < found.high


def test_questions_about_one_image_are_no_independent_trials(tmp_path):
    a, b = runs(tmp_path, [1] * 8 + [0, 0] * 5, [0] * 8 + [1, 0] * 5)
    found = evals.compare(a, b).metrics[0]
    assert found.p > 0.58
    assert found.test.startswith("sign flips of 9 clusters")
    assert found.low <= 0 <= found.high


def test_other_readings_of_the_headline_are_no_family(tmp_path):
    names = ("accuracy", "accuracy-strict", "accuracy-flexible", "run-on")
    for name, right in (("a", [1] * 12 + [0] * 3 + [1] * 25), ("b", [0] * 12 + [1] * 3 + [1] * 25)):
        lines = [row(str(n), 0.0, cluster="", values=dict.fromkeys(names, float(v))) for n, v in enumerate(right)]
        metrics = {key: metric(sum(right) / 40, 40) for key in names}
        make(tmp_path / name, lines, metrics, manifest(), headline="accuracy")
    found = {each.name: each for each in evals.compare(tmp_path / "a", tmp_path / "b").metrics}
    assert found["accuracy"].adjusted == found["accuracy"].p == pytest.approx(0.03515625)
    assert [found[name].adjusted for name in names[1:]] == [None] * 3
    assert (
        "not corrected: accuracy-flexible, accuracy-strict, run-on"
        in command("compare", tmp_path / "a", tmp_path / "b").stdout
    )


def test_soft_figures_are_tested_by_cluster(tmp_path):
    a, b = runs(tmp_path, [0.3, 0.6, 1, 0.9] * 10, [0.3] * 40)
    found = evals.compare(a, b).metrics[0]
    assert found.test == "Student's t on the differences of 20 clusters"
    assert found.p < 0.001


def test_what_differs_is_ordered_by_what_explains(tmp_path):
    other = manifest()["model"] | {"digest": "beef"}
    a, b = runs(
        tmp_path,
        [1, 0],
        [0, 1],
        alone=True,
        model=other,
        machine={"python": "3.12.1", "cores": 8},
        packages={"torch": "2.12"},
    )
    found = evals.compare(a, b).differences
    assert [each.field for each in found] == ["model.digest", "packages.torch", "machine.cores", "machine.python"]
    done = command("compare", a, b)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("No difference could be shown between")
    assert "\n\nMini scale" in done.stdout
    for words in ("accuracy", "McNemar", "other weights", "beef", "3.12.1", "no difference would have been found"):
        assert words in done.stdout


@pytest.mark.parametrize(
    ("field", "value"), [("split", "test"), ("version", 2), ("shots", 5), ("name", "glue/rte"), ("temperature", 0.6)]
)
def test_another_protocol_is_refused_by_name(tmp_path, field, value):
    a, b = runs(tmp_path, [1, 0], [0, 1], task=manifest()["task"] | {field: value})
    assert refused(command("compare", a, b), f"task.{field}", str(value))


def test_other_samples_are_refused_by_name(tmp_path):
    a, b = runs(tmp_path, [1, 0, 1], [0, 1])
    assert refused(command("compare", a, b), "'12'", "not in")
    assert refused(command("compare", b, a), "'12'", "not in")


def test_runs_that_are_none_are_refused(tmp_path):
    a, b = runs(tmp_path, [1, 0], [0, 1])
    assert refused(command("compare", a, tmp_path / "none"), "none")
    (b / "result.json").unlink()
    assert refused(command("compare", a, b), "not finished")


def test_a_run_does_not_differ_from_itself(tmp_path):
    a, _ = runs(tmp_path, [1, 0] * 9, [1, 0] * 9)
    found = evals.compare(a, a)
    assert found.metrics[0].p == 1.0
    assert (found.metrics[0].difference, found.metrics[0].low) == (0, None)
    assert found.differences == ()
    json.dumps([one.p for one in found.metrics])


def test_the_first_samples_have_no_interval_and_no_test(tmp_path):
    a, b = runs(
        tmp_path, [1] * 9 + [0], [0] * 10, task=manifest()["task"] | {"first": 10},
        data=manifest()["data"] | {"samples_in_split": 500},
    )  # fmt: skip
    make(a, rows([1] * 9 + [0]), {"accuracy": metric(0.9, 10)}, json.loads((b / "manifest.json").read_text()))
    found = evals.compare(a, b).metrics[0]
    assert (found.difference, found.low, found.p, found.detectable) == (0.9, None, None, None)
    assert "not chosen at random" in found.test
    assert "the first 10 of 500" in command("compare", a, b).stdout
