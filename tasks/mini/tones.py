"""Mini tones: audio clips of a telephone key, with the digit of the key as the answer.

A row, as bundled in `tones/validation.parquet`:

    clip_id 0, audio <WAV>, question "Which digit was dialled?", answer "0", noise "faint"

A key sounds two tones at once, one for its row and one for its column (ITU-T Q.23); a single tone does not identify the
digit. Clips have 0.4 to 0.8 seconds at 8 kHz and 8 bits. In each clip the key sounds for 80 to 250 milliseconds at a
random time; loudness, pitch (up to 1.5 % too high or too low) and the ratio of the two tones vary, over a hum and over
noise that is faint or strong. Each digit is equally frequent.

All arithmetic is on integers, so every machine generates the same bytes. `train` is endless and never bundled.
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
"""Samples per second."""
SPLITS = ("validation",)
CLIPS = 200
"""Number of clips in the bundled split."""
FIRST_CLIP = {"validation": 0, "train": 1_000_000}
"""First id of each split. The id seeds the clip, so no clip is in two splits; `train` has no end."""
QUESTION = "Which digit was dialled?"
ROWS = (697, 770, 852, 941)
COLUMNS = (1209, 1336, 1477)
"""Frequencies of the rows and columns of keys, in hertz."""
KEYS = {"1": (0, 0), "2": (0, 1), "3": (0, 2), "4": (1, 0), "5": (1, 1), "6": (1, 2), "7": (2, 0), "8": (2, 1),
        "9": (2, 2), "0": (3, 1)}  # fmt: skip
NOISE = {"faint": (1, 6), "strong": (10, 24)}
"""Range of the standard deviation of the noise, where 128 is full scale; a tone has an amplitude of 10 to 36."""

_CIRCLE = 1 << 12
"""Number of points of the sine table, and the amplitude of its sine."""


class Clip(NamedTuple):
    """An audio clip and its properties."""

    clip_id: int
    digit: str
    noise: str
    """A key of `NOISE`."""
    start: int
    """Index of the first sample in which the key sounds."""
    end: int
    """Index after the last sample in which the key sounds."""
    samples: NDArray[np.uint8]
    """(samples,) at `RATE`; 128 is silence."""


def clip(clip_id: int) -> Clip:
    """Generate a clip; it depends on its id only."""
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
    # A sum of four random bytes has mean 510 and standard deviation 148.
    level += (four.sum(0) - 510) * rng.randint(*NOISE[noise]) // 148
    return Clip(clip_id, digit, noise, start, start + sounding, (level.clip(-128, 127) + 128).astype(np.uint8))


def _tone(millihertz: int, amplitude: int, length: int, rng: Random) -> NDArray[np.int64]:
    """Generate a tone that starts at a random phase."""
    import numpy as np

    turn = 1 << 32
    phases = (rng.randrange(turn) + np.arange(length) * (millihertz * turn // (1000 * RATE))) % turn
    return _sine()[phases * _CIRCLE // turn] * amplitude // _CIRCLE


@cache
def _sine() -> NDArray[np.int64]:
    import numpy as np

    return np.array([round(_CIRCLE * math.sin(math.tau * n / _CIRCLE)) for n in range(_CIRCLE)])


def wav(audio_clip: Clip) -> bytes:
    """Encode a clip as a WAV file."""
    file = io.BytesIO()
    with wave.open(file, "wb") as written:
        written.setnchannels(1)
        written.setsampwidth(1)
        written.setframerate(RATE)
        written.writeframes(audio_clip.samples.tobytes())
    return file.getvalue()


def split(name: str) -> list[Clip]:
    """Generate the clips of the bundled split, `validation`."""
    first = FIRST_CLIP[name]
    return [clip(clip_id) for clip_id in range(first, first + CLIPS)]
