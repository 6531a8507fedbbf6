"""Decoding with the library's own `generate`, without prefix sharing.

For architectures whose cache cannot be cut and copied: encoder-decoders, sliding-window attention, multi-dimensional
positions. The interface is that of `evals.models.decoding.engine.Decoder`, so a family can use either.

Letters in the names of tensors: R rows, N continuations, T tokens, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from evals.models.decoding.batching.rotary import reset_rotary
from evals.models.decoding.checkpoint_settings import library_config
from evals.models.decoding.loglikelihood import ScoringRow, token_sums
from evals.models.decoding.padding import TokenCounts, on_device
from evals.models.decoding.reading import TextReader
from evals.models.decoding.sampling import Completion, GenerationRow, RowProgress, advance_rows

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel


class LibraryDecoder:
    """Generates with the library's `generate`, and scores each continuation in its own row."""

    def __init__(
        self, model: PreTrainedModel, *, ends: Iterable[int], reader: TextReader, row_by_row: bool = False
    ) -> None:
        """Wrap a model. Its generation config is replaced by one without the checkpoint's penalties, beams, ….

        Args:
            model: a decoder or an encoder-decoder with a language-model head.
            ends: ids of the tokens that end a text.
            reader: turns tokens into text, to look for stop strings.
            row_by_row: whether each row goes through the model alone, because batch mates would change its scores.
        """
        self._model = model
        self._ends = frozenset(ends)
        self._reader = reader
        self.row_by_row = row_by_row
        """Whether each row goes through the model alone."""
        # The library fills entries that a call leaves open from the model's generation config.
        self._config = model.generation_config = library_config(model)
        self.token_counts = TokenCounts()
        """Prompt positions that were padded here."""

    def generate(
        self, prefixes: Sequence[Sequence[int]], rows: Sequence[GenerationRow], inputs: Mapping[str, torch.Tensor]
    ) -> list[Completion]:
        """Generate a completion for every row; as `Decoder.generate`."""
        if self.row_by_row and len(rows) > 1:
            return [self.generate(prefixes, [row], inputs)[0] for row in rows]
        if not self._model.config.is_encoder_decoder:
            ids, mask = self._padded([[*prefixes[row.prefix_index], *row.suffix, *row.begun] for row in rows])
            return self.continue_prompts({"input_ids": ids, "attention_mask": mask, **inputs}, rows)
        completions: dict[int, Completion] = {}
        for begun in sorted({len(row.begun) for row in rows}):  # a decoder's rows begin with equally many tokens
            members = [index for index, row in enumerate(rows) if len(row.begun) == begun]
            part = [rows[index] for index in members]
            ids, mask = self._padded([[*prefixes[row.prefix_index], *row.suffix] for row in part])
            encoded = {"input_ids": ids, "attention_mask": mask, **inputs}
            if begun:
                encoded["decoder_input_ids"] = self._decoder_tokens([row.begun for row in part])
            completions |= zip(members, self.continue_prompts(encoded, part), strict=True)
        return [completions[index] for index in range(len(rows))]

    def loglikelihoods(
        self, prefixes: Sequence[Sequence[int]], rows: Sequence[ScoringRow], inputs: Mapping[str, torch.Tensor]
    ) -> list[list[float]]:
        """Compute the log-likelihood of every continuation; as `Decoder.loglikelihoods`."""
        import torch

        contexts = [[*prefixes[row.prefix_index], *row.suffix] for row in rows for _ in row.continuations]
        continuations = [list(tokens) for row in rows for tokens in row.continuations]
        with torch.inference_mode():
            score = self._score_with_encoder if self._model.config.is_encoder_decoder else self._score_causally
            if self.row_by_row:
                pairs = zip(contexts, continuations, strict=True)
                scores = iter([score([context], [tokens])[0] for context, tokens in pairs])
            else:
                scores = iter(score(contexts, continuations))
        return [[next(scores) for _ in row.continuations] for row in rows]

    def continue_prompts(self, encoded: Mapping[str, Any], rows: Sequence[GenerationRow]) -> list[Completion]:
        """Generate from prompts that are already prepared for the model.

        Every token is chosen by the row's `RowProgress`; the library's loop computes the logits and keeps the cache.

        Args:
            encoded: inputs of the model, padded on the left, with the tokens that rows have `begun`.
            rows: for each prompt, how tokens are chosen and where to stop; `prefix_index` and `suffix` are not read.
        """
        assert not self.row_by_row or len(rows) == 1
        if self.row_by_row:
            reset_rotary(self._model)
        import torch
        from transformers import LogitsProcessorList, StoppingCriteriaList

        states = [RowProgress(row, self._ends, self._reader) for row in rows]

        def choose(_: torch.Tensor, scores_RV: torch.Tensor) -> torch.Tensor:
            """Leave each row the one token that it chose; rows that are finished get any token."""
            tokens = on_device(torch.tensor(advance_rows(states, scores_RV)), scores_RV.device)
            chosen_RV = torch.full_like(scores_RV, -torch.inf)
            return chosen_RV.scatter_(1, tokens[:, None], 0.0)

        def finished(_: torch.Tensor, __: torch.Tensor) -> torch.Tensor:
            return on_device(torch.tensor([state.finished for state in states]), self._model.device)

        config = self._config
        config.max_new_tokens = max(row.max_new_tokens - len(row.begun) for row in rows)
        with torch.inference_mode():
            self._model.generate(
                **encoded, generation_config=config, logits_processor=LogitsProcessorList([choose]),
                stopping_criteria=StoppingCriteriaList([finished]),
            )  # fmt: skip
        return [state.completion() for state in states]

    def _decoder_tokens(self, begun: Sequence[Sequence[int]]) -> torch.Tensor:
        """Return the start token and the tokens that rows have begun, equally many in each."""
        import torch

        start = self._config.decoder_start_token_id
        return torch.tensor([[start, *tokens] for tokens in begun], device=self._model.device)

    def _score_causally(self, contexts: Sequence[Sequence[int]], continuations: Sequence[Sequence[int]]) -> list[float]:
        """Compute the log-likelihoods of continuations for a decoder, which reads them after their contexts.

        The last token of a continuation is not read: it needs no position.
        """
        pairs = zip(contexts, continuations, strict=True)
        ids, mask = self._padded([[*context, *tokens[:-1]] for context, tokens in pairs])
        longest = max(map(len, continuations))
        if self.row_by_row:
            reset_rotary(self._model)
        inputs = {"input_ids": ids, "attention_mask": mask}
        if len(contexts) > 1:  # a row alone has no padding, and some models do not count positions from 0 (RoBERTa)
            inputs["position_ids"] = (mask.cumsum(dim=1) - 1).clamp(min=0)
        logits = self._model(**inputs, logits_to_keep=longest, use_cache=False).logits
        reads = [[list(enumerate(tokens, longest - len(tokens)))] for tokens in continuations]
        return [score for (score,) in token_sums(logits[:, -longest:], reads)]

    def _score_with_encoder(
        self, contexts: Sequence[Sequence[int]], continuations: Sequence[Sequence[int]]
    ) -> list[float]:
        """Compute the log-likelihoods of continuations for an encoder-decoder, whose encoder reads the contexts.

        The decoder reads the tokens with which it must begin, as when it generates: BART's `<s>`, a language token.
        """
        import torch

        ids, mask = self._padded(contexts)
        width = max(map(len, continuations))
        padded = [[*tokens, *[0] * (width - len(tokens))] for tokens in continuations]
        labels_NT = torch.tensor(padded, device=ids.device)
        begins = [self._config.decoder_start_token_id, self._config.forced_bos_token_id]
        begin = torch.tensor([token for token in begins if token is not None], device=ids.device)
        decoder_ids = torch.cat([begin.expand(len(contexts), -1), labels_NT[:, :-1]], dim=1)
        logits = self._model(input_ids=ids, attention_mask=mask, decoder_input_ids=decoder_ids).logits
        reads = [[list(enumerate(tokens, len(begin) - 1))] for tokens in continuations]
        return [score for (score,) in token_sums(logits, reads)]

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
        return on_device(ids, self._model.device), on_device(mask, self._model.device)


def with_tokens(encoded: Mapping[str, Any], tokens: Sequence[int], *, token_type: int = 0) -> dict[str, Any]:
    """Append generated tokens to one encoded prompt; further values per token are those of text.

    Args:
        encoded: the prompt's tensors.
        tokens: the generated tokens.
        token_type: their value in `token_type_ids`. PaliGemma's prompts have 0, where every token sees all others, and
            its generated tokens 1.
    """
    import torch

    extended = dict(encoded)
    length = encoded["input_ids"].shape[1]
    for name, values in encoded.items():
        if tokens and hasattr(values, "shape") and values.dim() == 2 and values.shape == (1, length):
            value = {"attention_mask": 1, "token_type_ids": token_type}.get(name, 0)
            more = list(tokens) if name == "input_ids" else [value] * len(tokens)
            extended[name] = torch.cat([values, torch.tensor([more], dtype=values.dtype, device=values.device)], dim=1)
    return extended
