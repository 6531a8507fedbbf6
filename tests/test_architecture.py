"""Rules about the whole code: names, sizes, folders. Each rule is shown to notice a violation."""

from __future__ import annotations

import ast
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest
from commands import ROOT

PACKAGES = ("evals", "tasks", "models", "reports")
MAX_MODULE_LINES = 350
MAX_FUNCTION_LINES = 60
MAX_POSITIONAL = 6
MAX_MODULES = 14
"""About a dozen modules in a folder, its `__init__` not counted."""

OLD_WORDS = {
    "demands": "ResourceRequirements",
    "endings": "continuations",
    "hands": "a daemon thread pool by its name",
    "heed": "follow, use",
    "ledger": "ValueTable",
    "picture": "image",
    "pictures": "images",
    "said": "Assertion, or what it holds",
    "sound": "audio",
    "sounds": "audio",
    "ticket": "BatchId",
    "tickets": "batch IDs",
    "told": "what it holds",
    "weigh": "score, log-likelihood",
    "weighed": "scored, log-likelihood",
    "weighing": "log-likelihood",
    "weighs": "scores, log-likelihood",
}
"""A word that no identifier may contain, and what stands in its place (docs/glossary.md)."""
OLD_NAMES = {
    "APART": "CONFLICT",
    "Emit": "on_batch",
    "Job": "RunSpec",
    "Kept": "CheckArchive",
    "Outcome": "RunOutcome",
    "Reader": "Probe",
    "Speeds": "DevicePeaks",
    "Walk": "WorkerPass",
    "answer_ids": "output_ids",
    "each": "what it holds",
    "found": "what it holds",
    "given": "what it holds",
    "one": "what it holds",
    "own": "what it holds",
    "them": "what they are",
}
"""An identifier that may not be used as it stands; it may be part of a longer one."""


class Module:
    """A module of the project: where it lies, its lines, its syntax tree."""

    def __init__(self, path: str, text: str) -> None:
        self.path = path
        self.text = text
        self.tree = ast.parse(text)

    @property
    def nodes(self) -> Iterator[ast.AST]:
        return ast.walk(self.tree)


def modules() -> list[Module]:
    """Every module of the four packages, by its real path."""
    paths = [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]
    real = [path for path in paths if path.resolve() == path]
    return [Module(str(path.relative_to(ROOT)), path.read_text(encoding="utf-8")) for path in real]


@pytest.fixture(scope="module")
def project():
    return modules()


# Names


def words(identifier: str) -> set[str]:
    """The words of an identifier in snake_case, CamelCase or kebab-case, in lower case."""
    return {word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", identifier)}


def identifiers(module: Module) -> Iterator[tuple[int, str]]:
    """Every name that a module defines, with its line: its own, and those of what it binds, stores and imports as."""
    yield from ((1, part) for part in Path(module.path).with_suffix("").parts)
    for node in module.nodes:
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                yield node.lineno, name
            case ast.arg(arg=name):
                yield node.lineno, name
            case ast.Name(id=name, ctx=ast.Store()) | ast.Attribute(attr=name, ctx=ast.Store()):
                yield node.lineno, name
            case ast.ExceptHandler(name=str(name)) | ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)):
                yield node.lineno, name
            case ast.Import(names=aliases) | ast.ImportFrom(names=aliases):
                yield from ((node.lineno, alias.asname) for alias in aliases if alias.asname)
            case ast.Call(args=[ast.Constant(value=str(name)), *_]) if re.fullmatch(r"--[a-z-]+", name):
                yield node.lineno, name


def old_names(module: Module) -> list[str]:
    """Identifiers that have an old name, each with its place and the new one."""
    offenders = []
    for line, name in identifiers(module):
        replaced = OLD_NAMES.get(name.strip("_")) or next(
            (OLD_WORDS[word] for word in sorted(words(name)) if word in OLD_WORDS), None
        )
        if replaced:
            offenders.append(f"{module.path}:{line}: {name}, now {replaced}")
    return offenders


def test_no_identifier_has_an_old_name(project):
    assert [offender for module in project for offender in old_names(module)] == []


@pytest.mark.parametrize(
    "source",
    [
        "class Ticket: pass",
        "def weigh(prompts): pass",
        "def load(picture_share): pass",
        "async def pictures(): pass",
        "found = {}",
        "for own in range(3): pass",
        "self.endings = []",
        "class Job: pass",
        "import claims as ledger",
        "parser.add_argument('--sounds')",
        "lambda told: None",
        "try: pass\nexcept ValueError as said: pass",
        "match 1:\n    case hands: pass",
        "_APART = 1",
    ],
)
def test_an_old_name_would_be_noticed(source):
    assert len(old_names(Module("evals/new.py", source))) == 1
    assert old_names(Module("models/weighing.py", ""))


def test_prose_and_other_names_are_left_alone():
    source = '"""The picture that was found."""\nbox = "pictures told"\nfoundation = one_line(image)\n'
    assert old_names(Module("evals/new.py", source)) == []


# Classes


def public_classes(module: Module) -> Iterator[str]:
    """Every public class of a module, and every type alias written as an assignment of a capitalised name."""
    for node in module.nodes:
        match node:
            case (
                ast.ClassDef(name=name)
                | ast.Assign(targets=[ast.Name(id=name)])
                | ast.AnnAssign(target=ast.Name(id=name), value=ast.expr())
            ):
                if name[0].isupper() and not name.isupper():
                    yield name


def defined_twice(project: list[Module]) -> list[str]:
    """Public classes with one name in two modules. Each recipe may have a `Recipe` and a `Course` of its own."""
    places = defaultdict(list)
    for module in project:
        recipe = module.path.startswith("models/replicas/recipes/")
        for name in public_classes(module):
            if not (recipe and name in {"Recipe", "Course"}):
                places[name].append(module.path)
    return [f"{name}: {', '.join(paths)}" for name, paths in sorted(places.items()) if len(paths) > 1]


def test_no_public_class_is_defined_twice(project):
    assert defined_twice(project) == []


def test_a_class_that_is_defined_twice_would_be_noticed():
    sources = ["class Answer: pass", "Answer = str | None", "Row = dict[str, int]", "class _Row: pass"]
    twice = defined_twice([Module(f"tasks/{n}.py", source) for n, source in enumerate(sources)])
    assert twice == ["Answer: tasks/0.py, tasks/1.py"]


# Sizes


def too_large(module: Module) -> list[str]:
    """What of a module is over a limit: the module, a function, the positional arguments of a call."""
    offenders = []
    lines = module.text.count("\n")
    if lines > MAX_MODULE_LINES:
        offenders.append(f"{module.path}: {lines} lines")
    for node in module.nodes:
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef() if node.end_lineno - node.lineno > MAX_FUNCTION_LINES:
                offenders.append(f"{module.path}:{node.lineno}: {node.name} has {node.end_lineno - node.lineno} lines")
            case ast.Call() if len(node.args) > MAX_POSITIONAL:
                offenders.append(f"{module.path}:{node.lineno}: a call with {len(node.args)} positional arguments")
    return offenders


def test_nothing_is_too_large(project):
    assert [offender for module in project for offender in too_large(module)] == []


@pytest.mark.parametrize(
    "source",
    ["#\n" * 351, "def f():\n" + "    pass\n" * 61, "async def f():\n" + "    pass\n" * 61, "f(1, 2, 3, 4, 5, 6, 7)"],
)
def test_what_is_too_large_would_be_noticed(source):
    assert len(too_large(Module("evals/new.py", source))) == 1


@pytest.mark.parametrize(
    "source", ["#\n" * 350, "def f():\n" + "    pass\n" * 60, "f(1, 2, 3, 4, 5, 6, name=7)", "f(1, 2, 3, 4, 5, 6)"]
)
def test_what_is_just_small_enough_passes(source):
    assert too_large(Module("evals/new.py", source)) == []


# Rooms


def crowded(paths: list[str]) -> list[str]:
    """Folders with more than about a dozen modules."""
    counts: dict[str, int] = defaultdict(int)
    for path in map(Path, paths):
        counts[str(path.parent)] += path.name != "__init__.py"
    return [f"{folder} has {count} modules" for folder, count in sorted(counts.items()) if count > MAX_MODULES]


def test_no_room_is_crowded(project):
    assert crowded([module.path for module in project]) == []


def test_a_crowded_room_would_be_noticed():
    paths = ["tasks/__init__.py", *(f"tasks/{n}.py" for n in range(MAX_MODULES))]
    assert crowded(paths) == []
    assert crowded([*paths, "tasks/more.py"]) == [f"tasks has {MAX_MODULES + 1} modules"]


def same_names(paths: list[str]) -> list[str]:
    """File names of tests that occur in two folders: pytest imports a test file by its name alone."""
    counts = Counter(Path(path).name for path in paths)
    return sorted(name for name, count in counts.items() if count > 1)


def test_no_two_test_files_have_one_name():
    paths = [str(path) for path in (ROOT / "tests").rglob("test_*.py")]
    assert len(paths) > 50
    assert same_names(paths) == []


def test_two_test_files_of_one_name_would_be_noticed():
    assert same_names(["tests/a/test_x.py", "tests/b/test_x.py", "tests/test_y.py"]) == ["test_x.py"]


def sentences(docstring: str) -> int:
    """How many sentences a docstring has; a full stop inside a name or a path ends none."""
    prose = re.sub(r"`[^`]*`", "x", docstring)
    return len(re.findall(r"[.:!?](?=\s|$)", prose))


def unexplained(module: Module) -> list[str]:
    """A package whose docstring does not say in three sentences what it is for, what it imports, where to start."""
    if not module.path.endswith("__init__.py"):
        return []
    count = sentences(ast.get_docstring(module.tree) or "")
    return [f"{module.path}: {count} sentences"] if count < 3 else []


def test_each_package_says_what_it_is_for(project):
    assert [offender for module in project for offender in unexplained(module)] == []


def test_a_package_without_explanation_would_be_noticed():
    assert unexplained(Module("evals/new/__init__.py", ""))
    assert unexplained(Module("evals/new/__init__.py", '"""Runs. Start with `loop.py`."""'))
    explained = '"""Runs. May import the schema. Start with `loop`."""'
    assert not unexplained(Module("evals/new/__init__.py", explained))
    assert not unexplained(Module("evals/new.py", ""))
