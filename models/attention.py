"""Where a vision-language model looked: attention over the regions of a picture, and its heat map.

    mapper = VisualAttentionMapper.load("vl")
    seen = mapper.generate_attention("street.jpg", "What color is the car?")
    seen.answer, seen.regions_RC.shape, seen.picture_share
    seen.draw().save("street-attention.png")

What is read, exactly: the decoder's attention weights after the softmax, from the position that puts out one token of
the answer (by default the first: the last position of the prompt) to the positions of the picture's tokens. They are
averaged over the layers and heads that are asked for, by default all, with equal weights; the part that falls on the
picture is `picture_share`, and divided by it the average becomes the map, which sums to 1. A picture token stands for
one cell of a square grid over the picture, padded to a square as the model sees it.

Attention says from where a position gathers, not why an answer was given; a model may also park attention on cells that
mean nothing. `tests/benchmarks/vqa_attention.py` measures, on pictures whose objects are known, whether the map of a
model lies on what the question is about.

Letters in the names of arrays: R rows and C columns of cells, P cells, L layers, H heads, S positions.
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
from evals.models.decoding.engine import Decoder
from evals.models.families import vision_language
from evals.models.families.vision_language import VisionLanguage
from evals.paths import PACKAGE
from evals.registry import VARIANTS
from evals.schema import Batch, Generate, Group, Image, Placement, Prompt

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray
    from PIL.Image import Image as Picture

INSTRUCTION = "Answer the question using a single word or phrase.\n"
"""What stands before a question, as `evals.tasks.vqa` has it: the model is to do here what it does there."""
MAX_NEW_TOKENS = 16
SQUARE = frozenset({"deepseek_vl", "deepseek_vl_hybrid"})
"""Model types that pad a picture to a square around its middle and cut it into a square grid of tokens."""

_RAMP = ((0.0, (20, 20, 80)), (0.35, (130, 30, 140)), (0.65, (240, 90, 50)), (1.0, (255, 240, 90)))
"""Colours of the heat map from nothing to the most."""
_SMALLEST = 480
"""Pixels of a heat map's longer side, at least, so that its caption can be read."""


@dataclass(frozen=True)
class AttentionMap:
    """Where a model looked when it put out one token."""

    picture: Image
    question: str
    answer: str
    """All that the model answered, greedily."""
    token: str
    """The output token that the map is of."""
    regions_RC: NDArray[np.float32]
    """(R, C) float32 in 0 to 1, summing to 1: the share of the attention on the picture that falls on each cell."""
    picture_share: float
    """How much of the position's attention falls on the picture at all, in 0 to 1; the rest is on text."""
    layers: tuple[int, ...]
    """The decoder's layers that are averaged, from 0."""
    heads: tuple[int, ...]
    """Their heads that are averaged, from 0."""

    def mass(self, shares_P: Sequence[float] | NDArray[np.float32]) -> float:
        """Give how much of the map lies on a region.

        Args:
            shares_P: what share of each cell the region takes, row by row, in 0 to 1.

        Returns:
            In 0 to 1. A map that knows nothing has the mean of the shares: the region's share of the area.
        """
        import numpy as np

        return float(self.regions_RC.reshape(-1) @ np.asarray(shares_P, np.float32))

    def draw(self) -> Picture:
        """Paint the map over the picture, with a line on what it is; returns an RGB picture."""
        import numpy as np
        from PIL import Image as pillow

        shown = decode(self.picture)
        scale = max(1.0, _SMALLEST / max(shown.size))
        width, height = (round(side * scale) for side in shown.size)
        side = max(width, height)
        heat = pillow.fromarray(self.regions_RC / self.regions_RC.max()).resize((side, side), pillow.Resampling.BICUBIC)
        left, top = (side - width) // 2, (side - height) // 2
        heat_YX = np.asarray(heat.crop((left, top, left + width, top + height))).clip(0, 1)
        under = np.asarray(shown.resize((width, height), pillow.Resampling.LANCZOS), np.float32)
        # What has no attention stays visible, greyed; what has much is covered most.
        grey = under.mean(axis=2, keepdims=True) * 0.5 + under * 0.5
        cover = (0.15 + 0.6 * heat_YX)[:, :, None]
        painted = pillow.fromarray((grey * (1 - cover) + _coloured(heat_YX) * cover).astype(np.uint8))
        return _captioned(painted, self._caption())

    def _caption(self) -> list[str]:
        layers, heads = ("s" if len(numbers) > 1 else "" for numbers in (self.layers, self.heads))
        averaged = f"mean of {len(self.layers)} layer{layers} x {len(self.heads)} head{heads}"
        return [
            f"{self.question}  {self.answer or '(nothing)'}",
            f"attention of {self.token.strip()!r}, {averaged}; {100 * self.picture_share:.0f} % of it on the picture",
        ]


@dataclass(frozen=True)
class VisualAttentionMapper:
    """Answers questions about pictures and tells where the model looked."""

    model: VisionLanguage
    """Its attention is computed step by step, in the library's plain way, since a fused kernel keeps no weights."""

    @classmethod
    def load(cls, name: str, *, device: str | None = None) -> VisualAttentionMapper:
        """Load a model by name.

        Args:
            name: a registered model with a bundled checkpoint, or a checkpoint folder.
            device: as in `Placement`.

        Raises:
            InputError: for a name that is neither, or a checkpoint of another kind.

        Example:
            >>> VisualAttentionMapper.load("vl").generate_attention("scene.png", "Is it red?")  # doctest: +SKIP
        """
        folder = Path(name).expanduser()
        if name in VARIANTS or not folder.is_dir():
            bundled = VARIANTS.get(name).checkpoints.get("mini")
            if bundled is None:
                raise InputError(f"model {name!r} has no bundled checkpoint: name the folder of one")
            folder = PACKAGE / bundled
        return cls.of(vision_language.load(name, str(folder), Placement(device=device)))

    @classmethod
    def of(cls, model: object) -> VisualAttentionMapper:
        """Wrap a loaded model. Raises `InputError` for one whose picture tokens are not known to be a grid."""
        kind = model.kind if isinstance(model, VisionLanguage) else type(model).__name__
        if not isinstance(model, VisionLanguage) or kind not in SQUARE or not isinstance(model._decoder, Decoder):
            allowed = ", ".join(sorted(SQUARE))
            raise InputError(f"where {kind} looks cannot be drawn; attention maps are for {allowed}")
        model._model.set_attn_implementation("eager")
        return cls(model)

    def generate_attention(
        self,
        image: Image | Picture | Path | str,
        question: str,
        *,
        layers: Sequence[int] | None = None,
        heads: Sequence[int] | None = None,
        token: int = 0,
        instruction: str = INSTRUCTION,
    ) -> AttentionMap:
        """Answer a question and return where the model looked.

        Args:
            image: a file, a decoded picture, or an `Image`.
            question: what is asked.
            layers: the decoder's layers to average, from 0; None for all.
            heads: the heads of each to average, from 0; None for all.
            token: which token of the answer the map is of, from 0; the one that ends the answer counts.
            instruction: what stands before the question.

        Raises:
            InputError: for a layer, head or token that there is not, or a picture that cannot be read.
        """
        import torch

        picture = _image(image)
        request = Generate("attend", (picture, instruction, question), MAX_NEW_TOKENS)
        try:
            prompt = self.model.prepare(request)
            inputs = self.model._pixels([picture])
        except SampleError as error:
            raise InputError(str(error)) from error
        answer, said = self._answer(prompt, inputs)
        ids = [self._placeholder if id < 0 else id for id in prompt.tokens] + said
        asked = _chosen("token of the answer", [token], len(said) + 1)[0]
        with torch.inference_mode():
            output = self.model._model(
                input_ids=torch.tensor([ids], device=self.model._where.device),
                **{name: self._placed(value) for name, value in inputs.items()},
                output_attentions=True, use_cache=False,
            )  # fmt: skip
        at = len(prompt.tokens) - 1 + asked
        weights_LHS = torch.stack([weights[0, :, at].float().cpu() for weights in output.attentions])
        kept_layers = _chosen("layer", layers, weights_LHS.shape[0])
        kept_heads = _chosen("head", heads, weights_LHS.shape[1])
        mean_S = weights_LHS[kept_layers][:, kept_heads].mean(dim=(0, 1))
        cells_P = mean_S[[place for place, id in enumerate(ids) if id == self._placeholder]]
        side = math.isqrt(len(cells_P))
        if side * side != len(cells_P):
            raise InputError(f"{len(cells_P)} picture tokens are no square grid: where each lies is not known")
        share = float(cells_P.sum())
        shown = self._text([int(output.logits[0, at].argmax())], special=True)
        regions_RC = (cells_P / share).reshape(side, side).numpy()
        return AttentionMap(
            picture, question, answer, shown, regions_RC, share, tuple(kept_layers), tuple(kept_heads)
        )  # fmt: skip

    def _answer(self, prompt: Prompt, inputs: Mapping[str, torch.Tensor]) -> tuple[str, list[int]]:
        """The greedy answer as text and as tokens, without the one that ends it."""
        # A group that shares nothing would leave its picture in the row, and pictures go in with the prefixes.
        batch = Batch((Group(len(prompt.tokens) - 1, (0,)),))
        (found,) = self.model._continue_shared([prompt], batch, [inputs])
        if found.failure is not None:
            raise InputError(found.failure)
        return self._text(found.tokens).strip(), list(found.tokens)

    def _text(self, tokens: Sequence[int], *, special: bool = False) -> str:
        text: str = self.model._processor.tokenizer.decode(tokens, skip_special_tokens=not special)
        return text

    def _placed(self, value: torch.Tensor) -> torch.Tensor:
        where = self.model._where
        return value.to(where.device, where.dtype) if value.is_floating_point() else value.to(where.device)

    @property
    def _placeholder(self) -> int:
        return int(self.model._processor.image_token_id)


def _image(given: Image | Picture | Path | str) -> Image:
    """A picture by reference, from whatever it was given as."""
    if isinstance(given, Image):
        return given
    if isinstance(given, Path | str):
        return Image(str(given), path=Path(given).expanduser())
    file = io.BytesIO()
    given.save(file, "PNG")
    return Image("picture", data=file.getvalue())


def _chosen(what: str, wanted: Sequence[int] | None, count: int) -> list[int]:
    """Check numbers against how many there are; None takes all."""
    if wanted is None:
        return list(range(count))
    for number in wanted:
        if not 0 <= number < count:
            raise UnknownName(what, str(number), map(str, range(count)))
    if not wanted:
        raise InputError(f"no {what} is chosen: there is nothing to average")
    return list(wanted)


def _coloured(heat_YX: NDArray[np.float32]) -> NDArray[np.float32]:
    """Colours of heats in 0 to 1, (Y, X, 3)."""
    import numpy as np

    stops, colours = [stop for stop, _ in _RAMP], np.array([colour for _, colour in _RAMP], np.float32)
    return np.stack([np.interp(heat_YX, stops, colours[:, channel]) for channel in range(3)], axis=2)


def _captioned(picture: Picture, lines: Sequence[str]) -> Picture:
    """Put lines of text under a picture."""
    from PIL import Image as pillow
    from PIL import ImageDraw, ImageFont

    font = ImageFont.load_default(14)
    margin, height = 6, 20
    whole = pillow.new("RGB", (picture.width, picture.height + height * len(lines) + 2 * margin), "white")
    whole.paste(picture)
    drawing = ImageDraw.Draw(whole)
    for number, line in enumerate(lines):
        while line and font.getlength(line) > picture.width - 2 * margin:
            line = line[:-2].rstrip("…") + "…"
        drawing.text((margin, picture.height + margin + number * height), line, fill="black", font=font)
    return whole
