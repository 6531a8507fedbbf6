"""Replay a load with a loaded model: its own loop for a local model, requests as they arrive for a server."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from evals.errors import SampleError
from evals.execution.batching import plan
from evals.schema import Batch, Generate, Group, Json, LoadAware, Model, Prediction, Prompt, Streaming
from evals.timing import device
from evals.timing.serving import Served, send, serve


@dataclass(frozen=True)
class LoadReplay:
    """One replay; picklable."""

    requests: tuple[Generate, ...]
    times: tuple[float, ...]
    """When each request arrives, in seconds after the start."""
    rate: float
    """Requests per second, on average."""
    batch: int
    """Maximum number of waiting requests that a local model answers together."""


@dataclass(frozen=True, slots=True)
class _Answer:
    """The answer to a request, and the number of active experts that computed it."""

    prediction: Prediction
    experts: int | None


def replay(model: Model, load: LoadReplay) -> list[Prediction]:
    """Answer all requests of a replay.

    Args:
        model: a server if it is `Streaming`; any other is asked by one loop.
        load: the requests and their arrivals.

    Returns:
        One prediction per request, in their order. Its output holds the times in seconds after the start of the replay,
        also that of a request that failed.
    """
    requests = load.requests
    sent = isinstance(model, Streaming)
    if isinstance(model, Streaming):
        streaming = model
        served = send(load.times, lambda index, on_token: _Answer(streaming.stream(requests[index], on_token), None))
    else:
        served = serve(
            load.times,
            lambda indices, waiting: _answer(model, [requests[index] for index in indices], waiting),
            batch=load.batch,
        )
    return [_prediction(request, entry, load.rate, sent) for request, entry in zip(requests, served, strict=True)]


def _answer(model: Model, requests: Sequence[Generate], waiting: int) -> list[_Answer]:
    """Answer requests together; those that the model cannot read fail alone."""
    experts = model.adapt(waiting) if isinstance(model, LoadAware) else None
    prompts, readable, failed = [], [], {}
    for request in requests:
        try:
            prompts.append(model.prepare(request))
            readable.append(request.id)
        except SampleError as error:
            failed[request.id] = Prediction(request.id, failure=str(error))
    answered: dict[str, Prediction] = {}
    if prompts:
        batch = Batch(tuple(_alone(prompt, number, model.token_budget) for number, prompt in enumerate(prompts)))
        predictions = model.run(prompts, batch, model.stage(prompts, batch))
        device.synchronise(str(model.facts.get("device", "cpu")))
        answered = dict(zip(readable, predictions, strict=True))
    return [_Answer((answered | failed)[request.id], experts) for request in requests]


def _alone(prompt: Prompt, number: int, token_budget: int) -> Group:
    """Return the group of one prompt of a batch. No prompt shares its prefix: real requests differ.

    A prompt with an image is divided as `plan` divides it, since the model reads its image in the prefix.
    """
    if all(isinstance(part, str) for part in prompt.request.parts):
        return Group(0, (number,))
    (batch,) = plan([prompt], token_budget)
    (group,) = batch.groups
    return Group(group.shared, (number,))


def _prediction(request: Generate, served: Served[_Answer], rate: float, sent: bool) -> Prediction:
    answer = served.answer.prediction
    output: dict[str, Json] = {
        "arrival": served.arrival, "start": served.start, "first": served.first, "end": served.end, "rate": rate,
        "sent": sent, "together": served.together, "waiting": served.waiting, "experts": served.answer.experts,
        "prompt tokens": answer.prompt_tokens, "new tokens": answer.new_tokens, "text": answer.output,
        "asked tokens": request.max_new_tokens, "failure": answer.failure,
    }  # fmt: skip
    return replace(answer, id=request.id, output=output, truncated=False, tokens=())
