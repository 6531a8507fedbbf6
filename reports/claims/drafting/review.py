"""Step through drafted claims at a terminal: accept, edit or drop each.

1/23  C-1  line 62  confidence 0.81
V3处理1024token文本生成耗时0.8秒
DeepSeek-V3: time of one answer, 0.8 s.
subject named in the clause; time of one answer named in the clause
[a]ccept, [e]dit, [d]rop, [s]kip, [q]uit?
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

from evals import yaml_files
from evals.plain_numbers import is_real
from evals.reports.claims.drafting.drafter import ArticleDraft
from evals.reports.claims.drafting.proposals import Proposal
from evals.reports.claims.drafting.writing import sentence
from evals.reports.claims.language.files import load_vocabulary
from evals.reports.claims.language.statements import Bound

_QUESTION = "[a]ccept, [e]dit, [d]rop, [s]kip, [q]uit? "
_EDIT = "KEY=VALUE of subject, baseline, quantity, unit, printed, times, bound, says; empty line: done\n  "
_DIGITS = re.compile(r"-?[0-9]{1,50}(?:\.[0-9]{1,50})?")
_BOUNDS: tuple[Bound, ...] = ("exactly", "about", "at-least", "at-most", "above", "below")
Ask = Callable[[str], str]
"""Shows a text and returns the line that the reader types; an empty text at the end of the input."""


def review(draft: ArticleDraft, ask: Ask) -> None:
    """Ask about each claim of a draft, and note the answers in it.

    Args:
        draft: the draft; its claims are accepted, edited or dropped in place, those with an answer are passed over.
            Dropped claims stay, and what is derived from them loses its formula.
        ask: shows a claim and returns the answer.
    """
    for number, claim in enumerate(draft.claims, 1):
        if claim.review is not None:
            continue
        shown = _show(claim, draft, f"{number}/{len(draft.claims)}")
        answer = _answer(ask, f"{shown}\n{_QUESTION}")
        if answer == "q":
            break
        if answer == "a":
            claim.review = "accepted"
        elif answer == "d":
            _drop(claim, draft)
        elif answer == "e":
            _edit(claim, draft, ask)


def restore(draft: ArticleDraft, path: Path, source: str) -> int:
    """Take the answers of an earlier review from a claims file of the same article.

    Args:
        draft: a new draft of the article. A claim gets the answer that the claim at the same place has in the file.
        path: the claims file; it need not exist.
        source: the article, as the file names it.

    Returns:
        Number of answers.

    Raises:
        InputError: the file has answers and cannot be read.
    """
    if not path.is_file() or b"\n  review: " not in path.read_bytes():
        return 0
    content = yaml_files.load(path)
    document = content["document"]
    if not document.get("drafted") or document.get("source") != source:
        return 0
    names = {id: str(subject["name"]) for id, subject in (document.get("subjects") or {}).items()}
    answers = {tuple(entry["span"]): entry for entry in content["claims"] if entry.get("review")}
    count = 0
    for claim in draft.claims:
        entry = answers.get(claim.span)
        if entry is None:
            continue
        count += 1
        if entry["review"] == "dropped":
            _drop(claim, draft)
        elif entry["review"] == "edited":
            _restore_edit(claim, draft, entry, names)
        claim.review = entry["review"]
    return count


def _restore_edit(claim: Proposal, draft: ArticleDraft, entry: Mapping[str, Any], names: Mapping[str, str]) -> None:
    """Set the keys that a reader may have edited to what the file says."""
    printed = entry.get("printed", entry.get("implied", claim.printed))
    if str(printed) != claim.printed:
        _set(claim, draft, "printed", str(printed))
    for key, default in (("quantity", ""), ("unit", ""), ("times", "1"), ("bound", "exactly"), ("says", "")):
        if value := str(entry.get(key) or default):
            _set(claim, draft, key, value)
    for key in ("subject", "baseline"):
        id = entry.get(key) if entry.get(key) != "document" else None
        _set(claim, draft, key, names.get(id, id) if id else "")


def _show(claim: Proposal, draft: ArticleDraft, place: str) -> str:
    reasons = "; ".join([*claim.grounds, *(f"in doubt: {doubt}" for doubt in claim.doubts)])
    lines = [f"{place}  {claim.id}  line {claim.line}  confidence {claim.confidence:.2f}", f"  {claim.quote}"]
    lines += [f"  {claim.says or sentence(claim, draft)}", f"  {reasons}"]
    if claim.derive:
        lines.append(f"  computed: {claim.derive}")
    return "\n".join(lines)


def _answer(ask: Ask, question: str) -> str:
    """Return the first letter of an answer; the question is asked again until it is one of a, e, d, s, q."""
    while True:
        line = ask(question)
        letter = line.strip().lower()[:1]
        if letter in {"a", "e", "d", "s", "q"}:
            return letter
        if not line:
            return "q"


def _drop(claim: Proposal, draft: ArticleDraft) -> None:
    claim.review = "dropped"
    for other in draft.claims:
        if other is not claim and other.derive and re.search(rf"\b{claim.id}\b", other.derive):
            other.derive, other.readings = None, []


def _edit(claim: Proposal, draft: ArticleDraft, ask: Ask) -> None:
    """Change the keys that the reader names; a value that does not fit is said and not taken."""
    message = ""
    while True:
        line = ask(f"{message}  {_EDIT}").strip()
        if not line:
            break
        key, equals, value = (part.strip() for part in line.partition("="))
        problem = _set(claim, draft, key, value) if equals else "write KEY=VALUE"
        message = f"  {problem}\n" if problem else f"  {claim.says or sentence(claim, draft)}\n"
    claim.review = "edited"


def _set(claim: Proposal, draft: ArticleDraft, key: str, value: str) -> str | None:
    """Set one key of a claim; returns why it cannot be."""
    if key in {"subject", "baseline"}:
        setattr(claim, key, (draft.names.find(value) or draft.names.add(value)) if value else None)
    elif key == "quantity":
        known = load_vocabulary().quantities
        if not re.fullmatch(r"[a-z0-9][a-z0-9-]*", value):
            return f"{value!r} is no name of a quantity: small letters, digits and hyphens"
        claim.quantity, claim.quantity_says = value, known[value].says if value in known else value.replace("-", " ")
    elif key == "unit":
        if value not in load_vocabulary().units:
            return f"no unit is named {value!r}"
        claim.unit = value
    elif key == "printed":
        if not _DIGITS.fullmatch(value):
            return f"{value!r} is not a number; write its digits alone"
        claim.printed, claim.upto, claim.plus_minus = value, None, None
    elif key == "times":
        if not is_real(value):
            return f"{value!r} is not a number"
        claim.times = Decimal(value)
    elif key == "bound":
        if value not in _BOUNDS:
            return f"bound is one of {', '.join(_BOUNDS)}"
        claim.bound = next(bound for bound in _BOUNDS if bound == value)
    elif key == "says":
        claim.says = value or None
    else:
        return f"no key is named {key!r}"
    return None
