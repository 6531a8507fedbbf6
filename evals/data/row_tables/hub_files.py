"""Fetch data sets of the hub, pinned to the revision of their first use and verified afterwards.

    fetch("ORG/NAME@REV#CONFIG", split)       the files of one split, as the library `datasets` assigns them
    official(repository, patterns, task)      named files of a benchmark, in a folder

`$EVALS_CACHE/datasets.json` (by default `~/.cache/evals/datasets.json`) stores the revision, and the digest of each
file when it was first read. A branch that moves is not followed, and a file that changed is refused. What is in the
hub's cache is read without a network. Before a download, a line says how much it is.

Which file belongs to which split is asked of the library, in a folder of empty files with the repository's names, so
that only the files of one split are downloaded. No code of a repository is downloaded or run.
"""

from __future__ import annotations

import fnmatch
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from evals.data.files import digest, inside
from evals.data.json_files import read_json
from evals.data.row_tables.arrow_files import cache_folder, choose_split
from evals.data.row_tables.table import LOG
from evals.errors import InputError, UnknownName, one_line, shorten
from evals.schema import Json
from evals.temporaries import scratch_folder, write_atomically

CARD = "README.md"
_NAME = re.compile(r"(?P<repository>[\w.-]+/[\w.-]+)(?:@(?P<revision>[\w./-]+))?(?:#(?P<config>.+))?")
_MAX_FILES = 200_000
"""Most files of a repository that are listed."""


class PinnedFile(msgspec.Struct):
    """A file of a repository at the pinned revision."""

    bytes: int
    sha256: str | None = None
    """None until the file was read."""


class HubLayout(msgspec.Struct):
    """Which files a configuration of a data set has."""

    splits: dict[str, list[str]]
    features: Any = None
    """The features as the library writes them; None if only the files have them."""


class HubPin(msgspec.Struct):
    """What is stored about a repository at its first use."""

    revision: str
    files: dict[str, PinnedFile] = {}
    layouts: dict[str, HubLayout] = {}
    """By configuration; "" is the default one."""


@dataclass
class HubFiles:
    """Files of a data set on this machine."""

    paths: list[Path]
    split: str
    facts: dict[str, Json]
    features: Json = None
    key: str = ""
    names: list[str] = field(default_factory=list)
    """The name of each file in the repository."""

    def verify(self, digests: Sequence[str]) -> None:
        """Compare the digests of the files, in their order, with those of the first use, or store them.

        Raises:
            InputError: a file is not what it was.
        """
        pins = _read_pins()
        pin = pins[self.key]
        for path, name, present in zip(self.paths, self.names, digests, strict=True):
            stored = pin.files[name]
            if stored.sha256 not in {None, present}:
                raise InputError(
                    f"{path} of hf:{self.key} is not the file of its first use: its digest is {present[:16]}…, not "
                    f"{str(stored.sha256)[:16]}…; remove it, and it is downloaded again"
                )
            stored.sha256 = present
        _store_pin(self.key, pin)


def fetch(name: str, split: str | None) -> HubFiles:
    """Return the files of one split of a data set.

    Args:
        name: `ORG/NAME[@REV][#CONFIG]`.
        split: the split; None for the only one.

    Raises:
        InputError: the name has another form, the hub cannot be reached or has no such data set, or it has several
            splits of which none is chosen.
        UnknownName: there is no such configuration or split.
    """
    parsed = _NAME.fullmatch(name)
    if parsed is None:
        raise InputError(f"hf:{shorten(name)} is no data set of the hub; expected hf:ORG/NAME[@REV][#CONFIG]")
    repository, revision, config = parsed["repository"], parsed["revision"], parsed["config"] or ""
    key = repository if revision is None else f"{repository}@{revision}"
    pin = _read_pins().get(key)
    if pin is None or config not in pin.layouts:
        pin = _with_layout(key, repository, (pin.revision if pin else revision), config)
    layout = pin.layouts[config]
    chosen = choose_split(f"hf:{name}", list(layout.splits), split)
    names = layout.splits[chosen]
    paths = _download(repository, pin, names)
    facts: dict[str, Json] = {
        "source": "hub", "repository": repository, "revision": pin.revision, **({"config": config} if config else {})
    }  # fmt: skip
    return HubFiles(paths, chosen, facts, layout.features, key, names)


def official(repository: str, patterns: Sequence[str], task: str) -> tuple[Path, dict[str, Json]]:
    """Download files of a benchmark, at one revision for all tasks of a repository.

    Args:
        repository: `ORG/NAME`.
        patterns: what the names match, as `fnmatch` reads them; each matches at least one.
        task: which of the repository's benchmarks it is.

    Returns:
        The folder that has the files under their names in the repository, and facts: repository and revision.

    Raises:
        InputError: the hub cannot be reached, has no such files, or a file is not what it was at its first use.
    """
    key, pins = f"{repository}#{task}", _read_pins()
    pin = pins.get(key)
    if pin is None:
        revision = next((other.revision for name, other in pins.items() if name.partition("#")[0] == repository), None)
        listing = _listing(repository, revision)
        sizes: dict[str, int] = {}
        for pattern in patterns:
            sizes |= _matching(listing.sizes, pattern, f"hf:{repository}")
        pin = HubPin(listing.revision, {name: PinnedFile(size) for name, size in sizes.items()})
        _store_pin(key, pin)
    names = list(pin.files)
    paths = _download(repository, pin, names)
    HubFiles(paths, "", {}, None, key, names).verify([*map(digest, paths)])
    return paths[0].parents[names[0].count("/")], {"repository": repository, "revision": pin.revision}


def _matching(sizes: Mapping[str, int], pattern: str, where: str) -> dict[str, int]:
    names = {name: size for name, size in sizes.items() if fnmatch.fnmatchcase(name, pattern)}
    if not names:
        raise InputError(f"{where} has no file {pattern}")
    return names


# Pins


def _pins_path() -> Path:
    return cache_folder() / "datasets.json"


def _read_pins() -> dict[str, HubPin]:
    path = _pins_path()
    return read_json(path, dict[str, HubPin]) if path.exists() else {}


def _store_pin(key: str, pin: HubPin) -> None:
    import filelock

    path = _pins_path()
    path.parent.mkdir(parents=True, exist_ok=True)
    with filelock.FileLock(path.with_suffix(".lock")):
        pins = _read_pins()
        if pins.get(key) != pin:
            write_atomically(path, msgspec.json.format(msgspec.json.encode({**pins, key: pin})))


# The hub


@dataclass(frozen=True)
class _Listing:
    """The files of a repository at a revision, with their sizes in bytes."""

    revision: str
    sizes: Mapping[str, int]


def _reached(what: str, call: Callable[[], Any]) -> Any:
    """Call the hub's library; turn what it raises into one line."""
    try:
        return call()
    except InputError:
        raise
    except Exception as error:  # of a network, many types of exceptions
        reason = one_line(error) if str(error).strip() else type(error).__name__
        reason = f"{reason[:300].removesuffix('.')}; name your own copy with --data"
        raise InputError(f"{what} is not on this machine, and the hub does not provide it: {reason}") from error


def _endpoint() -> str | None:
    return os.environ.get("HF_ENDPOINT") or None


def _listing(repository: str, revision: str | None) -> _Listing:
    from huggingface_hub import HfApi

    info = _reached(
        f"hf:{repository}",
        lambda: HfApi(endpoint=_endpoint()).dataset_info(
            repository, revision=revision, files_metadata=True, timeout=60
        ),
    )
    sizes = {entry.rfilename: int(entry.size or 0) for entry in info.siblings or ()}
    if len(sizes) > _MAX_FILES:
        raise InputError(f"hf:{repository} has {len(sizes):,} files; at most {_MAX_FILES:,} are listed")
    return _Listing(str(info.sha), sizes)


def _download(repository: str, pin: HubPin, names: Sequence[str]) -> list[Path]:
    """Return the paths of files at the pinned revision; those that are not in the hub's cache are downloaded."""
    from huggingface_hub import hf_hub_download, try_to_load_from_cache

    cached = [try_to_load_from_cache(repository, name, revision=pin.revision, repo_type="dataset") for name in names]
    missing = [name for name, path in zip(names, cached, strict=True) if not isinstance(path, str)]
    if missing:
        total = sum(pin.files[name].bytes for name in missing)
        LOG.info(
            "hf:%s: downloading %s in %d file%s at revision %s",
            repository, _size(total), len(missing), "" if len(missing) == 1 else "s", pin.revision[:12],
        )  # fmt: skip

    def place(name: str, path: object) -> Path:
        if isinstance(path, str):
            return Path(path)
        what = f"{name} of hf:{repository}"
        return Path(
            _reached(
                what,
                lambda: hf_hub_download(
                    repository, name, revision=pin.revision, repo_type="dataset", endpoint=_endpoint()
                ),
            )
        )

    return [place(name, path) for name, path in zip(names, cached, strict=True)]


def _size(count: int) -> str:
    """Write a number of bytes for a person.

    Example:
        >>> _size(999), _size(12_345_678)
        ('999 bytes', '12.3 MB')
    """
    for unit, bytes_per_unit in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if count >= bytes_per_unit:
            return f"{count / bytes_per_unit:.1f} {unit}"
    return f"{count} bytes"


# Splits


def _with_layout(key: str, repository: str, revision: str | None, config: str) -> HubPin:
    """Ask the hub which files a configuration has, and store it."""
    listing = _listing(repository, revision)
    card = None
    if CARD in listing.sizes:
        (card,) = _download(repository, HubPin(listing.revision, {CARD: PinnedFile(listing.sizes[CARD])}), [CARD])
    layout = _layout(f"hf:{repository}", listing, card, config)
    pin = _read_pins().get(key) or HubPin(listing.revision)
    for names in layout.splits.values():
        for name in names:
            pin.files.setdefault(name, PinnedFile(listing.sizes[name]))
    pin.layouts[config] = layout
    _store_pin(key, pin)
    return pin


def _layout(where: str, listing: _Listing, card: Path | None, config: str) -> HubLayout:
    """Let the library assign files to splits, in a folder of empty files with the repository's names."""
    import datasets

    with scratch_folder("hub-layout") as scratch:
        folder = scratch.resolve() / "data-set"
        for name in listing.sizes:
            path = inside(folder, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        if card is not None:
            text = card.read_text(encoding="utf-8", errors="replace")
            _check_card(where, text)
            (folder / CARD).write_text(text, encoding="utf-8")
        try:
            names = datasets.get_dataset_config_names(str(folder))
            if config and config not in names:
                raise UnknownName(f"configuration of {where}", config, names)
            if not config and len(names) > 1 and "default" not in names:
                raise InputError(f"{where} has the configurations {', '.join(names)}: choose one with {where}#NAME")
            builder = datasets.load_dataset_builder(str(folder), config or None, cache_dir=str(scratch / "cache"))
            files = builder.config.data_files or {}
            features = builder.info.features
        except InputError:
            raise
        except Exception as error:  # for a repository without data files, or with a card of another form
            reason = one_line(error).replace(str(folder), where)[:300]
            raise InputError(f"{where} has no files that can be read: {reason}") from error
        splits = {
            str(split): [Path(path).resolve().relative_to(folder).as_posix() for path in paths]
            for split, paths in files.items()
            if all(Path(path).resolve().is_relative_to(folder) for path in paths)
        }
    if not splits:
        raise InputError(f"{where} has no data files of a format that is read")
    return HubLayout(splits, None if features is None else features.to_dict())


def _check_card(where: str, text: str) -> None:
    """Refuse a card whose patterns name files elsewhere: the library would follow them."""
    from huggingface_hub import DatasetCard

    try:
        configs = DatasetCard(text, ignore_metadata_errors=True).data.to_dict().get("configs")
    except Exception as error:  # of a card of another form, many types of exceptions
        raise InputError(f"{where}: its card cannot be read: {one_line(error)[:200]}") from error
    for pattern in _texts(configs):
        if pattern.startswith(("/", "~")) or "://" in pattern or ".." in pattern.split("/"):
            raise InputError(f"{where}: its card names the files {shorten(pattern)} outside the data set")


def _texts(value: Json) -> Iterator[str]:
    """Yield every text in lists and mappings."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for part in value.values():
            yield from _texts(part)
    elif isinstance(value, list):
        for part in value:
            yield from _texts(part)
