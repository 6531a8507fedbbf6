"""Download checkpoints from the hub, pinned to the commit of their first use.

The pinned commits are stored in `$EVALS_CACHE/pins.json` (by default `~/.cache/evals/pins.json`), so that a branch that
moves is not followed silently. `hf:ORG/NAME@REV` selects another revision.
"""

from __future__ import annotations

import os
import shlex
from pathlib import Path

import orjson

from evals.errors import InputError
from evals.records.folder import dumps
from evals.temporaries import write_atomically

_PATTERNS = ("*.json", "*.safetensors", "*.model", "*.txt", "*.jinja")
"""Files of a checkpoint that are downloaded; pickles and code are not."""


def local_copy(name: str) -> Path:
    """Return the folder of a checkpoint: a local folder, or the hub's snapshot at the pinned commit.

    Args:
        name: an existing folder, which may be one of the hub's cache (`models--ORG--NAME`), or `ORG/NAME[@REV]`.

    Raises:
        InputError: the name is neither a folder nor a checkpoint that the hub provides.
    """
    path = Path(name).expanduser()
    if path.is_dir():
        return _cached_snapshot(path)
    if path.suffix == ".gguf":
        raise InputError(f"{name} is no folder with a checkpoint: {gguf_advice(path)}")
    repository, _, revision = name.partition("@")
    if path.exists() or repository.count("/") != 1 or repository.startswith((".", "/", "~")):
        raise InputError(f"{name} is neither a folder with a checkpoint nor a hub id (ORG/NAME[@REV])")
    return _snapshot(repository, revision)


def gguf_advice(path: Path) -> str:
    """Return why a GGUF file is not read, with the command that converts it.

    Example:
        >>> gguf_advice(Path("q/x.gguf"))[:70]
        'a GGUF file is not read; convert it: pip install gguf accelerate && py'
    """
    code = (
        "import sys; from transformers import AutoModelForCausalLM as M, AutoTokenizer as T, GgufConfig as G; "
        "d, f, out = sys.argv[1:]; T.from_pretrained(d, gguf_file=f).save_pretrained(out); "
        "m = M.from_pretrained(d, gguf_file=f, quantization_config=G(dequantize=True)); "
        "m.hf_quantizer = None; vars(m.config).pop('quantization_config', None); m.save_pretrained(out)"
    )
    target = path.with_suffix("")
    command = f"pip install gguf accelerate && python -c {shlex.quote(code)} "
    command += shlex.join([str(path.parent), path.name, str(target)])
    return f"a GGUF file is not read; convert it: {command}; then --model {shlex.quote(str(target))}"


def _cached_snapshot(folder: Path) -> Path:
    """Return the snapshot inside a folder of the hub's cache: that of `refs/main`, or the only one.

    Any other folder is returned as it is.
    """
    snapshots = folder / "snapshots"
    if (folder / "config.json").exists() or not snapshots.is_dir():
        return folder
    listed = sorted(path.name for path in snapshots.iterdir() if path.is_dir())
    main = folder / "refs" / "main"
    commit = main.read_text().strip() if main.is_file() else None
    if commit in listed:
        return snapshots / commit
    if len(listed) == 1:
        return snapshots / listed[0]
    names = ", ".join(listed) or "none"
    raise InputError(f"{folder} has no snapshot that refs/main names: name one of its snapshots: {names}")


def _snapshot(repository: str, revision: str) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    pins_path = Path(os.environ.get("EVALS_CACHE", "~/.cache/evals")).expanduser() / "pins.json"
    pins = _read_pins(pins_path)
    try:
        folder = snapshot_download(
            repository, revision=revision or pins.get(repository), allow_patterns=list(_PATTERNS)
        )
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        reason = str(error).strip().splitlines()[0]
        raise InputError(f"{repository} is not a folder, and the hub provides no such checkpoint: {reason}") from error
    if not revision and repository not in pins:
        pins_path.parent.mkdir(parents=True, exist_ok=True)
        import filelock

        with filelock.FileLock(pins_path.with_suffix(".lock")):
            write_atomically(pins_path, dumps({**_read_pins(pins_path), repository: Path(folder).name}))
    return Path(folder)


def _read_pins(path: Path) -> dict[str, str]:
    try:
        pins = orjson.loads(path.read_bytes()) if path.exists() else {}
    except (orjson.JSONDecodeError, OSError) as error:
        raise InputError(f"{path}, which stores the pinned commits, cannot be read: {error}") from error
    if not isinstance(pins, dict):
        raise InputError(f"{path}, which stores the pinned commits, contains {type(pins).__name__}, expected an object")
    return pins
