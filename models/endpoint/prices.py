"""Prices of tokens, from a file that the user provides: prices change, so none are built in.

    currency: USD
    models:
      deepseek-reasoner: {input: 0.28, cached_input: 0.028, output: 0.42}    # per million tokens

`input` is the price of prompt tokens, and `output` that of new tokens, including reasoning. `cached_input` is optional:
the price of prompt tokens that the server reports as cached.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from evals import yaml_files
from evals.errors import InputError
from evals.schema import Prediction

_KINDS = ("input", "output", "cached_input")


@dataclass(frozen=True)
class Prices:
    """The contents of a price file."""

    path: Path
    currency: str
    models: Mapping[str, Mapping[str, float]]
    """Price per million tokens, by model and kind."""

    def cost(self, model: str, *, prompt: int, cached: int, new: int) -> float:
        """Compute the cost of a response in the file's currency. Raises `InputError` for a model without a price.

        Example:
            >>> prices = Prices(Path("p.yaml"), "USD", {"m": {"input": 1.0, "cached_input": 0.1, "output": 2.0}})
            >>> prices.cost("m", prompt=1000, cached=600, new=50)
            0.00056
        """
        if model not in self.models:
            raise InputError(f"{self.path} has no price for {model!r}; it has {', '.join(self.models) or 'none'}")
        price = self.models[model]
        millionths = (prompt - cached) * price["input"] + cached * price.get("cached_input", price["input"])
        return round((millionths + new * price["output"]) / 1e6, 12)


def read_prices(name: str) -> Prices:
    """Read a price file. Raises `InputError` with the file and what is wrong with it."""
    path = Path(name).expanduser()
    table = yaml_files.load(path)
    if not isinstance(table, dict) or not isinstance(table.get("models"), dict):
        raise InputError(f"{path} holds no prices: expected currency, and models with their input and output")
    currency = table.get("currency")
    if not isinstance(currency, str) or not currency.isalpha():
        raise InputError(f"{path}: currency is {currency!r}, expected letters such as USD")
    for model, row in table["models"].items():
        missing = [kind for kind in ("input", "output") if not isinstance(row, dict) or kind not in row]
        if missing:
            raise InputError(f"{path}: {model} lacks {' and '.join(missing)}")
        for kind, price in row.items():
            valid = isinstance(price, int | float) and not isinstance(price, bool) and 0 <= price < 1e9
            if kind not in _KINDS or not valid:
                raise InputError(f"{path}: {model}: {kind} is {price!r}; allowed are prices for {', '.join(_KINDS)}")
    return Prices(path, currency, {str(model): row for model, row in table["models"].items()})


def charged(prediction: Prediction, charges: Mapping[str, float]) -> Prediction:
    """Add to the charges of a prediction."""
    names = {**prediction.charges, **charges}
    return replace(prediction, charges={name: prediction.charges.get(name, 0) + charges.get(name, 0) for name in names})
