"""Let a model propose further claims: what it is asked, and what of its answer is taken.

A proposal must quote the article exactly, its number must stand in the quote and be read as a number by the rules, and
its subject must be named in the article. What fails is left out, with the reason. A proposal about a number that the
rules drafted too gives the claim its sentence (`says`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

from evals.reports.claims.drafting.drafter import ArticleDraft
from evals.reports.claims.drafting.language.numbers import PrintedNumber, find_numbers
from evals.reports.claims.drafting.proposals import Proposal
from evals.reports.claims.drafting.readers.widths import plain_width
from evals.reports.claims.language.files import load_vocabulary
from evals.reports.claims.language.sources.articles import Block

_PART = 6_000
"""Number of characters of an article in one question."""
_CONFIDENCE = 0.5
_LONGEST_NAME, _LONGEST_SENTENCE = 60, 400
_MOST_PROPOSALS = 500
"""Number of proposals of an answer that are read; a part of an article has fewer numbers."""
_LONGEST_OUTPUT = 200_000
"""Number of characters of an answer that are read: ten times what the limit on its tokens allows."""
_INSTRUCTION = """\
List the checkable statements with a number in the text below, one JSON object per line and nothing else:
{{"quote": "the exact words of the text, short", "number": "the digits as printed", "subject": "the system it is about",
"quantity": "what is measured, in small-letters-with-hyphens", "unit": "one of: {units}",
"says": "the claim in a sentence"}}
Copy "quote" and "number" from the text, character by character. Leave out versions, dates, citations and hardware.

Text:
{text}
"""
AskModel = Callable[[str, str], str]
"""Answers a question: its ID and its text in, the model's text out."""


def propose(draft: ArticleDraft, answer: AskModel) -> None:
    """Ask a model about an article and take what passes the checks into the draft.

    Args:
        draft: the draft of the article; claims are added and changed in place, refusals are added to `left_out`.
        answer: the model, or its recorded outputs.
    """
    units = ", ".join(
        unit for unit in load_vocabulary().units if unit.isascii() and unit[0].islower() and len(unit) > 2
    )
    for number, text in enumerate(_parts(draft), 1):
        output = answer(str(number), _INSTRUCTION.format(units=units, text=text))
        if len(output) > _LONGEST_OUTPUT:
            draft.left_out.append(f"of the model: what follows the first {_LONGEST_OUTPUT:,} characters of an answer")
        entries = list(islice(_objects(output[:_LONGEST_OUTPUT]), _MOST_PROPOSALS + 1))
        if len(entries) > _MOST_PROPOSALS:
            draft.left_out.append(f"of the model: the proposals of an answer after the first {_MOST_PROPOSALS}")
        for entry in entries[:_MOST_PROPOSALS]:
            if problem := _take(draft, entry):
                shown = " ".join(str(entry.get("quote", entry)).split())[:80]
                draft.left_out.append(f"of the model: {shown!r}: {problem}")


def _parts(draft: ArticleDraft) -> Iterator[str]:
    """Yield the text of an article in parts."""
    part = ""
    for block in draft.article.blocks:
        text = block.text.text.strip()
        if part and len(part) + len(text) > _PART:
            yield part
            part = ""
        part += f"{text}\n" if text else ""
    if part.strip():
        yield part


def _objects(output: str) -> Iterator[dict[str, Any]]:
    """Yield the JSON objects of an output: one per line, or in a list; other text is passed over."""
    decoder, place = json.JSONDecoder(), output.find("{")
    while place >= 0:
        try:
            value, end = decoder.raw_decode(output, place)
        except RecursionError:  # what nests as deep is no proposal, nor is what it holds
            value, end = None, max(output.find("\n", place), 0) or len(output)
        except ValueError:  # no JSON, or an integer of thousands of digits
            value, end = None, place + 1
        if isinstance(value, dict):
            yield value
        place = output.find("{", end)


def _take(draft: ArticleDraft, entry: dict[str, Any]) -> str | None:
    """Take a proposal into the draft; returns why it cannot be."""
    quote, printed, subject = (plain_width(str(entry.get(key) or "")).strip() for key in ("quote", "number", "subject"))
    if not quote or not printed:
        return "it has no quote or no number"
    block = next((block for block in draft.article.blocks if quote in block.text.text), None)
    if block is None:
        return "the quote does not stand in the article"
    start = block.text.text.index(quote)
    number = _number(block, start, start + len(quote), printed)
    if number is None:
        return f"{printed!r} is not a number of the quote"
    span = block.text.span(number.start, number.end)
    says = _sentence(entry)
    drafted = next((claim for claim in draft.claims if claim.span[0] < span[1] and span[0] < claim.span[1]), None)
    if drafted is not None:
        if says and re.search(rf"(?<![\d.]){re.escape(number.digits)}(?!\d)", says.replace(",", "")):
            drafted.says = says
            drafted.grounds.append("its sentence is the model's")
        return None
    if subject and not re.search(re.escape(subject), _text(draft)):
        return f"no {subject!r} is named in the article"
    unit = number.unit or str(entry.get("unit") or "")
    if unit not in load_vocabulary().units:
        return f"no unit is named {unit!r}"
    draft.claims.append(_proposal(draft, block, number, entry, unit))
    return None


def _sentence(entry: dict[str, Any]) -> str:
    """The sentence of a proposal, without characters that print nothing or turn the text, and of bounded length."""
    words = " ".join(str(entry.get("says") or "").split())
    return "".join(letter for letter in words if letter.isprintable())[:_LONGEST_SENTENCE]


def _text(draft: ArticleDraft) -> str:
    cells = (cell.text for block in draft.article.blocks for row in block.rows for cell in row)
    return "\n".join([draft.article.title, *(block.text.text for block in draft.article.blocks), *cells])


def _number(block: Block, start: int, end: int, printed: str) -> PrintedNumber | None:
    """The number of a quote that a proposal names."""
    digits = re.sub(r"[^\d.]", "", printed.replace(",", ""))
    numbers = [number for number in find_numbers(block.text.text) if start <= number.start and number.end <= end]
    return next((number for number in numbers if number.digits == digits), None)


def _proposal(draft: ArticleDraft, block: Block, number: PrintedNumber, entry: dict[str, Any], unit: str) -> Proposal:
    quote, subject = (plain_width(str(entry.get(key) or "")).strip() for key in ("quote", "subject"))
    start = block.text.text.index(quote)
    span, place = block.text.span(number.start, number.end), block.text.span(start, start + len(quote))
    raw = quote if draft.article.is_marked_up else draft.article.source[place[0] : place[1]]
    says = _sentence(entry) or None
    quantity = re.sub(r"[^a-z0-9]+", "-", str(entry.get("quantity") or "").lower())[:_LONGEST_NAME].strip("-") or None
    known = load_vocabulary().quantities
    return Proposal(
        span=span,
        quote=raw,
        line=draft.article.line(place[0]),
        printed=number.digits,
        times=number.times,
        unit=unit,
        is_implied=number.is_word,
        upto=number.upto,
        plus_minus=number.plus_minus,
        bound=number.bound,
        subject=(draft.names.find(subject) or draft.names.add(subject)) if subject else draft.names.main,
        quantity=quantity,
        quantity_says=known[quantity].says if quantity in known else (quantity or "").replace("-", " "),
        says=says,
        grounds=["proposed by a model, with an exact quote"],
        confidence=_CONFIDENCE,
        proposed_by="model",
        id=f"C-{len(draft.claims) + 1}",
    )
