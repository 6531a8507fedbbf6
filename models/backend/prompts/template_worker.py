"""Render chat templates in a process of its own: `python template_worker.py`, started by `chat_templates`.

A chat template is a program of strangers: it may loop for ever or eat memory. This process may use a limited amount of
memory and, for each rendering, a limited processor time, after which the operating system ends it. Input and output are
lines of JSON: first `{"template", "seconds", "bytes", "characters"}`, the limits; then for each rendering
`{"messages", "variables", "begins_answer"}`, answered by `{"text"}`, by `{"error", "refused"}`, where `refused` says
that the template itself raised the error, or by `{"exceeded"}`, which names the limit.

It imports the module of the library's renderer, not the rest of the library and nothing of this package, so it is ready
before the parent has loaded the weights.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import random
import resource
import signal
import sys
from datetime import datetime
from pathlib import Path
from types import ModuleType
from typing import Any

_PACKAGES = ("transformers", "transformers.utils")
"""The packages around the module of the library's renderer."""


def main() -> None:
    """Answer lines of standard input until it is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides what an interrupt means, and closes the input
    from jinja2 import TemplateError

    library = _library()
    first = json.loads(sys.stdin.readline() or "null")
    if first is None:
        return
    _limit_memory(first["bytes"])
    for line in sys.stdin:
        request = json.loads(line)
        random.seed(line)  # noqa: TID251  # Jinja's `random` draws here: the same for the same messages
        signal.setitimer(signal.ITIMER_PROF, first["seconds"])  # its signal, SIGPROF, ends the process
        try:
            texts, _ = library.render_jinja_template(
                conversations=[request["messages"]], chat_template=first["template"],
                add_generation_prompt=request["begins_answer"], **_variables(request, library),
            )  # fmt: skip
            too_long = len(texts[0]) > len(line) + first["characters"]
            answer: dict[str, Any] = {"exceeded": "characters"} if too_long else {"text": texts[0]}
        except MemoryError:
            answer = {"exceeded": "bytes"}
        except Exception as error:  # a template can raise nearly any exception
            reason = " ".join(str(error).split()) or type(error).__name__
            answer = {"error": reason, "refused": type(error) is TemplateError}
        signal.setitimer(signal.ITIMER_PROF, 0)
        _answer(answer)


def _library() -> Any:
    """Import the module of the library's renderer.

    The packages around it are empty ones that know only where their files lie: the real ones list every model of the
    library and import its clients of the network, which takes four times as long as all the rest of this process. If
    the module needs more of the library, the real packages are imported.
    """
    module = f"{_PACKAGES[-1]}.chat_template_utils"
    package = importlib.util.find_spec(_PACKAGES[0])
    if package is not None and package.submodule_search_locations:
        root = Path(next(iter(package.submodule_search_locations))).parent
        for name in _PACKAGES:
            sys.modules[name] = ModuleType(name)
            sys.modules[name].__path__ = [str(root.joinpath(*name.split(".")))]
        try:
            return importlib.import_module(module)
        except (ImportError, AttributeError):
            for name in [name for name in sys.modules if name.partition(".")[0] == _PACKAGES[0]]:
                del sys.modules[name]
    return importlib.import_module(module)


class _Clock(datetime):
    """What the library's `strftime_now` reads in place of `datetime`."""

    started: str | None = None
    """The date and time that it shows; None for the real ones."""

    @classmethod
    def now(cls, tz: Any = None) -> datetime:  # type: ignore[override]
        return datetime.fromisoformat(cls.started) if cls.started else datetime.now(tz)


def _variables(request: dict[str, Any], library: Any) -> dict[str, Any]:
    """Return the variables of a rendering, and set the clock that the library's `strftime_now` reads.

    The library turns every function among the variables into text, so the clock is set in its module.
    """
    variables = dict(request["variables"])
    _Clock.started = variables.pop("strftime_now", None)
    library.datetime = _Clock
    return variables


def _answer(answer: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
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
