"""Find the name of the system in the title of an article, and the capitalised words that name none.

title_name(article) -> "Otter 2" | None
"""

from __future__ import annotations

import re

from evals.reports.claims.drafting.language.lexicon import is_measure
from evals.reports.claims.drafting.language.words import entries
from evals.reports.claims.language.sources.articles import Article

COMMON = frozenset(" ".join(entries("common_words")).split())
"""Words that begin sentences and parts, and are no names."""
TITLE_WORDS = frozenset(" ".join(entries("title_words")).split())
"""Words of titles that are no names."""
ORGANISATIONS = frozenset(map(str, entries("organisations")))
"""Makers of systems, which are no systems."""
_LATIN_BEFORE_CHINESE = re.compile(r"\s*([A-Z][a-z]*[A-Z][A-Za-z]+)\s?(?=[\u4e00-\u9fff])")
"""A name such as FunASR that a Chinese title begins with."""


def title_name(article: Article) -> str | None:
    """The name in a title of a few words: "Falcon Assist | The support bot", "# Otter 2"."""
    first_blocks = [block for block in article.blocks if block.text.text.strip()][:1]
    headings = [block.text.text for block in first_blocks if block.kind in {"title", "heading"}]
    for title in [*headings, article.title]:
        if (latin := _LATIN_BEFORE_CHINESE.match(title)) and not is_measure(latin[1]) and latin[1] not in ORGANISATIONS:
            return latin[1]
        first = re.split(r"\s*[|::–—]\s*|\s-\s", " ".join(title.split()))[0]
        words = re.sub(
            r"^(?:Introducing|Announcing|Meet|Model [Cc]ard (?:for|of)|About|Welcome to)\s+", "", first
        ).split()
        is_name = (
            0 < len(words) <= 3
            and " ".join(words) not in ORGANISATIONS
            and all(re.fullmatch(r"(?:[A-Z0-9]|[a-z]{1,3}[A-Z]{2}|v\d)[\w.-]*", word, re.ASCII) for word in words)
            and all(word not in COMMON and word not in TITLE_WORDS for word in words)
        )
        if is_name and re.search(r"[A-Za-z]{2}", words[0]):
            return " ".join(words)
    return None
