"""The call behind `check`: documents' claims to verdicts, and the report of them.

Like `evals.api` it knows tasks, models and reports.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from evals.errors import InputError

if TYPE_CHECKING:
    from reports.verdicts import Checked

FORMATS = ("json", "md", "csv", "tex", "html", "xml")


def check(files: Sequence[Path | str] = (), *, paper: bool = False, out: Path | str | None = None) -> Checked:
    """Give every claim of some documents its verdict.

    Args:
        files: claims in the format of `reports/claims/README.md`; by default the two articles, whose systems
            are registered.
        paper: run no model: arithmetic, other documents and the public record only.
        out: a folder for `claims.json`, `.md`, `.csv`, `.tex`, `.html` and `.xml` (JUnit); by default nothing is
            written.

    Raises:
        InputError: a file cannot be read, names something unknown, or computes what cannot be computed.

    Example:
        >>> check(["no.yaml"], paper=True)
        Traceback (most recent call last):
            ...
        evals.errors.InputError: no.yaml: no such file
    """
    from evals import registry
    from reports import claim_files, verdicts

    registry.discover()
    names, tasks = [variant.name for variant in registry.VARIANTS], [task.name for task in registry.TASKS]
    paths = [Path(file).expanduser() for file in files] or claim_files.default()
    documents = [claim_files.load(path, subjects=names, tasks=tasks) for path in paths]
    _check_distinct([document.document.id for document in documents], paths)
    checked = verdicts.assess(documents, claim_files.load_record(), claim_files.load_vocabulary())
    if out is not None:
        write(checked, Path(out).expanduser())
    return checked


def _check_distinct(ids: Sequence[str], paths: Sequence[Path]) -> None:
    for number, id in enumerate(ids):
        if id in ids[:number]:
            raise InputError(f"{paths[number]}: document {id!r} was given already, as {paths[ids.index(id)]}")


def write(checked: Checked, out: Path) -> None:
    """Write the report, each file whole or not at all."""
    from evals.records import write_atomically
    from reports import claim_exports, claim_page, claim_tables

    writers = {"html": claim_page.render, "xml": claim_exports.junit}
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot write in {out}: {error.strerror or error}") from error
    for format in FORMATS:
        text = writers[format](checked) if format in writers else claim_tables.render(checked, format)
        write_atomically(out / f"claims.{format}", text.encode())


def summarise_job(checked: Checked) -> str:
    """Add the findings to the summary of the GitHub job, where one runs; return them where none does."""
    from reports import claim_exports

    text = claim_exports.job_summary(checked)
    if not (place := os.environ.get("GITHUB_STEP_SUMMARY")):
        return text
    try:
        with Path(place).open("a", encoding="utf-8") as file:
            file.write(text + "\n")
    except OSError as error:
        raise InputError(f"GITHUB_STEP_SUMMARY: cannot write to {place}: {error.strerror or error}") from error
    return ""


def summary(checked: Checked, out: Path) -> str:
    """Say in a screenful what was found, and where it lies."""
    from reports import claim_tables

    where = (
        f"{out}/claims.html shows every claim with its working; .json, .md, .csv, .tex and .xml (JUnit) lie beside it"
    )
    return f"{claim_tables.render(checked, 'text')}\n{where}\n"
