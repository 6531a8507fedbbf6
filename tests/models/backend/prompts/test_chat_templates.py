"""Chat templates are programs of strangers: what they raise, drop, or never finish is an error within limits."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from commands import start

from evals.errors import InputError, SampleError
from evals.models.backend.prompts import chat_templates
from evals.models.backend.prompts.chat_templates import ChatTemplate

PLAIN = (
    "{{ bos_token }}{% for m in messages %}[{{ m['role'] }}] {{ m['content'] | trim }}\n{% endfor %}"
    "{% if add_generation_prompt %}Answer:{% endif %}"
)
FOR_EVER = "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}"
MEMORY = "{% set n = namespace(s='ab') %}{% for i in range(99) %}{% set n.s = n.s ~ n.s %}{% endfor %}"
MESSAGE = "{{ messages[-1]['content'] }}"


def template(text, **more):
    return ChatTemplate(text, "a folder", {"bos_token": "<s>"}, **more)


def test_it_renders_as_the_library_does():
    from transformers.utils.chat_template_utils import render_jinja_template

    for system in (None, "Be brief."):
        messages = [{"role": "system", "content": system}] if system else []
        messages.append({"role": "user", "content": " What color?\n"})
        (expected,), _ = render_jinja_template(
            conversations=[messages], chat_template=PLAIN, add_generation_prompt=True, bos_token="<s>"
        )
        assert template(PLAIN, system=system).render(" What color?\n") == expected


def test_many_prompts_are_rendered_by_one_process(monkeypatch):
    started = []
    popen = subprocess.Popen
    monkeypatch.setattr(subprocess, "Popen", lambda *a, **k: started.append(a) or popen(*a, **k))
    chat = template(PLAIN)
    assert {chat.render(f"prompt {n}").split()[2] for n in range(500)} == {str(n) for n in range(500)}
    assert len(started) == 1


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{{ raise_exception('System role required') }}", "refuses the message: System role required"),
        (FOR_EVER + MESSAGE, "takes longer than 0.5 seconds"),
        (MEMORY + MESSAGE, "needs more than"),
        ("{{ 'a' * 30000000 }}" + MESSAGE, "writes over 1,048,576 characters"),
        ("Hello.", "drops the user's message 'Say yes.'"),
        ("{{ messages[0]['content'][:3] }}", "drops the user's message"),
        ("{% if %}", "cannot be rendered"),
        ("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", "cannot be rendered: maximum recursion"),
    ],
)
def test_a_template_that_renders_nothing_stops_the_run_in_one_line(monkeypatch, text, reason):
    if "seconds" in reason:
        monkeypatch.setattr(chat_templates, "SECONDS", 0.5)
    chat = template(text)
    for _ in range(2):
        with pytest.raises(InputError, match=reason) as error:
            chat.render("What color?")
        assert "--system-prompt" in str(error.value)
        assert "\n" not in str(error.value)


def test_chance_in_a_template_is_the_same_in_every_run():
    """Else a run's result, and what a resumed run asks, would depend on it."""
    drawn = "{{ range(10**4)|random }} {{ lipsum(n=1) }}{{ messages[0].content }}"
    texts = [template(drawn).render("What is drawn?") for _ in range(2)]
    assert texts[0] == texts[1]


def test_a_system_message_that_is_dropped_is_an_error():
    with pytest.raises(InputError, match=r"drops the system message 'Be brief\.'"):
        template(MESSAGE, system="Be brief.").render("What color?")


def test_one_refused_prompt_is_one_failed_sample():
    chat = template(MESSAGE + "{% if 'bad' in messages[-1]['content'] %}{{ raise_exception('not this') }}{% endif %}")
    assert chat.render("good") == "good"
    with pytest.raises(SampleError, match="refuses the message: not this"):
        chat.render("bad")
    assert chat.render("good again") == "good again"


LIBRARY = """
import runpy, sys
class Lacking:
    def find_spec(self, name, path=None, target=None):
        if name == "transformers.utils.logging":
            sys.meta_path.remove(self)
            raise ImportError("a library that is laid out differently")
worker = runpy.run_path(sys.argv[1])
if "whole" in sys.argv:
    sys.meta_path.insert(0, Lacking())
library = worker["_library"]()
texts, _ = library.render_jinja_template(conversations=[[{"content": "x"}]], chat_template="{{ messages }}")
print(*texts, hasattr(sys.modules["transformers"], "__version__"))
"""


@pytest.mark.slow
@pytest.mark.parametrize("what", ["module", "whole"])
def test_the_renderers_module_alone_is_imported_unless_it_needs_the_whole_library(what):
    worker = Path(chat_templates.__file__).with_name("template_worker.py")
    done = subprocess.run([sys.executable, "-c", LIBRARY, worker, what], capture_output=True, text=True, check=False)
    assert done.stdout == f"[{{'content': 'x'}}] {what == 'whole'}\n", done.stderr


@pytest.mark.slow
def test_several_prompts_beyond_the_limits_stop_the_run(monkeypatch):
    monkeypatch.setattr(chat_templates, "SECONDS", 0.3)
    chat = template(MESSAGE + "{% if 'loop' in messages[-1]['content'] %}" + FOR_EVER + "{% endif %}")
    for _ in range(2):
        with pytest.raises(SampleError, match=r"takes longer than 0\.3 seconds"):
            chat.render("loop")
        assert chat.render("good") == "good", "a new process renders the next prompt"
    with pytest.raises(InputError, match="as for 2 prompts before"):
        chat.render("loop")


@pytest.mark.slow
def test_escaped_messages_are_not_dropped():
    text = 'A "quoted" text\nof <two> lines, é'
    for filtered in ("tojson", "escape", "trim"):
        assert template("{{ messages[0]['content'] | FILTER }}".replace("FILTER", filtered)).render(text)


@pytest.mark.slow
def test_an_interrupt_ends_a_template_that_loops(tmp_path):
    """The interpreter must not wait for a rendering in a background thread."""
    import signal
    import time

    program = (
        "import threading, time\n"
        "from evals.models.backend.prompts import chat_templates\n"
        "chat_templates.SECONDS = 500.0\n"
        f"chat = chat_templates.ChatTemplate({FOR_EVER + MESSAGE!r}, 'x')\n"
        "from concurrent.futures import ThreadPoolExecutor\n"
        "pool = ThreadPoolExecutor(1)\n"
        "future = pool.submit(chat.render, 'hello')\n"
        "print('started', flush=True)\n"
        "try:\n    future.result()\n"
        "except KeyboardInterrupt:\n    pool.shutdown(wait=False)\n    print('interrupted')\n"
    )
    with start("-c", program, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout.readline() == "started\n"
            time.sleep(0.5)
            process.send_signal(signal.SIGINT)
            assert process.communicate(timeout=60)[0] == "interrupted\n"
        finally:
            process.kill()
