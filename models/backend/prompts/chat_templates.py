"""Render chat templates, which are programs of strangers, within limits of time and memory.

A template can refuse a message (`raise_exception`, often for a missing system message), drop it, loop for ever, or eat
memory. It is rendered by the library's own function in one further process per model (`template_worker`), which stays
for all prompts. That process ends when a rendering exceeds its limits, and is started again for the next prompt.

    the template fails on a simple message         `InputError` before the first sample: one line with the way out
    it fails on one prompt, or drops its text      `SampleError`: this sample is a recorded failure
    it exceeds its limits on several prompts       `InputError`: the run stops, and keeps what is finished
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from evals.data.templates.limited_process import BYTES, SECONDS, LimitedProcess, ProcessEnded
from evals.errors import InputError, SampleError
from evals.models.backend.prompts.messages import Message, contains, like, shortened, texts_of
from evals.models.backend.prompts.thinking import thinking_variables
from evals.schema import ChatSettings, Json

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase, ProcessorMixin

MAX_CHARACTERS = 1 << 20
"""Number of characters that a template may write beyond the messages; ordinary ones write at most a few thousand."""
_MAX_EXCEEDED = 3
"""Number of prompts that may exceed the limits before the run stops."""
_WAY_OUT = "--system-prompt TEXT sets a system message, --chat-template FILE another template, or off for none"

_NOW = "strftime_now"
"""The function by which templates read the date and time."""


@dataclass(frozen=True)
class ChatTemplate:
    """A checkpoint's chat template, with everything that its prompts have in common."""

    text: str
    """The template, in Jinja."""
    source: str
    """Where it comes from, for messages: the checkpoint's folder."""
    variables: Mapping[str, Json] = field(default_factory=dict)
    """What the template reads besides the messages: the special tokens, settings such as `enable_thinking`, and the
    date and time that `strftime_now` formats."""
    system: str | None = None
    """The system message, or None for none."""
    _renderer: _Renderer = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_renderer", _Renderer(self.text))

    def render(self, content: str | Sequence[Message]) -> str:
        """Render one user message, after the system message if there is one, up to where the answer begins.

        Args:
            content: the message's text, or its parts (`{"type": "text", "text": …}`, `{"type": "image"}`).

        Returns:
            The rendered chat, with the prompt for the answer (`add_generation_prompt`).

        Raises:
            InputError: the template renders no message at all, or exceeded its limits on several prompts.
            SampleError: the template refuses this message, drops its text, or exceeds its limits on it.
        """
        example: str | list[Message] = (
            "Say yes." if isinstance(content, str) else [{"type": "text", "text": "Say yes."}]
        )
        self._renderer.check_once(type(content), lambda: self._render_example(example))
        try:
            return self._render(content)
        except _TemplateFailure as failure:
            if failure.exceeded:
                self._renderer.count_exceeded(f"{self._name} {failure}")
            raise SampleError(f"{self._name} {failure}") from None

    def conversation(self, messages: Sequence[Message], begins_answer: bool) -> str | None:
        """Render messages of any roles, to see what the template writes around them.

        Args:
            messages: the conversation.
            begins_answer: whether to write the beginning of an answer after it.

        Returns:
            The rendered text; None if the template refuses the conversation, or exceeded its limits before.
        """
        if self._renderer.exceeded:
            return None
        try:
            return self._renderer.render(messages, self.variables, begins_answer)
        except _TemplateFailure as failure:
            if failure.exceeded:
                self._renderer.exceeded += 1
            return None

    @property
    def _name(self) -> str:
        return f"the chat template of {self.source}"

    def _render_example(self, content: str | Sequence[Message]) -> None:
        try:
            self._render(content)
        except _TemplateFailure as failure:
            raise InputError(f"{self._name} {failure}; {_WAY_OUT}") from None

    def _render(self, content: str | Sequence[Message]) -> str:
        system: list[Message] = (
            [] if self.system is None else [{"role": "system", "content": like(self.system, content)}]
        )
        messages: list[Message] = [*system, {"role": "user", "content": content}]
        rendered = self._renderer.render(messages, self.variables)
        texts = [text for message in messages for text in texts_of(message["content"])]
        missing = next((text for text in texts if not contains(rendered, text)), None)
        if missing is not None:
            role = "system" if missing == self.system else "user's"
            raise _TemplateFailure(f"drops the {role} message {shortened(missing)}")
        return rendered


class ChatTemplates:
    """The chat template of a checkpoint, and the variants of it that requests choose (`ChatSettings`)."""

    def __init__(self, default: str | None, source: str, variables: Mapping[str, Json]) -> None:
        """Hold a checkpoint's template.

        Args:
            default: the template, in Jinja; None if the checkpoint has none.
            source: the checkpoint's folder, for messages.
            variables: the special tokens.
        """
        self.default = None if default is None else ChatTemplate(default, source, variables)
        """The checkpoint's own template; None if it has none."""
        self._source = source
        self._variables = variables
        self._chosen: dict[ChatSettings, ChatTemplate | None] = {}
        self._lock = threading.Lock()

    def stating(self, template: str | None) -> ChatTemplate | None:
        """Return the template that says what ends an answer: the run's own, or else the checkpoint's if it has one.

        Args:
            template: the template that is used instead of the checkpoint's (`Placement.template`), or None.
        """
        return self.default if template is None else self.choose(ChatSettings(template=template))

    def choose(self, chat: ChatSettings) -> ChatTemplate | None:
        """Return the template that a request wants; None for plain text.

        Raises:
            InputError: the request needs a template, and there is none.
        """
        with self._lock:
            if chat not in self._chosen:
                self._chosen[chat] = self._make(chat)
            return self._chosen[chat]

    def _make(self, chat: ChatSettings) -> ChatTemplate | None:
        text = self.default.text if self.default is not None else None
        text = None if chat.template == "off" else text if chat.template in {None, "on"} else chat.template
        if text is None:
            if chat.system is not None or chat.thinking is not None or chat.template == "on":
                raise InputError(
                    "--system-prompt, --thinking and --chat-template on need a chat template, which this checkpoint "
                    "lacks or which is off: give --chat-template FILE"
                )
            return None
        chat = chat if _NOW in text else replace(chat, date=None)
        if chat == ChatSettings(template=chat.template) and chat.template in {None, "on"}:
            return self.default
        thinking = {} if chat.thinking is None else thinking_variables(text, chat.thinking, self._source)
        variables = {**self._variables, **thinking, **({} if chat.date is None else {_NOW: chat.date})}
        return ChatTemplate(text, self._source, variables, chat.system)


def chat_templates(library: PreTrainedTokenizerBase | ProcessorMixin, folder: Path) -> ChatTemplates:
    """Return the chat template of a tokenizer or processor.

    Args:
        library: the library's tokenizer or processor of a checkpoint.
        folder: the checkpoint, for messages.

    Raises:
        InputError: it has several templates, of which none is the default.
    """
    stated = library.chat_template
    if isinstance(stated, Mapping):
        if "default" not in stated:
            raise InputError(f"{folder} has the chat templates {', '.join(sorted(stated))}, and no default one")
        stated = stated["default"]
    tokenizer = getattr(library, "tokenizer", library)
    return ChatTemplates(stated, str(folder), dict(tokenizer.special_tokens_map))


class _TemplateFailure(Exception):
    """Why a rendering failed, as the end of a sentence whose subject is the template."""

    def __init__(self, reason: str, *, exceeded: bool = False) -> None:
        super().__init__(reason)
        self.exceeded = exceeded


class _Renderer:
    """The process that renders a template; safe for several threads."""

    def __init__(self, template: str) -> None:
        first = {"template": template, "seconds": SECONDS, "bytes": BYTES, "characters": MAX_CHARACTERS}
        self._lock = threading.Lock()
        self._checked: dict[type, InputError | None] = {}
        self.exceeded = 0
        self._process = LimitedProcess(Path(__file__).with_name("template_worker.py"), first)
        self._process.start()  # it imports the library while the caller loads the weights

    def check_once(self, kind: type, check: Callable[[], None]) -> None:
        """Call a check of the template before its first use for a kind of content; raise its error at every use."""
        if kind not in self._checked:
            try:
                check()
                self._checked[kind] = None
            except InputError as error:
                self._checked[kind] = error
        failure = self._checked[kind]
        if failure is not None:
            raise InputError(str(failure))

    def count_exceeded(self, reason: str) -> None:
        """Count a prompt that exceeded the limits. Raises `InputError` if there were too many."""
        self.exceeded += 1
        if self.exceeded >= _MAX_EXCEEDED:
            raise InputError(f"{reason}, as for {self.exceeded - 1} prompts before; {_WAY_OUT}")

    def render(self, messages: Sequence[Message], variables: Mapping[str, Json], begins_answer: bool = True) -> str:
        """Render messages. Raises `_TemplateFailure`."""
        with self._lock:
            if not self._process.running:
                self._process.start()
            request = {"messages": messages, "variables": variables, "begins_answer": begins_answer}
            try:
                answer = self._process.ask(request)
            except ProcessEnded as ended:
                detail = " for one message" if ended.too_slow else f" (exit code {ended.code})"
                raise _TemplateFailure(f"{ended}{detail}", exceeded=True) from None
        if "text" in answer:
            text: str = answer["text"]
            return text
        if "exceeded" in answer:
            limits = {
                "bytes": f"needs more than {BYTES >> 20} MiB",
                "characters": f"writes over {MAX_CHARACTERS:,} characters",
            }
            raise _TemplateFailure(f"{limits[answer['exceeded']]} for one message", exceeded=True)
        verb = "refuses the message" if answer["refused"] else "cannot be rendered"
        raise _TemplateFailure(f"{verb}: {answer['error']}")
