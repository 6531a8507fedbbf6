"""Which files of a checkpoint the library reads, and their digest for the signature."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from evals.data import files
from evals.data.checkpoints import ADAPTER_WEIGHTS, read_adapter
from evals.data.model_config import without_kernels
from evals.schema import Json
from evals.temporaries import scratch_folder

_READ = (
    *("*.safetensors", "*.json", "*.jinja", "*.txt", "*.model"),
    *("*.spm", "*.codes", "*.tokenizer", "additional_chat_templates/*.jinja"),  # of a few tokenizers
)
"""What the library loads a model and its tokenizer from."""


@contextmanager
def readable_folder(folder: Path) -> Iterator[Path]:
    """Show the library a folder without what it must not follow, by links in a temporary folder where that is needed.

    Left out are the files of an adapter, which the library would apply or ignore, depending on its packages, and the
    fields of `config.json` that name kernels to load (`evals.data.model_config.without_kernels`).

    Args:
        folder: a folder that holds a model's weights or a tokenizer, and possibly an adapter.

    Yields:
        The folder itself, or a temporary one with links to its files.
    """
    changed = _config_without_kernels(folder / "config.json")
    if changed is None and not any(folder.glob("adapter_*")):
        yield folder
        return
    with scratch_folder("evals-base") as links:
        for path in folder.iterdir():
            if not path.name.startswith("adapter_") and (changed is None or path.name != "config.json"):
                (links / path.name).symlink_to(path.resolve())
        if changed is not None:
            (links / "config.json").write_text(changed)
        yield links


def _config_without_kernels(path: Path) -> str | None:
    """Return the text of a configuration without the kernels that it names, or None if it names none."""
    try:
        config = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError):  # there is none, or whoever reads it says what is wrong
        return None
    if not isinstance(config, dict):
        return None
    kept = without_kernels(config)
    return None if kept == config else json.dumps(kept)


def digest(folder: Path, *, with_adapter: bool = True) -> str:
    """Hash all files that a checkpoint is loaded from; without those of an adapter in it, if asked so."""
    total = hashlib.sha256()
    for path in sorted({path for pattern in _READ for path in folder.glob(pattern)}):
        if with_adapter or not path.name.startswith("adapter_"):
            with path.open("rb") as file:
                total.update(path.name.encode() + b"\0" + hashlib.file_digest(file, "sha256").digest())
    return total.hexdigest()[:16]


def adapter_facts(folder: Path, applied: str = "merged") -> dict[str, Json]:
    """Return which adapter changes which base model, with the digest of each; empty for a folder without an adapter.

    Args:
        folder: the checkpoint.
        applied: how it is applied: merged into the weights by peft, or at each step by an engine.
    """
    adapter = read_adapter(folder)
    if adapter is None:
        return {}
    weights = adapter.folder / ADAPTER_WEIGHTS
    return {
        "adapter": {
            "kind": adapter.kind,
            "digest": files.digest(weights)[:16],
            "base": str(adapter.base),
            "base_digest": digest(adapter.base, with_adapter=False),
            "applied": applied,
            **({"peft": importlib.metadata.version("peft")} if applied == "merged" else {}),
        }
    }
