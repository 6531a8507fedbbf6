"""Draw scenes: the same scene always gives the same pixels.

Everything is drawn at three times the size, on whole pixels, and averaged down, so that edges are smooth although all
arithmetic is on integers. `Scene.seed` decides the irrelevant details: the gradient of the background, faint marks on
it, the exact shade of a colour, the slant of stripes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from random import Random
from typing import TYPE_CHECKING

from evals.tasks.mini.images.scenes import COLORS, GROUNDS, SIDE, Scene, Thing, corners

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageDraw import ImageDraw

SUPERSAMPLE = 3
"""Factor by which everything is drawn larger."""

CANVAS = (SIDE * SUPERSAMPLE, SIDE * SUPERSAMPLE)

STEP = 5 * SUPERSAMPLE
"""Distance between stripes, or rows of dots, on the canvas."""


def draw(scene: Scene) -> Image:
    """Draw a scene as an RGB image of `SIDE` x `SIDE` pixels."""
    from PIL import Image, ImageDraw

    style = Random(scene.seed)
    light = _shade(GROUNDS[scene.ground], style, 4)
    dark = _scaled(light, 0.92)
    slope = _slope(style.randrange(4))
    canvas = Image.composite(Image.new("RGB", CANVAS, light), Image.new("RGB", CANVAS, dark), slope)
    brush = ImageDraw.Draw(canvas)
    for _ in range(style.randint(5, 12)):
        _draw_mark(brush, _scaled(light, 0.8), style)
    for thing in scene.things:
        _draw_thing(canvas, thing, style)
    return canvas.reduce(SUPERSAMPLE)


def _draw_mark(brush: ImageDraw, ink: tuple[int, ...], style: Random) -> None:
    """Draw a short faint stroke, which no question is about."""
    x, y = style.uniform(0, CANVAS[0]), style.uniform(0, CANVAS[1])
    angle, length = style.uniform(0, math.pi), style.uniform(1, 4) * SUPERSAMPLE
    end = x + length * math.cos(angle), y + length * math.sin(angle)
    brush.line((round(x), round(y), round(end[0]), round(end[1])), fill=ink, width=3)


def _draw_thing(canvas: Image, thing: Thing, style: Random) -> None:
    """Paint the rim, fill and texture of one thing."""
    from PIL import ImageDraw

    color, slant = _shade(COLORS[thing.color], style, 10), style.randrange(4)
    brush = ImageDraw.Draw(canvas)
    brush.polygon(corners(thing, thing.radius, SUPERSAMPLE), fill=_scaled(color, 0.45))
    brush.polygon(corners(thing, thing.radius - 1, SUPERSAMPLE), fill=color)
    if thing.texture != "solid":
        ink = _contrast(COLORS[thing.color])
        corner = (thing.x - thing.radius) * SUPERSAMPLE, (thing.y - thing.radius) * SUPERSAMPLE
        canvas.paste(ink, corner, _textured(thing.shape, thing.radius, thing.texture, slant))


@lru_cache(maxsize=1024)
def _textured(shape: str, radius: int, texture: str, slant: int) -> Image:
    """Return the mask of a texture within a shape: mode L, `2 * radius * SUPERSAMPLE` pixels per side."""
    from PIL import Image, ImageChops, ImageDraw

    side = 2 * radius * SUPERSAMPLE
    inside, ink = Image.new("L", (side, side)), Image.new("L", (side, side))
    centred = Thing(shape, color="", size="", texture=texture, x=radius, y=radius, radius=radius)
    ImageDraw.Draw(inside).polygon(corners(centred, radius - 1, SUPERSAMPLE), fill=255)
    brush = ImageDraw.Draw(ink)
    if texture == "striped":
        _stripe(brush, side, slant)
    else:
        _dot(brush, side)
    return ImageChops.multiply(inside, ink)


def _stripe(brush: ImageDraw, side: int, slant: int) -> None:
    for offset in range(-side, 2 * side, STEP):
        upright, falling = (offset, 0, offset, side), (offset, 0, offset + side, side)
        level, rising = (0, offset, side, offset), (offset, side, offset + side, 0)
        brush.line((upright, falling, level, rising)[slant], fill=255, width=2 * SUPERSAMPLE)


def _dot(brush: ImageDraw, side: int) -> None:
    """Draw dots in rows; every other row is shifted by half a step."""
    dot = 1.3 * SUPERSAMPLE
    for row, y in enumerate(range(STEP // 2, side, STEP)):
        for x in range(STEP // 2 + (row % 2) * STEP // 2, side, STEP):
            brush.ellipse((round(x - dot), round(y - dot), round(x + dot), round(y + dot)), fill=255)


@lru_cache(maxsize=4)
def _slope(direction: int) -> Image:
    """Return a gradient over the canvas from one of its four sides."""
    from PIL import Image

    ramp = Image.linear_gradient("L").rotate(90 * direction)
    return ramp.resize(CANVAS, Image.Resampling.BILINEAR)


def _shade(color: Sequence[int], style: Random, most: int) -> tuple[int, ...]:
    """Make a colour slightly lighter or darker and almost keep its hue: a tinted gray could be seen as green."""
    light = style.randint(-most, most)
    return tuple(min(255, max(0, value + light + style.randint(-2, 2))) for value in color)


def _scaled(color: Sequence[int], factor: float) -> tuple[int, ...]:
    return tuple(round(factor * value) for value in color)


def _contrast(color: Sequence[int]) -> tuple[int, ...]:
    """Return an ink that is visible on a colour: a pale tint on dark colours, a deep shade on light ones."""
    red, green, blue = color
    pale = 0.3 * red + 0.59 * green + 0.11 * blue < 150
    return tuple(round(0.25 * value + 0.75 * 255) if pale else round(0.5 * value) for value in color)
