"""Read and check the files of a run folder; a damaged or foreign file is a `RecordError` with one line.

`read_manifest` and `read_result` decode a whole file, `keys` the ids of a log. The checks between files are
`check_result` (is it the result of this manifest's run) and `check_samples` (are these the samples of that result).
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import msgspec
import orjson

from evals import regular_files, repeated_keys
from evals.errors import RecordError, counted
from evals.records.digests import digest_of_ids, digest_of_result, signature_of
from evals.records.types import Manifest, Result, SampleKey
from evals.schema import Json

_SCORE_AGAIN = "score the run again (python -m evals score {})"
FileT = TypeVar("FileT", Manifest, Result, dict[str, Json])


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn an operating system's error about a file (it is a folder, it may not be read) into a `RecordError`."""
    try:
        yield
    except OSError as error:
        raise RecordError(f"{path} cannot be read: {error.strerror or error}") from error


def read_manifest(path: Path) -> Manifest:
    """Read a manifest. Raises `RecordError` if it is damaged, or its signature is not that of its fields."""
    content = _content(path)
    manifest = _decode(path, content, Manifest)
    try:
        signature = signature_of(_fields(path, content))
    except TypeError as error:  # a number that JSON cannot represent
        raise RecordError(f"{path} is damaged: {error}") from error
    if signature != manifest.signature:
        raise RecordError(
            f"{path} was changed: its fields have the signature {signature}, it says {manifest.signature!r}; "
            f"restore it, or run into another folder"
        )
    return manifest


def read_result(path: Path, *, changed: bool = False) -> Result:
    """Read a result.

    Args:
        path: the file.
        changed: whether it may have been changed since it was written, for a caller that writes it anew.

    Raises:
        RecordError: it is damaged, or was changed.
    """
    content = _content(path)
    result = _decode(path, content, Result)
    stated = digest_of_result(_fields(path, content)) if result.digest is not msgspec.UNSET else msgspec.UNSET
    if stated != result.digest and not changed:
        raise RecordError(
            f"{path} was changed after the run: its fields have the digest {stated}, it says {result.digest!r}; "
            f"restore it, or {_SCORE_AGAIN.format(path.parent)}"
        )
    return result


def check_result(path: Path, manifest: Manifest, result: Result) -> None:
    """Raise `RecordError` unless a result is that of the manifest's run, and agrees with itself."""
    task = manifest.task
    expected = {
        "signature": manifest.signature,
        "task": task.name,
        "model": manifest.model_name,
        "scale": task.scale,
        "split": task.split,
    }
    for field, value in expected.items():
        if result[field] != value:
            raise RecordError(
                f"{path} is of another run: its {field} is {result[field]!r}, the manifest's {value!r}; "
                f"remove it and start the run again"
            )
    _check_counts(path, manifest, result)


def _check_counts(path: Path, manifest: Manifest, result: Result) -> None:
    seconds, rate = (result.efficiency.get(name) for name in ("seconds", "samples_per_second"))
    total = result.n if result.stopped is None else result.stopped.of
    if total != manifest.sample_count:
        why = f"it says {counted(total, 'sample')}, {path.parent / 'manifest.json'} {manifest.sample_count:,}"
    elif result.digest is msgspec.UNSET or not seconds or not rate:
        return
    elif not math.isclose(rate * seconds, result.n, rel_tol=1e-6):
        why = f"it says {result.n:,} samples in {seconds:.6g} s and {rate:.6g} samples per second"
    else:
        return
    raise RecordError(f"{path} is damaged: {why}; {_SCORE_AGAIN.format(path.parent)}")


def check_samples(path: Path, ids: Sequence[str], manifest: Manifest, result: Result | None) -> None:
    """Raise `RecordError` if the files of a complete run disagree about the samples."""
    stopped = None if result is None else result.stopped
    counts = {"manifest.json": manifest.sample_count} if stopped is None else {}
    counts |= {} if result is None else {"result.json": result.n}
    for name, count in counts.items():
        if len(ids) != count:
            raise RecordError(
                f"{path} holds {counted(len(ids), 'sample')}, {name} says {count}: it is damaged; start the run again"
            )
    if digest_of_ids(ids) != (manifest.data["ids"] if stopped is None else stopped.ids):
        source = "manifest" if stopped is None else "result"
        raise RecordError(f"{path} holds other samples than the {source} says (their ids differ): it is damaged")


def check_seconds(path: Path, seconds: float, result: Result) -> None:
    """Raise `RecordError` if the samples' seconds do not add up to those of the result, so are of another run."""
    total = result.efficiency.get("seconds")
    if total is not None and not math.isclose(seconds, total, rel_tol=1e-6, abs_tol=1e-9):
        raise RecordError(
            f"{path} and the result are not of one run: the samples took {seconds:.6g} s, the result says "
            f"{total:.6g} s; restore the one that was changed, or run into another folder"
        )


def keys(path: Path, signature: str) -> Iterator[tuple[int, str, int]]:
    """Yield the index and id of each complete line of a log, with the offset at which it begins.

    Args:
        path: the log.
        signature: that of the run, before it was extended. A line that states none is taken to be of it.

    Raises:
        RecordError: if a line is damaged or of another run, or a sample has two lines.
    """
    decode = msgspec.json.Decoder(SampleKey).decode
    ids: set[str] = set()
    indices: set[int] = set()
    offset = 0
    with reading(path), regular_files.opened(path) as file:
        for number, line in enumerate(file, start=1):
            if not line.endswith(b"\n"):
                return  # cut off by a crash; the next run that continues the folder removes it
            try:
                key = decode(line)
            except msgspec.ValidationError as error:
                raise RecordError(f"{path}, line {number}, is not a sample's record: {error}") from error
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
                raise RecordError(f"{path}, line {number}, is damaged: {error}") from error
            if key.signature is not None and key.signature != signature:
                raise RecordError(
                    f"{path}, line {number}: sample {key.id!r} is of run {key.signature}, not of {signature}: "
                    f"remove the line, and start the run again"
                )
            ids.add(key.id)
            indices.add(key.index)
            if len(ids) < number:
                raise RecordError(f"{path}, line {number}: sample {key.id!r} has a line already; remove one of the two")
            if len(indices) < number:
                raise RecordError(
                    f"{path}, line {number}: index {key.index} is another sample's already: it is damaged"
                )
            yield key.index, key.id, offset
            offset += len(line)


def drop_torn_line(path: Path) -> None:
    """Cut a log after its last complete line."""
    with reading(path), path.open("rb+") as file:
        end = file.seek(0, os.SEEK_END)
        keep = end
        while keep > 0:
            start = max(0, keep - (1 << 16))
            file.seek(start)
            last = file.read(keep - start).rfind(b"\n")
            if last >= 0:
                keep = start + last + 1
                break
            keep = start
        if keep < end:
            file.truncate(keep)


def _content(path: Path) -> bytes:
    with reading(path):
        return regular_files.read(path)


def _fields(path: Path, content: bytes) -> dict[str, Json]:
    """Return the fields as they are in the file: a later version may have written some that this one does not know."""
    return _decode(path, content, dict)


def _decode(path: Path, content: bytes, kind: type[FileT]) -> FileT:
    try:
        value = msgspec.json.decode(content, type=kind)
        repeated_keys.check(content)
        return value
    except msgspec.ValidationError as error:
        raise RecordError(f"{path} is not a run's, or damaged: {error}") from error
    except (msgspec.DecodeError, orjson.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise RecordError(f"{path} cannot be read: {error}") from error
