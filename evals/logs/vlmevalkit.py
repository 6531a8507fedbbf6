"""Read the outputs of VLMEvalKit: `<work folder>/<model>/<model>_<dataset>.xlsx`, also as `.tsv`, `.csv` or `.json`.

A table with the columns `index`, `question`, `answer`, `prediction` and those of the data set (`category`, `split`, the
choices `A`, `B`, …); after the evaluation a copy (`<model>_<dataset>_<judge>_result.xlsx`, or `…_<judge>.xlsx`) has a
column `hit` or `score` too, and `<model>_<dataset>_acc.csv` or `…_<judge>_score.csv` the values by split or category
(vlmeval/inference.py; vlmeval/dataset/image_mcq.py, utils/multiple_choice.py, mathvista.py). These are fractions for
some data sets and percentages for others, so they are kept as they are written. Excel files need the package openpyxl.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from evals.errors import InputError, counted, one_line
from evals.logs import json_text
from evals.logs.harness_run import UNKNOWN, HarnessRun, HarnessSample, ReportedMetric, unique

_NEEDED = frozenset({"index", "prediction"})
_QUESTION = frozenset({"question", "answer"})
"""Columns of which a table has one at least: others with an index and a prediction are no benchmark's."""
_TABLES = frozenset({".xlsx", ".tsv", ".csv", ".json"})
_JUDGE = (
    r"exact_matching|openai|(?:chat)?gpt-?[0-9][a-z0-9.-]*|"
    r"(?:chatgpt|qwen|llama|deepseek|gemini|claude)[a-z0-9.-]*"
)
_JUDGED = re.compile(
    rf"_(?:(?P<judge>{_JUDGE})(?:_(?:result|judge|score))?|result|judge|score|auxmatch)$", re.IGNORECASE
)
"""The end of a judged table's name: the judge, where one is named, and `result`, or of videos `score`; of yes and no
questions `auxmatch`."""
_DATA_SET = re.compile(
    r"(?:.*bench.*|.*vqa.*|.*qa(?:pro)?|math(?:verse|vision|vista)|ai2d|blink|charxiv|cmmmu|coco|crpe|dynamath|emma|hle|"
    r"llavabench|logicvista|longvideo.*|mm(?:du|e|mu|mb|star|vet|vp|sci|math)(?:-.*)?|mlvu|pope|refcoco.*|screenspot|"
    r"seedbench2?|tempcompass|vcr|video-?mm.*|visulogic|vizwiz|wemath|.*caption.*)",
    re.IGNORECASE,
)
"""How the name of a data set begins, up to its first underscore (`supported_datasets` of vlmeval/dataset)."""
_LABELS = ("category", "l2-category", "split", "type", "topic", "subfield")
_HITS = ("hit", "score", "eval_score")
_TRUTH = {"true": 1.0, "false": 0.0}
_NO_SCORE = -1
"""What VLMEvalKit writes where the judge gave no score (vlmeval/dataset/videomme.py)."""
_NOTHING = frozenset({"", "nan", "none", "-1", "-1.0"})
"""Cells that hold nothing, in lower case."""
_ROTATION = 1_000_000
"""What VLMEvalKit adds to the index of a question for each rotation of its choices."""


def is_log(path: Path) -> bool:
    """Return whether a file is a table of predictions, by its columns. A judged table counts for the one beside it."""
    if path.suffix not in _TABLES or not path.is_file():
        return False
    first = next(_rows(path, limit=1), None)
    return first is not None and first.keys() >= _NEEDED and bool(first.keys() & _QUESTION)


def pieces(paths: Sequence[Path]) -> list[list[Path]]:
    """Return each table on its own; of predictions and their judged copy, the latter."""
    judged = {path.with_name(_JUDGED.sub("", path.stem)) for path in paths if _JUDGED.search(path.stem)}
    return [[path] for path in paths if _JUDGED.search(path.stem) or path.with_suffix("") not in judged]


def read(paths: Sequence[Path]) -> list[HarnessRun]:
    """Read one run from each table. Raises `InputError` if a table is malformed."""
    return [_run(path) for (path,) in pieces(paths)]


def _run(path: Path) -> HarnessRun:
    model, task = _names(path)
    judge = match["judge"] if (match := _JUDGED.search(path.stem)) else None
    judged, predictions = unique(_samples(path), path), _predictions_beside(path)
    unjudged = [] if predictions is None else _unjudged(judged, path, predictions)
    samples = [*judged, *unjudged]
    metrics, more = _metrics(path)
    if predictions is not None and unjudged:
        more = [predictions, *more]
    notes = [_NO_MODEL if model == UNKNOWN else "", _without_score(samples, len(unjudged), path), _unreadable(samples)]
    return HarnessRun(
        harness="VLMEvalKit",
        version=None,
        task=task,
        model=model,
        samples=samples,
        metrics=metrics,
        files=[path, *more],
        protocol={"judge": judge} if judge else {},
        note="; ".join(filter(None, notes)),
    )


_NO_MODEL = (
    "the name of the table does not say where the model's name ends: put the table into a folder of the model's name"
)


def _names(path: Path) -> tuple[str, str]:
    """Return model and data set: the folder's name is the model's, or one above it (`T20251224_G9f092656`).

    Without such a folder the data set's name begins where one that is known does, or after the only underscore.

    Example:
        >>> _names(Path("outputs/GPT4o/T2025/GPT4o_MMBench_DEV_EN.xlsx"))
        ('GPT4o', 'MMBench_DEV_EN')
        >>> _names(Path("logs/Qwen_VL_7B_MMBench_DEV_EN.xlsx")), _names(Path("logs/my_vl_colours.tsv"))
        (('Qwen_VL_7B', 'MMBench_DEV_EN'), ('unknown', 'my_vl_colours'))
    """
    stem = _JUDGED.sub("", path.stem)
    for parent in path.parents:
        if parent.name and stem.startswith(f"{parent.name}_"):
            return parent.name, stem.removeprefix(f"{parent.name}_")
    parts = stem.split("_")
    begins = [place for place in range(1, len(parts)) if _DATA_SET.fullmatch(parts[place])]
    place = begins[0] if begins else 1 if len(parts) == 2 else 0
    return ("_".join(parts[:place]), "_".join(parts[place:])) if place else (UNKNOWN, stem)


def _rows(path: Path, limit: int | None = None) -> Iterator[Mapping[str, Any]]:
    """Yield the rows of a table by the names of its columns; all, or the first ones."""
    if path.suffix == ".json":
        content = json_text.read(path)
        rows = content if isinstance(content, list) else []
        yield from (json_text.mapping(row) for row in rows[:limit])
        return
    records = _excel(path) if path.suffix == ".xlsx" else _separated(path)
    names = [str(name) for name in next(records, [])]
    for place, record in enumerate(records):
        if limit is not None and place >= limit:
            return
        yield dict(zip(names, record, strict=False))


def _separated(path: Path) -> Iterator[Sequence[Any]]:
    csv.field_size_limit(1 << 27)  # images in base64
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            yield from csv.reader(file, delimiter="\t" if path.suffix == ".tsv" else ",")
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path} cannot be read: {one_line(error)}") from error


def _excel(path: Path) -> Iterator[Sequence[Any]]:
    try:
        import openpyxl  # type: ignore[import-untyped]
    except ImportError:
        raise InputError(f"{path} is an Excel file: pip install 'claim-evals[excel]', or save it as .tsv") from None
    try:
        book = openpyxl.load_workbook(path, read_only=True, data_only=True)
        for row in book.worksheets[0].iter_rows(values_only=True):
            yield ["" if cell is None else cell for cell in row]
    except (OSError, ValueError, KeyError) as error:
        raise InputError(f"{path} cannot be read: {one_line(error)}") from error


def _samples(path: Path) -> Iterator[HarnessSample]:
    for place, row in enumerate(_rows(path)):
        prediction, answer = row.get("prediction"), row.get("answer")
        id, hits = row.get("index"), {name: row.get(name) for name in _HITS}
        question = str(row.get("question") or "")
        choices = {letter: row[letter] for letter in "ABCDEFGH" if row.get(letter) not in (None, "")}
        listed = "".join(f"\n{letter}. {text}" for letter, text in choices.items())
        is_empty = prediction in (None, "")
        yield HarnessSample(
            id=str(int(id) if isinstance(id, float) and id.is_integer() else id),
            position=place,
            outputs=() if is_empty else (str(prediction),),
            question=question,
            prompt=question + listed,
            target=answer if isinstance(answer, str | int | float | list) else str(answer),
            values={name: value for name, hit in hits.items() if (value := _hit(hit)) is not None},
            row={key: value for key, value in row.items() if key != "image" and isinstance(value, str | int | float)},
            labels={name: str(row[name]) for name in _LABELS if row.get(name) not in (None, "")},
            failure="the log has no output" if is_empty else None,
        )


def _hit(value: Any) -> float | None:
    """Return a score, also a truth value as pandas writes it into a table of text; None for what is no score.

    Example:
        >>> _hit("True"), _hit("FALSE"), _hit("0.5"), _hit("maybe"), _hit(-1)
        (1.0, 0.0, 0.5, None, None)
    """
    written = value.strip().lower() if isinstance(value, str) else None
    score = json_text.number(value) if written is None else _TRUTH.get(written, json_text.number(written))
    return None if score == _NO_SCORE else score


def _predictions_beside(path: Path) -> Path | None:
    """Return the table of predictions that a judged one is a copy of; None where none that can be read is beside it."""
    stem = _JUDGED.sub("", path.stem)
    for suffix in () if stem == path.stem else (path.suffix, *sorted(_TABLES - {path.suffix})):
        beside = path.with_name(f"{stem}{suffix}")
        try:
            if is_log(beside):
                return beside
        except InputError:
            if suffix == path.suffix:
                raise
    return None


def _unjudged(judged: Sequence[HarnessSample], path: Path, predictions: Path) -> list[HarnessSample]:
    """Return the samples of the predictions that their judged copy lacks.

    A question that was asked with its choices rotated (index + 1,000,000, …) is judged in one row for all rotations.

    Raises:
        InputError: the copy has another question or prediction under an index.
    """
    copies = {sample.id: sample for sample in judged}
    asked = unique(_samples(predictions), predictions)
    for sample in asked:
        name = _differing(sample.row or {}, copies.get(sample.id, sample).row or {})
        if name is not None:
            raise InputError(f"{path} has another {name} of index {sample.id} than {predictions.name}: judge it again")
    known = copies.keys() | {sample.id for sample in asked}
    one_per_question = not any(_first_rotation(sample.id) in known for sample in judged)
    lacking = [
        sample
        for sample in asked
        if sample.id not in copies and not (one_per_question and _first_rotation(sample.id) in known)
    ]
    for place, sample in enumerate(lacking, len(judged)):
        sample.position = place
    return lacking


def _differing(row: Mapping[str, Any], copy: Mapping[str, Any]) -> str | None:
    """Return the column in which a row and its judged copy differ, though they are to be the same; None for none."""
    both = [name for name in ("question", "prediction") if name in row and name in copy]
    return next((name for name in both if _plain(row[name]) != _plain(copy[name])), None)


def _first_rotation(id: str) -> str | None:
    return str(int(id) % _ROTATION) if id.isdecimal() and int(id) >= _ROTATION else None


def _plain(cell: Any) -> str | float:
    """Return a cell as tables of two kinds have it in common: Excel shortens texts, pandas writes `nan` for none."""
    text = " ".join(str(cell).split())
    number = json_text.number(text)
    return number if number is not None else "" if text.lower() in _NOTHING else text[:30_000]


def _without_score(samples: Sequence[HarnessSample], unjudged: int, path: Path) -> str:
    """Count and name the samples of a judged table that have no score."""
    ids = [sample.id for sample in samples if not sample.values and not _texts(sample)]
    if not ids or len(ids) == len(samples):
        return ""
    lacking = f", {unjudged:,} of them for lack of a row in {path.name}" if unjudged else ""
    return f"{len(ids):,} of {counted(len(samples), 'sample')} without a score{lacking}: {_named(ids)}"


def _unreadable(samples: Sequence[HarnessSample]) -> str:
    """Count and name the samples with a score that is no number and no truth value."""
    texts = [f"{sample.id} ({written[0]!r})" for sample in samples if (written := _texts(sample))]
    count = f"{len(texts):,} of {counted(len(samples), 'sample')}"
    return f"{count} with a score that is neither a number nor True or False: {_named(texts)}" if texts else ""


def _texts(sample: HarnessSample) -> list[str]:
    """Return what is written for scores and is none."""
    cells = {name: str((sample.row or {}).get(name, "")).strip() for name in _HITS}
    return [cell for name, cell in cells.items() if name not in sample.values and cell.lower() not in _NOTHING]


def _named(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5:,} more" if len(names) > 5 else "")


def _metrics(path: Path) -> tuple[dict[str, ReportedMetric], list[Path]]:
    """Read the table of values beside the samples: `<stem>_acc.csv`, or `_score.csv`, also after the judge's name."""
    stems = dict.fromkeys([path.stem, _JUDGED.sub("", path.stem), re.sub("_(result|judge|score)$", "", path.stem)])
    for stem in stems:
        for kind in ("acc", "score"):
            beside = path.with_name(f"{stem}_{kind}.csv")
            if beside.is_file():
                return _of_rows(list(_rows(beside)), beside), [beside]
    return {}, []


def _of_rows(rows: Sequence[Mapping[str, Any]], path: Path) -> dict[str, ReportedMetric]:
    """Name each number by its column and, where there are several rows, by the texts of its row (split, category).

    Raises:
        InputError: two rows have one name.
    """
    metrics: dict[str, ReportedMetric] = {}
    for row in rows:
        cells = {column: json_text.number(entry) for column, entry in row.items() if column}
        texts = [str(row[column]) for column, value in cells.items() if value is None and row[column] not in ("", None)]
        for column, value in cells.items():
            name = column if len(rows) == 1 else "/".join([*texts, column])
            if value is None or column == "split":
                continue
            if name in metrics:
                raise InputError(f"{path} has two values of {name}")
            metrics[name] = ReportedMetric(value, unit="score")
    return metrics
