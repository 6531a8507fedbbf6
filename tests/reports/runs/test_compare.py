"""`compare`: paired tests on shared samples, differences of the set-ups, and runs that cannot be compared."""

from __future__ import annotations

import json
import shutil

import pytest
from commands import evals as command
from commands import refused
from run_folders import make, manifest, metric, row

import evals
from evals.errors import InputError


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
    with pytest.raises(InputError, match="are one folder"):
        evals.compare(a, a)
    found = evals.compare(a, shutil.copytree(a, tmp_path / "copy"))
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


def subset(limit, samples_in_split=500, **task):
    return {
        "task": manifest()["task"] | {"limit": limit} | task,
        "data": manifest()["data"] | {"samples_in_split": samples_in_split},
    }


def test_a_random_subset_is_compared_as_a_sample_and_says_so(tmp_path):
    whole = runs(tmp_path / "whole", [1] * 12 + [0] * 8, [0] * 10 + [1] * 10, alone=True)
    a, b = runs(tmp_path, [1] * 12 + [0] * 8, [0] * 10 + [1] * 10, alone=True, **subset(20))
    make(a, rows([1] * 12 + [0] * 8, alone=True), {"accuracy": metric(0.6, 20)}, manifest() | subset(20))
    of_subset, of_whole = evals.compare(a, b).metrics[0], evals.compare(*whole).metrics[0]
    assert (of_subset.p, of_subset.low, of_subset.high) == (of_whole.p, of_whole.low, of_whole.high)
    text = command("compare", a, b).stdout
    assert "the same 20 of 500 samples, chosen at random" in text
    assert "not corrected for its finite size" in text
    assert "finite size" not in command("compare", *whole).stdout


def test_different_subsets_are_refused_with_the_reason(tmp_path):
    a, b = runs(tmp_path, [1, 0, 1], [0, 1], **subset(2, seed=7))
    make(a, rows([1, 0, 1]), {"accuracy": metric(0.6, 3)}, manifest() | subset(2))
    refused(command("compare", a, b), "'12'", "not in", "the seeds are 0 and 7")
    make(a, rows([1, 0, 1]), {"accuracy": metric(0.6, 3)}, manifest() | subset(3))
    refused(command("compare", a, b), "task.limit is 3", "2")


def test_a_limit_beyond_the_split_is_no_subset(tmp_path):
    a, b = runs(tmp_path, [1, 0, 1], [0, 1, 1], **subset(5000, samples_in_split=3))
    assert evals.compare(a, b).metrics[0].n == 3


def test_where_lower_is_better_fewer_is_a_win(tmp_path):
    for name, values in (("a", [1, 0, 0, 0]), ("b", [1, 1, 1, 0])):
        lines = [row(str(n), 1.0, values={"accuracy": 1.0, "run-on": float(value)}) for n, value in enumerate(values)]
        metrics = {"accuracy": metric(1.0), "run-on": metric(sum(values) / 4) | {"higher_is_better": False}}
        make(tmp_path / name, lines, metrics, manifest(), headline="accuracy")
    (run_on,) = (metric for metric in evals.compare(tmp_path / "a", tmp_path / "b").metrics if metric.name == "run-on")
    assert (run_on.difference, run_on.wins, run_on.losses) == (-0.5, 2, 0)


def test_a_report_says_which_runs_cannot_be_compared_and_why(tmp_path):
    a, b = runs(tmp_path, [1, 0, 1], [0, 1, 1], **subset(3))
    make(a, rows([1, 0, 1]), {"accuracy": metric(0.6, 3)}, manifest())
    for format in ("md", "tex", "svg"):
        done = command("report", a, b, "--format", format)
        assert done.returncode == 0, done.stderr
        words = "(not comparable)" if format == "svg" else "is None in one, 3 in the other"
        assert words in done.stdout


def test_a_mean_over_parts_of_samples_is_no_disagreement(tmp_path):
    """Retrieval scores the captions of an image, of which a sample has several: the metric counts them."""
    for name in ("a", "b"):
        recall = {**metric(0.5, 20), "statistic": "mean"}
        make(tmp_path / name, rows([1, 0] * 2, alone=True), {"accuracy": recall}, manifest(), headline="accuracy")
    assert evals.compare(tmp_path / "a", tmp_path / "b").metrics[0].n == 4
    fewer = {**metric(0.25, 4), "statistic": "mean"}
    make(tmp_path / "c", rows([1, 0] * 2, alone=True), {"accuracy": fewer}, manifest(), headline="accuracy")
    with pytest.raises(InputError, match="does not agree with itself"):
        evals.compare(tmp_path / "a", tmp_path / "c")
