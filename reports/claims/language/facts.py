"""Public facts and the vocabulary: the models of `reports/claims/facts/*.yaml`.

PublicRecord  sources, subjects, facts     record.yaml, devices.yaml
Fact          Statement + source, state
Vocabulary    units, quantities, tasks     vocabulary.yaml
"""

from __future__ import annotations

import datetime
from typing import Annotated, Literal

from pydantic import Field, model_validator

from evals.reports.claims.language.expressions import FACT_ID
from evals.reports.claims.language.statements import Line, Statement, StrictModel, Words

COMPARISONS = frozenset({"interval", "binary", "figures", "equal", "set", "ordering", "attribution"})
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
    - `binary`: numbers whose thousands may be 1,024 (a context of 128K is 128,000 or 131,072); as `interval` otherwise;
    - `figures`: numbers; printed values that differ though their bounds allow both (at most 18 beside 16) are a note;
    - `equal`: words; they conflict if they differ;
    - `set`: sets of words, with bounds; they conflict if no set satisfies both;
    - `ordering`: orders of words; they conflict if two words are in the opposite order;
    - `attribution`: which subject a value belongs to; a word, or the same printed digits, that two documents state of
      disjoint groups of subjects is a note and never a conflict."""
    unit: str | None = None
    """The unit of its numbers; a claim's unit must have the same dimension."""
    score: bool | None = None
    """Whether its values depend on the protocol of an evaluation; default: those in percent or points do."""

    @property
    def is_score(self) -> bool:
        """Whether its values depend on the protocol of an evaluation."""
        return self.score if self.score is not None else self.unit in {"percent", "points"}

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
    read_again: datetime.date | None = None
    """The day on which its facts were last compared with it, each in its line or page."""
    not_read_again: datetime.date | None = None
    """The day on which that was tried and the source could not be had; the facts are as first read."""

    @model_validator(mode="after")
    def _read_or_not(self) -> FactSource:
        if (self.read_again is None) == (self.not_read_again is None):
            raise ValueError("needs 'read_again', or 'not_read_again' if it could not be had")
        return self


class Fact(Statement):
    """A publicly known statement about a subject."""

    id: Annotated[str, Field(pattern=rf"^{FACT_ID}$")]
    """In small letters: `r1-layers`."""
    state: Literal["known", "absent", "unreadable"] = "known"
    """`absent`: the sources were read and do not state it; `unreadable`: a source that may state it was not read."""
    source: Words
    """The ids of the file's `sources` that state it."""
    where: str | None = None
    """The place in the source."""
    line: int | None = Field(default=None, ge=1)
    """The line in the source's file at its revision."""
    note: str | None = None
    """A remark for readers."""


class PublicRecord(StrictModel):
    """A file of facts: `reports/claims/facts/record.yaml` or `devices.yaml`."""

    sources: dict[str, FactSource]
    """The sources by id."""
    subjects: dict[str, Subject]
    """The subjects by id."""
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
    chance: dict[str, float] = Field(default_factory=dict)
    """The accuracy of guessing at tasks with a fixed number of equally weighted answers, as a fraction."""
