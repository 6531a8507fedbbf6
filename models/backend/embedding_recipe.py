"""Read how a sentence-transformers folder turns token vectors into one vector, and do it.

`modules.json` lists the steps: the model, its pooling, then any of a linear layer, a normalisation or none. Folders of
every version are read: version 6 writes `"pooling_mode": "cls"` and longer names of modules, older ones
`"pooling_mode_cls_token": true`. A step, option or output that is not known is refused: the vectors would be others.

Letters in the names of tensors: B texts, L tokens, D dimensions of a vector.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evals.data.json_files import read_json
from evals.errors import InputError, one_line
from evals.models.backend.checkpoint_files import digest
from evals.schema import Json

if TYPE_CHECKING:
    import torch


def _mean(hidden_BLD: torch.Tensor, mask_BL1: torch.Tensor) -> torch.Tensor:
    return (hidden_BLD * mask_BL1).sum(1) / mask_BL1.sum(1).clamp(min=1e-9)


def _first(hidden_BLD: torch.Tensor, mask_BL1: torch.Tensor) -> torch.Tensor:
    return hidden_BLD[range(len(hidden_BLD)), mask_BL1[..., 0].argmax(1)]


def _last(hidden_BLD: torch.Tensor, mask_BL1: torch.Tensor) -> torch.Tensor:
    lasts_B = mask_BL1.shape[1] - 1 - mask_BL1[..., 0].flip(1).argmax(1)
    return hidden_BLD[range(len(hidden_BLD)), lasts_B]


def _max(hidden_BLD: torch.Tensor, mask_BL1: torch.Tensor) -> torch.Tensor:
    return hidden_BLD.masked_fill(mask_BL1 == 0, float("-inf")).max(1).values


def _mean_by_root(hidden_BLD: torch.Tensor, mask_BL1: torch.Tensor) -> torch.Tensor:
    return (hidden_BLD * mask_BL1).sum(1) / mask_BL1.sum(1).clamp(min=1e-9).sqrt()


def _weighted_mean(hidden_BLD: torch.Tensor, mask_BL1: torch.Tensor) -> torch.Tensor:
    import torch

    positions_L1 = torch.arange(1, mask_BL1.shape[1] + 1, device=mask_BL1.device, dtype=mask_BL1.dtype).unsqueeze(-1)
    return _mean(hidden_BLD, mask_BL1 * positions_L1)


POOLINGS: Mapping[str, Callable[[torch.Tensor, torch.Tensor], torch.Tensor]] = {
    "cls": _first,
    "max": _max,
    "mean": _mean,
    "mean_sqrt_len_tokens": _mean_by_root,
    "weightedmean": _weighted_mean,
    "lasttoken": _last,
}
"""Poolings by their names in sentence-transformers 6 (`pooling.py`, class `Pooling`), in the order in which the vectors
of several poolings are concatenated if an older folder names them."""
_OLDER_NAMES = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "lasttoken",
}
_LATER_STEPS = ("Normalize", "Dense", "LayerNorm", "Dropout")
_LENGTH_FILES = ("bert", "roberta", "distilbert", "camembert", "albert", "xlm-roberta", "xlnet")
"""`sentence_NAME_config.json`: older folders name the file after their model."""
_READING = {"transformer_task": "feature-extraction", "module_output_name": "token_embeddings"}
_TEXT_OUTPUT = {"method": "forward", "method_output_name": "last_hidden_state"}
_IGNORED_OPTIONS = {"trust_remote_code", "torch_dtype", "dtype", "attn_implementation", "add_pooling_layer"}
"""Options of the library's loader that do not change a vector beyond rounding, or that the family decides."""


@dataclass(frozen=True)
class Step:
    """One step after the pooling."""

    kind: str
    """`Normalize`, `Dense`, `LayerNorm` or `Dropout`."""
    folder: Path
    """Where its configuration and weights are."""


@dataclass(frozen=True)
class EmbeddingRecipe:
    """How a text becomes a vector."""

    source: str = "mean over tokens"
    """What defines the recipe."""
    poolings: tuple[str, ...] = ("mean",)
    """Keys of `POOLINGS`; their vectors are concatenated."""
    steps: tuple[Step, ...] = ()
    """What follows the pooling."""
    limit: int | None = None
    """Maximum number of tokens, if the folder sets one."""
    lowercase: bool = False
    """Whether to convert the text to lower case."""
    prompt: str = ""
    """Text before every text."""
    pools_prompt: bool = True
    """Whether the prompt's tokens take part in the pooling."""
    width: int | None = None
    """Number of a vector's first entries that are kept, after all steps (`truncate_dim`); None for all."""

    def facts(self) -> dict[str, Json]:
        """Return what determines the vectors, for the signature; steps with weights have a digest."""
        steps: list[Json] = [
            f"{step.kind} {digest(step.folder)}" if step.kind in {"Dense", "LayerNorm"} else step.kind
            for step in self.steps
        ]
        return {
            "pooling": list(self.poolings),
            "pooling_from": self.source,
            "normalised": any(step.kind == "Normalize" for step in self.steps),
            **({"steps": steps} if steps else {}),
            **({} if self.width is None else {"truncate_dim": self.width}),
            **({"prompt": self.prompt, "pools_prompt": self.pools_prompt} if self.prompt else {}),
        }


def read_recipe(folder: Path) -> EmbeddingRecipe:
    """Read the recipe of a sentence-transformers folder; return the default for any other folder.

    Raises:
        InputError: the folder has an unsupported step, pooling or option, or a file is malformed.
    """
    path = folder / "modules.json"
    if not path.is_file():
        return EmbeddingRecipe()
    listed = read_json(path, list[dict[str, Json]])
    steps = [Step(str(step.get("type", "")).rpartition(".")[2], folder / str(step.get("path", ""))) for step in listed]
    kinds = [step.kind for step in steps]
    if kinds[:2] != ["Transformer", "Pooling"] or not set(kinds[2:]) <= set(_LATER_STEPS) or steps[0].folder != folder:
        raise InputError(
            f"{path} lists {', '.join(kinds)}; this family supports Transformer, Pooling, and then any of "
            f"{', '.join(_LATER_STEPS)}"
        )
    for step in steps[2:]:
        _check_names(step)
    reading = _read_first(folder)
    further = folder / "config_sentence_transformers.json"
    prompts = _read_optional(further)
    pooling = read_json(steps[1].folder / "config.json", dict[str, Json])
    prompt = (prompts.get("prompts") or {}).get(prompts.get("default_prompt_name")) or ""
    return EmbeddingRecipe(
        source="modules.json",
        poolings=_poolings(steps[1].folder / "config.json", pooling),
        steps=tuple(steps[2:]),
        limit=reading.get("max_seq_length"),
        lowercase=bool(reading.get("do_lower_case")),
        prompt=prompt,
        pools_prompt=pooling.get("include_prompt") is not False,
        width=_width(further, prompts),
    )


def _width(path: Path, config: Mapping[str, Any]) -> int | None:
    width = config.get("truncate_dim")
    if width is not None and (not isinstance(width, int) or isinstance(width, bool) or width < 1):
        raise InputError(f"{path}: truncate_dim is {width!r}, expected a number of 1 or more")
    return width


def _poolings(path: Path, config: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the poolings that a folder names, in the order of their vectors; the mean if it names none."""
    stated = config.get("pooling_mode")
    modes = [stated] if isinstance(stated, str) else stated
    if modes is None:
        older = {key for key, value in config.items() if key.startswith("pooling_mode_") and value is True}
        if unknown := sorted(older - _OLDER_NAMES.keys()):
            raise InputError(f"{path}: {unknown[0]} is not supported; allowed: {', '.join(_OLDER_NAMES)}")
        modes = [mode for key, mode in _OLDER_NAMES.items() if key in older] or ["mean"]
    if not isinstance(modes, list) or not modes or not all(mode in POOLINGS for mode in modes):
        raise InputError(f"{path}: pooling_mode is {stated!r}; allowed: {', '.join(POOLINGS)}, or a list of them")
    return tuple(modes)


def _check_names(step: Step) -> None:
    """Refuse a step that reads or writes something else than the text's vector."""
    config = _read_optional(step.folder / "config.json")
    for key in ("module_input_name", "module_output_name"):
        if config.get(key) not in {None, "sentence_embedding"}:
            raise InputError(f"{step.folder / 'config.json'}: {key} is {config[key]!r}; supported: sentence_embedding")


def _read_first(folder: Path) -> dict[str, Any]:
    """Read how the first step reads a text, and refuse what this family does otherwise."""
    paths = [folder / f"sentence_{name}_config.json" for name in _LENGTH_FILES]
    path = next((path for path in paths if path.is_file()), paths[0])
    config = _read_optional(path)
    for key, supported in _READING.items():
        if config.get(key) not in {None, supported}:
            raise InputError(f"{path}: {key} is {config[key]!r}; supported: {supported}")
    text = (config.get("modality_config") or {}).get("text", _TEXT_OUTPUT)
    if text != _TEXT_OUTPUT:
        raise InputError(f"{path}: texts are read by {text}; supported: {_TEXT_OUTPUT}")
    for key, value in config.items():
        options = value if isinstance(value, dict) and key.endswith(("kwargs", "args")) else {}
        if unknown := sorted(options.keys() - _IGNORED_OPTIONS):
            raise InputError(f"{path}: {key} sets {unknown[0]}, which this family does not support")
        if key in {"query_length", "document_length", "query_expansion"} and value is not None:
            raise InputError(f"{path}: {key} is {value!r}, which this family does not support")
    return config


def _read_optional(path: Path) -> dict[str, Any]:
    return read_json(path, dict[str, Json]) if path.is_file() else {}


# Computing


def pool(recipe: EmbeddingRecipe, hidden_BLD: torch.Tensor, mask_BL1: torch.Tensor) -> torch.Tensor:
    """Pool token vectors; returns (B, D times the number of poolings) float32.

    Args:
        recipe: names the poolings.
        hidden_BLD: the last layer, float32.
        mask_BL1: 1 for tokens that take part, 0 for padding and what is left out.
    """
    import torch

    return torch.cat([POOLINGS[key](hidden_BLD, mask_BL1) for key in recipe.poolings], dim=1)


def load_steps(recipe: EmbeddingRecipe, device: torch.device) -> list[Callable[[torch.Tensor], torch.Tensor]]:
    """Load what follows the pooling: functions from vectors (B, D) float32 to vectors.

    Raises:
        InputError: weights of a step are missing or have another shape, or its activation is not one of torch's.
    """
    steps = [_load_step(step, device) for step in recipe.steps if step.kind != "Dropout"]  # training only
    return steps if recipe.width is None else [*steps, lambda vectors_BD: vectors_BD[:, : recipe.width]]


def _load_step(step: Step, device: torch.device) -> Callable[[torch.Tensor], torch.Tensor]:
    import torch
    from safetensors.torch import load_file

    if step.kind == "Normalize":
        return lambda vectors: torch.nn.functional.normalize(vectors, dim=1)
    path = step.folder / "model.safetensors"
    if not path.is_file():
        raise InputError(f"{step.folder} has no model.safetensors: other weight formats can run code and are not read")
    config = read_json(step.folder / "config.json", dict[str, Any])
    layer = torch.nn.ModuleDict()
    activation: Callable[[torch.Tensor], torch.Tensor] = torch.nn.Identity()
    try:
        if step.kind == "LayerNorm":
            layer["norm"] = torch.nn.LayerNorm(config["dimension"])
        else:
            columns, rows = config["in_features"], config["out_features"]
            layer["linear"] = torch.nn.Linear(columns, rows, bias=config.get("bias", True))
            if config.get("use_residual") and columns != rows:
                layer["residual"] = torch.nn.Linear(columns, rows, bias=False)
            activation = _activation(step.folder / "config.json", config)
        layer.load_state_dict(load_file(path))
    except (KeyError, TypeError, RuntimeError) as error:
        raise InputError(f"{path} does not fit its config.json: {one_line(error)}") from error
    layer = layer.float().to(device).eval()

    def compute(vectors_BD: torch.Tensor) -> torch.Tensor:
        if step.kind == "LayerNorm":
            normalised: torch.Tensor = layer["norm"](vectors_BD)
            return normalised
        out = activation(layer["linear"](vectors_BD))
        if config.get("use_residual"):
            out = out + (layer["residual"](vectors_BD) if "residual" in layer else vectors_BD)
        return out

    return compute


def _activation(path: Path, config: Mapping[str, Any]) -> Callable[[torch.Tensor], torch.Tensor]:
    """Return the activation that a linear step names; the hyperbolic tangent if it names none."""
    import torch

    name = str(config.get("activation_function", "torch.nn.modules.activation.Tanh"))
    layer = getattr(torch.nn, name.rpartition(".")[2], None) if name.startswith("torch.nn.") else None
    if not (isinstance(layer, type) and issubclass(layer, torch.nn.Module)):
        raise InputError(f"{path}: activation_function is {name}; supported: activations of torch.nn")
    activation: Callable[[torch.Tensor], torch.Tensor] = layer()
    return activation


def excluded(recipe: EmbeddingRecipe, tokens: Sequence[int], special_ids: Sequence[int]) -> int:
    """Count the leading tokens that the pooling leaves out: those of the prompt, without a closing special token.

    Args:
        recipe: says whether the prompt takes part.
        tokens: the prompt alone, as the tokenizer writes it.
        special_ids: the tokenizer's special tokens.
    """
    if recipe.pools_prompt or not recipe.prompt or not tokens:
        return 0
    return len(tokens) - (tokens[-1] in special_ids)
