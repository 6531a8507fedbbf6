"""The format of a claims file: the models of `reports/claims/*.yaml`.

    Document  DocumentInfo (id, title, subjects, quantities) and claims
    Claim     = Statement + quote, says, readings, checks, resolutions, measure, implies, record, untestable

A claim is a `Statement` (`evals.reports.claims.language.statements`), so claims are compared with each other and with
public facts (`evals.reports.claims.language.facts`) by the same rules. `evals.reports.claims.language.files` reads the
files; this module reads none. `reports/claims/schema.json` is generated from these models.
"""

from __future__ import annotations

import datetime
from typing import Annotated, Literal

from pydantic import Field, model_validator

from evals.reports.claims.language.expressions import CLAIM_ID
from evals.reports.claims.language.facts import Quantity, Subject
from evals.reports.claims.language.statements import (
    Digits,
    ExpressionText,
    Line,
    StatedValue,
    Statement,
    StrictModel,
    Words,
)
from evals.reports.claims.language.tables.models import ResultTable, SourceSpan, TextComparison

Relation = Literal["level", "difference", "error-reduction", "retention", "ratio", "speed-up", "order"]
"""What is measured, of subject s and baseline b: `level` s; `difference` s - b; `error-reduction` (e_b - e_s) / e_b of
the errors e = 1 - accuracy; `retention` and `ratio` s / b; `speed-up` b / s of times; `order`: s is the better one."""

UntestableReason = Literal[
    "provenance", "business", "plan", "mechanism", "training", "recommendation", "undefined", "advice"
]
"""Why no run can test a claim: it asserts its origin; it needs client data or traffic; it is about the future; it names
a cause that only an ablation could show; it needs training runs; it is a choice that depends on a utility; it defines
no metric or threshold; it is advice rather than a statement of fact."""

Judgement = Literal["supported", "partially_supported", "contradicted", "no_public_record", "source_unreadable"]


class ImpliedStatement(Statement):
    """A statement that must be true if the claim is."""

    because: Line | None = None
    """Why it follows, in a sentence; shown in the proof of a contradiction."""


class ClaimReading(StatedValue):
    """One meaning of ambiguous wording. A claim fails arithmetic only if it fails in all its readings."""

    says: Line
    """The meaning, in a sentence."""
    reads: ExpressionText | None = None
    """The value in this reading, as an expression over the claim's own id (`B-24 + 1`); default: the claim's digits."""
    derive: ExpressionText | None = None
    """What the value is computed from in this reading; default: the claim's `derive`."""
    relation: Relation | None = None
    """What is measured in this reading; default: the relation of `measure`."""


class Check(StrictModel):
    """A comparison of `left` with `right` that the claim must pass."""

    says: Line
    """What the check shows, in a sentence."""
    left: ExpressionText | None = None
    """The left side; default: the claim's value."""
    compare: Literal["equals", "at-least", "at-most", "above", "below"] | None = None
    """How `left` must compare with `right`. Without it, `right` is shown and nothing is decided."""
    right: ExpressionText
    """The right side."""
    unit: str | None = None
    """The unit in which both are shown."""
    law: Literal["arithmetic", "physical"] = "arithmetic"
    """What a failure contradicts: the document's own numbers, or the physical limits of devices."""
    role: Literal["stated", "escape"] = "stated"
    """`stated`: under the assumptions of the document; a failure counts. `escape`: under another assumption, which the
    report names as a way out if the check passes and as none if it fails."""
    assuming: str | None = None
    """The assumption: "16-bit weights, 80 GB card"."""


class ResolutionCheck(StrictModel):
    """Whether a test set can distinguish two proportions: the z statistic, and the sizes that could."""

    says: str | None = None
    """What it shows, if the numbers need an explanation."""
    first: ExpressionText
    """The first proportion."""
    second: ExpressionText
    """The second proportion."""
    items: ExpressionText | None = None
    """Items in the test set, as a number or a fact (`sst2-validation-items`); None if no set is known."""


class Measure(StrictModel):
    """The run of the suite that tests a claim."""

    task: Line
    """The name of a task."""
    metric: Line
    """A metric of the task."""
    relation: Relation = "level"
    """What the value describes: the level of the subject, or a relation to the baseline."""
    baseline: str | None = None
    """The other subject; needed for every relation except `level`."""
    system: str | None = None
    """The registered model to run, if it is not that of the subject (`r1-zero@5000`)."""
    split: str | None = None
    """The split that the document names; default: that of the task."""
    shots: int | None = Field(default=None, ge=0)
    """The number of examples in the prompt, if the document states it."""
    rate: float | None = Field(default=None, gt=0, le=100_000)
    """For `efficiency`: the requests per second under which the document states a time; they wait for each other."""
    proxy: str | None = None
    """Why this task differs from the one that the document names; the measurement is then evidence by proxy only."""
    margin: Digits | None = None
    """How far two evaluation protocols may differ on a level, in points; default: 2.5."""

    @model_validator(mode="after")
    def _two_sides(self) -> Measure:
        if self.rate is not None and (self.task != "efficiency" or self.relation != "level"):
            raise ValueError("a 'rate' is for a level of the task efficiency: one system under its own requests")
        if (self.relation != "level") != (self.baseline is not None):
            needs = "needs a 'baseline'" if self.baseline is None else "has a 'baseline', so it needs a 'relation'"
            raise ValueError(f"relation {self.relation!r} {needs}")
        return self


class RecordReference(StrictModel):
    """The public record, where no rule can compare it with the claim."""

    facts: Words
    """Ids of facts in `reports/claims/facts/record.yaml`."""
    judged: Judgement | None = None
    """A judgement by hand. It is shown beside the verdict and decides nothing: the rules compare the facts of the same
    subject and quantity. Without it, the listed facts are compared by rule, regardless of their quantity."""
    why: str | None = None
    """The reason for the judgement, in a sentence."""

    @model_validator(mode="after")
    def _reasoned(self) -> RecordReference:
        if self.judged and not self.why:
            raise ValueError("a judgement needs its 'why'")
        return self


class UntestableClaim(StrictModel):
    """Why no run can test a claim."""

    reason: UntestableReason
    """The kind of reason; with `advice` the claim is not a factual claim."""
    why: Line
    """What a test would need, in a sentence."""
    premises: Words = ()
    """Claims that it depends on and that can be tested."""


class Claim(Statement):
    """One claim of a document."""

    id: Annotated[str, Field(pattern=rf"^{CLAIM_ID}$")]
    """Begins with a capital letter and ends with a number: `B-59`."""
    quote: str | None = None
    """The words of the document, verbatim and short, but enough to find them."""
    line: int | None = Field(default=None, ge=1)
    """The line in the document."""
    says: Line
    """The claim in your own words."""
    kind: Literal[
        "quality", "latency", "memory", "size", "architecture", "training", "api", "recommendation", "business"
    ] = "quality"
    """The kind of claim, for the summary."""
    implicit: bool = False
    """Whether the document does not print the claim but it follows from what it prints."""
    readings: tuple[ClaimReading, ...] = ()
    """The meanings of ambiguous wording; without any, the claim has one meaning."""
    checks: tuple[Check, ...] = ()
    """Arithmetic beyond `derive`: physical limits and consequences, with the ways out."""
    escapes: tuple[Line, ...] = ()
    """Ways out of a failed check that arithmetic cannot rule out ("another device")."""
    resolutions: tuple[ResolutionCheck, ...] = ()
    """Whether test sets can show the difference."""
    attainable: tuple[ExpressionText, ...] = ()
    """Sizes of test sets (numbers or facts): the printed percentage must be a whole number of items of one (GRIM
    test)."""
    measure: Measure | None = None
    """The run that tests the claim."""
    underspecified: str | None = None
    """What a measurement needs and the document does not specify (split, length, precision)."""
    implies: tuple[ImpliedStatement, ...] = ()
    """Statements that must be true if the claim is; they are compared like the claim itself."""
    beyond: str | None = None
    """What the claim says beyond its statements; support of the statements is then partial."""
    record: RecordReference | None = None
    """The public record, where no rule compares it; default: the facts of the same subject and quantity."""
    untestable: UntestableClaim | None = None
    """Why no run can test the claim."""
    study: Literal["active_experts", "batch_size", "fine_tuning", "int8_latency"] | None = None
    """A committed study of small trainings or timings that shows the direction of the claim at replica scale."""
    table: ResultTable | None = None
    """A table of results: each of its cells becomes a claim, and the claim itself is only their place."""
    compares: TextComparison | None = None
    """What the claim says about a table: its cells check it, without a formula."""
    note: str | None = None
    """A remark for readers: a correction, a doubt, a reason."""
    span: SourceSpan | None = None
    """The place of the number in the source: its first code point and the one after its last, after UTF-8 decoding
    without translation of line ends; of a PDF, in the extracted text."""
    confidence: float | None = Field(default=None, ge=0, le=1)
    """Of a drafted claim: how sure the drafter is of its reading."""
    reason: str | None = None
    """Of a drafted claim: what the reading rests on, and what is in doubt."""
    proposed_by: Literal["rules", "model"] | None = None
    """Who drafted the claim: the rules of `draft`, or the model of `--llm`. None: its author."""
    review: Literal["accepted", "edited", "dropped"] | None = None
    """What a reader decided about a drafted claim. A dropped claim stays in the file and is not checked."""

    @property
    def statements(self) -> tuple[Statement, ...]:
        """The statements to compare: the claim itself, if it has a quantity, and what it implies."""
        return (*((self,) if self.quantity else ()), *self.implies)

    @model_validator(mode="after")
    def _a_table_or_a_value(self) -> Claim:
        if self.table is not None and (self.digits or self.value or self.derive or self.compares or self.measure):
            raise ValueError("has a 'table' and a value of its own; make two claims of them")
        return self

    @model_validator(mode="after")
    def _testable_or_not(self) -> Claim:
        if self.study and self.measure:
            raise ValueError("has a 'study' and a 'measure': a run decides, a study only shows a direction")
        if self.untestable and self.measure:
            raise ValueError("is untestable and has a 'measure': it can't be both")
        alone = self.measure is not None and self.measure.baseline is None
        for reading in self.readings:
            if alone and reading.relation not in {None, "level"}:
                raise ValueError(f"has a reading of relation {reading.relation!r}, so 'measure' needs a 'baseline'")
        return self


class DocumentInfo(StrictModel):
    """What the document is."""

    id: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$")]
    """A short name for tables: `b`."""
    title: Line
    """The title as printed."""
    date: datetime.date | None = None
    """The date of publication."""
    language: str | None = None
    """The language of the quotes: `zh`."""
    source: str | None = None
    """Where the document is: an address or a file."""
    subjects: dict[str, Subject] = Field(default_factory=dict)
    """The subjects; those of the public record and registered models need no entry."""
    quantities: dict[str, Quantity] = Field(default_factory=dict)
    """Quantities that `reports/claims/facts/vocabulary.yaml` does not have."""
    drafted: bool = False
    """Whether the claims were drafted by the suite and not written by a person; the reports say so."""


class Document(StrictModel):
    """A claims file: one document and its claims."""

    document: DocumentInfo
    """What the document is."""
    claims: tuple[Claim, ...] = Field(min_length=1)
    """The claims in the order of the document."""
