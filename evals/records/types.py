"""The types of the files in a run folder: `Manifest`, `Result`, and the lines of `samples.jsonl`.

Each is declared once, here, and checked when a file is read. A field of a file can also be read by key, as in version
0.1: `record.result["metrics"]["accuracy"]["value"]` is `record.result.metrics["accuracy"].value`.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from evals.errors import shorten
from evals.records.imported import ImportEntry, TrackingEntry
from evals.records.inputs import RecordedInput
from evals.records.sequential.entry import SequentialEntry
from evals.records.stored import Int64, Real, Size, Stored
from evals.schema import Json, Metric

# manifest.json


class TaskEntry(Stored, kw_only=True):
    """What was measured: the task and the options that concern it."""

    name: str
    version: Int64
    needs: str
    split: str
    scale: str
    limit: Int64 | None = None
    """Number of samples that were chosen at random; in older records (see `Manifest.subset`) of the first ones."""
    first: Int64 | None = None
    """Number of samples, if only the first ones were wanted."""
    blind: bool = False
    shots: Int64 | None = None
    method: str | None = None
    seed: Int64 = 0
    temperature: float = 0.0
    top_p: float = 1.0
    samples: Int64 = 1
    """Number of outputs per problem."""
    same_shots: bool = False
    processes: Int64 | None = None
    repetitions: Int64 | None = None
    prompt: str | msgspec.UnsetType = msgspec.UNSET
    """The prompt template in place of the task's own (`--prompts`), where there is one."""
    generation: dict[str, Json] | msgspec.UnsetType = msgspec.UNSET
    """Further options for generated texts by name (`max_new_tokens`, `system_prompt`, …), where any is set."""


class ProbeEntry(Stored, kw_only=True):
    """On what a probe was fitted."""

    samples: Size
    """Number of training samples."""
    left_out: Size
    """Number of those that were not used, because a text is longer than the model reads."""
    shortened: Size
    """Number of those with a text that was shortened to what the model reads."""


class PlanEntry(Stored, kw_only=True, omit_defaults=True):
    """How requests become batches."""

    budget: Size | None
    """The token budget that the user set, or None for the default."""
    share: bool
    """Whether shared prefixes are computed once."""
    window: Size
    """Number of samples planned together."""
    interleaved: list[str] | None = None
    """Names of the models that were timed in turn, for a timed task."""
    token_budget: Size = 0
    """Maximum number of token positions in a batch."""


class CodeEntry(Stored, kw_only=True):
    """The code that computed the result."""

    digest: str
    """Digest of the suite's sources."""
    commit: str | None = None
    """Commit of the checkout, with a mark if files were changed since; None outside a checkout."""


class Manifest(Stored, kw_only=True):
    """Everything that determines a result, and the signature, which is a hash of it.

    `data` and `model` hold the facts that tasks and models state. `data` has at least `samples` and `ids`, and `model`
    at least `name`.
    """

    signature: str
    """Hash of what determines the result: 12 hexadecimal digits."""
    task: TaskEntry
    data: dict[str, Json]
    """The samples' facts, their number (`samples`) and a digest of their ids (`ids`)."""
    model: dict[str, Json]
    """The model's name, whether it is a bundled replica (`replica`), and its facts."""
    plan: PlanEntry
    code: CodeEntry
    packages: dict[str, str] = msgspec.field(default_factory=dict)
    """Versions of the packages that the values depend on."""
    machine: dict[str, Json] = msgspec.field(default_factory=dict)
    """The machine; not signed."""
    command: str = ""
    """What the user typed; not signed."""
    started: str = ""
    """Local time of the first start, `2026-11-28T18:00:00`, which chat templates read as now; not signed."""
    probe: ProbeEntry | msgspec.UnsetType = msgspec.UNSET
    """On what a probe was fitted, if one was; not signed, since it is known when the model has read the samples."""
    tracking: TrackingEntry | msgspec.UnsetType = msgspec.UNSET
    """Which hooks observed the run, if any did; not signed, since hooks change nothing in it."""
    imported: ImportEntry | msgspec.UnsetType = msgspec.UNSET
    """The log of another harness that the run was made from, if one was; its files' digests are signed as data."""

    def __post_init__(self) -> None:
        """Check the facts that every run has. `msgspec` turns the error into one that names the field."""
        for field, key, kind in (("data", "samples", int), ("data", "ids", str), ("model", "name", str)):
            facts: dict[str, Json] = getattr(self, field)
            if not isinstance(facts.get(key), kind):
                raise ValueError(f"`{field}.{key}` is {facts.get(key)!r}, expected {kind.__name__}")
        for field, key, known in _OPTIONAL_FACTS:
            fact = getattr(self, field).get(key)
            if not isinstance(fact, known | None) or isinstance(fact, bool):
                raise ValueError(f"`{field}.{key}` is {shorten(fact)}, expected {known.__name__}")

    @property
    def sample_count(self) -> int:
        """Number of samples of the run."""
        count: int = self.data["samples"]
        return count

    @property
    def samples_in_split(self) -> int | None:
        """Number of samples of the whole split, if only some were wanted; None in older records."""
        count: int | None = self.data.get("samples_in_split")
        return count

    @property
    def subset(self) -> Literal["random", "first"] | None:
        """Which samples of its split the run has; None for all. The limit of older records is that of `--first`."""
        if (self.task.limit is None and self.task.first is None) or self.sample_count == self.samples_in_split:
            return None
        return "first" if self.samples_in_split is None or self.task.first is not None else "random"

    @property
    def model_name(self) -> str:
        """The name that the user gave."""
        return str(self.model["name"])

    @property
    def replica(self) -> bool:
        """Whether the model is a bundled replica, also if it was named by its folder: no evidence about public ones."""
        places = f"{self.model_name} {self.model.get('checkpoint')}"
        return bool(self.model.get("replica")) or "models/replicas/checkpoints/" in places

    @property
    def timed(self) -> bool:
        """Whether the run timed its model in turn with others."""
        return self.plan.interleaved is not None


_OPTIONAL_FACTS: tuple[tuple[str, str, type], ...] = (
    ("data", "samples_in_split", int), ("data", "source", str), ("data", "without", list), ("data", "modalities", list),
    ("model", "checkpoint", str), ("model", "parameters", int), ("model", "device", str), ("model", "family", str),
)  # fmt: skip
"""Facts that reports show, and their types where they are stated."""

# result.json


class MetricEntry(Stored, kw_only=True, omit_defaults=True):
    """A `Metric` of a result; fields that are not set are left out of the file."""

    value: Real
    low: Real | None
    high: Real | None
    n: Size
    unit: str
    note: str | None = None
    floors: dict[str, float] = msgspec.field(default_factory=dict)
    higher_is_better: bool | None = None
    """Whether a higher value is better; None in a record of version 0.1, which does not say."""
    statistic: str | None = None
    """How the value summarises the samples; None in a record of version 0.1."""

    def __post_init__(self) -> None:
        """Check that the interval is one."""
        if (self.low is None) != (self.high is None):
            raise ValueError(f"the interval has one end: {self.low} to {self.high}")
        if self.low is not None and self.high is not None and self.low > self.high:
            raise ValueError(f"the interval ends before it begins: {self.low} to {self.high}")

    @classmethod
    def of(cls, metric: Metric) -> MetricEntry:
        """Store a metric."""
        return cls(
            value=metric.value,
            low=metric.low,
            high=metric.high,
            n=metric.n,
            unit=metric.unit,
            note=metric.note or None,
            floors=dict(metric.floors),
            higher_is_better=metric.higher_is_better,
            statistic=metric.statistic,
        )

    def metric(self) -> Metric:
        """Return the stored metric; of a record of version 0.1 the direction and the statistic are the defaults."""
        fields = {name: value for name in self.__struct_fields__ if (value := getattr(self, name)) is not None}
        return Metric(**{"low": None, "high": None, **fields})


class Result(Stored, kw_only=True):
    """The metrics of a finished run with their intervals, and what the run cost."""

    task: str
    model: str
    scale: str
    split: str
    n: Size
    """Number of samples."""
    failed: Size
    """Number of samples without an output."""
    unparsed: Size
    """Number of outputs from which no answer could be read."""
    truncated: Size
    """Number of samples with an output cut at the token limit, or an input at the length that the model reads."""
    long_prompts: Size = 0
    """Number of samples with a prompt that was longer than the model reads: refused, or shortened."""
    signature: str
    metrics: dict[str, MetricEntry]
    truncated_thinking: Size = 0
    """Number of samples with an output that ended inside a thought."""
    bounds: dict[str, list[Real]] = msgspec.field(default_factory=dict)
    """For metrics that are means: the value if all cut outputs were wrong, and if all were right."""
    headline: str
    """Name of the metric that represents the run."""
    efficiency: dict[str, Real | None] = msgspec.field(default_factory=dict)
    """Seconds, tokens, memory and further costs, by name."""
    sequential: SequentialEntry | msgspec.UnsetType = msgspec.UNSET
    """How the run looked at its interval, if it did; if it stopped early, all intervals are of confidence sequences."""
    answered_by: dict[str, Size] | msgspec.UnsetType = msgspec.UNSET
    """For a composed model, the number of samples that each part answered, by its name; absent for others."""
    digest: str | msgspec.UnsetType = msgspec.UNSET
    """Hash of the other fields but `efficiency`; absent in older results. It shows that the file was changed."""

    def __post_init__(self) -> None:
        """Check that the headline is one of the metrics, and that the counts are parts of the samples."""
        if self.headline not in self.metrics:
            raise ValueError(f"the headline {self.headline!r} is none of the metrics")
        if self.failed + self.unparsed > self.n or self.truncated > self.n:
            raise ValueError(
                f"of {self.n} samples {self.failed} cannot have failed, {self.unparsed} be unparsed and "
                f"{self.truncated} be truncated"
            )

    @property
    def stopped(self) -> SequentialEntry | None:
        """How the run stopped before its last sample; None if it has all samples."""
        return None if self.sequential is msgspec.UNSET or self.n >= self.sequential.of else self.sequential


# samples.jsonl


class SampleKey(msgspec.Struct, frozen=True, gc=False):
    """What identifies a line of `samples.jsonl`; the rest of the line is not decoded."""

    id: str
    index: Size
    signature: str | None = None


class SampleValues(Stored, kw_only=True):
    """A sample's values under the metric names: all that comparisons of runs need."""

    id: str
    index: Size
    values: dict[str, Real]
    cluster: str
    cost: dict[str, Real] = msgspec.field(default_factory=dict)


class SampleRecord(Stored, kw_only=True, omit_defaults=True):
    """One line of `samples.jsonl`: a sample, the model's output, and its score."""

    id: str
    """The sample's id."""
    index: Size
    """The sample's index in the split."""
    prompt: str
    """The last text of the prompt; all texts if they are classified or embedded."""
    output: Json
    """The model's output; a list if the sample has several requests."""
    answer: Json
    """What was extracted from the output; None if nothing could be."""
    target: Json
    """What the answer was compared with."""
    values: dict[str, Real]
    """The sample's values under the metric names."""
    failed: bool
    """The model gave no output."""
    failure: str | None
    """Why there is no output, in one line."""
    truncated: bool
    """An output was cut at the token limit, or an input at the length that the model reads."""
    long_prompt: bool = False
    """A prompt was longer than the model reads: it was refused, or it was shortened."""
    truncations: list[bool] | None = None
    """For a sample with several requests, which of them were truncated; None if none was."""
    scores: list[tuple[float, ...]]
    """Log-likelihoods or log-probabilities in nats, one tuple per request."""
    cluster: str
    """Samples of one cluster are resampled together for intervals."""
    labels: dict[str, str]
    """What metrics are broken down by."""
    thought: str | list[str | None] | None = None
    """What a reasoning model thought before its output, never scored; a list if the sample has several requests."""
    truncated_thinking: bool = False
    """An output ended inside a thought: it has no answer."""
    truncated_thoughts: list[bool] | None = None
    """For a sample with several requests, which of them ended inside a thought; None if none did."""
    tokens: list[list[int]] | None = None
    """Tokens of the outputs that were cut at the limit, a list per request; None if none was. `--extend` continues."""
    extended_to: Int64 | None = None
    """Token limit up to which a server was asked to continue the cut outputs (`run --extend`). `cost` counts how:
    `outputs_continued`, `outputs_repeated`, and of these `outputs_changed`."""
    inputs: list[RecordedInput | None] | None = None
    """What the model read for each request; one entry if it is the same for all. None if that is not known."""
    answered_by: str | list[str | None] | None = None
    """The part of a composed model that answered; a list if several did. None for others."""
    reported: dict[str, Real] | None = None
    """For an imported run that was scored again, the values of the harness by its names."""
    signature: str | None = None
    """Signature of the run that wrote the line; None in older records. A line of another run is refused."""
    cost: dict[str, Real]
    """Tokens, seconds and charges, by name."""
