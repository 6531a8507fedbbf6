"""The number of experts of a mixture that process a token: it can be changed between two batches of a loaded model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from evals.errors import InputError

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def routers(model: PreTrainedModel) -> list[Any]:
    """Return the modules that choose a token's experts, one per layer."""
    return [module for module in model.modules() if hasattr(module, "top_k") and hasattr(module, "num_experts")]


def check_active(model: PreTrainedModel, experts: int, folder: Path) -> None:
    """Raise `InputError` if a model has fewer experts per layer, or none."""
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
