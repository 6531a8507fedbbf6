"""Statements: a subject, a quantity and a value, the common form of claims and public facts.

A value has one of three forms:

- digits: `printed` (as the document prints them; "78.3" means 78.25 to 78.35) or `implied` (given in words:
  "twice" is exactly 2), multiplied by `times`, in `unit`; `upto` is the upper end of a range;
- a category: `value`, a word, a set of words, or an order of words, as its quantity declares;
- computed: only `derive` is given, and the value is the result of the expression.

`bound` says how the value is meant.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema, model_validator

from evals.errors import shorten
from evals.plain_numbers import is_real

Bound = Literal["exactly", "about", "at-least", "at-most", "above", "below", "without"]
"""How a value is meant. For digits: equal within the rounding, equal within a margin, or a bound that is included
(`at-least`, `at-most`) or not (`above`, `below`). For sets: `exactly` these, `at-least` these (and maybe more),
`at-most` these, `without` these."""

_DIGITS = r"^-?[0-9]{1,50}(\.[0-9]{1,50})?$"
_GROUPED = r"-?[0-9]{1,3}(,[0-9]{3})+(\.[0-9]{1,50})?"
"""A number with commas between its thousands."""


def _without_separators(value: Any) -> Any:
    return value.replace(",", "") if isinstance(value, str) and re.fullmatch(_GROUPED, value) else value


Digits = Annotated[
    str,
    Field(pattern=_DIGITS),
    BeforeValidator(_without_separators, json_schema_input_type=str),
    WithJsonSchema({"type": ["string", "number"], "pattern": f"{_DIGITS}|^{_GROUPED}$"}),
]
"""A number as printed, quoted in YAML, with or without commas between thousands; its last digit gives its precision."""
ExpressionText = Annotated[str, Field(min_length=1)]
"""Arithmetic over claims and facts; see `evals.reports.claims.language.expressions`."""
Line = Annotated[str, Field(min_length=1)]


def _as_tuple(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


def _plain_number(value: Any) -> Any:
    if isinstance(value, str) and not is_real(value):
        raise ValueError(f"{shorten(value, 60)} is not a number")
    return value


Factor = Annotated[Decimal, Field(ge=Decimal("1e-30"), le=Decimal("1e30")), BeforeValidator(_plain_number)]
Words = Annotated[tuple[Line, ...], BeforeValidator(_as_tuple, json_schema_input_type=str | list[str])]
"""A word or a list of words."""


class StrictModel(BaseModel):
    """Base of all models of YAML files: frozen, and unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class StatedValue(StrictModel):
    """A value as a document states it: digits, a category, or an expression."""

    printed: Digits | None = None
    """The digits as printed; the last place gives the precision."""
    implied: Digits | None = None
    """Digits that the document gives in words ("twice") or that its wording implies; exact."""
    upto: Digits | None = None
    """The upper end of a printed range; `printed` is then the lower end."""
    plus_minus: Digits | None = None
    """The half-width that the document prints after the digits (78.3 ± 0.4), counted like them; the value then means
    the whole interval."""
    interval: tuple[Digits, Digits] | None = None
    """The ends of the interval that the document prints with the digits (78.3 [77.1, 79.5]); the value then means the
    whole interval, which must contain the digits."""
    times: Factor = Decimal(1)
    """The factor that the digits count: 1e8 for 亿, 1e9 for billions. It scales the precision too."""
    exact: bool = False
    """Whether the printed digits are a count or a setting and not rounded: 8-bit integers, 64 experts."""
    unit: str | None = None
    """A unit of `reports/claims/facts/vocabulary.yaml`; percentages of a whole are `percent`, their differences
    `points`."""
    value: Words | None = None
    """A category: a word, a set of words, or an order of words (first to last); the quantity declares which."""
    bound: Bound = "exactly"
    """How the value is meant."""
    margin: Digits | None = None
    """With `about`: the largest deviation that still counts as the same, in `unit`."""
    derive: ExpressionText | None = None
    """The same value computed from others. With digits beside it, the two are compared; alone, it is the value."""

    @property
    def digits(self) -> str | None:
        """The printed or implied digits; None for a category or a computed value."""
        return self.printed if self.printed is not None else self.implied

    @model_validator(mode="after")
    def _one_form(self) -> StatedValue:
        if self.printed is not None and self.implied is not None:
            raise ValueError("has both 'printed' and 'implied': digits are either in the document or in its words")
        if self.value is not None and (self.digits is not None or self.derive is not None):
            raise ValueError("has both a category ('value') and a number: make two statements of it, with 'implies'")
        if self.upto is not None and (self.printed is None or Decimal(self.upto) < Decimal(self.printed)):
            raise ValueError("'upto' is the upper end of a range whose lower end is 'printed'")
        if self.interval is not None and (self.digits is None or self.upto is not None or self.plus_minus is not None):
            raise ValueError("'interval' belongs to one number: give 'printed', and neither 'upto' nor 'plus_minus'")
        if self.bound == "without" and self.value is None:
            raise ValueError("bound 'without' needs a set: give 'value'")
        return self


class Statement(StatedValue):
    """A value of a quantity of a subject; documents and the public record are compared statement by statement.

    Two statements have the same topic if `subject`, `release`, `quantity`, `baseline` and `conditions` are equal.
    """

    subject: Words = ()
    """The subjects of the document or the record that the statement is about; it applies to each of them. A claim
    without a subject has that of the claims that it is derived from, except its baseline; failing that, it is about the
    document."""
    quantity: str | None = None
    """A quantity of `reports/claims/facts/vocabulary.yaml` or of the document. It declares how values compare."""
    baseline: str | None = None
    """For differences and ratios: the subject compared with."""
    conditions: dict[str, str] = Field(default_factory=dict)
    """The conditions (`{tokens: "1024"}`); statements under different conditions are not compared."""
    release: str | None = None
    """The release or variant of the subject (`V3-Base`), if several share its name."""
    protocol: dict[str, str] = Field(default_factory=dict)
    """How a score was obtained (`{shots: "5", prompt: CoT, metric: pass@1}`), as far as it is stated; scores under
    different protocols are not compared."""

    @property
    def comparison(self) -> str | None:
        """How a value is relative to its baseline: in `points`, in `percent` or in `times`; None for anything else.

        Values that are relative in different ways are not compared: 10.3 points may be 13.2 percent.
        """
        return None if self.baseline is None else _COMPARISONS.get(self.unit or "")


_COMPARISONS = {
    **dict.fromkeys(("points", "pp"), "points"),
    **dict.fromkeys(("percent", "%"), "percent"),
    **dict.fromkeys(("times", "×"), "times"),
}
