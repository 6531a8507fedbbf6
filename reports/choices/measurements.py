"""The candidates of a selection: what was measured of each, and why the rest was not.

Latency is the median time of a whole answer, one request at a time. A price is that of the tokens, as a server charged
them for the answers of a task, or that of the device for the time of the timed request.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from evals.errors import counted
from evals.records.folder import Record
from evals.reports.choices import comparable
from evals.reports.choices.amounts import ANSWERS, Money
from evals.reports.choices.comparable import ComparableRuns, Identity
from evals.reports.choices.requirements import LATENCY, MEMORY, PRICE
from evals.reports.rendering.formatting import one_line, shorten_path
from evals.reports.runs.sections import higher_is_better
from evals.schema import Metric
from evals.statistics import paired
from evals.statistics.clusters import Floats

_COST = "cost_"
"""Beginning of the names under which a run adds up charges; the currency follows."""
TIMING = "efficiency"
"""The task that times models."""
_NO_MEMORY = "a server does not say what memory its model takes"
TOKENS, DEVICE_TIME = "tokens", "device time"
"""What a price is made of."""


@dataclass(frozen=True)
class ModelCandidate:
    """A model, and what was measured of it."""

    name: str
    identity: Identity
    runs: Mapping[str, Record]
    """By task."""
    timing: Record | None
    peak: Record | None
    """The timing with its largest peak of memory: `timing`, or an earlier one."""
    in_turn: bool
    """Whether it was timed in turn with others."""
    kind: str
    """The kind of request whose times count."""
    quality: Mapping[str, Metric]
    """By task: the headline metric."""
    latency: Metric | None
    memory: Metric | None
    """Bytes at the peak."""
    weights: float | None
    """Bytes of the weights, calculated."""
    price: Metric | None
    """Price of `ANSWERS` answers; its unit is the currency."""
    price_of: str
    """`TOKENS` or `DEVICE_TIME`, or empty without a price."""
    missing: Mapping[str, str]
    """Why something was not measured, by task, `latency`, `memory` and `price`."""

    @property
    def model(self) -> str:
        """The model as it was named."""
        return self.identity.name

    @property
    def settings(self) -> str:
        """Its options for generated texts that are set, by task if they differ."""
        return self.identity.settings or comparable.DEFAULT_SETTINGS

    @property
    def replica(self) -> bool:
        """Whether it is a bundled replica."""
        return any(run.manifest.replica for run in self.runs.values())

    @property
    def failed(self) -> int:
        """Number of samples without an output, over all tasks."""
        return sum(run.finished().failed for run in self.runs.values())

    def measured(self, name: str) -> Metric | None:
        """Return the value of a task, or of `latency`, `memory` or `price`; None if it was not measured."""
        costs = {LATENCY: self.latency, MEMORY: self.memory, PRICE: self.price}
        return costs[name] if name in costs else self.quality.get(name)


def candidates(
    runs: ComparableRuns, hourly: Money | None, absent: Mapping[tuple[str, str], str]
) -> tuple[ModelCandidate, ...]:
    """Measure every candidate.

    Args:
        runs: the runs that can be compared.
        hourly: the price of the device for an hour, or None.
        absent: by model and task, why a run could not be made; the timing's task is `efficiency`.

    Returns:
        The candidates by name; last, models of `absent` that have no run at all.
    """
    measured = [
        _candidate(identity, name, runs, hourly, absent)
        for identity, name in zip(runs.identities, _names(runs.identities), strict=True)
    ]
    names = {identity.name for identity in runs.identities}
    unmeasured = dict.fromkeys(model for model, _ in absent if model not in names)
    return (*measured, *(_candidate(Identity(name, "", ""), name, runs, hourly, absent) for name in unmeasured))


def timed_only(
    models: Sequence[str], records: Sequence[Record], tasks: Sequence[str], kind: str, hourly: Money | None
) -> list[ModelCandidate]:
    """Measure models before all of their tasks are run: their timings, and the tasks that are.

    Args:
        models: their names.
        records: one timing of each model that has one, of one session; and runs of tasks.
        tasks: the tasks whose runs count.
        kind: the kind of request whose times count.
        hourly: the price of the device for an hour, or None.
    """
    timings = {record.manifest.model_name: record for record in records if record.timed}
    in_turn = frozenset(map(Identity.of, timings.values())) if len(timings) > 1 else frozenset()
    measured = []
    for model in models:
        timing = timings.get(model)
        identity = Identity(model, "", "") if timing is None else Identity.of(timing)
        quality = {task: dict[Identity, Record]() for task in tasks}
        for run in records:
            if run.manifest.model_name == model and run.manifest.task.name in quality:
                quality[run.manifest.task.name][identity] = run
        timed = {} if timing is None else {identity: timing}
        runs = ComparableRuns(quality, timed, timed, in_turn, kind)
        measured.append(_candidate(identity, model, runs, hourly, {}))
    return measured


def _names(identities: Sequence[Identity]) -> list[str]:
    """Name candidates by their model, by weights and number format where several have one name, else by number.

    Example:
        >>> _names([Identity("a", "1", "float32"), Identity("a", "2", "float32"), Identity("b", "1", "float32")])
        ['a (1 float32)', 'a (2 float32)', 'b']
    """
    names = [shorten_path(identity.name) for identity in identities]
    full = [
        name if names.count(name) == 1 else f"{name} ({_details(identity, identities)})"
        for name, identity in zip(names, identities, strict=True)
    ]
    return [name if full.count(name) == 1 else f"{name} #{full[:k].count(name) + 1}" for k, name in enumerate(full)]


def _details(identity: Identity, identities: Sequence[Identity]) -> str:
    """Return what sets a candidate apart from others of its name: its options for texts, else weights and format."""
    alike = [other for other in identities if other.name == identity.name]
    weights = f"{identity.weights[:6]} {identity.dtype}"
    if len({other.settings for other in alike}) == 1:
        return weights
    settings = one_line(identity.settings, 60) if identity.settings else comparable.DEFAULT_SETTINGS
    return settings if len({other.timed for other in alike}) == 1 else f"{weights} {settings}"


def _candidate(
    identity: Identity,
    name: str,
    runs: ComparableRuns,
    hourly: Money | None,
    absent: Mapping[tuple[str, str], str],
) -> ModelCandidate:
    of_model = {task: by_model[identity] for task, by_model in runs.quality.items() if identity in by_model}
    missing = {task: why_no_run(identity, task, runs, absent) for task in runs.quality if task not in of_model}
    quality = {}
    for task, run in of_model.items():
        result = run.finished()
        if result.failed == result.n:
            missing[task] = f"all {counted(result.n, 'sample')} failed"
        else:
            value = result.metrics[result.headline].metric()
            quality[task] = replace(value, higher_is_better=higher_is_better(run, result.headline))
    timing = runs.timings.get(identity.timed)
    timed, peak = _Timed(timing, runs.kind), runs.peaks.get(identity.timed)
    memory = _Timed(peak, runs.kind).memory
    why = why_no_run(identity, TIMING, runs, absent) or _not_timed(of_model)
    missing |= {LATENCY: why} if timed.latency is None else {}
    missing |= {MEMORY: _NO_MEMORY if _served(of_model) else why} if memory is None else {}
    price, price_of, no_price = _price(of_model, timed, hourly, why)
    return ModelCandidate(
        name=name,
        identity=identity,
        runs=of_model,
        timing=timing,
        peak=peak,
        in_turn=identity.timed in runs.in_turn,
        kind=runs.kind,
        quality=quality,
        latency=timed.latency,
        memory=memory,
        weights=timed.weights,
        price=price,
        price_of=price_of,
        missing=missing | ({PRICE: no_price} if price is None else {}),
    )


def why_no_run(identity: Identity, task: str, runs: ComparableRuns, absent: Mapping[tuple[str, str], str]) -> str:
    """Return why a candidate has no run of a task that can be compared; empty for a timing that nobody made.

    Args:
        identity: what the candidate is; without weights, any model of its name is meant.
        task: a task, or `TIMING`.
        runs: the runs that can be compared, and those that were set apart.
        absent: by model and task, why a run could not be made.
    """
    if why := absent.get((identity.name, task)) or runs.reasons.get((identity.timed, task)):
        return "there is a blind control only" if why == comparable.BLIND_CONTROL else why
    others = [other for other in runs.quality.get(task, ()) if other.name == identity.name]
    if settings := [other.settings or comparable.DEFAULT_SETTINGS for other in others if other.timed == identity.timed]:
        return f"the model was run on it with other settings only ({'; '.join(settings)})"
    of_name = [why for (other, name), why in runs.reasons.items() if (other.name, name) == (identity.name, task)]
    if of_name and (task == TIMING or not identity.weights):
        return of_name[0]
    if others or of_name:
        return "there is no run of these weights in this number format"
    return "" if task == TIMING else "there is no run"


def _not_timed(runs: Mapping[str, Record]) -> str:
    families = {run.manifest.model.get("family") for run in runs.values()}
    if families & {"replay", "imported"}:
        return f"{'recorded outputs' if 'replay' in families else 'logs of other harnesses'} have no time and no memory"
    return f"the task {TIMING} was not run"


def _served(runs: Mapping[str, Record]) -> bool:
    """Whether a model is behind a server."""
    return any(run.manifest.model.get("family") == "endpoint" for run in runs.values())


@dataclass(frozen=True)
class _Timed:
    """What the timing of a model says about one kind of request."""

    record: Record | None
    kind: str

    @property
    def latency(self) -> Metric | None:
        return self._of(self._name("latency"))

    @property
    def memory(self) -> Metric | None:
        served = self.record is not None and self.record.manifest.model.get("family") == "endpoint"
        return None if served else self._of("peak-memory")  # of a server, it is that of the process that asks

    @property
    def weights(self) -> float | None:
        weights = self._of("peak-memory/weights")
        return None if weights is None else weights.value

    @property
    def seconds(self) -> Metric | None:
        """The mean time of an answer: its tokens over the tokens of a second."""
        rate, tokens = self._of(self._name("throughput")), self._of(self._name("new-tokens"))
        if rate is None or tokens is None or rate.value <= 0:
            return None
        low = None if rate.high is None else tokens.value / rate.high
        high = None if rate.low is None or rate.low <= 0 else tokens.value / rate.low
        if low is None or high is None:
            low = high = None
        return Metric(tokens.value / rate.value, low, high, rate.n, "seconds", higher_is_better=False)

    def _name(self, name: str) -> str:
        return name if self.kind == "short" else f"{self.kind}-{name}"

    def _of(self, name: str) -> Metric | None:
        entry = self.record.finished().metrics.get(name) if self.record is not None else None
        return None if entry is None else replace(entry.metric(), higher_is_better=False)


def _price(
    runs: Mapping[str, Record], timed: _Timed, hourly: Money | None, not_timed: str
) -> tuple[Metric | None, str, str]:
    """Return the price of `ANSWERS` answers, what it is made of, and why there is none."""
    if _served(runs):
        by_task = {task: _charged(run) for task, run in runs.items()}
        unknown = [f"{task}: {price}" for task, price in by_task.items() if isinstance(price, str)]
        prices = [price for price in by_task.values() if isinstance(price, Metric)]
        if unknown or len({price.unit for price in prices}) != 1:
            return None, "", "; ".join(unknown) or "the tasks were charged in different currencies"
        return max(prices, key=lambda price: price.value), TOKENS, ""
    if hourly is None:
        return None, "", "the device has no price: give --hourly"
    if (seconds := timed.seconds) is None:
        return None, "", not_timed
    factor = ANSWERS * hourly.amount / 3600
    low, high = (None if end is None else end * factor for end in (seconds.low, seconds.high))
    return Metric(seconds.value * factor, low, high, seconds.n, hourly.currency), DEVICE_TIME, ""


def _charged(run: Record) -> Metric | str:
    """Return what a server charged for `ANSWERS` answers of a run, or why that is not known."""
    costs = run.finished().efficiency
    names = [name for name in costs if name.startswith(_COST)]
    if run.finished().failed == run.finished().n:
        return "no request was answered"
    if uncounted := costs.get("uncounted_answers"):
        return f"the server did not count the tokens of {counted(int(uncounted), 'answer')}"
    if len(names) != 1:
        return "the run has no prices: name a file in the server's address, ?prices=FILE"
    costs_N, clusters = charges(run, names[0])
    result = run.finished()
    currency = names[0].removeprefix(_COST).upper()
    if result.failed:  # what requests without an answer cost is paid for the answers too
        answered_N = np.array([float(not row.failed) for row in sorted(run.samples(), key=lambda row: row.id)])
        value = float(costs_N.sum() / answered_N.sum())
        ratio = paired.ratio(costs_N, answered_N, clusters)
        ends = ratio.interval() if ratio is not None else None
        return Metric(value, *(ends or (value, value)), len(costs_N), currency)
    estimate = paired.difference(costs_N, np.zeros(len(costs_N)), clusters)
    alike = (estimate.value, estimate.value) if estimate.clusters > 1 else (None, None)
    low, high = estimate.interval() or alike  # every answer cost the same
    return Metric(estimate.value, low, high, len(costs_N), currency)


def charges(run: Record, name: str = "") -> tuple[Floats, list[str]]:
    """Return what a run's samples were charged for `ANSWERS` of each, in the order of their IDs, and their clusters.

    Args:
        run: a finished run of a server.
        name: the name of the charge; by default the only one.
    """
    rows = sorted(run.values(), key=lambda row: row.id)
    name = name or next(key for key in run.finished().efficiency if key.startswith(_COST))
    return (
        np.array([ANSWERS * float(row.cost.get(name, 0.0)) for row in rows]),
        [row.cluster or f"sample {row.id}" for row in rows],
    )
