"""Replay a load with a loaded model: its own loop for a local model, requests as they arrive for a server."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from evals.errors import SampleError
from evals.schema import Batch, Generate, Group, Json, LoadAware, Model, Prediction, Streaming
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
        One prediction per request, in their order. Its output holds the times in seconds after the start of the replay;
        a request that failed has its reason there, too, because its time counts.
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
        # No prefix is shared: the prompts of real requests differ.
        batch = Batch(tuple(Group(0, (number,)) for number in range(len(prompts))))
        predictions = model.run(prompts, batch, model.stage(prompts, batch))
        device.synchronise(str(model.facts.get("device", "cpu")))
        answered = dict(zip(readable, predictions, strict=True))
    return [_Answer((answered | failed)[request.id], experts) for request in requests]


def _prediction(request: Generate, served: Served[_Answer], rate: float, sent: bool) -> Prediction:
    answer = served.answer.prediction
    output: dict[str, Json] = {
        "arrival": served.arrival, "start": served.start, "first": served.first, "end": served.end, "rate": rate,
        "sent": sent, "together": served.together, "waiting": served.waiting, "experts": served.answer.experts,
        "prompt tokens": answer.prompt_tokens, "new tokens": answer.new_tokens, "text": answer.output,
        "failure": answer.failure,
    }  # fmt: skip
    return replace(answer, id=request.id, output=output, failure=None, truncated=False, tokens=())
