"""A vision-language model in vLLM: prompts as the family makes them, images as decoded files.

vLLM preprocesses the images itself, with the checkpoint's own processor, and repeats each image's placeholder. The
tokens that it then reads are compared with those that the suite planned and records: a prompt that differs is a failed
sample.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evals.data.images import decode
from evals.errors import SampleError
from evals.models.backend.media_prompts import media_input, prepare_request, shared_key
from evals.models.backend.prompt_processor import PromptProcessor
from evals.models.backend.prompts.prompt_limits import PromptLimits, prompt_limits
from evals.models.decoding.build import reading_facts, text_ends
from evals.models.decoding.checkpoint_settings import sampling_settings
from evals.models.decoding.placeholders import restore_placeholders
from evals.models.decoding.reading import TextReader
from evals.models.decoding.sampling import GenerationRow, generation_row, read_completion
from evals.models.engines import vllm_model
from evals.models.engines.concurrent import ConcurrentModel
from evals.models.engines.vllm_decoder import VllmDecoder
from evals.models.engines.vllm_model import VllmEngine
from evals.schema import Batch, Embed, Generate, Image, Json, ModelInput, Placement, Prediction, Prompt, Request

if TYPE_CHECKING:
    from transformers import ProcessorMixin


@dataclass(frozen=True, kw_only=True)
class VllmVisionLanguage:
    """A vision-language checkpoint in vLLM, with its processor."""

    name: str
    facts: Mapping[str, Json]
    token_budget: int
    processor: PromptProcessor
    decoder: VllmDecoder
    reader: TextReader
    """Turns generated tokens into an answer and a thought."""
    folder: Path
    limits: PromptLimits
    engine: VllmEngine
    abilities: frozenset[str] = frozenset({"generate"})

    def check(self, split_ids: Sequence[str], run_ids: Sequence[str]) -> None:
        """Accept any samples."""

    def prepare(self, request: Request) -> Prompt:
        """Render and tokenise a prompt; placeholders of different images get different negative numbers."""
        if not isinstance(request, Generate):
            raise SampleError(f"request {request.id} asks to {type(request).__name__.lower()}, not to generate")
        return prepare_request(self.processor, self.limits, request, _key)

    def model_input(self, prompt: Prompt) -> ModelInput:
        """Return what the model reads: the rendered text with one placeholder per image, and the tokens with all."""
        return media_input(self.processor, prompt)

    def stage(self, prompts: Sequence[Prompt], batch: Batch) -> list[list[Any] | SampleError]:
        """Decode the images of each group."""
        staged: list[list[Any] | SampleError] = []
        for group in batch.groups:
            parts = prompts[group.members[0]].request.parts
            try:
                staged.append([decode(part) for part in parts if isinstance(part, Image)])
            except SampleError as error:
                staged.append(error)
        return staged

    def run(self, prompts: Sequence[Prompt], batch: Batch, staged: Any) -> list[Prediction]:
        """Answer every member; members whose image cannot be read fail without affecting the others."""
        images = {member: shown for group, shown in zip(batch.groups, staged, strict=True) for member in group.members}
        readable = [member for member in batch.members if not isinstance(images[member], SampleError)]
        answers = dict(zip(readable, self._answer(prompts, readable, images), strict=True))
        for member in batch.members:
            if member not in answers:
                answers[member] = Prediction(prompts[member].request.id, failure=str(images[member]))
        return [answers[member] for member in batch.members]

    def peak_memory_bytes(self) -> int | None:
        """Return the peak memory of all GPUs in bytes; None on a CPU."""
        return self.engine.peak_memory_bytes()

    def _answer(self, prompts: Sequence[Prompt], members: Sequence[int], images: Mapping[int, Any]) -> list[Prediction]:
        if not members:
            return []
        rows = [self._row(prompts[member]) for member in members]
        placeholders = self.processor.placeholders
        inputs = {
            "images": [images[member] for member in members],
            "expected": [restore_placeholders(prompts[member].tokens, placeholders) for member in members],
        }
        completions = self.decoder.generate([()], rows, inputs)
        predictions = []
        for member, row, completion in zip(members, rows, completions, strict=True):
            request = prompts[member].request
            assert isinstance(request, Generate)
            predictions.append(read_completion(request, row, completion, self.reader, len(prompts[member].tokens)))
        return self.decoder.token_counts.assign(predictions)

    def _row(self, prompt: Prompt) -> GenerationRow:
        """Make the row of a prompt, with one placeholder per image: vLLM repeats it."""
        request = prompt.request
        assert isinstance(request, Generate)
        settings, opened = sampling_settings(request, self.folder), self.reader.opened_by(prompt.tokens)
        row = generation_row(request, 0, prompt.tokens, 0, settings=settings, opened=opened)
        return replace(row, suffix=self.processor.unexpanded(request))


def load(
    name: str, folder: Path, placement: Placement, library: ProcessorMixin
) -> VllmVisionLanguage | ConcurrentModel:
    """Start vLLM with a checkpoint; this process keeps its processor and its configuration. Raises `InputError`."""
    from transformers import AutoModelForImageTextToText

    resolved = vllm_model.resolve_placement(placement)
    processor = PromptProcessor.of(library, folder)
    skeleton = vllm_model.skeleton(AutoModelForImageTextToText, folder)
    engine = vllm_model.start(folder, placement, resolved)
    limits = vllm_model.limits(prompt_limits(skeleton, library.tokenizer, placement.long_prompts), engine)
    template = processor.templates.stating(placement.template)
    ends, reader = text_ends(folder, skeleton, library.tokenizer, template)
    model = VllmVisionLanguage(
        name=name,
        facts={
            "family": "vision_language",
            **vllm_model.facts(skeleton, folder, resolved, engine),
            "chat_template": processor.templates.default is not None,
            "image_processor": type(library.image_processor).__name__,
            **reading_facts(folder, ends, reader),
            **limits.facts,
        },
        token_budget=vllm_model.TOKEN_BUDGET,
        processor=processor,
        decoder=VllmDecoder(engine, ends=ends, reader=reader),
        reader=reader,
        folder=folder,
        limits=limits,
        engine=engine,
    )
    return ConcurrentModel(model, vllm_model.GPU_BATCHES) if engine.on_gpu else model


def _key(request: Generate | Embed) -> tuple[object, ...]:
    """Return what the prompt shares with others: its leading parts, if the last part is text."""
    *leading, last = request.parts
    return shared_key(leading) if leading and isinstance(last, str) else (request.id,)
