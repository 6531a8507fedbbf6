"""BLIP's text decoder: answers, and log-likelihoods of continuations, from the output of its text encoder.

The library's own `BlipForQuestionAnswering.generate` encodes the image again for every question, and lets the decoder
attend to the padding of shorter questions.

Letters in the names of tensors: R rows, S encoded tokens, N continuations, T tokens of a continuation, D width, V
vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from evals.errors import LongPromptError
from evals.models.decoding.hf_generate import LibraryDecoder
from evals.models.decoding.reading import TextReader
from evals.models.decoding.sampling import Completion, GenerationRow
from evals.schema import Generate

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel


class EncodedTexts(NamedTuple):
    """The text encoder's output for a batch of texts."""

    states_RSD: torch.Tensor
    mask_RS: torch.Tensor
    """1 for a token, 0 for padding."""


def apply_cross_attention_masks(model: PreTrainedModel) -> None:
    """Make cross-attention apply the mask of the states that it attends to.

    The library (5.23) computes that mask but passes it on under another name, so that it is ignored.
    """

    def rename(_: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        return args, {**kwargs, "encoder_attention_mask": kwargs.get("attention_mask")}

    for name, module in model.named_modules():
        if name.endswith(".crossattention.self"):
            module.register_forward_pre_hook(rename, with_kwargs=True)


def generate(
    model: PreTrainedModel,
    encoded: EncodedTexts,
    rows: Sequence[GenerationRow],
    reader: TextReader,
) -> list[Completion]:
    """Generate answers with the library's own loop.

    Args:
        model: a `BlipForQuestionAnswering`.
        encoded: the encoded questions, one row per request.
        rows: how long each answer may be, how its tokens are chosen, and where it stops.
        reader: turns tokens into text.
    """
    import torch

    config = model.config.text_config
    decoder = LibraryDecoder(model.text_decoder, ends=[config.sep_token_id], reader=reader)
    completions: dict[int, Completion] = {}
    for begun in sorted({len(row.begun) for row in rows}):  # rows of one call begin with equally many tokens
        members = [index for index, row in enumerate(rows) if len(row.begun) == begun]
        part = [rows[index] for index in members]
        ids = torch.tensor([[config.bos_token_id, *row.begun] for row in part], device=encoded.mask_RS.device)
        inputs = {
            "input_ids": ids,
            "attention_mask": torch.ones_like(ids),
            "encoder_hidden_states": encoded.states_RSD[members],
            "encoder_attention_mask": encoded.mask_RS[members],
        }
        completions |= zip(members, decoder.continue_prompts(inputs, part), strict=True)
    return [completions[index] for index in range(len(rows))]


def check_new_tokens(model: PreTrainedModel, request: Generate) -> None:
    """Raise `LongPromptError` if an answer may become longer than the text decoder has positions."""
    positions = model.config.text_config.max_position_embeddings
    if request.max_new_tokens > positions:
        raise LongPromptError(
            f"request {request.id} needs {request.max_new_tokens} new tokens; the model has {positions} positions for "
            "them"
        )


def loglikelihoods(
    model: PreTrainedModel, encoded: EncodedTexts, continuations: Sequence[Sequence[Sequence[int]]]
) -> list[list[float]]:
    """Compute the log-likelihood of every continuation of every row.

    Args:
        model: a `BlipForQuestionAnswering`.
        encoded: the encoded texts.
        continuations: the tokens of each row's continuations.

    Returns:
        For each row, the log-likelihood of every continuation in nats.
    """
    import torch
    from torch.nn.utils.rnn import pad_sequence

    row_indices = [row for row, tokens_of_row in enumerate(continuations) for _ in tokens_of_row]
    sequences = [torch.tensor(tokens) for tokens_of_row in continuations for tokens in tokens_of_row]
    labels_NT = pad_sequence(sequences, batch_first=True).to(encoded.mask_RS.device)
    start_N1 = torch.full_like(labels_NT[:, :1], model.config.text_config.bos_token_id)
    logits_NTV = model.text_decoder(
        input_ids=torch.cat([start_N1, labels_NT[:, :-1]], dim=1),
        encoder_hidden_states=encoded.states_RSD[row_indices],
        encoder_attention_mask=encoded.mask_RS[row_indices], use_cache=False,
    ).logits  # fmt: skip
    label_scores_NT = logits_NTV.float().log_softmax(dim=-1).gather(2, labels_NT[:, :, None])[:, :, 0]
    sums = iter(float(row_T[: len(tokens)].sum()) for row_T, tokens in zip(label_scores_NT, sequences, strict=True))
    return [[next(sums) for _ in tokens_of_row] for tokens_of_row in continuations]
