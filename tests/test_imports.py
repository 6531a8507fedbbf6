"""Who may import whom, and what costs time at start-up."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest
from commands import ROOT, environ, evals

PACKAGES = ("evals", "tasks", "models", "reports")
MACHINE = {
    "evals.schema", "evals.metrics", "evals.data", "evals.errors", "evals.registry", "evals.vectors", "evals.ranking",
    "evals.pictures", "evals.sounds", "evals.floors",
}  # fmt: skip
RECORDED = {"evals.records", "evals.schema", "evals.vectors", "evals.errors"}
ALLOWED = {
    "tasks": {*MACHINE, "evals.stats", "evals.timings", "evals.grading", "evals", "tasks"},
    "models": {*MACHINE, "evals", "models"},
    "reports": {
        *RECORDED,
        "evals.stats",
        "evals.timings",
        "evals.power",
        "evals.paired",
        "evals.decisions",
        "evals.comparison",
        "reports",
    },
    "evals": {"evals"},
}
KNOW_ALL = {"evals/cli.py", "evals/api.py", "evals/checking.py"}
"""The commands, and the calls behind them."""
RECIPES = "models/replicas/"
"""Recipes train on the bundled benchmarks, in the words in which their tasks ask, and give their curves intervals."""
HEAVY = {"torch", "transformers", "datasets", "evaluate", "matplotlib", "PIL", "pyarrow", "scipy", "sklearn", "sympy"}


def imported(path: Path) -> list[str]:
    """Every module of the project that a file imports, also inside functions."""
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            found += [f"{node.module}.{alias.name}" for alias in node.names]
    return [name for name in found if name.partition(".")[0] in PACKAGES]


def allowed(name: str, permitted: set[str]) -> bool:
    """Whether a dotted name is one of the permitted modules or something in one."""
    return any(name == module or name.startswith(f"{module}.") for module in permitted - {"evals"}) or (
        "evals" in permitted and name.startswith("evals.") and name.count(".") == 1 and name.split(".")[1][0].isupper()
    )


@pytest.mark.parametrize("package", PACKAGES)
def test_imports_point_inwards(package):
    for path in sorted((ROOT / package).rglob("*.py")):
        name = str(path.relative_to(ROOT))
        if name in KNOW_ALL:
            continue
        permitted = {"evals"} if package == "evals" else ALLOWED[package]
        for module in imported(path):
            if package == "evals":
                assert module.startswith("evals"), f"{name} imports {module}"
            elif not (name.startswith(RECIPES) and module.startswith(("tasks.", "evals.stats."))):
                assert allowed(module, permitted), f"{name} imports {module}"


def test_the_rule_would_notice():
    assert not allowed("reports.page", ALLOWED["tasks"])
    assert not allowed("evals.records", ALLOWED["models"])
    assert allowed("evals.schema.Task", ALLOWED["tasks"])
    assert allowed("evals.Image", ALLOWED["tasks"])


@pytest.mark.parametrize(
    "arguments",
    [["--help"], ["list"], ["list", "tasks"], ["list", "claims"], ["run", "--help"], ["show", "none"], ["run"]],
)
def test_start_up_loads_nothing_heavy(arguments):
    code = (
        "import sys\nfrom evals.cli import main\n"
        f"try:\n    main({arguments!r})\nexcept SystemExit:\n    pass\n"
        f"print(sorted({HEAVY!r} & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=environ(), cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stderr.strip().splitlines()[-1] == "[]"


def test_the_start_up_test_would_notice():
    code = f"import sys, PIL\nprint(sorted({HEAVY!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "['PIL']"


@pytest.mark.parametrize("name", ["tasks.py", "models/__init__.py"])
def test_a_stray_file_of_our_name_is_named_not_imported(tmp_path, name):
    stray = tmp_path / name
    stray.parent.mkdir(exist_ok=True)
    stray.write_text("raise SystemExit('the stray file ran')")
    done = evals("list", cwd=tmp_path)
    assert done.returncode == 2, done.stderr
    assert str(stray) in done.stderr
    assert "ran" not in done.stdout + done.stderr.replace("run from", "")


def test_what_is_public_can_be_had():
    import evals as package

    assert sorted(package.__all__) == package.__all__
    for name in package.__all__:
        assert getattr(package, name) is not None
    with pytest.raises(AttributeError, match="nothing"):
        _ = package.nothing
