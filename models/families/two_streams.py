"""Two streams: BLIP, in the classes that answer questions about pictures and that embed pictures and texts.

A vision tower reads a picture. A text encoder reads a text, its layers attending to the picture where there is one, and
a text decoder puts out the answer to what the encoder made of both (`BlipForQuestionAnswering`). Projections of both
streams, each read alone, lie in one space (`BlipForImageTextRetrieval`). A checkpoint may hold the weights of one of
the classes, as the public ones do, or of both; what it can do is told by its weights.

Beside a picture only the last text is read: BLIP answers bare questions, and was never given an instruction. Without a
picture the whole text is read by the text stream alone, and endings of it are weighed by the decoder. A picture's
questions are asked together, so that it is seen once. A text that is longer than the model reads is cut at its end, and
the prediction says so.

Letters in the names of tensors: G pictures, R rows, P positions of a picture, S tokens of a text, D width.
"""

from __future__ import annotations

import threading
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evals.errors import InputError, SampleError
from evals.models.architectures import blip_decoder
from evals.models.architectures.blip_decoder import Read
from evals.models.backend import pytorch, weights_needed
from evals.models.backend.pytorch import Place
from evals.models.backend.tokenisation import longest
from evals.models.decoding import last_state
from evals.models.decoding.loglikelihood import Weighing, chosen
from evals.models.decoding.sampling import Continuation, until
from evals.registry import FAMILIES
from evals.schema import (
    Audio,
    Batch,
    Choose,
    Embed,
    Family,
    Generate,
    Image,
    Json,
    Placement,
    Prediction,
    Prompt,
    Request,
    ResourceRequirements,
)

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, ProcessorMixin

ANSWERING, MATCHING = "BlipForQuestionAnswering", "BlipForImageTextRetrieval"
TOLD_BY = {ANSWERING: "text_decoder.", MATCHING: "text_proj."}
"""What begins the names of weights that only one of the classes has."""
NEEDED = {Generate: ANSWERING, Choose: ANSWERING, Embed: MATCHING}
"""The class that does what a request asks for."""


@dataclass(frozen=True)
class TwoStreams:
    """A loaded checkpoint with its processor."""

    name: str
    facts: Mapping[str, Json]
    token_budget: int
    abilities: frozenset[str]
    _classes: Mapping[str, PreTrainedModel]
    """By class name; both have the same streams."""
    _processor: ProcessorMixin
    _where: Place
    _limit: int
    _patches: int
    _folder: Path
    _lock: threading.Lock
    """A tokenizer's truncation is a setting of its own, changed by whoever calls it: one at a time."""

    def check(self, known: Sequence[str], wanted: Sequence[str]) -> None:
        """Accept any samples."""

    def prepare(self, request: Request) -> Prompt:
        """Tokenise what is read; a picture counts as many tokens as the tower has positions, all of one number.

        Raises:
            InputError: the checkpoint lacks the weights for what is asked.
            SampleError: the parts are not what the family reads.
        """
        if NEEDED.get(type(request)) not in self._classes:
            can = ", ".join(sorted(self.abilities))
            wanted = type(request).__name__.lower()
            raise InputError(f"{self.facts['checkpoint']} has no weights to {wanted}; it can: {can}")
        pictures, text = _read(request)
        tokens: tuple[int, ...] = ()
        if pictures:
            tokens += (-1 - zlib.crc32(pictures[0].key.encode()),) * self._patches
        if text:
            with self._lock:
                tokens += tuple(self._processor.tokenizer(text, truncation=False, verbose=False)["input_ids"])
        key = (pictures[0].key, pictures[0].blind) if pictures and text else request.id
        if isinstance(request, Choose):
            cut = self._processor.tokenizer(list(request.choices), add_special_tokens=False)["input_ids"]
            if not all(cut):
                raise SampleError(f"request {request.id}: an ending has no token")
            return Weighing(request, key, tokens, max(map(len, cut)), tuple(map(tuple, cut)))
        return Prompt(request, key, tokens, request.max_new_tokens if isinstance(request, Generate) else 0)

    def stage(self, prompts: Sequence[Prompt], batch: Batch) -> list[Any]:
        """Decode each group's picture and make its tensor; a text needs nothing."""
        return [self._pixels(prompts[group.members[0]].request) for group in batch.groups]

    def run(self, prompts: Sequence[Prompt], batch: Batch, staged: Any) -> list[Prediction]:
        """Answer or embed every member; those whose picture cannot be read fail, and the others go on."""
        good = [(g, s) for g, s in zip(batch.groups, staged, strict=True) if not isinstance(s, SampleError)]
        found: dict[int, Prediction] = {}
        for with_picture in (True, False):
            some = [(group, pixels) for group, pixels in good if (pixels is not None) == with_picture]
            if some:
                part = Batch(tuple(group for group, _ in some))
                answers = pytorch.split_when_full(
                    prompts, part, [pixels for _, pixels in some], lambda b, s: self._answer(prompts, b, s)
                )
                found |= zip(part.members, answers, strict=True)
        for group, error in zip(batch.groups, staged, strict=True):
            if isinstance(error, SampleError):
                found |= {m: Prediction(prompts[m].request.id, failure=str(error)) for m in group.members}
        return [found[member] for member in batch.members]

    def peak_memory_bytes(self) -> int | None:
        """The most bytes that the device held; None where only the process knows."""
        return pytorch.peak_memory_bytes(self._where)

    def resource_requirements(self) -> ResourceRequirements:
        """What its streams' weights need of the device; pictures come on top."""
        answering = self._classes[ANSWERING]
        return weights_needed.of_streams(
            answering.vision_model.encoder, answering.text_encoder, answering.text_decoder, self._folder, self._where
        )

    def _pixels(self, request: Request) -> torch.Tensor | SampleError | None:
        picture = next((part for part in request.parts if isinstance(part, Image)), None)
        return None if picture is None else pytorch.pixels(self._processor, picture)

    def _answer(self, prompts: Sequence[Prompt], batch: Batch, staged: Sequence[Any]) -> list[Prediction]:
        """Answer a batch in which all have a picture, or none."""
        import torch

        members = [prompts[member] for member in batch.members]
        with torch.inference_mode():
            states_GPD = self._see(staged) if staged[0] is not None else None
            if isinstance(members[0].request, Embed):
                return self._embed(members, states_GPD)
            owners = [owner for owner, group in enumerate(batch.groups) for _ in group.members]
            read = self._encode(members, None if states_GPD is None else states_GPD[owners])
            return (self._choose if isinstance(members[0], Weighing) else self._generate)(members, read)

    def _see(self, staged: Sequence[torch.Tensor]) -> torch.Tensor:
        """Read pictures, (G, P, D)."""
        import torch

        shown = torch.cat(list(staged)).to(self._where.device, self._where.dtype)
        states: torch.Tensor = self._any.vision_model(pixel_values=shown).last_hidden_state
        return states

    def _encode(self, members: Sequence[Prompt], pictures_RPD: torch.Tensor | None) -> Read:
        """Read texts, each beside its picture where there are any."""
        with self._lock:
            encoded = self._processor.tokenizer(
                [_read(prompt.request)[1] for prompt in members], padding=True, truncation=True,
                max_length=self._limit, padding_side="right", return_tensors="pt",
            ).to(self._where.device)  # fmt: skip
        mask_RS = encoded["attention_mask"]
        states: torch.Tensor = self._any.text_encoder(
            input_ids=encoded["input_ids"], attention_mask=mask_RS, encoder_hidden_states=pictures_RPD
        ).last_hidden_state
        return Read(states, mask_RS)

    def _embed(self, members: Sequence[Prompt], states_GPD: torch.Tensor | None) -> list[Prediction]:
        matching = self._classes[MATCHING]
        if states_GPD is not None:
            rows = matching.vision_proj(states_GPD[:, 0])
        else:
            rows = matching.text_proj(self._encode(members, None).states_RSD[:, 0])
        return [self._told(last_state.prediction(p, row), p) for p, row in zip(members, rows, strict=True)]

    def _generate(self, members: Sequence[Prompt], read: Read) -> list[Prediction]:
        asked = [prompt.request for prompt in members if isinstance(prompt.request, Generate)]
        if any(request.temperature for request in asked):
            raise InputError("this architecture is decoded by the library's loop, greedily: give no --temperature")
        continuations = blip_decoder.answer(self._classes[ANSWERING], read, asked, self._text)
        return [
            self._answered(prompt, request, said)
            for prompt, request, said in zip(members, asked, continuations, strict=True)
        ]

    def _answered(self, prompt: Prompt, request: Generate, said: Continuation) -> Prediction:
        if said.failure is not None:
            return Prediction(request.id, failure=said.failure)
        prediction = Prediction(
            request.id,
            output=until(self._text(said.tokens), request.stop).strip(),
            truncated=said.truncated,
            prompt_tokens=len(prompt.tokens),
            new_tokens=len(said.tokens),
        )
        return self._told(prediction, prompt)

    def _text(self, tokens: Sequence[int]) -> str:
        text: str = self._processor.tokenizer.decode(tokens, skip_special_tokens=True)
        return text

    def _choose(self, members: Sequence[Prompt], read: Read) -> list[Prediction]:
        weighed = [prompt for prompt in members if isinstance(prompt, Weighing)]
        scores = blip_decoder.weigh(self._classes[ANSWERING], read, [prompt.endings for prompt in weighed])
        return [self._told(chosen(prompt, each), prompt) for prompt, each in zip(weighed, scores, strict=True)]

    def _told(self, prediction: Prediction, prompt: Prompt) -> Prediction:
        """Say of an answer to a text that was cut that it was."""
        text_tokens = sum(token >= 0 for token in prompt.tokens)
        if prediction.failure is not None or text_tokens <= self._limit:
            return prediction
        read = len(prompt.tokens) - text_tokens + self._limit
        return replace(prediction, truncated=True, prompt_tokens=read)

    @property
    def _any(self) -> PreTrainedModel:
        """One of the classes; all have the streams."""
        return next(iter(self._classes.values()))


def _read(request: Request) -> tuple[list[Image], str]:
    """What is read of a request: its picture, if any, and its text, if any.

    Raises:
        SampleError: two pictures, a recording, nothing at all, or to embed both a picture and a text.
    """
    pictures = [part for part in request.parts if isinstance(part, Image)]
    texts = [part for part in request.parts if isinstance(part, str)]
    if any(isinstance(part, Audio) for part in request.parts):
        raise SampleError(f"request {request.id} has a recording; this family reads text and pictures")
    if len(pictures) > 1:
        raise SampleError(f"request {request.id} has {len(pictures)} pictures; this family reads one")
    if isinstance(request, Embed) and len(request.parts) != 1:
        raise SampleError(f"request {request.id} is no single picture or text to embed")
    text = texts[-1] if pictures and texts else "".join(texts)
    if not text and not (pictures and isinstance(request, Embed)):
        raise SampleError(f"request {request.id} has no text")
    return pictures, text


def load(name: str, checkpoint: str, placement: Placement) -> TwoStreams:
    """Load a checkpoint folder: of its two classes those whose weights it holds.

    Raises:
        InputError: it lacks weights of a class that it has some of, or of both, or tokenizer or image processor.
    """
    import transformers

    folder = Path(checkpoint)
    where = pytorch.place(placement)
    processor = pytorch.load_processor(folder)
    names = _weight_names(folder)
    held = [kind for kind, begins in TOLD_BY.items() if any(name.startswith(begins) for name in names)]
    if not held:
        wanted = " and no ".join(f"{begins}* of {kind}" for kind, begins in TOLD_BY.items())
        raise InputError(f"{folder} holds no {wanted}")
    classes = {kind: pytorch.load_weights(getattr(transformers, kind), folder, where) for kind in held}
    for model in classes.values():
        blip_decoder.heed_masks(model)
    first, *others = classes.values()
    for other in others:
        other.vision_model, other.text_encoder = first.vision_model, first.text_encoder
    parameters = {id(one): one.numel() for model in classes.values() for one in model.parameters()}
    limit = longest(first, processor.tokenizer)
    assert limit is not None, "the text stream has so many positions"
    facts = {
        "family": "two_streams",
        **pytorch.facts(first, folder, where),
        "architecture": " and ".join(held),
        "parameters": sum(parameters.values()),
        "text_limit": limit,
        "image_processor": type(processor.image_processor).__name__,
    }
    abilities = frozenset(asked.__name__.lower() for asked, kind in NEEDED.items() if kind in held)
    budget, positions = pytorch.token_budget(first, where), first.vision_model.embeddings.num_positions
    return TwoStreams(
        name, facts, budget, abilities, classes, processor, where, limit, positions, folder, threading.Lock()
    )  # fmt: skip


def _weight_names(folder: Path) -> set[str]:
    """List the names of the weights that lie in a folder. Raises `InputError` for a file that cannot be read."""
    from safetensors import safe_open

    names: set[str] = set()
    for path in sorted(folder.glob("*.safetensors")):
        try:
            with safe_open(path, "pt") as file:
                names |= set(file.keys())
        except Exception as error:  # whatever the library makes of a damaged file
            raise InputError(f"{path} cannot be read: {pytorch.first_line(error)}") from error
    return names


def accepts(config: Mapping[str, Json]) -> bool:
    """Whether it is a configuration of one of the two classes."""
    return bool(set(config.get("architectures") or ()) & set(TOLD_BY))


FAMILIES.add(
    Family(
        name="two_streams",
        summary="a picture and a question to text, pictures and texts to vectors, texts to labels: BLIP",
        abilities=frozenset({"generate", "choose", "embed"}),
        load=load,
        accepts=accepts,
        modalities=frozenset({"text", "image"}),
    )
)
