"""Turn generated tokens into an answer and a thought, with the tags of the thought read from the token ids.

A tag may be a special token, which disappears when a text is decoded in the usual way. Tags are therefore looked for in
the text with its special tokens, and the answer is decoded from the tokens that are outside the thoughts.
"""

from __future__ import annotations

import bisect
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from evals.models.decoding.thoughts import TAG_PAIRS, Span, TagPair, find_spans, last_opened

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_BRACKETS = frozenset("<[◁")
"""Characters of which every tag of the table has one."""
_PROMPT_END = 48
"""Number of tokens at the end of a prompt in which an opening tag is looked for."""


@dataclass(frozen=True)
class Reading:
    """What was read from generated tokens."""

    answer: str
    """The text outside thoughts; empty if the text ends inside a thought."""
    thought: str | None
    """The text of the thoughts, or None if there are none."""
    open: bool = False
    """Whether the text ends inside a thought: there is no answer."""


class TextReader:
    """Turns tokens into text with a checkpoint's tokenizer."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase, pairs: Sequence[TagPair] = ()) -> None:
        """Wrap a tokenizer.

        Args:
            tokenizer: turns tokens into text.
            pairs: the tag pairs that the checkpoint states.
        """
        self._tokenizer = tokenizer
        self.pairs = tuple(pairs)
        self._texts: dict[int, str] = {}

    def token_text(self, token: int) -> str:
        """Turn one token into text, with special tokens; texts are kept, since the same tokens come again and again."""
        text = self._texts.get(token)
        if text is None:
            text = self._texts[token] = self.visible([token])
        return text

    @property
    def tags(self) -> list[str]:
        """The tags before and after thoughts: those that the checkpoint states, and those of the table."""
        return [tag for pair in (*self.pairs, *TAG_PAIRS) for tag in (pair.opening, pair.closing)]

    def text(self, tokens: Sequence[int]) -> str:
        """Turn tokens into text, without special tokens."""
        text: str = self._tokenizer.decode(list(tokens), skip_special_tokens=True)
        return text

    def visible(self, tokens: Sequence[int]) -> str:
        """Turn tokens into text, with special tokens."""
        text: str = self._tokenizer.decode(list(tokens), skip_special_tokens=False, clean_up_tokenization_spaces=False)
        return text

    def opened_by(self, prompt_tokens: Sequence[int]) -> TagPair | None:
        """Return the tags of the thought that a prompt opens at its end, or None.

        Args:
            prompt_tokens: tokens of the prompt; negative ones are placeholders.
        """
        end = self.visible([token for token in prompt_tokens[-_PROMPT_END:] if token >= 0]).rstrip()
        pairs = (*self.pairs, *TAG_PAIRS)
        return next((pair for pair in pairs if end.endswith(pair.opening)), None)

    def read(self, tokens: Sequence[int], opened: TagPair | None = None) -> Reading:
        """Separate the answer in generated tokens from the thoughts.

        Args:
            tokens: the generated tokens.
            opened: the tags of the thought that the prompt opened.
        """
        visible = self.visible(tokens)
        spans = find_spans(visible, opened=opened, stated=self.pairs)
        if not spans.thoughts:
            return Reading(self.text(tokens), None)
        thought = "\n\n".join(filter(None, (self._span_text(tokens, span, visible).strip() for span in spans.thoughts)))
        if spans.open:
            return Reading("", thought, open=True)
        return Reading("".join(self._span_text(tokens, span, visible) for span in spans.answer).lstrip(), thought)

    def _span_text(self, tokens: Sequence[int], span: Span, visible: str) -> str:
        """Decode the tokens of a range of the visible text; parts of tokens at its ends are kept as they are."""
        lengths = _Lengths(self, tokens, visible)
        counts = range(len(tokens) + 1)
        first = bisect.bisect_left(counts, span.start, key=lengths.at)
        last = bisect.bisect_right(counts, span.end, key=lengths.at) - 1
        first, last = lengths.whole(first), lengths.whole(last)
        start, end = lengths.at(first), lengths.at(last)
        if start >= end:  # the range has no whole token
            return visible[span.start : span.end]
        return visible[span.start : start] + self.text(tokens[first:last]) + visible[end : span.end]


class _Lengths:
    """Lengths of the visible text of the first tokens of a text."""

    def __init__(self, reader: TextReader, tokens: Sequence[int], visible: str) -> None:
        self._reader = reader
        self._tokens = tokens
        self._visible = visible

    def whole(self, count: int) -> int:
        """Return the largest number of first tokens up to `count` that do not end inside a character."""
        while not self._visible.startswith(self._reader.visible(self._tokens[:count])):
            count -= 1
        return count

    def at(self, count: int) -> int:
        """Return the length of the text of the first tokens, without a character that they end inside of."""
        return len(self._reader.visible(self._tokens[: self.whole(count)]))


class ThoughtTracker:
    """Says during generation where the answer begins, so that stop strings are not applied inside thoughts."""

    def __init__(self, reader: TextReader, opened: TagPair | None) -> None:
        """Start before the first token; `opened` is the thought that the prompt opened."""
        self._reader = reader
        self._inside = opened
        self._start = 0
        self._window = max(map(len, reader.tags)) + 1

    @property
    def in_first_text(self) -> bool:
        """Whether no thought has begun or ended since the first token."""
        return self._start == 0

    def read(self, tokens: Sequence[int]) -> int | None:
        """Read one more token.

        Args:
            tokens: all tokens so far; one more than in the previous call.

        Returns:
            The index of the first token of the current answer, or None inside a thought and before an answer.
        """
        start = max(self._start, len(tokens) - self._window)
        tail = self._reader.visible(tokens[start:])
        spans = find_spans(tail, opened=self._inside, stated=self._reader.pairs, from_start=start == 0)
        if spans.thoughts and not spans.open:
            self._inside, self._start = None, len(tokens)
        elif spans.open and self._inside is None:
            self._inside = last_opened(tail, (*self._reader.pairs, *TAG_PAIRS))
            self._start = len(tokens)
        if self._inside is not None:
            return None
        if self._start and not self._reader.text(tokens[self._start :]).strip():
            self._start = len(tokens)  # white space between a thought and the answer belongs to neither
            return None
        return self._start


class MarkFilter:
    """Says quickly that a token completes no stop string and no tag, so that the text need not be decoded.

    A mark is completed by a token whose text holds the mark's last character. Tags that end in a letter are common
    words but for their first part, so their last letter only counts soon after a bracket.
    """

    def __init__(self, reader: TextReader, stops: Sequence[str]) -> None:
        """Find the last characters of the marks.

        Args:
            reader: turns tokens into text, and has the tags.
            stops: the stop strings.
        """
        self._reader = reader
        worded = [tag for tag in reader.tags if tag[-1].isalnum() and _BRACKETS & set(tag)]
        self._last = {mark[-1] for mark in (*stops, *reader.tags) if mark not in worded}
        self._last_of_words = {tag[-1] for tag in worded}
        self._reach = max(map(len, worded), default=0)
        self._since_bracket = self._reach + 1

    def may_complete(self, token: int) -> bool:
        """Return False if the next token of a text completes no mark."""
        text = set(self._reader.token_text(token))
        self._since_bracket = 0 if text & _BRACKETS else self._since_bracket + 1
        if "\N{REPLACEMENT CHARACTER}" in text or " " in self._last:  # its text depends on the tokens around it
            return True
        return bool(text & self._last) or (self._since_bracket <= self._reach and bool(text & self._last_of_words))
