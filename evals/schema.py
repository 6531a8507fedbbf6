"""The nouns of the suite: frozen dataclasses, and protocols at the seams.

A `Task` turns a benchmark's rows into `Sample`s, each with the `Request`s that a model must answer. A `Model` turns
batches of requests into `Prediction`s. The task turns samples and predictions into `Score`s, one a scored item, and
scores into `Metric`s:

    Task.samples(options) -> Samples -> Sample -> Request -> Model.prepare -> plan -> Model.stage, run -> Prediction
    Task.score(samples, predictions) -> Scores          Task.summarise(scores) -> {name: Metric}

Nothing here imports more than the standard library and the errors.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from evals.errors import InputError

Json = Any
"""A value that JSON can hold: None, bool, int, finite float, str, or a list or mapping of these."""


# What a model is asked


@dataclass(frozen=True, slots=True)
class Image:
    """A picture by reference: nothing is decoded before a model needs the pixels."""

    key: str
    """Its identity within a run: equal keys are the same picture, so its features are computed once."""
    path: Path | None = None
    """The file that holds it, or None when `data` does."""
    data: bytes | None = field(default=None, repr=False)
    """Its encoded bytes (PNG, JPEG), for pictures that come inside a table."""
    blind: bool = False
    """Replace it by a flat grey picture of the same size: the control that shows whether a model looks."""


@dataclass(frozen=True, slots=True)
class Audio:
    """A recording by reference: nothing is decoded before a model needs the sound."""

    key: str
    """Its identity within a run: equal keys are the same recording."""
    path: Path | None = None
    """The file that holds it, or None when `data` does."""
    data: bytes | None = field(default=None, repr=False)
    """Its encoded bytes (WAV), for recordings that come inside a table."""
    blind: bool = False
    """Replace it by silence of the same length: the control that shows whether a model listens."""


Part = str | Image | Audio
"""One piece of a prompt. A prompt is a sequence of parts; the last is what is new, the ones before may be shared."""


@dataclass(frozen=True, slots=True)
class Generate:
    """Continue a prompt with text."""

    id: str
    """The sample's id, or `<sample id>#<n>` for the n-th of several requests of one sample."""
    parts: tuple[Part, ...]
    """The prompt. Requests whose leading parts (all but the last) are equal share their computation."""
    max_new_tokens: int
    """Stop after so many tokens at the latest; the prediction then says that it was cut."""
    stop: tuple[str, ...] = ()
    """Stop before the first of these strings; the output ends before it."""
    temperature: float = 0.0
    """0 takes the likeliest token each time."""
    top_p: float = 1.0
    """Sample from the smallest set of tokens with this much probability; 1.0 is all of them."""
    seed: int = 0
    """Where the sampling starts; joined with `id`, so that no draw depends on the order of requests."""
    min_new_tokens: int = 0
    """Do not end the text before so many tokens: where models are timed at one length, whatever they would say."""


@dataclass(frozen=True, slots=True)
class Choose:
    """Say which ending of a prompt is the likeliest."""

    id: str
    """As in `Generate`."""
    parts: tuple[Part, ...]
    """The context, as in `Generate`."""
    choices: tuple[str, ...]
    """The endings; the prediction's output is the chosen one's text and its `scores` follow this order."""
    normalise: str = "none"
    """What a log-likelihood is divided by before comparing: `none`, `tokens` or `characters` of the ending."""


@dataclass(frozen=True, slots=True)
class Embed:
    """Turn a text, a picture or both into one vector."""

    id: str
    """As in `Generate`."""
    parts: tuple[Part, ...]
    """What is embedded."""


@dataclass(frozen=True, slots=True)
class Classify:
    """Put a text, or a pair of texts, into one of some classes, or on a scale."""

    id: str
    """As in `Generate`."""
    parts: tuple[str, ...]
    """The text, or the two of a pair in their order, as the benchmark has them: there is no prompt around them."""
    labels: tuple[str, ...]
    """The classes by the benchmark's names; the prediction's output is one, its `scores` follow this order. None where
    a number is wanted."""


Request = Generate | Choose | Classify | Embed

MODALITIES: Mapping[type, str] = {str: "text", Image: "image", Audio: "audio"}
"""What a model can read, by the kind of part that holds it."""

ABILITIES: Mapping[str, type] = {"generate": Generate, "choose": Choose, "classify": Classify, "embed": Embed}
"""What a model can be able to do, and the request that asks for it."""


# What a task is made of


@dataclass(frozen=True, slots=True)
class Sample:
    """One scored item of a benchmark, with all that is needed to ask for it, to score it and to show it."""

    id: str
    """The benchmark's own identifier, as users meet it in the official files."""
    requests: tuple[Request, ...]
    """What a model must answer before the sample can be scored; most samples have one."""
    target: Json
    """The reference, in the benchmark's own form (for VQA the ten annotators' answers)."""
    cluster: str = ""
    """Samples of one cluster are drawn together when intervals are made (for VQA the image); "" is its own."""
    labels: Mapping[str, str] = field(default_factory=dict)
    """What metrics are split by (`answer type`, `question type`)."""


@dataclass(frozen=True, slots=True)
class Samples:
    """The samples of one split, built when they are asked for: the ids of a big split are at hand at once.

    Example:
        >>> samples = Samples(("a", "b"), lambda i: Sample("ab"[i], (), target=i), facts={"source": "a test"})
        >>> len(samples), samples[1].target, [s.id for s in samples]
        (2, 1, ['a', 'b'])
    """

    ids: Sequence[str]
    """Every sample's id, in the order of the benchmark's files."""
    build: Callable[[int], Sample]
    """Makes the sample at an index of `ids`; cheap, pure, and opens no picture."""
    facts: Mapping[str, Json] = field(default_factory=dict)
    """What determines the samples, for the signature: source, protocol, digests of the files."""
    parts: Callable[[int], Sequence[str]] | None = None
    """The ids under which recorded outputs answer the sample at an index, where they are not its own id alone."""
    train: Samples | None = None
    """Samples with targets that the task must have learned from before it can answer these (`Task.fit_probe`)."""

    def output_ids(self) -> Sequence[str]:
        """All ids that recorded outputs must have."""
        parts = self.parts
        return self.ids if parts is None else [id for index in range(len(self.ids)) for id in parts(index)]

    def __len__(self) -> int:
        """Count the samples."""
        return len(self.ids)

    def __getitem__(self, index: int) -> Sample:
        """Build the sample at an index."""
        return self.build(index)

    def __iter__(self) -> Iterator[Sample]:
        """Build the samples one after the other."""
        return (self.build(index) for index in range(len(self.ids)))


SCALES = ("mini", "full")
"""Bundled checkpoints and data, or the public ones."""


@dataclass(frozen=True, slots=True)
class Options:
    """What the user chose about the task's side of a run."""

    scale: str = "mini"
    """`mini` (bundled) or `full` (official)."""
    split: str | None = None
    """A split of the task, or None for its default."""
    data: Path | None = None
    """A folder with the official files, or None for the bundled or hub data."""
    limit: int | None = None
    """Only the first so many samples."""
    blind: bool = False
    """Replace every picture by a flat one, and every recording by silence."""
    shots: int | None = None
    """Examples in the prompt, or None for the task's default."""
    method: str | None = None
    """How a language task is asked (`choose`, `classify`, `probe`), or None for what the model can do."""
    seed: int = 0
    """Joined with a sample's id wherever something is drawn."""
    temperature: float = 0.0
    """0 takes the likeliest token each time; more draws, the flatter the higher."""
    top_p: float = 1.0
    """Draw from the smallest set of tokens with this much probability."""
    samples: int = 1
    """Outputs a problem, for tasks that take several."""
    same_shots: bool = False
    """The same examples for all samples, so that they are computed once, where a task would draw them for each."""
    processes: int | None = None
    """Fresh starts of a model that is timed, or None for the task's default."""
    repetitions: int | None = None
    """Times that each of them computes each request, or None for the task's default."""


@dataclass(frozen=True, slots=True)
class Prediction:
    """What a model answered to one request, or why it could not."""

    id: str
    """The request's id."""
    output: Json = None
    """The generated text, the chosen ending, the class or number, or the embedding as `evals.records.embeddings` packs
    it; None when it failed."""
    failure: str | None = None
    """Why there is no output, in one line."""
    truncated: bool = False
    """Generation ended at `max_new_tokens`, not at a stop; or the text was longer than the model reads, and was cut."""
    scores: tuple[float, ...] = ()
    """Of a `Choose`: each ending's log-likelihood in nats, not normalised. Of a `Classify`: each class's
    log-probability."""
    prompt_tokens: int = 0
    """Tokens of the whole prompt, shared ones included."""
    new_tokens: int = 0
    """Tokens generated, or scored as an ending."""
    computed_tokens: float = 0.0
    """This request's share of the token positions that the model computed, padding included; 0 leaves it to the plan,
    which knows how the batch was laid out."""
    useful_tokens: float = 0.0
    """This request's share of those that were not padding."""
    reasoning: str | None = None
    """What a reasoning model thought first, where it comes apart from the output: recorded, never scored."""
    charges: Mapping[str, float] = field(default_factory=dict)
    """Further costs, added up under their names in `efficiency`: `cost_usd`, `reasoning_tokens`, …"""

    def text(self, word: str = "id") -> str:
        """Give the output of a task that asks for text; empty when it failed.

        Args:
            word: what the benchmark calls the request's id, for the error.

        Raises:
            InputError: the output, which may have been recorded elsewhere, is no text.
        """
        output = "" if self.failure is not None else self.output
        if not isinstance(output, str):
            raise InputError(f"the output for {word} {self.id} is {output!r:.40}, expected text")
        return output


@dataclass(frozen=True, slots=True)
class Score:
    """One scored item: what was read from the output, and what it was worth."""

    id: str
    """The sample's id."""
    answer: Json
    """What was extracted from the output; None where nothing could be."""
    target: Json
    """What it was compared with."""
    values: Mapping[str, float]
    """The item's own figures under the metric names, for example `{"accuracy": 0.9}`."""
    failed: bool = False
    """The model gave no output; the item counts as wrong and is counted apart."""
    cluster: str = ""
    """As in `Sample`."""
    labels: Mapping[str, str] = field(default_factory=dict)
    """As in `Sample`."""


@dataclass(frozen=True, slots=True)
class Metric:
    """One number of a result."""

    value: float
    """A fraction or a coefficient, never a percentage; finite."""
    low: float | None
    """Lower end of the 95 % interval, or None where none can be given."""
    high: float | None
    """Upper end of the 95 % interval."""
    n: int
    """How many items it is about."""
    unit: str = "fraction"
    """`fraction`, `coefficient`, `rank`, `seconds`, …"""
    note: str | None = None
    """Why the value is a convention and no measurement (an undefined coefficient that counts as 0), where it is."""
    floors: Mapping[str, float] = field(default_factory=dict)
    """What it cannot be less than, in its unit, by the reason (`bandwidth`), where such a thing is known."""


Predictions = Mapping[str, Sequence[Prediction]]
"""By sample id, in the order of the sample's requests."""
Probe = Callable[[Sample, Sequence[Prediction]], Prediction]
"""Makes of what a model answered to a sample's requests the one prediction that is recorded and scored."""


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
    """The splits there are, the default first."""
    headline: str
    """The metric that stands for the task."""
    samples: Callable[[Options], Samples]
    """Reads a split. Raises `InputError` for files that are missing or malformed."""
    score: Callable[[Sequence[Sample], Predictions], list[Score]]
    """Scores samples by their predictions. Pure, and reads no request, so that a finished run is scored again from its
    record."""
    summarise: Callable[[Sequence[Score]], dict[str, Metric]]
    """Makes the metrics of a whole split from the scores of all its samples; pure."""
    supported_options: frozenset[str] = frozenset()
    """Which of `shots`, `same_shots`, `temperature`, `samples`, `processes` and `repetitions` mean something to it;
    others are refused."""
    per_sample: bool = True
    """Whether a sample's score needs that sample alone; retrieval needs them all."""
    methods: Mapping[str, str] = field(default_factory=dict)
    """The ways to ask by name (`choose`), each with the ability that it needs, the preferred one first; empty where
    there is one way, which is by `needs`."""
    fit_probe: Callable[[Sequence[Sample], Predictions], Probe] | None = None
    """Learns from the train samples' targets and embeddings how to read the embeddings of others, for the methods that
    need `embed`; pure. None where embeddings are scored as they are."""
    timed: bool = False
    """Whether its requests are timed (`evals.timing.interleaving`): each alone, in fresh processes, several models in
    turn. A
    sample's cluster is then its process, `0`, `1`, …; once it is timed, the session of that process and the others'."""


# What a model is made of


@dataclass(frozen=True, slots=True)
class Prompt:
    """A request as one model reads it."""

    request: Request
    """What was asked."""
    key: Hashable
    """Equal keys may share their leading tokens; what a request shares with nobody has a key of its own."""
    tokens: Sequence[int]
    """The whole prompt as token ids, placeholders of pictures included."""
    reserve: int
    """Tokens that may follow: what generation may add, or the endings to score."""


@dataclass(frozen=True, slots=True)
class Group:
    """Prompts of one batch that begin with the same tokens."""

    shared: int
    """How many leading tokens they have in common and compute once; 0 when nothing is shared."""
    members: tuple[int, ...]
    """Their places in the list of prompts that was planned."""


@dataclass(frozen=True, slots=True)
class Batch:
    """What a model computes at once."""

    groups: tuple[Group, ...]
    """At least one; a prompt is in one group of one batch."""

    @property
    def members(self) -> tuple[int, ...]:
        """The places of all its prompts, group after group."""
        return tuple(member for group in self.groups for member in group.members)


class Model(Protocol):
    """Anything that answers requests: weights on a device, a server, a file of recorded outputs.

    One that mostly waits for others says with a further property, `concurrency: int`, how many batches it takes at
    once: `stage` and `run` are then called from so many threads. One whose weights lie on a device here says with
    `resource_requirements() -> evals.timing.roofline.ResourceRequirements` what they need, so that its times can be held against the device's
    floors.
    """

    @property
    def name(self) -> str:
        """What the user called it."""

    @property
    def abilities(self) -> frozenset[str]:
        """The keys of `ABILITIES` that it has."""

    @property
    def facts(self) -> Mapping[str, Json]:
        """All of it that determines its answers, for the signature: family, weights' digest, dtype, device."""

    @property
    def token_budget(self) -> int:
        """How many token positions a batch may hold when the user names no budget."""

    def check(self, known: Sequence[str], wanted: Sequence[str]) -> None:
        """Raise `InputError` when it cannot answer the `wanted` ids of all the `known` ones (`Samples.output_ids`)."""

    def prepare(self, request: Request) -> Prompt:
        """Turn a request into tokens. Called from a background thread; raises `SampleError`."""

    def stage(self, prompts: Sequence[Prompt], batch: Batch) -> Any:
        """Do what a batch needs before the device: decode its pictures, pad. Called from a background thread."""

    def run(self, prompts: Sequence[Prompt], batch: Batch, staged: Any) -> list[Prediction]:
        """Answer a batch: one prediction a member, in the order of `batch.members`; a failed one says why."""

    def peak_memory_bytes(self) -> int | None:
        """The most bytes that its device held; None where only the process knows."""


@dataclass(frozen=True)
class Variant:
    """A registered model: a row of `models/variants.yaml` or of a plug-in, read before any weight is."""

    name: str
    """What users type."""
    family: str
    """The family that loads it."""
    summary: str
    """One line for lists."""
    checkpoints: Mapping[str, str | None]
    """By scale: a folder of the project (`mini`) or a hub id (`full`); None where there is none."""
    tasks: tuple[str, ...] = ()
    """The tasks that it is known to do."""
    details: Mapping[str, Json] = field(default_factory=dict)
    """Further columns: the document, what it claims, the public checkpoint's match."""


@dataclass(frozen=True, slots=True)
class Placement:
    """Where and how a model computes, as the user chose."""

    device: str | None = None
    """`cpu`, `cuda`, `cuda:1`, …, or None for the best there is."""
    dtype: str | None = None
    """`float32`, `bfloat16`, `float16`, or None for float32 on a CPU and bfloat16 on a GPU."""
    share: bool = True
    """Compute shared prefixes once; off only to measure what that is worth."""
    threads: int | None = None
    """CPU threads, or None for all cores."""
    experts: int | None = None
    """How many experts of a layer work on a token, or None for as many as the checkpoint says."""


@dataclass(frozen=True)
class Family:
    """A kind of model: how to load one."""

    name: str
    """As rows of the table name it."""
    summary: str
    """One line for lists."""
    abilities: frozenset[str]
    """What its models can do, known before a weight is read."""
    load: Callable[[str, str, Placement], Model]
    """Loads (name, checkpoint path or hub id, placement). Raises `InputError`."""
    accepts: Callable[[Mapping[str, Json]], bool] = lambda config: False
    """Whether it loads a checkpoint with this `config.json`."""
    modalities: frozenset[str] | None = None
    """What its models read: values of `MODALITIES`; None where that is not known before one is asked."""
    prefix: str | None = None
    """Names that begin with this and a colon (`replay:FILE`) are this family's."""
