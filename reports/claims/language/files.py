"""Read claims files, public facts and the vocabulary from YAML.

    load("my-claims.yaml") -> Document    load_record() -> PublicRecord    load_vocabulary() -> Vocabulary

`yaml_lines` reads a file and remembers the line of each value, the models of `schema` and `facts` check its structure,
and `names` checks that every name in it exists. The first mistake is an `InputError` of one line that gives the file,
the line, and the nearest allowed names.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from evals.errors import InputError
from evals.reports.claims import FOLDER
from evals.reports.claims.language.expressions import parse, referenced_claims, references
from evals.reports.claims.language.facts import PublicRecord, Vocabulary
from evals.reports.claims.language.names import NameChecker
from evals.reports.claims.language.schema import Claim, Document
from evals.reports.claims.language.tables.expansion import expand, located
from evals.reports.claims.language.units import Units
from evals.reports.claims.language.value_checks import check_values
from evals.reports.claims.language.yaml_lines import YamlFile, no_repetition, read
from evals.yaml_files import Location

_FACTS = FOLDER / "facts"
RECORD, DEVICES, VOCABULARY = _FACTS / "record.yaml", _FACTS / "devices.yaml", _FACTS / "vocabulary.yaml"


def load(path: Path | str, *, subjects: Collection[str] = (), tasks: Collection[str] = ()) -> Document:
    """Read a claims file.

    Args:
        path: a YAML file in the format of `reports/claims/README.md`.
        subjects: names of registered models; claims may be about them without declaring them.
        tasks: names of registered tasks beyond those of the vocabulary (plug-ins); their metrics are not checked.

    Raises:
        InputError: the file has a mistake; the message gives the line, what it has, and what is allowed.

    Example:
        >>> load("no.yaml")
        Traceback (most recent call last):
            ...
        evals.errors.InputError: no.yaml: no such file
    """
    source = read(Path(path))
    document = source.build(Document)
    no_repetition(source, "claims", "claim", [claim.id for claim in document.claims])
    document = expand(source, document, load_vocabulary(), load_record())
    document = document.model_copy(
        update={"claims": tuple(_with_subject(claim, document) for claim in document.claims)}
    )
    names = NameChecker(
        source, document, vocabulary=load_vocabulary(), record=load_record(), subjects=subjects, tasks=tasks
    )
    names.check()
    check_values(source, document, names.quantities, vocabulary_units(), Path(path).parent)
    return _without_dropped(source, document)


def _without_dropped(source: YamlFile, document: Document) -> Document:
    """Leave out the claims that a reader dropped; what is kept must not be computed from them."""
    dropped = {claim.id for claim in document.claims if claim.review == "dropped"}
    if not dropped:
        return document
    for at, claim in located(document):
        needed = sorted({*referenced_claims(claim.derive)} & dropped) if claim.id not in dropped else []
        if needed:
            raise source.refuse((*at, "derive"), f"is computed from {needed[0]}, which is dropped")
    kept = tuple(claim for claim in document.claims if claim.id not in dropped)
    if not kept:
        raise InputError(f"{source.path}: every claim is dropped; nothing to check")
    return document.model_copy(update={"claims": kept})


def _with_subject(claim: Claim, document: Document) -> Claim:
    """Give a claim without a subject the subjects of the claims that it is derived from, except its baseline."""
    if claim.subject:
        return claim
    try:
        inputs = {reference.id for reference in references(parse(claim.derive))} if claim.derive else set()
    except InputError:  # reported with its line when expressions are checked
        inputs = set()
    against = claim.baseline or (claim.measure and claim.measure.baseline)
    subjects = {subject for other in document.claims if other.id in inputs for subject in other.subject} - {against}
    return claim.model_copy(update={"subject": tuple(sorted(subjects)) or ("document",)})


def bundled() -> list[Path]:
    """List the bundled claims files, sorted by name."""
    return sorted(FOLDER.glob("*.yaml"))


def default() -> list[Path]:
    """List the files that `check` reads by default: the two articles whose systems are registered models."""
    return [FOLDER / "a.yaml", FOLDER / "b.yaml"]


def editor_schema() -> str:
    """Return the JSON schema of claims files, with which editors complete and check while the author types.

    It is stored as `reports/claims/schema.json`. Names of subjects, facts and claims are only checked by `load`.
    """
    vocabulary = load_vocabulary()
    schema = Document.model_json_schema(by_alias=True)
    schema["title"] = "A document's claims"
    definitions = schema["$defs"]
    names = {"quantity": [*vocabulary.quantities], "task": [*vocabulary.tasks]}
    for model in definitions.values():
        properties = model.get("properties", {})
        for name, allowed in names.items():
            if name in properties:  # a document's own quantities and the tasks of plug-ins are allowed too
                properties[name] = {
                    "anyOf": [{"enum": allowed}, {"type": ["string", "null"]}],
                    **_text(properties[name]),
                }
        if "unit" in properties and "printed" in properties:
            properties["unit"] = {"enum": [*vocabulary.units, None], **_text(properties["unit"])}
    return json.dumps(schema, indent=1, ensure_ascii=False) + "\n"


def _text(property: Mapping[str, Any]) -> dict[str, Any]:
    return {"description": property["description"]} if "description" in property else {}


@functools.cache
def load_vocabulary() -> Vocabulary:
    """Read `reports/claims/facts/vocabulary.yaml`; each unit is also known by its symbol (`GB`, `s`, `%`)."""
    vocabulary = read(VOCABULARY).build(Vocabulary)
    symbols = {unit.symbol: unit for name, unit in vocabulary.units.items() if unit.symbol}
    return vocabulary.model_copy(update={"units": {**symbols, **vocabulary.units}})


@functools.cache
def vocabulary_units() -> Units:
    """Return the units of the vocabulary."""
    return Units({name: (unit.symbol, unit.is_) for name, unit in load_vocabulary().units.items()})


@functools.cache
def load_record() -> PublicRecord:
    """Read the public facts and those about devices as one record."""
    records = [_read_facts(path) for path in (RECORD, DEVICES) if path.exists()]
    return PublicRecord(
        sources={key: value for record in records for key, value in record.sources.items()},
        subjects={key: value for record in records for key, value in record.subjects.items()},
        facts=tuple(fact for record in records for fact in record.facts),
    )


def _read_facts(path: Path) -> PublicRecord:
    source = read(path)
    record = source.build(PublicRecord)
    vocabulary = load_vocabulary()
    no_repetition(source, "facts", "fact", [fact.id for fact in record.facts])
    for number, fact in enumerate(record.facts):
        at: Location = ("facts", number)
        for name in fact.source:
            source.require_known((*at, "source"), "source", name, record.sources)
        for subject in fact.subject:
            source.require_known((*at, "subject"), "subject", subject, record.subjects)
        if fact.quantity:
            source.require_known((*at, "quantity"), "quantity", fact.quantity, vocabulary.quantities)
        if fact.unit:
            source.require_known((*at, "unit"), "unit", fact.unit, vocabulary.units)
        for reference in references(parse(fact.derive)) if fact.derive else ():
            source.require_known((*at, "derive"), "fact", reference.id, {fact.id for fact in record.facts})
    return record
