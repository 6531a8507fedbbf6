"""One model: compute samples in random order until the interval of the headline is narrow enough."""

from __future__ import annotations

from evals.execution import progress
from evals.execution.executor import Executor
from evals.execution.run import Evaluation
from evals.execution.sequential.eligible import PRECISION, EarlyStop
from evals.execution.sequential.prefix import PrefixRun
from evals.hooks.observer import RunObserver
from evals.records import answers
from evals.records.folder import RunFolder
from evals.records.sequential.entry import SequentialEntry
from evals.schema import RunConfig, Samples, Task
from evals.statistics.sequential.means import SequenceEstimate, sequence_estimate
from evals.statistics.sequential.sampled import sampled_clusters

FLAG = PRECISION


def compute_until_precise(
    config: RunConfig,
    task: Task,
    samples: Samples,
    executor: Executor,
    folder: RunFolder,
    *,
    early: EarlyStop,
    observer: RunObserver,
) -> SequentialEntry:
    """Compute the samples of a run until its interval is within a precision, or all samples are finished.

    Args:
        config: the configuration, with `precision` in percentage points.
        task: scores the samples.
        samples: the run's samples.
        executor: answers the requests.
        folder: receives the records.
        early: the random order of the samples, the value whose mean is estimated, and any predictions of it.
        observer: tells hooks what is done.

    Returns:
        How the run looked at its interval. If it stopped early, the folder holds the samples of the last look and no
        others.

    Raises:
        InputError: a value does not lie between 0 and 1, or the folder holds other samples.
    """
    assert config.precision is not None
    order = early.order
    predicted = None if early.predictions is None else early.predictions.clusters(samples.ids, order)
    precision, shown = config.precision / 100, _Shown(early.headline, config.precision)
    with progress.bar(
        total=len(samples), initial=len(folder.finished_ids), unit=" samples", disable=not config.shows_bar,
        desc=task.name,
    ) as bar:  # fmt: skip
        evaluation = Evaluation(config, task, samples, executor, folder, bar=bar, observer=observer, status=shown.text)
        run = PrefixRun(evaluation, early)
        interval: SequenceEstimate | None = None
        number = max(0, run.complete_looks - 1)  # earlier looks need not be repeated: any may be the last
        while True:
            clusters = run.looks[number]
            run.advance(clusters)
            if clusters == order.whole.clusters:
                interval = None
                break
            drawn = sampled_clusters(run.values(clusters), order.starts[:clusters], order.whole)
            interval = sequence_estimate(drawn, None if predicted is None else predicted.first(clusters))
            shown.update(interval)
            if interval.reach <= precision:
                break
            number += 1
    run.drop_unfinished()
    answers.forget(folder.folder)
    return _entry(run, early, precision, looks=number + 1, clusters=clusters, reached=interval)


def _entry(
    run: PrefixRun, early: EarlyStop, precision: float, *, looks: int, clusters: int, reached: SequenceEstimate | None
) -> SequentialEntry:
    """Return how a run looked at its interval; `reached` is None if no look before the last sample was within it."""
    whole, predictions = early.order.whole, early.predictions
    return SequentialEntry(
        rule="precision", target=precision, looks=looks, used=early.order.end(clusters), of=whole.samples,
        decision="undecided" if reached is None else "precise",
        low=None if reached is None else reached.low, high=None if reached is None else reached.high,
        clusters=whole.clusters, largest=whole.largest, ids=run.digest(),
        predictors=[] if predictions is None else predictions.models,
        estimate=None if reached is None or predictions is None else reached.value,
    )  # fmt: skip


class _Shown:
    """The interval at the last look, for the progress bar."""

    def __init__(self, headline: str, precision: float) -> None:
        self._headline, self._precision, self._interval = headline, precision, ""

    def update(self, point: SequenceEstimate) -> None:
        self._interval = f"{100 * point.value:.1f} % ({100 * point.low:.1f} to {100 * point.high:.1f})"

    def text(self) -> str:
        if not self._interval:
            return f"until {self._headline} is within {self._precision:g} points"
        return f"{self._headline} {self._interval}, until within {self._precision:g} points"
