"""The number of experts of a mixture that process a token: it can be changed between two batches of a loaded model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from evals.errors import InputError

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from evals.schema import ExpertSchedule


FIXED = frozenset({"phimoe"})
"""Model types whose routers choose two experts whatever their `top_k` says."""


def routers(model: PreTrainedModel) -> list[Any]:
    """Return the modules that choose a token's experts, one per layer."""
    return [module for module in model.modules() if hasattr(module, "top_k") and hasattr(module, "num_experts")]


def check_active(model: PreTrainedModel, experts: int, folder: Path) -> None:
    """Raise `InputError` if a model has fewer experts per layer, or none."""
    if model.config.model_type in FIXED:
        raise InputError(f"{folder} has routers that always choose two experts: it cannot use {experts} per token")
    layers = routers(model)
    most = min((router.num_experts for router in layers), default=0)
    if not 0 < experts <= most:
        has = f"has layers of {most} experts" if layers else "is not a mixture of experts"
        raise InputError(f"{folder} {has}: it cannot use {experts} experts per token")


def set_active(model: PreTrainedModel, experts: int) -> None:
    """Set the number of active experts per layer."""
    for router in routers(model):
        router.top_k = experts
    model.config.get_text_config().num_experts_per_tok = experts


class _Scheduled(Protocol):
    """A placement that may have a schedule."""

    @property
    def schedule(self) -> ExpertSchedule | None: ...


class _Placed(Protocol):
    """A loaded model of a family that computes in this process."""

    @property
    def model(self) -> PreTrainedModel: ...

    @property
    def placement(self) -> _Scheduled: ...


def adapt(loaded: _Placed, waiting: int) -> int | None:
    """Set the active experts for the next batch by the number of waiting requests (`evals.schema.LoadAware`).

    Returns:
        The number of active experts per token; None if the variant has no schedule.
    """
    schedule = loaded.placement.schedule
    if schedule is None:
        return None
    number = schedule.experts(waiting)
    set_active(loaded.model, number)
    return number
