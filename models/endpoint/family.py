"""Models behind an OpenAI-compatible server (vLLM, SGLang, `transformers serve`, DeepSeek's API).

    endpoint:http://127.0.0.1:8000/v1#deepseek-ai/DeepSeek-R1

generate   a chat completion, with images as `data:` URLs; if the server has no chat for its model (a base model without
           a template), a completion of the plain text
choose     the log-likelihoods of the continuations, if the server echoes a prompt's log-probabilities or returns
           `prompt_logprobs`; otherwise the model is given the choices and writes one. The manifest records which
embed      an embedding; prompts with images use the `messages` that vLLM accepts

Before the run, a few short requests detect what the server can do (`evals.models.endpoint.capabilities`).
`evals.models.endpoint.settings` documents the options and the key; `evals.models.endpoint.client` what happens to a
request that fails.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from evals.errors import InputError, LongPromptError, SampleError
from evals.models.decoding.loglikelihood import most_likely
from evals.models.decoding.text import cut_at_stop, join_text
from evals.models.endpoint.attempts import ServerResponse
from evals.models.endpoint.capabilities import (
    Capabilities,
    chooses_by,
    detect_equal,
    embedding_body,
    model_names,
    only_model,
    prompt_logprobs,
)
from evals.models.endpoint.client import Server
from evals.models.endpoint.group import Sender, ServerGroup
from evals.models.endpoint.long_prompts import FAIL, TextRequest, answer_fitting, stated_limit
from evals.models.endpoint.prices import charged
from evals.models.endpoint.requests import chat_body, completion_body, has_media, parts_with_choices, recorded_messages
from evals.models.endpoint.responses import (
    MalformedError,
    Reply,
    Usage,
    check_model,
    common_length,
    find_choice,
    read_chat,
    read_completion,
    read_vector,
)
from evals.models.endpoint.settings import Settings, find_key, read_servers
from evals.models.endpoint.streaming import STREAM, EventReader, assembled
from evals.registry import FAMILIES
from evals.schema import (
    Batch,
    Choose,
    Classify,
    Embed,
    Family,
    Generate,
    Json,
    ModelInput,
    Part,
    Placement,
    Prediction,
    Prompt,
    Request,
)
from evals.schema.requests import OUTPUTS_CONTINUED, OUTPUTS_REPEATED

_CHOICE_TOKENS = 16
"""Maximum number of new tokens when the model writes its choice."""
_CHOICE_TOKENS_WITH_REASONING = 4096
"""The same for a model that reasons before it answers."""


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """A model behind a server."""

    name: str
    facts: Mapping[str, Json]
    concurrency: int
    """Maximum number of batches that are answered at the same time, each on its own thread."""
    served_model: str
    """The model's name on the server."""
    settings: Settings
    server: Sender
    capabilities: Capabilities
    abilities: frozenset[str] = frozenset({"generate", "choose", "embed"})
    long_prompts: str = FAIL
    """What happens to a prompt that the server rejects as too long."""
    token_budget: int = 1
    """A request counts as one position, so each request is a batch and is written to disk when it is answered."""

    def check(self, split_ids: Sequence[str], run_ids: Sequence[str]) -> None:
        """Accept any samples."""

    def prepare(self, request: Request) -> Prompt:
        """Count every request as one token; the server reports the real counts."""
        return Prompt(request, key=request.id, tokens=(0,), reserve=0)

    def model_input(self, prompt: Prompt) -> ModelInput:
        """Return what is sent to the server; its tokens are not known here."""
        request = prompt.request
        parts: tuple[Part, ...] = request.parts
        if isinstance(request, Choose):
            if self._scores_continuations(request):
                return ModelInput(join_text(parts), None, tuple((choice, None) for choice in request.choices))
            parts = parts_with_choices(request)
        chats = has_media(parts) if isinstance(request, Embed) else self._chats(request)
        if not chats:
            return ModelInput(join_text(parts), None)
        system = request.chat.system if isinstance(request, Generate) else None
        return ModelInput((system or "") + join_text(parts), None, messages=recorded_messages(parts, system))

    def stage(self, prompts: Sequence[Prompt], batch: Batch) -> None:
        """Prepare nothing: the request body is made on the thread that sends it."""

    def run(self, prompts: Sequence[Prompt], batch: Batch, staged: None) -> list[Prediction]:
        """Send the requests; one that the server rejects, or that fails too often, is a failed prediction."""
        return [self._answer(prompts[member].request) for member in batch.members]

    def peak_memory_bytes(self) -> None:
        """Return None: the memory of the server is unknown."""

    def _answer(self, request: Request) -> Prediction:
        try:
            if isinstance(request, Classify):
                raise SampleError(f"request {request.id} asks for a class, which servers do not support")
            new = self._limit(request) if isinstance(request, Generate) else 0
            return answer_fitting(request, self._answer_once, self.long_prompts, new)
        except SampleError as error:
            return Prediction(request.id, failure=str(error), long_prompt=isinstance(error, LongPromptError))

    def _answer_once(self, request: TextRequest) -> Prediction:
        match request:
            case Generate():
                return self._generate(request)
            case Choose():
                return self._choose(request)
            case Embed():
                return self._embed(request)

    def _limit(self, request: Generate) -> int:
        """Return how many new tokens a text may have; an extension names its limit itself."""
        of_address = None if request.recorded is not None else self.settings.max_tokens
        return of_address or request.max_new_tokens

    def _generate(self, request: Generate) -> Prediction:
        if request.recorded is None:
            return self._written(request)
        if not self._continues(request):
            return charged(self._written(request), {OUTPUTS_REPEATED: 1})
        begun, continued = request.recorded, self._written(request)
        if continued.prompt_tokens == (begun.prompt_tokens or 0) + begun.tokens:
            return charged(continued, {OUTPUTS_CONTINUED: 1})
        # The server read the text as other tokens than it wrote.
        repeated = self._generate(replace(request, recorded=replace(begun, prompt_tokens=None)))
        read, new = (getattr(repeated, name) + getattr(continued, name) for name in ("prompt_tokens", "new_tokens"))
        return replace(charged(repeated, continued.charges), prompt_tokens=read, new_tokens=new)

    def _written(self, request: Generate) -> Prediction:
        """Return the text that the server writes for a request."""
        response = self._complete(request, self._limit(request))
        text = response.value.text
        start = len(text) - len(text.lstrip())  # where the server applies no stops, one at the start ends nothing
        output = text[:start] + cut_at_stop(text[start:], request.stop)
        prediction = self._prediction(request.id, response, output)
        if output != text:  # what came after the stop was cut at the limit, and the output is whole
            prediction = replace(prediction, truncated=False)
        return prediction

    def _continues(self, request: Generate) -> bool:
        """Whether the server is to go on after what it wrote for a request, as it completes plain texts."""
        begun = request.recorded
        return begun is not None and begun.prompt_tokens is not None and not self._chats(request)

    def _prediction(self, request_id: str, response: ServerResponse, output: str) -> Prediction:
        """Make the prediction for a response whose value is a `Reply`."""
        reply: Reply = response.value
        return Prediction(
            request_id,
            output=output,
            truncated=reply.truncated,
            prompt_tokens=reply.usage.prompt,
            new_tokens=reply.usage.new,
            thought=reply.thought,
            truncated_thinking=reply.truncated_thinking,
            charges=self._charges(reply.usage, response.retries),
        )

    def stream(self, request: Generate, on_token: Callable[[], object]) -> Prediction:
        """Answer a request at once and only once, and report its first token (`evals.schema.Streaming`)."""
        path, body, read = self._text_request(request, self._limit(request))
        try:
            data = self.server.attempt_streamed(path, {**body, **STREAM}, EventReader(on_token))
            value, _ = read(self.server.masked(assembled(data)))
        except (SampleError, MalformedError) as error:
            return Prediction(request.id, failure=str(error))
        return self._prediction(request.id, ServerResponse(value, 0), value.text)

    def _complete(self, request: Generate, max_tokens: int) -> ServerResponse:
        """Send a request for a text; the value of the response is a `Reply`."""
        path, body, read = self._text_request(request, max_tokens)
        return self.server.send(path, body, read)

    def _text_request(
        self, request: Generate, max_tokens: int
    ) -> tuple[str, dict[str, Json], Callable[[Any], tuple[Reply, int]]]:
        """Return the path and the body of a request for a text, and what reads the answer and its new tokens."""
        capabilities, begun = self.capabilities, request.recorded if self._continues(request) else None
        model, chats = self.served_model, self._chats(request)
        text = "" if begun is None else begun.text

        def read(body: Any) -> tuple[Reply, int]:
            reply = read_chat(body) if chats else read_completion(body, text)
            check_model(reply, capabilities.model)
            return reply, reply.usage.new

        if not chats:
            body = completion_body(request, model=model, max_tokens=max_tokens, begun=begun, **capabilities.fields)
            return "completions", body, read
        body = chat_body(request, model=model, max_tokens=max_tokens, limit=capabilities.limit, **capabilities.fields)
        return "chat/completions", body, read

    def _chats(self, request: Request) -> bool:
        """Whether a text is requested by messages, and not as the continuation of a plain text."""
        plain = isinstance(request, Generate) and request.chat.template == "off"
        return self.capabilities.generate != "completions" and not plain

    def _choose(self, request: Choose) -> Prediction:
        method = self.capabilities.logprobs
        if method is None or not self._scores_continuations(request):
            return self._choose_in_writing(request)
        context = join_text(request.parts)
        prompts = [context, *(context + choice for choice in request.choices)]
        response = prompt_logprobs(self.server, self.served_model, method, prompts)
        (context_tokens, *joined), usage = response.value
        shared = min(common_length(context_tokens, tokens) for tokens in joined)
        continuations = [tokens[shared:] for tokens in joined]
        if not all(continuations):
            raise SampleError(f"request {request.id}: a continuation adds no token to its prompt")
        scores = [sum(value for _, value in tokens if value is not None) for tokens in continuations]
        prediction = most_likely(request, scores, [len(tokens) for tokens in continuations], prompt_tokens=shared)
        return replace(prediction, charges=self._charges(usage, response.retries))

    def _scores_continuations(self, request: Choose) -> bool:
        """Whether the server returns log-probabilities of the continuations of a request."""
        return self.capabilities.logprobs is not None and not has_media(request.parts)

    def _choose_in_writing(self, request: Choose) -> Prediction:
        """Let the model write its choice; a text that names no choice is returned unchanged and counts as wrong."""
        parts = parts_with_choices(request)
        default = _CHOICE_TOKENS_WITH_REASONING if self.capabilities.reasons else _CHOICE_TOKENS
        max_tokens = self.settings.max_tokens or default
        response = self._complete(Generate(request.id, parts, max_tokens), max_tokens)
        text = response.value.text
        return self._prediction(request.id, response, find_choice(text, request.choices) or text)

    def _embed(self, request: Embed) -> Prediction:
        from evals.records.embeddings import pack

        response = self.server.send("embeddings", embedding_body(self.served_model, request.parts), read_vector)
        vector, usage = response.value
        return Prediction(
            request.id,
            output=pack(vector),
            prompt_tokens=usage.prompt,
            charges=self._charges(usage, response.retries),
        )

    def _charges(self, usage: Usage, retries: int) -> dict[str, float]:
        """Return the further costs that `efficiency` adds up; always all of them, so that zero sums are reported."""
        charges: dict[str, float] = {
            "cached_tokens": usage.cached, "reasoning_tokens": usage.reasoning, "retries": retries
        }  # fmt: skip
        prices = self.settings.prices
        if not usage.reported:
            charges["uncounted_answers"] = 1  # tokens and cost of this answer are unknown, and not 0
        elif prices is not None:
            cost = prices.cost(self.served_model, prompt=usage.prompt, cached=usage.cached, new=usage.new)
            charges[f"cost_{prices.currency.lower()}"] = cost
        return charges


def load(name: str, checkpoint: str, placement: Placement) -> Endpoint:
    """Connect to a server and detect what it can do.

    Args:
        name: the name that the user gave; options that do not affect the answers are left out of the run's name.
        checkpoint: the address, as `evals.models.endpoint.settings` documents it.
        placement: names no device and no number format, because the server decides where it computes.

    Raises:
        InputError: the server cannot be reached, rejects the key, or does not have the model; in the server's words.
    """
    several = read_servers(checkpoint)
    settings = several[0]
    if placement.device is not None or placement.dtype is not None:
        raise InputError(
            "--device and --dtype have no effect on a model behind a server, which decides both; leave them out"
        )
    servers = [Server(server, find_key(server)) for server in several]
    listing = servers[0].list_models()
    listed = model_names(listing)
    model = settings.model or only_model(listed, settings.server)
    if settings.prices is not None:
        settings.prices.cost(model, prompt=0, cached=0, new=0)
    capabilities = detect_equal(servers, model, listed)
    addresses = "|".join(sorted(server.server for server in several))
    return Endpoint(
        name=f"endpoint:{addresses}#{model}" if name.startswith("endpoint:") else name,
        facts={
            "family": "endpoint",
            "checkpoint": f"{addresses}#{model}",
            "server": addresses,
            "served_model": model,
            **capabilities.facts,
            "chooses_by": chooses_by(capabilities),
            "max_tokens": settings.max_tokens,
            "positions": stated_limit(listing, model),
            "long_prompts": placement.long_prompts or FAIL,
            **settings.query,
        },
        concurrency=sum(server.concurrency for server in several),
        served_model=model,
        settings=settings,
        server=servers[0]
        if len(servers) == 1
        else ServerGroup(servers, retries=settings.retries, backoff=settings.backoff),
        capabilities=capabilities,
        long_prompts=placement.long_prompts or FAIL,
    )


FAMILIES.add(
    Family(
        name="endpoint",
        summary="a model behind any OpenAI-compatible server: endpoint:http://HOST:PORT/v1#NAME",
        abilities=frozenset({"generate", "choose", "embed"}),
        load=load,
        prefix="endpoint",
    )
)
