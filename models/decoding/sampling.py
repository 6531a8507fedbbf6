"""Generation requests and results: rows to continue, completions, token sampling, and when a row ends.

The loops that generate are in `evals.models.decoding.engine` and `evals.models.decoding.hf_generate`. Both leave the
choice of a token and the end of a row to `RowProgress`, so they cannot differ in either.

Letters in the names of tensors: R rows, V vocabulary.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from evals.models.decoding.padding import on_device
from evals.models.decoding.reading import MarkFilter, TextReader, ThoughtTracker
from evals.models.decoding.text import cut_at_stop
from evals.models.decoding.thoughts import TagPair
from evals.schema import Generate, Prediction

if TYPE_CHECKING:
    import torch

NOT_FINITE = "the model's scores are not finite numbers; try --dtype bfloat16 or float32"
"""Failure message for logits or embeddings that contain NaN or infinity."""

_VALUES_AT_ONCE = 1 << 22
"""Number of probabilities that are sorted at once."""


@dataclass(frozen=True)
class SamplingSettings:
    """How tokens are drawn; the defaults are greedy decoding."""

    temperature: float = 0.0
    """Divides the logits; 0 is greedy decoding."""
    top_k: int | None = None
    """Number of most likely tokens to draw from, or None for all."""
    top_p: float = 1.0
    """Draw from the smallest set of tokens with this total probability, after `top_k`."""
    min_p: float = 0.0
    """Draw from the tokens with at least this share of the most likely token's probability."""
    repetition_penalty: float = 1.0
    """Divides the positive logits of tokens that were read or generated, and multiplies the negative ones."""


@dataclass(frozen=True)
class GenerationRow:
    """One prompt to continue: an index into the shared prefixes, and the tokens after that prefix."""

    prefix_index: int
    """Index of the shared prefix that the prompt begins with."""
    suffix: Sequence[int]
    """The prompt's tokens after the shared prefix; at least one. `begun` is not included."""
    max_new_tokens: int
    """Maximum number of tokens to generate, `begun` included."""
    stop: tuple[str, ...] = ()
    """Strings that end the generation."""
    sample: TokenSampler | None = None
    """Draws a token; None takes the most likely token."""
    settings: SamplingSettings = SamplingSettings()
    """How `sample` draws, for an engine that draws the tokens itself."""
    draw_seed: int = 0
    """Random seed of the row, from the seed and the id of its request; for an engine that draws the tokens itself."""
    min_new_tokens: int = 0
    """Minimum number of tokens to generate: end tokens are ignored before."""
    begun: tuple[int, ...] = ()
    """Tokens that were generated earlier and are continued."""
    opened: TagPair | None = None
    """The tags of the thought that the prompt opened, or None. Stop strings are not applied inside a thought."""


@dataclass(frozen=True)
class Completion:
    """The tokens generated for one row."""

    tokens: list[int]
    """New tokens, without the end token."""
    truncated: bool
    """Whether generation stopped because it reached `max_new_tokens`."""
    failure: str | None = None
    """Why the completion is unusable: the logits were not finite."""


class RowProgress:
    """What one row has generated so far, and whether it is finished."""

    def __init__(self, row: GenerationRow, ends: Iterable[int], reader: TextReader) -> None:
        """Start a row.

        Args:
            row: the prompt to continue.
            ends: ids of the tokens that end a text.
            reader: turns tokens into text, to look for stop strings outside thoughts.
        """
        self.row = row
        self.tokens = list(row.begun)
        self.finished = False
        self._truncated = False
        self._failure: str | None = None
        self._ends = frozenset(ends)
        self._reader = reader
        self._tracker: ThoughtTracker | None = None
        if row.stop:
            self._tracker = ThoughtTracker(reader, row.opened)
            self._marks = MarkFilter(reader, row.stop)
            for token in row.begun:
                self._marks.may_complete(token)
            for count in range(1, len(row.begun) + 1):
                self._tracker.read(row.begun[:count])

    def advance(self, logits_V: torch.Tensor, chosen: int, *, finite: bool) -> int:
        """Keep the next token, unless it ends the text.

        Args:
            logits_V: the logits after the tokens so far.
            chosen: the token that was chosen from them; it may be an end token.
            finite: whether the largest logit is a finite number.
        """
        if not finite:
            self.finished, self._failure = True, NOT_FINITE
            return chosen
        if chosen in self._ends and len(self.tokens) < self.row.min_new_tokens:
            allowed_V = logits_V.clone()
            allowed_V[sorted(self._ends)] = -math.inf
            by = self.row.sample
            chosen = int(allowed_V.argmax() if by is None else draw([by], allowed_V[None], [self.tokens]))
        self._keep(chosen)
        return chosen

    def read(self, tokens: Iterable[int]) -> None:
        """Keep tokens that an engine has chosen, up to the one that ends the row; further tokens are dropped.

        Args:
            tokens: the next tokens, in order; they may include an end token.
        """
        for token in tokens:
            if self.finished:
                return
            self._keep(token)

    def fail(self, reason: str) -> None:
        """End the row without an answer."""
        self.finished, self._failure = True, reason

    def _keep(self, token: int) -> None:
        """Keep a chosen token, and end the row at an end token, a stop string or the limit."""
        if token in self._ends:
            self.finished = True
            return
        self.tokens.append(token)
        if self._stops():
            self.finished = True
        elif len(self.tokens) >= self.row.max_new_tokens:
            self.finished = self._truncated = True

    def completion(self) -> Completion:
        """Return what was generated."""
        return Completion(self.tokens, self._truncated, self._failure)

    def _stops(self) -> bool:
        """Return whether the text outside thoughts contains a stop string; only its last tokens can complete one."""
        if self._tracker is None:
            return False
        completes = self._marks.may_complete(self.tokens[-1])
        if self._tracker.in_first_text and not completes:
            return False
        start = self._tracker.read(self.tokens)
        if start is None:
            return False
        longest = max(map(len, self.row.stop))
        tail = self._reader.text(self.tokens[max(start, len(self.tokens) - longest - 1) :])
        if start and len(self.tokens) - start <= longest + 1:
            tail = tail.lstrip()  # white space between a thought and the answer is part of neither
        return any(mark in tail for mark in self.row.stop)


def generation_row(
    request: Generate,
    prefix_index: int,
    prompt_tokens: Sequence[int],
    shared: int,
    *,
    settings: SamplingSettings | None = None,
    opened: TagPair | None = None,
) -> GenerationRow:
    """Make the row that continues a request's prompt.

    Args:
        request: what to generate.
        prefix_index: index of the shared prefix that the prompt begins with.
        prompt_tokens: all tokens of the prompt.
        shared: length of the shared prefix.
        settings: how tokens are drawn, or None for the request's own settings.
        opened: the tags of the thought that the prompt opened.
    """
    settings = settings or requested_settings(request)
    return GenerationRow(
        prefix_index=prefix_index,
        suffix=prompt_tokens[shared:],
        max_new_tokens=request.max_new_tokens,
        stop=request.stop,
        sample=sampler(settings, request.seed, request.id, prompt_tokens),
        settings=settings,
        draw_seed=_draw_seed(request.seed, request.id),
        min_new_tokens=request.min_new_tokens,
        begun=request.begun,
        opened=opened,
    )


def read_completion(
    request: Generate, row: GenerationRow, completion: Completion, reader: TextReader, prompt_tokens: int
) -> Prediction:
    """Read the answer and the thought from generated tokens.

    Args:
        request: the request.
        row: the row that was generated.
        completion: the generated tokens.
        reader: turns tokens into text.
        prompt_tokens: number of tokens of the prompt.

    Returns:
        The prediction. Stop strings are applied to the answer only; a text that ends inside a thought has no answer.
    """
    if completion.failure is not None:
        return Prediction(request.id, failure=completion.failure)
    reading = reader.read(completion.tokens, row.opened)
    return Prediction(
        request.id,
        output=cut_at_stop(reading.answer, row.stop),
        truncated=completion.truncated,
        prompt_tokens=prompt_tokens,
        new_tokens=len(completion.tokens),
        thought=reading.thought or None,
        truncated_thinking=reading.open,
        tokens=tuple(completion.tokens) if completion.truncated else (),
    )


def requested_settings(request: Generate) -> SamplingSettings:
    """Return how a request wants its tokens to be drawn."""
    return SamplingSettings(request.temperature, request.top_k, request.top_p, request.min_p)


@dataclass(frozen=True)
class TokenSampler:
    """Draws the tokens of one output, with random numbers that depend only on the seed, the id and the position.

    So a result does not depend on the batch, and a cut output is continued as if the limit had been higher.
    """

    settings: SamplingSettings
    seed: int
    id: str
    read: frozenset[int] = frozenset()
    """Tokens of the prompt, to which a repetition penalty applies."""


def sampler(settings: SamplingSettings, seed: int, id: str, prompt_tokens: Sequence[int] = ()) -> TokenSampler | None:
    """Return what draws the tokens of a request, or None for greedy decoding; negative tokens are placeholders."""
    if settings.repetition_penalty != 1:
        return TokenSampler(settings, seed, id, frozenset(token for token in prompt_tokens if token >= 0))
    return TokenSampler(settings, seed, id) if settings.temperature else None


def advance_rows(states: Sequence[RowProgress | None], logits_RV: torch.Tensor) -> list[int]:
    """Choose and keep the next token of each row; a GPU is waited for once.

    Args:
        states: the rows; None for a row of the logits that belongs to no prompt.
        logits_RV: the logits after the rows' tokens.

    Returns:
        The chosen tokens; 0 where there is no row, or a finished one.
    """
    import torch

    maxima_R, chosen_R = logits_RV.max(dim=-1)
    going = [(index, state) for index, state in enumerate(states) if state is not None and not state.finished]
    drawing = [(index, state.tokens, state.row.sample) for index, state in going if state.row.sample is not None]
    if drawing:
        numbers, generated, samplers = zip(*drawing, strict=True)
        indices = on_device(torch.tensor(numbers), logits_RV.device)
        chosen_R[indices] = draw(samplers, logits_RV[indices], generated)
    chosen, finite = torch.stack([chosen_R, maxima_R.isfinite().long()]).tolist()
    tokens = [0] * len(states)
    for index, state in going:
        tokens[index] = state.advance(logits_RV[index], chosen[index], finite=bool(finite[index]))
    return tokens


def draw(samplers: Sequence[TokenSampler], logits_RV: torch.Tensor, generated: Sequence[Sequence[int]]) -> torch.Tensor:
    """Draw a token for each row (R,), on the logits' device, in the library's order: temperature, top-k, top-p, min-p.

    Args:
        samplers: how to draw, for each row.
        logits_RV: the logits.
        generated: the tokens that each row has generated.
    """
    import torch

    step = max(1, _VALUES_AT_ONCE // logits_RV.shape[1])
    starts = range(0, len(samplers), step)
    parts = [(samplers[n : n + step], logits_RV[n : n + step], generated[n : n + step]) for n in starts]
    return torch.cat([_draw(*part) for part in parts])


def _draw(samplers: Sequence[TokenSampler], logits_RV: torch.Tensor, generated: Sequence[Sequence[int]]) -> Any:
    import torch

    device, width = logits_RV.device, logits_RV.shape[1]
    logits_RV = logits_RV.float().clone()
    numbers = []
    for row_V, row, tokens in zip(logits_RV, samplers, generated, strict=True):
        settings, penalty = row.settings, row.settings.repetition_penalty
        numbers.append([
            settings.temperature, settings.top_k or width, settings.top_p, settings.min_p,
            _uniform(row.seed, row.id, len(tokens)),
        ])  # fmt: skip
        if penalty != 1:
            seen = on_device(torch.tensor(sorted({*row.read, *tokens}), dtype=torch.long), device)
            values = row_V[seen]
            row_V[seen] = torch.where(values < 0, values * penalty, values / penalty)
    numbers_R51 = on_device(torch.tensor(numbers, dtype=torch.float64), device)[:, :, None]
    temperature, top_k, top_p, min_p, uniform = numbers_R51.unbind(dim=1)
    greedy = temperature == 0
    kept, tokens_RV = (logits_RV.double() / temperature.masked_fill(greedy, 1)).softmax(-1).sort(-1, descending=True)
    kept = kept.masked_fill(torch.arange(width, device=device) >= top_k, 0)
    kept = kept.masked_fill(kept.cumsum(-1) - kept >= top_p * kept.sum(-1, keepdim=True), 0)
    kept = kept.masked_fill(kept < min_p * kept[:, :1], 0)
    cumulative = kept.cumsum(-1)
    places = torch.searchsorted(cumulative, uniform * cumulative[:, -1:], right=True)
    places = places.minimum((kept > 0).sum(-1, keepdim=True) - 1).clamp(min=0)
    return torch.where(greedy, logits_RV.argmax(-1, keepdim=True), tokens_RV.gather(1, places))[:, 0]


def _draw_seed(seed: int, id: str) -> int:
    """Return a random seed below 2^63 for one output."""
    digest = hashlib.sha256(f"{seed}:{id}".encode(errors="surrogatepass")).digest()
    return int.from_bytes(digest[:8], "little") >> 1


def _uniform(seed: int, id: str, position: int) -> float:
    """Return a number in [0, 1) for one position of one output."""
    digest = hashlib.sha256(f"{seed}:{id}:{position}".encode(errors="surrogatepass")).digest()
    return (int.from_bytes(digest[:8], "little") >> 11) / (1 << 53)
