"""Make the runs that compare two systems, and stop them as soon as they decide what the claims say (`check --fast`).

What is decided early is a direction ("A is better than B"), a difference against a claimed size, and whether a model
uses its images (the blind control). The rules are those of complete runs, with the interval of a confidence sequence
(`evals.reports.claims.evidence.early`). All other runs, and those that no look decides, compute all samples; their
outcome has a note that says why.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

import msgspec

from evals.errors import EvalsError

if TYPE_CHECKING:
    from evals.app.checking.claim_runs import ClaimRuns
    from evals.app.early.open_runs import OpenRun
    from evals.app.readiness import ReadyRun
    from evals.execution.sequential.eligible import EarlyStop
    from evals.execution.sequential.questions import Answers, RunQuestion
    from evals.records.folder import Record
    from evals.records.sequential.entry import SequentialEntry
    from evals.records.sequential.random_order import RandomOrder
    from evals.reports.claims.evidence.early import EarlyLevelRule, EarlyRule
    from evals.reports.claims.evidence.required_runs import RequiredRun, RunOutcome
    from evals.reports.claims.language.schema import Claim, Document
    from evals.reports.claims.language.values import ValueTable
    from evals.statistics.clusters import Floats

FLAG = "--fast"


@dataclass(frozen=True, slots=True)
class _Part:
    """A required run, or its blind control."""

    run: RequiredRun
    blind: bool = False

    @property
    def name(self) -> str:
        return f"{self.run.model} (blind)" if self.blind else self.run.model


@dataclass(frozen=True)
class _Asked:
    """A question with the parts that it is about."""

    about: str
    """The claim's ID, or what else is asked."""
    parts: tuple[_Part, ...]
    question: RunQuestion


@dataclass
class FastRuns:
    """Makes the runs of a check that can stop early."""

    runs: ClaimRuns
    """Makes a run that computes all samples."""
    documents: Sequence[Document]
    """The documents."""
    models: Mapping[str, Mapping[str, str]]
    """For each document ID, the model that is run for each subject."""
    tables: Sequence[ValueTable]
    """The values of each document, in the order of the documents."""
    _parts: dict[_Part, tuple[ReadyRun, EarlyStop]] = field(default_factory=dict, init=False)
    """What can stop early."""
    _notes: defaultdict[RequiredRun, dict[str, None]] = field(default_factory=lambda: defaultdict(dict), init=False)
    """Why a run computes all samples."""

    _excluded: dict[RequiredRun, str] = field(default_factory=dict, init=False)
    """Why a run and those that it is compared with are made without this."""

    def make(self) -> dict[RequiredRun, RunOutcome]:
        """Make the runs that can stop early.

        Returns:
            Their outcomes; and for each run that must still compute all samples, an outcome that has only a note.
        """
        from evals.reports.claims.evidence.required_runs import RunOutcome

        asked = [*self._about_claims()]
        asked += self._about_inputs(asked)
        forced = {_Part(run) for run in self._notes}
        outcomes: dict[RequiredRun, RunOutcome] = {}
        for group in _connected(asked):
            parts = dict.fromkeys(part for entry in group for part in entry.parts)
            if excluded := [self._excluded[part.run] for part in parts if part.run in self._excluded]:
                for part in parts:
                    self._note(part.run, excluded[0])
            elif not {*parts} <= forced:  # else nothing could be saved
                outcomes |= self._computed([*parts], group)
        notes = {run: f"computed all samples: {'; '.join(reasons)}" for run, reasons in self._notes.items()}
        return {run: RunOutcome(note=note) for run, note in notes.items()} | outcomes

    def _about_claims(self) -> Iterator[_Asked]:
        """Yield what the claims ask of runs; note why a run must be complete."""
        from evals.app.checking.claim_runs import is_timed
        from evals.reports.claims.evidence.measurement import count_comparisons
        from evals.reports.claims.evidence.required_runs import required_runs

        compared: set[RequiredRun] = set()
        for document, table in zip(self.documents, self.tables, strict=True):
            claims, models = document.claims, self.models[document.document.id]
            comparisons = count_comparisons(claims)
            for claim in claims:
                required = required_runs(claim, models)
                if not required or any(is_timed(r) or r.rate is not None or self.runs.not_there(r) for r in required):
                    continue
                why = "; ".join(dict.fromkeys(filter(None, map(self._prepare, required))))
                for entry in self._of_claim(claim, table, required, why=why, comparisons=comparisons):
                    yield entry
                    compared |= {part.run for part in entry.parts if len(entry.parts) > 1}
        for part in self._parts:
            if part.run not in compared and not self._notes[part.run]:
                self._note(part.run, "no claim compares it with another system")

    def _prepare(self, run: RequiredRun) -> str:
        """Read the samples of a run; return why it cannot stop early, or nothing."""
        from evals.app import readiness

        if _Part(run) in self._parts:
            return ""
        try:
            ready = readiness.ready(self.runs.config(run, blind=False))
            self._parts[_Part(run)] = ready, readiness.early_stop(ready, FLAG)
        except EvalsError as error:
            return str(error).removeprefix(f"{FLAG}: ").partition("; ")[0]
        return ""

    def _of_claim(
        self, claim: Claim, table: ValueTable, required: Sequence[RequiredRun], *, why: str, comparisons: int
    ) -> Iterator[_Asked]:
        """Yield what a claim asks of its runs, in each of its readings."""
        from evals.execution.sequential.questions import RunQuestion
        from evals.reports.claims.evidence.early import EarlyLevelRule, EarlyRule
        from evals.reports.claims.evidence.measurement import hypotheses

        assert claim.measure is not None
        parts = tuple(map(_Part, required))
        if not why:
            headlines = {self._parts[part][1].headline for part in parts}
            seeds = {self._parts[part][0].config.options.seed for part in parts}
            if headlines != {claim.measure.metric}:
                why = f"{claim.id} is about {claim.measure.metric}, and a run stops by its headline"
            elif len(seeds) > 1:
                why = f"{claim.id} compares models with seeds of their own, so with two random orders"
        for hypothesis in hypotheses(claim, table):
            replica = not why and any(self._parts[part][0].source.replica for part in parts)
            rule = EarlyRule(hypothesis, comparisons, replica)
            if hypothesis.relation == "level":
                if why or replica:  # a replica decides no level
                    reason = why
                else:
                    yield _Asked(
                        claim.id, parts, RunQuestion((parts[0].name,), partial(_level, EarlyLevelRule(hypothesis)))
                    )
                    continue
            else:
                reason = why or (f"{claim.id}: {whole}" if (whole := rule.why_complete()) else "")
                if not reason:
                    names = tuple(part.name for part in parts)
                    yield _Asked(claim.id, parts, RunQuestion(names, partial(_relation, rule)))
            for run in required if reason else ():
                self._note(run, reason)

    def _about_inputs(self, asked: Sequence[_Asked]) -> Iterator[_Asked]:
        """Yield what must be shown beside the claims: that models use their images, and runs that must be complete."""
        from evals.app import readiness
        from evals.execution.composition import modalities_of
        from evals.execution.sequential.questions import RunQuestion

        for part, (ready, _) in list(self._parts.items()):
            name = part.name
            reads = "image" in modalities_of(ready.samples) or part.run.task == "vqa"
            if reads and not part.run.model.startswith("replay:"):
                blind = _Part(part.run, blind=True)
                try:
                    control = readiness.ready(self.runs.config(part.run, blind=True))
                    self._parts[blind] = control, readiness.early_stop(control, FLAG)
                except EvalsError as error:
                    self._excluded[part.run] = f"its blind control cannot stop early: {error}"
                    continue
                about = f"whether {part.run.model} uses its images"
                yield _Asked(about, (part, blind), RunQuestion((name, blind.name), _uses_inputs))
            if self._notes.get(part.run):
                yield _Asked("", (part,), RunQuestion((name,), _never))

    def _computed(self, parts: Sequence[_Part], asked: Sequence[_Asked]) -> dict[RequiredRun, RunOutcome]:
        """Compute the runs of connected questions until these are answered."""
        from evals.app import completion
        from evals.app.early.open_runs import loaded_once, open_runs
        from evals.execution.sequential import questions

        runs = list(dict.fromkeys(part.run for part in parts))
        try:
            with ExitStack() as stack:
                named = {part.name: self._parts[part] for part in parts}
                opened = open_runs(
                    stack, named, status=lambda: "until the claims are decided", load_model=loaded_once()
                )
                for run in opened.values():
                    if not run.was_complete:
                        completion.reopen(run.folder.folder)
                prefixes = {name: run.prefix for name, run in opened.items()}
                answers = questions.answer(prefixes, [entry.question for entry in asked])
                records = {part: self._finished(part, opened, asked, answers) for part in parts}
        except EvalsError as error:  # the run of all samples says what is wrong, if it fails too
            for required in runs:
                self._note(required, f"it could not stop early: {error}")
            return {}
        return {
            required: self.runs.outcome_of(
                required, records[_Part(required)], records.get(_Part(required, blind=True)), self._why(required)
            )
            for required in runs
        }

    def _finished(
        self, part: _Part, opened: Mapping[str, OpenRun], asked: Sequence[_Asked], answers: Answers
    ) -> Record:
        """Finish the run of a part, and note why it is complete if its questions needed all samples."""
        from evals.records import load

        run = opened[part.name]
        order, clusters = run.prefix.order, answers.needed[part.name]
        if run.was_complete:
            self._note(part.run, "it was complete before")
            return load(run.folder.folder)
        if len(run.folder.finished_ids) < order.whole.samples:
            return run.finish(_entry(part, opened, clusters, zip(asked, answers.answered, strict=True)))
        undecided = [
            entry.about
            for entry, answered in zip(asked, answers.answered, strict=True)
            if part in entry.parts and answered is None and entry.about
        ]
        if undecided and not part.blind:
            self._note(part.run, f"no look before the last decided {' and '.join(dict.fromkeys(undecided))}")
        return run.finish(None)

    def _note(self, run: RequiredRun, why: str) -> None:
        self._notes[run][why] = None

    def _why(self, run: RequiredRun) -> str:
        reasons = self._notes.get(run)
        return f"computed all samples: {'; '.join(reasons)}" if reasons else ""


def _entry(
    part: _Part, opened: Mapping[str, OpenRun], clusters: int, asked: Iterable[tuple[_Asked, int | None]]
) -> SequentialEntry:
    """Return what a run that stopped states about its looks: of its comparisons, the one that needed most samples."""
    from evals.records.sequential.entry import SequentialEntry
    from evals.statistics.sequential.differences import DrawnPair
    from evals.statistics.sequential.races import decided

    run = opened[part.name]
    order, names = run.prefix.order, list[str]()
    for entry, answered in asked:
        if answered == clusters and part in entry.parts and len(entry.parts) > 1:
            names = list(entry.question.runs)
    stated = SequentialEntry(
        rule="fast", looks=run.prefix.looks.index(clusters) + 1, used=order.end(clusters), of=order.whole.samples,
        decision="undecided", clusters=order.whole.clusters, largest=order.whole.largest, ids=run.prefix.digest(),
        models=names, pair=names,
    )  # fmt: skip
    if not names:
        return stated
    a_N, b_N = (opened[name].prefix.values(clusters) for name in names)
    look = DrawnPair(a_N, b_N, order.starts[:clusters], order.whole).look()
    return msgspec.structs.replace(
        stated, decision=decided(look.low, look.high), low=look.low, high=look.high, difference=look.difference
    )


def _connected(asked: Sequence[_Asked]) -> list[list[_Asked]]:
    """Group questions that share a run, directly or over others; a question about a blind control shares its run."""
    groups: list[list[_Asked]] = []
    for entry in asked:
        sharing = [group for group in groups if any({*other.parts} & {*entry.parts} for other in group)]
        groups = [group for group in groups if group not in sharing]
        groups.append([*(other for group in sharing for other in group), entry])
    return groups


def _relation(rule: EarlyRule, values: Sequence[Floats], order: RandomOrder, clusters: int) -> bool:
    """Whether two runs decide what a claim says of their relation."""
    from evals.statistics.sequential.differences import DrawnPair

    return rule.is_decided(DrawnPair(values[0], values[1], order.starts[:clusters], order.whole))


def _level(rule: EarlyLevelRule, values: Sequence[Floats], order: RandomOrder, clusters: int) -> bool:
    """Whether a run decides what a claim says of its level."""
    from evals.statistics.sequential.sampled import sampled_clusters

    return rule.is_decided(sampled_clusters(values[0], order.starts[:clusters], order.whole))


def _uses_inputs(values: Sequence[Floats], order: RandomOrder, clusters: int) -> bool:
    """Whether a run is shown to be better than its blind control."""
    from evals.statistics.sequential.differences import DrawnPair

    return DrawnPair(values[0], values[1], order.starts[:clusters], order.whole).look().low > 0


def _never(values: Sequence[Floats], order: RandomOrder, clusters: int) -> bool:
    """Ask for all samples."""
    return False
