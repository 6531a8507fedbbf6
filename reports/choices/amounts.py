"""Read the amounts of a requirement: sizes, times, prices and percentages, each with its unit.

    size("4GB") -> bytes     duration("100ms") -> seconds     money("2.5EUR"), price("1EUR/1000") -> Money

A number without its unit is refused, and so is a unit that can be read in two ways: nothing is guessed, and no currency
is converted.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

from evals import plain_numbers
from evals.errors import InputError, shorten

ANSWERS = 1000
"""Number of answers that prices are printed for."""
_SIZES: Mapping[str, float] = {
    "B": 1, "kB": 1e3, "KB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12,
    "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40,
}  # fmt: skip
_TIMES: Mapping[str, float] = {"us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "min": 60.0}
_SYMBOLS = {"€": "EUR", "$": "USD", "£": "GBP"}
_AMOUNT = re.compile(r"\s*(?P<number>[0-9.][0-9.eE+-]*?)\s*(?P<unit>[^\s0-9.+-][^0-9]*?)?\s*")
_SYMBOL_FIRST = re.compile(r"\s*(?P<unit>[€$£])\s*(?P<number>[0-9.][0-9.eE+-]*)\s*")
_PRICE = re.compile(r"(?P<money>[^/]+)/\s*(?P<answers>[0-9]+)\s*(?:answers?)?\s*")
_CODE = re.compile(r"[A-Za-z]{3}")


class Money(NamedTuple):
    """An amount of one currency."""

    amount: float
    currency: str
    """A code of three capital letters."""


def size(text: str) -> float:
    """Read a size in bytes; units are written as usual: 1 GB is 10^9 bytes, and 1 GiB is 2^30.

    Raises:
        InputError: there is no positive number, or another unit.

    Example:
        >>> size("4GB"), size("512 MiB")
        (4000000000.0, 536870912.0)
        >>> size("4")
        Traceback (most recent call last):
            ...
        evals.errors.InputError: '4' is not a size: write a positive number and its unit, as 4GB (kB, MB, TB, GiB, ...)
    """
    return _scaled(text, _SIZES, "is not a size: write a positive number and its unit, as 4GB (kB, MB, TB, GiB, ...)")


def duration(text: str) -> float:
    """Read a time in seconds.

    Raises:
        InputError: there is no positive number, or another unit.

    Example:
        >>> duration("100ms"), duration("1.5 s")
        (0.1, 1.5)
    """
    return _scaled(text, _TIMES, "is not a time: write a positive number and its unit, as 100ms (us, ms, s, min)")


def money(text: str) -> Money:
    """Read an amount of money.

    Raises:
        InputError: there is no positive number, or no currency. `¥` is refused: it may be the yuan or the yen.

    Example:
        >>> money("2.5EUR"), money("$1")
        (Money(amount=2.5, currency='EUR'), Money(amount=1.0, currency='USD'))
    """
    why = "is not an amount of money: write a positive number and its currency, as 2.5EUR (three letters, €, $ or £)"
    match = _AMOUNT.fullmatch(text) or _SYMBOL_FIRST.fullmatch(text)
    unit = (match["unit"] or "").strip() if match else ""
    if match is None or not (unit in _SYMBOLS or _CODE.fullmatch(unit)):
        raise InputError(f"{shorten(text)} {why}")
    return Money(_positive(match["number"], text, why), _SYMBOLS.get(unit) or unit.upper())


def price(text: str) -> Money:
    """Read a price per number of answers, and return it for `ANSWERS` of them.

    Raises:
        InputError: there is no amount of money, or no number of answers.

    Example:
        >>> price("1EUR/1000"), price("0.002 USD/1")
        (Money(amount=1.0, currency='EUR'), Money(amount=2.0, currency='USD'))
    """
    match = _PRICE.fullmatch(text)
    if match is None or not (answers := int(match["answers"][:18])):
        raise InputError(f"{shorten(text)} is not a price: write money per number of answers, as 1EUR/1000")
    amount, currency = money(match["money"])
    return Money(amount * ANSWERS / answers, currency)


def percentage(text: str) -> float:
    """Read a number in percent, with or without its sign.

    Raises:
        InputError: it is not a number.

    Example:
        >>> percentage("80"), percentage("72.5 %")
        (80.0, 72.5)
    """
    try:
        return plain_numbers.real(text.strip().removesuffix("%"))
    except ValueError:
        raise InputError(f"{shorten(text)} is not a percentage: write a number, as 80") from None


def _scaled(text: str, units: Mapping[str, float], why: str) -> float:
    match = _AMOUNT.fullmatch(text)
    unit = (match["unit"] or "").strip() if match else ""
    if match is None or unit not in units:
        raise InputError(f"{shorten(text)} {why}")
    return _positive(match["number"], text, why) * units[unit]


def _positive(number: str, text: str, why: str) -> float:
    try:
        value = plain_numbers.real(number)
    except ValueError:
        raise InputError(f"{shorten(text)} {why}") from None
    if not 0 < value < 1e15:
        raise InputError(f"{shorten(text)} {why}")
    return value
