"""Vision-language models: DeepSeek-VL, DeepSeek-VL-hybrid and every other image-text-to-text checkpoint.

A prompt is one user message of images and texts, rendered by the checkpoint's chat template. Without a template, the
image placeholders are followed by the text. Questions about one image share the computation of everything before the
question, mainly of the image. That needs a decoder whose positions simply count tokens; other architectures go through
the library's own `generate`, one batch at a time and without sharing.

An image or a text is embedded as `evals.models.decoding.last_state` describes, from a prompt rendered in the same way.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evals.data.checkpoints import read_config
from evals.errors import InputError, SampleError
from evals.models.architectures import experts
from evals.models.backend import pytorch
from evals.models.backend.image_prompts import alike, join
from evals.models.backend.media_prompts import media_input, prepare_request, shared_key
from evals.models.backend.prompt_processor import PromptProcessor
from evals.models.backend.prompts.prompt_limits import PromptLimits, prompt_limits
from evals.models.backend.resource_requirements import decoder_requirements
from evals.models.decoding import last_state
from evals.models.decoding.batching import batch_rules
from evals.models.decoding.batching.prefix_sharing import supports_prefix_sharing
from evals.models.decoding.build import prepare_generation
from evals.models.decoding.checkpoint_settings import sampling_settings
from evals.models.decoding.engine import IMAGE_PREFILL, Decoder
from evals.models.decoding.hf_generate import LibraryDecoder, with_tokens
from evals.models.decoding.padding import on_device, pinned
from evals.models.decoding.placeholders import restore_placeholders
from evals.models.decoding.reading import TextReader
from evals.models.decoding.sampling import Completion, GenerationRow, generation_row, read_completion
from evals.models.decoding.slots import chunks
from evals.models.engines import choice, vllm_vision
from evals.models.engines.concurrent import ConcurrentModel
from evals.registry import FAMILIES
from evals.schema import (
    Batch,
    ChatSettings,
    Embed,
    Family,
    Generate,
    Image,
    Json,
    ModelInput,
    Placement,
    Prediction,
    Prompt,
    Request,
    ResourceRequirements,
)

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, ProcessorMixin

SHARING = frozenset(
    {
        "deepseek_vl", "deepseek_vl_hybrid", "idefics3", "internvl", "llava", "llava_next", "llava_onevision",
        "qwen2_5_vl", "qwen2_vl", "qwen3_vl", "smolvlm", "vipllava",
    }
)  # fmt: skip
"""Model types whose prefixes can be computed separately: causal attention for images too, and positions that count
tokens or that the model computes (`evals.models.decoding.placeholders`). The benchmark `vision_architectures` compares
each with the library alone."""


BATCHED = SHARING | {"gemma3", "paligemma"}
"""Model types that the library decodes in batches with the output of one prompt alone; others go one by one."""
GENERATED_TYPES = {"paligemma": 1}
"""Model types whose generated tokens have another entry of `token_type_ids` than the text of the prompt."""


@dataclass(frozen=True, kw_only=True)
class VisionLanguage:
    """A loaded checkpoint with its processor."""

    name: str
    facts: Mapping[str, Json]
    token_budget: int
    model: PreTrainedModel
    processor: PromptProcessor
    placement: pytorch.ResolvedPlacement
    decoder: Decoder | LibraryDecoder
    reader: TextReader
    """Turns generated tokens into an answer and a thought."""
    folder: Path
    limits: PromptLimits
    """The positions of the language model."""
    abilities: frozenset[str] = frozenset({"generate", "embed"})

    adapt = experts.adapt

    def check(self, split_ids: Sequence[str], run_ids: Sequence[str]) -> None:
        """Accept any samples."""

    def prepare(self, request: Request) -> Prompt:
        """Render and tokenise a prompt; placeholders of different images get different negative numbers."""
        return prepare_request(self.processor, self.limits, request, self._key)

    def model_input(self, prompt: Prompt) -> ModelInput:
        """Return what the model reads: the rendered text with one placeholder per image, and the tokens with all."""
        return media_input(self.processor, prompt)

    def stage(self, prompts: Sequence[Prompt], batch: Batch) -> list[dict[str, Any] | SampleError]:
        """Decode the images of each group and make the model's input tensors."""
        staged: list[dict[str, Any] | SampleError] = []
        for group in batch.groups:
            request = prompts[group.members[0]].request
            try:
                staged.append(pinned(self._stage(request), self.placement.device))
            except SampleError as error:
                staged.append(error)
        return staged

    def run(self, prompts: Sequence[Prompt], batch: Batch, staged: Any) -> list[Prediction]:
        """Answer every member; members whose image cannot be read fail without affecting the others."""
        readable = [
            (group, inputs) for group, inputs in zip(batch.groups, staged, strict=True) if isinstance(inputs, dict)
        ]
        answers: dict[int, Prediction] = {}
        if readable:
            part = Batch(tuple(group for group, _ in readable))
            predictions = pytorch.split_when_full(
                prompts, part, [inputs for _, inputs in readable], lambda b, s: self._answer(prompts, b, s)
            )
            answers = dict(zip(part.members, self.decoder.token_counts.assign(predictions), strict=True))
        for group, inputs in zip(batch.groups, staged, strict=True):
            if isinstance(inputs, SampleError):
                reason = str(inputs)
                answers |= {m: Prediction(prompts[m].request.id, failure=reason) for m in group.members}
        return [answers[member] for member in batch.members]

    def peak_memory_bytes(self) -> int | None:
        """Return the peak memory of the device in bytes; None on a CPU."""
        return pytorch.peak_memory_bytes(self.placement)

    def resource_requirements(self) -> ResourceRequirements:
        """Count what the decoder's weights require per token; image encoding is not included."""
        return decoder_requirements(self.model, self.folder, self.placement)

    @property
    def kind(self) -> str:
        """The library's name of the architecture (`deepseek_vl`)."""
        return str(self.model.config.model_type)

    @property
    def shares_prefixes(self) -> bool:
        """Whether prefixes that prompts share are computed once."""
        return isinstance(self.decoder, Decoder)

    def generate(self, prompts: Sequence[Prompt], batch: Batch, staged: Sequence[Any]) -> list[Completion]:
        """Generate a completion for every member of a batch, from inputs that `stage` prepared."""
        return (self._generate_shared if self.shares_prefixes else self._generate_plainly)(prompts, batch, staged)

    def _stage(self, request: Request) -> dict[str, Any]:
        rendered = self.processor.render(last_state.prompt_parts(request), _chat(request))
        if self.shares_prefixes:
            return self.processor.inputs(rendered, request.parts)
        return dict(self.processor.encode(rendered, [part for part in request.parts if isinstance(part, Image)]))

    def _answer(self, prompts: Sequence[Prompt], batch: Batch, staged: Sequence[Any]) -> list[Prediction]:
        if isinstance(prompts[batch.members[0]].request, Embed):
            return self._embed(prompts, batch, staged)
        completions = self.generate(prompts, batch, staged)
        return [
            self._prediction(prompts[member], completion)
            for member, completion in zip(batch.members, completions, strict=True)
        ]

    def _prediction(self, prompt: Prompt, completion: Completion) -> Prediction:
        row = self._row(prompt, 0, 0)
        return read_completion(_generate_request(prompt), row, completion, self.reader, len(prompt.tokens))

    def _row(self, prompt: Prompt, index: int, shared: int) -> GenerationRow:
        """Make the row that continues a prompt after the shared prefix of its group."""
        request = _generate_request(prompt)
        settings, opened = sampling_settings(request, self.folder), self.reader.opened_by(prompt.tokens)
        return generation_row(request, index, prompt.tokens, shared, settings=settings, opened=opened)

    def _embed(self, prompts: Sequence[Prompt], batch: Batch, staged: Sequence[Any]) -> list[Prediction]:
        """Return the last hidden state of every prompt; without prefix sharing, prompts are read one by one."""
        members = [prompts[member] for member in batch.members]
        if self.shares_prefixes:
            states = self._shared_states(members, staged)
        else:
            states = [last_state.embed_one(self.model, self._placed(encoded)) for encoded in staged]
        return [last_state.embedding_prediction(prompt, state) for prompt, state in zip(members, states, strict=True)]

    def _shared_states(self, members: Sequence[Prompt], staged: Sequence[Any]) -> list[torch.Tensor]:
        """Read prompts together, those whose images have equal shapes at a time."""
        import torch

        states: dict[int, torch.Tensor] = {}
        lengths = [len(prompt.tokens) for prompt in members]
        equal_shapes = alike(staged, together=True)
        for indices in (part for equal in equal_shapes for part in chunks(equal, lengths.__getitem__, IMAGE_PREFILL)):
            rows = [restore_placeholders(members[index].tokens, self.processor.placeholders) for index in indices]
            placed = [self._placed(staged[index]) for index in indices]
            inputs = {name: torch.cat([tensors[name] for tensors in placed]) for name in placed[0]}
            states |= dict(zip(indices, last_state.embed_rows(self.model, rows, inputs), strict=True))
        return [states[index] for index in range(len(members))]

    def _placed(self, inputs: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Move inputs to the device, pixels in the model's number format."""
        device, dtype = self.placement.device, self.placement.dtype
        return {name: on_device(value, device, dtype) for name, value in inputs.items()}

    def _generate_shared(self, prompts: Sequence[Prompt], batch: Batch, staged: Sequence[Any]) -> list[Completion]:
        """Generate with the shared prefix of each group computed once."""
        assert isinstance(self.decoder, Decoder)
        completions: dict[int, Completion] = {}
        for indices in alike(staged, together=True):
            groups = [batch.groups[index] for index in indices]
            prefixes, rows = [], []
            for index, group in enumerate(groups):
                prefix = prompts[group.members[0]].tokens[: group.shared]
                prefixes.append(restore_placeholders(prefix, self.processor.placeholders))
                rows += [self._row(prompts[member], index, group.shared) for member in group.members]
            inputs = {name: [staged[index][name] for index in indices] for name in staged[indices[0]]}
            answers = self.decoder.generate(prefixes, rows, inputs)
            completions |= dict(zip((m for group in groups for m in group.members), answers, strict=True))
        return [completions[member] for member in batch.members]

    def _generate_plainly(self, prompts: Sequence[Prompt], batch: Batch, staged: Sequence[Any]) -> list[Completion]:
        """Generate with the library's own loop, for architectures whose positions do not simply count tokens."""
        assert isinstance(self.decoder, LibraryDecoder)
        rows = [self._row(prompts[member], 0, 0) for member in batch.members]
        completions: dict[int, Completion] = {}
        for indices in alike(staged, together=not self.decoder.row_by_row):
            token_type = GENERATED_TYPES.get(self.kind, 0)
            encoded = [with_tokens(staged[index], rows[index].begun, token_type=token_type) for index in indices]
            self.decoder.token_counts.add([range(prompt["input_ids"].shape[1]) for prompt in encoded])
            inputs = self._placed(join(encoded, self.processor.pad_token))
            answers = self.decoder.continue_prompts(inputs, [rows[index] for index in indices])
            completions |= dict(zip(indices, answers, strict=True))
        return [completions[index] for index in range(len(rows))]

    def _key(self, request: Generate | Embed) -> tuple[object, ...]:
        """Return what the prompt can share: its leading parts, if the last part is text."""
        *leading, last = request.parts
        if isinstance(request, Embed) or not isinstance(last, str) or not leading or not self.shares_prefixes:
            return (request.id,)
        return shared_key(leading)


def _generate_request(prompt: Prompt) -> Generate:
    """Return the request of a prompt, which is known to be a `Generate`."""
    assert isinstance(prompt.request, Generate)
    return prompt.request


def _chat(request: Request) -> ChatSettings:
    """Return how a prompt becomes a chat."""
    return request.chat if isinstance(request, Generate | Embed) else ChatSettings()


def load(
    name: str, checkpoint: str, placement: Placement
) -> VisionLanguage | vllm_vision.VllmVisionLanguage | ConcurrentModel:
    """Load a checkpoint folder. Raises `InputError` if it lacks weights, a tokenizer or an image processor."""
    folder = Path(checkpoint)
    library = _load_processor(folder)
    loaded = choice.attempt(placement, folder, lambda: vllm_vision.load(name, folder, placement, library))
    return _load(name, folder, placement, loaded, library) if isinstance(loaded, choice.EngineChoice) else loaded


def _load_processor(folder: Path) -> ProcessorMixin:
    """Load a processor that marks images by a token of the vocabulary."""
    library = pytorch.load_processor(folder)
    lacking = [name for name in ("image_token", "image_token_id") if getattr(library, name, None) is None]
    if lacking:
        named = (read_config(folder).get("architectures") or ["it"])[0]
        raise InputError(
            f"{folder}: {named} marks images in a prompt in a way of its own (its {type(library).__name__} has no "
            f"{lacking[0]}), which this family does not support"
        )
    return library


def _load(
    name: str, folder: Path, placement: Placement, engine: choice.EngineChoice, library: ProcessorMixin
) -> VisionLanguage:
    """Load the library's model into this process."""
    from transformers import AutoModelForImageTextToText

    resolved = pytorch.resolve_placement(placement)
    processor = PromptProcessor.of(library, folder)
    model = pytorch.load_weights(AutoModelForImageTextToText, folder, resolved)
    shares_prefixes = model.config.model_type in SHARING and supports_prefix_sharing(model)
    rule = batch_rules.text_model_rule(model.config)
    if rule.in_batches and model.config.model_type not in BATCHED:
        rule = batch_rules.BatchRule(
            batch_rules.ROW_BY_ROW, f"batches of {model.config.model_type} were not compared with one prompt"
        )
    generation = prepare_generation(
        folder, model, library.tokenizer, rule=rule, share_prefixes=shares_prefixes,
        template=processor.templates.stating(placement.template),
        cache_positions=pytorch.cache_positions(model, resolved),
    )  # fmt: skip
    limits = prompt_limits(model, library.tokenizer, placement.long_prompts)
    return VisionLanguage(
        name=name,
        facts={
            "family": "vision_language",
            **engine.facts,
            **pytorch.facts(model, folder, resolved),
            "chat_template": processor.templates.default is not None,
            "image_processor": type(library.image_processor).__name__,
            **generation.facts,
            **limits.facts,
        },
        token_budget=pytorch.token_budget(model, resolved),
        model=model,
        processor=processor,
        placement=resolved,
        decoder=generation.decoder,
        reader=generation.reader,
        folder=folder,
        limits=limits,
    )


def accepts(config: Mapping[str, Json]) -> bool:
    """Return whether the library has an image-text-to-text class for this configuration."""
    from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES

    architectures = config.get("architectures") or [
        MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES.get(config.get("model_type"))
    ]
    return architectures[0] in set(MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES.values())


FAMILIES.add(
    Family(
        name="vision_language",
        summary="images and text to text: DeepSeek-VL, DeepSeek-VL-hybrid, LLaVA, …",
        abilities=frozenset({"generate", "embed"}),
        load=load,
        accepts=accepts,
        modalities=frozenset({"text", "image"}),
        engines=choice.ENGINES,
        check_request=choice.check_request,
    )
)
