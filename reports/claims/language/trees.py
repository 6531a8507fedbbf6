"""Resolve an expression to a tree of numbers in base units and of names of printed numbers.

`resolve` checks the units of an expression of `evals.reports.claims.language.expressions` and replaces values that are
computed. `evals.reports.claims.language.intervals` computes with the tree.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction

from evals.errors import InputError
from evals.reports.claims.language import literals
from evals.reports.claims.language.expressions import Call, Expression, Negation, Number, Operation, Reference
from evals.reports.claims.language.units import PLAIN, POINTS, Unit, Units, spell

_MAX_NODES = 2_000
"""Limit on a tree, whose values are computed from values that are computed from others."""
_MAX_DEPTH = 300
"""Limit on the depth of a tree."""


@dataclass(frozen=True, slots=True)
class Node:
    """A node of an expression tree over numbers in base units and names."""

    kind: str
    """`number`, `name`, or an operation: `+ - * / neg sqrt min max`."""
    number: Fraction = Fraction(0)
    name: str = ""
    parts: tuple[Node, ...] = ()
    nodes: int = 1
    """The number of nodes, a part counted at each place where it stands."""
    depth: int = 1
    """The number of levels."""


@dataclass(frozen=True, slots=True)
class ResolvedExpression:
    """An expression tree and the unit in which its value is shown."""

    tree: Node
    unit: Unit
    bare: bool = False
    """Whether it consists of numbers without a unit; they take the unit of the other operand of a sum or comparison."""


def _operation(kind: str, *parts: Node) -> Node:
    """Return the node of an operation. Raises `InputError` if the tree becomes too large."""
    nodes, depth = 1 + sum(part.nodes for part in parts), 1 + max(part.depth for part in parts)
    if nodes > _MAX_NODES or depth > _MAX_DEPTH:
        raise InputError(
            f"with the values that it is computed from it has over {_MAX_NODES:,} parts or {_MAX_DEPTH} levels"
        )
    return Node(kind, parts=parts, nodes=nodes, depth=depth)


Lookup = Callable[[str], "Unit | ResolvedExpression"]
"""Returns the unit of a printed number, or the expression that defines a computed value; raises `InputError`."""


def resolve(tree: Expression, lookup: Lookup, units: Units) -> ResolvedExpression:
    """Check units, replace computed values by their expressions, and convert numbers to base units.

    Args:
        tree: a parsed expression.
        lookup: returns the unit, or the resolved expression, of a claim or fact.
        units: the units of the vocabulary.

    Raises:
        InputError: units do not match (seconds added to bytes), or a name is unknown.

    Example:
        >>> from evals.reports.claims.language.expressions import parse
        >>> from evals.reports.claims.language.intervals import range_over_box
        >>> percent = Unit("%", Fraction(1, 100), {})
        >>> tree = resolve(parse("100 - B-60"), lambda name: percent, Units({})).tree
        >>> range_over_box(tree, {"B-60": (Fraction(1, 2),) * 2})
        (Fraction(1, 2), Fraction(1, 2))
    """
    match tree:
        case Number():
            return _literal(tree, units, exact=not literals.is_rounded(tree.text))
        case Call("exact", arguments):
            if len(arguments) != 1 or not isinstance(number := arguments[0], Number):
                raise InputError("exact( ) takes one number")
            return _literal(number, units, exact=True)
        case Reference(name):
            target = lookup(name)
            if isinstance(target, ResolvedExpression):
                return target
            return ResolvedExpression(Node("name", name=name), target)
        case Negation(operand):
            inner = resolve(operand, lookup, units)
            return ResolvedExpression(_operation("neg", inner.tree), inner.unit, inner.bare)
        case Operation("^", left, Number(text)):
            base = resolve(left, lookup, units)
            power = ResolvedExpression(Node("number", Fraction(1)), PLAIN, bare=base.bare)
            for _ in range(int(text)):
                power = _product("*", power, base)
            return power
        case Operation(operator, left, right):
            sides = resolve(left, lookup, units), resolve(right, lookup, units)
            return _product(operator, *sides) if operator in {"*", "/"} else combine(operator, *sides)
        case Call("sqrt", arguments):
            if len(arguments) != 1:
                raise InputError(f"sqrt( ) takes one number; it was given {len(arguments)}")
            return _root(resolve(arguments[0], lookup, units))
        case Call(function, arguments):
            parts = [resolve(argument, lookup, units) for argument in arguments]
            combined = parts[0]
            for part in parts[1:]:
                combined = combine(function, combined, part)
            return combined
    raise InputError(f"cannot compute {tree!r}")


def _literal(number: Number, units: Units, *, exact: bool) -> ResolvedExpression:
    """Resolve a number; one that is not exact becomes a name (`evals.reports.claims.language.literals`)."""
    unit = units[number.unit] if number.unit else PLAIN
    if exact:
        node = Node("number", Fraction(number.text) * unit.factor)
    else:
        node = Node("name", name=literals.PREFIX + number.text)
        node = node if unit.factor == 1 else _operation("*", node, Node("number", unit.factor))
    return ResolvedExpression(node, unit, bare=number.unit is None)


def combine(kind: str, left: ResolvedExpression, right: ResolvedExpression) -> ResolvedExpression:
    """Combine two values of one dimension by `+`, `-`, `min` or `max`.

    Raises:
        InputError: the dimensions differ.
    """
    are_quantities = not (_is_written(left) or _is_written(right))
    left, right = _with_unit_of(left, right), _with_unit_of(right, left)
    left_unit, right_unit = (spell(side.unit.dimension) or "plain numbers" for side in (left, right))
    if left_unit != right_unit:
        raise InputError(f"{left_unit} cannot be joined or compared with {right_unit}")
    unit = POINTS if kind == "-" and are_quantities and left.unit.symbol == right.unit.symbol == "%" else left.unit
    return ResolvedExpression(_operation(kind, left.tree, right.tree), unit, left.bare and right.bare)


def _is_written(side: ResolvedExpression) -> bool:
    """Whether a side is a number written in the expression: `100 - B-60` is a share, not a difference of two."""
    return side.bare or side.tree.kind == "number"


def _with_unit_of(operand: ResolvedExpression, other: ResolvedExpression) -> ResolvedExpression:
    """Give an operand without a unit the unit of the other operand."""
    if not operand.bare or other.bare:
        return operand
    factor = Node("number", other.unit.factor)
    return ResolvedExpression(_operation("*", operand.tree, factor), other.unit)


def _product(kind: str, left: ResolvedExpression, right: ResolvedExpression) -> ResolvedExpression:
    sign = 1 if kind == "*" else -1
    powers = dict(left.unit.dimension)
    for base, power in right.unit.dimension.items():
        powers[base] = powers.get(base, 0) + sign * power
    dimension = {base: power for base, power in powers.items() if power}
    # A percentage times a number is still shown as a percentage: 0.85 * B-55 is 75.8 %.
    operand_unit = left.unit if right.bare else right.unit if left.bare and kind == "*" else None
    display_unit = operand_unit if operand_unit is not None and not (left.bare and right.bare) else None
    unit = display_unit or Unit(spell(dimension), Fraction(1), dimension)
    return ResolvedExpression(_operation(kind, left.tree, right.tree), unit, left.bare and right.bare)


def _root(inner: ResolvedExpression) -> ResolvedExpression:
    if any(power % 2 for power in inner.unit.dimension.values()):
        raise InputError(f"{spell(inner.unit.dimension)} has no square root")
    dimension = {base: power // 2 for base, power in inner.unit.dimension.items()}
    return ResolvedExpression(
        _operation("sqrt", inner.tree), Unit(spell(dimension), Fraction(1), dimension), inner.bare
    )


def names(tree: Node) -> list[str]:
    """List the names in a tree, each once, from left to right."""
    return list(dict.fromkeys(_names(tree)))


def _names(tree: Node) -> Iterator[str]:
    if tree.kind == "name":
        yield tree.name
    for part in tree.parts:
        yield from _names(part)
