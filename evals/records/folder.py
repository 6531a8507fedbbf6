"""Read and write run folders. A run folder is consistent at any moment, and readable without any model.

    manifest.json    `Manifest`: everything that determines the result, and its signature; written at the start
    samples.jsonl    `SampleRecord`: one line per sample, appended batch by batch and flushed to the disk
    prefixes.jsonl   `SharedPrefix`: what many samples' inputs begin with, once; written before the samples
    result.json      `Result`: the metrics with their intervals; written atomically at the end
    .answers-0.log   answers of a server whose samples are not complete (`evals.records.answers`)
    worst/           images of the worst samples, for the page
    report.md, report.html    the result for readers

`load` reads a folder into a `Record`; `RunFolder` is a folder that a run is writing. `evals.records.types` has the
types. An output that is an embedding is text that `evals.records.embeddings` reads.
"""

from __future__ import annotations

import mmap
import os
import urllib.parse
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TypeVar

import msgspec
import orjson

from evals.errors import InputError, RecordError, counted
from evals.records import files, places
from evals.records.digests import base_signature, differences, digest_of_result
from evals.records.imported import TrackingEntry
from evals.records.inputs import SharedPrefix
from evals.records.prefixes import PREFIXES, PrefixWriter
from evals.records.types import Manifest, ProbeEntry, Result, SampleRecord, SampleValues
from evals.schema import Json
from evals.start_folder import absolute
from evals.temporaries import remove_abandoned, write_atomically

MANIFEST, SAMPLES, RESULT, WORST = "manifest.json", "samples.jsonl", "result.json", "worst"
SUBMISSION = "submission"
"""The folder of a benchmark's submission files, if its labels are secret."""
_LOCK = ".lock"
LARGEST_VALUE = 1e100
"""Values of a sample are smaller, so that sums and squares of them are numbers."""

T = TypeVar("T")
LineT = TypeVar("LineT", SampleRecord, SampleValues)


@dataclass(frozen=True)
class Record:
    """The contents of a run folder, in memory."""

    folder: Path
    """The folder's path."""
    manifest: Manifest
    """Everything that determines the result."""
    result: Result | None
    """The metrics, or None if the run is not finished."""

    @property
    def at_a_rate(self) -> bool:
        """Whether requests arrived by themselves, at a rate or as in a load trace, and waited for each other."""
        return self.timed and "arrivals" in self.manifest.data

    @property
    def timed(self) -> bool:
        """Whether the values are timings; only runs that were timed in turn with each other can be compared."""
        return self.manifest.timed

    def finished(self) -> Result:
        """Return the result. Raises `RecordError` if the run is not finished."""
        if self.result is None:
            raise RecordError(f"{self.folder} holds no {RESULT}: the run is not finished, start it again to finish it")
        return self.result

    def samples(self) -> Iterator[SampleRecord]:
        """Yield the sample records in the order of the benchmark, one at a time: the file may be large.

        Raises:
            RecordError: if a line is damaged or repeated, or the samples are not those of the manifest.
        """
        return self._lines(SampleRecord)

    def values(self) -> Iterator[SampleValues]:
        """Yield only what comparisons need, as `samples` does; the archive of a check holds only this."""
        return self._lines(SampleValues)

    def _lines(self, kind: type[LineT]) -> Iterator[LineT]:
        path = self.folder / SAMPLES
        keys = sorted(files.keys(path, base_signature(self.manifest.to_dict()))) if path.exists() else []
        if self.result is not None or len(keys) == self.manifest.sample_count:
            files.check_samples(path, [key for _, key, _ in keys], self.manifest, self.result)
        if not keys:
            return
        decode = msgspec.json.Decoder(kind).decode
        seconds: float | None = 0.0
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as log:
            for _, id, offset in keys:
                try:
                    row = decode(log[offset : log.find(b"\n", offset)])
                except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
                    if kind is SampleRecord and _has_values_only(log[offset : log.find(b"\n", offset)]):
                        raise RecordError(
                            f"{self.folder} holds only the values of its samples, as a check stores them: `compare`, "
                            f"`trends` and `check --recorded` read it; for all else run it again: --model "
                            f"{self.manifest.model_name} --task {self.manifest.task.name}"
                        ) from error
                    raise RecordError(f"{path}: the line of sample {id!r} is damaged: {error}") from error
                if not all(abs(value) < LARGEST_VALUE for value in row.values.values()):
                    raise RecordError(f"{path}: the line of sample {id!r} is damaged: its values are {row.values}")
                seconds = None if seconds is None or "seconds" not in row.cost else seconds + row.cost["seconds"]
                yield row
        if self.result is not None and seconds is not None:
            files.check_seconds(path, seconds, self.result)

    def image(self, sample_id: str) -> bytes | None:
        """Return the PNG that the run kept of one of its worst samples, or None."""
        path = self.folder / WORST / image_name(sample_id)
        return path.read_bytes() if path.exists() else None


def _has_values_only(line: bytes) -> bool:
    """Return whether a line has the fields that the archive of a check keeps, and no prompt and output."""
    try:
        fields = msgspec.json.decode(line, type=dict[str, msgspec.Raw])
        msgspec.json.decode(line, type=SampleValues)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return not fields.keys() & {"prompt", "output", "target"}


def load(folder: Path | str, *, changed: bool = False) -> Record:
    """Read a run folder.

    Args:
        folder: the folder.
        changed: whether its result may have been changed since the run, for a caller that computes it anew.

    Raises:
        RecordError: if it is not a run folder, or damaged: names the file, the field and what was expected.

    Example:
        >>> load("/nowhere")
        Traceback (most recent call last):
            ...
        evals.errors.RecordError: /nowhere is not a run folder: it has no manifest.json
    """
    if not isinstance(folder, (str, os.PathLike)):
        raise RecordError(f"{folder!r} ({type(folder).__name__}) is not a run folder: expected a path")
    folder = Path(folder).expanduser()
    if not (folder / MANIFEST).exists():
        raise RecordError(f"{folder} is not a run folder: it has no {MANIFEST}{places.runs_inside(folder)}")
    manifest = files.read_manifest(folder / MANIFEST)
    result = files.read_result(folder / RESULT, changed=changed) if (folder / RESULT).exists() else None
    if result is not None and not changed:
        files.check_result(folder / RESULT, manifest, result)
    return Record(folder, manifest, result)


def load_finished(folders: Iterable[Path]) -> tuple[list[Record], list[str]]:
    """Read the finished runs among some files and folders (`runs/*`).

    Returns:
        The finished runs, and why each other path was left out.

    Raises:
        RecordError: a run is damaged, or there is no finished run.
    """
    runs, skipped = [], []
    for folder in map(Path, folders):
        if not (folder / MANIFEST).exists():
            skipped.append(f"{folder} is not a run folder: it has no {MANIFEST}")
        elif not (folder / RESULT).exists():
            skipped.append(f"{folder} is not finished: it has no {RESULT}; the command that began it continues it")
        else:
            runs.append(load(folder))
    if not runs:
        raise RecordError("; ".join(skipped[:3]) + (f"; and {len(skipped) - 3} more" if len(skipped) > 3 else ""))
    return runs, skipped


def image_name(sample_id: str) -> str:
    """Return the file name of a sample's image: its id, with special characters escaped.

    Example:
        >>> image_name("42000"), image_name("../x")
        ('42000.png', '..%2Fx.png')
    """
    return urllib.parse.quote(sample_id, safe="", errors="surrogatepass") + ".png"


class RunFolder:
    """A run folder that a run is writing; a context manager that holds its lock.

    Entering creates the folder or continues it. A folder is only continued by a run of the same signature.
    """

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        """Name the folder and its manifest; nothing is read or written before entering.

        Args:
            folder: created if it is missing.
            manifest: everything that determines the result.
        """
        self.folder, self.named, self.manifest = absolute(folder), folder, manifest
        self.finished_ids: set[str] = set()
        """Ids of the samples that are on disk."""

    def __enter__(self) -> RunFolder:
        """Lock the folder and read the finished samples. Raises `InputError` or `RecordError`; no sample is lost."""
        import filelock

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
            self._open()
            self._prefixes = PrefixWriter(self.folder)
            with files.reading(self.folder / SAMPLES):
                self._log = (self.folder / SAMPLES).open("ab", buffering=0)
        except BaseException:
            self._lock.release()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Close the log and release the lock."""
        self._log.close()
        self._lock.release()

    def append(self, rows: Sequence[SampleRecord], prefixes: Iterable[SharedPrefix] = ()) -> None:
        """Add finished samples and wait until they are on the disk.

        Args:
            rows: the samples.
            prefixes: shared prefixes that the inputs of these samples, or of later ones, refer to.

        Raises:
            InputError: the disk is full, or the files cannot be written.
        """
        try:
            self._prefixes.add(prefixes)
        except OSError as error:
            raise InputError(
                f"cannot write {self.folder / PREFIXES}: {error.strerror}; the samples before it are kept"
            ) from error
        data = memoryview(_encode_lines(rows, self.manifest))
        start = os.fstat(self._log.fileno()).st_size
        try:
            while data:
                data = data[self._log.write(data) :]
            os.fsync(self._log.fileno())
        except OSError as error:
            os.ftruncate(self._log.fileno(), start)  # remove a partly written line
            raise InputError(
                f"cannot write {self.folder / SAMPLES}: {error.strerror}; the samples before it are kept"
            ) from error
        self.finished_ids.update(row.id for row in rows)

    def note_probe(self, probe: ProbeEntry) -> None:
        """Add to the manifest on what a probe was fitted."""
        self.manifest = msgspec.structs.replace(self.manifest, probe=probe)
        write_atomically(self.folder / MANIFEST, dumps(self.manifest.to_dict()))

    def note_tracking(self, tracking: TrackingEntry) -> None:
        """Add to the manifest which hooks observe the run, and how often they failed."""
        self.manifest = msgspec.structs.replace(self.manifest, tracking=tracking)
        write_atomically(self.folder / MANIFEST, dumps(self.manifest.to_dict()))

    def finish(self, result: Result) -> None:
        """Write the result atomically, with the digest of what it says."""
        fields = result.to_dict()
        write_atomically(self.folder / RESULT, dumps({**fields, "digest": digest_of_result(fields)}))

    @property
    def finished(self) -> bool:
        """Whether there is a result and its samples are complete: a log may have been cut afterwards."""
        return (self.folder / RESULT).exists() and len(self.finished_ids) >= self.manifest.sample_count

    def check_ids(self, ids: Sequence[str]) -> None:
        """Raise `RecordError` if a sample on disk is not a sample of the run."""
        foreign = self.finished_ids.difference(ids)
        if foreign:
            raise RecordError(
                f"{self.folder / SAMPLES}: sample {min(foreign)!r} is not in the split; remove its line, or the folder"
            )

    def check_complete(self) -> None:
        """Raise `RecordError` unless as many samples are on disk as the run has."""
        total, count = self.manifest.sample_count, len(self.finished_ids)
        if count != total:
            raise RecordError(
                f"{self.folder} holds {count:,} of {counted(total, 'sample')}: start its run again to finish it"
                if count < total
                else f"{self.folder} holds {counted(count, 'sample')} of a run of {total}: it is damaged, run it again"
            )

    def _open(self) -> None:
        """Write the manifest of a new run, or check that the folder holds the same one."""
        for place in (self.folder, self.folder / WORST, self.folder / SUBMISSION):
            remove_abandoned(place)
        path = self.folder / MANIFEST
        if not path.exists():
            if (self.folder / SAMPLES).exists():
                raise RecordError(f"{self.folder} holds {SAMPLES} but no {MANIFEST}: choose another --out")
            write_atomically(path, dumps(self.manifest.to_dict()))
            return
        present = files.read_manifest(path)
        if present.signature != self.manifest.signature:
            fields = ", ".join(differences(present.to_dict(), self.manifest.to_dict())) or "nothing that is recorded"
            raise RecordError(
                f"{self.folder} holds run {present.signature}, not {self.manifest.signature}; "
                f"choose another --out or remove it (what differs: {fields})"
            )
        self.manifest = present
        samples = self.folder / SAMPLES
        if samples.exists():
            files.drop_torn_line(samples)
            self.finished_ids = {id for _, id, _ in files.keys(samples, base_signature(present.to_dict()))}


def dumps(value: Json) -> bytes:
    """Write readable JSON: indented, in the given order, with a final newline."""
    return orjson.dumps(value, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE | orjson.OPT_SERIALIZE_NUMPY)


def rewrite(record: Record, rows: Iterable[SampleRecord]) -> None:
    """Replace the sample records by others of the same samples, for example after scoring again."""
    write_atomically(record.folder / SAMPLES, _encode_lines(rows, record.manifest))


def _encode_lines(rows: Iterable[SampleRecord], manifest: Manifest) -> bytes:
    signature = base_signature(manifest.to_dict())

    def signed() -> Iterator[SampleRecord]:
        for row in rows:
            row.signature = signature
            yield row

    return msgspec.json.Encoder().encode_lines(signed())
