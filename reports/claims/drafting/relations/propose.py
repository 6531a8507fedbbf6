"""Propose how the numbers of an article follow from each other.

Differences, ratios, savings, error reductions, sums and means are proposed. A change ("+23 %", "2.3 times faster", "a
gap of 4.5 points") is held against each pair of values that it may mean, in each meaning that its words allow. A pair
that fits becomes its `derive`. If none fits, a formula is proposed only where one pair alone can be meant: the check
then shows that it does not follow.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from fractions import Fraction

from evals.reports.claims.drafting.drafter import ArticleDraft
from evals.reports.claims.drafting.proposals import Proposal
from evals.reports.claims.drafting.relations.candidates import tiers
from evals.reports.claims.drafting.relations.counts import propose_counted
from evals.reports.claims.drafting.relations.failing import propose_failing, propose_only_pair
from evals.reports.claims.drafting.relations.formulas import Target, fits, formulas
from evals.reports.claims.drafting.relations.levels import Level, levels
from evals.reports.claims.drafting.relations.products import propose_product
from evals.reports.claims.drafting.relations.stated import propose_stated
from evals.reports.claims.drafting.relations.totals import propose_cell, propose_total
from evals.reports.claims.drafting.tables.means import propose_means
from evals.reports.claims.drafting.text.passages import Passage
from evals.reports.claims.language.expressions import referenced_claims

_MOST_PAIRS = (1_000, 200, 24)
"""Numbers of pairs, in the sentence, of both systems, of the subject and any other, among which a fit is no chance."""


def propose_relations(draft: ArticleDraft, passages: Sequence[Passage]) -> None:
    """Give the changes of a draft their formula, its sums and means too, and the columns of averages their parts.

    Args:
        draft: the draft.
        passages: its texts.
    """
    for table in draft.tables:
        propose_means(table)
    known = levels(draft)
    places, named = {claim.span: claim for claim in draft.claims}, {level.id: level for level in known}
    ids = {level.span: level.id for level in known}
    for claim in draft.claims:
        if claim.formula is not None and all(place in ids for place in claim.operands):
            claim.derive = claim.formula.format(*(ids[place] for place in claim.operands))
    for passage in passages:
        propose_stated(passage, places, named)
        propose_counted(passage, places)
    for claim in draft.claims:
        if claim.unit == "points" and claim.baseline is None:
            _read_between(claim, draft)
    changes = [claim for claim in draft.claims if claim.is_change and not claim.derive and not claim.is_settled]
    open_changes = [claim for claim in changes if not _propose_fitting(claim, known)]
    explained = {frozenset(referenced_claims(claim.derive)) for claim in draft.claims if claim.derive}
    for claim in open_changes:
        propose_only_pair(claim, known, explained, draft)
    for claim in draft.claims:
        if not claim.is_change:
            propose_total(claim, known, draft.article.source)
            propose_product(claim, known, draft.article.source)
            sentence = draft.article.source[claim.sentence[0] : claim.sentence[1]]
            if claim.derive is None:
                propose_cell(claim, known, draft.tables, _without_names(sentence, draft))


def _without_names(text: str, draft: ArticleDraft) -> str:
    """A sentence without the names of systems, whose words say nothing of how a value came about."""
    for mention in reversed(list(draft.names.mentions(text))):
        text = f"{text[: mention.start]} {text[mention.end :]}"
    return text


def _read_between(claim: Proposal, draft: ArticleDraft) -> None:
    """Take the two systems of "the gap between A and B is 4.5 points" as its subject and baseline."""
    sentence = draft.article.source[claim.sentence[0] : claim.span[0]]
    if (between := re.search(r"\b(?:gap|difference|margin) between\b|[与和].{1,30}(?:差距|相差)", sentence)) is None:
        return
    named = [mention.subject for mention in draft.names.mentions(sentence)]
    if len(named) == len(set(named)) == 2 and between.start() < len(sentence) - 3:
        claim.subject, claim.baseline = named
        claim.grounds.append("subject named in the clause")


def _propose_fitting(claim: Proposal, known: Sequence[Level]) -> bool:
    """Give a change the formula of the first pair that fits; returns whether there is one, or none is looked for."""
    if claim.between is not None or claim.is_cell:
        _propose_between(claim, known)
        return True
    for tier, pairs in enumerate(tiers(claim, known)):
        if tier and len(pairs) > _MOST_PAIRS[tier]:
            continue
        target = Target.of(claim)
        matching = [
            (pair, formula) for pair in pairs for formula in formulas(claim, *pair) if fits(target, formula, *pair)
        ]
        if tier:  # among many pairs one that fits only at the edges of its rounding is chance
            matching = [entry for entry in matching if target.holds_middle(entry[1], *entry[0])]
        if matching and (tier < 2 or _is_telling(claim)):
            (new, old), formula = matching[0]
            claim.derive = formula.text(new.id, old.id)
            claim.grounds.append(f"fits {formula.says} of {new.id} and {old.id}")
            if claim.is_implied and claim.bound == "exactly":
                claim.bound = "about"
            if formula.adds_one:
                claim.readings = [
                    {
                        "says": "so much on top of the baseline",
                        "reads": f"{claim.id} + 1",
                        "derive": formula.text(new.id, old.id),
                    }
                ]
            if claim.baseline is None and old.subject not in {None, claim.subject}:
                claim.baseline = old.subject
            return True
    return False


def _propose_between(claim: Proposal, known: Sequence[Level]) -> None:
    """Hold the change of a table against the two values beside it."""
    pair = [level for place in claim.between or () for level in known if level.span == place and level.is_plain]
    if len(pair) != 2 or pair[0].unit.dimension != pair[1].unit.dimension:
        return
    if claim.unit == "points" and any(level.unit.factor != Fraction(1, 100) for level in pair):
        return
    old, new = pair
    matching = [formula for formula in formulas(claim, new, old) if fits(Target.of(claim), formula, new, old)]
    if matching:
        claim.derive = matching[0].text(new.id, old.id)
        claim.grounds.append(f"fits {matching[0].says} of {new.id} and {old.id}, which stand beside it")
    else:
        propose_failing(claim, (new, old))


def _is_telling(claim: Proposal) -> bool:
    """Whether digits say enough that a fit is no chance: two of them at least."""
    return not claim.is_implied and len(claim.printed.replace(".", "").strip("0")) >= 2
