r"""Symbols of mathematical answers: one way of writing what can be written in several, as TeX.

`tidy` reads no mathematics: it rewrites text, in time linear in its length.
"""

from __future__ import annotations

import re

TEXT = re.compile(r"\\(?:text|mbox|textbf|textit|textrm|textsf|hbox|mathrm|mathbf)\s*\{([^{}]*)\}")
_MARKS = str.maketrans(
    {"\u2212": "-", "\u2013": "-", "\u00a0": " ", "×": r"\times ", "·": r"\cdot ", "÷": r"\div ", "π": r"\pi "}
    | {"∞": r"\infty ", "≤": r"\le ", "≥": r"\ge ", "≠": r"\ne ", "∪": r"\cup ", "∩": r"\cap ", "²": "^2", "³": "^3"}
    | {"±": r"\pm ", "≈": r"\approx ", "∈": r"\in ", "θ": r"\theta ", "…": "...", "\u202f": " ", "\u2009": " "}
)
_STYLES = "textcolor|mathbf|mathbb|bold|boldsymbol|bm|pmb|underline|uline|framebox|fbox|boxed|box|textbf"
_STYLES += "|mathit|mathsf"
_SWITCH = re.compile(
    r"\\(?:color|textcolor)\s*\{[^{}]*\}|\\(?:bf|bfseries|it|rm|boldmath|large|Large|LARGE|huge|Huge|small|normalsize"
    r"|blacksquare|square|qed|Box)(?![A-Za-z{])|[■□∎]|\{\}(?=_)"
)
"""Commands that change only how what follows looks, and the sign that ends a proof."""
_STYLED = re.compile(rf"\A(?:\\(?:{_STYLES})\s*)?\{{(?P<inner>.*)\}}\Z", re.DOTALL)
_MATHEMATICS = re.compile(r"\A(?!.*\\(?:choose|over|atop)(?![A-Za-z])).*[0-9\\]", re.DOTALL)
_VULGAR = {"½": (1, 2), "⅓": (1, 3), "⅔": (2, 3), "¼": (1, 4), "¾": (3, 4), "⅕": (1, 5), "⅖": (2, 5), "⅗": (3, 5)}
_VULGAR |= {"⅘": (4, 5), "⅙": (1, 6), "⅚": (5, 6), "⅛": (1, 8), "⅜": (3, 8), "⅝": (5, 8), "⅞": (7, 8)}
_FRACTIONS = str.maketrans({sign: f" \\frac{{{top}}}{{{bottom}}}" for sign, (top, bottom) in _VULGAR.items()})
_THOUSANDS = {"k": "thousand", "m": "million", "b": "billion"}
_CURRENCIES = (
    r"(?:\b(?:US|AU|CA|HK|NT|R|A|C|S))?\\?\$|[€£¥₹¢]|\\(?:pounds|euro|cents?|yen)(?![A-Za-z])"
    r"|\A\s*(?:\\text\s*\{\s*)?(?:Rs\.?|INR|USD|EUR|GBP)\s*(?:(?<!\\)\}\s*)?(?=[0-9])"
)
_WORDS = {
    "\\emptyset": (
        r"(?:there (?:is|are) )?no (?:real |integer |such )?(?:solutions?|values?)|(?:the )?empty set"
        r"|\\varnothing|∅|\\\{\s*\\\}"
    ),
    "(-\\infty,\\infty)": (
        r"(?:the set of )?(?:all (?:the )?reals?|the reals|reals|(?:all "
        r"|the )*real numbers)(?: numbers?)?|any real number|\\mathbb\s*\{?R\}?|\\R|ℝ"
        r"|\\mathbf\{R\}"
    ),
    "(0,\\infty)": r"(?:all )?positive real(?:s| numbers)|(?:\\mathbb\s*\{?R\}?|\\R|ℝ)\^?_?\{?\+\}?",
    "\\infty": r"infinity|infinite",
    "-\\infty": r"(?:-|negative |minus )infinity",
    "\\text{undefined}": r"undefined|(?:it )?does not exist|DNE",
}
"""Words for sets and limits, wherever they are the whole answer."""
_WORDS_OF = [(re.compile(pattern, re.IGNORECASE), symbol) for symbol, pattern in _WORDS.items()]
_REVERSED = {">": "<", "\\ge": "\\le", "\\geq": "\\leq"}
_RATIOS = "sin|cos|tan|cot|sec|csc"
_DEGREES = r"\^\s*(?:\{\s*\\(?:circ|degree)\s*\}|\\(?:circ|degree)(?![A-Za-z]))|°"


def _binomial(coefficient: re.Match[str]) -> str:
    return f"\\binom{{{coefficient[1] or coefficient[3]}}}{{{coefficient[2] or coefficient[4]}}}"


_TIDY = tuple(
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        (
            r"(\\?[$€£¥₹]\s?[0-9][0-9,]*(?:\.[0-9]+)?)\s?([kKmMbB])n?(?:\s*\Z)",
            lambda m: f"{m[1]} {_THOUSANDS[m[2].lower()]}",
        ),
        (r"\\(?:SI|qty)\s*\{([^{}]*)\}\s*\{([^{}]*)\}", r"\1\\text{ \2}"),
        (r"\\(?:si|unit)\s*\{([^{}]*)\}", r"\\text{ \1}"),
        (r"(?<=[0-9}])\s*/\s*\\(?:text|mathrm)\s*\{[^{}]*\}\Z", ""),
        (r"(?:\\,|\\ |\s)*\\pmod\s*(?:\{[^{}]*\}|[0-9])\Z", ""),
        (r"\\[dt]?binom\s*([0-9])\s*([0-9])", r"\\binom{\1}{\2}"),
        (r"\\[dt]binom", r"\\binom"),
        (r"\AC\(([0-9]+),\s?([0-9]+)\)\Z|\A_\{?([0-9]+)\}?C_\{?([0-9]+)\}?\Z", _binomial),
        (r"\\sqrt\s*\[\s*([3579])\s*\]\s*\{\s*-\s*([0-9]+)\s*\}", r"-\\sqrt[\1]{\2}"),
        (r"\A\\text\s*\{[^{}]{1,60}(?::|=|\bis|\bare|\bequals)\s*\}\s*(?=.*[0-9\\])", ""),
        (
            r"\A([^<>=]{1,60})(>|\\geq?(?![A-Za-z]))([^<>=]{1,60}?)(>|\\geq?(?![A-Za-z]))([^<>=]{1,60})\Z",
            lambda m: f"{m[5]}{_REVERSED[m[4]]}{m[3]}{_REVERSED[m[2]]}{m[1]}",
        ),
        (r"\A([0-9]+) (?:in|out of) ([0-9]+)\Z", r"\1/\2"),
        (r"\A([0-9]{1,2}(?:,[0-9]{2})+,[0-9]{3})\Z", lambda m: m[1].replace(",", "")),
        (r"\\left\s*\\langle|\\langle", "("),
        (r"\\right\s*\\rangle|\\rangle", ")"),
        (r"√\s*([0-9]+(?:\.[0-9]+)?|[A-Za-z])", r"\\sqrt{\1}"),
        (r"√", r"\\sqrt "),
        (r"(?<=[0-9])(?:,\\!|\{,\}|\\,)\s*(?=[0-9]{3})", ""),
        (r"(?<![0-9.,/^{_] )(?<![0-9.,/^_])([1-9][0-9]{0,2}(?: [0-9]{3})+)(?![0-9/])", lambda m: m[1].replace(" ", "")),
        (r"([0-9]*\.[0-9]{0,9}?)([0-9]{1,6}?)\2{2,9}\.\.\.", r"\1\\overline{\2}"),
        (r"(?<!\\)\\[!,;: ]|~|\\(?:displaystyle|quad|qquad)(?![A-Za-z])", " "),
        (
            rf"(\\(?:{_RATIOS})\s*[({{]?\s*)([0-9]+(?:\.[0-9]+)?)\s*(?:{_DEGREES})",
            r"\1{\\frac{\2\\pi}{180}}",
        ),
        (rf"(?<=[0-9}}])\s*(?:(?:{_DEGREES})\s*(?:[CF]|\\(?:text|mathrm)\s*\{{\s*[CF]\s*\}})|[℃℉])\s*\.?\Z", ""),
        (_DEGREES, ""),
        (_CURRENCIES, ""),
        (r"\*\*", "^"),
        (r"(?<=[0-9}\s])\s*[\u3040-\u30ff\u4e00-\u9fff\uac00-\ud7af]+\Z", ""),
        (r"(?<=[^\s=(,])\s*\\approx.*\Z", ""),
        (r"\A\s*\\approx", ""),
        (r"\bplus or minus ", r"\\pm "),
        (r"\b(?:negative|minus) (?=[0-9\\])", "-"),
        (r"(?<![0-9])\.(?=[0-9])", "0."),
        (r"\\[dtc]?frac\s*(\\[A-Za-z]+|[0-9A-Za-z])", r"\\frac{\1}"),
        (r"(\\[dtc]?frac\s*\{[^{}]*\})\s*(\\[A-Za-z]+|[0-9A-Za-z])", r"\1{\2}"),
        (r"\\?sqrt\s*\(([^()]*)\)", r"\\sqrt{\1}"),
        (r"\\?sqrt\s+([0-9])(?![0-9])", r"\\sqrt{\1}"),
        (r"(?<![\\A-Za-z])(pi|sqrt|sin|cos|tan|cot|sec|csc|log|ln)(?![A-Za-z])", r"\\\1"),
        (r"(?<![\\A-Za-z])infinity(?![A-Za-z])", r"\\infty "),
    )
)


def tidy(text: str) -> str:
    r"""Write the symbols of an answer as TeX, without spacing commands, currency signs and degree signs.

    Example:
        >>> tidy("$2,\\!125."), tidy("2√3"), tidy("\\dfrac\\pi4"), tidy("10 000"), tidy("negative 7")
        ('2125', '2\\sqrt{3}', '\\frac{\\pi}{4}', '10000', '-7')
    """
    text = _undressed(text.translate(_FRACTIONS))
    words = TEXT.sub(r"\1", text).strip(" .$")
    for whole, symbol in _WORDS_OF:
        if whole.fullmatch(words):
            return symbol
    text = text.translate(_MARKS)
    for pattern, replacement in _TIDY:
        text = pattern.sub(replacement, text)
    return text.strip(" \t\r\n.")


def _undressed(text: str) -> str:
    r"""Remove colours, weights, sizes and boxes around a whole answer.

    Example:
        >>> _undressed("\\textcolor{red}{\\frac12}"), _undressed("\\underline{5}"), _undressed("\\mathbf{a}+x")
        ('\\frac12', '5', '\\mathbf{a}+x')
    """
    text = _SWITCH.sub("", text).strip()
    for _ in range(5):
        styled = _STYLED.match(text)
        if styled is None or not _is_balanced(styled["inner"]) or not _MATHEMATICS.search(styled["inner"]):
            break
        text = styled["inner"].strip()
    return text


def _is_balanced(text: str) -> bool:
    """Return whether no brace of a text closes one before it."""
    depth = 0
    for brace in re.finditer(r"\\.|[{}]", text, re.DOTALL):
        depth += (brace[0] == "{") - (brace[0] == "}")
        if depth < 0:
            return False
    return depth == 0
