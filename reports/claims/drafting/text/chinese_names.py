"""Find the names of models that are Chinese words with a version: 源2.0-M32, 文心4.0, 书生·浦语2.5-20B.

Chinese has no spaces, so a name begins where a family that is known begins, or after punctuation.
"""

from __future__ import annotations

import bisect
import re
from collections.abc import Iterator

from evals.reports.claims.drafting.language.words import entries

_CHINESE = r"[\u4e00-\u9fff]"
_TAIL = r"(?:[ -]?(?:[A-Z][A-Za-z]*\d*(?:\.\d+)?|\d+(?:\.\d+)?[BbMm])(?![A-Za-z0-9.]))*"
_NO_COUNT = r"(?![\d.]*\d|\s?(?:%|个|月|年|日|亿|万|千|倍|款|项|种|条|分|秒|天|次|层|轮|张|元|号|级|[-~至到]\s?\d))"
_FAMILIES = sorted(map(str, entries("chinese_families")), key=len, reverse=True)
_LONG = "|".join(re.escape(name) for name in _FAMILIES if len(name) > 1)
_SHORT = "".join(name for name in _FAMILIES if len(name) == 1)
"""Families of one character, which is part of other words too: 开源."""
_KNOWN = re.compile(
    rf"(?P<name>(?:(?:{_LONG})|(?:(?<!{_CHINESE})|(?<=[与和比较为的是用在对及或了让、]))[{_SHORT}])(?:大语言模型|大模型)?"
    rf" ?-?[vV]?(?:\d{{1,2}}\.\d{{1,2}}|(?<! )\d{{1,2}}(?!\.\d))(?:[Kk](?!\w))?{_TAIL}){_NO_COUNT}"
)
_OTHER = re.compile(
    rf"(?<![\w\u4e00-\u9fff])(?P<name>{_CHINESE}{{1,6}}(?<![约为是达到过至超近共有了在以])\d{{1,2}}\.\d{{1,2}}"
    rf"(?:-[A-Z](?=\w)[A-Za-z]*\d*| [A-Z]\d+)(?![A-Za-z0-9.])){_NO_COUNT}"
)
"""A name of an unknown family: a version and a further part tell it from a value."""
_SIZED = re.compile(
    rf"(?<![\w\u4e00-\u9fff])(?P<name>(?!模型|参数|基于|使用|对比|相比|采用|支持|发布|开源|其中|以及|包括|例如){_CHINESE}{{2,4}}-\d{{1,3}}(?:\.\d+)?[BbMm]"
    rf"(?:-[A-Z][A-Za-z]+\d*)*)(?![A-Za-z0-9.])"
)
"""A name of an unknown family with a hyphen and a size."""


def chinese_names(text: str) -> Iterator[re.Match[str]]:
    """Find the names in a text, each in the group `name`.

    Example:
        >>> [match["name"] for match in chinese_names("我们比较源2.0-M32与文心4.0，它在开源2.0的任务上达到2.5-7B。")]
        ['源2.0-M32', '文心4.0']
    """
    known = list(_KNOWN.finditer(text))
    starts = [match.start() for match in known]

    def holds_known(other: re.Match[str]) -> bool:
        before = bisect.bisect_left(starts, other.end())
        return before > 0 and known[before - 1].end() > other.start()

    others = [other for words in (_OTHER, _SIZED) for other in words.finditer(text) if not holds_known(other)]
    yield from sorted([*known, *others], key=lambda match: match.start())
