"""The meanings of a change as formulas of a new value and an old one."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

from evals.reports.claims.drafting.proposals import Proposal
from evals.reports.claims.drafting.relations.levels import Level, interval

_HUNDRED = Fraction(1)
"""100 percent in base units."""


@dataclass(frozen=True, slots=True)
class Formula:
    """One meaning of a change."""

    says: str
    template: str
    """The expression, with `{new}` and `{old}`."""
    compute: Callable[[Fraction, Fraction], Fraction]
    adds_one: bool = False
    """Whether the formula gives one more than the printed number: three times more is four times as much."""

    def text(self, new: str, old: str) -> str:
        """Return the expression for two claims."""
        return self.template.format(new=new, old=old)


_DIFFERENCE = Formula("the difference", "{new} - {old}", lambda new, old: new - old)
_DROP = Formula("the drop", "{old} - {new}", lambda new, old: old - new)
_GAIN = Formula("the relative gain", "({new} - {old}) / {old}", lambda new, old: (new - old) / old)
_SAVING = Formula("the relative saving", "({old} - {new}) / {old}", lambda new, old: (old - new) / old)
_ERRORS = Formula(
    "the share of errors avoided",
    "((100 - {old}) - (100 - {new})) / (100 - {old})",
    lambda new, old: (new - old) / (_HUNDRED - old) if old != _HUNDRED else Fraction(0),
)
_RATIO = Formula("the ratio", "{new} / {old}", lambda new, old: new / old)
_INVERSE = Formula("the inverse ratio", "{old} / {new}", lambda new, old: old / new)
_FASTER = Formula("the gain in speed", "{old} / {new} - 1", lambda new, old: old / new - 1)
_SLOWER = Formula("the gain in speed", "{new} / {old} - 1", lambda new, old: new / old - 1)
_TIMES_MORE = Formula("so many times on top", "{new} / {old}", lambda new, old: new / old - 1, adds_one=True)
_TIMES_LESS = Formula("so many times on top", "{old} / {new}", lambda new, old: old / new - 1, adds_one=True)
_KEEPS = re.compile(r"\b(?:keep|retain|recover|preserv|maintain)\w*|保持|保留", re.I)
_ERROR_RATES = frozenset(("word-error-rate", "character-error-rate", "error-rate", "perplexity"))


def formulas(claim: Proposal, new: Level, old: Level) -> list[Formula]:
    """Return the meanings of a change of two values, the most natural first.

    Args:
        claim: the change.
        new: the value of its subject, or the end of "from a to b".
        old: the value of its baseline, or the start.
    """
    if min(new.low, old.low) <= 0:
        return [] if claim.unit != "points" else [_DIFFERENCE, _DROP]
    if claim.unit == "times":
        return _ratios(claim, new, old)
    if claim.unit == "points" or claim.unit not in {"percent", "times"}:
        return [_DROP, _DIFFERENCE] if claim.direction < 0 or _middle(new) < _middle(old) else [_DIFFERENCE, _DROP]
    if claim.quantity == "retention" or _KEEPS.search(claim.words):
        return [_RATIO]
    if claim.quantity == "error-reduction" and new.quantity not in _ERROR_RATES and new.unit.dimension == {}:
        return [_ERRORS, _SAVING] if _middle(new) >= _middle(old) else [_SAVING]
    is_score = new.unit.dimension == {}
    if _middle(new) < _middle(old):
        is_speed = claim.quantity not in {"cost-saving", "size-change", "memory-saving", "token-saving"}
        return [_SAVING, *([_DROP] if is_score else [_FASTER] if is_speed else [])]
    gain = _LESS if claim.direction < 0 and not _SLOW.search(claim.words) else _GAIN
    return [gain, *([_DIFFERENCE, _ERRORS] if is_score else [_SLOWER])]


def _ratios(claim: Proposal, new: Level, old: Level) -> list[Formula]:
    """Ratios whose value is above 1 for a number above 1; a share below 1 may be a part or a saving."""
    is_lower = _middle(new) < _middle(old)
    if claim.value < 1:
        return [_RATIO, _SAVING] if is_lower else [_INVERSE, _GAIN, _RATIO]
    first, more = (_INVERSE, _TIMES_LESS) if is_lower else (_RATIO, _TIMES_MORE)
    says_more = any(
        word in claim.words for word in ("提升", "提高", "增加", "快", "more", "faster", "higher", "larger", "增长")
    )
    return [first, *([more] if says_more and not claim.is_implied else [])]


def stated_formulas(
    claim: Proposal, new: Level, old: Level, before: str, after: str, *, is_share: bool
) -> list[Formula]:
    """Return the meanings of a change of the two values that its sentence gives for it: those that its words allow.

    Args:
        claim: the change.
        new: the new value.
        old: the old one.
        before: the words before the change.
        after: the words behind it.
        is_share: whether the values are percentages, so that a change in percent may be their difference.

    Returns:
        The formulas, the most natural first; none if the words say the opposite of what the values do.
    """
    is_lower, words = _middle(new) < _middle(old), f"{before} {after}"
    remains = _is_what_remains(claim, before, after)
    if claim.unit == "points":
        return [_DROP] if is_lower else [_DIFFERENCE]
    if claim.unit == "times":
        if claim.value < 1:
            return [_RATIO] if remains else [_RATIO, _SAVING] if is_lower else [_INVERSE, _GAIN]
        first, more = (_INVERSE, _TIMES_LESS) if is_lower else (_RATIO, _TIMES_MORE)
        return [first, *([more] if _MORE.search(words) and not claim.is_implied else [])]
    if remains:
        return [_RATIO]
    if is_lower:
        return [_SAVING, *([_DROP] if is_share else []), *([_FASTER] if _SPEED.search(words) else [])]
    if claim.direction < 0:
        return [_GAIN, _LESS] if _SLOW.search(words) else [_LESS]
    less = [_LESS] if _DECREASE.search(words) else []
    return [_GAIN, *([_DIFFERENCE, _ERRORS] if is_share else []), *less]


_LESS = Formula("the relative saving", "({new} - {old}) / {new}", lambda new, old: (new - old) / new)
_REMAINS_BEFORE = re.compile(
    r"(?:\b(?:keeps?|retains?|pays?|needs?|takes?)|原来的|相当于|保留了?|保持了?)\s*(?:an?|one|just|only|about)?\s*$",
    re.I,
)
_PART_BEFORE = re.compile(r"(?:\bto|\bis|\bare|到|至|为|是)\s*(?:an?|one|just|only|about|约)?\s*$", re.I)
_REMAINS_AFTER = re.compile(r"^\s*(?:of\b|as (?:much|many|large|big|fast|long)\b)", re.I)


def _is_what_remains(claim: Proposal, before: str, after: str) -> bool:
    """Whether a part is what one value is of the other, not what it lost: "to a third", "60 % of the 4.2 GB"."""
    is_of = _REMAINS_AFTER.match(after) is not None and not _DECREASE.search(before)
    is_part = (
        claim.unit == "times"
        and _PART_BEFORE.search(before) is not None
        and not re.match(r"\s*(?:less|fewer|smaller)", after)
    )
    return is_of or is_part or _REMAINS_BEFORE.search(before) is not None


_MORE = re.compile(
    r"提升|提高|增加|快|增长|\b(?:more|faster|higher|larger|bigger|longer|increase|improve\w*|gain)\b", re.I
)
_SPEED = re.compile(r"\b(?:fast|speed|quick|throughput|more\b|increas|gain)|快|速|提升|提高|吞吐", re.I)
"""Words by which less time may be meant as more speed."""
_SLOW = re.compile(r"\bslow(?:er|s|ed)?\b|慢", re.I)
"""Words by which more time is meant, although they say less: "60 % slower"."""
_DECREASE = re.compile(r"\b(?:less|fewer|lower|reduc|sav|short|down\b|cut)|少|降|减|省|短|[−-]\s?$", re.I)


def _middle(level: Level) -> Fraction:
    return (level.low + level.high) / 2


@dataclass(frozen=True, slots=True)
class Target:
    """The values that a change may have."""

    low: Fraction
    high: Fraction

    @classmethod
    def of(cls, claim: Proposal) -> Target:
        """Return the values that round to the digits of a change; a bound or "about" widens them."""
        low, high = interval(claim)
        value = (low + high) / 2
        tenth = abs(value) / 10
        if claim.bound == "about" or (claim.is_implied and claim.bound == "exactly"):
            margin = (2 if claim.is_hedged else 1) * tenth
            low, high = min(low, value - margin), max(high, value + margin)
        if claim.bound in {"at-least", "above"}:
            high = max(high, value + 3 * tenth)
        if claim.bound in {"at-most", "below"}:
            low = min(low, value - 3 * tenth)
        return cls(low, high)

    def holds_middle(self, formula: Formula, new: Level, old: Level) -> bool:
        """Whether the printed values themselves give the change, without the rounding of their last digits."""
        return self.low <= formula.compute(_middle(new), _middle(old)) <= self.high


def fits(target: Target, formula: Formula, new: Level, old: Level) -> bool:
    """Whether some values that round to the printed digits give the change.

    Args:
        target: the values that the change may have.
        formula: its meaning.
        new: the new value.
        old: the old value.
    """
    corners = [formula.compute(a, b) for a in (new.low, new.high) for b in (old.low, old.high) if a > 0 and b > 0]
    if not corners:
        return False
    low, high = target.low, target.high
    return min(corners) < high and low < max(corners) if low < high else min(corners) <= low <= max(corners)
