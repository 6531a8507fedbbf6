"""`list MODEL` and `run` agree, in both directions: for every model and task, what the one lists the other does."""

from __future__ import annotations

import re

import checkpoints
import pytest
from commands import refused

import evals
from evals import registry
from evals.app import api, several
from evals.errors import InputError
from evals.models.architectures import mixture as _mixture  # noqa: F401
from evals.schema import RunConfig

registry.discover()
TASKS = [task for task in registry.TASKS if not task.name.startswith("toy")]
"""Without those of the tests' plug-in, whose requests are not what it says that it needs."""
VARIANTS = [variant.name for variant in registry.VARIANTS if "@" not in variant.name and variant.name != "r1-zero"]
"""Without those that do what another does: other weights or numbers of experts, and r1-zero with its long outputs."""
LISTED = re.compile(r"^  (\S+)\s+(runs|does not run: (.*))$")

FOLDERS = {
    "causal": lambda folder: checkpoints.language_model(folder, "llama"),
    "seq2seq": lambda folder: checkpoints.language_model(folder, "t5"),
    "encoder": checkpoints.encoder,
    "sentence encoder": lambda folder: checkpoints.sentence_encoder(folder, pooling={"pooling_mode_mean_tokens": True}),
    "two classes without a name": lambda folder: checkpoints.classifier(folder, "bert"),
    "three named classes": lambda folder: checkpoints.classifier(
        folder, "roberta", ("CONTRADICTION", "NEUTRAL", "ENTAILMENT")
    ),
    "classes of other names": lambda folder: checkpoints.classifier(folder, "llama", ("POS", "NEG")),
    "one number": lambda folder: checkpoints.classifier(folder, "bert", ("LABEL_0",)),
    "vision-language": checkpoints.deepseek_vl,
    "dual encoder": checkpoints.dual_encoder,
    "answering": lambda folder: checkpoints.two_streams(folder, "BlipForQuestionAnswering"),
    "matching": lambda folder: checkpoints.two_streams(folder, "BlipForImageTextRetrieval"),
    "mixture": checkpoints.mixture,
}
"""A folder of each kind, by what it is."""


def listed(command, model):
    """What `list MODEL` says of each task: None if it runs, else the reason."""
    done = command("list", model)
    assert done.returncode == 0, done.stderr
    title, *lines = done.stdout.splitlines()
    assert title == f"{model}, mini scale:"
    rows = {found[1]: found[3] for found in map(LISTED.match, lines)}
    assert [*rows] == [task.name for task in registry.TASKS]  # a task that only one of them knows is a difference too
    return rows


def check(model, rows, out):
    """Compare each line with what a run of that task does."""
    loads = several._LoadedOnce()
    for task in TASKS:
        # Small models have few positions; whether a prompt fits is not what the model can do.
        options = {} if task.timed else {"limit": 1, "long_prompts": "truncate-left"}
        config = RunConfig.of(model, task.name, out=out / task.name, device="cpu", **options)
        if rows[task.name] is not None:
            with pytest.raises(InputError) as error:
                api.execute(config, load_model=loads)
            assert str(error.value) == rows[task.name]
        elif not task.timed:  # a timed task would start processes; its checks are those of `refusal`
            record = api.execute(config, load_model=loads)
            assert record.finished().n == 1
            (row,) = record.samples()
            too_long = row.long_prompt or "seconds long" in (row.failure or "")
            assert row.failure is None or too_long, (task.name, row.failure)


@pytest.mark.slow
@pytest.mark.parametrize("kind", FOLDERS)
def test_a_folder_does_what_is_listed_and_nothing_else(kind, tmp_path, command):
    folder = FOLDERS[kind](tmp_path / "model")
    rows = listed(command, str(folder))
    assert (None in rows.values()) == (kind != "classes of other names"), "these need --labels"
    assert any(rows.values()), "it cannot do everything"
    check(str(folder), rows, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("model", VARIANTS)
def test_a_registered_model_does_what_is_listed_and_nothing_else(model, tmp_path, command):
    rows = listed(command, model)
    meant_for = registry.VARIANTS.get(model).tasks
    if registry.VARIANTS.get(model).checkpoints.get("mini") is not None:
        assert [task for task in meant_for if rows[task] is not None] == []
    check(model, rows, tmp_path)


def test_the_reason_is_that_of_the_run(tmp_path, command):
    folder = str(checkpoints.classifier(tmp_path / "model", "bert", ("POS", "NEG")))
    rows = listed(command, folder)
    assert rows["vqa"] == f"task 'vqa' needs a model that can generate; {folder!r} can: classify"
    assert rows["glue/sst2"].startswith("the checkpoint's classes are POS, NEG; the task's are negative, positive")
    refused(command("run", "--model", folder, "--task", "glue/sst2"), rows["glue/sst2"])


def test_a_refused_checkpoint_leaves_no_run_folder(tmp_path):
    folder = checkpoints.classifier(tmp_path / "model", "bert", ("POS", "NEG"))
    with pytest.raises(InputError, match="--labels 0=negative"):
        evals.run(str(folder), "glue/sst2", out=tmp_path / "run", device="cpu")
    assert not (tmp_path / "run").exists()


def test_a_checkpoint_is_asked_by_the_method_that_its_weights_allow(tmp_path):
    folder = checkpoints.two_streams(tmp_path / "model", "BlipForImageTextRetrieval")
    record = evals.run(str(folder), "glue/stsb", limit=2, out=tmp_path / "run", device="cpu")
    assert record.manifest.task.method == "probe"


def test_an_unknown_model_is_one_line(command):
    refused(command("list", "nobody"), "no model is named 'nobody'")
    refused(command("list", "/nowhere"), "/nowhere")
