"""Models behind a server: any that speaks OpenAI's interface (vLLM, SGLang, `transformers serve`, DeepSeek's own API).

    endpoint:http://127.0.0.1:8000/v1#deepseek-ai/DeepSeek-R1

generate   a chat completion, with pictures as `data:` addresses; where a server has no chat for its model (a base model
           without a template), a completion of the plain text
choose     the log-likelihoods of the endings, where the server echoes a prompt's own log-probabilities or gives
           `prompt_logprobs`; else the model is told the choices and writes one. Either way the manifest says which
embed      an embedding; of a prompt with pictures by the `messages` that vLLM takes

What a server can do is asked once, before the run, at the price of a few tokens. `evals.models.endpoint.settings` has
the options and where the key comes from; `evals.models.endpoint.client` what happens to a request that fails.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

from evals.errors import InputError, SampleError
from evals.models.decoding.sampling import cut_at_stop
from evals.models.endpoint.capabilities import Traits, embedding_body, find_out, text_of, weigh
from evals.models.endpoint.client import Answered, MalformedError, Server
from evals.models.endpoint.requests import chat_body, completion_body
from evals.models.endpoint.responses import (
    Reply,
    Usage,
    Weighed,
    named,
    read_chat,
    read_completion,
    read_embedding,
    read_usage,
)
from evals.models.endpoint.settings import Settings, find_key, read_settings
from evals.registry import FAMILIES
from evals.schema import (
    Batch,
    Choose,
    Classify,
    Embed,
    Family,
    Generate,
    Json,
    Placement,
    Prediction,
    Prompt,
    Request,
)

_CHOICE_TOKENS = 16
_THOUGHT_TOKENS = 4096
"""Tokens in which a model that thinks first must come to its choice."""


@dataclass(frozen=True)
class Endpoint:
    """A model behind a server."""

    name: str
    facts: Mapping[str, Json]
    concurrency: int
    _model: str
    _settings: Settings
    _server: Server
    _traits: Traits
    abilities: frozenset[str] = frozenset({"generate", "choose", "embed"})
    token_budget: int = 1
    """A request counts one position, so that each is a batch and on the disk when it is answered."""

    def check(self, known: Sequence[str], wanted: Sequence[str]) -> None:
        """Accept any samples."""

    def prepare(self, request: Request) -> Prompt:
        """Count every request as one token: the server does the counting."""
        return Prompt(request, key=request.id, tokens=(0,), reserve=0)

    def stage(self, prompts: Sequence[Prompt], batch: Batch) -> None:
        """Do nothing: a request is written where it is sent, on its own thread."""

    def run(self, prompts: Sequence[Prompt], batch: Batch, staged: None) -> list[Prediction]:
        """Ask the server; a request that it refuses, or that fails too often, is a failed prediction."""
        return [self._answer(prompts[member].request) for member in batch.members]

    def peak_memory_bytes(self) -> None:
        """Leave it to the process: what the server holds is not known."""

    def _answer(self, request: Request) -> Prediction:
        try:
            match request:
                case Generate():
                    return self._generate(request)
                case Choose():
                    return self._choose(request)
                case Embed():
                    return self._embed(request)
                case Classify():
                    raise SampleError(f"request {request.id} asks for a class, which no server is asked for")
        except SampleError as error:
            return Prediction(request.id, failure=str(error))

    def _generate(self, request: Generate) -> Prediction:
        most = self._settings.max_tokens or request.max_new_tokens
        answered = self._written(request, most)
        reply: Reply = answered.value
        return Prediction(
            request.id,
            output=cut_at_stop(reply.text, request.stop),
            truncated=reply.truncated,
            prompt_tokens=reply.usage.prompt,
            new_tokens=reply.usage.new,
            reasoning=reply.reasoning,
            charges=self._charges(reply.usage, answered.retries),
        )

    def _written(self, request: Generate, most: int) -> Answered:
        """Have a text written."""
        model, stop = self._model, self._traits.stops

        def read(reader: Callable[[Any], Reply], body: Any) -> tuple[Reply, int]:
            reply = reader(body)
            if self._traits.served and reply.served and reply.served != self._traits.served:
                raise MalformedError(f"it is of model {reply.served!r}, not of {self._traits.served!r}")
            return reply, reply.usage.new

        if self._traits.generate == "completions":
            asked = completion_body(request, model=model, max_tokens=most, stop=stop)
            return self._server.ask("completions", asked, lambda body: read(read_completion, body))
        asked = chat_body(request, model=model, max_tokens=most, stop=stop, limit=self._traits.limit)
        return self._server.ask("chat/completions", asked, lambda body: read(read_chat, body))

    def _choose(self, request: Choose) -> Prediction:
        if self._traits.weighing is None or not all(isinstance(part, str) for part in request.parts):
            return self._choose_in_writing(request)
        context = text_of(request.parts)
        prompts = [context, *(context + choice for choice in request.choices)]
        answered = weigh(self._server, self._model, self._traits.weighing, prompts)
        (before, *wholes), usage = answered.value
        shared = min(_common([before, whole]) for whole in wholes)
        endings = [whole[shared:] for whole in wholes]
        scores = [sum(weight for _, weight in ending if weight is not None) for ending in endings]
        lengths = {
            "none": [1] * len(scores),
            "tokens": [len(ending) for ending in endings],
            "characters": [len(choice) for choice in request.choices],
        }[request.normalise]
        if not all(endings):
            raise SampleError(f"request {request.id}: an ending adds no token to its prompt")
        weighed = [score / length for score, length in zip(scores, lengths, strict=True)]
        return Prediction(
            request.id,
            output=request.choices[weighed.index(max(weighed))],
            scores=tuple(scores),
            prompt_tokens=shared,
            new_tokens=sum(map(len, endings)),
            charges=self._charges(usage, answered.retries),
        )

    def _choose_in_writing(self, request: Choose) -> Prediction:
        """Have the choice written down; what names none of them is the output as it is, and no answer."""
        listed = ", ".join(choice.strip() for choice in request.choices)
        parts = (*request.parts, f"\n\nAnswer with exactly one of these and nothing else: {listed}")
        most = self._settings.max_tokens or (_THOUGHT_TOKENS if self._traits.thinks else _CHOICE_TOKENS)
        answered = self._written(Generate(request.id, parts, most), most)
        reply: Reply = answered.value
        return Prediction(
            request.id,
            output=named(reply.text, request.choices) or reply.text,
            truncated=reply.truncated,
            prompt_tokens=reply.usage.prompt,
            new_tokens=reply.usage.new,
            reasoning=reply.reasoning,
            charges=self._charges(reply.usage, answered.retries),
        )

    def _embed(self, request: Embed) -> Prediction:
        from evals.records.embeddings import pack

        answered = self._server.ask("embeddings", embedding_body(self._model, request.parts), _read_vector)
        vector, usage = answered.value
        return Prediction(
            request.id,
            output=pack(vector),
            prompt_tokens=usage.prompt,
            charges=self._charges(usage, answered.retries),
        )

    def _charges(self, usage: Usage, retries: int) -> dict[str, float]:
        """What is added up in `efficiency` beside the tokens; all names every time, so that a sum of zero is told."""
        charges: dict[str, float] = {
            "cached_tokens": usage.cached, "reasoning_tokens": usage.reasoning, "retries": retries
        }  # fmt: skip
        prices = self._settings.prices
        if prices is not None:
            cost = prices.of(self._model, prompt=usage.prompt, cached=usage.cached, new=usage.new)
            charges[f"cost_{prices.currency.lower()}"] = cost
        return charges


def load(name: str, checkpoint: str, placement: Placement) -> Endpoint:
    """Reach a server and find out what it can do.

    Args:
        name: what the user called it; its options, which do not determine an answer, are left out of the run's name.
        checkpoint: the address, as `evals.models.endpoint.settings` says.
        placement: of no use: the server decides where it computes.

    Raises:
        InputError: no such host, nobody there, a key that is refused, a model that is not there; in the server's words.
    """
    settings = read_settings(checkpoint)
    if placement.device is not None or placement.dtype is not None:
        raise InputError("--device and --dtype are the server's to decide; leave them out for a model behind one")
    server = Server(settings, find_key(settings))
    listed = _listed(server.listing())
    model = settings.model or _only(listed, settings)
    if settings.prices is not None:
        settings.prices.of(model, prompt=0, cached=0, new=0)
    traits = find_out(server, model, listed)
    facts = {
        "family": "endpoint",
        "checkpoint": f"{settings.server}#{model}",
        "server": settings.server,
        "served_model": model,
        "answers_as": traits.served,
        "generates_by": traits.generate,
        "chooses_by": _chooses_by(traits),
        "stops": "heeded by the server and here" if traits.stops else "heeded here",
        "max_tokens": settings.max_tokens,
        **settings.query,
    }
    shown = f"endpoint:{settings.server}#{model}" if name.startswith("endpoint:") else name
    return Endpoint(shown, facts, settings.concurrency, model, settings, server, traits)


def _chooses_by(traits: Traits) -> str:
    if traits.weighing is None:
        return "writing one of the choices: the server gives no log-probabilities of a prompt"
    return f"log-likelihood ({traits.weighing}); writing one of the choices where there are pictures"


def _read_vector(body: Any) -> tuple[tuple[list[float], Usage], int]:
    return (read_embedding(body), read_usage(body)), 1


def _common(weighed: Sequence[Weighed]) -> int:
    """Count the tokens with which prompts begin alike."""
    columns = zip(*([token for token, _ in each] for each in weighed), strict=False)
    return sum(1 for _ in takewhile(lambda column: len(set(column)) == 1, columns))


def _listed(answer: Json) -> list[str]:
    """The names in a server's list of models, where it has one."""
    rows = answer.get("data") if isinstance(answer, dict) else None
    return [str(row["id"]) for row in rows or () if isinstance(row, dict) and "id" in row]


def _only(listed: Sequence[str], settings: Settings) -> str:
    if len(listed) == 1:
        return listed[0]
    lists = f"it lists {', '.join(listed)}" if listed else "it lists none"
    raise InputError(f"endpoint {settings.server} needs the name of a model, as in {settings.server}#NAME: {lists}")


FAMILIES.add(
    Family(
        name="endpoint",
        summary="a model behind any OpenAI-compatible server: endpoint:http://HOST:PORT/v1#NAME",
        abilities=frozenset({"generate", "choose", "embed"}),
        load=load,
        prefix="endpoint",
    )
)
