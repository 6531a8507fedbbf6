"""How a model generates: the options of the command line, those of a variant's row, and their effect on requests.

settled(config, source)       the options that the user did not choose are a variant's own; files are read
apply(samples, options)       every request for a text gets the limit, the stop strings, the sampling and the chat
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from evals import regular_files
from evals.errors import InputError
from evals.execution.resolve import Resolved
from evals.schema import ChatSettings, Embed, Generate, Json, Options, Request, RunConfig, Sample, Samples, Task
from evals.schema.config import typed

SAMPLING = ("temperature", "top_p", "top_k", "min_p", "generation")
"""Options for how the tokens of a text are chosen."""
TEXT = ("max_new_tokens", "stop", "system_prompt", "chat_template", "thinking")
"""Options for where a text ends, and for the prompt before it."""
SWITCH = ("on", "off")
"""Values of `--chat-template` that name no template."""
WITHOUT_CHATS = frozenset({"two_streams", "replay"})
"""Families whose models read no chat."""
_TYPES = {
    "temperature": float, "top_p": float, "top_k": int, "min_p": float, "generation": str, "max_new_tokens": int,
    "system_prompt": str, "chat_template": str, "thinking": str, "seed": int,
}  # fmt: skip
_SWITCHES = {True: "on", False: "off"}
"""YAML reads `on` and `off` as true and false."""


def settled(config: RunConfig, source: Resolved, task: Task) -> RunConfig:
    """Complete the options of a run: a variant's settings stand in for those that the user did not choose.

    A variant's settings do not apply to a task that does not generate texts; the user's are refused there.

    Raises:
        InputError: a column of the variant has a value of another type, or a file cannot be read.
    """
    if task.needs != "generate" or task.timed:
        return config
    changes = {
        name: _column(source.name, name, value)
        for name, value in source.generation.items()
        if name not in config.chosen
    }
    options = replace(config.options, **changes)
    system, template = options.system_prompt, options.chat_template
    if system is not None and system.startswith("@"):
        options = replace(options, system_prompt=_read("--system-prompt", system[1:]).removesuffix("\n"))
    if template is not None and template not in {"on", "off"} and not _is_template(template):
        options = replace(options, chat_template=_read("--chat-template", template))
    if options.chat_template not in {None, "on", "off"}:
        config = replace(config, placement=replace(config.placement, template=options.chat_template))
    return replace(config, options=options)


def check(options: Options) -> None:
    """Refuse options for generation that cannot work. Raises `InputError`."""
    if options.max_new_tokens is not None and options.max_new_tokens < 1:
        raise InputError(f"--max-new-tokens {options.max_new_tokens} leaves nothing to do: give 1 or more")
    if options.top_k is not None and options.top_k < 1:
        raise InputError(f"--top-k {options.top_k} leaves no token: give 1 or more")
    if not 0 <= options.min_p <= 1:
        raise InputError(f"--min-p {options.min_p}: a share lies in 0 to 1")
    if options.thinking not in {None, "on", "off"}:
        raise InputError(f"--thinking {options.thinking}: expected on or off")
    if options.generation not in {None, "checkpoint"}:
        raise InputError(f"--generation {options.generation}: expected checkpoint")
    if "" in options.stop:
        raise InputError("--stop '' would end every output at once: give a text")
    for flag, value in (("--top-k", options.top_k), ("--min-p", options.min_p)):
        if value and not options.temperature:
            raise InputError(f"{flag} {value} limits sampling, but decoding is greedy: give --temperature too")
    if options.generation and options.temperature:
        raise InputError("--generation checkpoint samples as the checkpoint says: leave --temperature out")


def check_used(task: Task, ability: str, options: Options) -> None:
    """Refuse options for texts if the model is not asked for any. Raises `InputError`."""
    if ability != "generate" or task.timed:
        names = [name for name in (*SAMPLING, *TEXT) if name != "chat_template" or options.chat_template not in SWITCH]
        arrives = options.rate is not None or options.arrivals is not None  # the prompts may be chats or plain texts
        _refuse(names if arrives else (*SAMPLING, *TEXT), options, f"task {task.name!r}")


def check_heeded(source: Resolved, options: Options) -> None:
    """Refuse options for texts that a model does not heed: it reads no chat, or its texts are recorded.

    Recorded outputs may be several per problem, which are then sampled ones: `--temperature` says how.

    Raises:
        InputError: an option has no effect on the model, or on a part of it that may answer.
    """
    for part in source.answering:
        _check_heeded(part.family.name, part.name, options)


def _check_heeded(family: str, model: str, options: Options) -> None:
    if family in WITHOUT_CHATS:
        _refuse(("system_prompt", "chat_template", "thinking"), options, f"{model!r}, which reads no chat")
    if family == "replay":
        several = options.samples_per_problem > 1
        names = [name for name in (*SAMPLING, *TEXT) if not (several and name in {"temperature", "top_p"})]
        _refuse(names, options, f"{model!r}, whose texts are recorded")


def _refuse(names: Sequence[str], options: Options, where: str) -> None:
    """Refuse those of some options that differ from their defaults."""
    defaults = Options()
    for name in names:
        if getattr(options, name) != getattr(defaults, name):
            raise InputError(f"--{name.replace('_', '-')} has no effect on {where}; leave it out")


def apply(samples: Samples, options: Options) -> Samples:
    r"""Apply the options to every request for a text.

    Example:
        >>> sample = Sample("7", (Generate("7", ("Is it red?",), 3, stop=("Q:",)),), target="yes")
        >>> options = Options(max_new_tokens=64, stop=("\n",))
        >>> request = apply(Samples(["7"], lambda index: sample), options)[0].requests[0]
        >>> request.max_new_tokens, request.stop
        (64, ('Q:', '\n'))
    """
    if all(getattr(options, name) == getattr(Options(), name) for name in (*SAMPLING, *TEXT)):
        return samples
    thinking = None if options.thinking is None else options.thinking == "on"
    samples_tokens = any(getattr(options, name) != getattr(Options(), name) for name in SAMPLING)
    chat = ChatSettings(options.system_prompt, options.chat_template, thinking)

    sampling: dict[str, Any] = {
        "temperature": options.temperature, "top_p": options.top_p, "top_k": options.top_k, "min_p": options.min_p,
        "seed": options.seed, "sampling": "request" if options.generation is None else options.generation,
    }  # fmt: skip

    def changed(request: Request) -> Request:
        if not isinstance(request, Generate):
            return request
        return replace(
            request,
            max_new_tokens=options.max_new_tokens or request.max_new_tokens,
            stop=tuple(dict.fromkeys((*request.stop, *options.stop))),
            chat=chat,
            **(sampling if samples_tokens else {}),
        )

    def build(index: int) -> Sample:
        sample = samples.build(index)
        return replace(sample, requests=tuple(changed(request) for request in sample.requests))

    return replace(samples, build=build)


def dated(samples: Samples, started: str) -> Samples:
    """Let chat templates read the start of the run as the current date and time, so that all its prompts agree.

    Args:
        samples: the run's samples.
        started: `Manifest.started`; empty for a run that does not say.

    Returns:
        The samples, and their training samples, with the date in every request that may become a chat.

    Example:
        >>> sample = Sample("7", (Generate("7", ("Is it red?",), 3),), target="yes")
        >>> (request,) = dated(Samples(["7"], lambda index: sample), "2026-11-28T18:00:00")[0].requests
        >>> request.chat.date
        '2026-11-28T18:00:00'
    """
    if not started:
        return samples

    def with_date(request: Request) -> Request:
        if not isinstance(request, Generate | Embed):
            return request
        return replace(request, chat=replace(request.chat, date=started))

    def build(index: int) -> Sample:
        sample = samples.build(index)
        return replace(sample, requests=tuple(with_date(request) for request in sample.requests))

    train = None if samples.train is None else dated(samples.train, started)
    return replace(samples, build=build, train=train)


@dataclass(frozen=True)
class Dated:
    """Selects samples of a run, with its start as their date (`dated`); picklable if the selection is."""

    select: Callable[[Samples], Samples]
    started: str
    """`Manifest.started`."""

    def __call__(self, samples: Samples) -> Samples:
        """Return the selected samples."""
        return dated(self.select(samples), self.started)


def _column(model: str, name: str, value: Json) -> Json:
    """Return the value of a variant's column as that of the option. Raises `InputError`."""
    if name in {"thinking", "chat_template"} and isinstance(value, bool):
        value = _SWITCHES[value]
    try:
        if name == "stop":
            return tuple(typed(name, entry, str) for entry in ([value] if isinstance(value, str) else value))
        return typed(name, value, _TYPES[name])
    except (InputError, TypeError) as error:
        raise InputError(f"model {model!r}: {name} is {value!r}: {error}") from None


def _is_template(text: str) -> bool:
    """Return whether a text is a template and not the name of a file."""
    return "{{" in text or "{%" in text


def _read(flag: str, name: str) -> str:
    try:
        return regular_files.read(Path(name).expanduser(), pipe=True).decode()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise InputError(f"{flag}: cannot read {name}: {why}") from None
