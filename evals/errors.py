"""The errors of the suite, one small tree.

    EvalsError
    ├── InputError          the user can correct it: an argument, a file, a checkpoint, a row of data; exit code 2
    │   ├── UnknownName     a model, task, split or metric that is not registered; suggests similar names
    │   └── RecordError     a run folder that cannot be used: another signature, another process, damaged
    └── SampleError         one sample cannot be answered; it is recorded as failed and the run continues
        └── LongPromptError its prompt is longer than the model reads; counted separately

A message says on one line what was given, what is allowed and where; the command line prints it unchanged.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = ["EvalsError", "InputError", "LongPromptError", "RecordError", "SampleError", "UnknownName"]


class EvalsError(Exception):
    """Any error that the suite raises on purpose."""


class InputError(EvalsError):
    """An input of the user cannot be used; the message says what was given, what is allowed and where."""


class UnknownName(InputError):
    """A name is unknown: nothing is registered under it.

    Example:
        >>> raise UnknownName("task", "vqaa", ["vqa", "glue"])
        Traceback (most recent call last):
            ...
        evals.errors.UnknownName: no task is named 'vqaa'; did you mean 'vqa'? known: glue, vqa
    """

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        """Compose the message, with suggestions of similar names.

        Args:
            kind: the kind of the name, in the singular ("task").
            name: the unknown name.
            known: the names that are registered.
        """
        names = sorted(known)
        near = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
        hint = f"; did you mean {' or '.join(repr(n) for n in near)}?" if near else ";"
        super().__init__(f"no {kind} is named {name!r}{hint} known: {', '.join(names) or 'none'}")


class RecordError(InputError):
    """A run folder that cannot be continued or read; nothing in it was changed."""


class SampleError(EvalsError):
    """One sample cannot be prepared or answered; the run records it as failed and continues."""


class LongPromptError(SampleError):
    """A prompt needs more token positions than the model has; the message names both numbers."""


def counted(count: int, noun: str) -> str:
    """Count things by their regular noun, for messages and reports.

    Example:
        >>> counted(1, "sample"), counted(1319, "sample")
        ('1 sample', '1,319 samples')
    """
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def one_line(error: BaseException | None) -> str:
    r"""Return an error's message on one line, or the error's type if it has no message.

    Example:
        >>> one_line(ValueError("bad\n  header")), one_line(KeyError())
        ('bad header', 'KeyError')
    """
    return " ".join(str(error).split()) or type(error).__name__


def shorten(value: object, limit: int = 80) -> str:
    """Return the `repr` of a value that came from outside, without its middle if it is longer than `limit`.

    Example:
        >>> shorten("a" * 5000, 20)
        "'aaaaaaaaaa…aaaaaaa'"
    """
    text = repr(value)
    return text if len(text) <= limit else f"{text[: limit * 11 // 20]}…{text[-(limit * 2 // 5) :]}"
