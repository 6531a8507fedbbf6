"""Mini tones: a key of a telephone is pressed, and which digit that was must be heard.

A row, as bundled in `tones/validation.parquet`:

    clip_id 0, audio <WAV>, question "Which digit was dialled?", answer "0", noise "faint"

A key sounds two tones at once, of the row and of the column that it stands in (ITU-T Q.23); no single tone tells the
digit. Recordings are 0.4 to 0.8 seconds at 8 kHz and 8 bits. In each the key sounds for 80 to 250 milliseconds, at some
place, louder or softer, up to 1.5 % too high or too low, one of the tones louder than the other, over a hum and over
noise that is faint or strong. Each digit comes equally often.

All is computed in whole numbers, so that every machine makes the same bytes. `train` is endless and never bundled.
"""

from __future__ import annotations

import io
import math
import wave
from functools import cache
from random import Random
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

RATE = 8000
"""Samples a second."""
SPLITS = ("validation",)
CLIPS = 200
"""Recordings in the bundled split."""
FIRST_CLIP = {"validation": 0, "train": 1_000_000}
"""Where the ids of each split begin. Ids seed the recordings, so none is in two splits; `train` has no end."""
QUESTION = "Which digit was dialled?"
ROWS = (697, 770, 852, 941)
COLUMNS = (1209, 1336, 1477)
"""Of the keys, in hertz."""
KEYS = {"1": (0, 0), "2": (0, 1), "3": (0, 2), "4": (1, 0), "5": (1, 1), "6": (1, 2), "7": (2, 0), "8": (2, 1),
        "9": (2, 2), "0": (3, 1)}  # fmt: skip
NOISE = {"faint": (1, 6), "strong": (10, 24)}
"""Standard deviations of the noise, of at most 128; a tone has amplitudes of 10 to 36."""

_CIRCLE = 1 << 12
"""Places on the circle at which the sine is known, and its amplitude."""


class Clip(NamedTuple):
    """A recording and what it holds."""

    clip_id: int
    digit: str
    noise: str
    """A key of `NOISE`."""
    start: int
    """The sample at which the key begins to sound."""
    end: int
    """The sample at which it has ended."""
    samples: NDArray[np.uint8]
    """(samples,) at `RATE`; 128 is silence."""


def clip(clip_id: int) -> Clip:
    """Make a recording: a function of its id."""
    import numpy as np

    rng = Random(f"mini tones {clip_id}")
    digit, noise = str(clip_id % 10), rng.choice(tuple(NOISE))
    length = rng.randint(RATE * 4 // 10, RATE * 8 // 10)
    sounding = rng.randint(RATE * 8 // 100, RATE * 25 // 100)
    start = rng.randint(0, length - sounding)
    row, column = KEYS[digit]
    mistuned, loud = 1000 + rng.randint(-15, 15), rng.randint(14, 36)
    softer = loud * rng.randint(70, 100) // 100
    amplitudes = rng.sample((loud, softer), 2)
    level = np.zeros(length, np.int64)
    for hertz, amplitude in zip((ROWS[row], COLUMNS[column]), amplitudes, strict=True):
        level[start : start + sounding] += _tone(hertz * mistuned, amplitude, sounding, rng)
    level += _tone(rng.choice((50, 60, 100, 120)) * 1000, rng.randint(0, 20), length, rng)
    four = np.frombuffer(rng.randbytes(4 * length), np.uint8).reshape(4, length).astype(np.int64)
    level += (four.sum(0) - 510) * rng.randint(*NOISE[noise]) // 148  # a sum of four bytes deviates by 148
    return Clip(clip_id, digit, noise, start, start + sounding, (level.clip(-128, 127) + 128).astype(np.uint8))


def _tone(millihertz: int, amplitude: int, length: int, rng: Random) -> NDArray[np.int64]:
    """Make a tone of some length, beginning anywhere in its wave."""
    import numpy as np

    turn = 1 << 32
    phases = (rng.randrange(turn) + np.arange(length) * (millihertz * turn // (1000 * RATE))) % turn
    return _sine()[phases * _CIRCLE // turn] * amplitude // _CIRCLE


@cache
def _sine() -> NDArray[np.int64]:
    import numpy as np

    return np.array([round(_CIRCLE * math.sin(math.tau * place / _CIRCLE)) for place in range(_CIRCLE)])


def wav(made: Clip) -> bytes:
    """Write a recording as a WAV file."""
    file = io.BytesIO()
    with wave.open(file, "wb") as written:
        written.setnchannels(1)
        written.setsampwidth(1)
        written.setframerate(RATE)
        written.writeframes(made.samples.tobytes())
    return file.getvalue()


def split(name: str) -> list[Clip]:
    """Give the recordings of the bundled split, `validation`."""
    first = FIRST_CLIP[name]
    return [clip(clip_id) for clip_id in range(first, first + CLIPS)]
