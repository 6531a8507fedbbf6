"""What a document claims, as data: the models of `reports/claims/*.yaml`, `record.yaml` and `devices.yaml`.

A `Document` holds `Claim`s; a `Record` holds `Fact`s. Both are `Statement`s: a subject, a quantity and a value in
comparable form, so that claims are compared with each other, with other documents and with the public record by rule.

    Document  info (id, subjects, own quantities), claims
    Claim     = Statement + quote, says, readings, checks, resolutions, measure, implies, record, untestable
    Fact      = Statement + source, release, state
    Statement   subject, quantity, [baseline, conditions], value

A value is one of three kinds:

- digits: `printed` (the document's own, whose last place is their precision: "78.3" stands for 78.25 to 78.35),
  or `implied` (given in words: "twice" is an exact 2), times `times`, in `unit`, up to `upto` for a range;
- a category: `value`, a word, a set of words, or an order of words, compared as its quantity declares;
- computed: only `derive` is given, and the value is what the expression comes to.

`bound` says how the value is meant. Nothing here reads a file: `evals.reports.claims.language.files` does.
"""

from __future__ import annotations

import datetime
from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema, model_validator

from evals.reports.claims.language.expressions import CLAIM_ID, FACT_ID

Bound = Literal["exactly", "about", "at-least", "at-most", "above", "below", "without"]
"""How a value is meant. For digits: equal within the rounding, within a margin, a bound that may be reached or not.
For sets: `exactly` these, `at-least` these (and maybe more), `at-most` these, `without` these."""

Relation = Literal["level", "difference", "error-reduction", "retention", "ratio", "speed-up", "order"]
"""What is measured, of subject s and baseline b: `level` s; `difference` s - b; `error-reduction` (e_b - e_s) / e_b of
the errors e = 1 - accuracy; `retention` and `ratio` s / b; `speed-up` b / s of times; `order`: s is the better one."""

UntestableReason = Literal[
    "provenance", "business", "plan", "mechanism", "training", "recommendation", "undefined", "advice"
]
"""Why nothing here can test a claim: its origin is asserted; it needs client data or traffic; it is about the future;
it names a cause that only an ablation could show; it needs training runs; a choice follows from a utility; no metric
or threshold is defined; it is advice and no statement of fact."""

Judgement = Literal["supported", "partially_supported", "contradicted", "no_public_record", "source_unreadable"]

_DIGITS = r"^-?[0-9]+(\.[0-9]+)?$"
Digits = Annotated[str, Field(pattern=_DIGITS), WithJsonSchema({"type": ["string", "number"], "pattern": _DIGITS})]
"""A number as it is printed, quoted in YAML; its last digit tells its precision."""
ExpressionText = Annotated[str, Field(min_length=1)]
"""Arithmetic over claims and facts; see `evals.reports.claims.language.expressions`."""
Line = Annotated[str, Field(min_length=1)]


def _several(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


Words = Annotated[tuple[Line, ...], BeforeValidator(_several, json_schema_input_type=str | list[str])]
"""A word or a list of words."""


class StrictModel(BaseModel):
    """Frozen; an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class StatedValue(StrictModel):
    """How much, or what."""

    printed: Digits | None = None
    """The digits as they are printed, as text: the last place is the precision."""
    implied: Digits | None = None
    """Digits that the document gives in words ("twice") or that its wording implies; exact."""
    upto: Digits | None = None
    """The upper end where a range is printed; `printed` is then its lower end."""
    times: Decimal = Field(default=Decimal(1), gt=0)
    """What the digits count: 1e8 for 亿, 1e9 for billions. The precision scales with it."""
    exact: bool = False
    """The printed digits are a count or a setting and not rounded: 8-bit integers, 64 experts."""
    unit: str | None = None
    """A unit of `reports/claims/facts/vocabulary.yaml`; percentages of a whole are `percent`, their differences
    `points`."""
    value: Words | None = None
    """A category: a word, a set of words, or an order of words (first to last), as the quantity is compared."""
    bound: Bound = "exactly"
    """How the value is meant."""
    margin: Digits | None = None
    """With `about`: how far off still counts as the same, in `unit`."""
    derive: ExpressionText | None = None
    """The same value computed from others. With digits beside it the two are compared; alone it is the value."""

    @property
    def digits(self) -> str | None:
        """The digits that the value is given by, printed or implied; None for a category or a computed value."""
        return self.printed if self.printed is not None else self.implied

    @model_validator(mode="after")
    def _one_kind(self) -> StatedValue:
        if self.printed is not None and self.implied is not None:
            raise ValueError("has both 'printed' and 'implied': digits are either in the document or in its words")
        if self.value is not None and (self.digits is not None or self.derive is not None):
            raise ValueError("has both a category ('value') and a number: make two statements of it, with 'implies'")
        if self.upto is not None and (self.printed is None or Decimal(self.upto) < Decimal(self.printed)):
            raise ValueError("'upto' is the upper end of a range whose lower end is 'printed'")
        if self.bound == "without" and self.value is None:
            raise ValueError("bound 'without' is of a set: give 'value'")
        return self


class Statement(StatedValue):
    """Something said of a subject: the unit in which documents and the record are compared.

    Two statements are about the same thing when `subject`, `quantity`, `baseline` and `conditions` are equal.
    """

    subject: Words = ()
    """Who it is about: subjects of the document or the record. Several: it is said of each. A claim without one has
    the subject of the claims that it is derived from, its baseline aside, or else is about the document."""
    quantity: str | None = None
    """What of it: a quantity of `reports/claims/facts/vocabulary.yaml` or of the document. It declares how values
    compare."""
    baseline: str | None = None
    """The subject that it is compared with, for differences and ratios."""
    conditions: dict[str, str] = Field(default_factory=dict)
    """Under what: statements under different conditions are not compared (`{tokens: "1024"}`)."""


class ClaimReading(StatedValue):
    """One way to read ambiguous wording. A claim fails arithmetic only when it fails under all its readings."""

    says: Line
    """What the words then mean."""
    reads: ExpressionText | None = None
    """The value as an expression over the claim's own id (`B-24 + 1`); without it, the claim's own digits."""
    derive: ExpressionText | None = None
    """What it is then computed from, where it isn't the claim's own `derive`."""
    relation: Relation | None = None
    """What is measured under this reading, where it isn't what `measure` says."""


class Check(StrictModel):
    """`left` compared with `right`: one step of arithmetic that the claim must survive."""

    says: Line
    """What it shows, in a sentence."""
    left: ExpressionText | None = None
    """Without it, the claim's own value."""
    compare: Literal["equals", "at-least", "at-most", "above", "below"] | None = None
    """What `left` must be to `right`. Without it nothing is decided: `right` is shown."""
    right: ExpressionText
    """What it is held against."""
    unit: str | None = None
    """The unit in which both are shown."""
    law: Literal["arithmetic", "physical"] = "arithmetic"
    """What a failure breaks: the document's own numbers, or what devices can do."""
    role: Literal["stated", "escape"] = "stated"
    """`stated`: holds under what the document says, a failure counts. `escape`: under another assumption, which the
    report names as a way out when it holds and as closed when it does not."""
    assuming: str | None = None
    """The assumption: "16-bit weights, 80 GB card"."""


class ResolutionCheck(StrictModel):
    """Whether a test set of some size can tell two proportions apart: z, and the sizes that would."""

    says: str | None = None
    """What it shows, where more than the numbers is to be said."""
    first: ExpressionText
    """A proportion."""
    second: ExpressionText
    """The other."""
    items: ExpressionText | None = None
    """Items in the set, as a number or a fact (`sst2-validation-items`); None where no set is known."""


class Measure(StrictModel):
    """What run of the suite would test a claim."""

    task: Line
    """A task, or `efficiency`."""
    metric: Line
    """A metric of the task."""
    relation: Relation = "level"
    """What of the subject's and the baseline's metric the value is about."""
    baseline: str | None = None
    """The other subject, for every relation but `level`."""
    system: str | None = None
    """The registered model that is run, where it isn't the subject's (`r1-zero@5000`)."""
    split: str | None = None
    """The split that the document names; None: the task's default."""
    shots: int | None = Field(default=None, ge=0)
    """Examples in the prompt, where the document says so."""
    proxy: str | None = None
    """Why this task is not quite what the document names: the measurement is then evidence by proxy only."""
    margin: Digits | None = None
    """How far two protocols may differ on a level, in points; without it, the report's own margin."""

    @model_validator(mode="after")
    def _two_sides(self) -> Measure:
        if (self.relation != "level") != (self.baseline is not None):
            needs = "needs a 'baseline'" if self.baseline is None else "has a 'baseline', so it needs a 'relation'"
            raise ValueError(f"relation {self.relation!r} {needs}")
        return self


class RecordReference(StrictModel):
    """What the public record says, where no rule can compare it with the claim."""

    facts: Words
    """Ids of `reports/claims/facts/record.yaml`."""
    judged: Judgement | None = None
    """The verdict, by judgement; without it the facts are compared by rule, whatever their quantity is called."""
    why: str | None = None
    """The reason in a sentence."""

    @model_validator(mode="after")
    def _reasoned(self) -> RecordReference:
        if self.judged and not self.why:
            raise ValueError("a judgement needs its 'why'")
        return self


class UntestableClaim(StrictModel):
    """Why nothing here can test a claim."""

    reason: UntestableReason
    """The kind of reason; `advice` makes the claim no statement of fact."""
    why: Line
    """What a test would need."""
    premises: Words = ()
    """Claims that it rests on and that can be tested."""


class Claim(Statement):
    """One claim of a document."""

    id: Annotated[str, Field(pattern=rf"^{CLAIM_ID}$")]
    """Begins with a capital, ends in a number: `B-59`."""
    quote: str | None = None
    """The document's own words, verbatim and short, enough to find them."""
    line: int | None = Field(default=None, ge=1)
    """The line of the document."""
    says: Line
    """The claim in a sentence of your own."""
    kind: Literal[
        "quality", "latency", "memory", "size", "architecture", "training", "api", "recommendation", "business"
    ] = "quality"
    """What it is about, for the summary."""
    implicit: bool = False
    """Not printed: it follows from what is."""
    readings: tuple[ClaimReading, ...] = ()
    """The ways to read ambiguous wording; without any, the claim is read as it stands."""
    checks: tuple[Check, ...] = ()
    """Arithmetic beyond `derive`: floors, consequences, with the ways out."""
    escapes: tuple[Line, ...] = ()
    """Ways out of a failed check that no arithmetic can close ("another device")."""
    resolutions: tuple[ResolutionCheck, ...] = ()
    """Whether test sets could show the difference."""
    attainable: tuple[ExpressionText, ...] = ()
    """Set sizes (numbers or facts) of which the printed percentage must be a share of whole items (GRIM)."""
    measure: Measure | None = None
    """The run that tests it."""
    underspecified: str | None = None
    """What the document leaves open and a measurement needs (split, length, precision)."""
    implies: tuple[Statement, ...] = ()
    """What must be true if the claim is: compared like the claim itself."""
    record: RecordReference | None = None
    """The public record, where no rule compares it. Without it, facts of the same subject and quantity are."""
    untestable: UntestableClaim | None = None
    """Why no run could test it."""
    note: str | None = None
    """What a reader should know: a correction, a doubt, a reason."""

    @property
    def statements(self) -> tuple[Statement, ...]:
        """What is compared: the claim's own statement, where it has a quantity, and what it implies."""
        return (*((self,) if self.quantity else ()), *self.implies)

    @model_validator(mode="after")
    def _testable_or_not(self) -> Claim:
        if self.untestable and self.measure:
            raise ValueError("is untestable and has a 'measure': it can't be both")
        alone = self.measure is not None and self.measure.baseline is None
        for reading in self.readings:
            if alone and reading.relation not in {None, "level"}:
                raise ValueError(f"has a reading of relation {reading.relation!r}, so 'measure' needs a 'baseline'")
        return self


class Subject(StrictModel):
    """Something that documents make claims about."""

    name: Line
    """As the document calls it."""
    system: str | None = None
    """What stands for it in measurements: a registered model or `replay:FILE`. None: the model of the subject's own
    name, or what the user gives."""


class Quantity(StrictModel):
    """What can be said of a subject, and when two values of it disagree."""

    says: Line
    """What it is."""
    compare: Words = ("interval",)
    """The rules, any of which finds a contradiction between statements about the same thing:

    - `interval`: numbers; disagree when the sets that their roundings and bounds allow do not meet;
    - `figures`: numbers; disagree when the printed intervals do not meet, whatever the bounds (a bound of 18 and a
      figure of 16 can both be true, but the two documents print different numbers);
    - `equal`: words; disagree when they differ;
    - `set`: sets of words, with bounds; disagree when no set satisfies both;
    - `ordering`: orders of words; disagree when two words are in the opposite order;
    - `attribution`: of whom a value is said; for each word (or the same printed digits), two documents disagree when
      none of the subjects of which one says it is among those of which the other does."""
    unit: str | None = None
    """The unit of its numbers; a claim's unit must be of the same dimension."""

    @model_validator(mode="after")
    def _known_rules(self) -> Quantity:
        unknown = sorted({*self.compare} - COMPARISONS)
        if unknown:
            raise ValueError(f"{unknown[0]!r} is no rule of comparison; known: {', '.join(sorted(COMPARISONS))}")
        return self


COMPARISONS = frozenset({"interval", "figures", "equal", "set", "ordering", "attribution"})


class DocumentInfo(StrictModel):
    """The document itself."""

    id: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$")]
    """A short name: `b`."""
    title: Line
    """As printed."""
    date: datetime.date | None = None
    """When it was published."""
    language: str | None = None
    """Of the quotes: `zh`."""
    source: str | None = None
    """Where it is: an address, or a file that the quotes are checked against."""
    subjects: dict[str, Subject] = Field(default_factory=dict)
    """Who it is about; subjects of the public record and registered models need no row."""
    quantities: dict[str, Quantity] = Field(default_factory=dict)
    """Quantities that `reports/claims/facts/vocabulary.yaml` lacks."""


class Document(StrictModel):
    """A file of `reports/claims/`."""

    document: DocumentInfo
    """What it is."""
    claims: tuple[Claim, ...] = Field(min_length=1)
    """What it claims, in its order."""

    def claim(self, id: str) -> Claim:
        """Return the claim of an id that is known to exist."""
        return next(claim for claim in self.claims if claim.id == id)

    def system(self, subject: str) -> str:
        """Name the model that stands for a subject in measurements."""
        declared = self.document.subjects.get(subject)
        return declared.system if declared and declared.system else subject


class FactSource(StrictModel):
    """Where facts were read."""

    title: Line
    """What it is."""
    address: str | None = None
    """A web address, or None for what was computed here."""
    revision: str | None = None
    """The commit or version that was read."""
    date: datetime.date | None = None
    """When it was read or published."""


class Fact(Statement):
    """Something that is publicly known of a subject."""

    id: Annotated[str, Field(pattern=rf"^{FACT_ID}$")]
    """In small letters: `r1-layers`."""
    release: str | None = None
    """Which release of the subject, where several have its name (`v2-lite`). A claim is contradicted only when no
    release agrees with it, and supported when one does."""
    state: Literal["known", "absent", "unreadable"] = "known"
    """`absent`: the sources were read and hold nothing of the kind; `unreadable`: they could not be read."""
    source: Line
    """An id of the file's `sources`."""
    where: str | None = None
    """The place in the source."""
    note: str | None = None
    """What a reader should know."""


class PublicRecord(StrictModel):
    """A file of facts: `reports/claims/facts/record.yaml`, `reports/claims/facts/devices.yaml`."""

    sources: dict[str, FactSource]
    """Where the facts are from, by id."""
    subjects: dict[str, Subject]
    """What they are about, by id."""
    facts: tuple[Fact, ...]
    """What is known."""


class UnitDefinition(StrictModel):
    """A unit by name."""

    symbol: str
    """As it is printed after a number."""
    is_: Line = Field(alias="is")
    """In terms of base units and factors, as `pint` reads it: `1e9 byte`."""


class Vocabulary(StrictModel):
    """`reports/claims/facts/vocabulary.yaml`: the names that claims are made of."""

    units: dict[str, UnitDefinition]
    """The units of values."""
    quantities: dict[str, Quantity]
    """What can be said of a subject."""
    tasks: dict[str, tuple[str, ...]]
    """The metrics that a claim can be about, by task; a name that ends in `/` or `@` allows whatever follows."""
