"""Read the paths of `check --evidence`: logs of Every Eval Ever, hub model cards, `.eval_results`, and run folders."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from evals import regular_files, yaml_files
from evals.errors import InputError, counted

if TYPE_CHECKING:
    from evals.reports.claims.evidence.published.scores import PublishedScore

_MOST_FILES = 10_000
"""Limit on the files of a folder that are looked at."""
_FRONT_MATTER = re.compile(r"\ufeff?---[ \t]*\r?\n(.*?)\r?\n---[ \t]*(?:\r?\n|$)", re.DOTALL)
_HUB_FOLDER = re.compile(r"(?:models--)?([^/]+?)--([^/]+)")
"""A folder of a repository, as the hub's cache and people name it: no name of the hub has two hyphens in a row."""


def read_each(paths: Sequence[Path | str]) -> dict[str, list[PublishedScore]]:
    """Read published scores, by the path that they come from; a path may have none that is a share of a whole.

    Raises:
        InputError: as `read`.

    Example:
        >>> read_each([])
        {}
    """
    return {str(path): read([path]) for path in paths}


def describe(by_path: Mapping[str, Sequence[PublishedScore]], used: int) -> str:
    """Say how many scores were read, how many are about the documents, and which paths gave none.

    Args:
        by_path: the scores of each path.
        used: number of scores about a model and a benchmark of the documents.

    Example:
        >>> describe({"card": []}, 0)
        'No score was read from --evidence card.'
    """
    number = sum(map(len, by_path.values()))
    empty = [path for path, scores in by_path.items() if not scores]
    verb = "is" if used == 1 else "are"
    count = f"{counted(number, 'score')} read from --evidence; {used:,} {verb} about what a claim is about."
    sentences = [count] if number else []
    if empty:
        sentences.append(f"No score was read from --evidence {', '.join(empty)}.")
    return " ".join(sentences)


def read(paths: Sequence[Path | str]) -> list[PublishedScore]:
    """Read published scores.

    Args:
        paths: files and folders: `*.json` logs of Every Eval Ever, `README.md` with a `model-index`, `.eval_results`
            folders and their files, run folders, and folders of these.

    Raises:
        InputError: a path does not exist, holds no results, or a file is damaged.

    Example:
        >>> read(["no.json"])
        Traceback (most recent call last):
            ...
        evals.errors.InputError: --evidence no.json: no such file or folder
    """
    scores: list[PublishedScore] = []
    for given_path in paths:
        path = Path(given_path).expanduser()
        if not path.exists():
            raise InputError(f"--evidence {path}: no such file or folder")
        files = [path] if path.is_file() else [*_files(path)]
        if not files:
            raise InputError(
                f"--evidence {path}: holds no results: neither logs of Every Eval Ever, nor a README.md, "
                "nor .eval_results, nor run folders"
            )
        for file in files:
            scores += _scores(file, is_named=path.is_file())
    return scores


def _files(folder: Path) -> Iterator[Path]:
    """Yield the files of results in a folder, in the order of their names; of a run folder its manifest."""
    entries = sorted(path for path, _ in zip(folder.rglob("*"), range(_MOST_FILES), strict=False))
    runs = {path.parent for path in entries if path.name == "manifest.json"}
    for path in entries:
        if path.parent in runs:
            if path.name == "manifest.json":
                yield path
        elif path.is_file() and (
            path.name == "README.md"
            or path.suffix == ".json"
            or (path.suffix in {".yaml", ".yml"} and path.parent.name == ".eval_results")
        ):
            yield path


def _scores(path: Path, *, is_named: bool) -> Iterator[PublishedScore]:
    """Yield the scores of a file; a JSON file or a card without results is an error only if it was named."""
    from evals.reports.claims.evidence.published import scores

    if path.name == "manifest.json":
        from evals import records
        from evals.logs.harness_run import is_unnamed
        from evals.reports.exports import every_eval_ever
        from evals.reports.runs import reported
        from evals.reports.runs.verifying import verification

        record = records.load(path.parent)
        if is_unnamed(record.manifest.model_name):  # a log that does not say of which model it is
            return
        log = f" ({reported.origin(record)})" if reported.entry(record) else ""
        mark = verification.mark(record).strip()
        for score in scores.of_every_eval_ever(every_eval_ever.log(record), f"run {path.parent.name}{log}"):
            yield replace(score, mark=mark)
    elif path.suffix == ".json":
        content = _json(path)
        if is_named or (isinstance(content, dict) and "evaluation_results" in content):
            try:
                yield from scores.of_every_eval_ever(content, path.name)
            except InputError as error:
                raise InputError(f"--evidence {path}{str(error).removeprefix(path.name)}") from None
    elif path.suffix in {".yaml", ".yml"}:
        yield from scores.of_eval_results(yaml_files.load(path), _model(path), f".eval_results/{path.name}")
    else:
        index = _model_index(path)
        if index is None and is_named:
            raise InputError(f"--evidence {path}: has no 'model-index' in its front matter")
        if index is not None:
            yield from scores.of_model_index(index, f"model card {path.parent.name}/{path.name}")


def _json(path: Path) -> object:
    try:
        return json.loads(regular_files.read(path))
    except (ValueError, RecursionError, OSError) as error:
        raise InputError(f"--evidence {path}: cannot be read as JSON: {' '.join(str(error).split())[:200]}") from None


def _model_index(path: Path) -> object:
    """The `model-index` of a card's front matter; None if it has none."""
    try:
        text = regular_files.read(path).decode("utf-8")
    except (UnicodeDecodeError, OSError) as error:
        raise InputError(f"--evidence {path}: cannot be read: {' '.join(str(error).split())[:200]}") from None
    matter = _FRONT_MATTER.match(text)
    if matter is None:
        return None
    with TemporaryDirectory() as folder:
        copy = Path(folder, "front-matter.yaml")
        copy.write_text(matter[1], encoding="utf-8")
        try:
            content = yaml_files.load(copy)
        except InputError as error:
            raise InputError(f"--evidence {path}: {str(error).replace(str(copy), 'front matter')}") from None
    return content.get("model-index") if isinstance(content, dict) else None


def _model(path: Path) -> str:
    """The model of a file of `.eval_results`: that of the repository's folder."""
    folder = path.parent.resolve()  # not the file's own: in the hub's cache it is a link into a folder of blobs
    if folder.name != ".eval_results":
        raise InputError(
            f"--evidence {path}: lies in no '.eval_results' folder, so it is not known whose results it has"
        )
    repository = folder.parent
    if repository.parent.name == "snapshots":
        repository = repository.parent.parent
    in_hub = _HUB_FOLDER.fullmatch(repository.name)
    return f"{in_hub[1]}/{in_hub[2]}" if in_hub else repository.name
