"""What the command `list` prints: models, tasks, claim files and runs, one line each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from evals.errors import InputError, UnknownName
from evals.records import MANIFEST, Record, load
from evals.registry import FAMILIES, TASKS, VARIANTS
from evals.schema import SCALES

Rows = Sequence[tuple[str, ...]]


KINDS = ("models", "tasks", "claims", "runs")
"""What can be listed alone."""


def text(kind: str | None, scale: str = "mini") -> str:
    """List everything, or one of `KINDS` with more details, or what a model can do.

    Args:
        kind: one of `KINDS`, the name of a model as `run` accepts it, or None for everything.
        scale: of a registered model, which of its checkpoints is meant.

    Raises:
        InputError: there is no such model.
    """
    if scale not in SCALES:
        raise UnknownName("scale", scale, SCALES)
    if kind is not None and kind not in KINDS:
        return _tasks_of_model(kind, scale)
    if kind == "models":
        return _all_about_models()
    if kind == "claims":
        return "".join(_all_claims())
    tables = {"models": _models, "tasks": _tasks, "claims": _documents, "runs": _runs}
    return "".join(_table(name, tables[name]()) for name in ([kind] if kind else tables))


def _table(title: str, rows: Rows) -> str:
    """Print rows as aligned columns under a title."""
    if not rows:
        return f"{title}: none\n"
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    ]
    return "\n".join([f"{title}:", *lines]) + "\n"


def _tasks_of_model(model: str, scale: str) -> str:
    """List every task with whether the model can run it, or else why not; no weight is read.

    The checks are those with which `run` begins, with the same options: none but the scale.
    """
    from evals.app.readiness import refusal
    from evals.execution.resolve import resolve
    from evals.schema import RunConfig

    if model not in VARIANTS:
        resolve(model, scale=scale)
    rows = []
    for task in TASKS:
        why = refusal(RunConfig.of(model, task.name, scale=scale))
        rows.append((task.name, "runs" if why is None else f"does not run: {why}"))
    return _table(f"{model}, {scale} scale", rows)


def _all_about_models() -> str:
    """List every registered model with all columns of its row, and the families that have their own prefix."""
    from evals.reports.runs import systems

    families = [(f"{family.prefix}:…", family.summary) for family in FAMILIES if family.prefix]
    return systems.blocks(list(VARIANTS)) + "\n" + _table("families", families)


def _all_claims() -> Iterator[str]:
    """List every claim of the bundled documents."""
    from evals.reports.claims.language import files
    from evals.reports.claims.output import listing

    for path in files.bundled():
        document = files.load(path)
        yield _table(f"{document.document.id}, {document.document.title}", list(listing.claims(document)))


def _documents() -> Rows:
    from evals.reports.claims.output import listing

    return listing.documents()


def _models() -> Rows:
    rows: list[tuple[str, ...]] = [
        (variant.name, variant.family, " ".join(variant.tasks), variant.summary) for variant in VARIANTS
    ]
    return rows + [(f"{family.prefix}:…", family.name, "", family.summary) for family in FAMILIES if family.prefix]


def _tasks() -> Rows:
    return [(task.name, task.needs, " ".join(task.splits), task.summary) for task in TASKS]


def _runs() -> Rows:
    """List the runs under `runs/`, with the headline metric of those that are finished."""
    rows: list[tuple[str, ...]] = []
    for manifest in sorted(Path("runs").glob(f"*/{MANIFEST}")):
        try:
            rows.append((str(manifest.parent), _headline(load(manifest.parent))))
        except InputError as error:
            rows.append((str(manifest.parent), f"damaged: {error}"))
    return rows


def _headline(record: Record) -> str:
    if record.result is None:
        return "not finished"
    name = record.result.headline
    return f"{name} {record.result.metrics[name].value:.4f} (n = {record.result.n})"
