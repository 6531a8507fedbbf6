"""Checkpoints from the hub, pinned: the commit of the first use is recorded and asked for ever after.

The pins lie in `$EVALS_CACHE/pins.json` (by default `~/.cache/evals`). A branch that moves on is not followed
silently: `hf:ORG/NAME@REV` names another revision on purpose.
"""

from __future__ import annotations

import os
from pathlib import Path

import orjson

from evals.errors import InputError
from evals.records import dumps, write_atomically

_PATTERNS = ("*.json", "*.safetensors", "*.model", "*.txt", "*.jinja")
"""What a checkpoint is made of; no pickles and no code are fetched."""


def local_copy(name: str) -> Path:
    """Return the folder of a checkpoint: the path itself, or the hub's snapshot at its pinned commit.

    Args:
        name: an existing folder, or `ORG/NAME[@REV]`.

    Raises:
        InputError: when it is neither a folder nor to be had from the hub.
    """
    path = Path(name).expanduser()
    if path.is_dir():
        return path
    repository, _, revision = name.partition("@")
    if path.exists() or repository.count("/") != 1 or repository.startswith((".", "/", "~")):
        raise InputError(f"{name} is neither a folder with a checkpoint nor a hub id (ORG/NAME[@REV])")
    return _snapshot(repository, revision)


def _snapshot(repository: str, revision: str) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    pins_path = Path(os.environ.get("EVALS_CACHE", "~/.cache/evals")).expanduser() / "pins.json"
    pins = orjson.loads(pins_path.read_bytes()) if pins_path.exists() else {}
    try:
        folder = snapshot_download(
            repository, revision=revision or pins.get(repository), allow_patterns=list(_PATTERNS)
        )
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        reason = str(error).strip().splitlines()[0]
        raise InputError(f"cannot get {repository} from the hub: {reason}") from error
    if not revision and repository not in pins:
        pins_path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(pins_path, dumps({**pins, repository: Path(folder).name}))
    return Path(folder)
