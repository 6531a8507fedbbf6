"""Propose sums and means of the values of a sentence, and find the cell that prints a value of the text too."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise

from evals.reports.claims.drafting.proposals import Proposal, TableProposal
from evals.reports.claims.drafting.relations.levels import Level, interval, same_split
from evals.reports.claims.language.files import vocabulary_units

_TOTAL = re.compile(
    r"\btotal|\b(?:amounting|adding up|summing) to\b|in all|altogether|\bsum\b|合计|共计|总计|总共|一共|together", re.I
)
_PART = re.compile(r"of which|including|其中|包括", re.I)
_MEAN = re.compile(r"\baverage|\bmean\b|平均", re.I)


def propose_total(claim: Proposal, known: Sequence[Level], source: str = "") -> None:
    """Propose a sum or a mean of the other values of a sentence, if they give it or the text says that they do.

    Args:
        claim: a value of the text.
        known: the values of the article.
        source: the source of the article.
    """
    if not claim.unit or not claim.quantity:
        return
    total, mean = _TOTAL.search(claim.words), _MEAN.search(claim.words)
    if not (total or mean):
        return
    dimension = next((level.unit for level in known if level.id == claim.id), None)
    parts = [
        level
        for level in known
        if level.table is None
        and claim.sentence[0] <= level.span[0] < claim.sentence[1]
        and level.id != claim.id
        and dimension is not None
        and level.unit == dimension
        and level.is_plain
    ]
    if len(parts) < 2 or (mean and len({part.subject for part in parts}) > 1):
        return
    low, high = interval(claim)
    count = len(parts) if mean and not total else 1
    if sum(part.low for part in parts) / count <= high and low <= sum(part.high for part in parts) / count:
        text = " + ".join(part.id for part in parts)
        claim.derive = f"({text}) / {count}" if count > 1 else text
        claim.grounds.append(
            "is the mean of the values beside it" if count > 1 else "is the sum of the values beside it"
        )
    elif total and not _PART.search(claim.words) and _are_added(claim, parts):
        claim.derive = " + ".join(part.id for part in parts)
    elif total and not mean and not _leaves_out(parts, claim, source) and _is_broken_down(claim, parts, source):
        claim.derive = " + ".join(part.id for part in parts)
        claim.grounds.append("is called the total of the values behind it")
    elif total and not mean and not _leaves_out(parts, claim, source) and _is_called_their_sum(claim, parts, source):
        claim.derive = " + ".join(part.id for part in parts)
        is_less = high < sum(part.low for part in parts)
        if not (is_less and {*parts[0].unit.dimension} <= _ADDITIVE and parts[0].unit.dimension):
            claim.escapes = ["parts that are not named, or that overlap"]
        claim.grounds.append("is called the total of the values before it")
    elif mean and not total and _is_mean_of(claim, parts):
        claim.derive = f"({' + '.join(part.id for part in parts)}) / {count}"
        claim.quantity, claim.quantity_says = "average-score", "average score"
        claim.escapes = ["a weighted mean, or one of values that are not shown"]
        claim.grounds.append("is called the average of the values beside it")


def _leaves_out(parts: Sequence[Level], claim: Proposal, source: str) -> bool:
    """Whether the sentence has a further number that was not read: it may be a part too."""
    spans = [*(part.span for part in parts), claim.span]
    first, last = min(spans)[0], max(span[1] for span in spans)
    return any(
        not any(low <= first + match.start() < high for low, high in spans)
        for match in re.finditer(r"(?<![\w.,-])\d[\d.,]*", source[first:last])
    )


def _is_broken_down(claim: Proposal, parts: Sequence[Level], source: str) -> bool:
    """Whether a total is broken down behind a colon: "96 minutes in total: 41 for a, 35 for b and 20 for c"."""
    between, last = source[claim.span[1] : parts[0].span[0]], source[parts[-1].span[1] : claim.sentence[1]]
    joints = [source[a.span[1] : b.span[0]] for a, b in pairwise(parts)]
    return (
        claim.bound == "exactly"
        and claim.upto is None
        and bool(parts[0].unit.dimension)
        and {*parts[0].unit.dimension} <= _ADDITIVE
        and re.fullmatch(r"[^\d:：.;。]{0,40}[:：]\s?[$€£]?", between) is not None
        and re.search(r"\band\b|和|以及|,|、", joints[-1]) is not None
        and not _NO_SUM.search(source[claim.span[1] : claim.sentence[1]])
        and re.search(r"\bincluding|\be\.g\.|such as|etc|other|其他|等", between + last, re.I) is None
    )


def _is_called_their_sum(claim: Proposal, parts: Sequence[Level], source: str) -> bool:
    """Whether a value is put beside others as their total: "30 hours for a and 20 for b, 50 hours in all"."""
    sentence = source[claim.sentence[0] : claim.sentence[1]]
    places = [*(part.span for part in parts), claim.span]
    if (
        claim.bound != "exactly"
        or claim.upto is not None
        or any(part.span[1] > claim.span[0] for part in parts)
        or _NO_SUM.search(sentence)
        or len({"GPU" in source[place[1] : place[1] + 6] for place in places}) > 1
    ):
        return False
    between, after = source[parts[-1].span[1] : claim.span[0]], source[claim.span[1] : claim.span[1] + 40]
    return not _VERB.search(between) and (
        _TOTAL_BEFORE.search(between) is not None
        or (
            re.search(r"[,:;(\u2013\u2014\uff0c\uff1a\uff1b\uff08]\s*\W{0,2}$", between) is not None
            and _TOTAL_AFTER.match(after) is not None
        )
    )


_ADDITIVE = frozenset(("second", "bit", "dollar", "euro", "yuan", "pound", "token"))
"""Kinds of values whose parts do not overlap, so that a total cannot be less than their sum."""
_NO_SUM = re.compile(
    r"\b(?:each|per|times|of which|respectively|instead|than|vs\.?|from \d|average)\b|[\u00d7*]|每|其中|分别",
    re.I,
)
_VERB = re.compile(
    r"\b(?:is|was|were|are|has|have|had|used?|uses|trained|take[sn]?|took|costs?|needs?|but|while|after|before|then)\b",
    re.I,
)
_TOTAL_BEFORE = re.compile(
    r"[,:;(\u2013\u2014\uff0c\uff1a\uff1b\uff08\s](?:or |for |giving |making |which (?:gives|makes|adds up to) )?"
    r"(?:a|the)? ?(?:grand )?(?:total of|sum of|amounting to|adding up to|summing to)\s*\W{0,2}$|"
    r"(?:合计|共计|总计|总共|一共)\s*\W{0,2}$",
    re.I,
)
_TOTAL_AFTER = re.compile(r"\W{0,3}(?:[A-Za-z]+ ){0,3}?(?:in all|in total|altogether)\b", re.I)


def _is_mean_of(claim: Proposal, parts: Sequence[Level]) -> bool:
    """Whether a value is called the average of the values before it: "80 % on A and 84 % on B, an average of 82 %"."""
    return (
        claim.bound == "exactly"
        and claim.upto is None
        and _AVERAGE_OF_THESE.search(claim.words) is not None
        and all(part.span[1] <= claim.span[0] for part in parts)
        and len({part.subject for part in parts}) == 1
        and len({part.quantity for part in parts}) == len(parts)
    )


_AVERAGE_OF_THESE = re.compile(r"\b(?:an|the|for an) average of\s*$|\ban average of\b|平均(?:为|得分|分)?\s?\d", re.I)


def _are_added(claim: Proposal, parts: Sequence[Level]) -> bool:
    """Whether the text itself adds the values: "a + b + c"."""
    return claim.words.count("+") >= len(parts) - 1 > 0 and all(
        second.span[0] - first.span[1] < 40 for first, second in pairwise(parts)
    )


def propose_cell(claim: Proposal, known: Sequence[Level], tables: Sequence[TableProposal], sentence: str) -> None:
    """Let a value of the text be checked by the cell that prints it too; one that differs is noted only.

    Another protocol is as likely as a mistake where they differ: the claim is then open.

    Args:
        claim: a value of the text.
        known: the values of the article.
        tables: its tables.
        sentence: the source of the sentence of the value.
    """
    if claim.quantity is None or claim.subject is None or claim.unit is None or "at" in claim.conditions:
        return
    if (
        claim.unit != "percent"
        or not claim.is_score
        or not any(ground.startswith("subject named") for ground in claim.grounds)
    ):
        return  # of two sizes or amounts the drafter seldom knows which is meant
    low, high = interval(claim)
    same = [
        level
        for level in known
        if level.table
        and level.subject == claim.subject
        and level.quantity == claim.quantity
        and same_split(claim, level)
    ]
    if not all(_names_one_row(level, tables) for level in same):
        return  # of several settings of one system the text does not say which it means
    equal = [level for level in same if level.low < high and low < level.high]
    if len(equal) == 1 and claim.bound == "exactly" and claim.upto is None and not claim.conditions.get("place"):
        cell = equal[0]
        table = next(table for table in tables if table.id == cell.table)
        unit = next(str(column["unit"]) for column in table.columns if column["name"] == cell.column)
        if unit == claim.unit:
            claim.compares = {"table": cell.table, "column": cell.column, "row": cell.row, "relation": "level"}
            claim.grounds.append(f"{cell.id} prints it too")
    elif len(same) == 1 and not equal and _is_plain_run(claim, str(same[0].column), sentence):
        claim.doubt(f"{same[0].id} prints another value: another protocol, or one of them is wrong", 0.9)
        own_unit = vocabulary_units()[claim.unit]
        if claim.bound == "exactly" and claim.upto is None and same[0].is_plain and same[0].unit == own_unit:
            claim.derive = same[0].id
            claim.escapes = ["the table may be of another protocol, split or release"]


def _is_plain_run(claim: Proposal, column: str, sentence: str) -> bool:
    """Whether a score names its benchmark and neither split, shots, part nor another way to measure."""
    if re.search(rf"{re.escape(column)}[-+_]\w", sentence):
        return False
    is_named = not any("taken from the text before" in doubt for doubt in claim.doubts)
    return is_named and not claim.protocol and not _ANOTHER_RUN.search(sentence)


_ANOTHER_RUN = re.compile(
    r"\b(?:authors?|report(?:s|ed)|earlier|previous|preview|older|original|checkpoint|paper|their|own|internal|harness|"
    r"without|with|using|set|split|subset|strict|loose|version|variant|chat|instruct|experiments?|reproduc\w*|"
    r"compar\w+|win|won|wins)\b|报告|早期|此前|复现|自测|版本|集",
    re.I,
)


def _names_one_row(cell: Level, tables: Sequence[TableProposal]) -> bool:
    """Whether a table has one row with the name of a cell's row, which is no setting or task among others."""
    rows = [row for table in tables if table.id == cell.table for row in table.rows if row["name"] == cell.row]
    return len(rows) == 1 and not ("group" in rows[0] and "protocol" in rows[0])
