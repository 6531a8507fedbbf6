"""Remove the key of a server from everything that the server sends, in every form in which a server may repeat it.

A body is decoded first and masked then, because JSON can write any character in several ways. What a server writes as
plain text (the page of a proxy, a header) is masked as it stands, with escapes, percent-encoding and base64 recognised.
"""

from __future__ import annotations

import base64
import dataclasses
import re
from typing import Any

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
_DETERMINED = 6
"""Minimum number of base64 digits that show a key within a longer encoded text."""


class KeyMask:
    r"""Replaces a key by `[key]`.

    Recognised are the key itself; JSON, Python and HTML escapes and percent-encoding of any of its characters; its
    hexadecimal form; and base64, of the key alone or within a longer text, in the standard and the URL alphabet.

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
        self._pattern = None if not key or key.lower() in PLACEHOLDERS else re.compile(_pattern(key))

    def text(self, text: str) -> str:
        """Return a text without the key."""
        return text if self._pattern is None else self._pattern.sub(MASK, text)

    def value(self, value: Any) -> Any:
        """Return a copy of a value without the key: of JSON, and of dataclasses and tuples made from it."""
        if self._pattern is None:
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


def mask_shortened_keys(text: str) -> str:
    """Return a server's message without keys that the server itself has shortened, and without what starts as a key.

    Example:
        >>> mask_shortened_keys("Incorrect API key: 'ab***yz', not sk-proj-1234.")
        "Incorrect API key: '[key]', not [key]."
    """
    return _WORD.sub(lambda word: MASK if "***" in word[0] else _KEY_START.sub(MASK, word[0]), text)


_WORD = re.compile(r"[^\s'\"]+")
_KEY_START = re.compile(r"\bsk-[\w*-]+")


def _pattern(key: str) -> str:
    """Return a regular expression for every form of a key."""
    written = "".join(map(_character, key))
    if len(key) < _SHORT:
        written = rf"(?<![A-Za-z0-9]){written}(?![A-Za-z0-9])"
    encoded = key.encode()
    forms = [written, *_base64_forms(encoded)]
    if len(key) >= _DETERMINED // 2:
        forms.append("(?i:" + rf"{_SEPARATOR}".join(f"{byte:02x}" for byte in encoded) + ")")
    return "|".join(forms)


_SEPARATOR = r"(?:[: ]|\\x)?"
"""What may stand between the bytes of a hexadecimal form."""
_BACKSLASHES = r"\\{1,32}"
"""Those of an escape that was escaped up to five times; bounded, because a text may be all backslashes."""


def _character(character: str) -> str:
    """Return a regular expression for the ways in which texts write a character (all ASCII): itself, or escaped."""
    code = ord(character)
    return (
        rf"(?:\\?{re.escape(character)}|{_BACKSLASHES}u(?i:00{code:02x})|{_BACKSLASHES}x(?i:{code:02x})"
        rf"|%(?:25)*(?i:{code:02x})"
        rf"|&\#0*{code};|&\#[xX]0*(?i:{code:x});)"
    )


def _base64_forms(encoded: bytes) -> list[str]:
    """Return regular expressions for the base64 digits that a key determines, behind 0, 1 or 2 other bytes."""
    forms = []
    for before in range(3):
        digits = base64.b64encode(bytes(before) + encoded).decode()
        determined = digits[-(-8 * before // 6) : 8 * (before + len(encoded)) // 6]
        if len(determined) >= _DETERMINED:
            forms.append(determined)
    if not forms:
        whole = base64.b64encode(encoded).decode().rstrip("=")
        return [rf"(?<![A-Za-z0-9+/_-]){_either_alphabet(whole)}=*(?![A-Za-z0-9+/_-])"]
    return [_either_alphabet(form) for form in forms]


def _either_alphabet(digits: str) -> str:
    return "".join({"+": r"[+\-]", "/": "[/_]"}.get(digit, digit) for digit in digits)
