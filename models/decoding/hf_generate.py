"""Decoding by the library's own loop, without sharing: for architectures whose caches cannot be cut and filled freely.

Encoder-decoders, layers that attend to a window, positions in several dimensions. The interface is that of
`evals.models.decoding.engine.Decoder`, so a family does not care which of the two it has.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from evals.errors import InputError
from evals.models.decoding.loglikelihood import Endings
from evals.models.decoding.padding import Counted
from evals.models.decoding.sampling import NOT_FINITE, Continuation, Row
from evals.schema import Generate

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel


class LibraryDecoder:
    """Runs a model through `generate`, and weighs endings one row each."""

    def __init__(self, model: PreTrainedModel, *, ends: Iterable[int], text: Callable[[Sequence[int]], str]) -> None:
        """Wrap a model.

        Args:
            model: a decoder or an encoder-decoder with a language-model head.
            ends: token ids that end a text.
            text: tokens to text, to look for stop strings.
        """
        self._model = model
        self._ends = frozenset(ends)
        self._text = text
        self.counted = Counted()
        """What of prompts was padded here."""

    def generate(
        self, prefixes: Sequence[Sequence[int]], rows: Sequence[Row], inputs: Mapping[str, torch.Tensor]
    ) -> list[Continuation]:
        """Continue every row; as `Decoder.generate`. Raises `InputError` when a row wants its tokens drawn."""
        if any(row.draw for row in rows):
            raise InputError("this architecture is decoded by the library's loop, greedily: give no --temperature")
        ids, mask = self._padded([[*prefixes[row.owner], *row.rest] for row in rows])
        return self.continue_prompts({"input_ids": ids, "attention_mask": mask, **inputs}, rows)

    def loglikelihoods(
        self, prefixes: Sequence[Sequence[int]], rows: Sequence[Endings], inputs: Mapping[str, torch.Tensor]
    ) -> list[list[float]]:
        """Weigh endings; as `Decoder.loglikelihoods`, every ending in a row of its own."""
        import torch

        contexts = [[*prefixes[row.owner], *row.rest] for row in rows for _ in row.endings]
        endings = [list(ending) for row in rows for ending in row.endings]
        with torch.inference_mode():
            weigh = self._with_encoder if self._model.config.is_encoder_decoder else self._after_context
            likelihoods = iter(weigh(contexts, endings))
        return [[next(likelihoods) for _ in row.endings] for row in rows]

    def continue_prompts(self, encoded: Mapping[str, Any], wanted: Sequence[Row | Generate]) -> list[Continuation]:
        """Continue prompts that are ready for the model, padded on the left, each as long as is wanted."""
        import torch
        from transformers import LogitsProcessorList

        finite: list[torch.Tensor] = []

        least = torch.tensor([each.min_new_tokens for each in wanted], device=self._model.device)
        ends = torch.tensor(sorted(self._ends), dtype=torch.long, device=self._model.device)

        def watch(_: torch.Tensor, scores_RV: torch.Tensor) -> torch.Tensor:
            early_R = least > len(finite)
            finite.append(scores_RV.amax(dim=-1).isfinite())
            if early_R.any():
                scores_RV[early_R.nonzero(), ends] = -math.inf
            return scores_RV

        with torch.inference_mode():
            # The checkpoint's own habits (beams, penalties) would answer another question than the other loop does.
            output = self._model.generate(
                **encoded, max_new_tokens=max(each.max_new_tokens for each in wanted), do_sample=False, num_beams=1,
                repetition_penalty=1.0, no_repeat_ngram_size=0, logits_processor=LogitsProcessorList([watch]),
            )  # fmt: skip
        # A decoder repeats its prompt; an encoder-decoder begins with its start token.
        skip = 1 if self._model.config.is_encoder_decoder else encoded["input_ids"].shape[1]
        new = zip(output[:, skip:].tolist(), torch.stack(finite, dim=1).tolist(), wanted, strict=True)
        return [self._ended(tokens[: each.max_new_tokens], sound, each.stop) for tokens, sound, each in new]

    def _ended(self, tokens: Sequence[int], sound: Sequence[bool], stop: tuple[str, ...]) -> Continuation:
        """Cut what was generated at the first end or stop string; `sound` says which scores were numbers."""
        for count, (token, number) in enumerate(zip(tokens, sound, strict=False)):
            if not number:
                return Continuation(list(tokens[:count]), truncated=False, failure=NOT_FINITE)
            if token in self._ends:
                return Continuation(list(tokens[:count]), truncated=False)
        return Continuation(list(tokens), truncated=not any(mark in self._text(tokens) for mark in stop))

    def _after_context(self, contexts: Sequence[Sequence[int]], endings: Sequence[Sequence[int]]) -> list[float]:
        """Log-likelihoods of endings as continuations of contexts."""
        ids, mask = self._padded([[*context, *ending] for context, ending in zip(contexts, endings, strict=True)])
        longest = max(map(len, endings))
        positions = (mask.cumsum(dim=1) - 1).clamp(min=0)
        logits = self._model(
            input_ids=ids, attention_mask=mask, position_ids=positions, logits_to_keep=longest + 1, use_cache=False
        ).logits
        likely = logits[:, -longest - 1 : -1].float().log_softmax(dim=-1)
        return [_sum(row[longest - len(ending) :], ending) for row, ending in zip(likely, endings, strict=True)]

    def _with_encoder(self, contexts: Sequence[Sequence[int]], endings: Sequence[Sequence[int]]) -> list[float]:
        """Log-likelihoods of endings as what an encoder-decoder says of contexts."""
        import torch

        ids, mask = self._padded(contexts)
        width = max(map(len, endings))
        told = torch.tensor([[*ending, *[0] * (width - len(ending))] for ending in endings], device=ids.device)
        start = torch.full_like(told[:, :1], self._model.config.decoder_start_token_id)
        decoder_ids = torch.cat([start, told[:, :-1]], dim=1)
        logits = self._model(input_ids=ids, attention_mask=mask, decoder_input_ids=decoder_ids).logits
        likely = logits.float().log_softmax(dim=-1)
        return [_sum(row[: len(ending)], ending) for row, ending in zip(likely, endings, strict=True)]

    def _padded(self, sequences: Sequence[Sequence[int]]) -> tuple[torch.Tensor, torch.Tensor]:
        """Pad on the left for a decoder, which goes on at the end; on the right for an encoder, which counts from 0."""
        import torch

        self.counted.add(sequences)
        longest = max(map(len, sequences))
        ids = torch.zeros(len(sequences), longest, dtype=torch.long)
        mask = torch.zeros_like(ids)
        for row, tokens in enumerate(sequences):
            start = 0 if self._model.config.is_encoder_decoder else longest - len(tokens)
            ids[row, start : start + len(tokens)] = torch.tensor(tokens)
            mask[row, start : start + len(tokens)] = 1
        return ids.to(self._model.device), mask.to(self._model.device)


def _sum(likely: torch.Tensor, tokens: Sequence[int]) -> float:
    """Add the log-likelihoods of tokens, each read at its own row."""
    return float(likely[range(len(tokens)), list(tokens)].sum())
