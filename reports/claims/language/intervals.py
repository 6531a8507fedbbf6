"""What an expression over printed numbers can come to.

An expression of `evals.reports.claims.language.expressions` is resolved once: references become names of a box or the
trees that they are
computed by, units are checked, numbers are in base units. The result is a tree of numbers and names, and `extent` gives
the ends of its values over the box of all that the printed digits may stand for. Plain interval arithmetic forgets that
B-60 in "(B-59 - B-60) / (100 - B-60)" is the same number twice and gives ends that are too wide; here every derivative
is enclosed too, and a tree that only rises or falls with each name has its ends at two corners of the box.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from math import isqrt
from typing import Any

from evals.errors import InputError
from evals.reports.claims.language.expressions import Call, Expression, Negation, Number, Operation, Reference
from evals.reports.claims.language.units import PLAIN, Unit, Units, spell

Ends = tuple[Fraction, Fraction]
Box = Mapping[str, Ends]
_NOTHING: Ends = (Fraction(0), Fraction(0))
_ONE: Ends = (Fraction(1), Fraction(1))
_LESS: Ends = (Fraction(-1), Fraction(-1))
_SCALE = 1 << 60
"""Roots are enclosed to one part in so many."""
_HALVINGS = 6
"""How often a box is halved where a tree both rises and falls, before the wider plain interval is taken."""


@dataclass(frozen=True, slots=True)
class Node:
    """A tree of numbers in base units and names of the box."""

    kind: str
    """`number`, `name`, or an operation: `+ - * / neg sqrt min max`."""
    number: Fraction = Fraction(0)
    name: str = ""
    parts: tuple[Node, ...] = ()


@dataclass(frozen=True, slots=True)
class ResolvedExpression:
    """A tree and the unit that its values are read in."""

    tree: Node
    unit: Unit
    bare: bool = False
    """Whether it is only numbers without a unit, which take the unit of what they are added to or compared with."""


Lookup = Callable[[str], "Unit | ResolvedExpression"]
"""Gives the unit of a name of the box, or the tree that the name stands for; raises `InputError`."""


def resolve(tree: Expression, lookup: Lookup, units: Units) -> ResolvedExpression:
    """Check units, replace what is computed, and put numbers into base units.

    Raises:
        InputError: when seconds are added to bytes, or a name is unknown.

    Example:
        >>> from evals.reports.claims.language.expressions import parse
        >>> percent = Unit("%", Fraction(1, 100), {})
        >>> extent(resolve(parse("100 - B-60"), lambda name: percent, Units({})).tree, {"B-60": (Fraction(1, 2),) * 2})
        (Fraction(1, 2), Fraction(1, 2))
    """
    match tree:
        case Number(text, None):
            return ResolvedExpression(Node("number", Fraction(text)), PLAIN, bare=True)
        case Number(text, str() as name):
            measure = units[name]
            return ResolvedExpression(Node("number", Fraction(text) * measure.factor), measure)
        case Reference(name):
            found = lookup(name)
            return (
                found if isinstance(found, ResolvedExpression) else ResolvedExpression(Node("name", name=name), found)
            )
        case Negation(operand):
            inner = resolve(operand, lookup, units)
            return ResolvedExpression(Node("neg", parts=(inner.tree,)), inner.unit, inner.bare)
        case Operation("^", left, Number(text)):
            base = resolve(left, lookup, units)
            power = ResolvedExpression(Node("number", Fraction(1)), PLAIN, bare=base.bare)
            for _ in range(int(text)):
                power = _product("*", power, base)
            return power
        case Operation(operator, left, right):
            sides = resolve(left, lookup, units), resolve(right, lookup, units)
            return _product(operator, *sides) if operator in {"*", "/"} else added(operator, *sides)
        case Call("sqrt", arguments):
            return _root(resolve(arguments[0], lookup, units))
        case Call(function, arguments):
            parts = [resolve(argument, lookup, units) for argument in arguments]
            whole = parts[0]
            for part in parts[1:]:
                whole = added(function, whole, part)
            return whole
    raise InputError(f"cannot compute {tree!r}")


def added(kind: str, left: ResolvedExpression, right: ResolvedExpression) -> ResolvedExpression:
    """Join two values that must be of one dimension: `+`, `-`, `min`, `max`.

    Raises:
        InputError: they are of two dimensions.
    """
    left, right = _beside(left, right), _beside(right, left)
    ours, theirs = (spell(side.unit.dimension) or "plain numbers" for side in (left, right))
    if ours != theirs:
        raise InputError(f"{ours} cannot be joined or compared with {theirs}")
    return ResolvedExpression(Node(kind, parts=(left.tree, right.tree)), left.unit, left.bare and right.bare)


def _beside(one: ResolvedExpression, other: ResolvedExpression) -> ResolvedExpression:
    """Give a bare number the unit of what it stands beside."""
    if not one.bare or other.bare:
        return one
    factor = Node("number", other.unit.factor)
    return ResolvedExpression(Node("*", parts=(one.tree, factor)), other.unit)


def _product(kind: str, left: ResolvedExpression, right: ResolvedExpression) -> ResolvedExpression:
    sign = 1 if kind == "*" else -1
    powers = dict(left.unit.dimension)
    for base, power in right.unit.dimension.items():
        powers[base] = powers.get(base, 0) + sign * power
    dimension = {base: power for base, power in powers.items() if power}
    # A percentage times a number stays one to read: 0.85 * B-55 is 75.8 %.
    kept = left.unit if right.bare else right.unit if left.bare and kind == "*" else None
    measure = kept if kept is not None and not (left.bare and right.bare) else None
    unit = measure or Unit(spell(dimension), Fraction(1), dimension)
    return ResolvedExpression(Node(kind, parts=(left.tree, right.tree)), unit, left.bare and right.bare)


def _root(inner: ResolvedExpression) -> ResolvedExpression:
    if any(power % 2 for power in inner.unit.dimension.values()):
        raise InputError(f"{spell(inner.unit.dimension)} has no square root")
    dimension = {base: power // 2 for base, power in inner.unit.dimension.items()}
    return ResolvedExpression(
        Node("sqrt", parts=(inner.tree,)), Unit(spell(dimension), Fraction(1), dimension), inner.bare
    )


def names(tree: Node) -> list[str]:
    """List the names of a tree, each once, in the order of reading."""
    return list(dict.fromkeys(_names(tree)))


def _names(tree: Node) -> Iterator[str]:
    if tree.kind == "name":
        yield tree.name
    for part in tree.parts:
        yield from _names(part)


# Values


def compute(tree: Node, values: Mapping[str, Any], *, root: Callable[[Any], Any] | None = None) -> Any:
    """Compute a tree over fractions, or with `root` over arrays.

    Raises:
        ZeroDivisionError: a divisor is zero, or a root's argument below it.
    """
    if tree.kind == "number":
        return tree.number if root is None else float(tree.number)
    if tree.kind == "name":
        return values[tree.name]
    parts = [compute(part, values, root=root) for part in tree.parts]
    match tree.kind:
        case "+":
            return parts[0] + parts[1]
        case "-":
            return parts[0] - parts[1]
        case "*":
            return parts[0] * parts[1]
        case "/":
            return parts[0] / parts[1]
        case "neg":
            return -parts[0]
        case "sqrt":
            return (root or square_root)(parts[0])
        case kind:
            sign = 1 if kind == "max" else -1
            return (parts[0] + parts[1] + sign * abs(parts[0] - parts[1])) / 2


def square_root(value: Fraction) -> Fraction:
    """Take a root to one part in 2^60."""
    if value < 0:
        raise ZeroDivisionError(f"no root of {float(value)}")
    return Fraction(isqrt(value.numerator * value.denominator * _SCALE * _SCALE), value.denominator * _SCALE)


def extent(tree: Node, box: Box, halvings: int = _HALVINGS) -> Ends:
    """Enclose what a tree can be over a box; exactly where it only rises or falls with each name.

    Raises:
        ZeroDivisionError: a divisor may be zero somewhere in the box.
    """
    whole = _enclose(tree, box)
    slopes = {name: whole.slopes.get(name, _NOTHING) for name in names(tree)}
    turning = [name for name, (low, high) in slopes.items() if low < 0 < high]
    if not turning:
        lowest = {name: box[name][0 if low >= 0 else 1] for name, (low, _) in slopes.items()}
        highest = {name: box[name][1 if low >= 0 else 0] for name, (low, _) in slopes.items()}
        return compute(tree, lowest), compute(tree, highest)
    if not halvings:
        return whole.low, whole.high
    widest = max(turning, key=lambda name: box[name][1] - box[name][0])
    low, high = box[widest]
    middle = (low + high) / 2
    halves = [extent(tree, {**box, widest: half}, halvings - 1) for half in ((low, middle), (middle, high))]
    return min(half[0] for half in halves), max(half[1] for half in halves)


def share(tree: Node, box: Box, low: Fraction | None, high: Fraction | None, points: int = 1 << 17) -> float:
    """Estimate the share of a box, by volume, in which a tree's value lies between two ends.

    The points are those of an additive recurrence (Roberts 2018), which fills a box evenly and is the same each time;
    the error is below 0.1 % for boxes of a few names.
    """
    import numpy as np

    inside = names(tree)
    if not inside:
        return 1.0
    ratio = 2.0
    for _ in range(60):  # the root of x^(d+1) = x + 1
        ratio = (1 + ratio) ** (1 / (len(inside) + 1))
    index = np.arange(1, points + 1, dtype=np.float64)
    values = {}
    for place, name in enumerate(inside):
        start, end = (float(value) for value in box[name])
        values[name] = start + (end - start) * ((0.5 + index * ratio ** -(place + 1)) % 1)
    found = compute(tree, values, root=np.sqrt) + np.zeros(points)
    within = np.ones(points, dtype=bool)
    within &= found >= float(low) if low is not None else True
    within &= found < float(high) if high is not None else True
    return float(within.mean())


@dataclass(frozen=True, slots=True)
class _Enclosure:
    """An interval that holds a tree's values, and one for its derivative by each name."""

    low: Fraction
    high: Fraction
    slopes: Mapping[str, Ends]


def _enclose(tree: Node, box: Box) -> _Enclosure:
    if tree.kind == "number":
        return _Enclosure(tree.number, tree.number, {})
    if tree.kind == "name":
        return _Enclosure(*box[tree.name], {tree.name: _ONE})
    parts = [_enclose(part, box) for part in tree.parts]
    a = (parts[0].low, parts[0].high)
    if tree.kind in {"neg", "sqrt"}:
        ends, slope = _unary(tree.kind, a)
        return _Enclosure(*ends, {name: _times(slope, own) for name, own in parts[0].slopes.items()})
    ends, by_a, by_b = _binary(tree.kind, a, (parts[1].low, parts[1].high))
    slopes = {
        name: _plus(
            _times(by_a, parts[0].slopes.get(name, _NOTHING)), _times(by_b, parts[1].slopes.get(name, _NOTHING))
        )
        for name in {*parts[0].slopes, *parts[1].slopes}
    }
    return _Enclosure(*ends, slopes)


def _unary(kind: str, a: Ends) -> tuple[Ends, Ends]:
    """The values of -a or sqrt(a), and the slope by a."""
    if kind == "neg":
        return (-a[1], -a[0]), _LESS
    if a[0] <= 0:
        raise ZeroDivisionError("a root of what may be zero or less")
    low, high = square_root(a[0]), square_root(a[1]) + Fraction(1, _SCALE)
    return (low, high), (1 / (2 * high), 1 / (2 * low))


def _binary(kind: str, a: Ends, b: Ends) -> tuple[Ends, Ends, Ends]:
    """The values of an operation, and the slopes by its left and right side."""
    match kind:
        case "+":
            return _plus(a, b), _ONE, _ONE
        case "-":
            return _plus(a, (-b[1], -b[0])), _ONE, _LESS
        case "*":
            return _times(a, b), b, a
        case "/":
            if b[0] <= 0 <= b[1]:
                raise ZeroDivisionError("a divisor may be zero")
            inverse = 1 / b[1], 1 / b[0]
            quotient = _times(a, inverse)
            return quotient, inverse, _times(_LESS, _times(quotient, inverse))
        case _:
            choose = min if kind == "min" else max
            either = (Fraction(0), Fraction(1))
            return (choose(a[0], b[0]), choose(a[1], b[1])), either, either


def _plus(a: Ends, b: Ends) -> Ends:
    return a[0] + b[0], a[1] + b[1]


def _times(a: Ends, b: Ends) -> Ends:
    products = [x * y for x in a for y in b]
    return min(products), max(products)
