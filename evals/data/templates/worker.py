"""Render templates in a process of its own: `python worker.py`, started by `renderer`.

A template is a program of strangers: it may loop for ever or eat memory. This process may use a limited amount of
memory and, for each request, a limited processor time, after which the operating system ends it. Input and output are
lines of JSON: first the templates, expressions, patterns and limits, answered by `{}` or by `{"error", "name"}`; then
for each request `{"names", "values"}`, answered by `{"results"}`, `{"error", "name"}` or `{"exceeded", "name"}`; or
`{"pattern", "text"}`, answered by `{"results"}`, the matches.

It imports Jinja and the standard library, nothing of this package.
"""

from __future__ import annotations

import ast
import json
import re
import resource
import signal
import sys
from pathlib import Path
from typing import Any

from jinja2 import StrictUndefined, TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment


def main() -> None:
    """Answer lines of standard input until it is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides what an interrupt means, and closes the input
    first = json.loads(sys.stdin.readline() or "null")
    if first is None:
        return
    _limit_memory(first["bytes"])
    programs: dict[str, Any] = {}
    environment = _environment()
    answer: dict[str, Any] = {}
    for kind, sources in (("templates", first["templates"]), ("expressions", first["expressions"])):
        for name, source in sources.items():
            signal.setitimer(signal.ITIMER_PROF, first["seconds"])  # its signal, SIGPROF, ends the process
            try:
                programs[name] = _compiled(environment, kind, source)
            except Exception as error:  # a template can raise nearly any exception
                answer = {"error": _reason(error), "name": name}
    for name, source in first["patterns"].items():
        try:
            programs[name] = re.compile(source)
        except (re.error, RecursionError, OverflowError) as error:
            answer = {"error": _reason(error), "name": name}
    signal.setitimer(signal.ITIMER_PROF, 0)
    _write(answer)
    for line in sys.stdin:
        request = json.loads(line)
        if "values" in request and ("null" in line or "NaN" in line):
            request["values"] = _marked(request["values"])
        signal.setitimer(signal.ITIMER_PROF, first["seconds"])
        _write(_matches(programs, request) if "pattern" in request else _rendered(programs, request, first))
        signal.setitimer(signal.ITIMER_PROF, 0)


def _environment() -> ImmutableSandboxedEnvironment:
    environment = ImmutableSandboxedEnvironment(
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        finalize=lambda value: _Missing() if value is None else value,
    )
    environment.globals = {"range": environment.globals["range"], "dict": dict, "zip": zip}
    environment.tests["none"] = lambda value: value is None or isinstance(value, _Missing)
    environment.policies["json.dumps_kwargs"] = {"sort_keys": True, "default": _plain}
    environment.filters["literal"] = ast.literal_eval
    environment.filters["regex_replace"] = lambda text, pattern, by: re.sub(pattern, by, text)
    return environment


class _Missing:
    """Stands for a missing value: false, equal to none, and no text, which would be the word None."""

    def __bool__(self) -> bool:
        return False

    def __eq__(self, other: object) -> bool:
        return other is None or isinstance(other, _Missing)

    def __hash__(self) -> int:
        return hash(None)

    def __repr__(self) -> str:
        raise ValueError("a value that it prints is missing (null); {{ COLUMN or '' }} leaves it out")


def _marked(value: Any) -> Any:
    """Put `_Missing` in the places of null and NaN."""
    if isinstance(value, dict):
        return {key: _marked(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_marked(part) for part in value]
    return _Missing() if value is None or value != value else value


def _plain(value: Any) -> None:
    """Return null for a missing value. Raises `TypeError` for what JSON cannot hold."""
    if not isinstance(value, _Missing):
        raise TypeError(f"it gives a value of type {type(value).__name__}")


def _compiled(environment: ImmutableSandboxedEnvironment, kind: str, source: str) -> Any:
    if kind == "templates":
        return environment.from_string(source).render
    return environment.compile_expression(source, undefined_to_none=False)


def _rendered(programs: dict[str, Any], request: dict[str, Any], limits: dict[str, Any]) -> dict[str, Any]:
    results, values = {}, request["values"]
    name = ""
    try:
        for name in request["names"]:
            result = programs[name]({**values, "row": values})
            if isinstance(result, StrictUndefined):
                str(result)  # raises what is undefined
            text = json.dumps(result, default=_plain)
            if len(text) > limits["characters"]:
                return {"exceeded": "characters", "name": name}
            results[name] = result
    except MemoryError:
        return {"exceeded": "bytes", "name": name}
    except Exception as error:  # a template can raise nearly any exception
        return {"error": _reason(error), "name": name}
    return {"results": results}


def _matches(programs: dict[str, Any], request: dict[str, Any]) -> dict[str, Any]:
    """Return the first group of every match that holds something, or the whole match of a pattern without groups."""
    pattern = programs[request["pattern"]]
    try:
        return {"results": [_group(match) for match in pattern.finditer(request["text"])]}
    except MemoryError:
        return {"exceeded": "bytes", "name": request["pattern"]}


def _group(match: re.Match[str]) -> str:
    return next(filter(None, match.groups()), "") if match.re.groups else match[0]


def _reason(error: Exception) -> str:
    line = getattr(error, "lineno", None) if isinstance(error, TemplateError) else None
    reason = " ".join(str(error).split()) or type(error).__name__
    return f"{reason}{f' (line {line} of it)' if line else ''}"[:400]


def _write(answer: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(answer, default=_plain) + "\n")
    sys.stdout.flush()


def _limit_memory(extra: int) -> None:
    """Limit the address space to what is used now and `extra` bytes; some systems cannot, and only time is limited."""
    status = Path("/proc/self/statm")
    used = int(status.read_text(encoding="ascii").split()[0]) * resource.getpagesize() if status.exists() else 0
    try:
        resource.setrlimit(resource.RLIMIT_AS, (used + extra, used + extra))
    except (ValueError, OSError):
        return


if __name__ == "__main__":
    main()
