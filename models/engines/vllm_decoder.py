"""Generation and log-likelihoods by vLLM, with the methods of `evals.models.decoding.engine.Decoder`.

Token ids go in and come out. What ends a text (end tokens, stop strings outside thoughts, the limit) is decided by
`RowProgress`, as for the other decoders; vLLM chooses the tokens, greedily or by its own sampler with a seed for each
row. A continuation of one token is read from the distribution after its prompt, together with all others of one token.
A longer one is scored by the log-probabilities of a prompt that contains it. vLLM does not read its prefix cache for
such a prompt, because cached positions have no logits.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol

from evals.models.decoding.loglikelihood import ScoringRow
from evals.models.decoding.padding import TokenCounts
from evals.models.decoding.reading import TextReader
from evals.models.decoding.sampling import Completion, GenerationRow, RowProgress
from evals.models.engines.vllm_queue import EngineRequest

if TYPE_CHECKING:
    from vllm import RequestOutput, SamplingParams

MOST_SCORED_TOKENS = 128
"""Number of tokens whose log-probabilities vLLM returns for one position (`MAX_LOGPROB_TOKEN_IDS`)."""


class AnswersRequests(Protocol):
    """An engine that answers requests."""

    def answer(self, requests: Sequence[EngineRequest]) -> list[Any]:
        """Return the last output of each request, or the reason for which it was refused."""


class VllmDecoder:
    """Generates and scores text with a vLLM engine."""

    def __init__(
        self, engine: AnswersRequests, *, ends: Iterable[int], reader: TextReader, scores_prompts: bool = True
    ) -> None:
        """Wrap an engine.

        Args:
            engine: answers requests.
            ends: ids of the tokens that end a text.
            reader: turns tokens into text, to look for stop strings.
            scores_prompts: whether the engine returns the log-probabilities of a prompt; vLLM 0.32 fails to with LoRA.
        """
        self._scores_prompts = scores_prompts
        self._engine = engine
        self._ends = frozenset(ends)
        self._reader = reader
        self._counts = threading.local()

    @property
    def token_counts(self) -> TokenCounts:
        """Number of prompt positions that were computed for the batch of this thread."""
        if not hasattr(self._counts, "value"):
            self._counts.value = TokenCounts()
        counts: TokenCounts = self._counts.value
        return counts

    def generate(
        self, prefixes: Sequence[Sequence[int]], rows: Sequence[GenerationRow], inputs: Mapping[str, Any]
    ) -> list[Completion]:
        """Generate a completion for every row; as `Decoder.generate`.

        vLLM's random numbers cannot be continued. So a sampled row that was begun is drawn again from its prompt with
        the same seed, which draws the same beginning. Where rounding draws another one, the row is continued from the
        beginning that it had, with other random numbers.

        Of a vision-language model, `inputs` holds for each row the `images` of its prompt, and the `expected` tokens
        that vLLM reads for it. A row for which it reads others fails.
        """
        begun = [row.begun if row.settings.temperature else () for row in rows]
        again = [replace(row, begun=()) if tokens else row for row, tokens in zip(rows, begun, strict=True)]
        completions = self._generate(prefixes, again, inputs)
        pairs = enumerate(zip(completions, begun, strict=True))
        others = [index for index, (drawn, tokens) in pairs if tuple(drawn.tokens[: len(tokens)]) != tuple(tokens)]
        if others:
            of_others = {name: [values[index] for index in others] for name, values in inputs.items()}
            continued = self._generate(prefixes, [rows[index] for index in others], of_others)
            for index, completion in zip(others, continued, strict=True):
                completions[index] = completion
        return completions

    def _generate(
        self, prefixes: Sequence[Sequence[int]], rows: Sequence[GenerationRow], inputs: Mapping[str, Any]
    ) -> list[Completion]:
        states = [RowProgress(row, self._ends, self._reader) for row in rows]
        images = inputs.get("images") or [()] * len(rows)
        prompts = [[*prefixes[row.prefix_index], *row.suffix, *row.begun] for row in rows]
        requests = [
            EngineRequest(tokens_prompt(tokens, shown), self._sampling(state.row), state)
            for tokens, state, shown in zip(prompts, states, images, strict=True)
        ]
        expected = inputs.get("expected") or [None] * len(rows)
        for state, output, tokens in zip(states, self._engine.answer(requests), expected, strict=True):
            self._count(output)
            if isinstance(output, str):
                state.fail(f"vllm refused the prompt: {output}")
            elif tokens is not None and [*tokens, *state.row.begun] != list(output.prompt_token_ids or ()):
                count = len(output.prompt_token_ids or ())
                state.fail(f"vllm reads a prompt of {count} tokens, which are not the {len(tokens)} that were planned")
        return [state.completion() for state in states]

    def loglikelihoods(
        self, prefixes: Sequence[Sequence[int]], rows: Sequence[ScoringRow], inputs: Mapping[str, Any]
    ) -> list[list[float]]:
        """Compute the log-likelihood of every continuation of every row; as `Decoder.loglikelihoods`."""
        requests: list[EngineRequest] = []
        plans: list[_ScoringPlan] = []
        for row in rows:
            plan = _ScoringPlan([*prefixes[row.prefix_index], *row.suffix], row.continuations, self._scores_prompts)
            plans.append(plan)
            requests += plan.requests
        outputs = iter(self._engine.answer(requests))
        sums = []
        for plan in plans:
            answers = [next(outputs) for _ in plan.requests]
            for output in answers:
                self._count(output)
            sums.append([plan.sum_of(tokens, answers) for tokens in plan.continuations])
        return sums

    def _count(self, output: RequestOutput | str) -> None:
        """Count the positions of a prompt that were not read from the prefix cache."""
        if not isinstance(output, str):
            computed = len(output.prompt_token_ids or ()) - (output.num_cached_tokens or 0)
            self.token_counts.computed += computed
            self.token_counts.useful += computed

    def _sampling(self, row: GenerationRow) -> SamplingParams:
        """Say how a row is continued; vLLM knows of the end tokens only, and stop strings are looked for here."""
        from vllm import SamplingParams
        from vllm.sampling_params import RequestOutputKind

        settings, begun = row.settings, len(row.begun)
        return SamplingParams(
            max_tokens=row.max_new_tokens - begun,
            min_tokens=max(0, row.min_new_tokens - begun),
            stop_token_ids=sorted(self._ends),
            ignore_eos=True,  # the end tokens are those of `stop_token_ids` only
            detokenize=False,
            temperature=settings.temperature,
            top_k=settings.top_k or 0,
            top_p=settings.top_p,
            min_p=settings.min_p,
            repetition_penalty=settings.repetition_penalty,
            # A row that is continued does not draw again what it drew at its beginning.
            seed=None if not settings.temperature else (row.draw_seed + begun) % (1 << 63),
            output_kind=RequestOutputKind.DELTA,
        )


def tokens_prompt(tokens: Sequence[int], images: Sequence[Any] = ()) -> Any:
    """Make a prompt for vLLM from token ids and, for a vision-language model, the decoded images of the prompt."""
    from vllm import TokensPrompt

    if not images:
        return TokensPrompt(prompt_token_ids=list(tokens))
    return TokensPrompt(prompt_token_ids=list(tokens), multi_modal_data={"image": list(images)})


class _ScoringPlan:
    """The requests that score the continuations of one context, and how their outputs are read."""

    def __init__(self, context: Sequence[int], continuations: Sequence[Sequence[int]], scores_prompts: bool) -> None:
        """Plan the requests.

        Args:
            context: tokens of the context.
            continuations: tokens of each continuation.
            scores_prompts: score a continuation of several tokens in a prompt that contains all of them but the last;
                else each of its tokens is read after those before it, in a request of its own.
        """
        self.continuations = continuations
        self._start = len(context)
        self._scores_prompts = scores_prompts
        tokens_after: dict[tuple[int, ...], set[int]] = {}
        for tokens in continuations:
            for index in self._read_after(tokens):
                tokens_after.setdefault(tuple(tokens[:index]), set()).add(tokens[index])
        self.requests: list[EngineRequest] = []
        self._numbers: dict[tuple[tuple[int, ...], int], int] = {}
        """The index of the request that reads a token after some others."""
        for begun, tokens_read in tokens_after.items():
            listed = sorted(tokens_read)
            for first in range(0, len(listed), MOST_SCORED_TOKENS):
                part = listed[first : first + MOST_SCORED_TOKENS]
                self._numbers |= {(begun, token): len(self.requests) for token in part}
                self.requests.append(_scoring_request([*context, *begun], part, bool(begun) and scores_prompts))

    def _read_after(self, tokens: Sequence[int]) -> Sequence[int]:
        """Return the indices of the tokens that are read from the distribution after a prompt."""
        return range(len(tokens) - 1 if self._scores_prompts else 0, len(tokens))

    def sum_of(self, tokens: Sequence[int], outputs: Sequence[RequestOutput | str]) -> float:
        """Sum the log-probabilities of a continuation's tokens; NaN if vLLM refused a request."""
        total = 0.0
        for index in self._read_after(tokens):
            output = outputs[self._numbers[tuple(tokens[:index]), tokens[index]]]
            if isinstance(output, str):
                return math.nan
            after = output.outputs[0].logprobs
            assert after is not None
            total += float(after[0][tokens[index]].logprob)
            if index and self._scores_prompts:
                total += _sum_in_prompt(output, self._start, tokens[:index])
        return total


def _scoring_request(prompt: Sequence[int], tokens: list[int], scores_prompt: bool) -> EngineRequest:
    """Make a request for the log-probabilities of tokens after a prompt, and of the prompt's own tokens if wanted."""
    from vllm import SamplingParams

    params = SamplingParams(
        temperature=0.0, max_tokens=1, ignore_eos=True, detokenize=False, logprob_token_ids=tokens,
        prompt_logprobs=0 if scores_prompt else None,
        skip_reading_prefix_cache=scores_prompt,  # cached positions have no logits
    )  # fmt: skip
    return EngineRequest(tokens_prompt(prompt), params)


def _sum_in_prompt(output: RequestOutput, start: int, tokens: Sequence[int]) -> float:
    """Sum the log-probabilities of the tokens that a prompt has from a position on."""
    listed = output.prompt_logprobs
    assert listed is not None
    assert len(listed) == start + len(tokens), "vllm left out positions of the prompt"
    total = 0.0
    for position, token in enumerate(tokens, start):
        entry = listed[position]
        assert entry is not None
        total += float(entry[token].logprob)
    return total
