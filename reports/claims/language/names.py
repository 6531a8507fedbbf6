"""Check that every name in a claims file exists: subjects, quantities, units, tasks, metrics, facts, claims."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

from evals.errors import InputError
from evals.reports.claims.language.expressions import parse, references, single_units, units
from evals.reports.claims.language.facts import PublicRecord, Vocabulary
from evals.reports.claims.language.schema import Claim, Document
from evals.reports.claims.language.statements import StatedValue, Statement, StrictModel
from evals.reports.claims.language.tables.expansion import located
from evals.reports.claims.language.tables.text_references import check_comparison
from evals.reports.claims.language.yaml_lines import YamlFile, unknown
from evals.yaml_files import Location


class NameChecker:
    """Checks the names in one claims file; the first unknown one is an `InputError` with its line."""

    def __init__(
        self,
        source: YamlFile,
        document: Document,
        *,
        vocabulary: Vocabulary,
        record: PublicRecord,
        subjects: Collection[str],
        tasks: Collection[str],
    ) -> None:
        """Collect the names that exist.

        Args:
            source: the file, for the lines of its parts.
            document: its content.
            vocabulary: units, quantities, and tasks with their metrics.
            record: the public facts and their subjects.
            subjects: names of registered models.
            tasks: names of registered tasks that the vocabulary does not have; their metrics are not checked.
        """
        self.source, self.document = source, document
        self.subjects = {*subjects, *record.subjects, *document.document.subjects, "document"}
        self.quantities = {**vocabulary.quantities, **document.document.quantities}
        self.units = vocabulary.units
        self.tasks: dict[str, tuple[str, ...] | None] = {**dict.fromkeys(tasks), **vocabulary.tasks}
        self.facts = {fact.id for fact in record.facts}
        self.claims = {claim.id for claim in document.claims}

    def check(self) -> None:
        """Check all claims. Raises `InputError` for the first name that does not exist."""
        for at, claim in located(self.document):
            self.statement(at, claim)
            if claim.compares:
                check_comparison(self.source, (*at, "compares"), claim, self.document)
            for index, implied in enumerate(claim.implies):
                self.statement((*at, "implies", index), implied)
                if not implied.quantity or not implied.subject:
                    raise self.source.refuse((*at, "implies", index), "implies needs a 'subject' and a 'quantity'")
            for index, reading in enumerate(claim.readings):
                self.value((*at, "readings", index), reading)
            for index, check in enumerate(claim.checks):
                self.single_units((*at, "checks", index, "unit"), single_units(check.unit or ""))
            for location, text in self.expressions(at, claim):
                self.expression(location, text)
            self.measure(at, claim)
            for fact in claim.record.facts if claim.record else ():
                self.source.require_known((*at, "record", "facts"), "fact", fact, self.facts)
            for id in claim.untestable.premises if claim.untestable else ():
                self.source.require_known((*at, "untestable", "premises"), "claim", id, self.claims)

    def statement(self, at: Location, statement: Statement) -> None:
        """Check the names of a statement."""
        for subject in statement.subject:
            self.source.require_known((*at, "subject"), "subject", subject, self.subjects)
        if statement.baseline:
            self.source.require_known((*at, "baseline"), "subject", statement.baseline, self.subjects)
        if statement.quantity:
            self.source.require_known((*at, "quantity"), "quantity", statement.quantity, self.quantities)
        self.value(at, statement)

    def value(self, at: Location, value: StatedValue) -> None:
        """Check that the unit of a value exists, and that digits have a unit."""
        if value.unit:
            self.source.require_known((*at, "unit"), "unit", value.unit, self.units)
        if value.digits is not None and value.unit is None:
            raise self.source.refuse((*at, "printed"), f"gives {value.digits!r} without a 'unit'")

    def measure(self, at: Location, claim: Claim) -> None:
        """Check that the task and the metric of a measurement exist."""
        if (measure := claim.measure) is None:
            return
        where = (*at, "measure")
        self.source.require_known((*where, "task"), "task", measure.task, self.tasks)
        if measure.baseline:
            self.source.require_known((*where, "baseline"), "subject", measure.baseline, self.subjects)
        metrics = self.tasks[measure.task]
        if metrics is None or any(name.endswith(("/", "@")) and measure.metric.startswith(name) for name in metrics):
            return
        self.source.require_known((*where, "metric"), f"metric of {measure.task}", measure.metric, metrics)

    def expressions(self, at: Location, claim: Claim) -> Iterator[tuple[Location, str]]:
        """Yield the expressions of a claim with their locations."""
        for location, statement in [(at, claim), *(((*at, "implies", n), s) for n, s in enumerate(claim.implies))]:
            if statement.derive:
                yield (*location, "derive"), statement.derive
        parts: list[tuple[str, tuple[StrictModel, ...], tuple[str, ...]]] = [
            ("readings", claim.readings, ("reads", "derive")),
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
        """Check that an expression can be parsed and that its claims, facts and units exist."""
        try:
            tree = parse(text)
        except InputError as error:
            raise self.source.refuse(location, f"{location[-1]}: {error}") from None
        for reference in references(tree):
            names = self.claims if reference.is_claim else self.facts
            self.source.require_known(location, "claim" if reference.is_claim else "fact", reference.id, names)
        self.single_units(location, units(tree))

    def single_units(self, location: Location, names: Iterable[str]) -> None:
        """Check that units exist, singular or plural."""
        for unit in names:
            if unit not in self.units and f"{unit}s" not in self.units:
                raise self.source.refuse(location, unknown("unit", unit, self.units))
