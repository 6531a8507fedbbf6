"""Thoughts: what a reasoning model writes between two tags before its answer. They are recorded and never graded.

The tags of a checkpoint are those that its chat template writes around an assistant's reasoning or mentions, and those
that are tokens of its vocabulary. For other texts (a server's, recorded outputs) the pairs of one table are recognised.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple


@dataclass(frozen=True)
class TagPair:
    """The tags before and after a thought."""

    opening: str
    closing: str


TAG_PAIRS = (
    TagPair("<think>", "</think>"),
    TagPair("<thinking>", "</thinking>"),
    TagPair("[THINK]", "[/THINK]"),
    TagPair("<reasoning>", "</reasoning>"),
    TagPair("<reason>", "</reason>"),
    TagPair("<thought>", "</thought>"),
    TagPair("<seed:think>", "</seed:think>"),
    TagPair("<mm:think>", "</mm:think>"),
    TagPair("<longcat_think>", "</longcat_think>"),
    TagPair("<|channel|>analysis<|message|>", "<|channel|>final<|message|>"),
    TagPair("<|channel>thought", "<channel|>"),
    TagPair("<|START_THINKING|>", "<|END_THINKING|>"),
    TagPair("<|begin_of_thought|>", "<|end_of_thought|>"),
    TagPair("<|inner_prefix|>", "<|inner_suffix|>"),
    TagPair("<|think_start|>", "<|think_end|>"),
    TagPair("<unused94>thought", "<unused95>"),
    TagPair("◁think▷", "◁/think▷"),
    TagPair("Here are my reasoning steps:", "[BEGIN FINAL RESPONSE]"),
)
"""Tag pairs of public reasoning models: DeepSeek-R1 and Qwen3, Claude-style distillations, Magistral, reasoning and
thought tags of fine-tuned models, Seed-OSS, MiniMax, LongCat, gpt-oss (all channels before the final one), Gemma 4,
Command A Reasoning, Sky-T1, Apertus, Olmo and others, MedGemma, Kimi-VL, Apriel."""
THINK = TAG_PAIRS[0]
CHANNELS = TAG_PAIRS[9]
"""gpt-oss's channels: all messages before the one of the final channel are thoughts."""
_UNOPENED = frozenset({THINK, TAG_PAIRS[2], CHANNELS, TAG_PAIRS[-1]})
"""Pairs of the table whose closing tag alone ends a thought, which the prompt has opened."""
SWITCHES = ("enable_thinking", "thinking", "reasoning", "enable_reasoning")
"""Variables by which chat templates turn thoughts on or off: of Qwen3, GLM-4.5, SmolLM3 and most others; of
DeepSeek-V3.1 and Granite 3.3; of Command A."""
MARK = r"(?:<[^<>\s]+>|\[[^\[\]\s]+\]|◁[^◁▷\s]+▷)"
"""How tags and other marks are written."""
_CHANNEL = re.compile(r"\s*(?:<\|start\|>[^<]*)?<\|channel\|>")
"""How a message begins that says its channel."""
_FINAL = r"<\|channel\|>final[^<]*(?:<\|constrain\|>[^<]*)?<\|message\|>"
"""The closing tag of `CHANNELS`; the model may name the format of its answer in it."""
_BETWEEN = re.compile(
    r"<\|(?:end|call)\|>|<\|start\|>[^<]*|<\|channel\|>[^<]*(?:<\|constrain\|>[^<]*)?(?:<\|message\|>|$)"
)
"""What stands between the texts of messages in channels."""
_SPLIT = re.compile(r"""split\(\s*(['"])(</[^'"<>\s]+>|\[/[^'"\[\]\s]+\])\1""")
"""A template that removes earlier thoughts: `content.split('</think>')[-1]`."""


@dataclass(frozen=True)
class Span:
    """A part of an output, as a range of its characters."""

    start: int
    end: int


@dataclass(frozen=True)
class ThoughtSpans:
    """The division of an output into thoughts and the rest."""

    thoughts: tuple[Span, ...]
    answer: tuple[Span, ...]
    open: bool
    """Whether the output ends inside a thought: there is no answer."""


class _Tags(NamedTuple):
    """The tags that divide an output."""

    by_opening: Mapping[str, TagPair]
    by_closing: Mapping[str, TagPair]
    """Pairs whose closing tag counts although no thought is open."""
    all: frozenset[str]
    pattern: re.Pattern[str]
    """Matches each tag."""


def mentioned_pairs(template: str | None, vocabulary: Collection[str]) -> tuple[TagPair, ...]:
    """Return the tag pairs that a chat template mentions, or whose closing tag is a token.

    Example:
        >>> mentioned_pairs("{{ m.content.split('</ponder>')[-1] }}", ())
        (TagPair(opening='<ponder>', closing='</ponder>'),)
        >>> mentioned_pairs(None, {"<think>", "</think>", "<s>"})
        (TagPair(opening='<think>', closing='</think>'),)
    """
    template = template or ""
    closings = [match[2] for match in _SPLIT.finditer(template)]
    pairs = [TagPair(closing.replace("/", "", 1), closing) for closing in closings]
    pairs += [pair for pair in TAG_PAIRS if pair.closing in template or pair.closing in vocabulary]
    pairs += [pair for pair in TAG_PAIRS if "<|" in pair.opening and pair.opening in template]
    return tuple(dict.fromkeys(pairs))


def surrounding_pair(with_thought: str, thought: str, answer: str) -> TagPair | None:
    r"""Return the tags that a template writes around a thought before an answer, or None if it leaves the thought out.

    Args:
        with_thought: a rendered conversation whose last message has the thought and the answer.
        thought: a unique text.
        answer: a unique text.

    Example:
        >>> surrounding_pair("User: a\nBot: <muse>\nT1\n</muse>\n\nA1<end>", "T1", "A1")
        TagPair(opening='<muse>', closing='</muse>')
    """
    before, present, rest = with_thought.partition(thought)
    between, follows, _ = rest.partition(answer)
    before, between = before.rstrip(), between.strip()
    if not (present and follows):
        return None
    known = next((pair for pair in TAG_PAIRS if before.endswith(pair.opening)), None)
    if known is not None:
        return known
    opening, closing = re.search(f"{MARK}$", before), re.match(MARK, between)
    return TagPair(opening[0], closing[0]) if opening and closing else None


def last_opened(text: str, pairs: Sequence[TagPair]) -> TagPair:
    """Return the pair whose opening tag comes last in a text."""
    return max(pairs, key=lambda pair: (text.rfind(pair.opening), len(pair.opening)))


def find_spans(
    text: str, *, opened: TagPair | None, stated: Sequence[TagPair], from_start: bool = True
) -> ThoughtSpans:
    """Divide an output into thoughts and the rest.

    Args:
        text: the output, with its special tokens.
        opened: the tags of the thought that the prompt opened, if it did.
        stated: the pairs that the checkpoint states; they are recognised everywhere.
        from_start: whether the text is the beginning of the output, where the pairs of the table are recognised too.

    Example:
        >>> find_spans("16 - 7</think>9", opened=None, stated=(THINK,))
        ThoughtSpans(thoughts=(Span(start=0, end=6),), answer=(Span(start=14, end=15),), open=False)
    """
    if opened is None and from_start and _CHANNEL.match(text) and not re.search(_FINAL, text):
        return ThoughtSpans(_messages(text, Span(0, len(text))), (), open=True)
    by_opening, by_closing, tags, pattern = _tags(opened, tuple(stated))
    thoughts: list[Span] = []
    answer: list[Span] = []
    inside, start = opened, 0
    for match in pattern.finditer(text):
        tag = match[0] if match[0] in tags else CHANNELS.closing
        if inside is not None:
            if tag == inside.closing:
                thoughts.append(Span(start, match.start()))
                inside, start = None, match.end()
        elif pair := by_opening.get(tag):
            is_first = from_start and not thoughts and not text[: match.start()].strip()
            if pair in stated or is_first:
                answer.append(Span(start, match.start()))
                inside, start = pair, match.end()
        elif tag in by_closing:  # the prompt opened this thought: all before it is thought
            thoughts.append(Span(thoughts[0].start if thoughts else 0, match.start()))
            del thoughts[:-1]
            answer, start = [], match.end()
    (thoughts if inside is not None else answer).append(Span(start, len(text)))
    messages = tuple(message for span in thoughts for message in _messages(text, span))
    return ThoughtSpans(messages, tuple(span for span in answer if span.end > span.start), inside is not None)


@functools.lru_cache(maxsize=64)
def _tags(opened: TagPair | None, stated: tuple[TagPair, ...]) -> _Tags:
    """Gather the tags that divide an output; the same for all outputs of a run, or nearly."""
    pairs = tuple(dict.fromkeys((*stated, *TAG_PAIRS, *([opened] if opened else []))))
    by_opening = {pair.opening: pair for pair in pairs}
    by_closing = {pair.closing: pair for pair in pairs if pair in stated or pair in _UNOPENED or pair == opened}
    tags = sorted({*by_opening, *(pair.closing for pair in pairs)}, key=len, reverse=True)
    pattern = re.compile("|".join(_FINAL if tag == CHANNELS.closing else re.escape(tag) for tag in tags))
    return _Tags(by_opening, by_closing, frozenset(tags), pattern)


def _messages(text: str, span: Span) -> tuple[Span, ...]:
    """Divide a thought at the headers of its messages, if it has any (gpt-oss's channels)."""
    starts, ends = [span.start], []
    for match in _BETWEEN.finditer(text, span.start, span.end):
        ends.append(match.start())
        starts.append(match.end())
    spans = (Span(start, end) for start, end in zip(starts, [*ends, span.end], strict=True))
    return tuple(part for part in spans if part.end > part.start) or (span,)


def split_text(text: str, *, opened: TagPair | None = None) -> tuple[str, str | None, bool]:
    """Separate the answer from the thoughts in a text whose model is not known: a server's, or a recorded output.

    Returns:
        The answer, the thoughts or None, and whether the text ends inside a thought; then the answer is empty.

    Example:
        >>> split_text("<think>16 - 7</think>9"), split_text("16 - 7</think>9"), split_text("<think>16")
        (('9', '16 - 7', False), ('9', '16 - 7', False), ('', '16', True))
        >>> split_text("9")
        ('9', None, False)
    """
    spans = find_spans(text, opened=opened, stated=(opened,) if opened else ())
    if not spans.thoughts:
        return text, None, False
    thought = "\n\n".join(filter(None, (text[span.start : span.end].strip() for span in spans.thoughts)))
    answer = "" if spans.open else "".join(text[span.start : span.end] for span in spans.answer).lstrip()
    return answer, thought, spans.open
