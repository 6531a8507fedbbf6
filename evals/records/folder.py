"""The run folder: what a run leaves behind, safe at any moment, readable without any model.

    manifest.json    the signature in full: all that determines the result; written once, before the first sample
    samples.jsonl    one record a sample, appended batch by batch and flushed to the disk
    result.json      the metrics with their intervals; written at the end, whole or not at all
    worst/           pictures of the worst samples, for the page
    report.md, report.html    the same for people

A record of `samples.jsonl`:

    {"id": "42000", "index": 0, "prompt": "What color are the gym shoes?", "output": "white", "answer": "white",
     "target": ["white", …], "values": {"accuracy": 1.0, …}, "failed": false, "failure": null, "truncated": false,
     "scores": [[]], "cluster": "42", "labels": {"answer type": "other", …},
     "cost": {"prompt_tokens": 81, "new_tokens": 2, "computed_tokens": 33.4, "useful_tokens": 31.2,
              "seconds": 0.004, "model_seconds": 0.0037}}

`output` is a list where a sample has several requests, `truncations` then says which of them were cut, if any were; an
embedding is text that `evals.records.embeddings` reads.
"""

from __future__ import annotations

import mmap
import os
import urllib.parse
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import filelock
import msgspec
import orjson

from evals.errors import InputError, RecordError
from evals.schema import Json

MANIFEST, SAMPLES, RESULT, WORST = "manifest.json", "samples.jsonl", "result.json", "worst"
_LOCK = ".lock"
_MANIFEST_FIELDS = ("signature", "task", "data", "model", "plan")
_RESULT_FIELDS = ("task", "model", "metrics", "headline", "n", "failed", "efficiency")


@dataclass(frozen=True)
class Record:
    """A run folder, read."""

    folder: Path
    """Where it lies."""
    manifest: dict[str, Json]
    """The signature in full."""
    result: dict[str, Json] | None
    """The metrics, or None while the run is not finished."""

    @property
    def timed(self) -> bool:
        """Whether its figures are timings, which only those that were timed in turn can be compared with."""
        return "interleaved" in self.manifest["plan"]

    def finished(self) -> dict[str, Json]:
        """Return the result. Raises `RecordError` while there is none."""
        if self.result is None:
            raise RecordError(f"{self.folder} holds no {RESULT}: the run is not finished, start it again to go on")
        return self.result

    def samples(self) -> Iterator[dict[str, Json]]:
        """Yield the sample records in the order of the benchmark, one at a time: the file may be large."""
        path = self.folder / SAMPLES
        if not path.exists():
            return
        order = sorted((row.index, offset) for offset, row in _rows(path))
        if not order:
            return
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as log:
            for _, offset in order:
                yield orjson.loads(log[offset : log.find(b"\n", offset)])

    def picture(self, sample_id: str) -> bytes | None:
        """Return the PNG that the run kept of a sample among its worst, or None."""
        path = self.folder / WORST / picture_name(sample_id)
        return path.read_bytes() if path.exists() else None


def load(folder: Path | str) -> Record:
    """Read a run folder. Raises `RecordError` when it is none, or damaged."""
    folder = Path(folder)
    if not (folder / MANIFEST).exists():
        raise RecordError(f"{folder} is no run folder: it has no {MANIFEST}")
    result = _read(folder / RESULT, _RESULT_FIELDS) if (folder / RESULT).exists() else None
    return Record(folder, _read(folder / MANIFEST, _MANIFEST_FIELDS), result)


def picture_name(sample_id: str) -> str:
    """Name a sample's picture by its id, whatever characters that has.

    Example:
        >>> picture_name("42000"), picture_name("../x")
        ('42000.png', '..%2Fx.png')
    """
    return urllib.parse.quote(sample_id, safe="", errors="surrogatepass") + ".png"


class RunFolder:
    """A run folder that a run is writing; a context manager that holds its lock.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp()) / "run"
        >>> with RunFolder(folder, {"signature": "a1"}) as run:
        ...     run.append([{"id": "1", "index": 0}])
        ...     run.finish({"n": 1})
        >>> with RunFolder(folder, {"signature": "a1"}) as run:
        ...     run.done
        {'1'}
        >>> with RunFolder(folder, {"signature": "b2"}) as run:  # doctest: +ELLIPSIS
        ...     pass
        Traceback (most recent call last):
            ...
        evals.errors.RecordError: ...run holds run a1, not b2; choose another --out ...
    """

    def __init__(self, folder: Path, manifest: Mapping[str, Json]) -> None:
        """Name the folder and what belongs into it; nothing is touched before entering.

        Args:
            folder: made when it is missing.
            manifest: the signature in full, with its identity under `signature`.
        """
        self.folder = folder
        self.manifest: Mapping[str, Json] = manifest
        self.done: set[str] = set()
        """Ids of the samples that are on disk."""

    def __enter__(self) -> RunFolder:
        """Lock the folder, and read what is finished. Raises `InputError` or `RecordError`; nothing is lost."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._lock = filelock.FileLock(self.folder / _LOCK)
            self._lock.acquire(timeout=0)
        except filelock.Timeout:
            raise RecordError(
                f"{self.folder} is in use by another process: wait for it or choose another --out"
            ) from None
        except OSError as error:
            raise InputError(f"cannot write in {self.folder}: {error.strerror or error}") from error
        try:
            self._claim()
            self._log = (self.folder / SAMPLES).open("ab", buffering=0)
        except BaseException:
            self._lock.release()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Close the log and release the lock."""
        self._log.close()
        self._lock.release()

    def append(self, rows: Sequence[Mapping[str, Json]]) -> None:
        """Add finished samples and wait until they are on the disk. Raises `InputError` when it is full."""
        data = memoryview(b"".join(orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE) for row in rows))
        start = os.fstat(self._log.fileno()).st_size
        try:
            while data:
                data = data[self._log.write(data) :]
            os.fsync(self._log.fileno())
        except OSError as error:
            os.ftruncate(self._log.fileno(), start)  # take back a line that was written in part
            raise InputError(
                f"cannot write {self.folder / SAMPLES}: {error.strerror}; what was finished is kept"
            ) from error
        self.done.update(row["id"] for row in rows)

    def finish(self, result: Mapping[str, Json]) -> None:
        """Write the result, whole or not at all."""
        write_atomically(self.folder / RESULT, dumps(result))

    def _claim(self) -> None:
        """Write the manifest of a new run, or check that the folder holds the same one."""
        path = self.folder / MANIFEST
        if not path.exists():
            if (self.folder / SAMPLES).exists():
                raise RecordError(f"{self.folder} holds {SAMPLES} but no {MANIFEST}: choose another --out")
            write_atomically(path, dumps(self.manifest))
            return
        held = _read(path, ("signature",))
        if held["signature"] != self.manifest["signature"]:
            fields = ", ".join(differences(held, self.manifest)) or "nothing that is recorded"
            raise RecordError(
                f"{self.folder} holds run {held['signature']}, not {self.manifest['signature']}; "
                f"choose another --out or remove it (what differs: {fields})"
            )
        self.manifest = held
        samples = self.folder / SAMPLES
        if samples.exists():
            _drop_torn_line(samples)
            self.done = {row.id for _, row in _rows(samples)}


def differences(a: Mapping[str, Json], b: Mapping[str, Json], path: str = "") -> list[str]:
    """Name the fields in which two manifests differ, as dotted paths, apart from the identity and the clock.

    Example:
        >>> differences({"model": {"dtype": "float32"}, "n": 1}, {"model": {"dtype": "bfloat16"}, "n": 1})
        ['model.dtype']
    """
    found = []
    for key in sorted({*a, *b}):
        if not path and key in {"signature", "created", "command"}:
            continue
        ours, theirs = a.get(key), b.get(key)
        if isinstance(ours, Mapping) and isinstance(theirs, Mapping):
            found += differences(ours, theirs, f"{path}{key}.")
        elif ours != theirs:
            found.append(path + key)
    return found


def dumps(value: Json) -> bytes:
    """Write JSON for people: indented, in the given order, with a last newline."""
    return orjson.dumps(value, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE | orjson.OPT_SERIALIZE_NUMPY)


def write_atomically(path: Path, data: bytes) -> None:
    """Replace a file by new contents, so that a reader or a crash sees the old or the new, never a part."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise InputError(f"cannot write {path}: {error.strerror or error}") from error


def rewrite(record: Record, rows: Iterable[Mapping[str, Json]]) -> None:
    """Replace the sample records by others of the same samples, as after scoring again."""
    data = b"".join(orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE) for row in rows)
    write_atomically(record.folder / SAMPLES, data)


def _read(path: Path, fields: Sequence[str]) -> dict[str, Json]:
    try:
        value = orjson.loads(path.read_bytes())
    except (orjson.JSONDecodeError, OSError) as error:
        raise RecordError(f"{path} cannot be read: {error}") from error
    if not isinstance(value, dict):
        raise RecordError(f"{path} holds {type(value).__name__}, not an object")
    lacking = [field for field in fields if field not in value]
    if lacking:
        raise RecordError(f"{path} is not a run's: it lacks {', '.join(lacking)}")
    return value


class _Row(msgspec.Struct, frozen=True, gc=False):
    """What tells a record from the others; the rest of its line is not made into objects."""

    id: str
    index: int


def _rows(path: Path) -> Iterator[tuple[int, _Row]]:
    """Yield what each whole line of a log is about, with the place where it begins."""
    decode = msgspec.json.Decoder(_Row).decode
    offset = 0
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if not line.endswith(b"\n"):
                return  # torn by a crash; whoever writes next drops it
            try:
                yield offset, decode(line)
            except msgspec.ValidationError as error:
                raise RecordError(f"{path}, line {number}, is no sample's record: {error}") from error
            except msgspec.DecodeError as error:
                raise RecordError(f"{path}, line {number}, is damaged: {error}") from error
            offset += len(line)


def _drop_torn_line(path: Path) -> None:
    """Cut a log after its last whole line."""
    with path.open("rb+") as file:
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
