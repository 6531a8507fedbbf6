r"""Statements of an answer: a box, ``#### n``, a line ``A: n``, and "the answer is" in eight languages.

Each finder returns where the last statement begins, and what it states. A remark after a statement does not replace
it. All functions are pure and take time linear in the length of the text.
"""

from __future__ import annotations

import re
from collections import deque
from typing import NamedTuple

from evals.metrics.math_quantities import NUMERAL, numeral
from evals.tasks.scoring.math_reading.doubts import is_doubted
from evals.tasks.scoring.math_reading.spans import bold_at, is_value, span_at
from evals.tasks.scoring.math_reading.values import CONTINUATION, QUANTITY, WINDOW, MathText, expression_at, last_match


class AnswerStatement(NamedTuple):
    """An answer, and where its statement begins."""

    start: int
    text: str


_BOX = re.compile(r"\\(?:boxed|fbox)(?![A-Za-z])\s*")
_BRACE = re.compile(r"\\.|[{}]", re.DOTALL)
"""A brace, or a character behind a backslash, which is none: ``\\{``."""
_HASH = re.compile(r"#### (-?[0-9.,]*[0-9])")
_COLON = re.compile(r"^A: (-?[0-9.,]*[0-9])", re.MULTILINE)
_HASH_LINE = re.compile(r"####(?!#)[ \t]*(?=[^\s#])")
_A_LINE = re.compile(r"^[ \t*]{0,8}A\*{0,2}:\*{0,2}", re.MULTILINE)
_IN_A_LIST = re.compile(r"\s*[.):]\s+[A-Z]")
"""What follows the number of a step, as in the heading ``#### 3. Add the parts``."""

_ADVERBS = r"(?:\s(?:then|therefore|thus|hence|also|now|indeed|clearly|simply|just|finally|actually|surely|certainly))*"
_VERBS = r"is|are|was|were|equals?|will be|would be|would then be|should be|must be|has to be|turns out to be"
_VERBS += r"|comes? (?:out )?(?:to be|to|as)|came (?:out )?(?:to be|to|as)"
_VERBS += r"|works out (?:to be|to|as)|becomes|can be written as"
_END_OF_HEADING = r"[*_]{0,3}\s?[:=](?:[*_]{2,3}(?=\s|\Z))?|[*_]{0,3}[ \t]*\n"
_OTHERS = (
    r"(?:答え|解答|答)(?:は|:)",
    r"(?:答案|结果|結果|答)(?:\s|\*\*)*(?:应该|應該|应|就|便|等|即)?(?:是|为|為|等于|於|于)?\s?:?",
    r"(?:정답|답)(?:은|는|:)",
    r"\b[Rr]espuesta(?:\s(?:final|correcta))*\s?(?:es\b|sería\b|será\b|:|\*\*:)",
    r"\b[Rr][ée]ponse(?:\s(?:finale|correcte))*\s?(?:est\b|sera\b|:|\*\*\s?:)",
    r"\b(?:[Aa]ntwort|Endergebnis|Ergebnis|Lösung)\s?(?:lautet\b|ist\b|beträgt\b|:|\*\*:)",
    r"\b[Rr]esposta(?:\s(?:final|correta))*\s?(?:é\b|será\b|:|\*\*:)",
    r"\b[Rr]isposta(?:\s(?:finale|corretta))*\s?(?:è\b|:|\*\*:)",
    r"\b[Оо]твет(?:ом)?\s?(?:равен\b|равно\b|будет\b|является\b|:|-|—|\*\*:)",
)
_PHRASE = re.compile(
    rf"\banswers?\b(?:\s(?:to|for|of|in)\s[^.:=\n]{{1,80}}?)?{_ADVERBS}\s?"
    rf"(?:(?:\s?(?:{_VERBS})\b){_ADVERBS}(?:\s?:)?|{_END_OF_HEADING})"
    rf"|\bfinal (?:result|value|solution)\s?(?:(?:{_VERBS})\b|[*_]{{0,3}}:)"
    rf"|<answer>|(?i:{'|'.join(_OTHERS)})",
    re.IGNORECASE,
)
_DRESS = re.compile(
    r"(?:[\s*_`:\"'“”‘’~≈=>#|]|(?:approximately|about|roughly|exactly|simply|just"
    r"|therefore|thus|then|hence|indeed|option|choice"
    r"|equal to|given by|ungefähr|environ|選項|选项|是|为|为:|约"
    r"|the (?:number|value|interval|set|point|ordered pair|matrix|vector|polynomial|expression|function"
    r"|equation|pair))(?![a-z]))*"
)
_HEAD = re.compile(r"\(?(-? ?)(?:\\?[$€£¥₹])?(-?)")
_WORDS = re.compile(r"(?P<words>[^\W\d_][^\W\d_'-]*(?: [^\W\d_][^\W\d_'-]*){0,2})(?=[\"'`*_)]*(?:[.。,!;]|\s*\Z|\n))")
_NO_ANSWER = re.compile(
    r"(?:correct|incorrect|wrong|right|obvious|clear|unknown|not|simple|as|given|found|below|above|that|this|the|it|they|a|an"
    r"|in|to|at|by|of|for|we|you|i|he|she|always|therefore|then|nothing|here|there|based|also|verified|consistent|unique)\b",
    re.IGNORECASE,
)
_BOUND = re.compile(
    r"[\s*:_]{0,6}(?:be\s)?(?P<bound>(?:(?:at\s(?:the\s)?(?:least|most)|(?:no|not)\s(?:more|less|fewer|greater)\sthan|up\sto|over|under"
    r"|above|below|(?:strictly\s)?(?:more|less|fewer|greater|larger|smaller|bigger|higher|lower)\sthan(?:\sor\sequal\sto)?)"
    r"\s\**\\?[$€£¥₹]?-?[0-9][0-9,.]*(?<![.,])))"
)
_JOINED = re.compile(
    r"(?:[\s$,;&*\])]|\\[\])\[(,;: ]|\\(?:quad|qquad|text|textbf)|[{}]|\b(?:and|or|et|und|y|ou|oder)\b|[和或及])*"
    r"(?:[A-Za-z](?:_\{?[0-9]\}?)?\s?=\s?)?[\s$*\[(]*"
)
"""What stands between boxes that are one answer: ``\\boxed{2}$ or $x = \\boxed{3}``."""
_OR = re.compile(r"\b(?:or|ou|oder)\b|或")
_IS_LIST = re.compile(r"[,;]|\\pm|±|\\text|\bor\b|\band\b")
_MAX_JOINED = 4
_LISTED = re.compile(
    r"(?:[^A-Za-z0-9]|[0-9](?=[.)]\s)|\b(?:and|or|also|the|other|second|third|fourth|first|last|next|another|solutions?|roots?|values?|is|are"
    r"|zeros?|answers?|final|one|two|three|we|have|get|find|so|thus|hence|case|for|et|und|y|ou|oder|quad|qquad|text|part|case|step|question)\b|\b[a-zA-Z]\b)*",
    re.IGNORECASE,
)
"""What may stand between boxes of a list that was asked for."""
_CALCULATION = re.compile(
    r"(?:\s[A-Za-z]{2,20}){1,3}\s?[-+*×x÷/]\s?(?:[^\n.;:=]|\.(?=[0-9])){1,100}=\s*(?=\**\\?[$€£¥₹]?\**-?[0-9.])"
)
"""The rest of a calculation whose numbers have units, up to its result: ``9 eggs × $2 = $18``."""
_BOLD_RESULT = re.compile(r"(?<==)\s*\*\*(?=[-$0-9])|(?<== )\*\*(?=[-$0-9])")
_NUMBER_FOLLOWS = re.compile(
    r"(?:(?!,? (?:because|since|as|who|which|with|whose|where)\b)(?:[^\n.!?(。0-9;:])){0,200}[0-9]"
)
"""A number in the same sentence, outside explanations: the words before it are no answer."""
MAX_STATEMENTS = 200
"""Statements that are tried, from the last one on; a model that repeats itself states nothing new before them."""


def last_hash(text: str) -> AnswerStatement | None:
    """Find the last ``#### n`` of GSM8K, letter for letter; a numbered heading is none."""
    for match in reversed(_last_matches(_HASH, text)):
        if not _is_heading(text, match.end()):
            return AnswerStatement(match.start(), match[1])
    return None


def last_colon(text: str) -> AnswerStatement | None:
    """Find the last line ``A: n``."""
    match = last_match(_COLON, text)
    return AnswerStatement(match.start(), match[1]) if match else None


def boxes(text: str, count: int) -> list[tuple[int, int, str]]:
    r"""Read the last boxes, at most so many: start, end and content.

    A box that never closes was cut off: then there are none.
    """
    matches = _last_matches(_BOX, text, count)
    contents = list[tuple[int, int, str]]()
    for number, box in enumerate(matches):
        limit = matches[number + 1].start() if number + 1 < len(matches) else len(text)
        content = _box(text, box, limit)
        if content is None and number + 1 == len(matches):
            return []
        if content:
            contents.append((box.start(), *content))
    return contents


def _box(text: str, box: re.Match[str], limit: int) -> tuple[int, str] | None:
    if not text.startswith("{", box.end()):
        # `\boxed 5` is right TeX; the official extraction reads it up to the dollar sign.
        bare = re.split(r"[$\n]", text[box.end() : limit], maxsplit=1)[0]
        return (box.end() + len(bare), bare.strip()) if bare.strip() else None
    depth = 0
    for brace in _BRACE.finditer(text, box.end(), limit):
        depth += (brace[0] == "{") - (brace[0] == "}")
        if depth == 0:
            content = text[box.end() + 1 : brace.start()].strip()
            return (brace.end(), content) if content else None
    return None


def last_box(text: str, elements: int = 1) -> AnswerStatement | None:
    r"""Find the last ``\boxed{...}``, or as many boxes as the gold answer has elements.

    Args:
        text: the output of a model.
        elements: number of elements of the gold answer. Where it is more than one and the last box has one element,
            the last boxes together are the answer if the words between them only list it. Boxes that
            "or" joins are one answer in any case; the official scorer takes the last one.

    Example:
        >>> last_box("\\boxed{5} and \\boxed{-3}", 2).text, last_box("\\boxed{5} or \\boxed{-3}").text
        ('5, -3', '5 or -3')
        >>> last_box("\\boxed{5} is an intermediate value; the only solution is \\boxed{-3}", 2).text
        '-3'
    """
    contents = boxes(text, max(elements, _MAX_JOINED))
    if not contents:
        return None
    start, _, content = contents[-1]
    pattern, needed = (_LISTED, elements) if elements > 1 and not _IS_LIST.search(content) else (_JOINED, 2)
    joined = [contents[-1]]
    for box in reversed(contents[:-1]):
        between = text[box[1] : joined[0][0]]
        if len(between) > 120 or not pattern.fullmatch(between) or (pattern is _JOINED and not _OR.search(between)):
            break
        joined.insert(0, box)
    if elements > 1:
        joined = joined[-elements:]
    if len(joined) < needed or len({box[2] for box in joined}) == 1:
        return AnswerStatement(start, content)
    joint = " or " if elements == 1 else ", "
    return AnswerStatement(start, joint.join(box[2] for box in joined))


def last_single_box(text: str) -> AnswerStatement | None:
    r"""Find the last ``\boxed{...}``, as the official scorer does."""
    contents = boxes(text, 1)
    return AnswerStatement(contents[0][0], contents[0][2]) if contents else None


def last_hash_line(text: str) -> AnswerStatement | None:
    """Find the last line ``#### value`` in any way of writing; a numbered heading states nothing."""
    for line in reversed(_last_matches(_HASH_LINE, text)):
        value = stated_at(text, line.end())
        if value and not _is_heading(text, value.end):
            return AnswerStatement(line.start(), value.text)
    return None


def last_phrase(text: str) -> AnswerStatement | None:
    """Find the last "the answer is value", "Answer: value" or its like in another language."""
    for phrase in reversed(_last_matches(_PHRASE, text)):
        if is_doubted(text, phrase.start()):
            continue
        value = _bound_at(text, phrase.end()) or stated_at(text, phrase.end()) or _words_at(text, phrase.end())
        if value and not _begins_a_solution(text, phrase, value):
            return AnswerStatement(phrase.start(), value.text)
    return None


def last_a_line(text: str) -> AnswerStatement | None:
    """Find the last line ``A: value``; one that only begins a solution ("A: 3 eggs are eaten.") states nothing."""
    last_digit = max(map(text.rfind, "0123456789"))
    for line in reversed(_last_matches(_A_LINE, text)):
        value = stated_at(text, line.end())
        if value is None:
            continue
        end = text.find("\n", value.end)
        rest = text[value.end : end if end >= 0 else len(text)][:WINDOW]
        closes = value.end > last_digit or ("=" not in value.text and len(re.findall(r"[A-Za-z]{3,}", rest)) < 3)
        if closes and not re.search("[0-9]", rest) and not _IN_A_LIST.match(rest):
            return AnswerStatement(line.start(), value.text)
    return None


def stated_at(text: str, start: int) -> MathText | None:
    r"""Read the value that a statement gives from a place on, whole: 2 hours and 30 minutes is no 2.

    Example:
        >>> stated_at(" **$18** a day", 0).text, stated_at(" 2 hours and 30 minutes", 0).text
        ('18', '2 hours and 30 minutes')
    """
    value = _stated_at(text, start)
    rest = CONTINUATION.match(text, value.end) if value else None
    return MathText(value.text + rest[0].replace("*", ""), value.start, rest.end()) if value and rest else value


def _stated_at(text: str, start: int) -> MathText | None:
    r"""Read the value that a statement gives from a place on: a span of mathematics, bold text or an expression.

    Example:
        >>> stated_at(" **$18** a day", 0).text, stated_at(" $x=5$ or $x=-3$.", 0).text
        ('18', 'x=5, x=-3')
        >>> stated_at(" between 0 and 1", 0) is None
        True
    """
    dress = _DRESS.match(text, start, start + 120)
    position = dress.end() if dress else start
    value = span_at(text, position)
    if value is None and text.startswith("(", position):
        span = span_at(text, position + 1)
        value = span if span and text.startswith(")", span.end) else None
    if value is not None:
        return None if _BOX.search(value.text) else value
    value = expression_at(text, position)
    if value is None:
        return None
    if calculation := _CALCULATION.match(text, value.end):
        return stated_at(text, calculation.end()) or _plain(text, value)
    return _plain(text, value)


def _plain(text: str, value: MathText) -> MathText | None:
    """Return a number without its sign of currency, a list only where it ends the sentence, or the expression."""
    head = _HEAD.match(text, value.start)
    number = QUANTITY.match(text, head.end(), value.end) if head else None
    if head and number and number.end() == value.end:
        sign = "-" if "-" in head[1] + head[2] else ""
        return MathText(sign + number[0], value.start, value.end)
    first = expression_at(text, value.start, lists=False)
    closed = re.match(r"[\"'`*_]*(?:[.!。,;]?\s*\Z|[.!。]|\n|\s*\(|</answer)", text[value.end : value.end + 20])
    if first and first.end < value.end and not closed:
        return _plain(text, first)
    if re.match(r"[A-Za-z]", text[value.end : value.end + 1]):
        return None
    plain = _BOLD_RESULT.sub("", value.text)
    return MathText(plain.replace("$", "") if "\\$" not in plain else plain, value.start, value.end)


def _bound_at(text: str, start: int) -> MathText | None:
    """Read a bound, which is no value: ``at least 2``."""
    bound = _BOUND.match(text, start)
    return MathText(bound["bound"], start, bound.end()) if bound else None


def _words_at(text: str, start: int) -> MathText | None:
    """Read an answer in words: bold, quoted or capitalised, or what the text ends in."""
    dress = re.compile(r"[\s:\"'“‘`(]*").match(text, start, start + 20)
    position = dress.end() if dress else start
    bold = bold_at(text, position)
    if bold and bold.text and not _NO_ANSWER.match(bold.text):
        value = stated_at(bold.text, 0)
        if not value and re.search("[a-z]", bold.text) and _NUMBER_FOLLOWS.match(text, bold.end):
            return None
        return MathText(value.text if value and is_value(bold.text) else bold.text, position, bold.end)
    in_words = NUMERAL.match(text, position, position + 120)
    if in_words and numeral(in_words[0]) is not None and re.match(r"[*_.!]*\s*(?:\n|\Z)", text[in_words.end() :][:40]):
        return MathText(in_words[0], position, in_words.end())
    words = _WORDS.match(text, position, position + 60)
    if words is None or _NO_ANSWER.match(words["words"]) or _NUMBER_FOLLOWS.match(text, words.end()):
        return None
    ends = not re.search(r"\w", text[words.end() : words.end() + 200])
    return MathText(words["words"], position, words.end()) if ends or words["words"][0].isupper() else None


def _begins_a_solution(text: str, phrase: re.Match[str], value: MathText) -> bool:
    """Return whether an "Answer:" at the beginning of the text introduces the steps, which follow on later lines."""
    if text[: phrase.start()].strip(" *#\n") or not phrase[0].rstrip().endswith(":"):
        return False
    line, _, later = text[value.end :].partition("\n")
    return len(re.findall(r"[A-Za-z]{3,}", line.partition("(")[0])) > 1 and bool(re.search("[0-9]", later))


def _is_heading(text: str, end: int) -> bool:
    """Return whether the number that ends here only numbers a heading: text follows it, and numbers on later lines."""
    later = text.find("\n", end)
    return bool(_IN_A_LIST.match(text[end : end + 20])) and later >= 0 and bool(re.search("[0-9]", text[later:]))


def _last_matches(pattern: re.Pattern[str], text: str, count: int = MAX_STATEMENTS) -> list[re.Match[str]]:
    return list(deque(pattern.finditer(text), maxlen=count))
