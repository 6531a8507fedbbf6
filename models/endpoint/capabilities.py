"""Detect what a server can do for a model, before a run, with requests of a few tokens."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, fields
from typing import Any, TypeVar, cast

from evals.errors import InputError, SampleError
from evals.models.decoding.text import join_text
from evals.models.endpoint.attempts import RejectedError, ServerResponse
from evals.models.endpoint.client import Server
from evals.models.endpoint.group import Sender
from evals.models.endpoint.requests import NEUTRAL, chat_body, completion_body, message
from evals.models.endpoint.responses import (
    MalformedError,
    Reply,
    TokenLogprobs,
    Usage,
    check_model,
    read_chat,
    read_completion,
    read_embedding,
    read_prompt_logprobs,
    read_usage,
)
from evals.schema import Generate, Json, Part

LOGPROB_METHODS: Mapping[str, Mapping[str, Json]] = {
    "echo": {"echo": True, "logprobs": 1},
    "prompt_logprobs": {"prompt_logprobs": 0},
}
"""Request fields by the method to get the log-probabilities of a prompt's tokens."""
_NEW_LIMIT = "max_completion_tokens"
"""The name that OpenAI's reasoning models require instead of `max_tokens`."""

T = TypeVar("T")


@dataclass(frozen=True)
class Capabilities:
    """What a server can do for a model, as detected before the run."""

    generate: str | None
    """`chat`, `completions`, or None for an embedding model."""
    logprobs: str | None
    """A key of `LOGPROB_METHODS`, or None if the server returns no log-probabilities of a prompt."""
    reasons: bool
    """Whether the model reasons before it answers; then no stop strings are sent, as they could end the reasoning."""
    stops: bool
    """Whether the server accepts stop strings; `transformers serve` with a vision-language model does not."""
    neutral: bool
    """Whether the server accepts `NEUTRAL`, so that its configuration adds nothing to the sampling of a request."""
    model: str | None
    """The model's name in the responses."""
    limit: str = "max_tokens"
    """The server's name for the maximum number of new tokens."""

    @property
    def fields(self) -> dict[str, bool]:
        """Which further fields requests for texts have."""
        return {"stop": self.stops, "neutral": self.neutral}

    @property
    def facts(self) -> dict[str, Json]:
        """What the manifest says about requests for texts."""
        sampling = "the request's only" if self.neutral else "the request's; the server's configuration may add to it"
        stops = "applied by the server and here" if self.stops else "applied here"
        return {"answers_as": self.model, "generates_by": self.generate, "stops": stops, "sampling": sampling}


def detect(server: Server, model: str, listed: Sequence[str]) -> Capabilities:
    """Detect what a server can do for a model.

    Args:
        server: the server.
        model: the model's name on the server.
        listed: the models that the server lists.

    Raises:
        InputError: the server cannot answer any kind of request for the model.
    """
    question = Generate("probe", ("Say yes.",), 1, stop=("\n",))
    limit = "max_tokens"
    body = chat_body(question, model=model, max_tokens=1, stop=False, neutral=False)
    outcome = _try(server, "chat/completions", body, read_chat)
    if isinstance(outcome, RejectedError) and _NEW_LIMIT in str(outcome):
        limit = _NEW_LIMIT
        body = chat_body(question, model=model, max_tokens=1, stop=False, neutral=False, limit=limit)
        outcome = _try(server, "chat/completions", body, read_chat)
    if isinstance(outcome, Reply):
        reasons = outcome.thought is not None
        stop: Mapping[str, Json] = {} if reasons else {"stop": list(question.stop)}

        def accepts(**fields: Json) -> bool:
            return isinstance(_try(server, "chat/completions", {**body, **fields}, read_chat, expect=False), Reply)

        if accepts(**stop, **NEUTRAL):
            stops, neutral = bool(stop), True
        else:
            stops, neutral = (accepts(**stop), accepts(**NEUTRAL)) if stop else (False, False)
        method = _logprob_method(server, model)
        return Capabilities("chat", method, reasons, stops, neutral, model=outcome.model, limit=limit)
    body = completion_body(question, model=model, max_tokens=1, stop=False, neutral=False)
    completed = _try(server, "completions", body, read_completion)
    if isinstance(completed, Reply):
        neutral = isinstance(_try(server, "completions", {**body, **NEUTRAL}, read_completion, expect=False), Reply)
        return Capabilities("completions", _logprob_method(server, model), False, True, neutral, completed.model)
    if isinstance(_try(server, "embeddings", embedding_body(model, ("yes",)), read_embedding), list):
        return Capabilities(None, None, False, False, False, None)
    if model in listed:  # the server has the model but rejects these requests: the samples may still be answered
        return Capabilities("chat", None, False, False, False, None)
    others = f"; it lists {', '.join(listed[:8])}" if listed else ""
    missing = isinstance(outcome, RejectedError) and outcome.status == 404 and not server.address.endswith("/v1")
    hint = "; most addresses end in /v1" if missing else ""
    raise InputError(f"{server.address} does not answer for model {model!r}: {outcome}{others}{hint}")


def detect_equal(servers: Sequence[Server], model: str, listed: Sequence[str]) -> Capabilities:
    """Detect what one or several servers can do; see `detect`. Raises `InputError` if two differ: all answer alike."""
    first = detect(servers[0], model, listed)
    for server in servers[1:]:
        other = detect(server, model, model_names(server.list_models()))
        for field in fields(Capabilities):
            values = getattr(first, field.name), getattr(other, field.name)
            if values[0] != values[1]:
                raise InputError(
                    f"{servers[0].address} and {server.address} differ in {field.name}: {values[0]!r} and "
                    f"{values[1]!r}; the servers of a run must answer alike"
                )
    return first


def model_names(answer: Json) -> list[str]:
    """Return the names in a server's list of models, which may be missing."""
    rows = answer.get("data") if isinstance(answer, dict) else None
    return [str(row["id"]) for row in rows or () if isinstance(row, dict) and "id" in row]


def _try(
    server: Server, path: str, body: Mapping[str, Json], read: Callable[[Any], T], *, expect: bool = True
) -> T | SampleError:
    """Send a request and return the value of the response, or the error.

    A rejected request is sent once more, so that a single failure does not decide a run. Unless `expect` is off, a
    request that was answered becomes the server's liveness check.
    """

    def send() -> T:
        return cast("T", server.send(path, body, lambda answer: (read(answer), 1), trial=True).value)

    try:
        with suppress(RejectedError):
            value = send()
            if expect:
                server.check_alive = lambda: _check_model(server, send(), value)
            return value
        return send()
    except SampleError as error:
        return error


def _check_model(server: Server, reply: object, before: object) -> None:
    """Raise `InputError` if a server answers as another model than before."""
    if isinstance(reply, Reply) and isinstance(before, Reply):
        try:
            check_model(reply, before.model)
        except MalformedError as error:
            raise InputError(f"{server.address} answers, but {error}") from None


def _logprob_method(server: Server, model: str) -> str | None:
    """Find the method by which a server returns the log-probabilities of a prompt; many ignore the request silently.

    A response without them is not a temporary failure, so the request is repeated once, without waiting.
    """
    for method in LOGPROB_METHODS:
        for _ in range(2):
            try:
                prompt_logprobs(server, model, method, ["one two", "one two three"], trial=True)
            except _IgnoredError:
                continue
            except SampleError:
                break
            return method
    return None


class _IgnoredError(SampleError):
    """A response to a trial request that lacks the requested log-probabilities."""


def prompt_logprobs(
    server: Sender, model: str, method: str, prompts: Sequence[str], *, trial: bool = False
) -> ServerResponse:
    """Get the log-probabilities of prompts' tokens.

    Args:
        server: the server.
        model: the model's name on the server.
        method: a key of `LOGPROB_METHODS`.
        prompts: the prompts.
        trial: whether this is a request to detect capabilities, not a sample's.

    Returns:
        A response whose value is (a list with the `TokenLogprobs` of each prompt, `Usage`).
    """
    request = {"model": model, "prompt": list(prompts), "max_tokens": 1, "temperature": 0.0, **LOGPROB_METHODS[method]}

    def read(body: Any) -> tuple[tuple[list[TokenLogprobs], Usage], int]:
        try:
            logprobs = read_prompt_logprobs(body, prompts)
        except MalformedError as error:
            if trial:
                raise _IgnoredError(str(error)) from error
            raise
        return (logprobs, read_usage(body)), sum(map(len, logprobs))

    return server.send("completions", request, read, trial=trial)


def embedding_body(model: str, parts: Sequence[Part]) -> dict[str, Json]:
    """Make the body of an embedding request; other parts than text use vLLM's `messages`. Raises `SampleError`."""
    body: dict[str, Json] = {"model": model, "encoding_format": "float"}
    if not all(isinstance(part, str) for part in parts):
        return body | {"messages": [message(parts)]}
    return body | {"input": join_text(parts)}


def chooses_by(capabilities: Capabilities) -> str:
    """Say how a choice is made, for the record."""
    if capabilities.logprobs is None:
        return "writing one of the choices: the server gives no log-probabilities of a prompt"
    return f"log-likelihood ({capabilities.logprobs}); writing one of the choices if the prompt has images"


def only_model(listed: Sequence[str], address: str) -> str:
    """Return the only model that a server lists. Raises `InputError` if it lists none or several."""
    if len(listed) == 1:
        return listed[0]
    lists = f"it lists {', '.join(listed)}" if listed else "it lists none"
    raise InputError(f"endpoint {address} needs the name of a model, as in {address}#NAME: {lists}")
