"""Statements without a number that a table of the article can check: "A outperforms B on C", "A is the best on C".

Only a short sentence is read, with the names of rows and of one column as the table prints them: a further word may be
a condition under which another table holds. Others are not drafted: without numbers nothing here can test them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from evals.reports.claims.drafting.proposals import Proposal, TableProposal
from evals.reports.claims.drafting.text.names import Mention
from evals.reports.claims.drafting.text.passages import Passage
from evals.reports.claims.language.sources.articles import Article

_BETTER = re.compile(
    r"\b(?:outperforms|beats|surpasses|exceeds|is better than|scores higher than|"
    r"performs better than)\b|优于|超过|高于|胜过",
    re.I,
)
_BEST = re.compile(
    r"\b(?:has|achieves|reaches|gets|obtains|attains|sets) the "
    r"(?:best|highest) (?:score|result|performance|accuracy)s?\b|"
    r"\branks (?:first|highest)\b|\bis (?:the )?(?:best|first)\b|"
    r"(?:取得|获得|达到)了?最[好高佳]的?(?:成绩|结果|分数|表现)|排名第一",
    re.I,
)
_SECOND = re.compile(r"\branks second\b|\bis (?:the )?second(?:[- ]best)?\b|排名第二", re.I)
_OF_ALL = re.compile(
    r"\b(?:of|among) (?:all|the) (?:the )?(?:models?|systems?|methods?)?\s?(?:in the table|shown|listed|"
    r"compared|here)\b|表中所有|所有模型",
    re.I,
)
_FILLERS = re.compile(
    r"\b(?:on|in|the|also|and|even|clearly|significantly|slightly|consistently|score|"
    r"benchmark|table|of|all|models?|still|by|far)\b|"
    r"在|上|中|也|明显|显著|评测|基准|的|方面|数据集",
    re.I,
)
_CONFIDENCE = 0.7


@dataclass(frozen=True, slots=True)
class _Cells:
    """A column of a table, with the rows of systems."""

    table: TableProposal
    column: str
    rows: dict[str, str]
    """For each subject the name of its row; subjects of several rows are left out."""


def find_orders(article: Article, passage: Passage, tables: Sequence[TableProposal]) -> Iterator[Proposal]:
    """Yield the statements about the order of systems that a table of the article can check.

    Args:
        article: the article.
        passage: one of its texts.
        tables: its tables.
    """
    text = passage.text.text
    for first, last in passage.sentences:
        if any(first <= number.start < last for number in passage.numbers):
            continue  # a change or a level: the number is the claim
        mentions = [mention for mention in passage.mentions if first <= mention.start < last]
        for words, count in ((_BETTER, 2), (_BEST, 1), (_SECOND, 1)):
            match = words.search(text, first, last)
            if match is not None and len(mentions) == count:
                yield from _order(article, passage, (first, last), match, mentions, tables=tables)
                break


def _order(
    article: Article,
    passage: Passage,
    sentence: tuple[int, int],
    match: re.Match[str],
    mentions: Sequence[Mention],
    *,
    tables: Sequence[TableProposal],
) -> Iterator[Proposal]:
    text, (first, last) = passage.text.text, sentence
    subjects = [mention.subject for mention in mentions]
    matching = [cells for table in tables for cells in _columns(table) if _names(text[first:last], cells.column)]
    matching = [cells for cells in matching if all(subject in cells.rows for subject in subjects)]
    if len(matching) != 1 or len(set(subjects)) != len(subjects) or mentions[0].end > match.start():
        return
    if len(mentions) == 2 and mentions[1].start < match.end():
        return
    cells = matching[0]
    used = [(mention.start, mention.end) for mention in mentions] + [match.span()]
    used += [entry.span() for entry in _OF_ALL.finditer(text, first, last)]
    used += [entry.span() for entry in re.finditer(re.escape(cells.column), text) if first <= entry.start() < last]
    rest = "".join(
        character for n, character in enumerate(text[first:last], first) if not any(a <= n < b for a, b in used)
    )
    if re.search(r"\w", _FILLERS.sub("", rest)):
        return
    span = passage.text.span(*match.span())
    place = passage.text.span(first, last)
    quote = text[first:last].strip() if article.is_marked_up else article.source[slice(*place)].strip()
    says_all = len(mentions) == 2 or _OF_ALL.search(text, first, last) is not None
    yield Proposal(
        span=span,
        quote=" ".join(quote.split()) if article.is_marked_up else quote,
        line=article.line(
            place[0]
            + (
                0
                if article.is_marked_up
                else len(article.source[slice(*place)]) - len(article.source[slice(*place)].lstrip())
            )
        ),
        printed="",
        subject=subjects[0],
        baseline=subjects[1] if len(subjects) == 2 else None,
        compares={"table": cells.table.id, "column": cells.column, **_relation(match)},
        escapes=[] if says_all else ["it may be meant of some of the models only"],
        grounds=[f"named in a row of {cells.table.id}"],
        confidence=_CONFIDENCE,
        sentence=place,
        words=text[first:last],
        says=" ".join(text[first:last].split()),
    )


def _relation(match: re.Match[str]) -> dict[str, object]:
    if match.re is _BETTER:
        return {"relation": "better"}
    return {"relation": "place", "place": 1 if match.re is _BEST else 2}


def _columns(table: TableProposal) -> Iterator[_Cells]:
    for index, column in enumerate(table.columns):
        rows: dict[str, str] = {}
        subjects = [row.get("subject") for row in table.rows if row["spans"][index] is not None]
        for row in table.rows:
            subject = row.get("subject")
            if subject and row["spans"][index] is not None and subjects.count(subject) == 1:
                rows[subject] = row["name"]
        if len(rows) > 1:
            yield _Cells(table, str(column["name"]), rows)


def _names(text: str, column: str) -> bool:
    """Whether a text names a column, and no longer name that holds it: MMLU is not MMLU-Pro."""
    return re.search(rf"(?<![\w+-]){re.escape(column)}(?![\w+]|-\w)", text) is not None
