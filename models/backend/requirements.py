"""Say in one whole line why a checkpoint cannot be loaded, and name the extra of this project to install.

The library's messages span several lines, and the first one is often empty or says nothing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from evals.data.model_config import field_of_value
from evals.errors import one_line

EXTRAS = {
    "torchvision": "vision", "num2words": "vision", "timm": "vision", "av": "vision", "decord": "vision",
    "peft": "adapters",
    "bitsandbytes": "quantised", "compressed-tensors": "quantised", "accelerate": "quantised",
    "gptqmodel": "gptq", "optimum": "gptq",
    "sentencepiece": "tokenizers", "tiktoken": "tokenizers", "protobuf": "tokenizers", "blobfile": "tokenizers",
}  # fmt: skip
"""For each optional package of the library, the extra of this project that installs it."""
_FAULT = re.compile(r"(?:Validation error for field .*?|Class validation error for .*?): \w+Error: (.*)")
"""How the library's checks of a configuration begin."""
_ABSENT = ("not found", "not installed", "no module named", "pip install", "could not import")


def explain(error: BaseException) -> str:
    r"""Return an error's whole message on one line; if a package is missing, name the package and its extra.

    Example:
        >>> explain(ImportError("\nVideoProcessor requires the Torchvision library but it was not found. Read on."))
        "it needs torchvision, which is not installed: pip install 'claim-evals[vision]'"
        >>> explain(ValueError("bad\n header"))
        'bad header'
    """
    message = one_line(error)
    absent = isinstance(error, ImportError) or any(word in message.lower() for word in _ABSENT)
    packages = missing_packages(message) if absent else []
    if not packages:
        return message
    extras = ",".join(sorted({EXTRAS[name] for name in packages}))
    return f"it needs {' and '.join(packages)}, which is not installed: pip install 'claim-evals[{extras}]'"


def explain_loading(error: BaseException, folder: Path) -> str:
    """Say why a checkpoint cannot be loaded; a fault of its configuration names the file and the field.

    Args:
        error: what the library raised.
        folder: the checkpoint, or its base model.
    """
    path = folder / "config.json"
    message = explain(error)
    if "trust_remote_code" in message:
        return f"{folder} needs code that comes with it, which is never run"
    try:
        config = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError):
        return message
    if fault := _FAULT.search(message):
        return f"{path}: {re.sub(r'[(]([0-9]+)[)]', lambda number: _named(number, config), fault[1])}"
    if isinstance(error, KeyError) and error.args and (field := field_of_value(config, error.args[0])):
        return f"{path}: {field} is {error.args[0]!r}, which the library does not know"
    if "padding_idx" in message.lower():
        return f"{path}: pad_token_id is {config.get('pad_token_id')}, beyond vocab_size {config.get('vocab_size')}"
    if "does not recognize this architecture" in message:
        return f"{path}: the installed library has no model_type {config.get('model_type')!r}"
    return message


def _named(number: re.Match[str], config: Mapping[str, Any]) -> str:
    """Write the name of the field before a number in brackets, if only one field has that value."""
    field = field_of_value(config, int(number[1]))
    return f"({field}: {number[1]})" if field else number[0]


def missing_packages(message: str) -> list[str]:
    """List the optional packages that a message names and that are not installed, in alphabetical order."""
    import importlib.util

    lower = message.lower()
    return sorted(
        name
        for name in EXTRAS
        if re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", lower)
        and importlib.util.find_spec(name.replace("-", "_")) is None
    )
