"""Tasks: samples, predictions, scores, metrics."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from evals.errors import InputError
from evals.schema.config import Options
from evals.schema.requests import Json, Request


@dataclass(frozen=True, slots=True)
class Sample:
    """One scored item of a benchmark, with everything needed to ask, score and show it."""

    id: str
    """The benchmark's own identifier, as in the official files."""
    requests: tuple[Request, ...]
    """The requests that must be answered before the sample can be scored; most samples have one."""
    target: Json
    """The reference, in the benchmark's own form (for VQA the ten annotators' answers)."""
    cluster: str = ""
    """Samples of one cluster are resampled together for intervals (for VQA the image); "" is the sample alone."""
    labels: Mapping[str, str] = field(default_factory=dict)
    """Labels by which metrics are broken down (`answer type`, `question type`)."""


@dataclass(frozen=True, slots=True)
class Samples:
    """The samples of one split, built on demand: the ids of a large split are known at once.

    Example:
        >>> samples = Samples(("a", "b"), lambda i: Sample("ab"[i], (), target=i), facts={"source": "a test"})
        >>> len(samples), samples[1].target, [s.id for s in samples]
        (2, 1, ['a', 'b'])
    """

    ids: Sequence[str]
    """Id of every sample, in the order of the benchmark's files."""
    build: Callable[[int], Sample]
    """Builds the sample at an index of `ids`; cheap, pure, and opens no image."""
    facts: Mapping[str, Json] = field(default_factory=dict)
    """What determines the samples, for the signature: source, protocol, digests of the files."""
    ids_of_outputs: Callable[[int], Sequence[str]] | None = None
    """Returns the ids of the recorded outputs of the sample at an index; None if each has one, under its own id."""
    train: Samples | None = None
    """Training samples with targets, from which the task fits a probe (`Task.fit_probe`)."""

    def output_ids(self) -> Sequence[str]:
        """List the ids that a file of recorded outputs must contain."""
        if self.ids_of_outputs is None:
            return self.ids
        return [id for index in range(len(self.ids)) for id in self.ids_of_outputs(index)]

    def __len__(self) -> int:
        """Count the samples."""
        return len(self.ids)

    def __getitem__(self, index: int) -> Sample:
        """Build the sample at an index."""
        return self.build(index)

    def __iter__(self) -> Iterator[Sample]:
        """Build the samples one after the other."""
        return (self.build(index) for index in range(len(self.ids)))


@dataclass(frozen=True, slots=True)
class Prediction:
    """A model's answer to one request, or the reason why there is none."""

    id: str
    """The request's id."""
    output: Json = None
    """The generated text, the chosen continuation, the class or number, or the embedding as packed by
    `evals.records.embeddings`; None if the request failed."""
    failure: str | None = None
    """Why there is no output, in one line."""
    truncated: bool = False
    """Generation ended at `max_new_tokens` and not at a stop, or the input was cut to the length that
    the model reads."""
    scores: tuple[float, ...] = ()
    """For `Choose`: log-likelihood of each continuation in nats, not normalised. For `Classify`: log-probability of
    each class."""
    prompt_tokens: int = 0
    """Number of tokens of the whole prompt, shared ones included."""
    new_tokens: int = 0
    """Number of tokens generated, or scored as a continuation."""
    computed_tokens: float = 0.0
    """This request's share of the token positions that the model computed, padding included; 0 if the model does not
    count them, they are then derived from the batch's layout."""
    useful_tokens: float = 0.0
    """This request's share of the computed positions that were not padding."""
    thought: str | None = None
    """What a reasoning model thought before its answer; recorded apart from the output and never scored."""
    truncated_thinking: bool = False
    """The text ended inside a thought: there is no answer, and the output is empty."""
    tokens: tuple[int, ...] = ()
    """Tokens of an output that was cut at `max_new_tokens`, from which it can be continued."""
    long_prompt: bool = False
    """The prompt was longer than the model reads: it was refused, or it was shortened."""
    shortened: Request | None = None
    """The request that was answered in place of the one that was asked, because the model found that one too long while
    it answered (a server); None where `Prompt.request` was answered."""
    charges: Mapping[str, float] = field(default_factory=dict)
    """Further costs by name, summed in `efficiency`: `cost_usd`, `reasoning_tokens`, …"""
    answered_by: str | None = None
    """The part of a composed model that answered; None for other models."""

    def __reduce__(self) -> tuple[Callable[..., Prediction], tuple[Any, ...]]:
        """Pickle the values alone, without the fields' names: the driver of many workers reads many predictions."""
        return _prediction, _values(self)

    def gradable(self) -> Prediction:
        """Return the prediction as a scorer reads it: a text that ended inside a thought is no output.

        Example:
            >>> Prediction("7", "", truncated_thinking=True).gradable().failure
            'the text ended inside a thought'
        """
        return replace(self, failure="the text ended inside a thought") if self.truncated_thinking else self

    def text(self, word: str = "id") -> str:
        """Return the output of a task that asks for text; empty if the request failed.

        Args:
            word: what the benchmark calls the request's id, for the error.

        Raises:
            InputError: if the output, which may have been recorded elsewhere, is not text.
        """
        output = "" if self.failure is not None else self.output
        if not isinstance(output, str):
            raise InputError(f"the output for {word} {self.id} is {output!r:.40}, expected text")
        return output


_FIELDS = [entry.name for entry in fields(Prediction)]
_values: Callable[[Prediction], tuple[Any, ...]] = operator.attrgetter(*_FIELDS)
_SETTERS = [getattr(Prediction, name).__set__ for name in _FIELDS]


def _prediction(*values: Any) -> Prediction:
    """Make a prediction that was pickled; the constructor would need three times as long for its many fields."""
    made = object.__new__(Prediction)
    for set_field, value in zip(_SETTERS, values, strict=True):
        set_field(made, value)
    return made


@dataclass(frozen=True, slots=True)
class Score:
    """One scored item: what was read from the output, and its value."""

    id: str
    """The sample's id."""
    answer: Json
    """What was extracted from the output; None if nothing could be."""
    target: Json
    """The reference that the answer was compared with."""
    values: Mapping[str, float]
    """The item's own values under the metric names, for example `{"accuracy": 0.9}`."""
    failed: bool = False
    """The model gave no output; the item counts as wrong and is counted separately."""
    cluster: str = ""
    """As in `Sample`."""
    labels: Mapping[str, str] = field(default_factory=dict)
    """As in `Sample`."""

    @classmethod
    def of(cls, sample: Sample, *, answer: Json, values: Mapping[str, float], failed: bool = False) -> Score:
        """Score a sample: target, cluster and labels are the sample's.

        Example:
            >>> Score.of(Sample("7", (), target="red"), answer="red", values={"accuracy": 1.0}).target
            'red'
        """
        return cls(
            sample.id, answer, sample.target, values, failed=failed, cluster=sample.cluster, labels=sample.labels
        )


@dataclass(frozen=True, slots=True)
class Metric:
    """One number of a result."""

    value: float
    """A fraction or a coefficient, never a percentage; finite."""
    low: float | None
    """Lower end of the 95 % interval, or None if there is no interval."""
    high: float | None
    """Upper end of the 95 % interval."""
    n: int
    """Number of items."""
    unit: str = "fraction"
    """`fraction`, `coefficient`, `rank`, `seconds`, …"""
    note: str | None = None
    """Why the value is a convention and not a measurement (an undefined coefficient that counts as 0), or why there is
    no interval."""
    floors: Mapping[str, float] = field(default_factory=dict)
    """Lower bounds of the value in its unit, by reason (`bandwidth`), where they are known."""
    higher_is_better: bool = True
    """Whether a higher value is better."""
    statistic: str = "mean"
    """How the value summarises the items: `mean`, `median`, `p95`, `maximum`, `total`, `f1`, `pearson`, …"""


@dataclass(frozen=True, slots=True)
class SampleMetric:
    """A metric of one output, which task files name under `metrics`; reports show its mean with an interval."""

    name: str
    """What a task file says."""
    summary: str
    """One line."""
    value: Callable[[str, Sequence[str]], float]
    """Returns the value of an output, given the right answers; pure and finite. A failed sample has that of ""."""
    higher_is_better: bool = True
    """As in `Metric`."""


Predictions = Mapping[str, Sequence[Prediction]]
"""Predictions by sample id, in the order of the sample's requests."""
Probe = Callable[[Sample, Sequence[Prediction]], Prediction]
"""Turns the answers to a sample's requests into the one prediction that is recorded and scored."""


@dataclass(frozen=True, slots=True)
class PromptTemplates:
    """The prompt templates of a task, which ask the same in several wordings (`--prompts`)."""

    shipped: Callable[[], Sequence[str]]
    """Returns those that come with the task, its own first."""
    check: Callable[[str], None]
    """Raises `InputError` if a template lacks a field of the task's rows; the message says which."""


@dataclass(frozen=True)
class Task:
    """A benchmark as a value: where its samples come from and how they are scored."""

    name: str
    """What users type; a sub-task is `family/name`."""
    summary: str
    """One line for lists."""
    version: int
    """Raised whenever a score may change."""
    needs: str
    """The ability that its requests ask for: a key of `ABILITIES`."""
    splits: tuple[str, ...]
    """Names of the splits, the default first."""
    headline: str
    """Name of the metric that represents the task in lists and reports."""
    samples: Callable[[Options], Samples]
    """Reads a split. Raises `InputError` for files that are missing or malformed."""
    score: Callable[[Sequence[Sample], Predictions], list[Score]]
    """Scores samples by their predictions. Pure, and reads no request, so a finished run can be scored again from its
    record."""
    summarise: Callable[[Sequence[Score]], dict[str, Metric]]
    """Computes the metrics of a split from the scores of all its samples; pure."""
    supported_options: frozenset[str] = frozenset()
    """Which of the options `columns`, `shots`, `same_shots`, `samples`, `processes` and `repetitions` the task uses;
    the others are refused. A task that asks for texts takes all options for generation (`temperature`, …)."""
    per_sample: bool = True
    """Whether the score of a sample needs that sample alone; retrieval needs all samples."""
    methods: Mapping[str, str] = field(default_factory=dict)
    """How the task can query a model (`choose`, …): each method's name with the ability that it needs, the preferred
    one first. Empty if there is one way only, given by `needs`."""
    fit_probe: Callable[[Sequence[Sample], Predictions], Probe] | None = None
    """Fits, from the training samples' targets and embeddings, a probe that reads other embeddings; pure. For methods
    that need `embed`. None if embeddings are scored directly."""
    prompts: PromptTemplates | None = None
    """Its prompt templates; None if its prompts are fixed. A task with templates supports the option `prompt`."""
    submission: Callable[[Sequence[Score]], Mapping[str, str]] | None = None
    """Writes the answers to samples whose targets are secret as the benchmark's submission files: their texts by file
    name. Empty for samples with targets."""
    definition: Path | None = None
    """The file that defines the task, if the user named one; a worker on another machine is sent it."""
    default_data: Path | None = None
    """The file or folder that such a task reads unless `--data` names another; None if it is on the hub."""
    timed: bool = False
    """Whether requests are timed (`evals.timing.interleaving`): one at a time, in fresh processes, models interleaved.
    A sample's cluster is its process (`0`, `1`, …), and after timing the session of that process."""
