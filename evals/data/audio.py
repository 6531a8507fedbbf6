"""Recordings by reference to samples, when a model needs them.

Whatever is wrong with a recording is a `SampleError` of the one sample that has it.

    decode       a recording's samples, as one channel
    resample      the same at a model's rate
    wav          samples as a WAV file
"""

from __future__ import annotations

import io
import math
import wave
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from evals.errors import SampleError, one_line
from evals.schema import Audio

MAX_SECONDS = 600
"""The longest recording that is decoded: more than any model here hears, and 38 MB at 16 kHz."""
_WHOLE: dict[int, tuple[str, int, int]] = {1: ("u1", 128, 128), 2: ("<i2", 0, 1 << 15), 4: ("<i4", 0, 1 << 31)}
"""By bytes a sample: how it is stored, which number is silence, and how far from it the loudest is."""


class Waveform(NamedTuple):
    """A decoded recording."""

    samples: NDArray[np.float32]
    """(samples,), from -1 to 1."""
    rate: int
    """Samples a second."""


def decode(audio: Audio) -> Waveform:
    """Decode a recording: a WAV file of whole numbers, 8, 16 or 32 bits; several channels become their mean.

    A blind recording must still say its length: it comes back silent.

    Raises:
        SampleError: missing, no such file, damaged, or longer than `MAX_SECONDS`; names the file, or the key of a
            recording inside a table.
    """
    name = audio.path or f"recording {audio.key}"
    try:
        data = audio.data if audio.data is not None else audio.path.read_bytes() if audio.path else b""
    except OSError as error:
        raise SampleError(f"{name} cannot be read: {error.strerror}") from error
    try:
        with wave.open(io.BytesIO(data)) as file:
            rate, width, channels, frames = (
                file.getframerate(), file.getsampwidth(), file.getnchannels(), file.getnframes()
            )  # fmt: skip
            if not rate or not frames:
                raise SampleError(f"{name} holds no sound")
            if frames / rate > MAX_SECONDS:
                raise SampleError(f"{name} is {frames / rate:.0f} seconds long, at most {MAX_SECONDS} are decoded")
            if width not in _WHOLE:
                raise SampleError(f"{name} has {8 * width} bits a sample; 8, 16 and 32 are read")
            read = file.readframes(frames)
    except (wave.Error, EOFError) as error:
        raise SampleError(f"{name} is not a WAV file of whole numbers: {one_line(error)}") from error
    kind, silence, loudest = _WHOLE[width]
    whole: NDArray[np.integer] = np.frombuffer(read[: len(read) // (width * channels) * width * channels], kind)
    samples = (whole.reshape(-1, channels).astype(np.float64).mean(axis=1) - silence) / loudest
    return Waveform(np.zeros(len(samples), np.float32) if audio.blind else samples.astype(np.float32), rate)


def resample(sound: Waveform, rate: int) -> NDArray[np.float32]:
    """Give a recording's samples at another rate, by a filter that lets no tone through that the rate cannot hold."""
    if sound.rate == rate:
        return sound.samples
    from scipy.signal import resample_poly

    shared = math.gcd(sound.rate, rate)
    found: NDArray[np.float32] = resample_poly(sound.samples, rate // shared, sound.rate // shared).astype(np.float32)
    return found


def to_wav(sound: Waveform) -> bytes:
    """Write a recording as a WAV file of 16 bits a sample."""
    file = io.BytesIO()
    with wave.open(file, "wb") as written:
        written.setnchannels(1)
        written.setsampwidth(2)
        written.setframerate(sound.rate)
        written.writeframes((sound.samples.clip(-1, 1) * 32767).round().astype("<i2").tobytes())
    return file.getvalue()
