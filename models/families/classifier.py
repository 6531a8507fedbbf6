"""Sequence classifiers: every checkpoint that the library loads for it, such as BERT, Llama or DeepSeek-V3.

A checkpoint names its classes in its configuration (`id2label`), in its own order: DistilBERT's SST-2 has NEGATIVE,
POSITIVE, and RoBERTa's MNLI has contradiction, neutral, entailment, while GLUE has entailment first. Classes are
matched by name; LABEL_0, LABEL_1, … have no meaning and are matched to the benchmark's classes by number. Where the
names differ (POS, NEG), `--labels` or a variant's column `labels` says what each output means.
A head with one output predicts a number, as STS-B requires.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evals.data.checkpoints import read_adapter, read_config
from evals.errors import InputError, SampleError, shorten
from evals.models.backend import pytorch, tokenisation
from evals.models.backend.pytorch import ResolvedPlacement
from evals.models.backend.tokenisation import TextPrompt, TextTokenizer
from evals.models.decoding.batching.batch_rules import BatchRule, encoding_rule
from evals.models.decoding.batching.rotary import reset_rotary
from evals.models.decoding.sampling import NOT_FINITE
from evals.registry import FAMILIES
from evals.schema import Batch, Classify, Family, Group, Json, ModelInput, Placement, Prediction, Prompt, Request
from evals.ties import first_of_largest

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

_MOST_CLASSES = 1_000_000
_NUMBERED = re.compile(r"(?:label_)?(\d{1,9})")


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
        raise InputError(
            f"{checkpoint_classes}; the task's are {', '.join(labels)}: give a checkpoint trained for it, or say what "
            f"its outputs mean with --labels 0={labels[0]},…"
        )
    return [index_by_class[label] for label in task_classes]


def renamed(names: Sequence[str], labels: str) -> list[str]:
    """Give a checkpoint's classes the names that the user chose.

    Args:
        names: the checkpoint's classes, in the order of its outputs.
        labels: pairs of an output's number or name and its class, separated by commas.

    Returns:
        The new names, in the order of the outputs.

    Raises:
        InputError: a pair is malformed, names no output or one twice, or an output has no class.

    Example:
        >>> renamed(["POS", "NEG"], "NEG=negative,0=positive")
        ['positive', 'negative']
    """
    outputs = f"the checkpoint's outputs are {', '.join(f'{index}={name}' for index, name in enumerate(names))}"
    chosen: dict[int, str] = {}
    for pair in labels.split(","):
        output, equals, label = (text.strip() for text in pair.partition("="))
        by_name = [index for index, name in enumerate(names) if _normalised(name) == _normalised(output)]
        index = int(output) if re.fullmatch(r"\d{1,9}", output) else by_name[0] if len(by_name) == 1 else -1
        if not equals or not label or not 0 <= index < len(names):
            raise InputError(f"--labels {labels}: {pair!r} is not OUTPUT=CLASS; {outputs}")
        if index in chosen or label in chosen.values():
            raise InputError(f"--labels {labels} names {output} or {label} twice; {outputs}")
        chosen[index] = label
    if len(chosen) != len(names):
        lacking = next(index for index in range(len(names)) if index not in chosen)
        raise InputError(f"--labels {labels} says nothing of output {lacking}; {outputs}")
    return [chosen[index] for index in range(len(names))]


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
    names: Sequence[str]
    """The checkpoint's classes in the order of its outputs, as it or the user names them."""
    rule: BatchRule
    """How the architecture reads the rows of a batch."""
    padding_token: int | None
    """The checkpoint's padding token; None if it defines none."""
    abilities: frozenset[str] = frozenset({"classify"})

    def check(self, split_ids: Sequence[str], run_ids: Sequence[str]) -> None:
        """Accept any samples."""

    def prepare(self, request: Request) -> Prompt:
        """Tokenise a text or a pair. Raises `InputError` if the checkpoint has other classes than the request."""
        if not isinstance(request, Classify):
            raise SampleError(f"request {request.id} does not ask for a class; this family classifies")
        class_indices(self.names, request.labels)
        return self.tokenizer.prompt(request, request.parts)

    def model_input(self, prompt: Prompt) -> ModelInput:
        """Return what the model reads: the text or the pair with special tokens, without what was cut off."""
        return ModelInput(prompt.text or "", prompt.tokens)

    def stage(self, prompts: Sequence[Prompt], batch: Batch) -> list[None]:
        """Prepare nothing: the tokens are all that the model reads."""
        return [None] * len(batch.groups)

    def run(self, prompts: Sequence[Prompt], batch: Batch, staged: Any) -> list[Prediction]:
        """Classify every member; a batch that does not fit into memory is split."""
        return pytorch.split_when_full(prompts, batch, staged, lambda part, _: self._classify(prompts, part))

    def peak_memory_bytes(self) -> int | None:
        """Return the peak memory of the device in bytes; None on a CPU."""
        return pytorch.peak_memory_bytes(self.placement)

    def _classify(self, prompts: Sequence[Prompt], batch: Batch) -> list[Prediction]:
        import torch

        predictions: dict[int, Prediction] = {}
        for part in self._compatible_parts(prompts, batch):
            inputs = tokenisation.pad_right(prompts, part, self._padding(prompts, part), self.placement.device)
            if not self.rule.in_batches:
                reset_rotary(self.model)
            with torch.inference_mode():
                logits_BC = self.model(**inputs).logits.float().cpu()
            for member, logits_C in zip(part.members, logits_BC, strict=True):
                predictions[member] = self._prediction(prompts[member], logits_C)
        return [predictions[member] for member in batch.members]

    def _compatible_parts(self, prompts: Sequence[Prompt], batch: Batch) -> list[Batch]:
        """Split a batch into parts that the model can compute at once.

        T5 and BART classify by the last end-of-text token, and reject rows with different numbers of them. Where the
        rows of a batch would change each other, each is computed alone.
        """
        if not self.rule.in_batches:
            return tokenisation.single_rows(batch)
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
            scores = logits_C.log_softmax(-1)[class_indices(self.names, request.labels)].tolist()
            output = request.labels[first_of_largest(scores)]
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
    names = _class_names(model.config.id2label, placement)
    config = model.config.get_text_config()
    config.use_cache = False  # classification needs no key-value cache
    padding = [pad for pad in (config.pad_token_id, tokenizer.pad_token_id) if pad is not None and pad >= 0]
    config.pad_token_id = padding[0] if padding else None
    limit = tokenisation.length_limit(model, tokenizer)
    rule = encoding_rule(model.config)
    return Classifier(
        name=name,
        facts={
            "family": "classifier",
            **pytorch.facts(model, folder, resolved),
            "longest_text": limit,
            "long_prompts": placement.long_prompts or tokenisation.FAIL,
            "batching": str(rule),
            "classes": list(names),
            **({"classes_from": "--labels"} if placement.labels is not None else {}),
        },
        token_budget=pytorch.token_budget(model, resolved),
        model=model,
        tokenizer=TextTokenizer(
            tokenizer, limit, placement.long_prompts or tokenisation.FAIL, tokenisation.embedding_count(model)
        ),
        placement=resolved,
        names=names,
        rule=rule,
        padding_token=config.pad_token_id,
    )


def accepts(config: Mapping[str, Json]) -> bool:
    """Return whether the configuration is of one of the library's sequence classifiers."""
    from transformers.models.auto.modeling_auto import MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES

    architectures = set(MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES.values())
    return (config.get("architectures") or [None])[0] in architectures


def _class_names(id2label: Mapping[Any, Any], placement: Placement) -> list[str]:
    """Return the classes in the order of the outputs, as the checkpoint names them or as the user chose."""
    if not isinstance(id2label, Mapping) or not all(re.fullmatch(r"\d{1,9}", str(number)) for number in id2label):
        raise InputError(f"the checkpoint's id2label is {shorten(id2label)}, expected a name for each whole number")
    names = [str(name) for _, name in sorted(id2label.items(), key=lambda item: int(item[0]))]
    return names if placement.labels is None else renamed(names, placement.labels)


def check_request(folder: Path, placement: Placement, request: Request) -> None:
    """Raise `InputError` if a folder's classes are not those that a request asks for; only its configuration is read.

    The classes of an adapter are known when it is loaded.
    """
    if not isinstance(request, Classify) or read_adapter(folder) is not None:
        return
    config = read_config(folder)
    count = config.get("num_labels") or 2
    if not isinstance(count, int) or not 0 < count <= _MOST_CLASSES:
        raise InputError(f"{folder / 'config.json'}: num_labels is {shorten(count)}, expected 1 to {_MOST_CLASSES:,}")
    unnamed = {index: f"LABEL_{index}" for index in range(count)}  # as the library names them
    class_indices(_class_names(config.get("id2label") or unnamed, placement), request.labels)


FAMILIES.add(
    Family(
        name="classifier",
        summary="texts and pairs of texts to classes: BERT, RoBERTa, Llama, DeepSeek-V3, … for sequence classification",
        abilities=frozenset({"classify"}),
        load=load,
        accepts=accepts,
        modalities=frozenset({"text"}),
        check_request=check_request,
    )
)
