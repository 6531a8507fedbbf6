"""Recorded outputs instead of a model: `replay:FILE`.

The file has one of these forms, which are distinguished by their contents:

    {"id": "42000", "output": "white"}                      JSONL, one sample per line; other keys are ignored
    [{"question_id": 42000, "answer": "white"}, …]          the VQA results format
    index	prediction                                       GLUE's submission format, tab-separated with this header
    .npz: image_ids, image_embeddings, text_ids, text_embeddings    NumPy, one row per item; text id <image id>#<n>
    {"question": …, "6b_finetuning": {"solution": …}, …}    grade-school-math's example_model_solutions.jsonl

The last form holds the outputs of several systems in the order of GSM8K's test.jsonl; `replay:FILE#6b_finetuning`
selects one. The file must contain every sample of the run exactly once, and only samples of the split. A missing,
unknown or repeated id is an error that names the id, because a score over other samples than the benchmark's would look
like any other score.

Thoughts in a text (`<think>…</think>`) are recorded apart from it and not graded. A text that ends inside a thought has
no answer, and is counted in `truncated_thinking`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import orjson

from evals import regular_files, repeated_keys
from evals.errors import InputError, counted
from evals.models.decoding.thoughts import split_text
from evals.models.families import embedding_archive
from evals.registry import FAMILIES
from evals.schema import Batch, Embed, Family, Json, Placement, Prediction, Prompt, Request

_ARCHIVE = b"PK"
"""The first bytes of a zip file, and therefore of an `.npz` file."""


@dataclass(frozen=True)
class Replay:
    """A model that answers from a file."""

    name: str
    path: Path
    outputs: Mapping[str, Json]
    facts: Mapping[str, Json]
    abilities: frozenset[str] = frozenset({"generate", "choose", "embed"})
    token_budget: int = 1024
    """A request counts as one position, so this is the number of samples that are written at once."""

    def check(self, split_ids: Sequence[str], run_ids: Sequence[str]) -> None:
        """Raise `InputError` for a file whose ids are not those of the benchmark."""
        missing = [id for id in run_ids if id not in self.outputs]
        if missing:
            raise InputError(f"{self.path} has no output for {_listed(missing)} of {counted(len(run_ids), 'sample')}")
        unknown = self.outputs.keys() - set(split_ids)
        if unknown:
            raise InputError(f"{self.path} has outputs for {_listed(sorted(unknown))}, which are not in the split")

    def prepare(self, request: Request) -> Prompt:
        """Count every request as one token."""
        return Prompt(request, key=request.id, tokens=(0,), reserve=0)

    def stage(self, prompts: Sequence[Prompt], batch: Batch) -> None:
        """Do nothing: there is nothing to compute."""

    def run(self, prompts: Sequence[Prompt], batch: Batch, staged: None) -> list[Prediction]:
        """Return the recorded outputs."""
        requests = [prompts[member].request for member in batch.members]
        return [_prediction(request, self._output(request.id)) for request in requests]

    def _output(self, id: str) -> Json:
        """Return the output for a request: the sample's, or the n-th of its list for the id `<sample>#<n>`."""
        if id in self.outputs:
            return self.outputs[id]
        sample, _, number = id.rpartition("#")
        outputs = self.outputs.get(sample)
        if not isinstance(outputs, list) or int(number) >= len(outputs):
            raise InputError(f"{self.path}: id {sample} needs a list of at least {int(number) + 1} outputs")
        return outputs[int(number)]

    def peak_memory_bytes(self) -> None:
        """Return None: the process is measured."""


def _prediction(request: Request, output: Json) -> Prediction:
    """Make the prediction for an output; thoughts in a text are divided from the answer, as for any model."""
    if not isinstance(output, str) or isinstance(request, Embed):
        return Prediction(request.id, output=output)
    answer, thought, is_open = split_text(output)
    return Prediction(request.id, output=answer, thought=thought or None, truncated_thinking=is_open)


def load(name: str, checkpoint: str, placement: Placement) -> Replay:
    """Read a file of recorded outputs. Raises `InputError` with the file and the line or entry."""
    path = Path(checkpoint).expanduser()
    system = None
    if "#" in path.name and not path.exists():
        file_name, _, system = path.name.rpartition("#")
        path = path.with_name(file_name)
    try:
        data = regular_files.read(path, pipe=True)
    except OSError as error:
        raise InputError(f"cannot read recorded outputs from {path}: {error.strerror}") from error
    outputs: dict[str, Json] = {}
    for place, id, output in _entries(path, data) if system is None else _solutions(path, data, system):
        if id in outputs:
            raise InputError(f"{path}, {place}: id {id} comes a second time")
        outputs[id] = output
    facts = {"family": "replay", "checkpoint": str(path), "digest": hashlib.sha256(data).hexdigest()[:16]}
    if system is not None:
        facts["system"] = system
    return Replay(name, path, outputs, facts)


def _entries(path: Path, data: bytes) -> Iterator[tuple[str, str, Json]]:
    """Yield (place, id, output) for a file of any form."""
    data = data.removeprefix(b"\xef\xbb\xbf")
    first = data.lstrip()[:1]
    if data.startswith(_ARCHIVE):
        yield from embedding_archive.entries(path, data)
    elif first == b"[":
        yield from _vqa_results(path, data)
    elif first == b"{":
        yield from _json_lines(path, data)
    elif data.split(b"\n", 1)[0].split() == [b"index", b"prediction"]:
        yield from _glue_results(path, data)
    else:
        raise InputError(
            f"{path} is not in a known form: JSON lines with id and output, a JSON list with question_id and answer, "
            f"tab-separated index and prediction with a header, or an .npz of embeddings"
        )


def _vqa_results(path: Path, data: bytes) -> Iterator[tuple[str, str, Json]]:
    try:
        entries = repeated_keys.loads(data)
    except orjson.JSONDecodeError as error:
        raise InputError(f"{path}, line {error.lineno}, column {error.colno}: {error.msg}") from error
    for number, entry in enumerate(entries, start=1):
        yield f"entry {number}", *_pair(path, f"entry {number}", entry, "question_id", "answer")


def _json_lines(path: Path, data: bytes) -> Iterator[tuple[str, str, Json]]:
    for place, entry in _lines(path, data):
        systems = _systems(entry)
        if systems and "output" not in entry:
            raise InputError(f"{path} holds outputs of several systems; name one: replay:{path}#{systems[0]}")
        yield place, *_pair(path, place, entry, "id", "output")


def _solutions(path: Path, data: bytes, system: str) -> Iterator[tuple[str, str, Json]]:
    """Read one system of grade-school-math's file; the id is the row, in the order of test.jsonl."""
    for row, (place, entry) in enumerate(_lines(path, data)):
        systems = _systems(entry)
        if system not in systems:
            raise InputError(f"{path}, {place}: no outputs of {system!r}; there are {', '.join(systems) or 'none'}")
        yield place, str(row), entry[system]["solution"]


def _systems(entry: Json) -> list[str]:
    """Return the names of the systems whose solutions an entry holds."""
    if not isinstance(entry, dict):
        return []
    return [name for name, value in entry.items() if isinstance(value, dict) and isinstance(value.get("solution"), str)]


def _lines(path: Path, data: bytes) -> Iterator[tuple[str, Json]]:
    for number, line in enumerate(data.split(b"\n"), start=1):
        if not line.strip():
            continue
        try:
            entry = orjson.loads(line)
            if line.count(b'"id"') > 1 or line.count(b'"output"') > 1 or b"\\u00" in line:  # an escape may hide a key
                repeated_keys.check(line)
            yield f"line {number}", entry
        except orjson.JSONDecodeError as error:
            raise InputError(f"{path}, line {number}, column {error.colno}: {error.msg}") from error


def _glue_results(path: Path, data: bytes) -> Iterator[tuple[str, str, Json]]:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8: {error}") from error
    for number, line in enumerate(text.splitlines()[1:], start=2):
        columns = line.split("\t")
        if len(columns) != 2:
            raise InputError(f"{path}, line {number}: {len(columns)} columns, expected index and prediction")
        yield f"line {number}", columns[0].strip(), columns[1].strip()


def _pair(path: Path, place: str, entry: Json, id_key: str, output_key: str) -> tuple[str, Json]:
    if not isinstance(entry, dict) or id_key not in entry or output_key not in entry:
        raise InputError(f"{path}, {place}: expected an object with {id_key} and {output_key}")
    id = entry[id_key]
    if not isinstance(id, str | int) or isinstance(id, bool):
        raise InputError(f"{path}, {place}: {id_key} is {id!r}, expected text or a whole number")
    return str(id), entry[output_key]


def _listed(ids: Sequence[str]) -> str:
    """List the first few ids."""
    first_ids = ", ".join(ids[:3])
    return first_ids if len(ids) <= 3 else f"{first_ids} and {len(ids) - 3} more"


FAMILIES.add(
    Family(
        name="replay",
        summary="recorded outputs instead of a model",
        abilities=frozenset({"generate", "choose", "embed"}),
        load=load,
        prefix="replay",
    )
)
