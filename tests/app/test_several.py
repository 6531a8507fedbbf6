"""Several models on several tasks: the runs are those of single commands, and each model is loaded once."""

from __future__ import annotations

from pathlib import Path

import checkpoints
import pytest
from commands import refused

import evals as suite
from evals.app import several
from evals.errors import InputError
from evals.execution.resolve import Resolved


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    causal = checkpoints.language_model(folder / "llama", "llama")
    return [str(causal), str(checkpoints.language_model(folder / "t5", "t5"))]


TASKS = ["glue/rte", "glue/sst2"]


@pytest.fixture
def loads(monkeypatch):
    """The names of the models that were loaded, in order."""
    names, load = [], Resolved.load
    monkeypatch.setattr(several.Resolved, "load", lambda self, place: names.append(self.name) or load(self, place))
    return names


def outputs(folder):
    return [(row.id, row.output, row.scores, row.values) for row in suite.load(folder).samples()]


def test_every_pair_is_the_run_of_a_single_command(models, loads, tmp_path):
    outcome = several.run(models, TASKS, limit=6, out=tmp_path / "all", device="cpu")
    assert loads == models, "each model is loaded once"
    assert [(record.manifest.model_name, record.manifest.task.name) for record in outcome.records] == [
        (model, task) for model in models for task in TASKS
    ]
    for model in models:
        for number, task in enumerate(TASKS):
            folder = tmp_path / "all" / several.folder_name(model, task)
            alone = suite.run(
                model, task, limit=6, out=tmp_path / f"{number}{several.folder_name(model, '')}", device="cpu"
            )
            assert outputs(folder) == outputs(alone.folder)
            assert suite.load(folder).manifest.signature == alone.manifest.signature


@pytest.mark.slow
def test_pairs_share_workers_and_each_process_loads_one_model(tmp_path):
    logs = tmp_path / "logs"
    logs.mkdir()
    model, tasks = f"toy:logged:{logs}", ["toy", "toy/numbers"]
    options = {"first": 300, "token_budget": 500}
    outcome = several.run([model, "toy:picky"], tasks, workers=2, out=tmp_path / "all", **options)
    assert not {**outcome.refused, **outcome.broken}
    loaded = [path.read_text().splitlines() for path in logs.glob("loaded-*")]
    assert loaded in ([[model]], [[model]] * 2), "a process loads the model once for both tasks"
    assert [record.finished().failed for record in outcome.records] == [0, 0, 30, 30]
    for record in outcome.records:
        model = record.manifest.model_name
        alone = suite.run(model, record.manifest.task.name, out=tmp_path / record.folder.name, **options)
        assert sorted(outputs(record.folder)) == sorted(outputs(alone.folder))
        assert record.manifest.signature == alone.manifest.signature
        assert record.result.efficiency["peak_memory_bytes"] > 10 << 20


@pytest.mark.slow
def test_a_worker_that_dies_is_replaced(tmp_path):
    outcome = several.run(
        [f"toy:dies:{tmp_path / 'once'}"], ["toy", "toy/numbers"], workers=2, out=tmp_path / "all", first=100
    )
    assert (tmp_path / "once").exists()
    assert [record.finished().n for record in outcome.records] == [100, 100]


def test_the_command_continues_and_ends_with_a_table(models, loads, tmp_path, command, monkeypatch):
    monkeypatch.chdir(Path(models[0]).parent)
    models = [f"./{Path(model).name}" for model in models]  # a long path would fill the table
    listed = tmp_path / "models.txt"
    listed.write_text(f"# two models\n{models[0]}\n\n{models[1]}\n")
    arguments = ["run", "--task", ",".join(TASKS), "--limit", 4, "--out", tmp_path / "all", "--models-file", listed]
    done = command(*arguments, COLUMNS="1000")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].startswith("Mini scale: ")
    assert [line.split()[1] for line in lines if models[0] in line and "accuracy" in line] == TASKS
    assert lines[-1] == f"{tmp_path / 'all'} holds the run folders"
    lost = tmp_path / "all" / several.folder_name(models[1], TASKS[1]) / "result.json"
    kept = tmp_path / "all" / several.folder_name(models[0], TASKS[0]) / "samples.jsonl"
    before = kept.read_bytes()
    lost.unlink()
    loads.clear()
    assert command(*arguments, COLUMNS="1000").stdout == done.stdout
    assert lost.is_file()
    assert kept.read_bytes() == before
    assert loads == models[1:], "a model whose runs are finished is not loaded"
    loads.clear()
    assert command(*arguments, "--dtype", "bfloat16", COLUMNS="1000").returncode == 2, "these are other runs"
    assert loads == models
    (Path(models[0]) / "more.json").write_text("{}")
    changed = command(*arguments, COLUMNS="1000")
    (Path(models[0]) / "more.json").unlink()
    assert changed.returncode == 2, "its files are others"
    assert changed.stderr.count("model.digest") == len(TASKS)


@pytest.mark.slow
def test_a_pair_that_cannot_be_run_stops_no_other(models, tmp_path, command):
    done = command(
        "run", "--model", f"{models[0]},vl", "--task", "vqa,glue/rte", "--limit", 3, "--out", tmp_path / "all"
    )
    assert done.returncode == 2
    assert len(done.stderr.strip().splitlines()) == 1
    assert f"evals: {models[0]} was not run on vqa: task 'vqa' shows image" in done.stderr
    assert sorted(path.name for path in (tmp_path / "all").iterdir()) == sorted(
        several.folder_name(*pair) for pair in [(models[0], "glue/rte"), ("vl", "vqa"), ("vl", "glue/rte")]
    )
    assert "not run" in done.stdout


def test_each_task_has_its_own_data(models, tmp_path, command):
    from glue_folders import official

    data = official(tmp_path / "glue")
    done = command(
        "run", "--model", models[0], "--task", "glue/rte,glue/sst2", "--data", f"glue/rte={data}",
        "--out", tmp_path / "all", "--limit", 3,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    sources = [suite.load(path).manifest.data["source"] for path in sorted((tmp_path / "all").iterdir())]
    assert sources == ["official files", "bundled"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--task", "vqa"], ["one of the arguments --model --models-file is required"]),
        (
            ["--model", "r1", "--models-file", "x", "--task", "vqa"],
            ["--models-file: not allowed with argument --model"],
        ),
        (["--models-file", "nowhere.txt", "--task", "vqa"], ["--models-file nowhere.txt cannot be read"]),
        (["--model", "r1,r1", "--task", "glue/rte"], ["model 'r1' is named twice"]),
        (["--model", "r1,nobody", "--task", "glue/rte"], ["no model is named 'nobody'"]),
        (["--model", "r1", "--task", "glue/rte,nothing"], ["no task is named 'nothing'"]),
        (["--model", "r1,v2", "--task", "vqa", "--checkpoint", "x"], ["--checkpoint is about one model"]),
        (["--model", "r1", "--task", "vqa", "--data", "a", "--data", "b"], ["--data is given 2 times: write TASK=DIR"]),
        (
            ["--model", "r1", "--task", "vqa,glue/rte", "--data", "vqa=a", "--data", "b"],
            ["--data vqa=a --data b: write each as TASK=DIR"],
        ),
        (["--model", "r1", "--task", "vqa,glue/rte", "--data", "math=a"], ["no task of this command is named 'math'"]),
        (["--model", "r1,v2", "--task", "retrieval"], ["nothing can be run: r1 on retrieval: ", "v2 on retrieval: "]),
    ],
)
def test_what_cannot_be_asked_is_one_line(command, arguments, words):
    refused(command("run", *arguments), *words)


def test_folders_of_two_pairs_are_never_one(tmp_path):
    with pytest.raises(InputError, match="would share the folder"):
        several.run(["replay:a/b", "replay:a-b"], ["glue/rte"], out=tmp_path)


def test_a_name_with_a_comma_is_whole_if_it_exists(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a,b.jsonl").touch()
    assert several.names("replay:a,b.jsonl") == ["replay:a,b.jsonl"]
    assert several.names("replay:a,c.jsonl") == ["replay:a", "c.jsonl"]


def test_what_the_list_says_of_a_model_can_be_run():
    from evals.execution import validation
    from evals.execution.resolve import resolve
    from evals.registry import TASKS as TABLE
    from evals.registry import VARIANTS, discover
    from evals.schema import Options

    discover()
    pairs = []
    for variant in VARIANTS:
        for scale in variant.checkpoints:
            if variant.checkpoints[scale] is None or variant.family == "endpoint":
                continue
            source = resolve(variant.name, scale=scale)
            for name in variant.tasks:
                task = TABLE.get(name)
                method = validation.method(task, source, None)
                split = task.samples(Options(method=method))
                validation.check_modalities(task, source, split, force=False)
                pairs.append((variant.name, name))
    assert {("vl", "vqa"), ("r1", "math"), ("v3", "glue")} <= set(pairs)


def test_on_a_cluster_the_biggest_models_come_first():
    pairs = several.pairs(["toy:", "r1-zero", "r1-moe", "r1"], ["math/sums"], None, {})
    order = several._biggest_first(pairs)
    sizes = [several._checkpoint_bytes(pair.config) for model in order for pair in pairs if pair.model == model]
    assert sizes == sorted(sizes, reverse=True)
    assert len(set(sizes)) > 2
    assert (order[-1], sizes[-1]) == ("toy:", 0)
