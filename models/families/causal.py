"""Language models: every checkpoint that the library loads for causal language modelling, and encoder-decoders.

`generate` reads the prompt as one user message if the checkpoint has a chat template; `choose` always reads it as plain
text, because an answer to a message need not begin with a label. Tokens that many prompts have in common (few-shot
examples, a context with several continuations) are computed once if the architecture allows it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evals.data.checkpoints import read_adapter, read_config
from evals.errors import SampleError
from evals.models.architectures import experts
from evals.models.backend import pytorch, tokenisation
from evals.models.backend.prompts.chat_templates import chat_templates
from evals.models.backend.prompts.prompt_limits import prompt_limits
from evals.models.backend.prompts.special_tokens import find_special_tokens
from evals.models.backend.prompts.text_prompts import TextPrompts
from evals.models.backend.pytorch import ResolvedPlacement
from evals.models.backend.resource_requirements import decoder_requirements
from evals.models.backend.visible_text import model_input
from evals.models.decoding.batching import batch_rules
from evals.models.decoding.batching.prefix_sharing import supports_prefix_sharing
from evals.models.decoding.build import prepare_generation, reading_facts, text_ends
from evals.models.decoding.checkpoint_settings import sampling_settings
from evals.models.decoding.engine import Decoder
from evals.models.decoding.hf_generate import LibraryDecoder
from evals.models.decoding.loglikelihood import ChoicePrompt, choose_batch, split_prefixes
from evals.models.decoding.reading import TextReader
from evals.models.decoding.sampling import generation_row, read_completion
from evals.models.engines import choice, vllm_model
from evals.models.engines.concurrent import ConcurrentModel
from evals.models.engines.vllm_decoder import VllmDecoder
from evals.registry import FAMILIES
from evals.schema import (
    Batch,
    Choose,
    Family,
    Generate,
    Json,
    ModelInput,
    Placement,
    Prediction,
    Prompt,
    Request,
    ResourceRequirements,
)

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

_BUDGET_FACTOR = 4
"""Factor of the token budget if rows reuse the slots of rows that ended. At most as many rows are computed at once as
there are slots, so a larger batch needs no more memory; it only leaves fewer slots empty while its last rows end."""
_EXPECTED_SHARE = 8
"""With slots, a text is expected to need `max_new_tokens` divided by this."""


@dataclass(frozen=True, kw_only=True)
class Causal:
    """A loaded checkpoint with its tokenizer."""

    name: str
    facts: Mapping[str, Json]
    token_budget: int
    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    text_prompts: TextPrompts
    placement: ResolvedPlacement
    decoder: Decoder | LibraryDecoder | VllmDecoder
    reader: TextReader
    """Turns generated tokens into an answer and a thought."""
    reserve_divisor: int
    """The plan reserves `max_new_tokens` divided by this for each text."""
    folder: Path
    engine: vllm_model.VllmEngine | None = None
    """The engine of the decoder; None if this process computes with the library's model. With an engine, `model` has no
    weights."""
    abilities: frozenset[str] = frozenset({"generate", "choose"})

    adapt = experts.adapt

    def check(self, split_ids: Sequence[str], run_ids: Sequence[str]) -> None:
        """Accept any samples."""

    def prepare(self, request: Request) -> Prompt:
        """Tokenise a prompt and, for a choice, its continuations."""
        if isinstance(request, Generate):
            return self.text_prompts.to_generate(request, reserve=-(-request.max_new_tokens // self.reserve_divisor))
        if isinstance(request, Choose):
            return self.text_prompts.to_choose(request)
        raise SampleError(f"request {request.id} asks to embed; this family generates and chooses")

    def model_input(self, prompt: Prompt) -> ModelInput:
        """Return what the model reads: the rendered text with its special tokens, the tokens, the continuations."""
        return model_input(self.tokenizer, prompt)

    def stage(self, prompts: Sequence[Prompt], batch: Batch) -> list[None]:
        """Prepare nothing: the tokens are all that the model reads."""
        return [None] * len(batch.groups)

    def run(self, prompts: Sequence[Prompt], batch: Batch, staged: Any) -> list[Prediction]:
        """Answer every member; a batch that does not fit into memory is split."""
        chooses = isinstance(prompts[batch.members[0]], ChoicePrompt)
        answer = self._choose if chooses else self._generate
        predictions = pytorch.split_when_full(prompts, batch, staged, lambda part, _: answer(prompts, part))
        return self.decoder.token_counts.assign(predictions)

    def peak_memory_bytes(self) -> int | None:
        """Return the peak memory of the device in bytes; None on a CPU."""
        return pytorch.peak_memory_bytes(self.placement) if self.engine is None else self.engine.peak_memory_bytes()

    def resource_requirements(self) -> ResourceRequirements:
        """Count what the weights require per token."""
        return decoder_requirements(self.model, self.folder, self.placement)

    def _generate(self, prompts: Sequence[Prompt], batch: Batch) -> list[Prediction]:
        prefixes, prefix_indices = split_prefixes(prompts, batch)
        rows = []
        requests = []
        for member, index in zip(batch.members, prefix_indices, strict=True):
            request, tokens = prompts[member].request, prompts[member].tokens
            assert isinstance(request, Generate)
            requests.append(request)
            settings = sampling_settings(request, self.folder)
            opened = self.reader.opened_by(tokens)
            shared = len(prefixes[index])
            rows.append(generation_row(request, index, tokens, shared, settings=settings, opened=opened))
        completions = self.decoder.generate(prefixes, rows, {})
        return [
            read_completion(request, row, completion, self.reader, len(prompts[member].tokens))
            for member, request, row, completion in zip(batch.members, requests, rows, completions, strict=True)
        ]

    def _choose(self, prompts: Sequence[Prompt], batch: Batch) -> list[Prediction]:
        return choose_batch(prompts, batch, self.decoder.loglikelihoods)


def load(name: str, checkpoint: str, placement: Placement) -> Causal | ConcurrentModel:
    """Load a checkpoint folder. Raises `InputError` if it lacks weights or a tokenizer."""
    folder = Path(checkpoint)
    loaded = choice.attempt(placement, folder, lambda: _load_with_vllm(name, folder, placement))
    return _load(name, folder, placement, loaded) if isinstance(loaded, choice.EngineChoice) else loaded


def _load(name: str, folder: Path, placement: Placement, engine: choice.EngineChoice) -> Causal:
    """Load the library's model into this process."""
    from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM

    resolved = pytorch.resolve_placement(placement)
    tokenizer = tokenisation.load_tokenizer(folder)
    config = read_config(folder)
    auto_class = AutoModelForSeq2SeqLM if config.get("is_encoder_decoder") else AutoModelForCausalLM
    templates = chat_templates(tokenizer, folder)
    model = pytorch.load_weights(auto_class, folder, resolved)
    limits = prompt_limits(model, tokenizer, placement.long_prompts)
    generation = prepare_generation(
        folder, model, tokenizer, rule=batch_rules.batch_rule(model.config),
        share_prefixes=supports_prefix_sharing(model), template=templates.stating(placement.template),
        cache_positions=pytorch.cache_positions(model, resolved),
    )  # fmt: skip
    reuses_slots = isinstance(generation.decoder, Decoder)
    return Causal(
        name=name,
        facts={
            "family": "causal",
            **engine.facts,
            **pytorch.facts(model, folder, resolved),
            "chat_template": templates.default is not None,
            **generation.facts,
            **limits.facts,
        },
        token_budget=pytorch.token_budget(model, resolved) * (_BUDGET_FACTOR if reuses_slots else 1),
        model=model,
        tokenizer=tokenizer,
        text_prompts=TextPrompts(tokenizer, find_special_tokens(tokenizer), templates, limits),
        placement=resolved,
        decoder=generation.decoder,
        reader=generation.reader,
        reserve_divisor=_EXPECTED_SHARE if reuses_slots else 1,
        folder=folder,
    )


def _load_with_vllm(name: str, folder: Path, placement: Placement) -> Causal | ConcurrentModel:
    """Start vLLM with a checkpoint; this process keeps its tokenizer and its configuration."""
    from transformers import AutoModelForCausalLM

    resolved = vllm_model.resolve_placement(placement)
    tokenizer = tokenisation.load_tokenizer(folder)
    templates = chat_templates(tokenizer, folder)
    skeleton = vllm_model.skeleton(AutoModelForCausalLM, folder)
    stated = prompt_limits(skeleton, tokenizer, placement.long_prompts)
    positions = vllm_model.scaled_positions(folder, stated)
    engine = vllm_model.start(folder, placement, resolved, skip_tokenizer_init=True, **positions)
    limits = vllm_model.limits(stated, engine)
    ends, reader = text_ends(folder, skeleton, tokenizer, templates.stating(placement.template))
    model = Causal(
        name=name,
        facts={
            "family": "causal",
            **vllm_model.facts(skeleton, folder, resolved, engine),
            "chat_template": templates.default is not None,
            **reading_facts(folder, ends, reader),
            **limits.facts,
        },
        token_budget=vllm_model.TOKEN_BUDGET,
        model=skeleton,
        tokenizer=tokenizer,
        text_prompts=TextPrompts(tokenizer, find_special_tokens(tokenizer), templates, limits),
        placement=resolved,
        decoder=VllmDecoder(engine, ends=ends, reader=reader, scores_prompts=read_adapter(folder) is None),
        reader=reader,
        reserve_divisor=_EXPECTED_SHARE,
        folder=folder,
        engine=engine,
    )
    return ConcurrentModel(model, vllm_model.GPU_BATCHES) if engine.on_gpu else model


def accepts(config: Mapping[str, Json]) -> bool:
    """Return whether the library has a causal or sequence-to-sequence class for this configuration, without images."""
    from transformers.models.auto.modeling_auto import (
        MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
        MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES,
        MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES,
    )

    class_by_type = {**MODEL_FOR_CAUSAL_LM_MAPPING_NAMES, **MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES}
    architectures = config.get("architectures") or [class_by_type.get(config.get("model_type"))]
    with_images = set(MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES.values())
    return architectures[0] in set(class_by_type.values()) - with_images


FAMILIES.add(
    Family(
        name="causal",
        summary="text to text: Llama, Qwen2, DeepSeek-V2 and -V3, …, and encoder-decoders",
        abilities=frozenset({"generate", "choose"}),
        load=load,
        accepts=accepts,
        modalities=frozenset({"text"}),
        engines=choice.ENGINES,
        check_request=choice.check_request,
    )
)
