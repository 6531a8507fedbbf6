"""Which package may import which, and what importing the suite costs."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest
from commands import HEAVY, ROOT, environ, process

UNUSED = {"filelock", "numpy", "evals.reports.runs.page", "evals.tasks.scoring.math_reading.answers"}
"""Modules that would make every command wait, and that these commands do not use."""
LEVELS = [
    {
        "errors",
        "garbage",
        "paths",
        "plain_numbers",
        "regular_files",
        "repeated_keys",
        "start_folder",
        "temporaries",
        "ties",
        "yaml_files",
    },
    {"schema", "statistics"},
    {"records", "registry"},
    {"data", "hooks", "metrics"},
    {"execution", "hub_metrics", "logs"},
    {"timing"},
    {"comparison"},
    {"app"},
]
"""The rooms of `evals` from the ground up: each imports those below it, and itself."""
SEEN_BY = {
    "tasks": {
        "errors", "plain_numbers", "regular_files", "schema", "registry", "data", "metrics", "statistics", "yaml_files",
        "records.embeddings", "timing.roofline", "ties", "timing.statistics", "timing.arrivals", "timing.load_metrics",
    },
    "models": {
        "errors", "garbage", "paths", "plain_numbers", "regular_files", "repeated_keys", "temporaries", "ties",
        "yaml_files", "schema", "registry", "data", "records.embeddings", "timing.roofline",
    },
    "reports": {
        "comparison", "errors", "logs", "paths", "plain_numbers", "records", "schema", "start_folder", "statistics",
        "temporaries", "timing.replays", "timing.statistics", "yaml_files",
    },
}  # fmt: skip
"""What the three packages import of the rest of `evals`."""
RENDERING_SEES = {"errors", "schema"}
"""Rendering is handed what it shows: it reads no record and computes no statistic."""
RECIPES_SEE = {"tasks", "statistics"}
"""Recipes train on the bundled benchmarks, in the words in which their tasks ask, and give their curves intervals."""
INSIDE = {
    "tasks": [{"glue_tasks"}, {"scoring"}, {"formats", "mini"}, {"request_rate"}, {"files", "*"}],
    "models": [
        {"decoding"},
        {"architectures", "endpoint"},
        {"backend", "replicas"},
        {"engines"},
        {"families", "variants"},
        {"attention"},
    ],
    "reports": [{"rendering"}, {"runs", "claims"}, {"choices", "exports", "gaps", "trends"}, {"", "*"}],
    "reports.claims": [{""}, {"language"}, {"evidence"}, {"verdicts"}, {"*"}, {"output"}],
}
"""The rooms inside a package from the ground up; `*` is every other module, "" the package itself."""


def modules() -> dict[str, Path]:
    """Every module of the project by its one name."""
    found = {}
    for parent, folders, names in os.walk(ROOT / "evals", followlinks=True):
        folders[:] = [folder for folder in folders if folder != "__pycache__"]
        for name in names:
            path = Path(parent, name)
            if path.suffix == ".py":
                found[".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")] = path
    return found


MODULES = modules()


def imported(source: str) -> set[str]:
    """Every module of the project that a source imports, also inside functions."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "a relative import"
            for alias in node.names:
                module = f"{node.module}.{alias.name}"
                found.add(module if module in MODULES else str(node.module))
    return {name for name in found if name.partition(".")[0] in {"evals", "tasks", "models", "reports"}}


def level(levels: list[set[str]], room: str) -> int:
    """How high a room lies; one that is not listed lies with `*`."""
    listed = set().union(*levels)
    return next(n for n, rooms in enumerate(levels) if (room if room in listed else "*") in rooms)


def broken(importer: str, module: str) -> str | None:
    """The rule that an import breaks, or None."""
    own, _, inner = importer.removeprefix("evals").lstrip(".").partition(".")
    other, _, its = module.removeprefix("evals").lstrip(".").partition(".")
    if not module.startswith("evals"):
        return "a module has one name, which begins with evals"
    if own in {"", "__main__"} or own == "app":
        return None
    if own not in SEEN_BY:
        if other in SEEN_BY:
            return "only app knows tasks, models and reports"
        return None if level(LEVELS, other or "app") <= level(LEVELS, own) else "a room imports those below it"
    if own != other:
        seen = SEEN_BY[own] | (RECIPES_SEE if inner.startswith("replicas") else set())
        if (own, inner.partition(".")[0]) == ("reports", "rendering"):
            seen = RENDERING_SEES
        name = module.removeprefix("evals.")
        return None if any(name == room or name.startswith(f"{room}.") for room in seen) else f"what {own} see"
    for package in (own, ".".join([own, inner.partition(".")[0]])):
        if package not in INSIDE or not its:
            continue
        rooms = [name.removeprefix(f"evals.{package}").lstrip(".").partition(".")[0] for name in (importer, module)]
        if module.startswith(f"evals.{package}") and level(INSIDE[package], rooms[0]) < level(
            INSIDE[package], rooms[1]
        ):
            return f"the order inside {package}"
    return None


@pytest.mark.parametrize("package", [*sorted(set().union(*LEVELS)), *SEEN_BY])
def test_imports_point_inwards(package):
    wrong = [
        f"{name} imports {module}: {rule}"
        for name, path in MODULES.items()
        if name == f"evals.{package}" or name.startswith(f"evals.{package}.")
        for module in sorted(imported(path.read_text(encoding="utf-8")))
        if (rule := broken(name, module)) is not None
    ]
    assert wrong == []


def test_the_rules_would_notice():
    assert broken("evals.tasks.vqa", "evals.reports.runs.page")
    assert broken("evals.tasks.vqa", "tasks.glue")
    assert broken("evals.models.families.causal", "evals.records.folder")
    assert broken("evals.execution.loop", "evals.tasks.vqa")
    assert broken("evals.records.folder", "evals.execution.loop")
    assert broken("evals.models.decoding.engine", "evals.models.families.causal")
    assert broken("evals.reports.rendering.formatting", "evals.reports.runs.contents")
    assert broken("evals.reports.rendering.formatting", "evals.records.folder")
    assert broken("evals.reports.rendering.svg", "evals.statistics.bootstrap")
    assert not broken("evals.reports.runs.contents", "evals.records.folder")
    assert broken("evals.reports.claims.language.schema", "evals.reports.claims.verdicts")
    assert not broken("evals.tasks.vqa", "evals.schema")
    assert not broken("evals.reports.claims.output.page", "evals.reports.claims.verdicts")


@pytest.mark.parametrize(
    "arguments",
    [["--help"], ["list"], ["list", "tasks"], ["list", "claims"], ["run", "--help"], ["show", "none"], ["run"]],
)
def test_start_up_loads_nothing_heavy(arguments):
    code = (
        "import sys\nfrom evals.app.cli import main\n"
        f"try:\n    main({arguments!r})\nexcept SystemExit:\n    pass\n"
        f"print(sorted({HEAVY | UNUSED!r} & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=environ(), cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stderr.strip().splitlines()[-1] == "[]"


def test_the_start_up_test_would_notice():
    code = f"import sys, PIL\nprint(sorted({HEAVY!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "['PIL']"


@pytest.mark.parametrize("name", ["tasks.py", "models/__init__.py", "reports/__init__.py"])
def test_a_folder_of_the_users_may_have_our_names(tmp_path, name):
    own = tmp_path / name
    own.parent.mkdir(exist_ok=True)
    own.write_text("raise SystemExit('the user's own file ran')")
    done = process("list", "tasks", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "vqa" in done.stdout
