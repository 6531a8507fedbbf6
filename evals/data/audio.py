"""Decode audio on demand, when a model needs it.

An error in an audio file is a `SampleError` of the sample that refers to it.

    decode       decode a WAV file to a waveform of one channel
    resample     convert a waveform to another sampling rate
    to_wav       encode a waveform as a WAV file
"""

from __future__ import annotations

import io
import math
import wave
from typing import TYPE_CHECKING, NamedTuple

from evals import regular_files
from evals.errors import SampleError, one_line
from evals.schema import Audio

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MAX_SECONDS = 600
"""Longest audio that is decoded, in seconds: longer than the limit of any model here, and 38 MB at 16 kHz."""
MIN_RATE, MAX_RATE = 1_000, 384_000
"""Sampling rates that are read, in samples per second: from below telephones to the fastest recorders. The work of
resampling grows with the rate, and a header may claim any."""
MAX_VALUES = 64_000_000
"""Most samples that are decoded, over all channels: `MAX_SECONDS` of two channels at 48 kHz."""
MAX_BYTES = 4 * MAX_VALUES + (1 << 20)
"""Largest file that is read."""
_WHOLE: dict[int, tuple[str, int, int]] = {1: ("u1", 128, 128), 2: ("<i2", 0, 1 << 15), 4: ("<i4", 0, 1 << 31)}
"""By bytes per sample: the NumPy type, the number that represents silence, and the largest distance from it."""
_AT_ONCE = 1 << 20
"""Number of samples that are converted at once."""
_UNKNOWN = (1 << 32) - 64
"""A program that writes to a pipe announces this many bytes or more, because it does not know the length."""
_PCM = bytes.fromhex("0100000000001000800000aa00389b71")
"""The subformat of integers in `WAVE_FORMAT_EXTENSIBLE`. Source: RFC 2361 and mmreg.h, KSDATAFORMAT_SUBTYPE_PCM."""


class Waveform(NamedTuple):
    """Decoded audio."""

    samples: NDArray[np.float32]
    """(samples,) one channel, from -1 to 1."""
    rate: int
    """Sampling rate, in samples per second."""


def decode(audio: Audio) -> Waveform:
    """Decode a WAV file of 8-, 16- or 32-bit integers; several channels are averaged.

    For a blind sample (`audio.blind`) the result is silence of the same length.

    Raises:
        SampleError: the file is missing, damaged, cut off, of another format, longer than `MAX_SECONDS`, larger than
            `MAX_BYTES`, or has a rate outside `MIN_RATE` to `MAX_RATE`. The message names the file, or the key of audio
            that is stored in a table.
    """
    name = audio.path or f"audio {audio.key}"
    data = _as_plain(_contents(audio))
    try:
        with wave.open(io.BytesIO(data)) as file:
            rate, width, channels, frames = (
                file.getframerate(), file.getsampwidth(), file.getnchannels(), file.getnframes()
            )  # fmt: skip
            if not rate or not frames:
                raise SampleError(f"{name} contains no audio")
            if not MIN_RATE <= rate <= MAX_RATE:
                raise SampleError(
                    f"{name} has a rate of {rate:,} samples per second; {MIN_RATE:,} to {MAX_RATE:,} are read"
                )
            if frames * channels > MAX_VALUES:
                raise SampleError(
                    f"{name} has {frames:,} samples in {channels} channels; {MAX_VALUES:,} in all are read"
                )
            if frames / rate > MAX_SECONDS:
                raise SampleError(f"{name} is {frames / rate:.0f} seconds long, at most {MAX_SECONDS} are decoded")
            if width not in _WHOLE:
                raise SampleError(f"{name} has {8 * width} bits a sample; 8, 16 and 32 are read")
            content = file.readframes(frames)
            if len(content) < frames * width * channels:
                held = len(content) // (width * channels)
                raise SampleError(f"{name} is cut off: its header announces {frames:,} samples, it holds {held:,}")
    except SampleError:
        raise
    except Exception as error:  # for damaged files, the library raises its own error, EOFError, RuntimeError, …
        reason = "a part of it ends beyond its end" if isinstance(error, RuntimeError) else one_line(error)
        raise SampleError(f"{name} is not a WAV file of integers: {reason}") from error
    import numpy as np

    kind, silence, loudest = _WHOLE[width]
    integers: NDArray[np.integer] = np.frombuffer(content[: frames * width * channels], kind).reshape(-1, channels)
    samples = np.zeros(frames, np.float32)
    for start in range(0, 0 if audio.blind else frames, _AT_ONCE):  # so that no copy of 64 bits has the whole length
        means = integers[start : start + _AT_ONCE].mean(axis=1, dtype=np.float64)
        samples[start : start + _AT_ONCE] = (means - silence) / loudest
    return Waveform(samples, rate)


def is_cut_off(data: bytes) -> bool:
    """Return whether the header of a WAV file announces more audio than the file holds; a stream may announce all.

    Example:
        >>> import numpy as np
        >>> file = to_wav(Waveform(np.zeros(100, np.float32), 8000))
        >>> is_cut_off(file), is_cut_off(file[:-1])
        (False, True)
    """
    start = 12
    while start + 8 <= len(data):
        size = int.from_bytes(data[start + 4 : start + 8], "little")
        if data[start : start + 4] == b"data":
            return size < _UNKNOWN and start + 8 + size > len(data)
        start += 8 + size + size % 2
    return False


def _as_plain(data: bytes) -> bytes:
    """Return a file in the extensible format as one in the plain format, which every version of Python reads."""
    extensible = data[12:16] == b"fmt " and data[20:22] == b"\xfe\xff" and data[44:60] == _PCM
    return data[:20] + b"\1\0" + data[22:] if extensible else data


def _contents(audio: Audio) -> bytes:
    """Read the file; its size is checked first."""
    if audio.data is not None:
        return audio.data
    if audio.path is None:
        return b""
    try:
        if audio.path.exists() and not audio.path.is_file():
            raise SampleError(f"{audio.path} is not a file")
        if audio.path.stat().st_size > MAX_BYTES:
            raise SampleError(f"{audio.path} has {audio.path.stat().st_size:,} bytes, at most {MAX_BYTES:,} are read")
        return regular_files.read(audio.path, limit=MAX_BYTES)
    except (OSError, ValueError) as error:  # a name with NUL is a ValueError
        raise SampleError(
            f"{audio.path} cannot be read: {getattr(error, 'strerror', None) or one_line(error)}"
        ) from error


def resample(waveform: Waveform, rate: int) -> NDArray[np.float32]:
    """Convert a waveform to another sampling rate, with a low-pass filter against aliasing.

    Returns:
        (samples,) float32 at the new rate.
    """
    if waveform.rate == rate:
        return waveform.samples
    import numpy as np
    from scipy.signal import resample_poly

    divisor = math.gcd(waveform.rate, rate)
    resampled: NDArray[np.float32] = resample_poly(waveform.samples, rate // divisor, waveform.rate // divisor).astype(
        np.float32
    )
    return resampled


def to_wav(waveform: Waveform) -> bytes:
    """Encode a waveform as a WAV file with 16 bits per sample."""
    file = io.BytesIO()
    with wave.open(file, "wb") as written:
        written.setnchannels(1)
        written.setsampwidth(2)
        written.setframerate(waveform.rate)
        written.writeframes((waveform.samples.clip(-1, 1) * 32767).round().astype("<i2").tobytes())
    return file.getvalue()
