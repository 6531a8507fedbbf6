"""The family of composed models: rows of the table of variants with `compose`, which name other models.

A composed model has no checkpoint. Its parts are found and loaded by their own families, and `evals.execution` leads
each request to one of them.
"""

from __future__ import annotations

from evals.errors import InputError
from evals.registry import FAMILIES
from evals.schema import ABILITIES, Family, Model, Placement


def load(name: str, checkpoint: str, placement: Placement) -> Model:
    """Refuse to load one checkpoint. Raises `InputError`."""
    raise InputError(f"{name!r} is composed and has no checkpoint of its own: {checkpoint}")


FAMILIES.add(
    Family(
        name="composed",
        summary="several models, each of which answers some modalities or tasks",
        abilities=frozenset(ABILITIES),
        load=load,
    )
)
