r"""Compare two mathematical answers by algebra, with math-verify; only in processes that can be killed.

No text is ever evaluated. math-verify's mode for plain expressions is not used, because it calls sympy's `parse_expr`
and with it `eval`. Every answer is parsed by the grammar of latex2sympy2-extended, in a process in which `disarm` has
disabled the evaluation of text and replaced math-verify's comparison of numbers, which rounds to six decimals.
"""

from __future__ import annotations

import re
import sys
from typing import Any

DIGITS = 200
RELATIVE_TOLERANCE = "1e-150"
"""For numbers that are not rational, computed with `DIGITS` digits. There is no absolute tolerance."""


def disarm() -> None:
    """Disable the evaluation of text and the rounding of numbers in this process, permanently.

    sympy then parses only exact numerals.

    Even `sympy.Number("0.5")`, which the grammar uses for every number, calls `parse_expr` and with it `eval`.
    """
    import sympy
    import sympy.physics.units  # `simplify` imports it lazily, and it defines its units as text
    from sympy.parsing import sympy_parser

    def read_numeral(text: str, **options: object) -> Any:
        if not re.fullmatch(r"[0-9]*\.?[0-9]+(?:[eE][+-]?[0-9]{1,3})?|[0-9]+\.", text):
            raise ValueError("text is not evaluated")
        return sympy.Rational(text)

    def refuse_text(event: str, arguments: tuple[Any, ...]) -> None:
        if event != "compile":
            return
        # `eval` and `exec` compile as "<string>", `lambdify` as "<lambdifygenerated-1>", an import as the file's path.
        source, filename = map(str, arguments[:2])
        # The only code from text that sympy needs: its template for the arithmetic of polynomials.
        if filename.startswith("<") and not source.startswith("b'def monomial_"):
            raise ValueError("text is not evaluated")

    from math_verify import grader

    grader.sympy_numeric_eq = _exactly(grader.sympy_numeric_eq)
    sympy_parser.parse_expr = read_numeral
    sys.addaudithook(refuse_text)


def _exactly(official: Any) -> Any:
    """Return a comparison of numbers that is exact for rational numbers and relative for others."""

    def compare(a: Any, b: Any, float_rounding: int = 6, numeric_precision: int = 15) -> bool:
        from math_verify.grader import is_atomic_or_pct_atomic
        from sympy import MatrixBase, MatrixExpr, Number

        if isinstance(a, MatrixBase) and isinstance(b, MatrixBase):
            return a.shape == b.shape and all(compare(x, y) for x, y in zip(a.flat(), b.flat(), strict=True))
        if isinstance(a, MatrixBase | MatrixExpr) or isinstance(b, MatrixBase | MatrixExpr):
            return bool(official(a, b, float_rounding, numeric_precision))
        has_number = is_atomic_or_pct_atomic(a, Number) or is_atomic_or_pct_atomic(b, Number)
        return (has_number and bool(official(a, b, float_rounding, numeric_precision))) or _same_number(a, b)

    return compare


def _same_number(a: Any, b: Any) -> bool:
    from sympy import Float

    try:
        if {a.is_rational, b.is_rational} == {True, False}:
            return False
        difference = (a - b).doit()
        if difference.free_symbols or not difference.is_finite:
            return False
        if difference.is_Rational:
            return bool(difference == 0)
        size = max(abs(a.doit().evalf(20)), abs(b.doit().evalf(20)))
        return bool(abs(difference.evalf(20, maxn=DIGITS)) <= Float(RELATIVE_TOLERANCE) * size)
    except (TypeError, ValueError, AttributeError):
        return False


UNIT_AT_END = re.compile(
    r"(?<=[^\s=,])\s*\\(?:text|mbox|mathrm|textrm|textsf|textit|textbf|hbox)\s*\{[^{}]*\}(?:\^\{?[0-9]\}?)?\Z"
)
_BASE = re.compile(r"[0-9]_\{?([0-9]+)\}?\Z")


def same(gold: str, answer: str) -> bool:
    """Return whether math-verify considers two answers equal; raises `Exception` for input that is not mathematics."""
    from math_verify import verify
    from math_verify.grader import should_treat_as_complex
    from sympy.core import random

    random.seed(0)  # sympy tries random points; use the same ones for each pair
    gold_base, base = _BASE.search(gold), _BASE.search(answer)
    if base and base[1] != (gold_base[1] if gold_base else "10"):
        return False
    real = not (should_treat_as_complex(gold) or should_treat_as_complex(answer))
    # math-verify limits time by signals, which only work in the main thread; here the whole process is limited.
    parsed = [_parse(gold, real), _parse(answer, real)]
    if any(map(_has_imaginary_unit, parsed)):
        parsed = list(map(_complex, parsed))
    return bool(verify(*parsed, timeout_seconds=None, allow_set_relation_comp=True))


def _has_imaginary_unit(parsed: Any) -> bool:
    return any(symbol.name == "i" for symbol in getattr(parsed, "free_symbols", ()))


def _complex(parsed: Any) -> Any:
    """Return an expression with the imaginary unit for the symbol ``i``, which the grammar reads as a variable."""
    from sympy import I

    unit = {symbol: I for symbol in getattr(parsed, "free_symbols", ()) if symbol.name == "i"}
    return parsed.subs(unit).doit() if unit else parsed


def _parse(text: str, real: bool) -> Any:
    from latex2sympy2_extended import NormalizationConfig, latex2sympy, normalize_latex

    # units=False: math-verify's table of units would read the `t` of `2t` as a unit.
    config = NormalizationConfig(basic_latex=True, units=False, malformed_operators=True, nits=True, boxed="none")
    latex = normalize_latex(UNIT_AT_END.sub("", text), config)
    parsed = latex2sympy(latex, is_real=real, convert_degrees=False, normalization_config=None)
    return _union(parsed)


def _union(parsed: Any) -> Any:
    """Return the union of inequalities that "or" joins (``x<2 or x>3``), which the grammar reads as their list."""
    from sympy import Union
    from sympy.core.relational import Relational

    relations = list(getattr(parsed, "args", ()))
    inequalities = [r for r in relations if isinstance(r, Relational) and r.rel_op in ("<", "<=", ">", ">=")]
    is_list = type(parsed).__name__ == "FiniteSet"
    if not is_list or len(inequalities) != len(relations) or len(parsed.free_symbols) != 1:
        return parsed
    return Union(*(relation.as_set() for relation in inequalities))
