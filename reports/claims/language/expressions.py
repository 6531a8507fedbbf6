"""Parse arithmetic expressions over claims and facts; Python never evaluates the text.

    sum      := product (("+" | "-") product)*
    product  := power (("*" | "/") power)*
    power    := sign ("^" whole number)?
    sign     := "-" sign | atom
    atom     := NUMBER [unit] | CLAIM-ID | fact-id | function "(" sum ("," sum)* ")" | "(" sum ")"

The id of a claim begins with a capital letter (`B-59`), that of a fact with a small one (`a100-80gb-bandwidth`). A
minus sign needs a space on each side. A unit follows its number without an operator (`2 byte/parameter`). A number
without a unit takes the unit of the other operand in a sum or difference: `100 - B-60` is in percent if B-60 is.

This module only parses; `evals.reports.claims.language.trees` gives the numbers units and meaning, and
`evals.reports.claims.language.intervals` computes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from evals.errors import InputError, shorten

FUNCTIONS = ("exact", "max", "min", "sqrt")
"""The functions that an expression may call."""

CLAIM_ID = r"[A-Z][A-Za-z0-9]*-[0-9]+[a-z]?"
FACT_ID = r"[a-z][a-z0-9]*(?:\.[0-9]+[a-z0-9]*)*(?:-[a-z0-9]+(?:\.[0-9]+[a-z0-9]*)*)*"
_UNIT = r"[A-Za-zµ%]+(?:\^-?[0-9]+)?(?:[*/][A-Za-zµ]+(?:\^-?[0-9]+)?)*"
_TOKEN = re.compile(
    rf"\s*(?:(?P<number>[0-9]+(?:\.[0-9]+)?(?:e[+-]?[0-9]+)?)(?:\s*(?P<unit>{_UNIT})(?![\w-]))?"
    rf"|(?P<claim>{CLAIM_ID})|(?P<fact>{FACT_ID})|(?P<mark>\*\*|[-+*/^(),×÷−]))"
)
MAX_LENGTH = 2_000
"""Limit on the characters of an expression."""
MAX_SIZE = 250
"""Limit on the numbers, names and operators of an expression, a power counted as the product that it stands for."""
MAX_NESTING = 40
"""Limit on brackets within brackets, and on signs in a row."""
MAX_DIGITS = 50
"""Limit on the digits of a number."""
MAX_EXPONENT = 100
"""Limit on the power of ten of a number (`1e100`); exponents after `^` are limited by `MAX_SIZE`."""

_SAME = {"**": "^", "×": "*", "÷": "/", "−": "-"}


@dataclass(frozen=True, slots=True)
class Number:
    """A number, kept as text so that it stays exact."""

    text: str
    """The digits, with an exponent if there is one (`3.2e9`)."""
    unit: str | None = None
    """The unit as written (`byte/parameter`), or None."""


@dataclass(frozen=True, slots=True)
class Reference:
    """The value of another claim or of a fact."""

    id: str
    """`B-59` or `a100-80gb-bandwidth`."""

    @property
    def is_claim(self) -> bool:
        """Whether it refers to a claim rather than a fact."""
        return self.id[0].isupper()


@dataclass(frozen=True, slots=True)
class Operation:
    """Two operands and `+`, `-`, `*`, `/`, or `^` with a whole `Number` on the right."""

    operator: str
    left: Expression
    right: Expression


@dataclass(frozen=True, slots=True)
class Negation:
    """An operand with its sign changed."""

    operand: Expression


@dataclass(frozen=True, slots=True)
class Call:
    """A call of one of `FUNCTIONS` with at least one argument."""

    function: str
    arguments: tuple[Expression, ...]


Expression = Number | Reference | Operation | Negation | Call


def parse(text: str) -> Expression:
    """Parse an expression.

    Raises:
        InputError: the text is not an expression; the message names the unexpected token.

    Example:
        >>> parse("A-20 / 2 s")
        Operation(operator='/', left=Reference(id='A-20'), right=Number(text='2', unit='s'))
        >>> parse("B-59 - ")
        Traceback (most recent call last):
            ...
        evals.errors.InputError: 'B-59 -' ends where a number, a claim or '(' was expected
    """
    if len(text) > MAX_LENGTH:
        raise InputError(
            f"{shorten(text.strip(), 100)}: {len(text):,} characters; an expression has at most {MAX_LENGTH:,}"
        )
    parser = _ExpressionParser(text)
    tree = parser.sum()
    if parser.kind:
        raise InputError(f"{parser.shown}: {parser.token!r} after the end; an operator was expected")
    return tree


def references(tree: Expression) -> Iterator[Reference]:
    """Yield the claims and facts in an expression, from left to right, with repetitions.

    Example:
        >>> [reference.id for reference in references(parse("min(B-20 * 8 bit, r1-layers)"))]
        ['B-20', 'r1-layers']
    """
    return (part for part in walk(tree) if isinstance(part, Reference))


def referenced_claims(text: str | None) -> list[str]:
    """List the ids of the claims in an expression, each once; none for None.

    Example:
        >>> referenced_claims("B-20 * 8 bit + B-20 + r1-layers")
        ['B-20']
    """
    ids = [reference.id for reference in references(parse(text)) if reference.is_claim] if text else []
    return list(dict.fromkeys(ids))


def units(tree: Expression) -> Iterator[str]:
    """Yield the single units of the numbers in an expression.

    Example:
        >>> list(units(parse("2 byte/parameter + 3")))
        ['byte', 'parameter']
    """
    for part in walk(tree):
        if isinstance(part, Number) and part.unit:
            yield from single_units(part.unit)


def single_units(text: str) -> list[str]:
    """Split a compound unit as written (`byte/parameter`) into its single units."""
    return re.findall(r"[A-Za-zµ%]+(?:-[A-Za-z]+)*", text)


def walk(tree: Expression) -> Iterator[Expression]:
    """Yield an expression and all its parts, from left to right."""
    yield tree
    match tree:
        case Operation(_, left, right):
            parts: tuple[Expression, ...] = (left, right)
        case Negation(operand):
            parts = (operand,)
        case Call(_, parts):
            pass
        case _:
            parts = ()
    for part in parts:
        yield from walk(part)


class _ExpressionParser:
    """A recursive-descent parser over the tokens of one expression."""

    def __init__(self, text: str) -> None:
        """Read the first token."""
        self.text = text.strip()
        self.shown = shorten(text.strip(), 100)
        self.position = 0
        self.size = 0
        self.nesting = 0
        self.kind: str | None = None
        self.token = ""
        self.unit: str | None = None
        self.step()

    def step(self) -> None:
        """Read the next token; `kind` is None at the end."""
        if self.position == len(self.text):
            self.kind, self.token, self.unit = None, "", None
            return
        match = _TOKEN.match(self.text, self.position)
        if not match:
            rest = self.text[self.position :].strip()
            raise InputError(f"{self.shown}: {rest[:12]!r} is not a number, claim, fact or operator")
        self.position = match.end()
        self.unit = match["unit"]
        self.kind = next(kind for kind in ("number", "claim", "fact", "mark") if match[kind])
        self.token = _SAME.get(match[self.kind], match[self.kind])
        self.grow(1)
        if self.kind == "number":
            self.check_number()

    def grow(self, parts: int) -> None:
        """Count parts of the tree. Raises `InputError` if there are too many."""
        self.size += parts
        if self.size > MAX_SIZE:
            raise InputError(f"{self.shown} has over {MAX_SIZE} numbers and operators (a power counts as a product)")

    def check_number(self) -> None:
        """Raise `InputError` for a number with too many digits or too large a power of ten."""
        mantissa, _, exponent = self.token.partition("e")
        digits = exponent.lstrip("+-").lstrip("0")
        if len(mantissa) > MAX_DIGITS or len(digits) > 3 or int(digits or "0") > MAX_EXPONENT:
            allowed = f"at most {MAX_DIGITS} digits, and powers of ten up to {MAX_EXPONENT}, can be used"
            raise InputError(f"{self.shown}: the number {shorten(self.token, 100)}; {allowed}")

    @contextmanager
    def deeper(self) -> Iterator[None]:
        """Count a level of nesting while a part is parsed. Raises `InputError` if there are too many."""
        self.nesting += 1
        if self.nesting > MAX_NESTING:
            raise InputError(f"{self.shown}: over {MAX_NESTING} brackets or signs within each other")
        yield
        self.nesting -= 1

    def take(self, *marks: str) -> str | None:
        """Consume and return the current token if it is one of these marks; otherwise return None."""
        if self.kind != "mark" or self.token not in marks:
            return None
        taken = self.token
        self.step()
        return taken

    def sum(self) -> Expression:
        tree = self.product()
        while operator := self.take("+", "-"):
            tree = Operation(operator, tree, self.product())
        return tree

    def product(self) -> Expression:
        tree = self.power()
        while operator := self.take("*", "/"):
            tree = Operation(operator, tree, self.power())
        return tree

    def power(self) -> Expression:
        before = self.size - 1  # the first token of the base is counted already
        tree = self.sign()
        parts = self.size - 1 - before  # without the token after the base
        if self.take("^"):
            exponent = self.atom()
            if not (isinstance(exponent, Number) and exponent.text.isdecimal() and exponent.unit is None):
                raise InputError(f"{self.shown}: an exponent must be a whole number")
            self.grow((parts + 1) * min(int(exponent.text[:4]), MAX_SIZE))
            tree = Operation("^", tree, exponent)
        return tree

    def sign(self) -> Expression:
        if not self.take("-"):
            return self.atom()
        with self.deeper():
            return Negation(self.sign())

    def atom(self) -> Expression:
        kind, token, unit = self.kind, self.token, self.unit
        if kind is None:
            raise InputError(f"{self.shown} ends where a number, a claim or '(' was expected")
        if self.take("("):
            with self.deeper():
                tree = self.sum()
            self.close()
            return tree
        if kind == "mark":
            raise InputError(f"{self.shown}: {token!r} where a number, a claim or '(' was expected")
        self.step()
        if kind == "number":
            return Number(token, unit)
        return self.call(token) if self.kind == "mark" and self.token == "(" else Reference(token)

    def call(self, function: str) -> Expression:
        if function not in FUNCTIONS:
            raise InputError(f"{self.shown}: {function!r} is not a function; known: {', '.join(FUNCTIONS)}")
        self.take("(")
        with self.deeper():
            arguments = [self.sum()]
            while self.take(","):
                arguments.append(self.sum())
        self.close()
        return Call(function, tuple(arguments))

    def close(self) -> None:
        if not self.take(")"):
            raise InputError(f"{self.shown}: a bracket is not closed")
