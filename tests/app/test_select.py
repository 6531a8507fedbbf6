"""The runs that `select` makes: which models on which tasks, by which method, and what could not be run."""

from __future__ import annotations

import pytest
from choice_runs import scored, share, timed
from commands import evals as command

from evals.app import several
from evals.app.commands.candidate_runs import common_method
from evals.app.several import CompletedPairs
from evals.errors import InputError


@pytest.fixture
def made(monkeypatch, tmp_path):
    """Make the folders of runs without their models, and list what was asked for."""
    asked = []

    def run(models, tasks, **options):
        (task,) = tasks
        asked.append((task, tuple(models), options.get("method")))
        reads = [model for model in models if not (task == "vqa" and model == "r1")]
        refused = {(model, task): "it reads text only" for model in models if model not in reads}
        if not reads:
            raise InputError("nothing can be run: r1 on vqa: it reads text only")
        if task == "efficiency":
            times = {name: [0.1 + 0.05 * k, 0.11 + 0.05 * k] for k, name in enumerate(reads)}
            records = [
                timed(tmp_path / f"{name}-t", name, {"s0": times[name], "s1": times[name][::-1]}, prefix=prefix)
                for name in reads for prefix in ["caption-" if "vl" in models else ""]
            ]  # fmt: skip
        else:
            folder = tmp_path / task.replace("/", "-")
            records = [scored(folder / name, name, share(40 + k, 60), task=task) for k, name in enumerate(reads)]
        return CompletedPairs(records, refused, {})

    monkeypatch.setattr(several, "run", run)
    return asked


def test_models_run_on_every_task_and_are_timed_in_turn(made):
    done = command("select", "--task", "vqa,glue/rte", "--model", "vl,v3", "--latency", "1s")
    assert done.returncode == 0, done.stderr
    assert made == [
        ("vqa", ("vl", "v3"), None), ("glue/rte", ("vl", "v3"), "probe"), ("efficiency", ("vl", "v3"), None),
    ]  # fmt: skip
    assert "Choose v3" in done.stdout


def test_a_model_that_cannot_be_run_is_excluded_with_the_reason(made):
    done = command("select", "--task", "vqa", "--model", "vl,r1")
    assert done.returncode == 0, done.stderr
    assert ["r1", "vqa accuracy is not measured: it reads text only"] in [
        line.split(maxsplit=1) for line in done.stdout.splitlines()
    ]
    none = command("select", "--task", "vqa", "--model", "r1")
    assert none.returncode == 2
    assert "no run of task 'vqa' can be compared (r1: it reads text only)" in none.stderr


@pytest.mark.parametrize(
    ("limit", "message"),
    [
        ("vqa=180", "accuracy lies between 0 and 100"),
        ("glue/rte=0.8", "write 80 for a share of 0.8"),
        ("glue/cola=40", "matthews lies between -1 and 1"),
    ],
)
def test_a_minimum_that_no_run_can_have_is_refused_before_any_is_made(made, limit, message):
    done = command("select", "--task", "vqa,glue/rte,glue/cola", "--model", "vl,v3", "--min", limit)
    assert done.returncode == 2
    assert message in done.stderr
    assert made == []


def test_a_guide_makes_the_runs_of_its_rows(made):
    done = command("select", "--guide", "a")
    assert done.returncode == 0, done.stderr
    pair = ("v3-seq2seq", "r1-moe")
    assert [(task, set(models)) for task, models, _ in made] == [
        ("glue/sst2", {*pair}), ("glue/qnli", {*pair}), ("vqa", {*pair}), ("efficiency", {*pair}),
    ]  # fmt: skip


def test_models_are_queried_by_a_method_that_all_support():
    assert common_method(["vl", "v3"], "glue/rte") == "probe", "by default one is probed and the other chooses"
    assert common_method(["v3", "v2"], "glue/rte") is None, "their default is the same"
    assert common_method(["vl", "v2"], "glue/rte") is None, "they have none in common"
    assert common_method(["vl", "v3"], "vqa") is None
