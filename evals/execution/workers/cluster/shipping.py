"""Files that a worker on another machine needs: found there by their path, or sent by the driver.

A name of the hub, and what belongs to the package, are found by every machine itself. A file or folder of the driver's
machine is used on another one if it is there under the same absolute path; else the driver sends it, unless it is too
large. A table is sent with the images and clips beside it that its rows name.

What was sent is kept in `$EVALS_CACHE/shipped` (by default `~/.cache/evals/shipped`), by the digest of its contents.
Whether it is the same file on all machines is checked by its digest afterwards (`agreement`).
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from evals.errors import InputError
from evals.execution.composition import modalities_of
from evals.execution.resolve import Resolved
from evals.execution.workers.serving import Locate
from evals.paths import PACKAGE
from evals.registry import TASKS, VARIANTS
from evals.schema import RunConfig, Samples
from evals.temporaries import scratch_folder

LIMIT = 1 << 30
"""Maximum number of bytes of a file or folder that is sent."""


@dataclass(frozen=True)
class LocalFiles:
    """Which parts of a configuration are files of this machine, as absolute paths; None for others."""

    model_name: str
    """The model's name in the run, wherever its files are."""
    checkpoint: str | None = None
    prefix: str = ""
    """What stands before the checkpoint in the name of the model (`replay:`)."""
    is_option: bool = False
    """Whether the checkpoint was given by `--checkpoint`, and not as the model."""
    data: str | None = None
    media: tuple[str, ...] = ()
    """Files that the rows of a table name, relative to the table's folder."""
    task: str | None = None
    """The file that defines the task."""
    parts: Mapping[str, str] = field(default_factory=dict)
    """Folders of the parts of a composed model, by the names of the parts."""

    def placed(self, source: Resolved, locate: Locate) -> Resolved:
        """Return a model with its name in the run, and its parts with the places that they have on this machine."""
        moved = {name: str(locate(place)) for name, place in self.parts.items()}
        parts = {
            name: replace(part, checkpoint=moved.get(name, part.checkpoint)) for name, part in source.parts.items()
        }
        return replace(source, name=self.model_name, parts=parts)

    def located(self, config: RunConfig, locate: Locate) -> RunConfig:
        """Return the configuration with the places that the files have on this machine."""
        if self.checkpoint is not None:
            model = f"{self.prefix}{locate(self.checkpoint)}"
            config = replace(config, checkpoint=model) if self.is_option else replace(config, model=model)
        if self.task is not None:
            config = replace(config, task=str(locate(self.task)))
        if self.data is not None:
            place = locate(self.data, self.media) if self.media else locate(self.data)
            config = replace(config, options=replace(config.options, data=place))
        return config


def local_files(config: RunConfig, source: Resolved, split: Samples | None = None) -> LocalFiles:
    """Find the files of this machine that a configuration names; those of the package are on every machine.

    The data of a task in a file are those that the file names, unless the configuration names others.

    Args:
        config: the configuration.
        source: its model.
        split: all samples, which name images and clips beside the table that they are read from; None for none.
    """
    data, definition = config.options.data, None
    if config.task.endswith((".yaml", ".yml")):
        task = TASKS.get(config.task)
        data, definition = data or task.default_data, task.definition
    files = LocalFiles(
        source.name,
        data=str(data.absolute()) if data is not None and data.exists() else None,
        media=_media(data, split) if data is not None and data.is_file() and split is not None else (),
        task=None if definition is None else str(definition.absolute()),
    )
    if source.parts:
        places = {name: part.checkpoint for name, part in source.parts.items() if _is_sent(part.checkpoint)}
        return replace(files, parts={name: str(Path(place).expanduser().absolute()) for name, place in places.items()})
    is_option = config.checkpoint is not None or (config.model in VARIANTS and not Path(config.model).is_dir())
    if not is_option and config.model.startswith("hf:"):
        return files  # each machine has its own copy
    prefix, colon, _ = (config.checkpoint or config.model).partition(":")
    path = Path(source.checkpoint).expanduser()
    if not _is_sent(source.checkpoint):
        return files
    is_prefixed = bool(colon) and source.family.prefix == prefix
    return replace(
        files, checkpoint=str(path.absolute()), prefix=f"{prefix}:" if is_prefixed else "", is_option=is_option
    )


def _media(table: Path, split: Samples) -> tuple[str, ...]:
    """Return the files beside a table that its rows name, if they have any, relative to its folder."""
    if set(modalities_of(split)) <= {"text"}:
        return ()
    folder, names = table.absolute().parent, dict[str, None]()
    for sample in split:
        for part in (part for request in sample.requests for part in request.parts if not isinstance(part, str)):
            path = None if part.path is None else Path(part.path).absolute()
            if path is not None and path.is_relative_to(folder) and path.is_file():
                names[str(path.relative_to(folder))] = None
    return tuple(names)


def _is_sent(checkpoint: str) -> bool:
    """Return whether a checkpoint is a file or folder of this machine, and no part of the package."""
    path = Path(checkpoint).expanduser()
    return bool(checkpoint) and path.exists() and not path.is_relative_to(PACKAGE)


@dataclass(frozen=True)
class Parcel:
    """The contents of a file or folder on their way to another machine."""

    name: str
    digest: str
    files: tuple[tuple[str, bytes], ...]
    """Relative path, or "" for a file itself, and contents of each file."""
    beside: int = 0
    """Number of files at the end that lie beside the file itself, and not in it."""


def pack(path: str, beside: Sequence[str] = ()) -> Parcel:
    """Read a file or folder.

    Args:
        path: where it is on this machine.
        beside: further files, relative to the folder of `path`.

    Raises:
        InputError: it is too large, or cannot be read.
    """
    root = Path(path)
    members = [*_members(root), *(root.parent / name for name in beside)]
    size = sum(member.stat().st_size for member in members)
    if size > LIMIT:
        raise InputError(
            f"{path} has {size / 2**30:.1f} GiB, and at most {LIMIT / 2**30:g} GiB are sent to a machine that "
            f"lacks it: put it at the same path on every machine, or give a hub id"
        )
    digest = hashlib.sha256()
    files = []
    start = len(members) - len(beside)
    for number, member in enumerate(members):
        folder = root if number < start else root.parent
        name = "" if member == root else str(member.relative_to(folder))
        files.append((name, member.read_bytes()))
        digest.update(f"{name}\0{len(files[-1][1])}\0".encode() + files[-1][1])
    return Parcel(root.name, digest.hexdigest()[:16], tuple(files), len(beside))


def unpack(parcel: Parcel) -> Path:
    """Write the contents into this machine's cache, once, and return the path of the file or folder."""
    cache = Path(os.environ.get("EVALS_CACHE", "~/.cache/evals")).expanduser() / "shipped"
    cache.mkdir(parents=True, exist_ok=True)
    folder = cache / parcel.digest
    if not folder.exists():
        with scratch_folder(parcel.digest, cache) as scratch:
            start = len(parcel.files) - parcel.beside
            for number, (name, content) in enumerate(parcel.files):
                root = scratch / parcel.name if number < start else scratch
                place = root / name if name else root
                if not place.resolve().is_relative_to(scratch.resolve()):
                    raise InputError(f"{name} would be written outside {scratch}")
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_bytes(content)
            try:
                scratch.rename(folder)
            except OSError:  # another worker of this machine was faster
                if not folder.exists():
                    raise
    return folder / parcel.name


def _members(root: Path) -> Iterator[Path]:
    """Yield the files of a folder, or the file itself, in a fixed order; hidden files and folders are left out."""
    if root.is_file():
        yield root
        return
    for path in sorted(root.rglob("*")):
        if path.is_file() and not any(part.startswith(".") for part in path.relative_to(root).parts):
            yield path
