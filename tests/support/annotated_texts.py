"""Articles with their numbers annotated by hand, and the scoring of a draft against them.

An annotation stands in the text: `⟦78.3 %¦78.3 percent¦Otter 2¦#a⟧` is the printed `78.3 %`, its value and unit, whom
it is about (several spellings with `/`), a label, or a relation: `=ratio(a,b)` holds, `!ratio(a,b)` does not.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

from evals.reports.claims.drafting.drafter import draft
from evals.reports.claims.drafting.readers.select import read
from evals.reports.claims.drafting.settling import settled_yaml
from evals.reports.claims.language.files import load, load_record, vocabulary_units

_MARK = re.compile(
    r"⟦(?P<printed>[^¦⟧]*)¦(?P<value>[^¦⟧]*)¦(?P<subject>[^¦⟧]*)(?:¦(?P<more>[^¦⟧]*))?(?:¦(?P<last>[^⟧]*))?⟧"
)
FOLDER = Path(__file__).parents[1] / "reports" / "claims" / "drafting"
SYMBOLS = {
    "%": "percent",
    "ms": "milliseconds",
    "s": "seconds",
    "GB": "gigabytes",
    "MB": "megabytes",
    "$": "dollars",
    "×": "times",
    "pp": "points",
}
KINDS = {
    "percent": "percent", "number": "percent", "points": "change", "times": "change",
    **dict.fromkeys(("seconds", "milliseconds", "minutes", "hours", "days"), "time"),
    **dict.fromkeys(("gigabytes", "megabytes", "terabytes"), "bytes"),
    "parameters": "parameters", "tokens": "tokens", **dict.fromkeys(("dollars", "euros", "yuan"), "price"),
    **dict.fromkeys(("tokens-per-second", "requests-per-second"), "rate"),
}  # fmt: skip


@dataclass
class Annotation:
    start: int
    end: int
    value: Fraction
    unit: str
    subjects: tuple[str, ...]
    label: str | None = None
    relation: str | None = None

    @property
    def kind(self):
        return KINDS.get(self.unit, "other")


@dataclass
class Drafted:
    """A drafted claim as the claims file has it."""

    id: str
    start: int
    end: int
    value: Fraction
    unit: str
    subjects: tuple[str, ...]
    derive: str | None
    claim: object


@dataclass
class Score:
    annotated: int = 0
    drafted: int = 0
    located: int = 0
    right: int = 0
    with_subject: int = 0
    missed: list = field(default_factory=list)
    wrong: list = field(default_factory=list)
    extra: list = field(default_factory=list)

    def __add__(self, other):
        return Score(*(getattr(self, name) + getattr(other, name) for name in self.__dataclass_fields__))


def annotated(path: Path) -> tuple[str, list[Annotation]]:
    """Return the text of an article without the marks, and its annotations."""
    marked, text, annotations, last = path.read_text(encoding="utf-8"), "", [], 0
    for match in _MARK.finditer(marked):
        text += marked[last : match.start()]
        value, unit = match["value"].split()
        rest = [part for part in (match["more"], match["last"]) if part]
        annotations.append(
            Annotation(
                len(text), len(text) + len(match["printed"]), Fraction(value), unit,
                tuple(name for name in match["subject"].split("/") if name),
                next((part[1:] for part in rest if part[0] == "#"), None),
                next((part for part in rest if part[0] in "=!"), None),
            )
        )  # fmt: skip
        text += match["printed"]
        last = match.end()
    return text + marked[last:], annotations


def drafted(text: str, name: str, folder: Path) -> list[Drafted]:
    """Draft a text and read the claims file again."""
    article = draft(read(text.encode(), name))
    path = folder / f"{name}.yaml"
    path.write_text(settled_yaml(article, id="text", source=name), encoding="utf-8")
    return of_file(path)


def of_file(path: Path) -> list[Drafted]:
    document = load(path)
    names = {id: subject.name for id, subject in {**load_record().subjects, **document.document.subjects}.items()}
    return [
        Drafted(
            claim.id, *claim.span, Fraction(claim.digits) * Fraction(claim.times), SYMBOLS.get(claim.unit, claim.unit),
            tuple(names.get(subject, subject) for subject in claim.subject), claim.derive, claim,
        )
        for claim in document.claims
        if claim.span is not None and claim.digits is not None
    ]  # fmt: skip


def same_value(value: Fraction, unit: str, other: Fraction, other_unit: str) -> bool:
    """Whether two numbers with units are equal; a change may be printed in percent or in points."""
    units = vocabulary_units()
    first, second = units[unit], units[other_unit]
    if (
        first.dimension != second.dimension
        or abs(value * first.factor - other * second.factor) > abs(other * second.factor) / 1000
    ):
        return False
    return (
        bool(first.dimension)
        or unit == other_unit
        or {unit, other_unit} <= {"percent", "points"}
        or {unit, other_unit} == {"percent", "times"}
    )


def normal(name: str) -> str:
    return re.sub(r"[^a-z0-9\u4e00-\u9fff]", "", name.lower())


def same_subject(claimed: tuple[str, ...], expected: tuple[str, ...]) -> bool:
    if not expected:
        return True
    return any(
        normal(name) == normal(other) or normal(other).endswith(normal(name)) or normal(name).endswith(normal(other))
        for name in claimed
        for other in expected
    )


def score(annotations: list[Annotation], claims: list[Drafted]) -> dict[str, Score]:
    """Score drafted claims against annotations, by kind of annotation; claims that match none count as `other`."""
    scores: dict[str, Score] = {}
    left = list(claims)
    for annotation in annotations:
        entry = scores.setdefault(annotation.kind, Score())
        entry.annotated += 1
        here = [claim for claim in left if claim.start < annotation.end and annotation.start < claim.end]
        if not here:
            entry.missed.append(annotation)
            continue
        entry.located += 1
        entry.drafted += len(here)
        for claim in here:
            left.remove(claim)
        right = [claim for claim in here if same_value(claim.value, claim.unit, annotation.value, annotation.unit)]
        entry.right += bool(right)
        is_about = [claim for claim in right if same_subject(claim.subjects, annotation.subjects)]
        entry.with_subject += bool(is_about)
        if not is_about:
            entry.wrong.append((annotation, here[0]))
    for claim in left:
        entry = scores.setdefault(KINDS.get(claim.unit, "other"), Score())
        entry.drafted += 1
        entry.extra.append(claim)
    return scores
