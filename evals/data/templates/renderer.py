"""Render the templates of a task file within limits; the process that does it ends when a rendering exceeds them."""

from __future__ import annotations

import datetime
import decimal
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from evals.data.templates.limited_process import BYTES, SECONDS, LimitedProcess, ProcessEnded
from evals.errors import InputError
from evals.schema import Json

MAX_CHARACTERS = 4 << 20
"""Longest text that a template may write."""


class RowRenderer:
    """Templates, expressions and patterns by name, in a process that starts at the first use; safe for threads."""

    def __init__(
        self, where: str, templates: Mapping[str, str], expressions: Mapping[str, str], patterns: Mapping[str, str]
    ) -> None:
        """Hold what is rendered.

        Args:
            where: the task file, for messages.
            templates: Jinja templates, which become text.
            expressions: Jinja expressions, which become values.
            patterns: regular expressions.
        """
        self._where = where
        first = {
            "templates": dict(templates), "expressions": dict(expressions), "patterns": dict(patterns),
            "seconds": SECONDS, "bytes": BYTES, "characters": MAX_CHARACTERS,
        }  # fmt: skip
        self._lock = threading.Lock()
        self._process = LimitedProcess(Path(__file__).with_name("worker.py"), first, _plain)

    def render(self, names: Sequence[str], values: Mapping[str, Any], place: str) -> dict[str, Json]:
        """Render some templates and expressions with the values of a row.

        Args:
            names: which ones.
            values: variables; `row` is all of them.
            place: the row, for messages.

        Raises:
            InputError: one of them is malformed, uses what the row does not have, or exceeds the limits.
        """
        answer = self._asked({"names": list(names), "values": values}, place)
        if "error" in answer:
            hint = f"; the variables are {', '.join(map(str, values))}" if "undefined" in answer["error"] else ""
            raise InputError(f"{self._where}: {answer['name']} fails for {place}: {answer['error']}{hint}")
        results: dict[str, Json] = answer["results"]
        return results

    def matches(self, name: str, text: str) -> list[str] | None:
        """Return what a pattern matches in a text, in order; None if it exceeds the limits."""
        try:
            answer = self._answer({"pattern": name, "text": text})
        except ProcessEnded:
            return None
        listed: list[str] | None = answer.get("results")
        return listed

    def _asked(self, request: Json, place: str) -> dict[str, Any]:
        try:
            answer = self._answer(request)
        except ProcessEnded as ended:
            code = "" if ended.too_slow else f" (exit code {ended.code})"
            raise InputError(f"{self._where}: a template {ended} for {place}{code}") from None
        if "exceeded" in answer:
            limit = f"needs more than {BYTES >> 20} MiB"
            if answer["exceeded"] == "characters":
                limit = f"writes over {MAX_CHARACTERS:,} characters"
            raise InputError(f"{self._where}: {answer['name']} {limit} for {place}")
        return answer

    def _answer(self, request: Json) -> dict[str, Any]:
        """Return the answer of the process, which is started if it does not run. Raises `ProcessEnded`."""
        with self._lock:
            if not self._process.running:
                self._start()
            return self._process.ask(request)

    def _start(self) -> None:
        self._process.start()
        compiled = self._process.receive()
        if "error" in compiled:
            self._process.end()
            raise InputError(f"{self._where}: {compiled['name']} is malformed: {compiled['error']}")


def _plain(value: object) -> Json:
    """Turn what JSON lacks into a value of it; an image or audio is no value of a template."""
    if isinstance(value, (datetime.date, datetime.time)):
        return value.isoformat()
    if isinstance(value, decimal.Decimal):
        return str(value)
    return None
