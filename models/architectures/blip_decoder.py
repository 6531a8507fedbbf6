"""What BLIP's text decoder says of what its encoder read: answers, and how likely endings are.

The library's own `BlipForQuestionAnswering.generate` reads the picture again for every question, and lets the decoder
look at the padding of shorter questions.

Letters in the names of tensors: R rows, S tokens that were read, N endings, T tokens of an ending, D width, V words.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from evals.models.decoding.hf_generate import LibraryDecoder
from evals.models.decoding.sampling import Continuation
from evals.schema import Generate

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel


class Read(NamedTuple):
    """What the text encoder made of some texts."""

    states_RSD: torch.Tensor
    mask_RS: torch.Tensor
    """1 for a token, 0 for padding."""


def heed_masks(model: PreTrainedModel) -> None:
    """Make cross-attention heed the mask of what it looks at.

    The library (5.23) makes that mask and then hands it on under the name of another, so that it is dropped.
    """

    def rename(_: Any, given: tuple[Any, ...], named: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        return given, {**named, "encoder_attention_mask": named.get("attention_mask")}

    for name, module in model.named_modules():
        if name.endswith(".crossattention.self"):
            module.register_forward_pre_hook(rename, with_kwargs=True)


def answer(
    model: PreTrainedModel, read: Read, asked: Sequence[Generate], text: Callable[[Sequence[int]], str]
) -> list[Continuation]:
    """Answer by the library's own loop, greedily.

    Args:
        model: a `BlipForQuestionAnswering`.
        read: a row a request.
        asked: how long each answer may be, and where it stops.
        text: tokens to text.
    """
    import torch

    config = model.config.text_config
    loop = LibraryDecoder(model.text_decoder, ends=[config.sep_token_id], text=text)
    begun = torch.full((len(asked), 1), config.bos_token_id, device=read.mask_RS.device)
    given = {
        "input_ids": begun,
        "attention_mask": torch.ones_like(begun),
        "encoder_hidden_states": read.states_RSD,
        "encoder_attention_mask": read.mask_RS,
        "eos_token_id": config.sep_token_id,
        "pad_token_id": config.pad_token_id,
    }
    return loop.continue_prompts(given, asked)


def weigh(model: PreTrainedModel, read: Read, endings: Sequence[Sequence[Sequence[int]]]) -> list[list[float]]:
    """Give the log-likelihood in nats of every ending of each row, each after what was read of that row alone.

    Args:
        model: a `BlipForQuestionAnswering`.
        read: what was read.
        endings: the tokens of each row's endings.
    """
    import torch
    from torch.nn.utils.rnn import pad_sequence

    owners = [row for row, some in enumerate(endings) for _ in some]
    all_endings = [torch.tensor(ending) for some in endings for ending in some]
    told_NT = pad_sequence(all_endings, batch_first=True).to(read.mask_RS.device)
    begun_N1 = torch.full_like(told_NT[:, :1], model.config.text_config.bos_token_id)
    logits_NTV = model.text_decoder(
        input_ids=torch.cat([begun_N1, told_NT[:, :-1]], dim=1), encoder_hidden_states=read.states_RSD[owners],
        encoder_attention_mask=read.mask_RS[owners], use_cache=False,
    ).logits  # fmt: skip
    likely_NT = logits_NTV.float().log_softmax(dim=-1).gather(2, told_NT[:, :, None])[:, :, 0]
    found = iter(float(row[: len(ending)].sum()) for row, ending in zip(likely_NT, all_endings, strict=True))
    return [[next(found) for _ in some] for some in endings]
