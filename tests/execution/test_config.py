"""The configuration of a run: every option has its type, whatever a caller passes."""

from __future__ import annotations

import pickle
from pathlib import Path
from types import SimpleNamespace

import commands
import numpy as np
import pytest

import evals
from evals.errors import InputError
from evals.execution.resolve import Resolved
from evals.execution.validation import check_distinct, check_numbers
from evals.registry import TASKS
from evals.schema import Family, Placement, RunConfig

WRONG = {
    "limit": ["3", 3.5, True, [3], 10**30], "seed": ["x", None, 1.5, 10**30], "workers": ["2", None, True],
    "token_budget": ["9", 1.5], "temperature": ["0.5", None, True], "top_p": ["1", None], "samples": ["2", None],
    "split": [3, Path, b"x"], "data": [3, b"x", "", True, "\0"], "out": [3, b"x", "", True, "a\0"], "scale": [None, 3],
    "method": [3], "shots": ["2"], "blind": ["yes", 1, None], "force": ["x"], "threads": ["2", 2.5], "experts": ["x"],
    "checkpoint": [3, True], "device": [3], "dtype": [3, np.float32], "command": [None], "share": [None, "x"],
}  # fmt: skip


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in WRONG.items() for value in values])
def test_a_value_of_another_type_is_refused_by_name(name, value):
    field = "samples_per_problem" if name == "samples" else name
    with pytest.raises(InputError, match=rf"^option '{field}' is .*, expected "):
        evals.run("r1-zero", "math/sums", **{name: value})


@pytest.mark.parametrize("arguments", [(None, "vqa"), (3, "vqa"), ("vl", None), ("vl", 3)])
def test_a_name_that_is_no_text_is_refused(arguments):
    with pytest.raises(InputError, match="expected str"):
        RunConfig.of(*arguments)


def test_paths_and_numbers_of_other_libraries_become_plain_ones():
    config = RunConfig.of(
        Path("/m"), "vqa", limit=np.int64(3), temperature=1, out="~/x", data=Path("d"), checkpoint=Path("c")
    )
    assert (config.model, config.checkpoint, config.out) == ("/m", "c", Path.home() / "x")
    assert config.options.data == Path("d")
    assert [type(value) for value in (config.options.limit, config.options.temperature)] == [int, float]
    assert pickle.loads(pickle.dumps(config)) == config


@pytest.mark.parametrize("choices", [{"threads": 0}, {"threads": -1}, {"experts": 0}, {"temperature": float("nan")}])
def test_numbers_that_cannot_work_are_refused(choices):
    with pytest.raises(InputError, match="--"):
        check_numbers(RunConfig.of("vl", "vqa", **choices))


@pytest.mark.parametrize("models", ["r1", "r1,v2", [], None])
def test_models_in_turn_are_a_list(models):
    with pytest.raises(InputError, match="takes the names of several models"):
        evals.interleave(models)


def test_samples_with_one_id_are_refused():
    task = TASKS.get("vqa")
    check_distinct(task, ["1", "2"])
    with pytest.raises(InputError, match="two samples with the id '1'"):
        check_distinct(task, ["1", "2", "1"])
    with pytest.raises(InputError, match=r"sample id 7 \(int\), expected text"):
        check_distinct(task, ["1", 7])


def test_what_is_no_model_is_refused_by_its_missing_parts():
    family = Family(
        "toy", "", frozenset({"generate"}), load=lambda *_: SimpleNamespace(name="x", facts={}), prefix="toy"
    )
    with pytest.raises(InputError, match=r"family 'toy' loaded SimpleNamespace, .* lacks abilities, check, .*stage"):
        Resolved("x", family, "y").load(Placement())


@pytest.mark.slow
def test_a_terminal_of_another_encoding_gets_every_line():
    listed = commands.process("list", "tasks", PYTHONIOENCODING="ascii")
    page = commands.process("list", "claims", PYTHONIOENCODING="ascii")
    assert (listed.returncode, page.returncode, page.stderr) == (0, 0, "")
    assert page.stdout.isascii()
    assert "?" in page.stdout


def test_long_prompts_are_for_models_that_read_prompts_here(tmp_path):
    (tmp_path / "outputs.jsonl").write_text('{"id": "1", "output": "2"}\n')
    with pytest.raises(
        InputError, match=r"--long-prompts has no effect on model 'replay:.*', which reads no prompt here"
    ):
        evals.run(f"replay:{tmp_path / 'outputs.jsonl'}", "math", long_prompts="truncate-left", out=tmp_path / "run")
