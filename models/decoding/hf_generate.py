"""Decoding with the library's own `generate`, without prefix sharing.

For architectures whose cache cannot be cut and copied: encoder-decoders, sliding-window attention, multi-dimensional
positions. The interface is that of `evals.models.decoding.engine.Decoder`, so a family can use either.

Letters in the names of tensors: R rows, N continuations, T tokens, V vocabulary.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from evals.errors import InputError
from evals.models.decoding.loglikelihood import ScoringRow
from evals.models.decoding.padding import TokenCounts
from evals.models.decoding.sampling import NOT_FINITE, Completion, GenerationRow
from evals.schema import Generate

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

ONLY_GREEDY = "this architecture is decoded by the library's own loop, which is greedy here: give no --temperature"
"""Error message for requests with a temperature."""


class LibraryDecoder:
    """Generates with the library's `generate`, and scores each continuation in its own row."""

    def __init__(self, model: PreTrainedModel, *, ends: Iterable[int], text: Callable[[Sequence[int]], str]) -> None:
        """Wrap a model.

        Args:
            model: a decoder or an encoder-decoder with a language-model head.
            ends: IDs of the tokens that end a text.
            text: turns tokens into text, to look for stop strings.
        """
        self._model = model
        self._ends = frozenset(ends)
        self._text = text
        self.token_counts = TokenCounts()
        """Prompt positions that were padded here."""

    def generate(
        self, prefixes: Sequence[Sequence[int]], rows: Sequence[GenerationRow], inputs: Mapping[str, torch.Tensor]
    ) -> list[Completion]:
        """Generate a completion for every row; as `Decoder.generate`.

        Raises:
            InputError: a row asks for sampling.
        """
        if any(row.sample for row in rows):
            raise InputError(ONLY_GREEDY)
        ids, mask = self._padded([[*prefixes[row.prefix_index], *row.suffix] for row in rows])
        return self.continue_prompts({"input_ids": ids, "attention_mask": mask, **inputs}, rows)

    def loglikelihoods(
        self, prefixes: Sequence[Sequence[int]], rows: Sequence[ScoringRow], inputs: Mapping[str, torch.Tensor]
    ) -> list[list[float]]:
        """Compute the log-likelihood of every continuation; as `Decoder.loglikelihoods`."""
        import torch

        contexts = [[*prefixes[row.prefix_index], *row.suffix] for row in rows for _ in row.continuations]
        continuations = [list(tokens) for row in rows for tokens in row.continuations]
        with torch.inference_mode():
            score = self._score_with_encoder if self._model.config.is_encoder_decoder else self._score_causally
            scores = iter(score(contexts, continuations))
        return [[next(scores) for _ in row.continuations] for row in rows]

    def continue_prompts(
        self, encoded: Mapping[str, Any], requests: Sequence[GenerationRow | Generate]
    ) -> list[Completion]:
        """Generate from prompts that are already prepared for the model.

        Args:
            encoded: inputs of the model, padded on the left.
            requests: for each prompt, how many tokens to generate and where to stop.
        """
        import torch
        from transformers import LogitsProcessorList

        finite_steps: list[torch.Tensor] = []

        minimum_R = torch.tensor([request.min_new_tokens for request in requests], device=self._model.device)
        ends = torch.tensor(sorted(self._ends), dtype=torch.long, device=self._model.device)

        def process(_: torch.Tensor, scores_RV: torch.Tensor) -> torch.Tensor:
            early_R = minimum_R > len(finite_steps)
            finite_steps.append(scores_RV.amax(dim=-1).isfinite())
            if early_R.any():
                scores_RV[early_R.nonzero(), ends] = -math.inf
            return scores_RV

        with torch.inference_mode():
            # Override the checkpoint's own defaults (beams, penalties), so that both decoders compute the same.
            output = self._model.generate(
                **encoded, max_new_tokens=max(request.max_new_tokens for request in requests), do_sample=False,
                num_beams=1, repetition_penalty=1.0, no_repeat_ngram_size=0,
                logits_processor=LogitsProcessorList([process]),
            )  # fmt: skip
        # The output of a decoder begins with the prompt; that of an encoder-decoder begins with the start token.
        skip = 1 if self._model.config.is_encoder_decoder else encoded["input_ids"].shape[1]
        generated = zip(output[:, skip:].tolist(), torch.stack(finite_steps, dim=1).tolist(), requests, strict=True)
        return [
            self._cut(tokens[: request.max_new_tokens], finite, request.stop) for tokens, finite, request in generated
        ]

    def _cut(self, tokens: Sequence[int], finite: Sequence[bool], stop: tuple[str, ...]) -> Completion:
        """Cut generated tokens at the first end token or non-finite step; `finite` says which steps were finite."""
        for count, (token, is_finite) in enumerate(zip(tokens, finite, strict=False)):
            if not is_finite:
                return Completion(list(tokens[:count]), truncated=False, failure=NOT_FINITE)
            if token in self._ends:
                return Completion(list(tokens[:count]), truncated=False)
        return Completion(list(tokens), truncated=not any(mark in self._text(tokens) for mark in stop))

    def _score_causally(self, contexts: Sequence[Sequence[int]], continuations: Sequence[Sequence[int]]) -> list[float]:
        """Compute the log-likelihoods of continuations for a decoder, which reads them after their contexts."""
        ids, mask = self._padded([[*context, *tokens] for context, tokens in zip(contexts, continuations, strict=True)])
        longest = max(map(len, continuations))
        positions = (mask.cumsum(dim=1) - 1).clamp(min=0)
        logits = self._model(
            input_ids=ids, attention_mask=mask, position_ids=positions, logits_to_keep=longest + 1, use_cache=False
        ).logits
        log_likelihoods_NTV = logits[:, -longest - 1 : -1].float().log_softmax(dim=-1)
        pairs = zip(log_likelihoods_NTV, continuations, strict=True)
        return [_sum(row_TV[longest - len(tokens) :], tokens) for row_TV, tokens in pairs]

    def _score_with_encoder(
        self, contexts: Sequence[Sequence[int]], continuations: Sequence[Sequence[int]]
    ) -> list[float]:
        """Compute the log-likelihoods of continuations for an encoder-decoder, whose encoder reads the contexts."""
        import torch

        ids, mask = self._padded(contexts)
        width = max(map(len, continuations))
        padded = [[*tokens, *[0] * (width - len(tokens))] for tokens in continuations]
        labels_NT = torch.tensor(padded, device=ids.device)
        start = torch.full_like(labels_NT[:, :1], self._model.config.decoder_start_token_id)
        decoder_ids = torch.cat([start, labels_NT[:, :-1]], dim=1)
        logits = self._model(input_ids=ids, attention_mask=mask, decoder_input_ids=decoder_ids).logits
        log_likelihoods_NTV = logits.float().log_softmax(dim=-1)
        pairs = zip(log_likelihoods_NTV, continuations, strict=True)
        return [_sum(row_TV[: len(tokens)], tokens) for row_TV, tokens in pairs]

    def _padded(self, sequences: Sequence[Sequence[int]]) -> tuple[torch.Tensor, torch.Tensor]:
        """Pad sequences: on the left for a decoder, which continues at the end, and on the right for an encoder."""
        import torch

        self.token_counts.add(sequences)
        longest = max(map(len, sequences))
        ids = torch.zeros(len(sequences), longest, dtype=torch.long)
        mask = torch.zeros_like(ids)
        for row, tokens in enumerate(sequences):
            start = 0 if self._model.config.is_encoder_decoder else longest - len(tokens)
            ids[row, start : start + len(tokens)] = torch.tensor(tokens)
            mask[row, start : start + len(tokens)] = 1
        return ids.to(self._model.device), mask.to(self._model.device)


def _sum(log_likelihoods_TV: torch.Tensor, tokens: Sequence[int]) -> float:
    """Sum the log-likelihoods of tokens, one per row."""
    return float(log_likelihoods_TV[range(len(tokens)), list(tokens)].sum())
