"""The call behind `check`: documents' claims to verdicts, and the report of them.

Like `evals.api` it knows tasks, models and reports.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from evals.errors import InputError

if TYPE_CHECKING:
    from reports.verdicts import Checked

FORMATS = ("json", "md", "csv", "tex", "html")


def check(files: Sequence[Path | str] = (), *, paper: bool = False, out: Path | str | None = None) -> Checked:
    """Give every claim of some documents its verdict.

    Args:
        files: claims in the format of `reports/claims/README.md`; by default the two articles whose systems are registered.
        paper: run no model: arithmetic, other documents and the public record only.
        out: a folder for `claims.json`, `.md`, `.csv`, `.tex` and `.html`; by default nothing is written.

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
    from reports import claim_page, claim_tables

    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot write in {out}: {error.strerror or error}") from error
    for format in FORMATS:
        text = claim_page.render(checked) if format == "html" else claim_tables.render(checked, format)
        write_atomically(out / f"claims.{format}", text.encode())


def summary(checked: Checked, out: Path) -> str:
    """Say in a screenful what was found, and where it lies."""
    from reports import claim_tables

    where = f"{out}/claims.html shows every claim with its working; claims.json, .md, .csv and .tex lie beside it"
    return f"{claim_tables.render(checked, 'text')}\n{where}\n"
