"""Tokenise whole texts, alone or in pairs, for models that read them at once: truncated on the right, then padded."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evals.data.checkpoints import model_folder
from evals.errors import InputError, SampleError
from evals.models.backend import requirements
from evals.models.backend.adapters import without_adapter
from evals.models.decoding.checkpoint_settings import RenderChat
from evals.schema import Batch, ChatSettings, Json, Prompt, Request

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


_TOKENIZER_FILES = ("tokenizer*", "vocab*", "*.model", "*.spm", "merges.txt", "tekken.json")


@dataclass(frozen=True, slots=True)
class TextPrompt(Prompt):
    """A text or a pair of texts as tokens."""

    token_types: tuple[int, ...]
    """Which of the two texts each token belongs to; empty for models without token types."""
    truncated: bool
    """Whether the text was longer than the model reads."""


@dataclass(frozen=True)
class TextTokenizer:
    """A tokenizer with the length limit of its model."""

    tokenizer: PreTrainedTokenizerBase
    limit: int | None
    """Maximum number of tokens, special tokens included; None if there is no limit."""
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)
    """Truncation is state of the tokenizer, and several threads tokenise at the same time."""

    def prompt(self, request: Request, texts: Sequence[str]) -> TextPrompt:
        """Tokenise a text or a pair; if it is too long, truncate the longer text at its end, token by token.

        Raises:
            SampleError: there is no text, there are more than two, or a part is not text.
        """
        if not 1 <= len(texts) <= 2 or not all(isinstance(text, str) for text in texts):
            raise SampleError(f"request {request.id} has {len(texts)} parts; this family reads a text or two")
        with self._lock:
            encoded = self.tokenizer(*texts, verbose=False)
            truncated = self.limit is not None and len(encoded["input_ids"]) > self.limit
            if truncated:
                encoded = self.tokenizer(*texts, truncation="longest_first", max_length=self.limit, verbose=False)
        tokens = tuple(encoded["input_ids"])
        if not tokens:
            raise SampleError(f"request {request.id} is an empty text")
        return TextPrompt(request, request.id, tokens, 0, tuple(encoded.get("token_type_ids", ())), truncated)


def load_tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    """Load the tokenizer of a checkpoint: an adapter's own, or else that of its base model.

    Raises:
        InputError: there is no tokenizer, or it cannot be read.
    """
    from transformers import AutoTokenizer

    source = folder if _holds_tokenizer(folder) else model_folder(folder)
    if not any(path for pattern in _TOKENIZER_FILES for path in source.glob(pattern)):
        raise InputError(f"{folder} has no usable tokenizer: none of {', '.join(_TOKENIZER_FILES)}")
    try:
        with without_adapter(source) as readable:
            tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(
                readable, trust_remote_code=False, local_files_only=True
            )
    except Exception as error:  # a folder without a tokenizer can raise nearly any exception
        raise InputError(f"{folder} has no usable tokenizer: {requirements.explain_loading(error, source)}") from error
    files = {"tokenizer.json", *tokenizer.vocab_files_names.values()}
    if not any((source / name).is_file() for name in files):  # the library then returns a tokenizer without vocabulary
        raise InputError(f"{folder} has no usable tokenizer: none of {', '.join(sorted(files))}")
    return tokenizer


def _holds_tokenizer(folder: Path) -> bool:
    return any((folder / name).is_file() for name in ("tokenizer.json", "tokenizer_config.json", "tokenizer.model"))


def conversation_renderer(library: Any) -> tuple[str | None, RenderChat | None]:
    """Return the text of a tokenizer's or processor's chat template, and a function that renders with it."""
    template = library.chat_template
    if template is None:
        return None, None

    def render(messages: Sequence[Mapping[str, Json]], begins_answer: bool) -> str | None:
        from jinja2 import TemplateError

        with suppress(TemplateError, TypeError):  # a template that refuses the conversation states nothing about it
            text: str = library.apply_chat_template(list(messages), add_generation_prompt=begins_answer, tokenize=False)
            return text
        return None

    return template, render


def render_chat(library: Any, content: Json, chat: ChatSettings) -> str | None:
    """Render one user message as a request wants it, up to where the answer begins; None for plain text.

    Args:
        library: the tokenizer or processor of a checkpoint.
        content: the message: a text, or a list of parts.
        chat: the system message, the template, and whether the model thinks.

    Raises:
        InputError: the request needs a template, and there is none.
    """
    has_template = chat.template not in {None, "on", "off"} or (library.chat_template and chat.template != "off")
    if not has_template:
        if chat.system is not None or chat.thinking is not None or chat.template == "on":
            raise InputError(
                "--system-prompt, --thinking and --chat-template on need a chat template, which this checkpoint lacks "
                "or which is off: give --chat-template FILE"
            )
        return None
    system = chat.system if isinstance(content, str) or chat.system is None else [{"type": "text", "text": chat.system}]
    messages = [{"role": "user", "content": content}]
    if system is not None:
        messages.insert(0, {"role": "system", "content": system})
    variables: dict[str, Any] = {} if chat.thinking is None else {"enable_thinking": chat.thinking}
    if chat.template not in {None, "on"}:
        variables["chat_template"] = chat.template
    rendered: str = library.apply_chat_template(messages, add_generation_prompt=True, tokenize=False, **variables)
    return rendered


def length_limit(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> int | None:
    """Return how many tokens a model reads: the minimum of its tokenizer's limit and its number of positions."""
    limits = [tokenizer.model_max_length]  # a huge number if it is not set
    positions = getattr(model.config.get_text_config(), "max_position_embeddings", None)
    if positions and positions > 0:  # XLNet and others write -1 if there is no limit
        limits.append(positions)
    for name, module in model.named_modules():
        # RoBERTa counts positions from the padding token's ID: 514 positions hold 512 tokens.
        if name.endswith("position_embeddings") and getattr(module, "padding_idx", None) is not None:
            limits.append(module.num_embeddings - module.padding_idx - 1)
    return min(limits) if min(limits) < 1 << 30 else None


def pad_right(prompts: Sequence[Prompt], batch: Batch, pad: int, device: torch.device) -> dict[str, Any]:
    """Pad the texts of a batch to the longest: B rows of L tokens.

    Args:
        prompts: all prompts of the plan.
        batch: the batch whose members are padded.
        pad: the padding token.
        device: the device of the tensors.

    Returns:
        `input_ids`, `attention_mask` and, if the texts have token types, `token_type_ids`; each (B, L) int64.
    """
    import torch

    texts = [prompts[member] for member in batch.members]
    length = max(len(text.tokens) for text in texts)

    def rows(values: Sequence[Sequence[int]], filler: int) -> torch.Tensor:
        filled = [[*row, *[filler] * (length - len(row))] for row in values]
        return torch.tensor(filled, dtype=torch.int64, device=device)

    inputs = {
        "input_ids": rows([text.tokens for text in texts], pad),
        "attention_mask": rows([[1] * len(text.tokens) for text in texts], 0),
    }
    types = [text.token_types for text in texts if isinstance(text, TextPrompt)]
    return {**inputs, "token_type_ids": rows(types, 0)} if all(types) else inputs
