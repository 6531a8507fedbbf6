"""Attention maps of vision-language models: which regions of an image a model attends to, as a heat map.

    mapper = VisualAttentionMapper.load("vl")
    attention = mapper.generate_attention("street.jpg", "What color is the car?")
    attention.answer, attention.regions_RC.shape, attention.image_share
    attention.draw().save("street-attention.png")

The map is computed from the decoder's attention weights after the softmax: from the position that produces one token of
the answer (by default the first token, so the last position of the prompt) to the positions of the image tokens. The
weights are averaged over the requested layers and heads, by default all of them, with equal weights. The share of the
average that falls on the image is `image_share`; divided by it, the average becomes the map, which sums to 1. An image
token represents one cell of a square grid over the image, padded to a square as the model sees it.

Attention shows which positions a position reads from, not why an answer was given; a model may also attend to cells
without meaning. `tests/benchmarks/vqa_attention.py` measures, on images with known objects, whether a model's map is
on the objects that the question is about.

Letters in the names of arrays: R rows and C columns of cells, P cells, L layers, H heads, S positions, X and Y pixels.
"""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from evals.data.images import decode
from evals.errors import InputError, SampleError, UnknownName
from evals.models.families import vision_language
from evals.models.families.vision_language import VisionLanguage
from evals.paths import PACKAGE
from evals.registry import VARIANTS
from evals.schema import Batch, Generate, Group, Image, Placement, Prompt

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray
    from PIL.Image import Image as PilImage

INSTRUCTION = "Answer the question using a single word or phrase.\n"
"""Text before the question, as in `evals.tasks.vqa`, so that the model answers as it does in that task."""
MAX_NEW_TOKENS = 16
SQUARE = frozenset({"deepseek_vl", "deepseek_vl_hybrid"})
"""Model types that centre an image in a square and divide it into a square grid of tokens."""

_RAMP = ((0.0, (20, 20, 80)), (0.35, (130, 30, 140)), (0.65, (240, 90, 50)), (1.0, (255, 240, 90)))
"""Colours of the heat map, from no attention to the maximum."""
_MIN_SIDE = 480
"""Minimum length of a heat map's longer side in pixels, so that its caption is readable."""


@dataclass(frozen=True)
class AttentionMap:
    """The attention of one output token over the regions of an image."""

    image: Image
    question: str
    answer: str
    """The complete answer, decoded greedily."""
    token: str
    """The output token that the map describes."""
    regions_RC: NDArray[np.float32]
    """(R, C) float32 in 0 to 1, summing to 1: the share of the attention on the image that falls on each cell."""
    image_share: float
    """Share of the token's attention that falls on the image, in 0 to 1; the rest falls on text."""
    layers: tuple[int, ...]
    """The averaged layers of the decoder, counted from 0."""
    heads: tuple[int, ...]
    """The averaged heads of each layer, counted from 0."""

    def mass(self, shares_P: Sequence[float] | NDArray[np.float32]) -> float:
        """Compute the share of the map that falls on a region.

        Args:
            shares_P: the share of each cell that the region covers, row by row, in 0 to 1.

        Returns:
            A share in 0 to 1. For a uniform map it is the region's share of the area.
        """
        import numpy as np

        return float(self.regions_RC.reshape(-1) @ np.asarray(shares_P, np.float32))

    def draw(self) -> PilImage:
        """Draw the map over the image, with a caption; returns an RGB image."""
        import numpy as np
        from PIL import Image as pillow

        decoded = decode(self.image)
        scale = max(1.0, _MIN_SIDE / max(decoded.size))
        width, height = (round(side * scale) for side in decoded.size)
        side = max(width, height)
        heat = pillow.fromarray(self.regions_RC / self.regions_RC.max()).resize((side, side), pillow.Resampling.BICUBIC)
        left, top = (side - width) // 2, (side - height) // 2
        heat_YX = np.asarray(heat.crop((left, top, left + width, top + height))).clip(0, 1)
        background = np.asarray(decoded.resize((width, height), pillow.Resampling.LANCZOS), np.float32)
        # Regions without attention stay visible in muted colours; regions with much attention are covered most.
        muted = background.mean(axis=2, keepdims=True) * 0.5 + background * 0.5
        cover = (0.15 + 0.6 * heat_YX)[:, :, None]
        painted = pillow.fromarray((muted * (1 - cover) + _coloured(heat_YX) * cover).astype(np.uint8))
        return _captioned(painted, self._caption())

    def _caption(self) -> list[str]:
        layers, heads = ("s" if len(numbers) > 1 else "" for numbers in (self.layers, self.heads))
        averaged = f"mean of {len(self.layers)} layer{layers} x {len(self.heads)} head{heads}"
        return [
            f"{self.question}  {self.answer or '(nothing)'}",
            f"attention of {self.token.strip()!r}, {averaged}; {100 * self.image_share:.0f} % of it on the image",
        ]


@dataclass(frozen=True)
class VisualAttentionMapper:
    """Answers questions about images and returns the model's attention maps."""

    model: VisionLanguage
    """The model, with the library's unfused attention, because fused kernels do not return attention weights."""

    @classmethod
    def load(cls, name: str, *, device: str | None = None) -> VisualAttentionMapper:
        """Load a model by name.

        Args:
            name: a registered model with a bundled checkpoint, or a checkpoint folder.
            device: as in `Placement`.

        Raises:
            InputError: the name is neither of these, or the checkpoint is of another kind.

        Example:
            >>> VisualAttentionMapper.load("vl").generate_attention("scene.png", "Is it red?")  # doctest: +SKIP
        """
        folder = Path(name).expanduser()
        if name in VARIANTS or not folder.is_dir():
            bundled = VARIANTS.get(name).checkpoints.get("mini")
            if bundled is None:
                raise InputError(f"model {name!r} has no bundled checkpoint: name the folder of one")
            folder = PACKAGE / bundled
        return cls.of(vision_language.load(name, str(folder), Placement(device=device, engine="transformers")))

    @classmethod
    def of(cls, model: object) -> VisualAttentionMapper:
        """Wrap a loaded model. Raises `InputError` for a model whose image tokens are not known to form a grid."""
        kind = model.kind if isinstance(model, VisionLanguage) else type(model).__name__
        if not isinstance(model, VisionLanguage) or kind not in SQUARE or not model.shares_prefixes:
            allowed = ", ".join(sorted(SQUARE))
            raise InputError(f"no attention map can be computed for {kind}; supported: {allowed}")
        model.model.set_attn_implementation("eager")
        return cls(model)

    def generate_attention(
        self,
        image: Image | PilImage | Path | str,
        question: str,
        *,
        layers: Sequence[int] | None = None,
        heads: Sequence[int] | None = None,
        token: int = 0,
        instruction: str = INSTRUCTION,
    ) -> AttentionMap:
        """Answer a question and return the attention map of one token of the answer.

        Args:
            image: a file, a decoded image, or an `Image`.
            question: the question.
            layers: the decoder's layers to average, counted from 0; None for all.
            heads: the heads of each layer to average, counted from 0; None for all.
            token: the index of the answer's token that the map describes; the end token is included.
            instruction: text before the question.

        Raises:
            InputError: a layer, head or token does not exist, or the image cannot be read.
        """
        import torch

        image = _as_image(image)
        try:
            prompt = self.model.prepare(Generate("attend", (image, instruction, question), MAX_NEW_TOKENS))
            inputs = self.model.processor.inputs("", [image])
        except SampleError as error:
            raise InputError(str(error)) from error
        answer_tokens = self._answer(prompt, inputs)
        ids = [self._placeholder if id < 0 else id for id in prompt.tokens] + answer_tokens
        token_index = _checked("token of the answer", [token], len(answer_tokens) + 1)[0]
        with torch.inference_mode():
            output = self.model.model(
                input_ids=torch.tensor([ids], device=self.model.placement.device),
                **{name: self._placed(value) for name, value in inputs.items()},
                output_attentions=True, use_cache=False,
            )  # fmt: skip
        position = len(prompt.tokens) - 1 + token_index
        weights_LHS = torch.stack([weights[0, :, position].float().cpu() for weights in output.attentions])
        layers = _checked("layer", layers, weights_LHS.shape[0])
        heads = _checked("head", heads, weights_LHS.shape[1])
        mean_S = weights_LHS[layers][:, heads].mean(dim=(0, 1))
        cells_P = mean_S[[index for index, id in enumerate(ids) if id == self._placeholder]]
        share = float(cells_P.sum())
        return AttentionMap(
            image=image,
            question=question,
            answer=self.model.processor.text(answer_tokens).strip(),
            token=self.model.processor.text([int(output.logits[0, position].argmax())], special=True),
            regions_RC=_square(cells_P / share),
            image_share=share,
            layers=tuple(layers),
            heads=tuple(heads),
        )

    def _answer(self, prompt: Prompt, inputs: Mapping[str, torch.Tensor]) -> list[int]:
        """Return the tokens of the greedy answer, without the end token."""
        # The image must be in the prefix, because the decoder reads images with the prefixes only.
        batch = Batch((Group(len(prompt.tokens) - 1, (0,)),))
        (completion,) = self.model.generate([prompt], batch, [inputs])
        if completion.failure is not None:
            raise InputError(completion.failure)
        return completion.tokens

    def _placed(self, value: torch.Tensor) -> torch.Tensor:
        device, dtype = self.model.placement.device, self.model.placement.dtype
        return value.to(device, dtype) if value.is_floating_point() else value.to(device)

    @property
    def _placeholder(self) -> int:
        return int(self.model.processor.library.image_token_id)


def _as_image(image: Image | PilImage | Path | str) -> Image:
    """Return a reference to an image that was given in any form."""
    if isinstance(image, Image):
        return image
    if isinstance(image, Path | str):
        return Image(str(image), path=Path(image).expanduser())
    file = io.BytesIO()
    image.save(file, "PNG")
    return Image("image", data=file.getvalue())


def _checked(kind: str, indices: Sequence[int] | None, count: int) -> list[int]:
    """Check that indices exist; None selects all."""
    if indices is None:
        return list(range(count))
    for index in indices:
        if not 0 <= index < count:
            raise UnknownName(kind, str(index), map(str, range(count)))
    if not indices:
        raise InputError(f"no {kind} is chosen: there is nothing to average")
    return list(indices)


def _square(cells_P: torch.Tensor) -> NDArray[np.float32]:
    """Arrange cells in a square grid. Raises `InputError` if their number is not a square."""
    side = math.isqrt(len(cells_P))
    if side * side != len(cells_P):
        raise InputError(f"{len(cells_P)} image tokens do not form a square grid, so their regions are unknown")
    regions_RC: NDArray[np.float32] = cells_P.reshape(side, side).numpy()
    return regions_RC


def _coloured(heat_YX: NDArray[np.float32]) -> NDArray[np.float32]:
    """Map values in 0 to 1 to colours, (Y, X, 3)."""
    import numpy as np

    stops, colours = [stop for stop, _ in _RAMP], np.array([colour for _, colour in _RAMP], np.float32)
    return np.stack([np.interp(heat_YX, stops, colours[:, channel]) for channel in range(3)], axis=2)


def _captioned(image: PilImage, lines: Sequence[str]) -> PilImage:
    """Add lines of text below an image."""
    from PIL import Image as pillow
    from PIL import ImageDraw, ImageFont

    font = ImageFont.load_default(14)
    margin, height = 6, 20
    captioned = pillow.new("RGB", (image.width, image.height + height * len(lines) + 2 * margin), "white")
    captioned.paste(image)
    drawing = ImageDraw.Draw(captioned)
    for number, line in enumerate(lines):
        while line and font.getlength(line) > image.width - 2 * margin:
            line = line[:-2].rstrip("…") + "…"
        drawing.text((margin, image.height + margin + number * height), line, fill="black", font=font)
    return captioned
