"""Text encoders: a text to one vector, as sentence-transformers folders define it, or by the mean over its tokens.

A folder of sentence-transformers says what becomes of the tokens' vectors: `modules.json` lists the steps, the folder
of the pooling step which way is taken, and `sentence_bert_config.json` how many tokens are read. Of any other encoder
(BERT as it was trained to fill gaps) the vector is the mean of the last layer over all tokens, special ones included,
not normalised. Vectors are pooled in float32.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evals.data.files import read_json
from evals.errors import InputError, SampleError
from evals.models.backend import pytorch, tokenisation
from evals.models.backend.pytorch import Place
from evals.models.backend.tokenisation import Texts
from evals.models.decoding.sampling import NOT_FINITE
from evals.records.embeddings import pack
from evals.registry import FAMILIES
from evals.schema import Batch, Embed, Family, Json, Placement, Prediction, Prompt, Request

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

# Letters in the names of tensors: B texts, L tokens, D numbers of a vector.


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
"""What sentence-transformers calls the ways to make one vector of many; where it takes several, in this order."""


@dataclass(frozen=True)
class Recipe:
    """What becomes of a text, from its first letter to its vector."""

    source: str = "mean over tokens"
    """Where that is said."""
    poolings: tuple[str, ...] = ("pooling_mode_mean_tokens",)
    """Keys of `POOLINGS`; their vectors are put one after the other."""
    normalise: bool = False
    """Bring vectors to length 1."""
    limit: int | None = None
    """Read so many tokens at most."""
    lower: bool = False
    """Make capital letters small."""
    prompt: str = ""
    """What stands before every text."""


def recipe(folder: Path) -> Recipe:
    """Read what a sentence-transformers folder says of its vectors; of any other folder the default.

    Raises:
        InputError: it has a step or a pooling that is not offered, or a file is malformed.
    """
    if not (folder / "modules.json").is_file():
        return Recipe()
    listed = read_json(folder / "modules.json", list[dict[str, Json]])
    steps = [(str(step.get("type", "")).rpartition(".")[2], str(step.get("path", ""))) for step in listed]
    known = ["Transformer", "Pooling", "Normalize"]
    unknown = [kind for kind, _ in steps if kind not in known]
    if unknown or [kind for kind, _ in steps][:2] != known[:2] or steps[0][1]:
        found = ", ".join(kind for kind, _ in steps)
        raise InputError(f"{folder / 'modules.json'} lists {found}; this family does {', '.join(known)}, in this order")
    pooling = read_json(folder / steps[1][1] / "config.json", dict[str, Json])
    wanted = [key for key, value in pooling.items() if key.startswith("pooling_mode_") and value is True]
    if not wanted or not POOLINGS.keys() >= set(wanted):
        raise InputError(f"{folder}: pooling {', '.join(wanted) or 'by nothing'}; allowed: {', '.join(POOLINGS)}")
    reading = _if_there(folder / "sentence_bert_config.json")
    prompts = _if_there(folder / "config_sentence_transformers.json")
    prompt = (prompts.get("prompts") or {}).get(prompts.get("default_prompt_name"), "")
    if prompt and pooling.get("include_prompt") is False:
        raise InputError(f"{folder}: its vectors leave out the prompt {prompt!r}, which this family cannot do")
    return Recipe(
        "modules.json",
        tuple(key for key in POOLINGS if key in wanted),
        len(steps) > 2,
        reading.get("max_seq_length"),
        bool(reading.get("do_lower_case")),
        prompt,
    )


def _if_there(path: Path) -> dict[str, Json]:
    return read_json(path, dict[str, Json]) if path.is_file() else {}


@dataclass(frozen=True)
class Encoder:
    """A loaded checkpoint with its tokenizer and its recipe."""

    name: str
    facts: Mapping[str, Json]
    token_budget: int
    _model: PreTrainedModel
    _texts: Texts
    _recipe: Recipe
    _where: Place
    abilities: frozenset[str] = frozenset({"embed"})

    def check(self, known: Sequence[str], wanted: Sequence[str]) -> None:
        """Accept any samples."""

    def prepare(self, request: Request) -> Prompt:
        """Tokenise a text."""
        if not isinstance(request, Embed):
            raise SampleError(f"request {request.id} does not ask for an embedding; this family embeds")
        if len(request.parts) != 1 or not isinstance(request.parts[0], str):
            raise SampleError(f"request {request.id} is not a single text; a text encoder reads nothing else")
        text = self._recipe.prompt + request.parts[0]
        return self._texts.prompt(request, (text.lower() if self._recipe.lower else text,))

    def stage(self, prompts: Sequence[Prompt], batch: Batch) -> list[None]:
        """Nothing needs to be ready but the tokens."""
        return [None] * len(batch.groups)

    def run(self, prompts: Sequence[Prompt], batch: Batch, staged: Any) -> list[Prediction]:
        """Embed every member; a batch that the memory does not hold is halved."""
        return pytorch.split_when_full(prompts, batch, staged, lambda part, _: self._embed(prompts, part))

    def peak_memory_bytes(self) -> int | None:
        """The most bytes that the device held; None where only the process knows."""
        return pytorch.peak_memory_bytes(self._where)

    def _embed(self, prompts: Sequence[Prompt], batch: Batch) -> list[Prediction]:
        import torch

        inputs = tokenisation.padded(prompts, batch, self._texts.tokenizer.pad_token_id or 0, self._where.device)
        with torch.inference_mode():
            hidden_BLD = self._model(**inputs).last_hidden_state.float()
            mask_BL1 = inputs["attention_mask"].unsqueeze(-1).float()
            vectors_BD = torch.cat([POOLINGS[key](hidden_BLD, mask_BL1) for key in self._recipe.poolings], dim=1)
            if self._recipe.normalise:
                vectors_BD = torch.nn.functional.normalize(vectors_BD, dim=1)
        return [self._prediction(prompts[m], v) for m, v in zip(batch.members, vectors_BD.cpu().numpy(), strict=True)]

    def _prediction(self, prompt: Prompt, vector: Any) -> Prediction:
        import numpy as np

        assert isinstance(prompt, tokenisation.Text)
        if not np.isfinite(vector).all():
            return Prediction(prompt.request.id, failure=NOT_FINITE)
        return Prediction(prompt.request.id, pack(vector), truncated=prompt.cut, prompt_tokens=len(prompt.tokens))


def load(name: str, checkpoint: str, placement: Placement) -> Encoder:
    """Load a checkpoint folder. Raises `InputError` for one without weights or tokenizer, or with unknown steps."""
    from transformers import AutoModel, AutoModelForTextEncoding
    from transformers.models.auto.modeling_auto import MODEL_FOR_TEXT_ENCODING_MAPPING_NAMES

    folder = Path(checkpoint)
    where = pytorch.place(placement)
    steps = recipe(folder)
    tokenizer = tokenisation.load_tokenizer(folder)
    kind = read_json(folder / "config.json", dict[str, Json]).get("model_type")
    encoding = AutoModelForTextEncoding if kind in MODEL_FOR_TEXT_ENCODING_MAPPING_NAMES else AutoModel
    model = pytorch.load_weights(encoding, folder, where, unused=("pooler.",))
    model.config.use_cache = False  # nothing is continued
    limits = [limit for limit in (steps.limit, tokenisation.longest(model, tokenizer)) if limit is not None]
    facts = {
        "family": "encoder",
        **pytorch.facts(model, folder, where),
        "pooling": [key.removeprefix("pooling_mode_") for key in steps.poolings],
        "pooling_from": steps.source,
        "normalised": steps.normalise,
        "longest_text": min(limits, default=None),
    }
    words = Texts(tokenizer, min(limits, default=None))
    return Encoder(name, facts, pytorch.token_budget(model, where), model, words, steps, where)


def accepts(config: Mapping[str, Json]) -> bool:
    """Whether the library has it as a model of text alone, without a head or with one that fills gaps."""
    from transformers.models.auto import modeling_auto
    from transformers.models.auto.image_processing_auto import IMAGE_PROCESSOR_MAPPING_NAMES
    from transformers.models.auto.tokenization_auto import TOKENIZER_MAPPING_NAMES

    kind, bases = str(config.get("model_type")), ("", "_FOR_TEXT_ENCODING", "_FOR_MASKED_LM")
    reading = [*bases[1:], "_FOR_CAUSAL_LM"]  # some models of text share the tokenizers of others and are in no table

    def listed(part: str) -> Mapping[str, Any]:
        names: Mapping[str, Any] = getattr(modeling_auto, f"MODEL{part}_MAPPING_NAMES")
        return names

    of_text = kind in TOKENIZER_MAPPING_NAMES or any(kind in listed(part) for part in reading)
    known = {listed(part).get(kind) for part in bases} - {None}
    architecture = (config.get("architectures") or [None])[0]
    return of_text and kind not in IMAGE_PROCESSOR_MAPPING_NAMES and architecture in known


FAMILIES.add(
    Family(
        name="encoder",
        summary="a text to a vector: BERT and its kin, sentence-transformers folders",
        abilities=frozenset({"embed"}),
        load=load,
        accepts=accepts,
        modalities=frozenset({"text"}),
    )
)
