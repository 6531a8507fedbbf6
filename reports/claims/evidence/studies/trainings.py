"""Small trainings as evidence: what the studies of `models/replicas/studies` measured over several seeds.

A claim names its study (`study: fine_tuning`). A study was made beforehand at replica scale, and its rows are
committed: nothing is trained here. It can show a direction at its own scale, never a level of the described system.
The word of the claim stays; the row and the lines say what was measured, at which scale, with which compute.

    fine_tuning      compute to reach one quality: the pretrained replica against the same network from random weights
    batch_size       the best batch of a mixture of experts and of a dense network of the same active size
    active_experts   fine-tuning a mixture with 8 and with 4 active experts per token
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import msgspec

from evals.reports.claims.evidence.measured_rows import MeasuredRow
from evals.reports.claims.evidence.studies.rows import read_rows
from evals.reports.claims.language.schema import Relation
from evals.statistics.intervals import t_quantile

SCALE = "a replica shows a direction, and no level of the described system"


class TrainingRow(msgspec.Struct, frozen=True, kw_only=True):
    """One training of a study."""

    arm: str
    task: str
    batch: int
    seed: int
    rate: float
    steps: int
    tokens: int
    active_parameters: int
    flops: int
    """6 operations for each active parameter and token."""
    quality: float
    reached: bool
    """Whether the target was reached, in studies that have one."""
    curve: str
    """`tokens:quality` of each evaluation."""


@dataclass(frozen=True, slots=True)
class TrainingEvidence:
    """What a study shows for a claim."""

    lines: tuple[str, ...]
    rows: tuple[MeasuredRow, ...]


NO_STUDY = TrainingEvidence((), ())
"""The evidence of a claim that names no study."""


@dataclass(frozen=True, slots=True)
class _Interval:
    value: float
    low: float | None
    high: float | None
    n: int

    def text(self, scale: float = 1.0, digits: int = 2) -> str:
        """Format the value with its interval, each multiplied by a factor."""
        if self.low is None or self.high is None:
            return f"{self.value * scale:.{digits}f}"
        low, high = sorted((self.low * scale, self.high * scale))
        return f"{self.value * scale:.{digits}f} (95 % interval {low:.{digits}f} to {high:.{digits}f})"


def evidence(study: str, trainings: Sequence[TrainingRow] | None = None) -> TrainingEvidence:
    """Return what a study shows.

    Args:
        study: a name of `STUDIES`.
        trainings: its rows; by default the committed ones.
    """
    rows = read_rows(study, TrainingRow) if trainings is None else trainings
    if not rows:
        return TrainingEvidence((f"the study {study} has not been made",), ())
    return STUDIES[study](rows)


def _fine_tuning(trainings: Sequence[TrainingRow]) -> TrainingEvidence:
    lines, rows = [], []
    for task in dict.fromkeys(row.task for row in trainings):
        tuned, scratch = (_by_seed(trainings, arm=arm, task=task) for arm in ("fine-tuned", "scratch"))
        seeds = [seed for seed in tuned if seed in scratch]
        late = [seed for seed in seeds if not scratch[seed].reached]
        never = [seed for seed in seeds if not tuned[seed].reached]
        ratio = estimate([math.log(tuned[seed].flops / scratch[seed].flops) for seed in seeds], logarithmic=True)
        note = f"; {len(late)} of {len(seeds)} trainings from scratch never did, so it is at least this" if late else ""
        saving = _Interval(1 - ratio.value, *_flipped(ratio), ratio.n)
        size, spent, needed = tuned[seeds[0]].active_parameters, _teraflops(tuned, seeds), _teraflops(scratch, seeds)
        lines.append(
            f"training, replica scale: to answer 90 % of the task {task!r} right, fine-tuning the r1 replica of "
            f"{size:,} parameters took {spent}, the same network from random weights {needed}: a saving of "
            f"{saving.text(100, 0)} % over {len(seeds)} seeds{note}; pretraining is not counted"
        )
        direction = "undecided" if never else direction_of(ratio, 1.0)
        rows.append(measured_row(f"fine-tuning-compute/{task}", "ratio", ratio, unit="ratio", direction=direction))
    return TrainingEvidence((*lines, *direction_lines(rows), SCALE), tuple(rows))


def _batch_size(trainings: Sequence[TrainingRow]) -> TrainingEvidence:
    largest = max(row.batch for row in trainings)
    lines = [_losses_by_batch(trainings, arm) for arm in ("mixture", "dense")]
    losses = _losses(trainings, "mixture")
    excess = estimate([of_batch[largest] - min(loss for batch, loss in of_batch.items() if batch != largest)
                    for of_batch in losses.values()])  # fmt: skip
    lines.append(
        f"with batches of {largest} the mixture's loss is {excess.text(1, 3)} nats above that of its best smaller "
        "batch; at equal tokens a large batch has few steps, and speed on hardware is not measured"
    )
    row = measured_row("largest-batch-loss", "difference", excess, unit="nats", direction=direction_of(excess, 0.0))
    return TrainingEvidence((*lines, *direction_lines([row]), SCALE), (row,))


def _losses(trainings: Sequence[TrainingRow], arm: str) -> dict[int, dict[int, float]]:
    """Return the held-out losses of an arm by seed and batch, of the seeds that have all batches."""
    batches = {row.batch for row in trainings}
    losses: dict[int, dict[int, float]] = {}
    for row in trainings:
        if row.arm == arm:
            losses.setdefault(row.seed, {})[row.batch] = row.quality
    return {seed: dict(sorted(of_seed.items())) for seed, of_seed in losses.items() if {*of_seed} == batches}


def _losses_by_batch(trainings: Sequence[TrainingRow], arm: str) -> str:
    losses = _losses(trainings, arm)
    batches = [*next(iter(losses.values()))]
    means = ", ".join(f"{batch}: {estimate([of[batch] for of in losses.values()]).value:.3f}" for batch in batches)
    best = ", ".join(str(min(of, key=lambda batch, of=of: of[batch])) for of in losses.values())  # type: ignore[misc]
    parameters = next(row.active_parameters for row in trainings if row.arm == arm)
    return (
        f"training, replica scale: held-out loss of the {arm} network of {parameters:,} active parameters by batch, "
        f"after the same tokens and at the best of three learning rates: {means}; best batch of each seed: {best}"
    )


def _active_experts(trainings: Sequence[TrainingRow]) -> TrainingEvidence:
    eight, four = (_by_seed(trainings, arm=arm) for arm in ("8", "4"))
    seeds = [seed for seed in eight if seed in four]
    after = estimate([four[seed].quality - eight[seed].quality for seed in seeds])
    before = estimate([_first(four[seed]) - _first(eight[seed]) for seed in seeds])
    compute = four[seeds[0]].flops / eight[seeds[0]].flops
    lines = (
        f"training, replica scale: the r1-moe replica, fine-tuned on GLUE with 4 instead of 8 active experts, answers "
        f"{after.text(100, 1)} points more right ({before.text(100, 1)} before fine-tuning), over {len(seeds)} seeds",
        f"it takes {compute:.0%} of the compute of a token: {four[seeds[0]].active_parameters:,} instead of "
        f"{eight[seeds[0]].active_parameters:,} parameters are active, most of them no experts",
        SCALE,
    )
    row = measured_row("accuracy-with-4-experts", "difference", after, unit="fraction", direction=None)
    return TrainingEvidence(lines, (row,))


STUDIES: Mapping[str, Callable[[Sequence[TrainingRow]], TrainingEvidence]] = {
    "active_experts": _active_experts,
    "batch_size": _batch_size,
    "fine_tuning": _fine_tuning,
}


def _by_seed(
    trainings: Sequence[TrainingRow], *, arm: str, task: str | None = None, batch: int | None = None
) -> dict[int, TrainingRow]:
    return {
        row.seed: row for row in trainings if row.arm == arm and task in {None, row.task} and batch in {None, row.batch}
    }


_QUANTILES = (12.706204736, 4.30265273, 3.182446305, 2.776445105, 2.570581836, 2.446911851, 2.364624252, 2.306004135)
"""Student's t that bounds a two-sided 95 % interval, for 1 to 8 degrees of freedom: importing the library that computes
it takes longer than all else that `check --paper` does."""


def _quantile(freedom: int) -> float:
    """Return the quantile of Student's t that bounds a two-sided 95 % interval.

    Example:
        >>> _quantile(2), round(_quantile(20), 3)
        (4.30265273, 2.086)
    """
    return _QUANTILES[freedom - 1] if freedom <= len(_QUANTILES) else t_quantile(0.95, freedom)


def estimate(values: Sequence[float], *, logarithmic: bool = False) -> _Interval:
    """Estimate a mean over seeds by Student's t; of logarithms, it is returned as the geometric mean."""
    count, mean = len(values), sum(values) / len(values)
    spread = math.sqrt(sum((value - mean) ** 2 for value in values) / (count - 1)) if count > 1 else 0.0
    half = _quantile(count - 1) * spread / math.sqrt(count) if spread > 0 else math.nan
    value, low, high = (math.exp(end) if logarithmic else end for end in (mean, mean - half, mean + half))
    return _Interval(value, None, None, count) if math.isnan(half) else _Interval(value, low, high, count)


def _flipped(ratio: _Interval) -> tuple[float | None, float | None]:
    return (None, None) if ratio.low is None or ratio.high is None else (1 - ratio.high, 1 - ratio.low)


def direction_of(interval: _Interval, null: float) -> str:
    """Whether a ratio or a difference lies below a value with its whole interval: holds, fails, undecided."""
    if interval.low is None or interval.high is None:
        return "undecided"
    return "holds" if interval.high < null else "fails" if interval.low > null else "undecided"


def measured_row(
    metric: str, relation: Relation, measured: _Interval, *, unit: str, direction: str | None, task: str = "training"
) -> MeasuredRow:
    """Make the row of a study's measurement, which decides nothing."""
    return MeasuredRow(
        task=task,
        metric=metric,
        relation=relation,
        value=measured.value,
        low=measured.low,
        high=measured.high,
        n=measured.n,
        claimed_low=None,
        claimed_high=None,
        decision=None,
        unit=unit,
        direction=direction,
        subject_match="proxy",
        replica=True,
    )


def _teraflops(trainings: Mapping[int, TrainingRow], seeds: Sequence[int]) -> str:
    return f"{sum(trainings[seed].flops for seed in seeds) / len(seeds) / 1e12:.2f} TFLOP"


def _first(row: TrainingRow) -> float:
    return float(row.curve.split()[0].partition(":")[2])


def direction_lines(rows: Sequence[MeasuredRow]) -> list[str]:
    """Say whether the direction holds at the replicas' scale; for each measurement if they disagree."""
    words = sorted({row.direction for row in rows if row.direction})
    if len(words) < 2:
        return [f"at the replicas' scale the direction {_PHRASES[word]}" for word in words]
    names = {word: ", ".join(row.metric for row in rows if row.direction == word) for word in words}
    return [f"at the replicas' scale the direction {_PHRASES[word]} ({names[word]})" for word in words]


_PHRASES = {"holds": "holds", "fails": "fails", "undecided": "is undecided"}
"""How a direction is said."""
