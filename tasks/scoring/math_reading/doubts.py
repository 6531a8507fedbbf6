r"""Statements that a model does not stand by: retracted, doubted, denied or attributed to others.

"The answer is 2. Wait, that is wrong." states nothing, nor does "I don't know if the answer is 2." All functions are
pure and take time linear in the length of the text.
"""

from __future__ import annotations

import re
from collections import deque

_BEGINS = re.compile(r"(?:[.!?…\n*)}\"']\s{0,3}|\A\s{0,3})(?:(?:but|oh|hmm+|ah|um|and)\b[,.]?\s)?\Z", re.IGNORECASE)
_RETRACTION = re.compile(
    r"""\b(?P<opens>(?:correction\**\s?:|scratch\ that\b|oops\b|my\ (?:mistake|bad|error)\b|i\ was\ wrong\b)
        |(?:wait|actually|no|hold\ on|sorry|hmm{1,9})\b[^\w.!?\n]{1,4}(?:(?:no|wait|actually|sorry)\b[^\w\n]{1,4})?
            (?:that|this|it|the\ answer|my\ answer)(?:\ (?:is|was|looks|seems|can)|'s|n't)?
            (?:\ (?:definitely|clearly|just|be))?\ (?:wrong|incorrect|not\ (?:right|correct|be\ right)|mistaken)\b
        |(?:that|this)(?:\ (?:is|was)|'s)\ (?:wrong|incorrect|not\ (?:right|correct))(?=[.,!…]|\s{0,3}\Z))
    |\b(?:i|we)(?:(?:'ve|\ have)?\ (?:just\ )?(?:made|see|found|noticed|realise|realize)\ (?:an?|my|the
        |that\ i\ made\ an?)
        \ (?:[a-z]{1,12}\ )?(?:mistake|error)|\ (?:miscalculated|misread|miscounted|misunderstood))\b""",
    re.IGNORECASE | re.VERBOSE,
)
"""A model says that what it stated before is wrong."""
_RECHECK = re.compile(
    r"""\b(?P<opens>(?:wait|hold\ on|hmm{1,9})\s?[,.!…:—-]
    |(?:actually[,\s]{1,2})?let\ (?:me|us)\ (?:re-?(?:check|consider|do|read|examine|evaluate|calculate|compute
        |think)|start\ over
        |double[-\ ]check|try\ again|correct))""",
    re.IGNORECASE | re.VERBOSE,
)
"""A model looks at its answer again; that retracts it only if another one follows."""
_CONFIRMS = re.compile(
    r"\b(?:correct|right|confirm\w*|yes|consistent|matche?s|checks? out|verified|good|fine|indeed|same|still"
    r"|agrees?|works)\b|[✓✔✅]",
    re.IGNORECASE,
)
_STATES = re.compile(
    r"\b(?:it|this|that|answer|result|total|value|which|number|there)\s(?:is|are|should be|must be|equals|gives"
    r"|comes to)\s"
    r"(?:[a-z]+\s){0,3}[\\$*(-]*[0-9]|\b(?:so|thus|therefore|hence)\b[^.\n]{0,200}[0-9]|\\boxed|####",
    re.IGNORECASE,
)
_DOUBT = re.compile(
    r"""\b(?:don't|don’t|do\ not|can't|can’t|cannot|couldn't|could\ not|not|hard\ to|impossible\ to)
        \ (?:know|tell|say|think|believe|decide|see|sure|certain|clear|determine)\b
    |\b(?:unsure|doubt|wonder|unclear|uncertain)\b
    |\b(?:if|whether|suppose|assume|assuming|imagine|unless|what\ if)\b(?=[^,;:]*\Z)
    |\b(?:some|people|students|one|you|many|others|someone|he|she|they)\ (?:[a-z]+\ )?(?:might|may|would|could|will)?\ ?
        (?:[a-z]+\ )?(?:say|think|guess|believe|conclude|claim|assume)s?\b
    |\b(?:common|typical|frequent|tempting|careless)\ (?:mistake|error|answer|pitfall)
    |\b(?:mistakenly|erroneously|wrongly)\b
    |\b(?:wrong|incorrect|false|tempting|naive|trap)\s\Z""",
    re.IGNORECASE | re.VERBOSE,
)
_TURN = re.compile(r"\b(?:but|however|so|thus|therefore|hence|actually|fact|then|still)\b", re.IGNORECASE)
_REFUSAL = re.compile(
    r"\b(?:I|[Ww]e)(?:'m|’m| am| are)? (?:cannot|can't|can’t|could not|couldn't|unable to|not able to"
    r"|don't know how to|do not know how to)"
    r"(?: \w+ly)? (?:solve|answer|determine|find|compute|calculate|figure out)"
    r"(?: (?:it|this|that|(?:this|the) (?:problem|question|answer|result|solution)))?(?=[.,!;]|\s*\Z"
    r"| (?:because|without|with|as|since)\b)"
    r"|\bI (?:don't|do not|don’t) know(?: the answer| how)?(?=[.,!;]|\s*\Z)"
)
_SENTENCE_END = re.compile(r"[.!?…](?=[\s\"'*)])|\n")
_WINDOW = 200


def without_retracted(text: str) -> str:
    r"""Cut what a model retracts, up to where it does so.

    After "wait" or "let me recheck", what comes before is only retracted if another answer follows.

    Example:
        >>> without_retracted("\\boxed{30}\n\nActually, I made a mistake. The answer is 35.")
        '. The answer is 35.'
        >>> without_retracted("The answer is 2. Wait, let me recheck. It is 3.")
        ' let me recheck. It is 3.'
        >>> without_retracted("The answer is 2. Let me double-check: 1 + 1 = 2, correct.")
        'The answer is 2. Let me double-check: 1 + 1 = 2, correct.'
    """
    if retraction := _last(_RETRACTION, text):
        text = text[retraction.end() :]
    recheck = _last(_RECHECK, text)
    if recheck is None:
        return text
    after = text[recheck.end() :]
    return after if _STATES.search(after) and not _CONFIRMS.search(after) else text


def _last(pattern: re.Pattern[str], text: str) -> re.Match[str] | None:
    """Return the last match that begins a sentence, where it has to."""
    marks = (
        mark
        for mark in pattern.finditer(text)
        if not mark["opens"] or _BEGINS.search(text[max(0, mark.start() - 16) : mark.start()])
    )
    return next(iter(deque(marks, maxlen=1)), None)


def is_doubted(text: str, start: int) -> bool:
    """Return whether the words before a statement, in its sentence, doubt it or attribute it to others.

    Example:
        >>> text = "I don't know if the answer is 2."
        >>> is_doubted(text, text.find("answer")), is_doubted("I'm not sure, but the answer is 2.", 19)
        (True, False)
    """
    before = text[max(0, start - _WINDOW) : start]
    ends = list(_SENTENCE_END.finditer(before))
    before = before[ends[-1].end() :] if ends else before
    doubts = list(_DOUBT.finditer(before))
    return bool(doubts) and not _TURN.search(before, doubts[-1].end())


def doubts(sentence: str) -> bool:
    """Return whether a sentence doubts or only supposes an answer.

    Example:
        >>> doubts("I'm not sure whether it is 2."), doubts("If the answer is 2, stop."), doubts("If x = 2, we get 5.")
        (True, True, False)
    """
    answer = re.search(r"\banswer\b", sentence, re.IGNORECASE)
    if answer and is_doubted(sentence, answer.start()):
        return True
    doubt = re.search(r"\b(?:not sure|unsure|don't know|do not know|don’t know|no idea)\b", sentence, re.IGNORECASE)
    return doubt is not None and not _TURN.search(sentence, doubt.end())


def refuses(sentence: str) -> bool:
    """Return whether a sentence says that the model cannot solve the problem.

    Example:
        >>> refuses("I cannot solve this."), refuses("We cannot divide by 0.")
        (True, False)
    """
    return _REFUSAL.search(sentence) is not None
