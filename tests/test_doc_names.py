"""Names in README and docs/ exist in the code, and README shows what its command prints."""

from __future__ import annotations

import ast
import importlib
import inspect
import re

import pytest
from commands import ROOT

from evals import records
from evals.reports.runs import tables
from evals.start_folder import shown as as_shown

DOCS, BASELINE = ROOT / "docs", ROOT / "reports" / "baseline" / "records"
_TERM = re.compile(r"^\| .+ \| (?P<names>(?:`evals[\w.]*`(?:, )?)+) \|$", re.M)
_STEP = re.compile(r"^\| +\d+ \| .+ \| \[.+\]\(\.\./(?P<path>[\w/.]+)\) \| (?P<names>.+) \|$", re.M)
MOST_FILES = 10


def found(name):
    """Whether a dotted name is a module, or an attribute or a declared field of one."""
    parts = name.split(".")
    for count in range(len(parts), 0, -1):
        try:
            thing = importlib.import_module(".".join(parts[:count]))
        except ModuleNotFoundError:
            continue
        for attribute in parts[count:]:
            if hasattr(thing, attribute):
                thing = getattr(thing, attribute)
            else:
                return attribute in inspect.get_annotations(thing) or attribute in getattr(thing, "model_fields", {})
        return True
    return False


def defined(path):
    """The functions, classes and methods of a file; a method as `Class.method`."""
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    kinds = (ast.FunctionDef, ast.ClassDef)
    top = [node for node in tree.body if isinstance(node, kinds)]
    inner = [(node, child) for node in top if isinstance(node, ast.ClassDef) for child in node.body]
    names = {node.name for node in top}
    return names | {f"{node.name}.{child.name}" for node, child in inner if isinstance(child, kinds)}


def test_each_name_of_the_glossary_exists():
    text = (DOCS / "glossary.md").read_text(encoding="utf-8")
    terms = _TERM.findall(text)
    rows = [line for line in text.splitlines() if line.startswith("| ") and not line.startswith("| term |")]
    assert len(terms) == len(rows) >= 50
    names = [name for row in terms for name in re.findall(r"`([\w.]+)`", row)]
    assert [name for name in names if not found(name)] == []


def test_a_name_that_does_not_exist_would_be_noticed():
    assert found("evals.schema.Sample.target")
    assert not found("evals.schema.Sample.goal")
    assert not found("evals.schemes.Sample")


def test_the_glossary_has_each_term_once():
    terms = re.findall(r"^\| ([^|`]+?) \|", (DOCS / "glossary.md").read_text(encoding="utf-8"), re.M)
    named = [term for term in terms if term not in {"term", "---"}]
    assert len(named) == len(set(named))


@pytest.mark.parametrize("path", ["sample", "claim", "endpoint request"])
def test_each_step_of_a_path_through_the_code_is_there(path):
    text = (DOCS / "how-a-run-works.md").read_text(encoding="utf-8")
    section = re.search(rf"^## The life of an? {path}\n(.*?)(?=^## |\Z)", text, re.S | re.M)[1]
    steps = _STEP.findall(section)
    assert len(steps) == len(re.findall(r"^\| +\d+ \|", section, re.M)) > 5
    assert len({file for file, _ in steps}) <= MOST_FILES
    for file, names in steps:
        missing = set(re.findall(r"`([\w.]+)`", names)) - defined(file)
        assert not missing, f"{file} has no {', '.join(sorted(missing))}"


def test_each_file_that_is_named_exists():
    for page in sorted(DOCS.glob("*.md")):
        for name in re.findall(
            r"`((?:evals|tasks|models|reports|tests|docs)/[\w/.-]+\.(?:py|md|yaml))`", page.read_text()
        ):
            assert (ROOT / name).is_file(), f"{page.name} names {name}"


def test_the_front_page_shows_what_its_command_prints():
    """README's output, but for the lines that it leaves out, is made from the baseline's record of that command."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    shown = re.search(r"^```text\n(Mini scale: vl .*?)^```", text, re.S | re.M)[1]
    printed = tables.render([records.load(BASELINE / "vl-vqa")], "text").replace(
        str(as_shown(BASELINE / "vl-vqa")), "runs/vl-vqa-…"
    )
    assert [line for line in shown.splitlines() if line != "…" and line not in printed.splitlines()] == []
