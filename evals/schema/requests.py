"""Requests to a model: prompts of text, images and audio, and the four kinds of request."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Json = Any
"""A value that JSON can hold: None, bool, int, finite float, str, or a list or mapping of these."""


@dataclass(frozen=True, slots=True)
class Image:
    """A reference to an image; it is decoded only when a model needs the pixels."""

    key: str
    """Identity within a run: two images with equal keys are the same, so their features are computed once."""
    path: Path | None = None
    """File that holds the image, or None if `data` does."""
    data: bytes | None = field(default=None, repr=False)
    """Encoded bytes (PNG, JPEG), for images stored inside a table."""
    blind: bool = False
    """Replace the image by a uniform grey one of the same size (the blind control)."""


@dataclass(frozen=True, slots=True)
class Audio:
    """A reference to an audio clip; it is decoded only when a model needs the waveform."""

    key: str
    """Identity within a run: two clips with equal keys are the same."""
    path: Path | None = None
    """File that holds the clip, or None if `data` does."""
    data: bytes | None = field(default=None, repr=False)
    """Encoded bytes (WAV), for clips stored inside a table."""
    blind: bool = False
    """Replace the clip by silence of the same length (the blind control)."""


Part = str | Image | Audio
"""One piece of a prompt. A prompt is a sequence of parts; all parts but the last may be shared with other prompts."""


@dataclass(frozen=True, slots=True)
class ChatSettings:
    """How a prompt becomes a chat; by default as the checkpoint's own template has it."""

    system: str | None = None
    """Text of the system message, or None for none."""
    template: str | None = None
    """`on` (a checkpoint without a template is refused), `off` (plain text), or the text of another template."""
    thinking: bool | None = None
    """What the template reads as `enable_thinking`, or by another name; None leaves it out."""
    date: str | None = None
    """The local date and time, `2026-11-28T18:00:00`, that the template reads as now (`strftime_now`): the start of the
    run. None is the time at which the template is rendered."""


OUTPUTS_CONTINUED = "outputs_continued"
OUTPUTS_REPEATED = "outputs_repeated"
"""Entries of `Prediction.charges`: an output that a server continued, and one that it wrote again from the start."""


@dataclass(frozen=True, slots=True)
class RecordedBeginning:
    """What a server wrote for a request until the token limit; it is to go on (`run --extend`)."""

    text: str
    """The text, without a thought."""
    tokens: int
    """Number of its tokens: the earlier limit."""
    prompt_tokens: int | None
    """Number of tokens of the prompt before it; None if the text cannot be continued, for example after a thought."""


@dataclass(frozen=True, slots=True)
class Generate:
    """Ask a model to continue a prompt with text."""

    id: str
    """The sample's id, or `<sample id>#<n>` for the n-th of several requests of one sample."""
    parts: tuple[Part, ...]
    """The prompt. Requests with equal leading parts (all but the last) share their computation."""
    max_new_tokens: int
    """Stop after this many tokens; the prediction then says that it was truncated."""
    stop: tuple[str, ...] = ()
    """Stop strings; the output ends before the first of them."""
    temperature: float = 0.0
    """Sampling temperature; 0 is greedy decoding."""
    top_p: float = 1.0
    """Sample from the smallest set of tokens with this total probability; 1.0 is all tokens."""
    seed: int = 0
    """Random seed; combined with `id`, so that no draw depends on the order of requests."""
    min_new_tokens: int = 0
    """Do not end the text before this many tokens; used to time models at equal output length."""
    top_k: int | None = None
    """Sample from this number of most likely tokens; None is all tokens."""
    min_p: float = 0.0
    """Sample from the tokens with at least this share of the most likely token's probability."""
    sampling: str = "request"
    """`request`: as the fields above say; `checkpoint`: as the checkpoint's own generation config says."""
    chat: ChatSettings = ChatSettings()
    """How the prompt becomes a chat."""
    begun: tuple[int, ...] = ()
    """Tokens that the model generated earlier for this request and that it continues; `max_new_tokens` counts them."""
    recorded: RecordedBeginning | None = None
    """The same for a server, which returns no tokens; `max_new_tokens` counts them too."""
    examples: tuple[str, ...] = ()
    """The few-shot examples, in order; each is a piece of the leading parts (all but the last). If a prompt is too long
    for the model and the user allows it to be shortened, whole examples are left out first."""


@dataclass(frozen=True, slots=True)
class Choose:
    """Ask a model which of several continuations of a prompt has the highest log-likelihood."""

    id: str
    """As in `Generate`."""
    parts: tuple[Part, ...]
    """The context, as in `Generate`."""
    choices: tuple[str, ...]
    """The continuations; the prediction's output is the chosen one, its `scores` follow this order."""
    normalise: str = "none"
    """Divide each log-likelihood by this before comparing: `none`, or the continuation's `tokens` or `characters`, of
    which one space at its beginning, which separates it from the context, is none."""
    examples: tuple[str, ...] = ()
    """As in `Generate`."""


@dataclass(frozen=True, slots=True)
class Embed:
    """Ask a model for one vector that represents a text, an image or both."""

    id: str
    """As in `Generate`."""
    parts: tuple[Part, ...]
    """The text, the image or both that are embedded."""
    chat: ChatSettings = ChatSettings()
    """How the prompt becomes a chat, for models that embed by a prompt."""


@dataclass(frozen=True, slots=True)
class Classify:
    """Ask a model for the class of a text or a pair of texts, or for a number on a scale."""

    id: str
    """As in `Generate`."""
    parts: tuple[str, ...]
    """One text, or the two texts of a pair in order, as in the benchmark's file: no prompt is put around them."""
    labels: tuple[str, ...]
    """Class names of the benchmark; the prediction's output is one of them, its `scores` follow this order. Empty if a
    number is wanted."""


Request = Generate | Choose | Classify | Embed

MODALITIES: Mapping[type, str] = {str: "text", Image: "image", Audio: "audio"}
"""Modality of each kind of part."""

ABILITIES: Mapping[str, type] = {"generate": Generate, "choose": Choose, "classify": Classify, "embed": Embed}
"""The abilities of models, each with the request that needs it."""
