r"""What is no part of an answer: the thinking of a reasoning model, and a next question that nobody asked.

Both functions are pure and take time linear in the length of the text.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

RUN_ON_STOPS = ("\nQuestion:", "\nQ:", "\nProblem:", "\nUser:", "\nHuman:")
"""What begins the next question when a model goes on after its answer."""


_END_OF_TURN = re.compile(r"<\|(?:eot_id|im_end|endoftext|end_of_text)\|>|</s>|\[INST\]")
"""Marks of chat formats that end a turn, as text."""
_ANSWERED = re.compile(r"####[^\n]{0,40}[0-9]|\\boxed|\\fbox|\banswer[^\n]{0,80}[0-9]", re.IGNORECASE)
_NEXT_QUESTION = re.compile(
    r"\n[ \t]*(?:### Instruction:|(?:\*\*|#{1,4} )?(?:(?:Question|Problem|Exercise) [0-9]{1,4}|Exercise)(?:\*\*)?:"
    r"|(?:\*\*|#{1,4} )(?:Question|Problem)(?:\*\*)?:"
    r"|(?:Now,? )?(?:(?:here's|here is) )?(?:a |the )?(?:new|another|next) (?:question|problem)\b[^\n.]{0,20}:)"
)
"""Headings of a next question; before an answer they may number the parts of a solution."""


def strip_thinking(text: str, *, opened: bool = False) -> tuple[str, bool]:
    """Remove the ``<think>...</think>`` and ``<thinking>...</thinking>`` blocks of a reasoning model.

    Args:
        text: the output of a model.
        opened: whether the prompt ended in ``<think>``, as some chat templates do. A ``</think>`` without its opening
            tag says the same.

    Returns:
        The text outside the blocks, and whether the last block was closed. An unclosed block means that the model
        was cut off while it thought: no answer was reached.

    Example:
        >>> strip_thinking("<think>16 - 7 = 9</think>#### 18")
        ('#### 18', True)
        >>> strip_thinking("16 - 7 = 9</think>#### 18")
        ('#### 18', True)
        >>> strip_thinking("<think>16 - 7 = 9, so")
        ('', False)
    """
    outside: list[str] = []
    position, thinking = 0, opened
    for tag in re.finditer(r"<(/?)think(?:ing)?>", text):
        if not thinking:
            # A closing tag without an opening one ends a block that the prompt opened: all before it was thought.
            outside = [] if tag[1] else [*outside, text[position : tag.start()]]
        position, thinking = tag.end(), not tag[1]
    if not thinking:
        outside.append(text[position:])
    return "".join(outside).strip(), not thinking


def cut_run_on(text: str, stops: Iterable[str] = RUN_ON_STOPS) -> tuple[str, bool]:
    r"""Cut what a model wrote after it had answered: the next question, which nobody asked.

    A stop counts only after something that can be an answer (a digit or a box), so that a model which first repeats the
    question keeps its answer.

    Args:
        text: the output of a model, without its thinking.
        stops: what begins a next question, letter for letter.

    Returns:
        The text up to the first stop, mark that ends a turn (``<|im_end|>``) or numbered question that counts, without
        white space at its end, and whether any text follows there.

    Example:
        >>> cut_run_on("She makes $18.\n#### 18\nQuestion: A robe takes 2 bolts")
        ('She makes $18.\n#### 18', True)
        >>> cut_run_on("Let me see.\nQuestion: How much is 9 * 2?\n#### 18")
        ('Let me see.\nQuestion: How much is 9 * 2?\n#### 18', False)
    """
    possible = re.search(r"[0-9]|\\boxed|\\fbox", text)
    if possible is None:
        return text, False
    starts = [start for stop in stops if (start := text.find(stop, possible.start())) >= 0]
    turn = _END_OF_TURN.search(text, possible.start())
    answered = _ANSWERED.search(text)
    question = _NEXT_QUESTION.search(text, answered.end()) if answered else None
    starts += [match.start() for match in (turn, question) if match]
    if not starts:
        return text, False
    ran_on = bool(_END_OF_TURN.sub("", text[min(starts) :]).strip())
    return text[: min(starts)].rstrip(), ran_on
