"""Turn text requests into token ids for language models: special tokens, chat template, and the limit of positions.

A text to continue is read as one user message if the checkpoint has a chat template, which writes its own special
tokens; otherwise it is read as plain text, after the tokens that the tokenizer puts before a text. What the tokenizer
puts after a text is left out, because the text will be continued. Only an encoder reads it. Continuations to choose
from are always scored after plain text: an answer to a message need not begin with a label.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING

from evals.errors import SampleError
from evals.models.backend.prompts.chat_templates import ChatTemplates
from evals.models.backend.prompts.prompt_limits import PromptLimits, shortest_that_fits
from evals.models.backend.prompts.special_tokens import SpecialTokens
from evals.models.decoding.loglikelihood import ChoicePrompt, choice_prompt, common_length, tokenise_choices
from evals.models.decoding.text import check_embedded, join_text, plain_text
from evals.schema import Choose, Generate, Prompt

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_TEXT_ONLY = "a language model reads text only"


@dataclass(frozen=True)
class TextPrompts:
    """Makes a language model's prompts from requests."""

    tokenizer: PreTrainedTokenizerBase
    special: SpecialTokens
    """The tokens that the tokenizer puts around a text."""
    templates: ChatTemplates
    """Render texts to continue; without a template they are read as plain text."""
    limits: PromptLimits

    def to_generate(self, request: Generate, reserve: int) -> Prompt:
        """Make the prompt of a text to continue.

        Args:
            request: the request; it is shortened if it is too long and the user allows it.
            reserve: number of positions that the plan reserves after the prompt.

        Raises:
            SampleError: the prompt is empty, has other parts than text or a token that the model has no embedding of,
                or the chat template refuses it.
            LongPromptError: the prompt is too long for the model.
        """
        plain_text(request, _TEXT_ONLY)
        tokens, new = self._rendered(request).tokens, request.max_new_tokens
        if not tokens:
            raise SampleError(f"request {request.id} is an empty prompt")
        check_embedded(request.id, tokens, self.limits.embeddings)
        length = len(tokens)
        if self.limits.check(request.id, length, new):
            request = shortest_that_fits(
                request, lambda shorter: not self.limits.excess(len(self._rendered(shorter).tokens), new)
            )
            rendered = self._rendered(request)
            tokens = self._without_left(request.id, rendered, self.limits.excess(len(rendered.tokens), new), new)
        return Prompt(request, request.parts[:-1] or (request.id,), tokens, reserve, removed=length - len(tokens))

    def to_choose(self, request: Choose) -> ChoicePrompt:
        """Make the prompt of a choice: a context, and continuations that are scored after it.

        Args:
            request: the request; it is shortened if it is too long and the user allows it.

        Raises:
            SampleError: the prompt has other parts than text or a token that the model has no embedding of, or a
                continuation has no token.
            LongPromptError: context and continuation are too long for the model.
        """
        plain_text(request, _TEXT_ONLY)
        context, continuations = self._choices(request)
        check_embedded(request.id, chain(context, *continuations), self.limits.embeddings)
        new = self._positions_after(continuations)
        length = len(context)
        if self.limits.check(request.id, length, new):
            request = shortest_that_fits(
                request, lambda shorter: not self.limits.excess(len(self._choices(shorter)[0]), new)
            )
            context, continuations = self._choices(request)
            rendered = _Rendered(context, *self._frame(context))
            excess = self.limits.excess(len(context), self._positions_after(continuations))
            context = self._without_left(request.id, rendered, excess, new)
        return choice_prompt(request, context, continuations, removed=length - len(context))

    def tokens(self, text: str) -> tuple[int, ...]:
        """Tokenise a plain text that will be continued; for an encoder-decoder, the text that the encoder reads."""
        opened = self.special.open(self._plain(text))
        return self.special.close(opened) if self.limits.is_encoder_decoder else opened

    def _plain(self, text: str) -> tuple[int, ...]:
        return tuple(self.tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"])

    def _rendered(self, request: Generate) -> _Rendered:
        """Tokenise a text to continue; special tokens come from the chat template, or else from the tokenizer."""
        text = join_text(request.parts)
        template = self.templates.choose(request.chat)
        if template is None:
            tokens = self.tokens(text)
            return _Rendered(tokens, *self._frame(tokens))
        rendered = template.render(text)
        tokens = self._plain(rendered)
        before, content, after = rendered.rpartition(text.strip())
        if not content or not self.limits.excess(len(tokens), request.max_new_tokens):
            return _Rendered(tokens, len(tokens), 0)  # the frame is only needed to shorten the text
        head = common_length(self._plain(before), tokens)
        tail = common_length(self._plain(after)[::-1], tokens[::-1])
        return _Rendered(tokens, head, tail)

    def _frame(self, tokens: Sequence[int]) -> tuple[int, int]:
        """Count the special tokens before and after a plain text."""
        opening, closing = self.special.opening, self.special.closing
        closed = self.limits.is_encoder_decoder
        return (len(opening) if tokens[: len(opening)] == opening else 0), (len(closing) if closed else 0)

    def _without_left(self, id: str, rendered: _Rendered, excess: int, new: int) -> tuple[int, ...]:
        """Remove tokens from the left of the text, leaving its frame and at least one token."""
        tokens = rendered.tokens
        if excess and excess >= len(tokens) - rendered.head - rendered.tail:
            raise self.limits.error(id, len(tokens), new)
        return tokens[: rendered.head] + tokens[rendered.head + excess :]

    def _choices(self, request: Choose) -> tuple[tuple[int, ...], tuple[tuple[int, ...], ...]]:
        """Tokenise a context and its continuations; an encoder-decoder reads them separately."""
        text = join_text(request.parts)
        if self.limits.is_encoder_decoder:
            return self.tokens(text), tuple(self._plain(choice) for choice in request.choices)
        return tokenise_choices(self.tokens, text, request.choices)

    def _positions_after(self, continuations: Sequence[Sequence[int]]) -> int:
        """Count the positions after a context that its longest continuation needs; a decoder does not read the last."""
        unread = 0 if self.limits.is_encoder_decoder else 1
        return max((len(tokens) - unread for tokens in continuations), default=0)


@dataclass(frozen=True, slots=True)
class _Rendered:
    """A tokenised prompt, with the number of tokens around the text that may be shortened."""

    tokens: tuple[int, ...]
    head: int
    """Number of tokens before the text: special tokens, the frame of the chat template."""
    tail: int
    """Number of tokens after the text."""
