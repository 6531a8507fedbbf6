"""How many token positions a language model has, and what happens to a prompt that needs more.

A decoder reads its prompt and its new tokens at one row of positions; an encoder-decoder has a limit for each. Models
whose positions are not numbered (ALiBi, relative positions, state spaces) have no limit. The user chooses between a
recorded failure (`fail`, the default) and a shorter prompt (`truncate-left`): whole few-shot examples are left out
first, then tokens from the left of the text; the special tokens before it and the frame of a chat template stay.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from evals.errors import LongPromptError
from evals.models.decoding.text import PromptRequest, with_fewer_examples
from evals.schema.config import LONG_PROMPTS

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

FAIL, TRUNCATE = LONG_PROMPTS
_RELATIVE = frozenset({"bloom", "longt5", "mt5", "pop2piano", "switch_transformers", "t5", "umt5", "xlnet"})
"""Model types whose positions are relative: their configurations may name a length, which is no limit."""


@dataclass(frozen=True)
class PromptLimits:
    """The positions of a model, and the user's choice for prompts that are too long."""

    positions: int | None
    """Maximum number of prompt tokens; of a decoder, new tokens included. None if there is no limit."""
    new: int | None = None
    """Of an encoder-decoder, the maximum number of new tokens; None if there is no limit of their own."""
    is_encoder_decoder: bool = False
    """Whether new tokens have positions of their own."""
    long_prompts: str = FAIL
    """`fail` or `truncate-left`."""
    embeddings: int | None = None
    """Number of tokens that the model has embeddings of; None if it is not known. A tokenizer may have more."""

    @property
    def facts(self) -> dict[str, int | str | None]:
        """What determines an answer, for the signature."""
        return {"positions": self.positions, "long_prompts": self.long_prompts}

    def excess(self, prompt: int, new: int) -> int:
        """Return by how many tokens a prompt is too long; 0 if it fits.

        Args:
            prompt: number of tokens of the prompt.
            new: number of positions that are needed after it.

        Example:
            >>> PromptLimits(64).excess(60, 16), PromptLimits(None).excess(10**6, 16)
            (12, 0)
        """
        needed = prompt if self.is_encoder_decoder else prompt + new
        return 0 if self.positions is None else max(0, needed - self.positions)

    def check(self, id: str, prompt: int, new: int) -> int:
        """Return by how many tokens a prompt must be shortened; 0 if it fits.

        Args:
            id: the request's id.
            prompt: number of tokens of the prompt.
            new: number of positions that are needed after it.

        Raises:
            LongPromptError: it is too long and must not be shortened, or no shortening makes it fit.
        """
        if self.is_encoder_decoder and self.new is not None and new > self.new:
            raise LongPromptError(f"request {id} needs {new} new tokens; the model has {self.new} positions for them")
        excess = self.excess(prompt, new)
        if excess and (self.long_prompts == FAIL or excess >= prompt):
            raise self.error(id, prompt, new)
        return excess

    def error(self, id: str, prompt: int, new: int) -> LongPromptError:
        """Make the error for a prompt that is too long; it names both lengths."""
        further = (
            f" and {new} new tokens need {prompt + new}" if new and not self.is_encoder_decoder else " needs as many"
        )
        hint = "" if self.long_prompts == TRUNCATE else "; --long-prompts truncate-left shortens such prompts"
        return LongPromptError(
            f"request {id}: its prompt of {prompt} tokens{further} positions; the model has {self.positions}{hint}"
        )


def shortest_that_fits(request: PromptRequest, fits: Callable[[PromptRequest], bool]) -> PromptRequest:
    """Leave out as few of the first examples as possible; all of them if no number suffices."""
    shorter = request
    for shorter in with_fewer_examples(request):
        if fits(shorter):
            break
    return shorter


def prompt_limits(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, long_prompts: str | None) -> PromptLimits:
    """Find a language model's limits.

    Args:
        model: a decoder or an encoder-decoder with a language-model head.
        tokenizer: its tokenizer, whose own limit decides between two readings of a scaled rotary embedding.
        long_prompts: what the user chose; None is `fail`.
    """
    config = model.config.get_text_config()
    policy, embeddings = long_prompts or FAIL, getattr(model.get_input_embeddings(), "num_embeddings", None)
    shared = _positions(model, config, tokenizer)
    if not model.config.is_encoder_decoder:
        return PromptLimits(shared, long_prompts=policy, embeddings=embeddings)
    if config.model_type in _RELATIVE:
        return PromptLimits(None, None, True, policy, embeddings)
    prompt = getattr(config, "max_encoder_position_embeddings", None) or shared
    new = getattr(config, "max_decoder_position_embeddings", None) or shared
    return PromptLimits(prompt, new, True, policy, embeddings)


def _positions(model: PreTrainedModel, config: PreTrainedConfig, tokenizer: PreTrainedTokenizerBase) -> int | None:
    if config.model_type == "mpt":  # the library makes ALiBi's biases for so many positions, and fails beyond
        return int(config.max_seq_len)
    if config.model_type in _RELATIVE or getattr(config, "alibi", False):
        return None
    declared = getattr(config, "max_position_embeddings", None)
    if not declared or declared < 1:
        return None
    limits = [_scaled(declared, getattr(config, "rope_parameters", None) or {}, tokenizer.model_max_length)]
    for name, module in model.named_modules():
        # RoBERTa counts positions from the padding token's id: 514 positions hold 512 tokens.
        if name.endswith("position_embeddings") and getattr(module, "padding_idx", None) is not None:
            limits.append(module.num_embeddings - module.padding_idx - 1)
    return min(limits)


def _scaled(declared: int, rotary: Mapping[str, Any], tokenizer_limit: int) -> int:
    """Return the number of positions of a rotary embedding that is scaled to more than its configuration declares.

    YaRN states the length before scaling. For linear scaling, some configurations declare the length before and some
    the one after it; the tokenizer's limit tells them apart if it lies between.

    Source: `_get_and_verify_max_len` of vLLM 0.10, vllm/config.
    """
    kind, factor = rotary.get("rope_type"), rotary.get("factor") or 1
    if kind == "yarn":
        return max(declared, int(rotary.get("original_max_position_embeddings", declared) * factor))
    if kind == "dynamic":
        return int(declared * factor)
    if kind == "linear":
        return min(int(declared * factor), tokenizer_limit) if tokenizer_limit >= declared else int(declared * factor)
    return declared
