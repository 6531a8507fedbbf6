"""Text encoders: a text to one vector, as a sentence-transformers folder defines it, or by the mean over its tokens.

A sentence-transformers folder defines how the token vectors become one vector: `modules.json` lists the steps, the
folder of the pooling step names the pooling, and `sentence_bert_config.json` limits the number of tokens. For any other
encoder (BERT as it was pre-trained), the vector is the mean of the last layer over all tokens, special tokens included,
without normalisation. Vectors are pooled in float32.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evals.data.checkpoints import model_folder, read_config
from evals.data.files import read_json
from evals.errors import InputError, SampleError
from evals.models.backend import pytorch, tokenisation
from evals.models.backend.pytorch import ResolvedPlacement
from evals.models.backend.tokenisation import TextPrompt, TextTokenizer
from evals.models.decoding.sampling import NOT_FINITE
from evals.records.embeddings import pack
from evals.registry import FAMILIES
from evals.schema import Batch, Embed, Family, Json, Placement, Prediction, Prompt, Request

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

# Letters in the names of tensors: B texts, L tokens, D dimensions of a vector.


def _mean(hidden_BLD: torch.Tensor, mask_BL1: torch.Tensor) -> torch.Tensor:
    return (hidden_BLD * mask_BL1).sum(1) / mask_BL1.sum(1)


def _first(hidden_BLD: torch.Tensor, mask_BL1: torch.Tensor) -> torch.Tensor:
    return hidden_BLD[:, 0]


def _last(hidden_BLD: torch.Tensor, mask_BL1: torch.Tensor) -> torch.Tensor:
    lengths_B = mask_BL1[..., 0].sum(1).long()
    return hidden_BLD[range(len(lengths_B)), lengths_B - 1]


def _max(hidden_BLD: torch.Tensor, mask_BL1: torch.Tensor) -> torch.Tensor:
    return hidden_BLD.masked_fill(mask_BL1 == 0, float("-inf")).max(1).values


def _mean_by_root(hidden_BLD: torch.Tensor, mask_BL1: torch.Tensor) -> torch.Tensor:
    return (hidden_BLD * mask_BL1).sum(1) / mask_BL1.sum(1).sqrt()


POOLINGS: Mapping[str, Callable[[torch.Tensor, torch.Tensor], torch.Tensor]] = {
    "pooling_mode_cls_token": _first,
    "pooling_mode_max_tokens": _max,
    "pooling_mode_mean_tokens": _mean,
    "pooling_mode_mean_sqrt_len_tokens": _mean_by_root,
    "pooling_mode_lasttoken": _last,
}
"""Poolings by their names in sentence-transformers; the vectors of several poolings are concatenated in this order."""


@dataclass(frozen=True)
class EmbeddingRecipe:
    """How a text becomes a vector."""

    source: str = "mean over tokens"
    """What defines the recipe."""
    poolings: tuple[str, ...] = ("pooling_mode_mean_tokens",)
    """Keys of `POOLINGS`; their vectors are concatenated."""
    normalise: bool = False
    """Whether to scale vectors to length 1."""
    limit: int | None = None
    """Maximum number of tokens."""
    lowercase: bool = False
    """Whether to convert the text to lower case."""
    prompt: str = ""
    """Text before every text."""


def read_recipe(folder: Path) -> EmbeddingRecipe:
    """Read the recipe of a sentence-transformers folder; return the default for any other folder.

    Raises:
        InputError: the folder has an unsupported step or pooling, or a file is malformed.
    """
    if not (folder / "modules.json").is_file():
        return EmbeddingRecipe()
    listed = read_json(folder / "modules.json", list[dict[str, Json]])
    steps = [(str(step.get("type", "")).rpartition(".")[2], str(step.get("path", ""))) for step in listed]
    supported = ["Transformer", "Pooling", "Normalize"]
    kinds = [kind for kind, _ in steps]
    if not set(kinds) <= set(supported) or kinds[:2] != supported[:2] or steps[0][1]:
        raise InputError(
            f"{folder / 'modules.json'} lists {', '.join(kinds)}; "
            f"this family supports {', '.join(supported)}, in this order"
        )
    pooling = read_json(folder / steps[1][1] / "config.json", dict[str, Json])
    poolings = [key for key, value in pooling.items() if key.startswith("pooling_mode_") and value is True]
    if not poolings or not POOLINGS.keys() >= set(poolings):
        raise InputError(f"{folder}: pooling {', '.join(poolings) or 'by nothing'}; allowed: {', '.join(POOLINGS)}")
    limits = _read_optional(folder / "sentence_bert_config.json")
    prompts = _read_optional(folder / "config_sentence_transformers.json")
    prompt = (prompts.get("prompts") or {}).get(prompts.get("default_prompt_name"), "")
    if prompt and pooling.get("include_prompt") is False:
        raise InputError(f"{folder}: its vectors leave out the prompt {prompt!r}, which this family does not support")
    return EmbeddingRecipe(
        "modules.json",
        tuple(key for key in POOLINGS if key in poolings),
        len(steps) > 2,
        limits.get("max_seq_length"),
        bool(limits.get("do_lower_case")),
        prompt,
    )


def _read_optional(path: Path) -> dict[str, Json]:
    return read_json(path, dict[str, Json]) if path.is_file() else {}


@dataclass(frozen=True, kw_only=True)
class Encoder:
    """A loaded checkpoint with its tokenizer and its recipe."""

    name: str
    facts: Mapping[str, Json]
    token_budget: int
    model: PreTrainedModel
    tokenizer: TextTokenizer
    recipe: EmbeddingRecipe
    placement: ResolvedPlacement
    abilities: frozenset[str] = frozenset({"embed"})

    def check(self, split_ids: Sequence[str], run_ids: Sequence[str]) -> None:
        """Accept any samples."""

    def prepare(self, request: Request) -> Prompt:
        """Tokenise a text."""
        if not isinstance(request, Embed):
            raise SampleError(f"request {request.id} does not ask for an embedding; this family embeds")
        if len(request.parts) != 1 or not isinstance(request.parts[0], str):
            raise SampleError(f"request {request.id} is not a single text; a text encoder reads nothing else")
        text = self.recipe.prompt + request.parts[0]
        return self.tokenizer.prompt(request, (text.lower() if self.recipe.lowercase else text,))

    def stage(self, prompts: Sequence[Prompt], batch: Batch) -> list[None]:
        """Prepare nothing: the tokens are all that the model reads."""
        return [None] * len(batch.groups)

    def run(self, prompts: Sequence[Prompt], batch: Batch, staged: Any) -> list[Prediction]:
        """Embed every member; a batch that does not fit into memory is split."""
        return pytorch.split_when_full(prompts, batch, staged, lambda part, _: self._embed(prompts, part))

    def peak_memory_bytes(self) -> int | None:
        """Return the peak memory of the device in bytes; None on a CPU."""
        return pytorch.peak_memory_bytes(self.placement)

    def _embed(self, prompts: Sequence[Prompt], batch: Batch) -> list[Prediction]:
        import torch

        inputs = tokenisation.pad_right(
            prompts, batch, self.tokenizer.tokenizer.pad_token_id or 0, self.placement.device
        )
        with torch.inference_mode():
            hidden_BLD = self.model(**inputs).last_hidden_state.float()
            mask_BL1 = inputs["attention_mask"].unsqueeze(-1).float()
            vectors_BD = torch.cat([POOLINGS[key](hidden_BLD, mask_BL1) for key in self.recipe.poolings], dim=1)
            if self.recipe.normalise:
                vectors_BD = torch.nn.functional.normalize(vectors_BD, dim=1)
        return [self._prediction(prompts[m], v) for m, v in zip(batch.members, vectors_BD.cpu().numpy(), strict=True)]

    def _prediction(self, prompt: Prompt, vector: Any) -> Prediction:
        import numpy as np

        assert isinstance(prompt, TextPrompt)
        if not np.isfinite(vector).all():
            return Prediction(prompt.request.id, failure=NOT_FINITE)
        return Prediction(prompt.request.id, pack(vector), truncated=prompt.truncated, prompt_tokens=len(prompt.tokens))


def load(name: str, checkpoint: str, placement: Placement) -> Encoder:
    """Load a checkpoint folder. Raises `InputError` if it lacks weights or a tokenizer, or has unsupported steps."""
    from transformers import AutoModel, AutoModelForTextEncoding
    from transformers.models.auto.modeling_auto import MODEL_FOR_TEXT_ENCODING_MAPPING_NAMES

    folder = Path(checkpoint)
    resolved = pytorch.resolve_placement(placement)
    recipe = read_recipe(folder if (folder / "modules.json").is_file() else model_folder(folder))
    tokenizer = tokenisation.load_tokenizer(folder)
    kind = read_config(folder).get("model_type")
    auto_class = AutoModelForTextEncoding if kind in MODEL_FOR_TEXT_ENCODING_MAPPING_NAMES else AutoModel
    model = pytorch.load_weights(auto_class, folder, resolved, unused=("pooler.",))
    model.config.use_cache = False  # encoding needs no key-value cache
    limits = [limit for limit in (recipe.limit, tokenisation.length_limit(model, tokenizer)) if limit is not None]
    limit = min(limits, default=None)
    return Encoder(
        name=name,
        facts={
            "family": "encoder",
            **pytorch.facts(model, folder, resolved),
            "pooling": [key.removeprefix("pooling_mode_") for key in recipe.poolings],
            "pooling_from": recipe.source,
            "normalised": recipe.normalise,
            "longest_text": limit,
        },
        token_budget=pytorch.token_budget(model, resolved),
        model=model,
        tokenizer=TextTokenizer(tokenizer, limit),
        recipe=recipe,
        placement=resolved,
    )


def accepts(config: Mapping[str, Json]) -> bool:
    """Return whether the library has it as a text-only model, without a head or with a masked-language-model head."""
    from transformers.models.auto import modeling_auto
    from transformers.models.auto.image_processing_auto import IMAGE_PROCESSOR_MAPPING_NAMES
    from transformers.models.auto.tokenization_auto import TOKENIZER_MAPPING_NAMES

    kind, bases = str(config.get("model_type")), ("", "_FOR_TEXT_ENCODING", "_FOR_MASKED_LM")
    text_tables = [
        *bases[1:],
        "_FOR_CAUSAL_LM",
    ]  # some text models use the tokenizer of another model and are not in the tokenizer table

    def listed(part: str) -> Mapping[str, Any]:
        names: Mapping[str, Any] = getattr(modeling_auto, f"MODEL{part}_MAPPING_NAMES")
        return names

    of_text = kind in TOKENIZER_MAPPING_NAMES or any(kind in listed(part) for part in text_tables)
    text_architectures = {listed(part).get(kind) for part in bases} - {None}
    architecture = (config.get("architectures") or [None])[0]
    return of_text and kind not in IMAGE_PROCESSOR_MAPPING_NAMES and architecture in text_architectures


FAMILIES.add(
    Family(
        name="encoder",
        summary="a text to a vector: BERT and similar encoders, sentence-transformers folders",
        abilities=frozenset({"embed"}),
        load=load,
        accepts=accepts,
        modalities=frozenset({"text"}),
    )
)
