"""The special tokens that a tokenizer puts around a text: kept before a prompt, taken off after it.

A prompt and its continuation are one text, so a prompt must not be closed. Which token closes a text is the tokenizer's
matter: its end-of-text token, `[SEP]`, or any other that its post-processor appends. Therefore the tokens are found by
comparison, from texts that are tokenised with and without special tokens, and not by name.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from evals.errors import InputError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_EXAMPLES = ("a", "Question: how many? Answer: 3", "x = 1\n")
"""Texts from which the special tokens are found; all must agree."""


@dataclass(frozen=True, slots=True)
class SpecialTokens:
    """The tokens that a tokenizer puts before and after a text."""

    opening: tuple[int, ...]
    """Tokens before a text, for example the beginning-of-text token; empty if there are none."""
    closing: tuple[int, ...]
    """Tokens after a text, for example the end-of-text token or `[SEP]`; empty if there are none."""

    def open(self, tokens: Sequence[int]) -> tuple[int, ...]:
        """Put the opening tokens before a text that is tokenised without special tokens, unless it begins with them.

        A text that writes the beginning-of-text token itself (a rendered chat template) does not get another one.

        Example:
            >>> tokens = SpecialTokens(opening=(1,), closing=(2,))
            >>> tokens.open([7, 8]), tokens.open([1, 7, 8])
            ((1, 7, 8), (1, 7, 8))
        """
        plain = tuple(tokens)
        return plain if plain[: len(self.opening)] == self.opening else self.opening + plain

    def close(self, tokens: Sequence[int]) -> tuple[int, ...]:
        """Put the closing tokens after a text that is tokenised without special tokens.

        Example:
            >>> SpecialTokens(opening=(1,), closing=(2,)).close([7, 8])
            (7, 8, 2)
        """
        return (*tokens, *self.closing)


def find_special_tokens(tokenizer: PreTrainedTokenizerBase) -> SpecialTokens:
    """Find the tokens that a tokenizer puts around every text.

    Args:
        tokenizer: a tokenizer of the library.

    Raises:
        InputError: the tokenizer changes texts between its special tokens, or puts different ones around different
            texts: then no prompt can be continued.

    Example:
        >>> from transformers import AutoTokenizer
        >>> tokenizer = AutoTokenizer.from_pretrained("models/replicas/checkpoints/r1")  # doctest: +SKIP
        >>> find_special_tokens(tokenizer)  # doctest: +SKIP
        SpecialTokens(opening=(0,), closing=())
    """
    results = {_around(tokenizer, text) for text in _EXAMPLES}
    if len(results) != 1 or None in results:
        raise InputError(
            f"{tokenizer.name_or_path}: its tokenizer changes texts when it adds special tokens, so a prompt cannot be "
            "told from its ending"
        )
    (special,) = results
    assert special is not None
    return special


def _around(tokenizer: PreTrainedTokenizerBase, text: str) -> SpecialTokens | None:
    """Return the tokens around one text, or None if the text itself is tokenised differently with special tokens."""
    plain = tuple(tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"])
    whole = tuple(tokenizer(text, add_special_tokens=True, verbose=False)["input_ids"])
    for start in range(len(whole) - len(plain) + 1):
        if whole[start : start + len(plain)] == plain:
            return SpecialTokens(whole[:start], whole[start + len(plain) :])
    return None
