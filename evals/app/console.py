"""Write to the terminal: any encoding, closed pipes, and messages that hold what a stranger wrote.

prepare()           make standard output and error accept every character
write(text)         write to standard output
write_bytes(…)      write to a file, or to a pipe
complain(message)   write one line of standard error
"""

from __future__ import annotations

import codecs
import contextlib
import io
import logging
import os
import re
import sys
import unicodedata
from collections.abc import Iterator
from pathlib import Path

from evals.errors import InputError

DONE, FAILED, BAD_INPUT, INTERRUPTED = 0, 1, 2, 130
"""Exit codes, as `evals.app.cli` describes them."""

_ASCII = {
    "█": "#", "▉": "#", "▊": "#", "▋": "#", "▌": "#", "▍": "", "▎": "", "▏": "", "■": "#", "─": "-", "│": "|",
    "…": "...", "—": "-", "–": "-", "−": "-", "×": "x", "±": "+-", "→": "->", "≥": ">=", "≤": "<=", "≈": "~",
    "’": "'", "‘": "'", "“": '"', "”": '"', "µ": "u", "·": ".", "•": "*", "✓": "+", "✗": "x",
    "\u00a0": " ", "\u2009": " ", "\u202f": " ",
}  # fmt: skip
"""What is written where the terminal's encoding lacks a character; a question mark for all others."""
_HANDLER = "evals.ascii"
_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
"""Unicode categories of characters that are written as escapes: controls, marks of direction, lone
surrogates, separators of lines."""
_LONGEST_WORD, _LONGEST_LINE = 300, 2_000
"""Limits on what a message repeats, in characters: a name can have 5,000."""


def prepare() -> None:
    """Let standard output and error replace what their encoding lacks; if they are closed, drop what is written."""
    for descriptor in range(3):  # else the next file that is opened would be the standard output
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    sys.stdout = sys.stdout or _nowhere()
    sys.stderr = sys.stderr or _nowhere()
    codecs.register_error(_HANDLER, _replacement)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=_HANDLER)


def _nowhere() -> io.TextIOWrapper:
    return Path(os.devnull).open("w", encoding="utf-8")


def _replacement(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(_ASCII.get(character, "?") for character in error.object[error.start : error.end]), error.end


def write(text: str) -> None:
    """Write to standard output, whose reader may have closed it (`| head`): the rest is then dropped."""
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        _drop_output()
    except OSError:
        _drop_output()  # what is buffered would fail again when the process ends
        raise


def write_bytes(content: bytes, path: Path | None) -> None:
    """Write to a file, or to standard output unless that is a person's screen.

    Raises:
        InputError: the file cannot be written, or the screen would get an image.
    """
    try:
        if path is not None:
            path.write_bytes(content)
            return
        if sys.stdout.isatty() or not hasattr(sys.stdout, "buffer"):
            raise InputError("an image is not for the screen: name a file, --out forest.png")
        sys.stdout.buffer.write(content)
        sys.stdout.flush()
    except BrokenPipeError:
        _drop_output()
    except (OSError, ValueError) as error:  # a name with NUL is a ValueError
        raise InputError(f"cannot write {path}: {error}") from error


def _drop_output() -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def complain(message: object) -> None:
    """Write a message as one line of standard error; its reader may be gone too."""
    try:
        print(f"evals: {printable(str(message))}", file=sys.stderr, flush=True)
    except OSError:  # gone, or a disk that is full: nobody can be told
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())


@contextlib.contextmanager
def lines_of(name: str) -> Iterator[None]:
    """Write what the logger of a name logs to standard error, each record as one line, as long as the context lasts."""
    handler = _Lines(logging.INFO)
    logger = logging.getLogger(name)
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)


class _Lines(logging.Handler):
    """Writes each record as a message of the command."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record."""
        complain(record.getMessage())


def printable(message: str) -> str:
    r"""Return a message in which nothing moves the cursor, turns the text around, or fills the screen.

    Control characters and marks of direction are written as escapes; a word of over 300 characters loses its middle.

    Example:
        >>> printable("no file a\x1b[31m\u202eb.py")
        'no file a\\x1b[31m\\u202eb.py'
        >>> len(printable("no model " + "a" * 5000))
        309
    """
    escaped = "".join(
        character.encode("unicode_escape").decode() if unicodedata.category(character) in _HIDDEN else character
        for character in message
    )
    words = re.sub(rf"\S{{{_LONGEST_WORD + 1},}}", lambda word: _without_middle(word[0], _LONGEST_WORD), escaped)
    return _without_middle(words, _LONGEST_LINE)


def _without_middle(text: str, limit: int) -> str:
    if len(text) <= limit:
        return text
    end = limit // 3
    return f"{text[: limit - end - 1]}…{text[-end:]}"


def ask(question: str) -> str:
    """Write a question to standard output and return the line that is typed.

    Raises:
        InputError: there is no terminal to type at.
    """
    if not sys.stdin.isatty():
        raise InputError("--review needs a terminal to answer at")
    write(question)
    return sys.stdin.readline()


def shows_progress() -> bool:
    """Whether to show a progress bar: always at a terminal, and elsewhere unless it is a CI job."""
    return sys.stderr.isatty() or not os.environ.get("CI")
