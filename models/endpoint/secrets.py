"""Remove the key of a server from everything that the server sends, in every form in which a server may repeat it.

A body is decoded first and masked then, because JSON can write any character in several ways. What a server writes as
plain text (the page of a proxy, a header) is masked as it stands, in the forms that `KeyMask` names. Masking takes time
in proportion to the text, whatever the text: every repetition in a pattern is bounded.
"""

from __future__ import annotations

import base64
import codecs
import dataclasses
import re
import unicodedata
from collections.abc import Iterator
from html.entities import html5
from typing import Any, NamedTuple

MASK = "[key]"
PLACEHOLDERS = frozenset(
    [
        "-",
        "anything",
        "api-key",
        "api_key",
        "apikey",
        "dummy",
        "empty",
        "fake",
        "key",
        "llama.cpp",
        "lm-studio",
        "local",
        "n/a",
        "na",
        "no-key",
        "no-key-required",
        "none",
        "not-needed",
        "not-used",
        "null",
        "ollama",
        "placeholder",
        "sglang",
        "sk-no-key-required",
        "test",
        "token",
        "unused",
        "vllm",
        "x",
        "xx",
        "xxx",
    ]
)
"""Keys, in lower case, that people set for servers that need none. They are no secrets and may be words."""
_SHORT = 8
"""A shorter key is masked only where no letter or digit stands beside it: it may be a part of other words."""
_PARTLY = range(24, 65)
"""Lengths of keys of which each half is masked too, because a server may cut its message within the key."""
_LONG = 32
"""Characters at each end of a still longer key that are looked for; what follows its beginning is masked with it."""
_DETERMINED = 6
"""Minimum number of base64 digits that show a key within a longer encoded text."""


_SPELLED = 12
"""Minimum number of letters and digits of a key that is looked for without what stands between them."""
_TAGS = re.compile("[\U000e0020-\U000e007e]")
"""Invisible copies of the ASCII characters."""
_NO_LETTERS = re.compile(r"<[^<>]{0,40}>|(?:[^\w<]|_)+|<")
_NO_LETTERS_BETWEEN = r"(?:<[^<>]{0,40}>|[\W_]){0,12}"
_MAX_PAGE = 20_000
"""Characters of an error page that are read for its message."""


class _EncodedForm(NamedTuple):
    """An encoding of a key as a whole."""

    needles: frozenset[str]
    """Texts that a squeezed text holds if it holds this form; they are looked for first, because that is fast."""
    pattern: str
    """A regular expression; it is compiled when it is needed, which takes longer than all else."""


class KeyMask:
    r"""Replaces a key by `[key]`.

    Recognised are the key itself, in small or capital letters; JSON, Python, CSS and HTML escapes, percent-encoding and
    quoted-printable of any of its characters; white space and invisible characters within it; each half of a long key;
    its bytes as hexadecimal or decimal numbers; and base64 and base32, of the key alone or within a longer text, also
    base64 of base64 and of UTF-16, over several lines. Of a key with 12 letters and digits or more, these are also
    found between other marks or HTML tags, in other forms of letters, backwards, and moved by 13 letters.

    Example:
        >>> mask = KeyMask("sk-a/b+secret")
        >>> mask.text(r"sk-a\/b+\u0073ecret"), mask.text("sk-a%2Fb%2Bsecret"), mask.text("QmVhcmVyIHNrLWEvYitzZWNyZXQ=")
        ('[key]', '[key]', 'QmVhcmVyIH[key]Q=')
        >>> mask.value({"sk-a/b+secret": ["no", "sk-a/b+secret!", 1.5]})
        {'[key]': ['no', '[key]!', 1.5]}
        >>> KeyMask("EMPTY").text("The box is EMPTY"), KeyMask("a1").text("a1, but not a12")
        ('The box is EMPTY', '[key], but not a12')
    """

    def __init__(self, key: str | None) -> None:
        """Prepare for a key, which has no blanks; None or a placeholder is never masked."""
        self._written: re.Pattern[str] | None = None
        self._encoded: list[_EncodedForm] = []
        self._shortest = 0
        self._letters: tuple[str, ...] = ()
        if key and key.lower() not in PLACEHOLDERS:
            self._written = re.compile(_written(key))
            self._encoded = list(_encoded_forms(key))
            letters = _letters(key)
            if len(letters) >= _SPELLED:
                self._letters = (letters, letters[::-1], codecs.encode(letters, "rot13"))
            lengths = [sum(map(len, form.needles)) for form in self._encoded]
            self._shortest = min([len(key) // 2 if len(key) >= _PARTLY[0] else len(key), _LONG, *lengths])

    def text(self, text: str) -> str:
        """Return a text without the key."""
        if self._written is None or len(text) < self._shortest:
            return text
        text = self._written.sub(MASK, text)
        squeezed = _squeezed(text)
        for needles, pattern in self._encoded:
            if all(needle in squeezed for needle in needles):
                text = re.sub(pattern, MASK, text)
        return _without_spelled(text, self._letters) if self._letters else text

    def message(self, text: str) -> str:
        """Return an error message of a server on one line, of 300 characters at most, without parts of keys either."""
        # Masked before it is cut to a half, so that no part of the key is left at the end.
        text = self.text(text[:_MAX_PAGE])[: _MAX_PAGE // 2]
        text = " ".join(mask_shortened_keys(text).split())
        return text if len(text) <= 300 else f"{text[:299]}…"

    def value(self, value: Any) -> Any:
        """Return a copy of a value without the key: of JSON, and of dataclasses and tuples made from it."""
        if self._written is None:
            return value
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, dict):
            return {self.value(name): self.value(entry) for name, entry in value.items()}
        if isinstance(value, tuple) and hasattr(value, "_fields"):
            return type(value)(*map(self.value, value))
        if isinstance(value, list | tuple):
            return type(value)(map(self.value, value))
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            masked = {field.name: self.value(getattr(value, field.name)) for field in dataclasses.fields(value)}
            return dataclasses.replace(value, **masked)
        return value


def _letters(text: str) -> str:
    """Return the letters and digits of a text, in small ASCII letters where they have another form or marks."""
    if _TAGS.search(text):
        text = _TAGS.sub(lambda tag: chr(ord(tag[0]) - 0xE0000), text)
    return _NO_LETTERS.sub("", unicodedata.normalize("NFKD", text)).lower()


def _without_spelled(text: str, letters: tuple[str, ...]) -> str:
    """Remove keys of which each character stands alone: between marks or HTML tags, in other letters, or backwards."""
    present = _letters(text)
    for spelled in letters:
        if spelled in present:
            plain = unicodedata.normalize("NFKD", _TAGS.sub(lambda tag: chr(ord(tag[0]) - 0xE0000), text))
            text = re.sub(f"(?i:{_NO_LETTERS_BETWEEN.join(spelled)})", MASK, plain)
            present = _letters(text)
            if spelled in present:  # something longer stands between
                return MASK
    return text


def mask_shortened_keys(text: str) -> str:
    """Return a server's message without keys that the server itself has shortened, and without what starts as a key.

    Example:
        >>> mask_shortened_keys("Incorrect API key: 'ab***yz', not sk-proj-1234.")
        "Incorrect API key: '[key]', not [key]."
    """
    return _WORD.sub(lambda word: MASK if "***" in word[0] else _KEY_START.sub(MASK, word[0]), text)


_WORD = re.compile(r"[^\s'\"]+")
_KEY_START = re.compile(r"\bsk-[\w*-]+")


_INVISIBLE = "\x00\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufeff"
_BETWEEN = rf"(?:=?\s{{1,3}}|[{_INVISIBLE}]{{1,2}})?"
"""What may stand between two characters of a key: white space (a line that was wrapped), or what nobody sees."""
_WRAPPED = rf"(?:\\{{1,4}}[rn]|[\s{_INVISIBLE}]){{0,4}}"
"""What may stand between two digits of an encoded key."""
_SQUEEZE = re.compile(rf"\\{{1,4}}[rn]|[\s{_INVISIBLE}]")


def _squeezed(text: str) -> str:
    """Return a text in small letters, in the standard alphabet of base64, without what wraps encoded lines."""
    return _SQUEEZE.sub("", text).lower().replace("-", "+").replace("_", "/")


def _written(key: str) -> str:
    """Return a regular expression for the ways in which texts write a key, character by character."""
    characters = [_character(character) for character in key]
    if len(key) < _SHORT:
        return rf"(?<![A-Za-z0-9])(?={_beginning(key[0])}){''.join(characters)}(?![A-Za-z0-9])"
    if len(key) > _PARTLY[-1]:  # its beginning with what follows, or its end
        first, last = _BETWEEN.join(characters[:_LONG]), _BETWEEN.join(characters[-_LONG:])
        following = rf"[^\s\"<>]{{0,{8 * len(key)}}}"
        return rf"(?i:(?={_beginning(key[0], key[-_LONG])})(?:{first}{following}|{last}))"
    if len(key) not in _PARTLY:
        return rf"(?i:(?={_beginning(key[0])}){_BETWEEN.join(characters)})"
    half = len(key) - len(key) // 2
    rest = ""
    for character in reversed(characters[half:]):
        rest = rf"(?:{_BETWEEN}{character}{rest})?"
    first, second = _BETWEEN.join(characters[:half]), _BETWEEN.join(characters[-half:])
    return rf"(?i:(?={_beginning(key[0], key[-half])})(?:{first}{rest}|{second}))"


def _beginning(*characters: str) -> str:
    """Return a set of what a written form can begin with; a search passes over most places of a text quickly by it."""
    return "[" + "".join(re.escape(character) for character in sorted({*characters, *"\\%=&U"})) + "]"


def _character(character: str) -> str:
    """Return a regular expression for the ways in which texts write a character (all ASCII): itself, or escaped."""
    code = ord(character)
    two, octal = f"(?i:{code:02x})", f"{code:o}"
    names = "|".join(sorted({name.rstrip(";") for name, meaning in html5.items() if meaning == character}))
    named = f"|(?:{names});?" if names else ""
    return (
        rf"(?:\\{{0,32}}(?:{re.escape(character)}|(?<=\\)(?:[ux]\{{?0{{0,8}}{two}\}}?|0{{0,6}}{two}|0?{octal}))"
        rf"|%(?:25){{0,8}}{two}|={two}|U\+0{{0,8}}{two}"
        rf"|&(?:amp;){{0,8}}(?:\#0{{0,8}}{code};?|\#[xX]0{{0,8}}{two};?{named}))"
    )


def _encoded_forms(key: str) -> Iterator[_EncodedForm]:
    """Yield the encodings of a key as a whole. A part of them also show the key within a longer encoded text."""
    if len(key) > _PARTLY[-1]:
        for end in (key[:_LONG], key[-_LONG:]):
            for needles, pattern in _encoded_forms(end):
                rest = rf"[A-Za-z0-9+/=_,:;\s-]{{0,{8 * len(key)}}}" if end == key[:_LONG] else ""
                yield _EncodedForm(needles, pattern + rest)
        return
    encoded = key.encode()
    if len(key) >= _DETERMINED // 2:
        yield _of_bytes("", [f"{byte:02x}" for byte in encoded], r"(?:00)?[\s:,;\-]{0,3}(?:0x|\\{1,8}x|%)?")
        yield _of_bytes("(?<![0-9])", [str(byte) for byte in encoded], r"\s?[,;:\s]\s?")
    digits = set(_determined(encoded))
    if not digits:
        whole = base64.b64encode(encoded).decode().rstrip("=")
        yield _of_digits(whole, r"(?<![A-Za-z0-9+/_-])", r"=*(?![A-Za-z0-9+/_-])")
    if len(key) >= _SHORT:
        for name in ("utf-16-le", "utf-16-be"):
            digits |= set(_determined(key.encode(name)))
        for once in list(digits):
            digits |= {twice for twice in _determined(once.encode()) if len(twice) >= _SHORT}
        digits |= set(_determined(encoded, base64.b32encode, bits=5))
    yield from map(_of_digits, sorted(digits))


def _of_bytes(before: str, numbers: list[str], between: str) -> _EncodedForm:
    return _EncodedForm(frozenset(numbers), f"(?i:{before}{between.join(numbers)})")


def _of_digits(digits: str, before: str = "", after: str = "") -> _EncodedForm:
    either = [{"+": r"[+\-]", "/": "[/_]"}.get(digit, digit) for digit in digits]
    return _EncodedForm(frozenset([digits.lower()]), before + _WRAPPED.join(either) + after)


def _determined(encoded: bytes, encode: Any = base64.b64encode, bits: int = 6) -> Iterator[str]:
    """Yield the digits of an encoding that bytes determine, behind every possible number of other bytes."""
    for before in range(3 if bits == 6 else 5):
        digits = encode(bytes(before) + encoded).decode()
        determined = digits[-(-8 * before // bits) : 8 * (before + len(encoded)) // bits]
        if len(determined) >= _DETERMINED:
            yield determined
