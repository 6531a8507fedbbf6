"""Models: prompts, batches, the protocols that models follow, and how models are registered."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from evals.schema.config import Placement
from evals.schema.requests import Generate, Json, Request
from evals.schema.tasks import Prediction


@dataclass(frozen=True, slots=True)
class Prompt:
    """A request as one model reads it."""

    request: Request
    """The request that was tokenised."""
    key: Hashable
    """Prompts with equal keys may share leading tokens."""
    tokens: Sequence[int]
    """Token ids of the whole prompt, including the placeholders of images and audio."""
    reserve: int
    """Number of token positions that may follow: new tokens, or the continuations to score."""
    removed: int = field(default=0, kw_only=True)
    """Number of tokens by which a prompt that was too long for the model was shortened (`--long-prompts`)."""
    text: str | None = field(default=None, kw_only=True)
    """The text that was tokenised, with the chat template rendered; None if only the tokens are known, for example
    because tokens were cut."""


@dataclass(frozen=True, slots=True)
class ModelInput:
    """What a model reads for one request; it is recorded with the sample."""

    text: str
    """The whole text: the chat template is rendered, special tokens are visible, and each image is its placeholder. For
    a server, the contents of all messages, one after the other."""
    tokens: Sequence[int] | None
    """Token ids exactly as the model reads them; None if only a server knows them."""
    continuations: tuple[tuple[str, Sequence[int] | None], ...] = ()
    """Text and token ids of each continuation that is scored after the prompt."""
    messages: Sequence[Mapping[str, Json]] | None = None
    """The messages to a server, each with its `role` and `content`. The content is a list: a number stands for so many
    next characters of `text`, and an object names an image or audio of the request."""


@dataclass(frozen=True, slots=True)
class Group:
    """Prompts of one batch that begin with the same tokens."""

    shared: int
    """Length of the common prefix, which is computed once; 0 if nothing is shared."""
    members: tuple[int, ...]
    """Indices into the planned list of prompts."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Groups of prompts that a model computes together."""

    groups: tuple[Group, ...]
    """At least one group; a prompt is in one group of one batch."""

    @property
    def members(self) -> tuple[int, ...]:
        """Indices of all prompts of the batch, group after group."""
        return tuple(member for group in self.groups for member in group.members)


class Model(Protocol):
    """Anything that answers requests: weights on a device, a server, a file of recorded outputs.

    A model may also be `Concurrent`, `Inspectable` or `Measurable`.
    """

    @property
    def name(self) -> str:
        """What the user called the model."""

    @property
    def abilities(self) -> frozenset[str]:
        """Keys of `ABILITIES` that the model has."""

    @property
    def facts(self) -> Mapping[str, Json]:
        """Everything about the model that determines its answers, for the signature: family, digest, dtype, device."""

    @property
    def token_budget(self) -> int:
        """Maximum number of token positions in a batch, if the user does not set one."""

    def check(self, split_ids: Sequence[str], run_ids: Sequence[str]) -> None:
        """Raise `InputError` if recorded outputs lack one of `run_ids`, or have others than `split_ids`.

        Both are as in `Samples.output_ids`; a model that computes its answers accepts any.
        """

    def prepare(self, request: Request) -> Prompt:
        """Tokenise a request. Called from a background thread; raises `SampleError`."""

    def stage(self, prompts: Sequence[Prompt], batch: Batch) -> Any:
        """Prepare a batch for the device: decode its images, pad. Called from a background thread."""

    def run(self, prompts: Sequence[Prompt], batch: Batch, staged: Any) -> list[Prediction]:
        """Answer a batch: one prediction per member, in the order of `batch.members`; a failed one says why."""

    def peak_memory_bytes(self) -> int | None:
        """Peak memory of the model's device in bytes, or None if only the process's memory is known."""


@runtime_checkable
class Concurrent(Protocol):
    """A model that answers several batches at once, since it mostly waits for others (a server)."""

    @property
    def concurrency(self) -> int:
        """Number of threads from which `stage` and `run` are called."""


@dataclass(frozen=True, slots=True)
class ResourceRequirements:
    """What a loaded model needs for one token, counted from its weights."""

    device: str
    """Device of the weights: `cpu`, `cuda:0`."""
    dtype: str
    """Number format of the computation: `float32`, `bfloat16`."""
    weights_bytes: int
    """Size of all weights in memory."""
    disk_bytes: int
    """Size of the weights' files."""
    first_bytes: float
    """Bytes of weights read for the first token; for an encoder-decoder both parts."""
    step_bytes: float
    """Bytes of weights read for each later token."""
    prompt_parameters: float
    """Number of weights that each prompt token is multiplied with."""
    first_parameters: float
    """Number of weights that only the first new token is multiplied with: the head, or the decoder."""
    step_parameters: float
    """Number of weights that each later token is multiplied with."""
    prompt_cache_bytes: float
    """Size of the keys and values kept for a prompt token."""
    new_cache_bytes: float
    """Size of the keys and values kept for a new token."""

    def cache_bytes(self, prompt_tokens: int, new_tokens: int) -> float:
        """Size of the keys and values at the end of a text."""
        return self.prompt_cache_bytes * prompt_tokens + self.new_cache_bytes * new_tokens


@runtime_checkable
class Measurable(Protocol):
    """A model with weights on a device here, whose times can be compared with the device's lower bounds."""

    def resource_requirements(self) -> ResourceRequirements:
        """Count what the model needs."""


@runtime_checkable
class Streaming(Protocol):
    """A model that can be asked at any moment, however many requests are under way (a server)."""

    def stream(self, request: Generate, on_token: Callable[[], object]) -> Prediction:
        """Answer a request at once, without retries; call `on_token` at the first token if the answer is streamed."""


@runtime_checkable
class LoadAware(Protocol):
    """A model that computes otherwise the more requests wait: a mixture whose active experts follow the queue."""

    def adapt(self, waiting: int) -> int | None:
        """Prepare for the next batch while a number of requests wait behind it; return the active experts per token.

        None if the model always computes alike.
        """


@runtime_checkable
class Inspectable(Protocol):
    """A model that states what it reads for a request, so that a run can record it."""

    def model_input(self, prompt: Prompt) -> ModelInput | None:
        """Return what the model reads for a prompt of `prepare`, or None. Called from a background thread."""


@dataclass(frozen=True)
class Variant:
    """A registered model: a row of `models/variants.yaml` or of a plug-in, read before any weight is."""

    name: str
    """What users type."""
    family: str
    """Name of the family that loads it."""
    summary: str
    """One line for lists."""
    checkpoints: Mapping[str, str | None]
    """Checkpoint by scale: a folder of the package (`mini`), a hub id (`full`), or None."""
    tasks: tuple[str, ...] = ()
    """Tasks that the model is known to do."""
    details: Mapping[str, Json] = field(default_factory=dict)
    """Further columns of the row: the document, what it claims, the public model."""


@dataclass(frozen=True)
class Family:
    """A kind of model: how to load one."""

    name: str
    """The name by which rows of the table refer to it."""
    summary: str
    """One line for lists."""
    abilities: frozenset[str]
    """Abilities of its models (keys of `ABILITIES`), known before any weight is read."""
    load: Callable[[str, str, Placement], Model]
    """Loads a model from its name, its checkpoint (path or hub id) and a placement. Raises `InputError`."""
    accepts: Callable[[Mapping[str, Json]], bool] = lambda config: False
    """Whether the family loads a checkpoint with this `config.json`."""
    modalities: frozenset[str] | None = None
    """What its models read (values of `MODALITIES`), or None if that depends on the model."""
    prefix: str | None = None
    """Model names that begin with this prefix and a colon (`replay:FILE`) belong to this family."""
    abilities_of: Callable[[Path], frozenset[str] | None] = lambda folder: None
    """Abilities of one checkpoint folder, if its files say that it has only some of the family's; reads no weight. None
    are those of the family."""
    engines: tuple[str, ...] = ()
    """Engines among which the user can choose (names of `ENGINES`); empty for a family that has no choice."""
    check_request: Callable[[Path, Placement, Request], None] = lambda folder, placement, request: None
    """Raises `InputError` if the files of a checkpoint folder say that it cannot answer a request, for example because
    its classes are others; reads no weight."""
