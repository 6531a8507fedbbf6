"""Sequence classifiers: every checkpoint that the library loads for it, BERT's as well as Llama's or DeepSeek-V3's.

A checkpoint names its classes in its configuration (`id2label`), in an order of its own: DistilBERT's SST-2 has
NEGATIVE, POSITIVE, and RoBERTa's MNLI contradiction, neutral, entailment where GLUE counts entailment first. Classes
are found by name; LABEL_0, LABEL_1, … say nothing, and are the benchmark's by number. A head with one output gives a
number, as STS-B asks.
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
from evals.models.backend.pytorch import Place
from evals.models.backend.tokenisation import Texts
from evals.models.decoding.sampling import NOT_FINITE
from evals.registry import FAMILIES
from evals.schema import Batch, Classify, Family, Group, Json, Placement, Prediction, Prompt, Request

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

_NUMBERED = re.compile(r"(?:label_)?(\d+)")


def places(names: Sequence[str], labels: Sequence[str]) -> list[int]:
    """Find for each of a task's classes its place among a checkpoint's.

    Args:
        names: the checkpoint's, in the order of its outputs.
        labels: the task's; none where a number is wanted.

    Returns:
        A place a label; for a number the only one.

    Raises:
        InputError: they are not the same classes; shows both.

    Example:
        >>> places(["CONTRADICTION", "NEUTRAL", "ENTAILMENT"], ["entailment", "neutral", "contradiction"])
        [2, 1, 0]
        >>> places(["LABEL_0", "LABEL_1"], ["not_entailment", "entailment"]), places(["LABEL_0"], [])
        ([0, 1], [0])
    """
    shown = f"the checkpoint's classes are {', '.join(names)}"
    if not labels:
        if len(names) != 1:
            raise InputError(f"{shown}; the task asks for a number, which a head with one output gives")
        return [0]
    wanted = [_plain(label) for label in labels]
    known = {_numbered(_plain(name), wanted): place for place, name in enumerate(names)}
    if len(names) != len(labels) or known.keys() != set(wanted):
        raise InputError(f"{shown}; the task's are {', '.join(labels)}: give a checkpoint trained for it")
    return [known[label] for label in wanted]


def _plain(name: str) -> str:
    """A class's name without what is spelled this way and that: case, spaces, dashes."""
    return re.sub(r"[\s_-]+", "_", name.strip().casefold())


def _numbered(name: str, wanted: Sequence[str]) -> str:
    """The task's class that a number means; any other name as it is."""
    found = _NUMBERED.fullmatch(name)
    return wanted[int(found[1])] if found and int(found[1]) < len(wanted) else name


@dataclass(frozen=True)
class Classifier:
    """A loaded checkpoint with its tokenizer."""

    name: str
    facts: Mapping[str, Json]
    token_budget: int
    _model: PreTrainedModel
    _texts: Texts
    _where: Place
    _pad: int | None
    abilities: frozenset[str] = frozenset({"classify"})

    def check(self, known: Sequence[str], wanted: Sequence[str]) -> None:
        """Accept any samples."""

    def prepare(self, request: Request) -> Prompt:
        """Tokenise a text or a pair. Raises `InputError` when the checkpoint has other classes than are asked for."""
        if not isinstance(request, Classify):
            raise SampleError(f"request {request.id} does not ask for a class; this family classifies")
        places(self._names, request.labels)
        return self._texts.prompt(request, request.parts)

    def stage(self, prompts: Sequence[Prompt], batch: Batch) -> list[None]:
        """Nothing needs to be ready but the tokens."""
        return [None] * len(batch.groups)

    def run(self, prompts: Sequence[Prompt], batch: Batch, staged: Any) -> list[Prediction]:
        """Classify every member; a batch that the memory does not hold is halved."""
        return pytorch.split_when_full(prompts, batch, staged, lambda part, _: self._classify(prompts, part))

    def peak_memory_bytes(self) -> int | None:
        """The most bytes that the device held; None where only the process knows."""
        return pytorch.peak_memory_bytes(self._where)

    @property
    def _names(self) -> list[str]:
        names: Mapping[int, str] = self._model.config.id2label
        return [names[place] for place in sorted(names)]

    def _classify(self, prompts: Sequence[Prompt], batch: Batch) -> list[Prediction]:
        import torch

        found: dict[int, Prediction] = {}
        for part in self._alike(prompts, batch):
            inputs = tokenisation.padded(prompts, part, self._padding(prompts, part), self._where.device)
            with torch.inference_mode():
                logits_BC = self._model(**inputs).logits.float().cpu()
            for member, logits_C in zip(part.members, logits_BC, strict=True):
                found[member] = self._prediction(prompts[member], logits_C)
        return [found[member] for member in batch.members]

    def _alike(self, prompts: Sequence[Prompt], batch: Batch) -> list[Batch]:
        """Divide a batch by what the model cannot compute at once.

        T5 and BART judge by the last end-of-text token, and refuse rows with different numbers of them.
        """
        if not self._model.config.is_encoder_decoder:
            return [batch]
        end, parts = self._model.config.eos_token_id, defaultdict[int, list[Group]](list)
        for group in batch.groups:
            parts[tuple(prompts[group.members[0]].tokens).count(end)].append(group)
        return [Batch(tuple(groups)) for groups in parts.values()]

    def _padding(self, prompts: Sequence[Prompt], batch: Batch) -> int:
        """The token that fills rows: the checkpoint's, or where it names none one that no row of the batch has.

        The model must know it, for a decoder judges by the last token that is another.
        """
        if self._pad is not None:
            return self._pad
        used = {token for member in batch.members for token in prompts[member].tokens}
        free = next(token for token in range(len(used) + 1) if token not in used)
        self._model.config.get_text_config().pad_token_id = free
        return free

    def _prediction(self, prompt: Prompt, logits_C: torch.Tensor) -> Prediction:
        request = prompt.request
        assert isinstance(request, Classify)
        assert isinstance(prompt, tokenisation.Text)
        if not logits_C.isfinite().all():
            return Prediction(request.id, failure=NOT_FINITE)
        scores: list[float] = []
        output: Json = logits_C[0].item()
        if request.labels:
            scores = logits_C.log_softmax(-1)[places(self._names, request.labels)].tolist()
            output = request.labels[scores.index(max(scores))]
        return Prediction(
            request.id, output, truncated=prompt.cut, scores=tuple(scores), prompt_tokens=len(prompt.tokens)
        )


def load(name: str, checkpoint: str, placement: Placement) -> Classifier:
    """Load a checkpoint folder. Raises `InputError` for one without weights or tokenizer."""
    from transformers import AutoModelForSequenceClassification

    folder = Path(checkpoint)
    where = pytorch.place(placement)
    tokenizer = tokenisation.load_tokenizer(folder)
    model = pytorch.load_weights(AutoModelForSequenceClassification, folder, where)
    config = model.config.get_text_config()
    config.use_cache = False  # nothing is continued
    named = [pad for pad in (config.pad_token_id, tokenizer.pad_token_id) if pad is not None and pad >= 0]
    config.pad_token_id = named[0] if named else None
    limit = tokenisation.longest(model, tokenizer)
    facts = {
        "family": "classifier",
        **pytorch.facts(model, folder, where),
        "longest_text": limit,
        "classes": [model.config.id2label[place] for place in sorted(model.config.id2label)],
    }
    budget = pytorch.token_budget(model, where)
    return Classifier(name, facts, budget, model, Texts(tokenizer, limit), where, config.pad_token_id)


def accepts(config: Mapping[str, Json]) -> bool:
    """Whether the configuration is of one of the library's sequence classifiers."""
    from transformers.models.auto.modeling_auto import MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES

    known = set(MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES.values())
    return (config.get("architectures") or [None])[0] in known


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
