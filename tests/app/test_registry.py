"""Names: near misses, duplicates, plug-ins, variants, and what a user may call a model."""

from __future__ import annotations

import json

import checkpoints
import package_copies
import pytest
from commands import evals, process, refused

from evals import InputError, UnknownName, registry
from evals.execution.resolve import resolve
from evals.models.variants import read
from evals.registry import FAMILIES, TASKS, VARIANTS, Registry
from evals.schema import Variant


@pytest.fixture(autouse=True)
def discovered():
    registry.discover()


def test_a_duplicate_is_refused():
    table = Registry("model")
    table.add(Variant("vl", "f", "", {}))
    with pytest.raises(InputError, match="the model name 'vl' is registered twice"):
        table.add(Variant("vl", "g", "", {}))


def test_a_near_miss_is_named():
    with pytest.raises(UnknownName, match="did you mean 'vqa'"):
        TASKS.get("vqa2")


def test_every_registered_thing_is_complete():
    for task in TASKS:
        assert task.summary
        assert task.splits
        assert task.version >= 1
    for variant in VARIANTS:
        assert variant.family in FAMILIES
        assert set(variant.checkpoints) <= {"mini", "full"}
        assert all(task in TASKS for task in variant.tasks)


@pytest.mark.slow
def test_a_plug_in_is_found_by_its_entry_point():
    assert "toy" in process("list", "tasks").stdout
    assert "toy" not in process("list", "tasks", plugin=False).stdout


@pytest.mark.parametrize("place", ["tasks/fresh.py", "tasks/fresh/__init__.py"])
def test_a_module_or_package_among_the_tasks_is_registered(tmp_path, place):
    copied = package_copies.copy(tmp_path)
    path = copied / place
    path.parent.mkdir(exist_ok=True)
    path.write_text(
        "from evals.registry import TASKS\nfrom evals.schema import Task\n"
        "TASKS.add(Task('fresh', 'made up', 1, 'generate', ('all',), 'accuracy', len, len, len))\n"
    )
    code = "from evals.registry import TASKS; print('fresh' in TASKS, 'vqa' in TASKS)"
    assert package_copies.python(copied, "-c", code).split() == ["True", "True"]


def test_a_plug_in_that_does_not_load_is_named(tmp_path):
    info = tmp_path / "bad-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: bad\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[evals.plugins]\nbad = nowhere_to_be_found\n")
    refused(process("list", PYTHONPATH=str(tmp_path)), "plug-in 'bad'", "nowhere_to_be_found")


def test_a_variant_is_a_row_that_a_user_can_add(tmp_path):
    table = tmp_path / "variants.yaml"
    table.write_text(
        "mine:\n  family: vision_language\n  summary: my own\n  checkpoints: {mini: here}\n  licence: MIT\n"
    )
    (variant,) = read(table)
    assert (variant.name, variant.details) == ("mine", {"licence": "MIT"})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- a\n- b\n", "holds list"),
        ("mine: 3\n", "mine is int"),
        ("mine:\n  family: f\n", "mine lacks checkpoints, summary"),
        ("mine: [\n", r"variants\.yaml:2: no YAML"),
    ],
)
def test_a_bad_row_is_named_with_its_file(tmp_path, text, message):
    table = tmp_path / "variants.yaml"
    table.write_text(text)
    with pytest.raises(InputError, match=message) as caught:
        read(table)
    assert str(table) in str(caught.value)


def test_a_folder_tells_its_family(tmp_path):
    folder = checkpoints.deepseek_vl(tmp_path)
    found = resolve(str(folder), scale="mini")
    assert (found.family.name, found.checkpoint) == ("vision_language", str(folder))
    assert resolve("vl", scale="mini", checkpoint=str(folder)).checkpoint == str(folder)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (None, "no config.json"),
        ("{", "line 1, column"),
        (json.dumps({"model_type": "abacus"}), "no family loads model_type 'abacus'"),
        (
            json.dumps({"model_type": "own", "auto_map": {"AutoModel": "x.Y"}}),
            "code from its folder, which is never run",
        ),
    ],
)
def test_a_folder_that_is_no_checkpoint_is_named(tmp_path, config, message):
    if config is not None:
        (tmp_path / "config.json").write_text(config)
    with pytest.raises(InputError, match=message):
        resolve(str(tmp_path), scale="mini")


@pytest.mark.parametrize("name", ["./nowhere", "hf:no-slash", "/nowhere/at/all"])
def test_a_checkpoint_that_is_not_there_is_named(name):
    with pytest.raises(InputError, match="neither a folder"):
        resolve(name, scale="mini")


def test_a_variant_without_a_checkpoint_at_a_scale_says_so():
    with pytest.raises(InputError, match="no checkpoint at scale 'mini': name one with --checkpoint"):
        resolve("vl-7b", scale="mini")


def test_the_hub_is_not_reached_without_a_network(tmp_path):
    done = evals(
        "run", "--model", "hf:nobody/nothing", "--task", "vqa", "--scale", "full",
        HF_HUB_OFFLINE="1", HF_HOME=str(tmp_path), EVALS_CACHE=str(tmp_path),
    )  # fmt: skip
    refused(done, "nobody/nothing")


@pytest.mark.parametrize(
    "column",
    ["tasks: 1.5", "tasks: vqa", "tasks: {a: b}", "family: 1", "summary: [a]", "checkpoints: x"],
)
def test_a_column_of_another_type_is_named(tmp_path, column):
    name = column.partition(":")[0]
    columns = {"family": "causal", "summary": "x", "checkpoints": "{}"} | {name: column.partition(": ")[2]}
    path = tmp_path / "variants.yaml"
    path.write_text("mine:\n" + "".join(f"  {key}: {value}\n" for key, value in columns.items()))
    with pytest.raises(InputError, match=f"mine: {name} is "):
        read(path)
