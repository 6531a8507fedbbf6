"""The code digest: it changes with any byte of any module that a run imports."""

from __future__ import annotations

import importlib
import json

import package_copies
import pytest

PROBE = '''
"""Run a model, then change one byte of every imported module in turn and print which digests stay the same."""
import json, sys
from pathlib import Path

import evals
from evals.records.signature import code_digest
from evals.registry import TASKS

class Model:
    """Stands for a loaded model: only its source matters."""

evals.run("r1", "glue/sst2", limit=4, out="run")
digest = lambda: code_digest(TASKS.get("glue/sst2"), Model())
loaded = [module for name, module in sys.modules.items() if name.partition(".")[0] == "evals"]
files = sorted({module.__file__ for module in loaded if module.__file__})
before, unnoticed = digest(), []
for path in map(Path, files):
    source = path.read_bytes()
    path.write_bytes(bytes([source[0] ^ 1]) + source[1:])
    if digest() == before:
        unnoticed.append(str(path))
    path.write_bytes(source)
assert digest() == before
print(json.dumps({"files": files, "unnoticed": unnoticed}))
'''
DIGEST = """
from evals.records.signature import code_digest
from evals.registry import TASKS

class Model:
    pass

print(code_digest(TASKS.get("glue/sst2"), Model()))
"""


@pytest.fixture(scope="module")
def copied(tmp_path_factory):
    return package_copies.copy(tmp_path_factory.mktemp("copy"))


@pytest.mark.slow
def test_one_byte_of_any_imported_module_changes_the_digest(copied):
    (copied / "probe.py").write_text(PROBE)
    report = json.loads(package_copies.python(copied, "probe.py").splitlines()[-1])
    assert report["unnoticed"] == []
    assert all(str(copied) in file for file in report["files"])
    rooms = {file.removeprefix(f"{copied}/evals/").partition("/")[0] for file in report["files"]}
    assert {"app", "data", "execution", "metrics", "models", "records", "reports", "statistics", "tasks"} <= rooms


@pytest.mark.parametrize("place", ["evals/tasks/new/inner/module.py", "evals/records/new/module.py"])
@pytest.mark.slow
def test_a_module_in_a_new_package_changes_the_digest(copied, place):
    (copied / "digest.py").write_text(DIGEST)
    before = package_copies.python(copied, "digest.py")
    path = copied / place
    path.parent.mkdir(parents=True)
    path.write_text("new = True\n")
    assert package_copies.python(copied, "digest.py") != before


@pytest.mark.slow
def test_one_byte_of_an_outside_file_changes_nothing(copied):
    (copied / "digest.py").write_text(DIGEST)
    before = package_copies.python(copied, "digest.py")
    (copied / "evals" / "notes.txt").write_text("not code")
    assert package_copies.python(copied, "digest.py") == before


def test_every_module_of_a_plugin_counts(tmp_path, monkeypatch):
    from evals.models.families import causal
    from evals.records.signature import RemoteModel, code_digest
    from evals.schema import Task

    package = tmp_path / "counted_plugin"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "task.py").write_text("def score(samples, predictions):\n    return []\n")
    (package / "helper.py").write_text("one = 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    score = importlib.import_module("counted_plugin.task").score

    def digest():
        task = Task(
            name="t", summary="", version=1, needs="generate", splits=("all",), headline="accuracy",
            samples=None, score=score, summarise=None,
        )  # fmt: skip
        return code_digest(task, RemoteModel("m", {}, causal.load))

    before = digest()
    assert digest() == before
    (package / "helper.py").write_text("one = 2\n")
    assert digest() != before
