"""The command `quantise`: 8-bit integer weights for a checkpoint, with its size and quality before and after."""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from evals.errors import InputError

if TYPE_CHECKING:
    from evals.models.backend.quantising.checkpoint import QuantisedCheckpoint, WeightSize


_MOST_KEPT = 6
"""Groups of weights that were kept that are printed."""


def add_options(command: argparse.ArgumentParser) -> None:
    """Add the options of `quantise`."""
    from evals.app.run_options import integer

    add = command.add_argument
    add(
        "folder",
        metavar="FOLDER",
        help="a checkpoint folder, a hub id, or a name of `list models`",
    )
    add("--out", required=True, type=Path, metavar="DIR", help="the new checkpoint; missing or empty")
    add("--task", metavar="T", help="run both on this task and compare them in pairs; as in run")
    add("--data", metavar="DIR", help="for --task: a folder with the benchmark's official files")
    add("--limit", type=integer, metavar="N", help="for --task: only N samples, chosen at random")
    add("--scale", default="mini", metavar="S", help="for --task: mini, bundled data (default), or full, public data")


def run(options: argparse.Namespace) -> str:
    """Quantise a checkpoint; return what is printed.

    Raises:
        InputError: the checkpoint cannot be quantised, or an option does not fit.
    """
    if options.task is None and (options.data or options.limit):
        raise InputError("--data and --limit are for --task, which runs both checkpoints")
    if options.task is not None:
        _check_task(options.task)
    from evals.models.backend.quantising.checkpoint import quantise_checkpoint

    try:
        made = quantise_checkpoint(_folder(options.folder), options.out.expanduser())
    except KeyboardInterrupt:
        raise KeyboardInterrupt(f"interrupted; {options.out} was not written: start the command again") from None
    if options.task is None:
        return text(made) + "\n" + _commands(made)
    try:
        return text(made) + "\n" + _compared(made, options)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(
            f"interrupted; {options.out} is complete: compare it with run and compare (docs/quantising.md)"
        ) from None


def _folder(name: str) -> Path:
    """Return the checkpoint that a name means."""
    from evals import registry
    from evals.data.hub import local_copy
    from evals.execution.resolve import bundled

    if not Path(name).expanduser().exists() and name in registry.VARIANTS:
        folder = bundled(registry.VARIANTS.get(name))
        if folder is None:
            raise InputError(f"model {name!r} has no bundled checkpoint; name a folder or a hub id")
        return folder
    return local_copy(name.removeprefix("hf:"))


def _check_task(task: str) -> None:
    """Refuse, before anything is written, a task that does not exist, or a package that is missing."""
    import importlib.util

    from evals import registry
    from evals.models.backend.quantised import EXTRA

    registry.TASKS.get(task)
    if importlib.util.find_spec("compressed_tensors") is None:
        raise InputError(f"--task runs the quantised checkpoint, which needs compressed_tensors: {EXTRA}")


def text(made: QuantisedCheckpoint) -> str:
    """Describe a quantised checkpoint: sizes before and after, and what was kept."""
    from evals.reports.rendering import table_formats
    from evals.reports.rendering.table_formats import Table

    sizes = [("files of weights", made.files), ("linear layers", made.linear), ("kept as they were", made.others)]
    columns = ("weights", "parameters", "before", "after", "ratio", "bits before", "bits after")
    rows = tuple(_row(name, size) for name, size in sizes if size is not None)
    layers = ", ".join(made.kept_layers) or "none"
    largest = ", ".join(f"{name} ({count:,})" for name, count in made.kept_groups[:_MOST_KEPT]) or "none"
    return (
        f"{made.folder}: 8-bit integer weights of {made.source}, one scale per row (compressed-tensors, "
        f"{made.format})\n\n"
        f"{table_formats.text(Table('Sizes', columns, 'lrrrrrr', rows))}\n\n"
        f"linear layers kept  {layers}\n"
        f"parameters kept     {largest}\n"
    )


def _row(name: str, size: WeightSize) -> tuple[str, ...]:
    before, after = size.bits
    return (
        name, f"{size.parameters:,}", _bytes(size.before), _bytes(size.after), f"{size.ratio:.2f}", f"{before:.2f}",
        f"{after:.2f}",
    )  # fmt: skip


def _bytes(count: int) -> str:
    """Print bytes in decimal units, as disks and articles do.

    Example:
        >>> _bytes(812), _bytes(3_200_000_000)
        ('812 B', '3.20 GB')
    """
    for unit, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= size:
            return f"{count / size:.2f} {unit}"
    return f"{count} B"


def _commands(made: QuantisedCheckpoint) -> str:
    """Say how the quality is compared."""
    source, folder = shlex.quote(str(made.source)), shlex.quote(str(made.folder))
    return (
        "quality, by a paired test (T is a name of `list tasks`; loading needs pip install 'claim-evals[quantised]'):\n"
        f"  python -m evals run --model {source} --task T --out runs/before\n"
        f"  python -m evals run --model {folder} --task T --out runs/after\n"
        "  python -m evals compare runs/before runs/after\n"
    )


def _compared(made: QuantisedCheckpoint, options: argparse.Namespace) -> str:
    """Run both checkpoints on the task, and compare them sample by sample."""
    from evals.app import api, check
    from evals.reports.runs import comparison

    shared = {"data": options.data, "limit": options.limit, "scale": options.scale, "progress": False}
    records = [api.run(str(Path(folder).resolve()), options.task, **shared) for folder in (made.source, made.folder)]
    return comparison.text(check.compare(*(record.folder for record in records)))
