"""Token vectors of a text encoder, by vLLM's pooling runner. The suite pools them, as it pools those of the library.

Only the user chooses it (`--engine vllm`): an encoder is small, and vLLM was compared with few of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evals.data.checkpoints import read_adapter, read_config
from evals.errors import EvalsError, InputError
from evals.models.backend.embedding_recipe import read_recipe
from evals.models.engines import choice, vllm_model
from evals.models.engines.vllm_decoder import tokens_prompt
from evals.models.engines.vllm_model import VllmEngine
from evals.models.engines.vllm_queue import EngineRequest
from evals.schema import Embed, Placement, Request

if TYPE_CHECKING:
    import torch

    from evals.models.backend.pytorch import ResolvedPlacement

COMPARED = frozenset({"BertModel", "Qwen2Model"})
"""Architectures whose token vectors are those of the library within 0.00001 (tests/models/engines)."""


@dataclass(frozen=True)
class TokenVectors:
    """Computes the vectors of the tokens of texts."""

    engine: VllmEngine

    def __call__(self, texts: Sequence[Sequence[int]]) -> tuple[torch.Tensor, torch.Tensor]:
        """Compute the vectors of tokens.

        Args:
            texts: tokens of each text.

        Returns:
            The vectors (B, L, D) float32, padded with zeros on the right, and the mask (B, L, 1) float32, 1 for tokens.

        Raises:
            EvalsError: vLLM refuses a text.
        """
        import torch
        from torch.nn.utils.rnn import pad_sequence
        from vllm import PoolingParams

        params = PoolingParams(task="token_embed", use_activation=False)  # the activation would normalise each vector
        outputs = self.engine.answer([EngineRequest(tokens_prompt(tokens), params) for tokens in texts])
        refused = next((output for output in outputs if isinstance(output, str)), None)
        if refused is not None:
            raise EvalsError(f"vllm refused a text: {refused}")
        rows = [torch.as_tensor(output.outputs.data).float().cpu() for output in outputs]
        masks = [torch.ones(len(tokens), 1) for tokens in texts]
        return pad_sequence(rows, batch_first=True), pad_sequence(masks, batch_first=True)


def check_request(folder: Path, placement: Placement, request: Request) -> None:
    """Raise `InputError` if the user chose vLLM, which does not embed with this checkpoint; imports no engine."""
    if placement.engine != choice.VLLM or not isinstance(request, Embed):
        return
    if any(step.kind == "Dense" for step in read_recipe(folder).steps):
        raise InputError(
            f"--engine vllm cannot compute {folder}: it has a linear layer after the pooling, which vllm applies to "
            "each token; --engine transformers can"
        )
    named = (read_config(folder).get("architectures") or ["no architecture"])[0]
    if named not in COMPARED or read_adapter(folder) is not None:
        shown = f"{named} with an adapter" if named in COMPARED else named
        raise InputError(
            f"--engine vllm cannot compute {folder}: embeddings of {shown} were not compared with transformers; "
            f"compared: {', '.join(sorted(COMPARED))}; --engine transformers can"
        )


def start(folder: Path, placement: Placement, resolved: ResolvedPlacement) -> TokenVectors:
    """Start vLLM with an encoder. Raises `InputError` if it is not installed, or does not load the checkpoint."""
    choice.choose(placement, folder)
    from vllm.config import PoolerConfig

    options: dict[str, Any] = {
        "runner": "pooling",
        "pooler_config": PoolerConfig(task="token_embed", use_activation=False),
        "enable_prefix_caching": False,  # cached positions have no vectors
    }
    return TokenVectors(vllm_model.start(folder, placement, resolved, **options))
