"""The words between the numbers of a sentence that say how one follows from the others."""

from __future__ import annotations

import re

_QUALIFIER = r"(?:about|around|roughly|approximately|nearly|almost|only|just|over|the|some|约|大约|近|仅)"
_SIGN = r"\s*(?:[$€£¥¥]\s?)?"
FROM = re.compile(rf"(?:\b(?:from)\b|由|从|自)[^\d,;.,;。]{{0,30}}?(?:{_QUALIFIER}\s?)*{_SIGN}$", re.I)
"""What stands before the old value of "from a to b"."""
TO = re.compile(
    rf"[^\d,;:()。,;]{{0,30}}(?:\bto\b|→|->|至|到|为)\s*(?:{_QUALIFIER}\s?)*(?:每[秒天年月次])?{_SIGN}",
    re.I,
)
CHANGED_TO = re.compile(
    r"[^\d,;:()。,;]{0,40}\b(?:compress\w*|reduc\w*|cut|shr[iu]nk\w*|falls?|fell|drop\w*|grow[sn]?|grew|rises?|rose|"
    rf"increase[sd]?|improve[sd]?)\s(?:\w+\s)?to\s(?:{_QUALIFIER}\s?)*{_SIGN}|"
    rf"[^\d,;:()。,;]{{0,20}}(?:压缩|降|减少|提升|提高|增加|缩短|增长)[低]?(?:到|至)了?\s?(?:{_QUALIFIER}\s?)*{_SIGN}",
    re.I,
)
"""What stands between an old value and the new one: "the 30 GB are compressed to 12 GB"."""
INSTEAD = re.compile(
    r"[^\d;:。;]{0,40}?[\s,(,(]\s?(?:instead of|rather than|(?:up|down) from|(?:as )?compared (?:to|with)|against|"
    rf"versus|vs\.?|in place of|而不是|相比(?:之前的?)?|对比)[^\d,;:()。,;]{{0,24}}?{_SIGN}",
    re.I,
)
"""What stands between a new value and the old one: "5 ms, down from 9 ms"."""
LEFT_BEHIND = re.compile(
    r"[^\d。;]{0,16}[,,](?:较|比|相比)(?!如)[^\d,,。;]{0,12}?\s?$",
)
"""What stands between a new value and the old one in Chinese: "84.0,较上一代的 75.0 提升 12%"."""
COMPARED = re.compile(r"(?:^|[.;]\s|\n)\s*(?:compared (?:to|with)|against|versus)\s[^\d,;]{0,40}$", re.I)
"""What stands before an old value: "Compared with Otter at 3,600 tokens/s, Heron's 4,140 tokens/s are 15 % more"."""
_NAME = r"(?:X+|[A-Z][\w.+-]*(?:\s(?:\d[\d.]*|[A-Z][\w.+-]*)(?![\w%]))*)"
_NAME_ZH = r"(?:X+|[\u4e00-\u9fffA-Za-z]{1,12}\s?(?:X+|\d[\w.]*)(?:-[A-Za-z]+)?)"
_BESIDE = r"[^,;.\d]{0,24}"
_AND = r"(?:,|\sand|\swhile|\swhereas|\sbut|,\s(?:and|while|but))\s"
OF_TWO = re.compile(
    rf"(?:(?P<first>{_NAME})\s[a-z ]{{2,30}}?{_SIGN}\0[^,;.\d]{{0,24}}{_AND}"
    rf"(?P<second>{_NAME})\s(?:[a-z]+\s){{0,3}}?{_SIGN}\0.*|"
    rf"\0{_BESIDE}?\s?(?P<by>for|with|using|by)\s(?P<of>{_NAME}){_BESIDE}{_AND}(?:only\s)?"
    rf"{_SIGN}\0{_BESIDE}?\s?(?P=by)\s(?P<other>{_NAME})(?!\w).*|"
    rf"\b(?P<this>[Tt]he\s[a-z][a-z -]{{2,24}}?)\s(?P<verb>[a-z]+s|[a-z]+ed|took|had|cost)\s(?:only\s)?{_SIGN}\0"
    rf"[^,;.\d]{{0,16}},?\s(?:whereas|while|but|and)\s(?P<that>the\s[a-z][a-z -]{{2,24}}?)\s(?P=verb)\s(?:only\s)?"
    rf"{_SIGN}\0.*|(?P<eins>{_NAME_ZH})(?:[^\d,。,;\0]{{0,8}})\0[^\d,。,;\0]{{0,6}}[,,](?:而)?"
    rf"(?P<zwei>{_NAME_ZH})(?:[^\d,。,;\0]{{0,8}})\0.*)$",
    re.S,
)
"""A sentence up to a change, in which each of two values (`\0`) has a name of its own, in the same words."""
AFTER_NAME = re.compile(rf"\s(?:for|with|using|by|on|in)\s(?:the\s)?{_NAME}(?!\w)")
"""Whose value the second of a pair is, where that stands behind it."""
NAME_END = re.compile(r"[A-Z][A-Za-z]+\s$|(?![从由到至为自])[\u4e00-\u9fff]\s$")
"""The end of a word whose number is part of a name: "Kestrel 2"."""
_NOUNS = (
    r"reductions?|decreases?|drops?|falls?|savings?|sav(?:es?|ed)|cuts?|improvements?|increases?|gains?|rises?|jumps?|"
    r"boosts?|speed-?ups?|growth|change|difference|gap|factor|ratio|compression|loss"
)
_COMPARATIVES = (
    r"faster|slower|quicker|cheaper|smaller|larger|bigger|less|fewer|lower|higher|shorter|longer|better|worse|greater|"
    r"lighter|more"
)
_ADJECTIVES = (
    r"relative|absolute|total|overall|further|full|big|large|huge|whopping|substantial|significant|net|percentage"
)
_GLUE = (
    r"an?|the|of|is|are|was|were|by|that|it|this|which|makes?|making|made|giving|gives?|yielding|yields|i\.\s?e\.|or|so|"
    r"thus|hence|therefore|thereby|about|around|roughly|approximately|nearly|almost|some|over|more than|down|up|to|"
    r"equal|equivalent|amounts?|amounting|meaning|means|corresponding|corresponds|representing|represents|removes|needs?|takes?|"
    r"you|pay|only|just|now|for|has|have|X+"
)
_HAN = "到降低下减少提升高增长加缩短节省便宜跌幅度了约达近是为即相对比原来的之前此整将至仅共快慢更也就翻升涨出"
JOINT = re.compile(
    rf"(?:[\s,;:()(),。;:、=≈~–—+/−-]|\b(?:{_GLUE}|{_NOUNS}|{_ADJECTIVES}|{_COMPARATIVES})(?![\w-])|[{_HAN}])*",
    re.I,
)
"""Words that say that a change is that of the values before it, and nothing else."""
CHANGES_BY = re.compile(
    r"^[^\d;。;]{0,30}?(?:\b(?:is|are|was|were|which is|that is|i\.e\.)|[,,((])\s?"
    r"(?:(?:it|which|they|is|are|thus|therefore|then|about|roughly|nearly|almost|only|just|over|more than|or|an?|"
    r"i\.e\.|up|down|that is)\s)*$",
    re.I,
)
"""Words between a value and the change that is said of it: "2.1 GB is 50 % less than 4.2 GB"."""
_AS_MUCH = r"as (?:many|much|fast|large|big|long|high)|times"
THAN = re.compile(
    rf"\s*(?:errors |points )?"
    rf"(?:(?:{_COMPARATIVES})(?:\s[a-z]+)? than|(?:{_AS_MUCH})(?:\s[a-z]+)? as|of|more than|from|above|below|over|"
    r"(?=\s*the\b))"
    rf"\s*(?:the|its|his|their|our)?\s*(?:[\w.-]+\s){{0,4}}?(?:of |at |from )?{_SIGN}",
    re.I,
)
"""Words between a change and the value that it is compared with."""
_PHRASE_END = re.compile(
    r"\s*(?:$|[.,;:)!?,。;:)!?、\n–—|]|(?:than|over|compared|relative to|against|versus|vs|and|while|but)\b)"
)
_TAIL = re.compile(
    rf"(?:\s|-|\b(?:{_NOUNS}|{_COMPARATIVES}|{_ADJECTIVES})\b|\bin (?:relative|absolute) terms\b|"
    r"\bof (?:it|that|the original)\b|"
    r"\bas (?:fast|much|many|large|big|long)\b|\berrors?\b|\bon average\b|"
    r"以上|左右|的|提升|降幅|加速|收益|增长|下降|更?[快慢])*",
    re.I,
)
_NAMED_AGAIN = re.compile(r"\s*(?:in|of|on|the|its|all|old|original|\s)+(?P<noun>[A-Za-z-]{4,})(?=\W|$)")
ON_AVERAGE = re.compile(r"\baverage|on average|across|overall|平均|总体|up to|最高|最多|at most", re.I)
"""Words after which the values shown may not be those that are meant."""


def ends_phrase(after: str, before: str) -> bool:
    """Whether what follows a change says of nothing else that it changed: "33 % less", not "33 % less memory".

    A noun that the sentence has named before the values may be named again.

    Args:
        after: the rest of the sentence.
        before: the sentence up to the change.

    Example:
        >>> ends_phrase(" reduction.", "falls from 3 to 2 s, a"), ends_phrase(" less memory.", "falls from 3 to 2 s,")
        (True, False)
    """
    tail = _TAIL.match(after)
    place = tail.end() if tail else 0
    if named := _NAMED_AGAIN.match(after, place):
        stem = named["noun"].lower().rstrip("s")
        place = named.end() if stem in before.lower() else place
    return _PHRASE_END.match(after, place) is not None
