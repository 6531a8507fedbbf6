"""A model that answers several batches at once, because its engine lets them share the device."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from evals.schema import Batch, Json, Model, ModelInput, Prediction, Prompt, Request


class DescribedModel(Model, Protocol):
    """A model that states what it reads."""

    def model_input(self, prompt: Prompt) -> ModelInput:
        """Return what the model reads for a prompt."""


@dataclass(frozen=True)
class ConcurrentModel:
    """A model of a family, called from several threads (`evals.schema.Concurrent`)."""

    model: DescribedModel
    concurrency: int
    """Number of batches that are answered at the same time."""

    @property
    def name(self) -> str:
        """What the user called the model."""
        return self.model.name

    @property
    def abilities(self) -> frozenset[str]:
        """The abilities of the model."""
        return self.model.abilities

    @property
    def facts(self) -> Mapping[str, Json]:
        """What determines the model's answers."""
        return self.model.facts

    @property
    def token_budget(self) -> int:
        """Token positions in a batch, if the user does not set them."""
        return self.model.token_budget

    def check(self, split_ids: Sequence[str], run_ids: Sequence[str]) -> None:
        """See `Model.check`."""
        self.model.check(split_ids, run_ids)

    def prepare(self, request: Request) -> Prompt:
        """See `Model.prepare`."""
        return self.model.prepare(request)

    def model_input(self, prompt: Prompt) -> ModelInput:
        """Return what the model reads."""
        return self.model.model_input(prompt)

    def stage(self, prompts: Sequence[Prompt], batch: Batch) -> Any:
        """See `Model.stage`."""
        return self.model.stage(prompts, batch)

    def run(self, prompts: Sequence[Prompt], batch: Batch, staged: Any) -> list[Prediction]:
        """See `Model.run`."""
        return self.model.run(prompts, batch, staged)

    def peak_memory_bytes(self) -> int | None:
        """See `Model.peak_memory_bytes`."""
        return self.model.peak_memory_bytes()
