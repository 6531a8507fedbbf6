"""Compare a run with its blind control: does the model use the images, or the audio?

A server may accept an image and ignore it, and so may a model that has learnt the most frequent answers. The blind
control is the same run with flat images and silent audio. If its scores do not drop, the run does not demonstrate that
the model uses them, however high its score is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from evals.errors import InputError
from evals.records.folder import MANIFEST, RESULT, Record, load
from evals.reports.runs.naming import blind, blind_inputs, count
from evals.reports.runs.sections import higher_is_better
from evals.schema import Json

SIGNIFICANCE = 0.05


@dataclass(frozen=True, slots=True)
class ControlVerdict:
    """The headline of a run and of its blind control, on the samples that both have."""

    metric: str
    """The headline metric."""
    value: float
    """Its mean in the run, a fraction."""
    blind_value: float
    """Its mean in the blind control, a fraction."""
    drop: float
    """Mean difference between the two, sample by sample; positive if the inputs help."""
    n: int
    """Number of samples that both have."""
    low: float | None
    """Lower end of the 95 % interval of the drop; None where no interval can be given."""
    high: float | None
    """Upper end of that interval."""
    p: float = 1.0
    """Two-sided p-value of the hypothesis that the inputs make no difference."""
    task: str = ""
    """The name of the task."""
    inputs: str = "images"
    """What the blind control tests: `images`, `audio` or `images or audio`."""
    of: int | None = None
    """If a run stopped early, the number of samples of the whole set; the interval is then of a confidence sequence."""

    @property
    def demonstrated(self) -> bool:
        """Whether the run shows that the model uses the inputs: a drop above zero that is significant at 5 %."""
        return self.drop > 0 and self.p < SIGNIFICANCE

    def __str__(self) -> str:
        """Describe the comparison in one sentence.

        Example:
            >>> print(ControlVerdict("accuracy", 0.75, 0.25, 0.5, 80, 0.4, 0.6, 0.001, "vqa"))
            The model uses the images: accuracy 75.00 % with images and 25.00 % blind on the same 80 questions; \
without images it loses 50.0 points (95 % interval 40.0 to 60.0).
        """
        scores = f"{self.metric} {100 * self.value:.2f} % with {self.inputs} and {100 * self.blind_value:.2f} % blind"
        scores += f" on the same {count(self.n, self.task)}"
        if self.of is not None:
            scores += f", the first of {self.of:,} in random order"
        spread = "no interval can be given"
        if self.low is not None and self.high is not None:
            kind = "95 % interval" if self.of is None else "95 % confidence sequence, valid at every look,"
            spread = f"{kind} {100 * self.low:.1f} to {100 * self.high:.1f}"
        if self.demonstrated:
            loss = f"without {self.inputs} it loses {100 * self.drop:.1f} points ({spread})"
            return f"The model uses the {self.inputs}: {scores}; {loss}."
        return (
            f"Modality not demonstrated: {scores}, a drop of {100 * self.drop:.1f} points ({spread}); "
            f"nothing shows that the model uses the {self.inputs}."
        )


class BlindControls:
    """Finds the blind controls of runs and compares each pair once, however many reports mention it.

    Reads run folders and computes a bootstrap, so it belongs to gathering and not to rendering.
    """

    def __init__(self) -> None:
        """Start without any comparison."""
        self._verdicts: dict[tuple[Path, Path], ControlVerdict | None] = {}

    def among(self, records: Sequence[Record]) -> list[str]:
        """Describe what the blind control shows, for each run whose control is among the records.

        Returns:
            One sentence for each pair of finished runs whose headline is a mean over samples; with two or more pairs,
            each begins with the model's name.
        """
        return self._sentences([(run, control) for run in records for control in records])

    def beside(self, record: Record) -> list[str]:
        """Describe the same for a run whose control is in a neighbouring folder, or for a control whose run is."""
        neighbours = list(_neighbours(record))
        return self._sentences([(record, other) for other in neighbours] + [(other, record) for other in neighbours])

    def _sentences(self, candidates: Sequence[tuple[Record, Record]]) -> list[str]:
        pairs = [pair for pair in _pairs(candidates) if _comparable(*pair)]
        verdicts = [(run, verdict) for run, control in pairs if (verdict := self._compare(run, control)) is not None]
        if len(verdicts) < 2:
            return [str(verdict) for _, verdict in verdicts]
        return [f"{run.manifest.model_name}: {verdict}" for run, verdict in verdicts]

    def _compare(self, run: Record, control: Record) -> ControlVerdict | None:
        folders = run.folder.resolve(), control.folder.resolve()
        if folders not in self._verdicts:
            self._verdicts[folders] = compare(run, control)
        return self._verdicts[folders]


def compare(run: Record, control: Record, metric: str | None = None) -> ControlVerdict | None:
    """Compare a metric of a finished run with that of its blind control, on the samples that have it in both.

    Reports and claims judge every blind control by this function. Samples that are the first of their split have no
    interval, as in the run; the test remains, since it asks about these samples alone.

    Args:
        run: the run with images or audio.
        control: the same run without them.
        metric: the name of a sample value; None for the headline of the run.

    Returns:
        The verdict; None if no sample has the value in both runs. If one of them stopped early: that of the first look
        at which a confidence sequence shows a drop, and None if no look does.
    """
    from evals.comparison import sample_clusters, sample_values
    from evals.statistics import paired

    name = metric or run.finished().headline
    if run.finished().stopped or control.finished().stopped:
        return _compare_stopped(run, control, name)
    rows, blind_rows = ({row.id: row for row in record.values()} for record in (run, control))
    ids = [id for id in rows if id in blind_rows and name in rows[id].values and name in blind_rows[id].values]
    if not ids:
        return None
    values_N, blind_N = sample_values(rows, ids, name), sample_values(blind_rows, ids, name)
    better, worse = (values_N, blind_N) if higher_is_better(run, name) else (blind_N, values_N)
    estimate = paired.difference(better, worse, sample_clusters(rows, ids))
    low, high = (None if run.manifest.subset == "first" else estimate.interval()) or (None, None)
    return ControlVerdict(
        metric=name,
        value=float(values_N.mean()),
        blind_value=float(blind_N.mean()),
        drop=estimate.value,
        n=len(ids),
        low=low,
        high=high,
        p=estimate.p_value(),
        task=run.manifest.task.name,
        inputs=blind_inputs(run),
    )


def _compare_stopped(run: Record, control: Record, name: str) -> ControlVerdict | None:
    """Compare the samples that both have, of which one stopped early."""
    from evals.records.sequential.pairs import drawn_pair

    try:
        pair = drawn_pair(run, control, name)
    except InputError:  # other samples, another order, or no mean of values between 0 and 1: nothing can be shown
        return None
    for clusters in pair.looks if higher_is_better(run, name) else ():
        drawn = pair.first(clusters)
        look = drawn.look()
        if look.low > 0:
            return ControlVerdict(
                metric=name,
                value=float(drawn.a_N.mean()),
                blind_value=float(drawn.b_N.mean()),
                drop=look.difference,
                n=look.samples,
                low=look.low,
                high=look.high,
                p=look.p,
                task=run.manifest.task.name,
                inputs=blind_inputs(run),
                of=pair.drawn_from.samples,
            )
    return None


def _pairs(candidates: Sequence[tuple[Record, Record]]) -> Iterator[tuple[Record, Record]]:
    """Yield each run with its control; a run has at most one."""
    paired: set[str] = set()
    for run, control in candidates:
        signature = run.manifest.signature
        if blind(control) and not blind(run) and signature not in paired and _setup(run) == _setup(control):
            paired.add(signature)
            yield run, control


def _neighbours(record: Record) -> Iterator[Record]:
    """Yield the finished runs in the folders beside a run's, in the order of their names."""
    for manifest in sorted(record.folder.resolve().parent.glob(f"*/{MANIFEST}")):
        folder = manifest.parent
        if folder != record.folder.resolve() and (folder / RESULT).exists():
            try:
                yield load(folder)
            except InputError:
                continue  # another run's damaged folder is no reason to withhold this report


def _setup(record: Record) -> Mapping[str, Json]:
    """Return what a run and its control have in common: task, data and model."""
    task = {name: value for name, value in record.manifest.task.to_dict().items() if name != "blind"}
    data = record.manifest.data
    return {"task": task, "ids": data.get("ids"), "samples": data.get("samples"), "model": record.manifest.model}


def _comparable(run: Record, control: Record) -> bool:
    """Whether both are finished, and their headline is a mean over samples."""
    if run.result is None or control.result is None or run.result.headline != control.result.headline:
        return False
    first = next(run.values(), None)
    return first is not None and run.result.headline in first.values
