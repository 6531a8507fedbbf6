"""The models: registered variants, model families, decoding, servers and the replicas' recipes.

It may import the schema, the registry, the data, the embeddings' format and the bundled benchmarks (`tasks.mini`, for
the recipes only); inside, `decoding` comes before `architectures` and `endpoint`, then `backend` and `replicas`, then
`engines`, then `families`, then `attention`. Start reading with `families.causal`, the shortest way from a prompt to an
answer.

variants.yaml     the registered models, one per row; read by `variants`
configs.yaml      configurations of public models, for counting parameters; read by `backend.size`
families/         how each kind of checkpoint answers requests
decoding/         generation and log-likelihoods on a key-value cache with slots and shared prefixes
architectures/    architectures that the library lacks
backend/          what the families share: device, weights, memory, tokenisation, parameter counts
engines/          vLLM in place of the suite's own decoding
endpoint/         a model behind an OpenAI-compatible server
attention         attention maps of vision-language models
replicas/         recipes and bundled checkpoints
"""

from __future__ import annotations

import importlib
from typing import Any


def __getattr__(name: str) -> Any:
    """Import `attention` when it is first used, so that `import evals` is enough to draw an attention map."""
    if name == "attention":
        return importlib.import_module("evals.models.attention")
    raise AttributeError(f"module 'evals.models' has no attribute {name!r}")
