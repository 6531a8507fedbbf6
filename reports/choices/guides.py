"""Guides: the advice of a document on which model to choose, as data.

    load("a") -> Guide     bundled() -> the names of the bundled guides

A guide is a YAML file of `reports/guides/`, or a user's. Each row has the quote, the advised system, the tasks that
stand for its condition, and what counts there: quality, latency, price or memory, or a limit of memory.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from evals.errors import InputError, UnknownName
from evals.reports.choices import amounts
from evals.reports.claims.language.statements import StrictModel
from evals.reports.claims.language.yaml_lines import read

FOLDER = Path(__file__).parent.parent / "guides"
Preference = Literal["quality", "latency", "price", "memory"]


class GuideInfo(StrictModel):
    """The document of a guide."""

    id: str = Field(pattern=r"^[a-z][a-z0-9-]*$")
    title: str
    source: str | None = None
    systems: dict[str, str] = Field(min_length=1)
    """The model that is run for each system of the document."""


class MemoryLimit(StrictModel):
    """A limit of memory that the advised system keeps, or exceeds."""

    at_most: str | None = Field(default=None, alias="at-most")
    above: str | None = None

    @model_validator(mode="after")
    def _has_one_side(self) -> MemoryLimit:
        if (self.at_most is None) == (self.above is None):
            raise ValueError("memory has one of at-most and above")
        try:
            amounts.size(self.at_most or self.above or "")
        except InputError as error:
            raise ValueError(str(error)) from None
        return self

    @property
    def bytes(self) -> float:
        """The limit."""
        return amounts.size(self.at_most or self.above or "")


class Advice(StrictModel):
    """One row of a guide."""

    id: str
    """The ID of the claim, as in the document's claims file."""
    part: str = ""
    """Which part of the claim it is, where it gives several pieces of advice."""
    quote: str
    line: int | None = None
    says: str
    choose: str
    """The advised system."""
    over: tuple[str, ...] = ()
    """The alternatives; by default all other systems of the guide."""
    tasks: tuple[str, ...] = ()
    """What stands for the condition of the advice."""
    prefer: tuple[Preference, ...] = ()
    """What counts: the advised system is better in one of these, and worse in none."""
    memory: MemoryLimit | None = None
    untestable: str | None = None
    """Why nothing that is registered can test it."""

    @model_validator(mode="after")
    def _is_complete(self) -> Advice:
        if self.untestable is None and not (self.tasks and (self.prefer or self.memory)):
            raise ValueError(f"{self.id}: give tasks with prefer or memory, or untestable with the reason")
        if self.prefer and self.memory:
            raise ValueError(f"{self.id}: give prefer or memory, not both: one piece of advice has one reason")
        for field, names in (("over", self.over), ("tasks", self.tasks), ("prefer", self.prefer)):
            if repeated := next((name for name in names if names.count(name) > 1), None):
                raise ValueError(f"{self.id}: {field} names {repeated!r} twice")
        if self.choose in self.over:
            raise ValueError(f"{self.id}: over names the advised system {self.choose!r}, an alternative to itself")
        return self

    @property
    def name(self) -> str:
        """The ID, with the part."""
        return f"{self.id} ({self.part})" if self.part else self.id


class Guide(StrictModel):
    """The advice of a document."""

    guide: GuideInfo
    advice: tuple[Advice, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _knows_its_systems(self) -> Guide:
        for row in self.advice:
            for name in (row.choose, *row.over):
                if name not in self.guide.systems:
                    raise ValueError(str(UnknownName("system of the guide", name, self.guide.systems)))
        by_model: dict[str, str] = {}
        for system, model in self.guide.systems.items():
            if by_model.setdefault(model, system) != system:
                raise ValueError(f"the systems {by_model[model]!r} and {system!r} are one model, {model!r}")
        names = [row.name for row in self.advice]
        for row in self.advice:
            if names.count(row.name) > 1:
                raise ValueError(f"two pieces of advice are named {row.name}: give each a part")
            if row.prefer and not self.alternatives(row):
                raise ValueError(f"{row.name}: there is no alternative to {row.choose!r}, the guide's only system")
        return self

    def model(self, system: str) -> str:
        """Return the model that is run for a system."""
        return self.guide.systems[system]

    def alternatives(self, row: Advice) -> list[str]:
        """Return the models of the systems that a row does not advise."""
        others = row.over or tuple(name for name in self.guide.systems if name != row.choose)
        return [self.model(name) for name in others]

    @property
    def tasks(self) -> list[str]:
        """The tasks that any row needs, each once."""
        return list(dict.fromkeys(task for row in self.advice for task in row.tasks))

    @property
    def models(self) -> list[str]:
        """The models that any testable row needs, each once."""
        rows = [row for row in self.advice if row.untestable is None]
        return list(dict.fromkeys(name for row in rows for name in (self.model(row.choose), *self.alternatives(row))))


def bundled() -> list[str]:
    """Return the names of the bundled guides."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def load(name: str) -> Guide:
    """Read a guide.

    Args:
        name: the name of a bundled guide, or a YAML file.

    Raises:
        InputError: there is no such guide, or the file has a mistake; the message gives its line.

    Example:
        >>> load("a").models
        ['v3-seq2seq', 'r1-moe']
    """
    if name in bundled():
        return read(FOLDER / f"{name}.yaml").build(Guide)
    if not name.endswith((".yaml", ".yml")):
        raise UnknownName("guide", name, [*bundled(), "FILE.yaml"])
    return read(Path(name).expanduser()).build(Guide)
