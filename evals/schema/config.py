"""The user's choices: the options of a task, where a model computes, and the whole configuration of a run."""

from __future__ import annotations

import difflib
import numbers
import os
from dataclasses import dataclass, field, fields
from pathlib import Path
from types import NoneType
from typing import Any, get_args, get_origin, get_type_hints

from evals.errors import InputError, shorten

SCALES = ("mini", "full")
"""`mini`: bundled checkpoints and data; `full`: public ones."""

LONG_PROMPTS = ("fail", "truncate-left")
"""What can happen to a prompt that is longer than the model reads."""

ENGINES = ("transformers", "vllm")
"""What can compute a language model: the suite's own decoding on the library's models, or vLLM."""

_NAMES = frozenset({"arrivals", "checkpoint", "columns", "device", "method", "scale", "split"})
"""Options whose value is a name, so that an empty text (an unset variable of a shell) is a mistake."""

DTYPES = ("float32", "bfloat16", "float16")
"""The types of number that a model can compute with."""


@dataclass(frozen=True, slots=True)
class Options:
    """Options that concern the task."""

    scale: str = "mini"
    """`mini` (bundled data) or `full` (official data)."""
    split: str | None = None
    """A split of the task, or None for its default."""
    data: Path | None = None
    """A folder with the official files, a table (`evals.data.row_tables`, `hf:…`), or None for the
    bundled data, at full scale the official data."""
    columns: str | None = None
    """Which columns of a table are which fields (`text=question,target=answer`); None guesses by their names."""
    limit: int | None = None
    """Only a random subset of `limit` samples, which depends on `seed`; a larger limit contains a smaller one."""
    first: int | None = None
    """Only the first `first` samples, whose metrics have no intervals. At most one of `limit` and `first` is given."""
    blind: bool = False
    """Replace every image by a uniform one and every audio clip by silence."""
    shots: int | None = None
    """Number of few-shot examples, or None for the task's default."""
    prompt: str | None = None
    """A prompt template in place of the task's own, for tasks that have templates; its text."""
    method: str | None = None
    """How to query the model (`choose`, `classify`, `probe`), or None for the first method that the model supports."""
    seed: int = 0
    """Random seed; combined with each sample's id."""
    temperature: float = 0.0
    """Sampling temperature; 0 is greedy decoding."""
    top_p: float = 1.0
    """Sample from the smallest set of tokens with this total probability."""
    top_k: int | None = None
    """Sample from this number of most likely tokens, or None for all."""
    min_p: float = 0.0
    """Sample from the tokens with at least this share of the most likely token's probability."""
    generation: str | None = None
    """`checkpoint`: sample as the checkpoint's generation config says; None: as the options say."""
    max_new_tokens: int | None = None
    """Maximum number of new tokens per output, or None for the task's."""
    stop: tuple[str, ...] = ()
    """Further strings that end an output, besides the task's."""
    system_prompt: str | None = None
    """Text of a system message, or `@FILE` that holds it."""
    chat_template: str | None = None
    """`on` (a checkpoint without a template is refused), `off` (plain text), a Jinja file, or None for `on` where the
    checkpoint has a template."""
    thinking: str | None = None
    """`on` or `off`: the variable of the chat template for thinking (`enable_thinking`, …); None leaves it out."""
    samples_per_problem: int = 1
    """Number of outputs per problem, for pass@k and majority voting (`--samples`)."""
    same_shots: bool = False
    """Use one fixed set of few-shot examples for all samples, so that they are computed once."""
    processes: int | None = None
    """Number of fresh processes for a timed task, or None for the task's default."""
    repetitions: int | None = None
    """Number of times that each process computes each request, or None for the task's default. Under a request rate,
    the number of requests of each replay that are measured."""
    rate: float | None = None
    """Requests per second that arrive, whether or not earlier ones are answered; None times one request at a time."""
    arrivals: str | None = None
    """`poisson`, `constant`, or the CSV file of a load trace; None is `poisson` if a rate is given."""
    batch: int | None = None
    """Maximum number of waiting requests that a local model answers together under a request rate; None is 1."""


@dataclass(frozen=True, slots=True)
class ExpertSchedule:
    """Numbers of active experts per token of a mixture, by the length of the queue.

    Example:
        >>> schedule = ExpertSchedule(((0, 8), (2, 4), (6, 2)))
        >>> [schedule.experts(waiting) for waiting in (0, 1, 2, 9)]
        [8, 8, 4, 2]
    """

    levels: tuple[tuple[int, int], ...]
    """Pairs of a number of waiting requests and the experts that are active from this number on; ascending from 0."""

    def experts(self, waiting: int) -> int:
        """Return the number of active experts while a number of requests wait."""
        return [number for least, number in self.levels if least <= waiting][-1]

    @property
    def numbers(self) -> tuple[int, ...]:
        """All numbers of active experts."""
        return tuple(number for _, number in self.levels)

    @property
    def facts(self) -> dict[str, int]:
        """The schedule for the manifest: the experts by the least number of waiting requests."""
        return {str(least): number for least, number in self.levels}


@dataclass(frozen=True, slots=True)
class Placement:
    """Where and how a model computes."""

    device: str | None = None
    """`cpu`, `cuda`, `cuda:1`, …, or None for a GPU if there is one, else the CPU."""
    dtype: str | None = None
    """`float32`, `bfloat16`, `float16`, or None for float32 on a CPU and bfloat16 on a GPU."""
    share: bool = True
    """Compute shared prefixes once; switched off only to measure what that saves."""
    threads: int | None = None
    """Number of CPU threads, or None for all cores."""
    experts: int | None = None
    """Number of active experts per token in each layer, or None for the checkpoint's own."""
    schedule: ExpertSchedule | None = None
    """Numbers of active experts by the length of the queue, from the row of a variant; `experts` is that of none."""
    labels: str | None = None
    """Which of the task's classes each output of a classifier means (`0=negative,1=positive`), or None for the
    checkpoint's own names."""
    long_prompts: str | None = None
    """What happens to a prompt that needs more token positions than the model has: `fail` (a recorded failure) or
    `truncate-left`. None is `fail`, but text encoders whose authors cut long texts cut them as their authors do."""
    engine: str | None = None
    """What computes the model (a name of `ENGINES`), or None: vLLM on a GPU where it is installed and has the
    architecture, else transformers."""
    tensor_parallel: int | None = None
    """Number of GPUs that each copy of the model is divided among, by vLLM; None is 1."""
    template: str | None = None
    """The chat template that is used instead of the checkpoint's, in Jinja (`--chat-template FILE`): it says which
    token ends an answer and which tags enclose a thought."""


@dataclass(frozen=True, slots=True)
class RunConfig:
    """The whole configuration of a run, passed from the command line through the API to the workers.

    Example:
        >>> config = RunConfig.of("vl", "vqa", limit=20, device="cpu", workers=2)
        >>> config.options.limit, config.placement.device, config.workers
        (20, 'cpu', 2)
        >>> RunConfig.of("vl", "vqa", limt=20)
        Traceback (most recent call last):
            ...
        evals.errors.InputError: run has no option 'limt'; did you mean 'limit'?
    """

    model: str
    """A registered name, `hf:ORG/NAME[@REV]`, a folder, `replay:FILE`, `endpoint:URL#NAME`."""
    task: str
    """A registered name."""
    checkpoint: str | None = None
    """A folder or hub id, loaded instead of a registered model's own checkpoint."""
    options: Options = field(default_factory=Options)
    """Options that concern the task."""
    placement: Placement = field(default_factory=Placement)
    """Where and how the model computes."""
    token_budget: int | None = None
    """Maximum number of token positions in a batch, or None for the device's default."""
    workers: int = 1
    """Number of worker processes, or on a cluster the maximum number of workers; the result does not depend on it."""
    cluster: str | None = None
    """A Ray cluster that computes the run (`auto`, `ray://HOST:PORT`), or None for this machine."""
    mixed: bool = False
    """Let the GPUs of a cluster be of different kinds; the manifest then lists the kinds."""
    out: Path | None = None
    """The run folder, or None for `runs/<model>-<task>-<signature>`."""
    force: bool = False
    """Show images to a model that is not known to read them; a blind control must then show that it does."""
    progress: bool | str = False
    """Show a progress bar on standard error; or write events as lines of JSON to it (`json`) or to a file
    (`json:FILE`)."""
    track: tuple[str, ...] = ()
    """Trackers that log the run: `NAME` or `NAME:PROJECT`, with a name of `evals.hooks.sources.TRACKERS`."""
    precision: float | None = None
    """Stop as soon as the headline is known within this number of percentage points; None computes all samples."""
    predictor: tuple[str, ...] = ()
    """Folders of finished runs of all samples, whose values predict those of a run with a `precision`."""
    extend: int | None = None
    """Continue the outputs of a finished run that were cut at the token limit, up to this number of tokens."""
    command: str = ""
    """The command line that the user typed; kept in the manifest."""
    chosen: frozenset[str] = frozenset()
    """Names of the options that the user gave; a variant's own settings stand in for the others."""

    @property
    def shows_bar(self) -> bool:
        """Whether a progress bar is shown."""
        return self.progress is True

    @property
    def event_stream(self) -> str | None:
        """Where events are written as lines of JSON (`json`, `json:FILE`), or None."""
        return self.progress if isinstance(self.progress, str) else None

    @classmethod
    def of(cls, model: str, task: str, **choices: Any) -> RunConfig:
        """Build a configuration from the flat options of `evals.run` and of the command line.

        Args:
            model: see the field `model`.
            task: see the field `task`.
            choices: fields of this class, of `Options` (`samples` for `samples_per_problem`) and of `Placement`.

        Raises:
            InputError: for an option that does not exist, or a value of another type.
        """
        if "samples" in choices:
            choices["samples_per_problem"] = choices.pop("samples")
        groups: dict[type, dict[str, Any]] = {RunConfig: {}, Options: {}, Placement: {}}
        reserved = {"options", "placement", "chosen"}
        owners = {entry.name: owner for owner in groups for entry in fields(owner)}
        hints = {name: hint for owner in groups for name, hint in get_type_hints(owner).items()}
        for name, value in choices.items():
            if name not in owners or name in reserved:
                near = difflib.get_close_matches(name, [*owners.keys() - reserved, "samples"], n=1)
                raise InputError(f"run has no option {name!r}" + (f"; did you mean {near[0]!r}?" if near else ""))
            groups[owners[name]][name] = typed(name, value, hints[name])
        groups[cls]["chosen"] = frozenset(choices)
        return cls(
            typed("model", model, str),
            typed("task", task, str),
            options=Options(**groups[Options]),
            placement=Placement(**groups[Placement]),
            **groups[cls],
        )


def typed(name: str, value: Any, hint: Any) -> Any:
    """Return the value of an option as the type of its field; numbers of other libraries become Python's.

    Raises:
        InputError: if it is of another type.

    Example:
        >>> typed("limit", "20", int | None)
        Traceback (most recent call last):
            ...
        evals.errors.InputError: option 'limit' is '20' (str), expected int or None
    """
    if get_origin(hint) is tuple and isinstance(value, list | tuple):
        return tuple(typed(name, entry, str) for entry in value)
    kinds = get_args(hint) or (hint,)
    if get_origin(hint) is tuple:
        kinds = (tuple,)
    if value is None and NoneType in kinds:
        return None
    if isinstance(value, bool):
        if bool in kinds:
            return value
    elif int in kinds and isinstance(value, numbers.Integral) and -(2**63) <= int(value) < 2**63:
        return int(value)
    elif float in kinds and isinstance(value, numbers.Real):
        return float(value)
    elif isinstance(value, (str, os.PathLike)) and isinstance(text := os.fspath(value), str) and "\0" not in text:
        if any("\ud800" <= character <= "\udfff" for character in text):
            raise InputError(f"option {name!r} is {shorten(text)}, which is not UTF-8 and cannot be recorded")
        if name in _NAMES and not text.strip():
            raise InputError(f"--{name} {text!r} names nothing; leave it out or give a name")
        if Path in kinds and text:
            return Path(text).expanduser()
        if str in kinds:
            return text
    if int in kinds and not isinstance(value, bool) and isinstance(value, numbers.Integral):
        raise InputError(f"option {name!r} is {shorten(int(value))}, expected a whole number within 2^63 of 0")
    names = ["None" if kind is NoneType else kind.__name__ for kind in kinds]
    raise InputError(f"option {name!r} is {shorten(value)} ({type(value).__name__}), expected {' or '.join(names)}")
