"""What a server can do for a model, found out before a run at the price of a few tokens."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeVar, cast

from evals.errors import InputError, SampleError
from evals.models.endpoint.client import Answered, MalformedError, RejectedError, Server
from evals.models.endpoint.requests import chat_body, completion_body, message
from evals.models.endpoint.responses import (
    Reply,
    Usage,
    Weighed,
    read_chat,
    read_completion,
    read_embedding,
    read_usage,
    read_weighed,
)
from evals.schema import Generate, Json, Part

WEIGHING: Mapping[str, Mapping[str, Json]] = {
    "echo": {"echo": True, "logprobs": 1},
    "prompt_logprobs": {"prompt_logprobs": 0},
}
"""The ways to ask a server for a prompt's own log-probabilities."""
_NEW_LIMIT = "max_completion_tokens"
"""What OpenAI's reasoning models want instead of `max_tokens`."""

T = TypeVar("T")


@dataclass(frozen=True)
class Traits:
    """What a server can do for a model, as it was found before the run."""

    generate: str | None
    """`chat`, `completions`, or None for a model of embeddings."""
    weighing: str | None
    """A key of `WEIGHING`, or None where it gives no log-probabilities of a prompt."""
    thinks: bool
    """It thought before its first answer: a stop would end the thought, so none are sent."""
    stops: bool
    """It takes stops; some servers stumble over them (`transformers serve` with a vision-language model)."""
    served: str | None
    """The model's name in its answers."""
    limit: str = "max_tokens"
    """What it calls the most tokens that may come."""


def find_out(server: Server, model: str, listed: Sequence[str]) -> Traits:
    """Ask the least that shows what a server can do. Raises `InputError` where it can do nothing for the model."""
    question = Generate("probe", ("Say yes.",), 1, stop=("\n",))
    limit = "max_tokens"
    body = chat_body(question, model=model, max_tokens=1, stop=False)
    said = _try(server, "chat/completions", body, read_chat)
    if isinstance(said, RejectedError) and _NEW_LIMIT in str(said):
        limit = _NEW_LIMIT
        body = chat_body(question, model=model, max_tokens=1, stop=False, limit=limit)
        said = _try(server, "chat/completions", body, read_chat)
    if isinstance(said, Reply):
        thinks = said.reasoning is not None
        stopped = {**body, "stop": list(question.stop)}
        stops = not thinks and isinstance(_try(server, "chat/completions", stopped, read_chat, prove=False), Reply)
        return Traits("chat", _weighing(server, model), thinks, stops, said.served, limit)
    body = completion_body(question, model=model, max_tokens=1, stop=False)
    continued = _try(server, "completions", body, read_completion)
    if isinstance(continued, Reply):
        return Traits("completions", _weighing(server, model), False, True, continued.served)
    if isinstance(_try(server, "embeddings", embedding_body(model, ("yes",)), read_embedding), list):
        return Traits(None, None, False, False, None)
    if model in listed:  # it has the model and stumbles over the question: the samples may go better
        return Traits("chat", None, False, False, None)
    others = f"; it lists {', '.join(listed[:8])}" if listed else ""
    raise InputError(f"{server.address} does not answer for model {model!r}: {said}{others}")


def _try(
    server: Server, path: str, body: Mapping[str, Json], read: Callable[[Any], T], *, prove: bool = True
) -> T | SampleError:
    """Ask, and give a refusal back; what is refused for good is asked once more, lest one stumble decides a run.

    What was answered once is from then on what the server is expected to answer, unless `prove` is off.
    """

    def ask() -> T:
        return cast("T", server.ask(path, body, lambda answer: (read(answer), 1), trial=True).value)

    try:
        with suppress(RejectedError):
            answer = ask()
            if prove:
                server.prove = ask
            return answer
        return ask()
    except SampleError as error:
        return error


def _weighing(server: Server, model: str) -> str | None:
    """Find the way in which a server gives a prompt's own log-probabilities; many ignore the question silently.

    Such an answer is no failure that might pass: it is asked for once more, at once, lest one stumble decides a run.
    """
    for way in WEIGHING:
        for _ in range(2):
            try:
                weigh(server, model, way, ["one two", "one two three"], trial=True)
            except _IgnoredError:
                continue
            except SampleError:
                break
            return way
    return None


class _IgnoredError(SampleError):
    """A trial was answered, and not with what was asked for."""


def weigh(server: Server, model: str, way: str, prompts: Sequence[str], *, trial: bool = False) -> Answered:
    """Have prompts weighed token by token; the answer is (the prompts' `Weighed`, `Usage`)."""
    body = {"model": model, "prompt": list(prompts), "max_tokens": 1, "temperature": 0.0, **WEIGHING[way]}

    def read(answer: Any) -> tuple[tuple[list[Weighed], Usage], int]:
        try:
            found = read_weighed(answer, prompts)
        except MalformedError as error:
            if trial:
                raise _IgnoredError(str(error)) from error
            raise
        return (found, read_usage(answer)), sum(map(len, found))

    return server.ask("completions", body, read, trial=trial)


def embedding_body(model: str, parts: Sequence[Part]) -> dict[str, Json]:
    """Ask to embed a prompt: a text as it is, anything else as the message that vLLM takes. Raises `SampleError`."""
    asked: dict[str, Json] = {"model": model, "encoding_format": "float"}
    if not all(isinstance(part, str) for part in parts):
        return asked | {"messages": [message(parts)]}
    return asked | {"input": text_of(parts)}


def text_of(parts: Sequence[Part]) -> str:
    """Join the texts of a prompt.

    Example:
        >>> text_of(("Is it red?", " Answer:"))
        'Is it red? Answer:'
    """
    return "".join(part for part in parts if isinstance(part, str))
