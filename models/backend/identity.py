"""Say which files a loaded checkpoint came from, for the signature."""

from __future__ import annotations

import hashlib
import importlib.metadata
from pathlib import Path

from evals.data import files
from evals.data.checkpoints import ADAPTER_WEIGHTS, read_adapter
from evals.schema import Json


def digest(folder: Path, *, with_adapter: bool = True) -> str:
    """Hash all files that a checkpoint is loaded from; without those of an adapter in it, if asked so."""
    patterns = ("*.safetensors", "*.json", "*.jinja", "*.txt", "*.model")
    total = hashlib.sha256()
    for path in sorted({path for pattern in patterns for path in folder.glob(pattern)}):
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
