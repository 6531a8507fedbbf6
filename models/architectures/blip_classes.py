"""The two classes of BLIP whose weights a folder can hold, and what each can do."""

from __future__ import annotations

from collections.abc import Container
from pathlib import Path

from evals.data.checkpoints import stored_shapes
from evals.schema import Choose, Embed, Generate

ANSWERING, MATCHING = "BlipForQuestionAnswering", "BlipForImageTextRetrieval"
WEIGHT_PREFIXES = {ANSWERING: "text_decoder.", MATCHING: "text_proj."}
"""For each class, a prefix of weight names that only this class has."""
REQUIRED_CLASS = {Generate: ANSWERING, Choose: ANSWERING, Embed: MATCHING}
"""The class that answers each kind of request."""


def available_classes(folder: Path) -> list[str]:
    """List the classes whose weights a folder holds; only the headers of its files are read.

    Raises:
        InputError: a file is damaged, or a shard is missing.

    Example:
        >>> available_classes(Path("/nowhere"))
        []
    """
    names = stored_shapes(folder)
    return [kind for kind, prefix in WEIGHT_PREFIXES.items() if any(name.startswith(prefix) for name in names)]


def abilities_with(available: Container[str]) -> frozenset[str]:
    """Return what some of the classes can do.

    Example:
        >>> abilities_with([MATCHING])
        frozenset({'embed'})
    """
    return frozenset(kind.__name__.lower() for kind, required in REQUIRED_CLASS.items() if required in available)
