"""Say in one whole line why a checkpoint cannot be loaded, and name the extra of this project to install.

The library's messages span several lines, and the first one is often empty or says nothing.
"""

from __future__ import annotations

import re

from evals.errors import one_line

EXTRAS = {
    "torchvision": "vision", "num2words": "vision", "timm": "vision", "av": "vision", "decord": "vision",
    "peft": "adapters",
    "gguf": "gguf",
    "bitsandbytes": "quantised", "gptqmodel": "quantised", "compressed-tensors": "quantised", "accelerate": "quantised",
    "compressed_tensors": "quantised", "kernels": "quantised", "optimum": "quantised", "auto-gptq": "quantised",
    "autoawq": "quantised", "torchao": "quantised",
    "sentencepiece": "tokenizers", "tiktoken": "tokenizers", "protobuf": "tokenizers", "blobfile": "tokenizers",
}  # fmt: skip
"""For each optional package of the library, the extra of this project that installs it."""
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
