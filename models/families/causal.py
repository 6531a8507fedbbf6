"""Language models: every checkpoint that the library loads for causal language modelling, and encoder-decoders.

`generate` reads the prompt as one user message where the checkpoint has a chat template; `choose` always reads it as
plain text, since an answer to a message need not begin with a label. What many prompts have in common (few-shot
examples, a context with several endings) is computed once where the architecture allows it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evals.data.files import read_json
from evals.errors import SampleError
from evals.models.backend import pytorch, tokenisation, weights_needed
from evals.models.backend.pytorch import Place
from evals.models.decoding.engine import Decoder, shares
from evals.models.decoding.hf_generate import LibraryDecoder
from evals.models.decoding.loglikelihood import Weighing, divided, prefixes_of, weighed
from evals.models.decoding.sampling import Continuation, Row, drawing, end_tokens, until
from evals.registry import FAMILIES
from evals.schema import (
    MODALITIES,
    Batch,
    Choose,
    Family,
    Generate,
    Json,
    Part,
    Placement,
    Prediction,
    Prompt,
    Request,
    ResourceRequirements,
)

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

_REFILLED_PER_CORE, _EXPECTED_SHARE = 16_384, 8
"""Of a CPU's core, where rows take the slots of those that ended: the token positions of a batch, and the part of
`max_new_tokens` that a text is expected to need. No more rows are under way than there are slots, so a batch of many
rows needs no more memory; it only leaves fewer slots empty while its last rows end."""


@dataclass(frozen=True)
class Causal:
    """A loaded checkpoint with its tokenizer."""

    name: str
    facts: Mapping[str, Json]
    token_budget: int
    _model: PreTrainedModel
    _tokenizer: PreTrainedTokenizerBase
    _where: Place
    _decoder: Decoder | LibraryDecoder
    _reserve_share: int
    _folder: Path
    abilities: frozenset[str] = frozenset({"generate", "choose"})

    def check(self, known: Sequence[str], wanted: Sequence[str]) -> None:
        """Accept any samples."""

    def prepare(self, request: Request) -> Prompt:
        """Tokenise a prompt, and the endings that are to be weighed after it."""
        text = _text(request)
        key: tuple[object, ...] = request.parts[:-1] or (request.id,)
        if isinstance(request, Generate):
            tokens = self._prompt_tokens(text)
            if not tokens:
                raise SampleError(f"request {request.id} is an empty prompt")
            return Prompt(request, key, tokens, -(-request.max_new_tokens // self._reserve_share))
        if isinstance(request, Choose):
            context, endings = self._endings(text, request.choices)
            if not context or not all(endings):
                raise SampleError(f"request {request.id}: an ending adds no token to its prompt")
            return Weighing(request, key, context, sum(len(ending) - 1 for ending in endings), endings)
        raise SampleError(f"request {request.id} asks to embed; this family generates and chooses")

    def stage(self, prompts: Sequence[Prompt], batch: Batch) -> list[None]:
        """Nothing needs to be ready but the tokens."""
        return [None] * len(batch.groups)

    def run(self, prompts: Sequence[Prompt], batch: Batch, staged: Any) -> list[Prediction]:
        """Answer every member; a batch that the memory does not hold is halved."""
        weigh = isinstance(prompts[batch.members[0]], Weighing)
        act = self._choose if weigh else self._generate
        answers = pytorch.split_when_full(prompts, batch, staged, lambda part, _: act(prompts, part))
        return self._decoder.counted.settle(answers)

    def peak_memory_bytes(self) -> int | None:
        """The most bytes that the device held; None where only the process knows."""
        return pytorch.peak_memory_bytes(self._where)

    def resource_requirements(self) -> ResourceRequirements:
        """What its weights need of the device."""
        return weights_needed.resource_requirements(self._model, self._folder, self._where)

    def _generate(self, prompts: Sequence[Prompt], batch: Batch) -> list[Prediction]:
        prefixes, owners = prefixes_of(prompts, batch)
        rows = []
        for member, owner in zip(batch.members, owners, strict=True):
            request = prompts[member].request
            assert isinstance(request, Generate)
            rest = prompts[member].tokens[len(prefixes[owner]) :]
            rows.append(
                Row(owner, rest, request.max_new_tokens, request.stop, drawing(request), request.min_new_tokens)
            )
        return [
            self._generated(prompts[member], row, continuation)
            for member, row, continuation in zip(
                batch.members, rows, self._decoder.generate(prefixes, rows, {}), strict=True
            )
        ]

    def _generated(self, prompt: Prompt, row: Row, continuation: Continuation) -> Prediction:
        if continuation.failure is not None:
            return Prediction(prompt.request.id, failure=continuation.failure)
        return Prediction(
            prompt.request.id,
            output=until(self._tokenizer.decode(continuation.tokens, skip_special_tokens=True), row.stop),
            truncated=continuation.truncated,
            prompt_tokens=len(prompt.tokens),
            new_tokens=len(continuation.tokens),
        )

    def _choose(self, prompts: Sequence[Prompt], batch: Batch) -> list[Prediction]:
        return weighed(prompts, batch, self._decoder.loglikelihoods)

    def _prompt_tokens(self, text: str) -> tuple[int, ...]:
        """Tokens of a prompt to continue. A template writes its own special tokens; without one the tokenizer does."""
        if self._tokenizer.chat_template is None:
            return self._tokens(text)
        message = [{"role": "user", "content": text}]
        rendered = self._tokenizer.apply_chat_template(message, add_generation_prompt=True, tokenize=False)
        return tuple(self._tokenizer(rendered, add_special_tokens=False)["input_ids"])

    def _endings(self, text: str, choices: Sequence[str]) -> tuple[tuple[int, ...], tuple[tuple[int, ...], ...]]:
        """Tokens of a context and of the endings that may follow it; what an encoder reads stays whole."""
        if self._model.config.is_encoder_decoder:
            context = self._tokens(text)
            cut = [self._tokenizer(choice, add_special_tokens=False)["input_ids"] for choice in choices]
            return context, tuple(map(tuple, cut))
        return divided(self._tokens, text, choices)

    def _tokens(self, text: str) -> tuple[int, ...]:
        ids = list(self._tokenizer(text)["input_ids"])
        if ids and ids[-1] == self._tokenizer.eos_token_id and not self._model.config.is_encoder_decoder:
            ids.pop()  # some tokenizers close every text, and a prompt is to be continued
        return tuple(ids)


def _text(request: Request) -> str:
    """The prompt as one text. Raises `SampleError` when it has a picture or a recording."""
    other = {MODALITIES[type(part)] for part in request.parts if not isinstance(part, str)}
    if other:
        raise SampleError(f"request {request.id} has {' and '.join(sorted(other))}; a language model reads text only")
    return "".join(_only_text(request.parts))


def _only_text(parts: Sequence[Part]) -> list[str]:
    return [part for part in parts if isinstance(part, str)]


def load(name: str, checkpoint: str, placement: Placement) -> Causal:
    """Load a checkpoint folder. Raises `InputError` for one without weights or tokenizer."""
    from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM

    folder = Path(checkpoint)
    where = pytorch.place(placement)
    tokenizer = tokenisation.load_tokenizer(folder)
    config = read_json(folder / "config.json", dict[str, Json])
    kind = AutoModelForSeq2SeqLM if config.get("is_encoder_decoder") else AutoModelForCausalLM
    model = pytorch.load_weights(kind, folder, where)
    decoder = (Decoder if shares(model) else LibraryDecoder)(
        model,
        ends=end_tokens(model, tokenizer),
        text=lambda tokens: tokenizer.decode(tokens, skip_special_tokens=True),
    )
    facts = {
        "family": "causal",
        **pytorch.facts(model, folder, where),
        "chat_template": tokenizer.chat_template is not None,
        "shares_prefixes": isinstance(decoder, Decoder),
    }
    refills = isinstance(decoder, Decoder) and where.device.type == "cpu"
    per_core = _REFILLED_PER_CORE if refills else pytorch.CPU_BUDGET_PER_CORE
    budget = pytorch.token_budget(model, where, per_core)
    share = _EXPECTED_SHARE if refills else 1
    return Causal(name, facts, budget, model, tokenizer, where, decoder, share, folder)


def accepts(config: Mapping[str, Json]) -> bool:
    """Whether the library has a causal or sequence-to-sequence class for this configuration, and none with pictures."""
    from transformers.models.auto.modeling_auto import (
        MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
        MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES,
        MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES,
    )

    known = {**MODEL_FOR_CAUSAL_LM_MAPPING_NAMES, **MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES}
    architectures = config.get("architectures") or [known.get(config.get("model_type"))]
    with_pictures = set(MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES.values())
    return architectures[0] in set(known.values()) - with_pictures


FAMILIES.add(
    Family(
        name="causal",
        summary="text to text: Llama, Qwen2, DeepSeek-V2 and -V3, …, and encoder-decoders",
        abilities=frozenset({"generate", "choose"}),
        load=load,
        accepts=accepts,
        modalities=frozenset({"text"}),
    )
)
