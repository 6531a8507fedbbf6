"""Arithmetic over claims and facts, as text that is parsed and never evaluated by Python.

    sum      := product (("+" | "-") product)*
    product  := power (("*" | "/") power)*
    power    := sign ("^" whole number)?
    sign     := "-" sign | atom
    atom     := NUMBER [unit] | CLAIM-ID | fact-id | function "(" sum ("," sum)* ")" | "(" sum ")"

A claim's id begins with a capital (`B-59`), a fact's id with a small letter (`a100-80gb-bandwidth`); a minus that is
meant as one stands between spaces. A unit follows its number without an operator (`2 byte/parameter`). A bare number in
a sum or a difference takes the unit of what it is added to: `100 - B-60` is in percent when B-60 is.

This module only reads; `reports` computes with intervals and units on the tree that it returns.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from evals.errors import InputError

FUNCTIONS = ("max", "min", "sqrt")
"""What may be called: the larger and the smaller of several, and the square root."""

CLAIM_ID = r"[A-Z][A-Za-z0-9]*-[0-9]+[a-z]?"
FACT_ID = r"[a-z][a-z0-9]*(?:\.[0-9]+[a-z0-9]*)*(?:-[a-z0-9]+(?:\.[0-9]+[a-z0-9]*)*)*"
_UNIT = r"[A-Za-zµ%]+(?:\^-?[0-9]+)?(?:[*/][A-Za-zµ]+(?:\^-?[0-9]+)?)*"
_TOKEN = re.compile(
    rf"\s*(?:(?P<number>[0-9]+(?:\.[0-9]+)?(?:e[+-]?[0-9]+)?)(?:\s*(?P<unit>{_UNIT})(?![\w-]))?"
    rf"|(?P<claim>{CLAIM_ID})|(?P<fact>{FACT_ID})|(?P<mark>\*\*|[-+*/^(),×÷−]))"
)
_SAME = {"**": "^", "×": "*", "÷": "/", "−": "-"}


@dataclass(frozen=True, slots=True)
class Number:
    """A number as it is written, exact."""

    text: str
    """Its digits, also `3.2e9`."""
    unit: str | None = None
    """Its unit as it is written (`byte/parameter`), or None for a bare number."""


@dataclass(frozen=True, slots=True)
class Reference:
    """Another claim's value, or a fact's."""

    id: str
    """`B-59` or `a100-80gb-bandwidth`."""

    @property
    def is_claim(self) -> bool:
        """Whether it names a claim and no fact."""
        return self.id[0].isupper()


@dataclass(frozen=True, slots=True)
class Operation:
    """Two values joined: `+`, `-`, `*`, `/`, or `^` whose right side is a whole `Number`."""

    operator: str
    left: Expression
    right: Expression


@dataclass(frozen=True, slots=True)
class Negation:
    """A value with its sign changed."""

    operand: Expression


@dataclass(frozen=True, slots=True)
class Call:
    """One of `FUNCTIONS` of at least one value."""

    function: str
    arguments: tuple[Expression, ...]


Expression = Number | Reference | Operation | Negation | Call


def parse(text: str) -> Expression:
    """Read an expression.

    Raises:
        InputError: naming what was found where something else was expected.

    Example:
        >>> parse("A-20 / 2 s")
        Operation(operator='/', left=Reference(id='A-20'), right=Number(text='2', unit='s'))
        >>> parse("B-59 - ")
        Traceback (most recent call last):
            ...
        evals.errors.InputError: 'B-59 -' ends where a number, a claim or '(' was expected
    """
    reader = _ExpressionParser(text)
    tree = reader.sum()
    if reader.kind:
        raise InputError(f"{text.strip()!r}: {reader.token!r} after the end; an operator was expected")
    return tree


def references(tree: Expression) -> Iterator[Reference]:
    """Go through the claims and facts that an expression is about, from left to right, with repetitions.

    Example:
        >>> [reference.id for reference in references(parse("min(B-20 * 8 bit, r1-layers)"))]
        ['B-20', 'r1-layers']
    """
    return (part for part in walk(tree) if isinstance(part, Reference))


def units(tree: Expression) -> Iterator[str]:
    """Go through the single units of an expression's numbers.

    Example:
        >>> list(units(parse("2 byte/parameter + 3")))
        ['byte', 'parameter']
    """
    for part in walk(tree):
        if isinstance(part, Number) and part.unit:
            yield from single_units(part.unit)


def single_units(text: str) -> list[str]:
    """Split a unit as it is written into the units that it is made of."""
    return re.findall(r"[A-Za-zµ%]+(?:-[A-Za-z]+)*", text)


def walk(tree: Expression) -> Iterator[Expression]:
    """Go through an expression and all its parts, from left to right."""
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
    """Goes through the tokens of one expression."""

    def __init__(self, text: str) -> None:
        """Stand before the first token."""
        self.text = text.strip()
        self.place = 0
        self.kind: str | None = None
        self.token = ""
        self.unit: str | None = None
        self.step()

    def step(self) -> None:
        """Go to the next token; `kind` is None at the end."""
        if self.place == len(self.text):
            self.kind, self.token, self.unit = None, "", None
            return
        found = _TOKEN.match(self.text, self.place)
        if not found:
            rest = self.text[self.place :].strip()
            raise InputError(f"{self.text!r}: {rest[:12]!r} is no number, claim, fact or operator")
        self.place = found.end()
        self.unit = found["unit"]
        self.kind = next(kind for kind in ("number", "claim", "fact", "mark") if found[kind])
        self.token = _SAME.get(found[self.kind], found[self.kind])

    def take(self, *marks: str) -> str | None:
        """Step over one of these marks and return it, or return None."""
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
        tree = self.sign()
        if self.take("^"):
            exponent = self.atom()
            if not (isinstance(exponent, Number) and exponent.text.isdigit() and exponent.unit is None):
                raise InputError(f"{self.text!r}: an exponent must be a whole number")
            tree = Operation("^", tree, exponent)
        return tree

    def sign(self) -> Expression:
        return Negation(self.sign()) if self.take("-") else self.atom()

    def atom(self) -> Expression:
        kind, token, unit = self.kind, self.token, self.unit
        if kind is None:
            raise InputError(f"{self.text!r} ends where a number, a claim or '(' was expected")
        if self.take("("):
            tree = self.sum()
            self.close()
            return tree
        if kind == "mark":
            raise InputError(f"{self.text!r}: {token!r} where a number, a claim or '(' was expected")
        self.step()
        if kind == "number":
            return Number(token, unit)
        return self.call(token) if self.kind == "mark" and self.token == "(" else Reference(token)

    def call(self, function: str) -> Expression:
        if function not in FUNCTIONS:
            raise InputError(f"{self.text!r}: {function!r} is no function; known: {', '.join(FUNCTIONS)}")
        self.take("(")
        arguments = [self.sum()]
        while self.take(","):
            arguments.append(self.sum())
        self.close()
        return Call(function, tuple(arguments))

    def close(self) -> None:
        if not self.take(")"):
            raise InputError(f"{self.text!r}: a bracket is not closed")
