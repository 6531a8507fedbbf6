"""The text that a model reads, for the record: as it was tokenised, with the special tokens that a tokenizer adds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from evals.models.decoding.loglikelihood import ChoicePrompt
from evals.schema import Choose, ModelInput, Prompt

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def model_input(tokenizer: PreTrainedTokenizerBase, prompt: Prompt, tokens: Sequence[int] | None = None) -> ModelInput:
    """Describe what a model reads for a prompt: text, tokens and continuations.

    Args:
        tokenizer: the tokenizer that made the tokens.
        prompt: the prompt; without a text, its tokens are decoded.
        tokens: the tokens as the model reads them, if they differ from those of the prompt (placeholders of images).
    """
    tokens = prompt.tokens if tokens is None else tokens
    text = decoded(tokenizer, tokens) if prompt.text is None else with_special_tokens(tokenizer, prompt.text, tokens)
    continuations: tuple[tuple[str, Sequence[int]], ...] = ()
    if isinstance(prompt, ChoicePrompt):
        assert isinstance(prompt.request, Choose)
        continuations = tuple(zip(prompt.request.choices, prompt.continuations, strict=True))
    return ModelInput(text, tuple(tokens), continuations)


def decoded(tokenizer: PreTrainedTokenizerBase, tokens: Sequence[int]) -> str:
    """Turn tokens into text with all special tokens, and without correcting the spaces."""
    text: str = tokenizer.decode(list(tokens), skip_special_tokens=False, clean_up_tokenization_spaces=False)
    return text


def with_special_tokens(tokenizer: PreTrainedTokenizerBase, text: str, tokens: Sequence[int]) -> str:
    """Add to a text the special tokens that its tokenizer put before and after it.

    Those that the text itself begins or ends with, because a chat template wrote them, are not added again.

    Args:
        tokenizer: the tokenizer.
        text: what was tokenised.
        tokens: the tokens of the text.
    """
    written = special_tokens(tokenizer)
    before, after = [], []
    for token in tokens:
        if token not in written or text.startswith(written[token]):
            break
        before.append(written[token])
    if len(before) == len(tokens):  # nothing but special tokens: an empty text
        return "".join(before)
    for token in reversed(tokens):
        if token not in written or text.endswith(written[token]):
            break
        after.append(written[token])
    bos = tokenizer.bos_token
    if (
        bos
        and text.startswith(bos)
        and list(tokens[:2]) == [tokenizer.bos_token_id] * 2
        and not text.startswith(2 * bos)
    ):
        before.append(bos)  # the template writes it, and the tokenizer adds it once more
    return "".join([*before, text, *reversed(after)])


def special_tokens(tokenizer: PreTrainedTokenizerBase) -> dict[int, str]:
    """Return the special tokens of a tokenizer, by id, as they are written in a text."""
    added = {token: str(entry) for token, entry in tokenizer.added_tokens_decoder.items() if entry.special}
    named = dict(zip(tokenizer.all_special_ids, tokenizer.all_special_tokens, strict=False))
    return {**named, **added}


def encoded_text(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str], encoded: Any) -> str:
    """Write a tokenised text, or a pair, with its special tokens; what was cut off is left out.

    Args:
        tokenizer: the tokenizer.
        texts: the text, or the two texts.
        encoded: the tokenizer's output for them.

    Returns:
        The text. A tokenizer that does not say where its tokens come from has them decoded.
    """
    tokens = encoded["input_ids"]
    if isinstance(tokens[0], Sequence):  # a batch of one
        tokens = tokens[0]
    if not encoded.is_fast:
        return decoded(tokenizer, tokens)
    numbers, offsets = encoded.sequence_ids(0), encoded.encodings[0].offsets
    ends = {number: max(offsets[i][1] for i, n in enumerate(numbers) if n == number) for number in {*numbers} - {None}}
    whole = encoded.encodings[0].overflowing == []
    pieces: list[str] = []
    written: set[int] = set()
    for token, number in zip(tokens, numbers, strict=True):
        if number is None:
            pieces.append(str(tokenizer.convert_ids_to_tokens(token)))
        elif number not in written:
            written.add(number)
            pieces.append(texts[number] if whole else texts[number][: ends[number]])
    return "".join(pieces)
