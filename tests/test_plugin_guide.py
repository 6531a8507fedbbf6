"""The plug-in package that docs/ prints: it is installed unchanged, and its test and commands run."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest
from commands import ROOT

import evals
from evals import data, errors, metrics, registry, schema

pytestmark = pytest.mark.slow

DOCS = ROOT / "docs"
_FILE = re.compile(r"^The (?:file|module) `(?P<name>[\w.]+)`:\n\n```(?:py|toml)\n(?P<text>.*?)^```$", re.S | re.M)


def printed():
    """The files that the two guides print, by name."""
    pages = [(DOCS / name).read_text(encoding="utf-8") for name in ("writing-a-task.md", "writing-a-model-family.md")]
    return {match["name"]: match["text"] for page in pages for match in _FILE.finditer(page)}


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    """The folder of the package, and the environment in which it is installed."""
    folder = tmp_path_factory.mktemp("evals-lookup")
    for name, text in printed().items():
        (folder / name).write_text(text, encoding="utf-8")
    installed = folder / "installed"
    command = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*command, "--target", str(installed), str(folder)], check=True, capture_output=True, timeout=120)
    path = os.pathsep.join([str(installed), str(ROOT)])
    return folder, {**os.environ, "PYTHONPATH": path, "CI": "true"}


def run(package, *command):
    folder, environment = package
    return subprocess.run(
        [sys.executable, "-m", *command], cwd=folder, env=environment, capture_output=True, text=True, timeout=120
    )


def test_the_guides_print_a_whole_package():
    assert set(printed()) == {"capitals.py", "pyproject.toml", "lookup.py", "test_lookup.py"}


@pytest.mark.slow
def test_the_printed_test_passes(package):
    finished = run(package, "pytest", "-q", "-p", "no:cacheprovider", "test_lookup.py")
    assert finished.returncode == 0, finished.stdout + finished.stderr


@pytest.mark.slow
def test_the_printed_plug_in_is_listed_and_runs(package):
    folder, _ = package
    (folder / "answers.json").write_text('{"What is the capital of Peru?": "Lima"}')
    assert "capitals of five countries" in run(package, "evals", "list", "tasks").stdout
    assert "lookup:FILE" in run(package, "evals", "list").stdout
    finished = run(package, "evals", "run", "--model", "lookup:answers.json", "--task", "capitals")
    assert finished.returncode == 1, finished.stderr  # four samples have no answer
    assert "20.00 %" in finished.stdout
    assert "4 failed" in finished.stdout


def test_the_public_names_are_those_that_the_modules_export():
    page = (DOCS / "writing-a-model-family.md").read_text(encoding="utf-8").partition("## Public names")[2]
    rows = dict(re.findall(r"^\| `([\w.]+)` \| (.*) \|$", page, re.M))
    for module in (evals, registry, schema, errors, metrics, data):
        names = set(re.findall(r"`(\w+)`", rows.pop(module.__name__)))
        assert names == set(getattr(module, "__all__", names)), module.__name__
        assert not [name for name in names if not hasattr(module, name)], module.__name__
    assert not rows
