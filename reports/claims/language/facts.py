"""Public facts and the vocabulary: the models of `reports/claims/facts/*.yaml`.

PublicRecord  sources, subjects, facts     record.yaml, devices.yaml
Fact          Statement + source, release, state
Vocabulary    units, quantities, tasks     vocabulary.yaml
"""

from __future__ import annotations

import datetime
from typing import Annotated, Literal

from pydantic import Field, model_validator

from evals.reports.claims.language.expressions import FACT_ID
from evals.reports.claims.language.statements import Line, Statement, StrictModel, Words

COMPARISONS = frozenset({"interval", "figures", "equal", "set", "ordering", "attribution"})
"""The rules of `Quantity.compare`."""


class Subject(StrictModel):
    """Something that documents make claims about."""

    name: Line
    """The name as the document writes it."""
    system: str | None = None
    """The model that is run for it: a registered model or `replay:FILE`. None: the registered model of the subject's
    name, or the one that the user names."""


class Quantity(StrictModel):
    """A property of a subject, and the rules by which two values of it are compared."""

    says: Line
    """A description."""
    compare: Words = ("interval",)
    """The rules; two statements on the same topic conflict if one of them finds that they cannot both be true:

    - `interval`: numbers; they conflict if the intervals that their roundings and bounds allow do not overlap;
    - `figures`: numbers; printed values that differ though their bounds allow both (at most 18 beside 16) are a note;
    - `equal`: words; they conflict if they differ;
    - `set`: sets of words, with bounds; they conflict if no set satisfies both;
    - `ordering`: orders of words; they conflict if two words are in the opposite order;
    - `attribution`: which subject a value belongs to; a word, or the same printed digits, that two documents state of
      disjoint groups of subjects is a note and never a conflict."""
    unit: str | None = None
    """The unit of its numbers; a claim's unit must have the same dimension."""

    @model_validator(mode="after")
    def _known_rules(self) -> Quantity:
        unknown = sorted({*self.compare} - COMPARISONS)
        if unknown:
            raise ValueError(f"{unknown[0]!r} is not a rule of comparison; known: {', '.join(sorted(COMPARISONS))}")
        return self


class FactSource(StrictModel):
    """A source of facts."""

    title: Line
    """Its title."""
    address: str | None = None
    """A web address; None for what was computed here."""
    revision: str | None = None
    """The commit or version that was read."""
    date: datetime.date | None = None
    """The date of reading or publication."""


class Fact(Statement):
    """A publicly known statement about a subject."""

    id: Annotated[str, Field(pattern=rf"^{FACT_ID}$")]
    """In small letters: `r1-layers`."""
    release: str | None = None
    """The release of the subject, if several share its name (`v2-lite`). A claim is supported if one release agrees
    with it, and contradicted only if none does."""
    state: Literal["known", "absent", "unreadable"] = "known"
    """`absent`: the sources were read and do not state it; `unreadable`: they could not be read."""
    source: Line
    """The ID of one of the file's `sources`."""
    where: str | None = None
    """The place in the source."""
    note: str | None = None
    """A remark for readers."""


class PublicRecord(StrictModel):
    """A file of facts: `reports/claims/facts/record.yaml` or `devices.yaml`."""

    sources: dict[str, FactSource]
    """The sources by ID."""
    subjects: dict[str, Subject]
    """The subjects by ID."""
    facts: tuple[Fact, ...]
    """The facts."""


class UnitDefinition(StrictModel):
    """The definition of a unit."""

    symbol: str
    """The symbol printed after a number."""
    is_: Line = Field(alias="is")
    """A factor and other units (`1e9 byte`)."""


class Vocabulary(StrictModel):
    """`reports/claims/facts/vocabulary.yaml`: the names that claims may use."""

    units: dict[str, UnitDefinition]
    """The units of values."""
    quantities: dict[str, Quantity]
    """The quantities of subjects."""
    tasks: dict[str, tuple[str, ...]]
    """The metrics of each task; a name that ends in `/` or `@` allows any continuation."""
