"""Claims and facts from YAML, with every mistake named by file and line.

    load("my-claims.yaml")   -> Document     load_record() -> Record     load_vocabulary() -> Vocabulary

A file is read as a tree of nodes that know their lines. The models of `reports.claims` check its shape, then this
module checks that every name exists: subjects, quantities, units, tasks, metrics, facts, claims, and those in
expressions. The first mistake is an `InputError` of one line.
"""

from __future__ import annotations

import difflib
import functools
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from evals.errors import InputError, UnknownName
from reports.claims import Claim, Document, Model, Record, Statement, Vocabulary
from reports.expressions import Call, Expression, Negation, Number, Operation, parse, references

FOLDER = Path(__file__).with_name("claims")
"""Where the documents of the project are."""
RECORD = Path(__file__).with_name("record.yaml")
DEVICES = Path(__file__).with_name("devices.yaml")
VOCABULARY = Path(__file__).with_name("vocabulary.yaml")

_VERBATIM = {"printed", "implied", "upto", "margin"}
"""Keys whose digits are kept as they are written, quoted or not: 78.30 is not 78.3."""
Location = tuple[str | int, ...]
M = TypeVar("M", bound=BaseModel)


def load(path: Path | str, *, subjects: Collection[str] = (), tasks: Collection[str] = ()) -> Document:
    """Read a document's claims.

    Args:
        path: a YAML file in the format of `reports/claims/README.md`.
        subjects: names of registered models, which claims may be about without declaring them.
        tasks: names of registered tasks beyond those of the vocabulary (plug-ins); their metrics are not checked.

    Raises:
        InputError: naming the file, the line, what came and what was allowed.

    Example:
        >>> load("no.yaml")
        Traceback (most recent call last):
            ...
        evals.errors.InputError: no.yaml: no such file
    """
    source = _read(Path(path))
    document = source.build(Document)
    document = document.model_copy(
        update={"claims": tuple(_with_subject(claim, document) for claim in document.claims)}
    )
    _Names(source, document, subjects, tasks).check()
    return document


def _with_subject(claim: Claim, document: Document) -> Claim:
    """Give a claim that names no subject that of the claims it is derived from."""
    if claim.subject:
        return claim
    try:
        inputs = {reference.id for reference in references(parse(claim.derive))} if claim.derive else set()
    except InputError:  # named with its line when expressions are checked
        inputs = set()
    against = claim.baseline or (claim.measure and claim.measure.baseline)
    found = {subject for other in document.claims if other.id in inputs for subject in other.subject} - {against}
    return claim.model_copy(update={"subject": tuple(sorted(found)) or ("document",)})


def bundled() -> list[Path]:
    """List the files of the project's own documents, in the order of their names."""
    return sorted(FOLDER.glob("*.yaml"))


@functools.cache
def load_vocabulary() -> Vocabulary:
    """Read `reports/vocabulary.yaml`."""
    return _read(VOCABULARY).build(Vocabulary)


@functools.cache
def load_record() -> Record:
    """Read the public record and the device facts, as one."""
    both = [_facts(path) for path in (RECORD, DEVICES) if path.exists()]
    return Record(
        sources={key: value for record in both for key, value in record.sources.items()},
        subjects={key: value for record in both for key, value in record.subjects.items()},
        facts=tuple(fact for record in both for fact in record.facts),
    )


def _facts(path: Path) -> Record:
    source = _read(path)
    record = source.build(Record)
    vocabulary = load_vocabulary()
    _no_repetition(source, "facts", "fact", [fact.id for fact in record.facts])
    for number, fact in enumerate(record.facts):
        at: Location = ("facts", number)
        source.known((*at, "source"), "source", fact.source, record.sources)
        for subject in fact.subject:
            source.known((*at, "subject"), "subject", subject, record.subjects)
        if fact.quantity:
            source.known((*at, "quantity"), "quantity", fact.quantity, vocabulary.quantities)
        if fact.unit:
            source.known((*at, "unit"), "unit", fact.unit, vocabulary.units)
        for reference in references(parse(fact.derive)) if fact.derive else ():
            source.known((*at, "derive"), "fact", reference.id, {fact.id for fact in record.facts})
    return record


@dataclass(frozen=True)
class _Source:
    """A YAML file as plain values, and the line of each."""

    path: Path
    values: Any
    lines: Mapping[Location, int]

    def at(self, location: Location) -> str:
        """Say where something is: the file and the line of the nearest part that has one."""
        while location and location not in self.lines:
            location = location[:-1]
        return f"{self.path}:{self.lines.get(location, 1)}"

    def refuse(self, location: Location, message: str) -> InputError:
        """Make the error for a mistake at a place, naming the claim or fact that it is in."""
        owner = ""
        if len(location) > 1 and location[0] in ("claims", "facts"):
            try:
                owner = f"{self.values[location[0]][location[1]]['id']} "
            except (KeyError, IndexError, TypeError):
                owner = ""
        return InputError(" ".join(f"{self.at(location)}: {owner}{message}".split()))

    def known(self, location: Location, kind: str, name: str, names: Collection[str]) -> None:
        """Check that a name exists."""
        if name not in names:
            raise self.refuse(location, _unknown(kind, name, names))

    def build(self, model: type[M]) -> M:
        """Make the model, or name the first mistake by its line."""
        try:
            return model.model_validate(self.values)
        except ValidationError as error:
            mistakes = [(tuple(found["loc"]), found) for found in error.errors(include_url=False)]
            location, found = min(mistakes, key=lambda mistake: self.lines.get(self._present(mistake[0]), 0))
            raise self.refuse(location, _mistake(location, found, model)) from None

    def _present(self, location: Location) -> Location:
        while location and location not in self.lines:
            location = location[:-1]
        return location


def _read(path: Path) -> _Source:
    """Read a file into values and lines."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read: {error}") from None
    try:
        node = yaml.compose(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise InputError(f"{path}:{line}: no YAML: {' '.join(str(error.problem).split())}") from None
    except yaml.YAMLError as error:
        raise InputError(f"{path}: no YAML: {' '.join(str(error).split())}") from None
    if not isinstance(node, yaml.MappingNode):
        raise InputError(f"{path}:1: holds no mapping; expected the keys 'document' and 'claims'")
    lines: dict[Location, int] = {}
    values = _values(path, node, (), lines)
    return _Source(path, values, lines)


_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def _values(path: Path, node: yaml.Node, location: Location, lines: dict[Location, int]) -> Any:
    """Turn a node into plain values, noting lines; refuse repeated keys and aliases that contain themselves."""
    lines.setdefault(location, node.start_mark.line + 1)
    if len(location) > 12:
        raise InputError(f"{path}:{node.start_mark.line + 1}: nested too deeply")
    if isinstance(node, yaml.SequenceNode):
        return [_values(path, item, (*location, number), lines) for number, item in enumerate(node.value)]
    if isinstance(node, yaml.MappingNode):
        found: dict[str, Any] = {}
        for key, value in node.value:
            line = key.start_mark.line + 1
            if not isinstance(key, yaml.ScalarNode):
                raise InputError(f"{path}:{line}: a key must be a word")
            if key.value in found:
                raise InputError(f"{path}:{line}: {key.value!r} is given twice")
            lines[(*location, key.value)] = line
            found[key.value] = _values(path, value, (*location, key.value), lines)
        return found
    if location and location[-1] in _VERBATIM and node.tag != "tag:yaml.org,2002:null":
        return node.value
    return _scalar(path, node)


def _scalar(path: Path, node: yaml.Node) -> Any:
    loader = yaml.SafeLoader("")
    try:
        return loader.construct_object(node)
    except (yaml.YAMLError, ValueError) as error:
        line = node.start_mark.line + 1
        raise InputError(f"{path}:{line}: {node.value!r} cannot be read: {' '.join(str(error).split())}") from None


def _mistake(location: Location, found: Mapping[str, Any], model: type[BaseModel]) -> str:
    """Say what one finding of pydantic means to the author of the file."""
    name, kind, given = str(location[-1]) if location else "", found["type"], found.get("input")
    if kind == "extra_forbidden":
        return _unknown("key", name, _keys(model, location[:-1]))
    if kind == "missing":
        return f"lacks {name!r}"
    if kind == "literal_error":
        return f"{name}: " + _unknown("word", str(given), re.findall(r"'([^']+)'", found["ctx"]["expected"]), "is")
    if kind == "string_pattern_mismatch":
        return f"{name}: {given!r} is not {_PATTERNS.get(name, 'of the form ' + found['ctx']['pattern'])}"
    message = str(found["msg"]).removeprefix("Value error, ")
    if kind == "value_error":
        return message
    return f"{name}: {_shown(given)}: {message[0].lower()}{message[1:]}"


_PATTERNS = {
    "id": "an id: a capital first and a number last for claims (B-59), small letters for facts and documents",
    **dict.fromkeys(("printed", "implied", "upto", "margin"), "a number; write its digits alone ('78.3', no unit)"),
}


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}…"


def _unknown(kind: str, name: str, names: Collection[str], verb: str = "is named") -> str:
    """Say that a name does not exist, with the near ones, or all when they are few."""
    near = difflib.get_close_matches(name, sorted(names), n=3, cutoff=0.5)
    if near:
        return f"no {kind} {verb} {name!r}; did you mean {' or '.join(map(repr, near))}?"
    if len(names) > 40:
        return f"no {kind} {verb} {name!r}; there are {len(names)}, none of them near"
    return str(UnknownName(kind, name, names)).replace("is named", verb)


def _keys(model: type[BaseModel], location: Location) -> list[str]:
    """List the keys that a mapping at a place may have."""
    from typing import get_args

    def inner(annotation: Any) -> type[BaseModel] | None:
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            return annotation
        return next((found for part in get_args(annotation) if (found := inner(part))), None)

    current: type[BaseModel] | None = model
    for step in location:
        field = current.model_fields.get(str(step)) if current else None
        if field is not None:
            current = inner(field.annotation)
    return sorted(field.alias or name for name, field in current.model_fields.items()) if current else []


def _no_repetition(source: _Source, group: str, kind: str, ids: list[str]) -> None:
    first: dict[str, int] = {}
    for number, id in enumerate(ids):
        if id in first:
            earlier = source.at((group, first[id], "id"))
            raise source.refuse((group, number, "id"), f"is the id of two {kind}s; the first is at {earlier}")
        first[id] = number


class _Names:
    """Checks that every name in a document exists."""

    def __init__(self, source: _Source, document: Document, subjects: Collection[str], tasks: Collection[str]) -> None:
        """Gather the names that exist."""
        vocabulary, record = load_vocabulary(), load_record()
        self.source, self.document = source, document
        self.subjects = {*subjects, *record.subjects, *document.document.subjects, "document"}
        self.quantities = {**vocabulary.quantities, **document.document.quantities}
        self.units = vocabulary.units
        self.tasks: dict[str, tuple[str, ...] | None] = {**dict.fromkeys(tasks), **vocabulary.tasks}
        self.facts = {fact.id for fact in record.facts}
        self.claims = {claim.id for claim in document.claims}

    def check(self) -> None:
        """Go through the claims. Raises `InputError` at the first name that does not exist."""
        _no_repetition(self.source, "claims", "claim", [claim.id for claim in self.document.claims])
        for number, claim in enumerate(self.document.claims):
            at: Location = ("claims", number)
            self.statement(at, claim)
            for place, implied in enumerate(claim.implies):
                self.statement((*at, "implies", place), implied)
                if not implied.quantity or not implied.subject:
                    raise self.source.refuse((*at, "implies", place), "implies needs a 'subject' and a 'quantity'")
            for location, text in self.expressions(at, claim):
                self.expression(location, text)
            self.measure(at, claim)
            for fact in claim.record.facts if claim.record else ():
                self.source.known((*at, "record", "facts"), "fact", fact, self.facts)
            for id in claim.untestable.premises if claim.untestable else ():
                self.source.known((*at, "untestable", "premises"), "claim", id, self.claims)

    def statement(self, at: Location, said: Statement) -> None:
        """Check the names of a statement."""
        for subject in said.subject:
            self.source.known((*at, "subject"), "subject", subject, self.subjects)
        if said.baseline:
            self.source.known((*at, "baseline"), "subject", said.baseline, self.subjects)
        if said.quantity:
            self.source.known((*at, "quantity"), "quantity", said.quantity, self.quantities)
        if said.unit:
            self.source.known((*at, "unit"), "unit", said.unit, self.units)
        if said.digits is not None and said.unit is None:
            raise self.source.refuse((*at, "printed"), f"gives {said.digits!r} without a 'unit'")

    def measure(self, at: Location, claim: Claim) -> None:
        """Check that what would be measured exists."""
        if (measure := claim.measure) is None:
            return
        where = (*at, "measure")
        self.source.known((*where, "task"), "task", measure.task, self.tasks)
        if measure.baseline:
            self.source.known((*where, "baseline"), "subject", measure.baseline, self.subjects)
        metrics = self.tasks[measure.task]
        if metrics is None or any(name.endswith("/") and measure.metric.startswith(name) for name in metrics):
            return
        self.source.known((*where, "metric"), f"metric of {measure.task}", measure.metric, metrics)

    def expressions(self, at: Location, claim: Claim) -> Iterator[tuple[Location, str]]:
        """Go through the expressions of a claim."""
        for location, statement in [(at, claim), *(((*at, "implies", n), s) for n, s in enumerate(claim.implies))]:
            if statement.derive:
                yield (*location, "derive"), statement.derive
        parts: list[tuple[str, tuple[Model, ...], tuple[str, ...]]] = [
            ("readings", claim.readings, ("reads",)),
            ("checks", claim.checks, ("left", "right")),
            ("resolutions", claim.resolutions, ("first", "second", "items")),
        ]
        for group, rows, fields in parts:
            for number, row in enumerate(rows):
                for field in fields:
                    if text := getattr(row, field):
                        yield (*at, group, number, field), text
        for number, text in enumerate(claim.attainable):
            yield (*at, "attainable", number), text

    def expression(self, location: Location, text: str) -> None:
        """Check that an expression can be read and that its claims, facts and units exist."""
        try:
            tree = parse(text)
        except InputError as error:
            raise self.source.refuse(location, f"{location[-1]}: {error}") from None
        for reference in references(tree):
            names = self.claims if reference.is_claim else self.facts
            self.source.known(location, "claim" if reference.is_claim else "fact", reference.id, names)
        for unit in _units(tree):
            if unit not in self.units and f"{unit}s" not in self.units:
                raise self.source.refuse(location, _unknown("unit", unit, self.units))


def _units(tree: Expression) -> Iterator[str]:
    """Go through the single units of an expression's numbers (`byte` and `parameter` of `2 byte/parameter`)."""
    match tree:
        case Number(_, unit) if unit:
            yield from re.findall(r"[A-Za-zµ%]+", unit)
        case Operation(_, left, right):
            yield from _units(left)
            yield from _units(right)
        case Negation(operand):
            yield from _units(operand)
        case Call(_, arguments):
            for argument in arguments:
                yield from _units(argument)
