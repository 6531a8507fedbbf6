"""What tokens cost, from a file of the user's: prices change, so none are built in.

    currency: USD
    models:
      deepseek-reasoner: {input: 0.28, cached_input: 0.028, output: 0.42}    # a million tokens

`input` counts the prompt's tokens, `output` the new ones, thinking included; `cached_input`, where it is given, those
of the prompt that the server says it had in its cache.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from evals.errors import InputError

_KINDS = ("input", "output", "cached_input")


@dataclass(frozen=True)
class Prices:
    """A file of prices."""

    path: Path
    currency: str
    models: Mapping[str, Mapping[str, float]]
    """By model, then by kind: the price of a million tokens."""

    def of(self, model: str, *, prompt: int, cached: int, new: int) -> float:
        """Say what an answer costs, in the file's currency. Raises `InputError` for a model without a price.

        Example:
            >>> prices = Prices(Path("p.yaml"), "USD", {"m": {"input": 1.0, "cached_input": 0.1, "output": 2.0}})
            >>> prices.of("m", prompt=1000, cached=600, new=50)
            0.00056
        """
        if model not in self.models:
            raise InputError(f"{self.path} has no price for {model!r}; it has {', '.join(self.models) or 'none'}")
        price = self.models[model]
        millionths = (prompt - cached) * price["input"] + cached * price.get("cached_input", price["input"])
        return round((millionths + new * price["output"]) / 1e6, 12)


def read_prices(name: str) -> Prices:
    """Read a file of prices. Raises `InputError` naming the file and what is wrong with it."""
    path = Path(name).expanduser()
    try:
        table = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"cannot read prices from {path}: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: {' '.join(str(error).split())}") from error
    if not isinstance(table, dict) or not isinstance(table.get("models"), dict):
        raise InputError(f"{path} holds no prices: expected currency, and models with their input and output")
    currency = table.get("currency")
    if not isinstance(currency, str) or not currency.isalpha():
        raise InputError(f"{path}: currency is {currency!r}, expected letters such as USD")
    for model, row in table["models"].items():
        lacking = [kind for kind in ("input", "output") if not isinstance(row, dict) or kind not in row]
        if lacking:
            raise InputError(f"{path}: {model} lacks {' and '.join(lacking)}")
        for kind, price in row.items():
            number = isinstance(price, int | float) and not isinstance(price, bool) and 0 <= price < 1e9
            if kind not in _KINDS or not number:
                raise InputError(f"{path}: {model}: {kind} is {price!r}; known are prices for {', '.join(_KINDS)}")
    return Prices(path, currency, {str(model): row for model, row in table["models"].items()})
