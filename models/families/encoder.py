"""Text encoders: a text to one vector, as a sentence-transformers folder defines it, or by the mean over its tokens.

A sentence-transformers folder defines how the token vectors become one vector
(`evals.models.backend.embedding_recipe`). For any other
encoder (BERT as it was pre-trained), the vector is the mean of the last layer over all tokens, special tokens included,
without normalisation. Vectors are pooled in float32.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evals.data.checkpoints import model_folder, read_config
from evals.errors import SampleError
from evals.models.backend import embedding_recipe, pytorch, tokenisation
from evals.models.backend.embedding_recipe import EmbeddingRecipe, read_recipe
from evals.models.backend.pytorch import ResolvedPlacement
from evals.models.backend.tokenisation import TextPrompt, TextTokenizer
from evals.models.decoding.batching.batch_rules import BatchRule, encoding_rule
from evals.models.decoding.batching.rotary import reset_rotary
from evals.models.decoding.sampling import NOT_FINITE
from evals.models.engines import choice, vllm_embedding, vllm_model
from evals.models.engines.concurrent import ConcurrentModel
from evals.models.engines.vllm_embedding import TokenVectors
from evals.records.embeddings import pack
from evals.registry import FAMILIES
from evals.schema import Batch, Embed, Family, Json, ModelInput, Placement, Prediction, Prompt, Request

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

# Letters in the names of tensors: B texts, L tokens, D dimensions of a vector.


@dataclass(frozen=True, kw_only=True)
class Encoder:
    """A loaded checkpoint with its tokenizer and its recipe."""

    name: str
    facts: Mapping[str, Json]
    token_budget: int
    model: PreTrainedModel
    tokenizer: TextTokenizer
    recipe: EmbeddingRecipe
    steps: Sequence[Callable[[torch.Tensor], torch.Tensor]]
    """What follows the pooling, from vectors (B, D) to vectors."""
    excluded: int
    """Number of leading tokens that the pooling leaves out."""
    placement: ResolvedPlacement
    rule: BatchRule
    """How the architecture reads the rows of a batch."""
    token_vectors: TokenVectors | None = None
    """Computes the vectors of tokens instead of `model`, which then has no weights; None if `model` computes them."""
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

    def model_input(self, prompt: Prompt) -> ModelInput:
        """Return what the model reads: the text or the pair with special tokens, without what was cut off."""
        return ModelInput(prompt.text or "", prompt.tokens)

    def stage(self, prompts: Sequence[Prompt], batch: Batch) -> list[None]:
        """Prepare nothing: the tokens are all that the model reads."""
        return [None] * len(batch.groups)

    def run(self, prompts: Sequence[Prompt], batch: Batch, staged: Any) -> list[Prediction]:
        """Embed every member; a batch that does not fit into memory is split."""
        return pytorch.split_when_full(prompts, batch, staged, lambda part, _: self._embed(prompts, part))

    def peak_memory_bytes(self) -> int | None:
        """Return the peak memory of the device in bytes; None on a CPU."""
        if self.token_vectors is not None:
            return self.token_vectors.engine.peak_memory_bytes()
        return pytorch.peak_memory_bytes(self.placement)

    def _embed(self, prompts: Sequence[Prompt], batch: Batch) -> list[Prediction]:
        parts = [batch] if self.rule.in_batches else tokenisation.single_rows(batch)
        return [prediction for part in parts for prediction in self._embed_rows(prompts, part)]

    def _embed_rows(self, prompts: Sequence[Prompt], batch: Batch) -> list[Prediction]:
        import torch

        with torch.inference_mode():
            hidden_BLD, mask_BL1 = self._token_vectors(prompts, batch)
            mask_BL1[:, : self.excluded] = 0
            vectors_BD = embedding_recipe.pool(self.recipe, hidden_BLD, mask_BL1)
            for step in self.steps:
                vectors_BD = step(vectors_BD)
        return [self._prediction(prompts[m], v) for m, v in zip(batch.members, vectors_BD.cpu().numpy(), strict=True)]

    def _token_vectors(self, prompts: Sequence[Prompt], batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        """Compute the vectors of the tokens, (B, L, D), and their mask, (B, L, 1)."""
        if self.token_vectors is not None:
            return self.token_vectors([prompts[member].tokens for member in batch.members])
        inputs = tokenisation.pad_right(
            prompts, batch, self.tokenizer.tokenizer.pad_token_id or 0, self.placement.device
        )
        if not self.rule.in_batches:
            reset_rotary(self.model)
        return self.model(**inputs).last_hidden_state.float(), inputs["attention_mask"].unsqueeze(-1).float()

    def _prediction(self, prompt: Prompt, vector: Any) -> Prediction:
        import numpy as np

        assert isinstance(prompt, TextPrompt)
        if not np.isfinite(vector).all():
            return Prediction(prompt.request.id, failure=NOT_FINITE)
        return Prediction(prompt.request.id, pack(vector), truncated=prompt.truncated, prompt_tokens=len(prompt.tokens))


def load(name: str, checkpoint: str, placement: Placement) -> Encoder | ConcurrentModel:
    """Load a checkpoint folder. Raises `InputError` if it lacks weights or a tokenizer, or has unsupported steps."""
    import torch
    from transformers import AutoModel, AutoModelForTextEncoding
    from transformers.models.auto.modeling_auto import MODEL_FOR_TEXT_ENCODING_MAPPING_NAMES

    folder = Path(checkpoint)
    by_vllm = placement.engine == choice.VLLM
    resolved = (vllm_model if by_vllm else pytorch).resolve_placement(placement)
    recipe = read_recipe(folder if (folder / "modules.json").is_file() else model_folder(folder))
    tokenizer = tokenisation.load_tokenizer(folder)
    kind = read_config(folder).get("model_type")
    auto_class = AutoModelForTextEncoding if kind in MODEL_FOR_TEXT_ENCODING_MAPPING_NAMES else AutoModel
    token_vectors = None
    if by_vllm:
        model = vllm_model.skeleton(auto_class, folder)
        token_vectors = vllm_embedding.start(folder, placement, resolved)
    else:
        model = pytorch.load_weights(auto_class, folder, resolved, unused=("pooler.",))
    model.config.use_cache = False  # encoding needs no key-value cache
    if recipe.limit is not None:
        tokenizer.model_max_length = recipe.limit  # as sentence-transformers does: it overrides the tokenizer's
    limit = tokenisation.length_limit(model, tokenizer)
    rule = encoding_rule(model.config)
    prompt_tokens = tokenizer(recipe.prompt)["input_ids"] if recipe.prompt else ()
    by_protocol = tokenisation.PROTOCOL if recipe.source == "modules.json" else tokenisation.FAIL
    long_prompts = placement.long_prompts or by_protocol  # the library of these folders cuts long texts
    loaded = Encoder(
        name=name,
        facts={
            "family": "encoder",
            **_engine_facts(model, folder, resolved, token_vectors),
            **recipe.facts(),
            "batching": str(rule),
            "longest_text": limit,
            "long_prompts": long_prompts,
        },
        token_budget=vllm_model.TOKEN_BUDGET if by_vllm else pytorch.token_budget(model, resolved),
        model=model,
        tokenizer=TextTokenizer(tokenizer, limit, long_prompts, tokenisation.embedding_count(model)),
        recipe=recipe,
        # What follows the pooling is small, and vLLM's processes have the GPU for themselves.
        steps=embedding_recipe.load_steps(recipe, torch.device("cpu") if by_vllm else resolved.device),
        excluded=embedding_recipe.excluded(recipe, prompt_tokens, tokenizer.all_special_ids),
        placement=resolved,
        rule=rule,
        token_vectors=token_vectors,
    )
    on_gpu = token_vectors is not None and token_vectors.engine.on_gpu
    return ConcurrentModel(loaded, vllm_model.GPU_BATCHES) if on_gpu else loaded


def _engine_facts(
    model: PreTrainedModel, folder: Path, resolved: ResolvedPlacement, token_vectors: TokenVectors | None
) -> dict[str, Any]:
    """Say what computes the vectors of the tokens."""
    if token_vectors is None:
        return pytorch.facts(model, folder, resolved)
    return {**vllm_model.facts(model, folder, resolved, token_vectors.engine), "shares_prefixes": False}


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
        engines=choice.ENGINES,
        check_request=vllm_embedding.check_request,
    )
)
