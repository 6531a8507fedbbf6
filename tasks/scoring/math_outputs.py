r"""What is no part of an answer: the thinking of a reasoning model, and a next question that nobody asked.

Both functions are pure and take time linear in the length of the text.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

RUN_ON_STOPS = ("\nQuestion:", "\nQ:", "\nProblem:", "\nUser:", "\nHuman:")
"""What begins the next question when a model goes on after its answer."""


def strip_thinking(text: str, *, opened: bool = False) -> tuple[str, bool]:
    """Remove the ``<think>...</think>`` blocks of a reasoning model.

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
    for tag in re.finditer(r"<(/?)think>", text):
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
        The text up to the first stop that counts, and whether there was one.

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
    return (text[: min(starts)], True) if starts else (text, False)
