"""Sequence classifiers: every checkpoint that the library loads for it, such as BERT, Llama or DeepSeek-V3.

A checkpoint names its classes in its configuration (`id2label`), in its own order: DistilBERT's SST-2 has NEGATIVE,
POSITIVE, and RoBERTa's MNLI has contradiction, neutral, entailment, while GLUE has entailment first. Classes are
matched by name; LABEL_0, LABEL_1, … have no meaning and are matched to the benchmark's classes by number.
A head with one output predicts a number, as STS-B requires.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evals.errors import InputError, SampleError
from evals.models.backend import pytorch, tokenisation
from evals.models.backend.pytorch import ResolvedPlacement
from evals.models.backend.tokenisation import TextPrompt, TextTokenizer
from evals.models.decoding.sampling import NOT_FINITE
from evals.registry import FAMILIES
from evals.schema import Batch, Classify, Family, Group, Json, Placement, Prediction, Prompt, Request

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

_NUMBERED = re.compile(r"(?:label_)?(\d+)")


def class_indices(names: Sequence[str], labels: Sequence[str]) -> list[int]:
    """Find the index of each of a task's classes among a checkpoint's classes.

    Args:
        names: the checkpoint's classes, in the order of its outputs.
        labels: the task's classes; empty if the task asks for a number.

    Returns:
        One index per label; `[0]` if the task asks for a number.

    Raises:
        InputError: the classes differ; the message shows both.

    Example:
        >>> class_indices(["CONTRADICTION", "NEUTRAL", "ENTAILMENT"], ["entailment", "neutral", "contradiction"])
        [2, 1, 0]
        >>> class_indices(["LABEL_0", "LABEL_1"], ["not_entailment", "entailment"]), class_indices(["LABEL_0"], [])
        ([0, 1], [0])
    """
    checkpoint_classes = f"the checkpoint's classes are {', '.join(names)}"
    if not labels:
        if len(names) != 1:
            raise InputError(f"{checkpoint_classes}; the task asks for a number, which a head with one output gives")
        return [0]
    task_classes = [_normalised(label) for label in labels]
    index_by_class = {_resolve_number(_normalised(name), task_classes): index for index, name in enumerate(names)}
    if len(names) != len(labels) or index_by_class.keys() != set(task_classes):
        raise InputError(f"{checkpoint_classes}; the task's are {', '.join(labels)}: give a checkpoint trained for it")
    return [index_by_class[label] for label in task_classes]


def _normalised(name: str) -> str:
    """Normalise the case, spaces and dashes of a class name."""
    return re.sub(r"[\s_-]+", "_", name.strip().casefold())


def _resolve_number(name: str, task_classes: Sequence[str]) -> str:
    """Replace a numbered class name by the task's class of that number; return any other name unchanged."""
    match = _NUMBERED.fullmatch(name)
    return task_classes[int(match[1])] if match and int(match[1]) < len(task_classes) else name


@dataclass(frozen=True, kw_only=True)
class Classifier:
    """A loaded checkpoint with its tokenizer."""

    name: str
    facts: Mapping[str, Json]
    token_budget: int
    model: PreTrainedModel
    tokenizer: TextTokenizer
    placement: ResolvedPlacement
    padding_token: int | None
    """The checkpoint's padding token; None if it defines none."""
    abilities: frozenset[str] = frozenset({"classify"})

    def check(self, split_ids: Sequence[str], run_ids: Sequence[str]) -> None:
        """Accept any samples."""

    def prepare(self, request: Request) -> Prompt:
        """Tokenise a text or a pair. Raises `InputError` if the checkpoint has other classes than the request."""
        if not isinstance(request, Classify):
            raise SampleError(f"request {request.id} does not ask for a class; this family classifies")
        class_indices(self._names, request.labels)
        return self.tokenizer.prompt(request, request.parts)

    def stage(self, prompts: Sequence[Prompt], batch: Batch) -> list[None]:
        """Prepare nothing: the tokens are all that the model reads."""
        return [None] * len(batch.groups)

    def run(self, prompts: Sequence[Prompt], batch: Batch, staged: Any) -> list[Prediction]:
        """Classify every member; a batch that does not fit into memory is split."""
        return pytorch.split_when_full(prompts, batch, staged, lambda part, _: self._classify(prompts, part))

    def peak_memory_bytes(self) -> int | None:
        """Return the peak memory of the device in bytes; None on a CPU."""
        return pytorch.peak_memory_bytes(self.placement)

    @property
    def _names(self) -> list[str]:
        names: Mapping[int, str] = self.model.config.id2label
        return [names[index] for index in sorted(names)]

    def _classify(self, prompts: Sequence[Prompt], batch: Batch) -> list[Prediction]:
        import torch

        predictions: dict[int, Prediction] = {}
        for part in self._compatible_parts(prompts, batch):
            inputs = tokenisation.pad_right(prompts, part, self._padding(prompts, part), self.placement.device)
            with torch.inference_mode():
                logits_BC = self.model(**inputs).logits.float().cpu()
            for member, logits_C in zip(part.members, logits_BC, strict=True):
                predictions[member] = self._prediction(prompts[member], logits_C)
        return [predictions[member] for member in batch.members]

    def _compatible_parts(self, prompts: Sequence[Prompt], batch: Batch) -> list[Batch]:
        """Split a batch into parts that the model can compute at once.

        T5 and BART classify by the last end-of-text token, and reject rows with different numbers of them.
        """
        if not self.model.config.is_encoder_decoder:
            return [batch]
        end, parts = self.model.config.eos_token_id, defaultdict[int, list[Group]](list)
        for group in batch.groups:
            parts[tuple(prompts[group.members[0]].tokens).count(end)].append(group)
        return [Batch(tuple(groups)) for groups in parts.values()]

    def _padding(self, prompts: Sequence[Prompt], batch: Batch) -> int:
        """Return the padding token: the checkpoint's, or else a token that no row of the batch contains.

        The model must know it, because a decoder classifies by the last token that is not padding.
        """
        if self.padding_token is not None:
            return self.padding_token
        used = {token for member in batch.members for token in prompts[member].tokens}
        free = next(token for token in range(len(used) + 1) if token not in used)
        self.model.config.get_text_config().pad_token_id = free
        return free

    def _prediction(self, prompt: Prompt, logits_C: torch.Tensor) -> Prediction:
        request = prompt.request
        assert isinstance(request, Classify)
        assert isinstance(prompt, TextPrompt)
        if not logits_C.isfinite().all():
            return Prediction(request.id, failure=NOT_FINITE)
        scores: list[float] = []
        output: Json = logits_C[0].item()
        if request.labels:
            scores = logits_C.log_softmax(-1)[class_indices(self._names, request.labels)].tolist()
            output = request.labels[scores.index(max(scores))]
        return Prediction(
            request.id, output, truncated=prompt.truncated, scores=tuple(scores), prompt_tokens=len(prompt.tokens)
        )


def load(name: str, checkpoint: str, placement: Placement) -> Classifier:
    """Load a checkpoint folder. Raises `InputError` if it lacks weights or a tokenizer."""
    from transformers import AutoModelForSequenceClassification

    folder = Path(checkpoint)
    resolved = pytorch.resolve_placement(placement)
    tokenizer = tokenisation.load_tokenizer(folder)
    model = pytorch.load_weights(AutoModelForSequenceClassification, folder, resolved)
    config = model.config.get_text_config()
    config.use_cache = False  # classification needs no key-value cache
    padding = [pad for pad in (config.pad_token_id, tokenizer.pad_token_id) if pad is not None and pad >= 0]
    config.pad_token_id = padding[0] if padding else None
    limit = tokenisation.length_limit(model, tokenizer)
    return Classifier(
        name=name,
        facts={
            "family": "classifier",
            **pytorch.facts(model, folder, resolved),
            "longest_text": limit,
            "classes": [model.config.id2label[index] for index in sorted(model.config.id2label)],
        },
        token_budget=pytorch.token_budget(model, resolved),
        model=model,
        tokenizer=TextTokenizer(tokenizer, limit),
        placement=resolved,
        padding_token=config.pad_token_id,
    )


def accepts(config: Mapping[str, Json]) -> bool:
    """Return whether the configuration is of one of the library's sequence classifiers."""
    from transformers.models.auto.modeling_auto import MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES

    architectures = set(MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES.values())
    return (config.get("architectures") or [None])[0] in architectures


FAMILIES.add(
    Family(
        name="classifier",
        summary="texts and pairs of texts to classes: BERT, RoBERTa, Llama, DeepSeek-V3, … for sequence classification",
        abilities=frozenset({"classify"}),
        load=load,
        accepts=accepts,
        modalities=frozenset({"text"}),
    )
)
