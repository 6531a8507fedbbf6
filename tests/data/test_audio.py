"""Decoding audio: formats, errors, resampling.

pytest tests/data/test_audio.py
"""

from __future__ import annotations

import base64
import io
import os
import wave

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evals import SampleError
from evals.data.audio import MAX_BYTES, Waveform, decode, resample, to_wav
from evals.models.endpoint.requests import _content_part
from evals.schema import Audio


def written(samples, *, width=2, channels=1, rate=8000):
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(channels)
        out.setsampwidth(width)
        out.setframerate(rate)
        out.writeframes(samples.tobytes())
    return file.getvalue()


@given(st.lists(st.integers(-32767, 32767), min_size=1, max_size=50))
def test_what_is_written_is_read(whole):
    sound = Waveform(np.array(whole, np.float32) / 32767, 8000)
    read = decode(Audio("a", data=to_wav(sound)))
    assert read.rate == 8000
    assert read.samples == pytest.approx(sound.samples, abs=1 / 16_000)


@pytest.mark.parametrize(
    ("samples", "width"),
    [
        (np.array([128, 192, 64, 0], np.uint8), 1),
        (np.array([0, 16384, -16384, -32768], "<i2"), 2),
        (np.array([0, 1 << 30, -(1 << 30), -(1 << 31)], "<i4"), 4),
    ],
)
def test_all_widths_mean_the_same(samples, width):
    assert decode(Audio("a", data=written(samples, width=width))).samples.tolist() == [0, 0.5, -0.5, -1]


def test_channels_become_their_mean():
    both = np.array([[0, 16384], [16384, 16384]], "<i2")
    assert decode(Audio("a", data=written(both, channels=2))).samples.tolist() == [0.25, 0.5]


def test_a_blind_recording_is_silent_and_as_long():
    loud = written(np.full(123, 9999, "<i2"))
    assert decode(Audio("a", data=loud, blind=True)).samples.tolist() == [0.0] * 123


def test_a_tone_stays_a_tone_at_another_rate():
    time = np.arange(16_000) / 16_000
    tone = Waveform(np.sin(2 * np.pi * 440 * time).astype(np.float32), 16_000)
    low = resample(tone, 8000)
    assert len(low) == 8000
    assert low[100:-100] == pytest.approx(np.sin(2 * np.pi * 440 * np.arange(8000) / 8000)[100:-100], abs=0.01)
    high = Waveform(np.sin(2 * np.pi * 5000 * time).astype(np.float32), 16_000)
    assert np.abs(resample(high, 8000)[100:-100]).max() < 0.05, "a tone above 4 kHz is folded back"


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "not a WAV"),
        (b"ID3 an mp3", "not a WAV"),
        (written(np.zeros(3, np.uint8), width=3), "24 bits"),
        (written(np.zeros(0, "<i2")), "no audio"),
        (written(np.zeros(601_000, np.uint8), width=1, rate=1_000), "601 seconds long"),
        (written(np.zeros(9, np.uint8), width=1, rate=1), "rate of 1 samples per second"),
        (written(np.zeros(9, np.uint8), width=1, rate=9_999_991), "rate of 9,999,991"),
        (written(np.zeros(9, np.uint8), width=1, rate=2**31 - 1), "rate of 2,147,483,647"),
    ],
)
def test_what_is_no_recording_is_refused(data, words):
    with pytest.raises(SampleError, match=f"audio a .*{words}"):
        decode(Audio("a", data=data))


def test_a_file_that_is_missing_is_named(tmp_path):
    with pytest.raises(SampleError, match=r"no\.wav"):
        decode(Audio("a", path=tmp_path / "no.wav"))


@pytest.mark.parametrize("size", [0, MAX_BYTES + 1])
def test_a_file_is_not_read_whole_to_find_that_it_is_none(tmp_path, size):
    path = tmp_path / "a.wav"
    with path.open("wb") as file:
        file.truncate(size)  # without blocks on the disk
    with pytest.raises(SampleError, match=r"a\.wav (has .* bytes|is not a WAV)"):
        decode(Audio("a", path=path))


def test_a_pipe_is_not_a_recording(tmp_path):
    os.mkfifo(tmp_path / "a.wav")
    with pytest.raises(SampleError, match="is not a file"):
        decode(Audio("a", path=tmp_path / "a.wav"))


def test_a_file_that_is_cut_off_is_named_and_never_scored_in_part():
    whole = written(np.full(100, 16384, "<i2"))
    with pytest.raises(SampleError, match="is cut off: its header announces 100 samples, it holds 74"):
        decode(Audio("a", data=whole[:-51]))
    with pytest.raises(SampleError, match="cut off"):
        _content_part(Audio("a", data=whole[:-51]))


def test_the_extensible_format_is_read_by_every_version_of_python():
    plain = written(np.array([0, 16384], "<i2"))
    kind = b"fmt " + (40).to_bytes(4, "little") + b"\xfe\xff" + plain[22:36]
    subformat = bytes.fromhex("16001000040000000100000000001000800000aa00389b71")
    extensible = b"RIFF" + (len(plain) + 16).to_bytes(4, "little") + b"WAVE" + kind + subformat + plain[36:]
    assert decode(Audio("a", data=extensible)).samples.tolist() == [0.0, 0.5]


def test_a_server_is_sent_silence_by_a_blind_run():
    loud = Audio("a", data=written(np.full(123, 9999, "<i2")), blind=True)
    sent = base64.b64decode(_content_part(loud)["input_audio"]["data"])
    assert decode(Audio("b", data=sent)).samples.tolist() == [0.0] * 123


@given(st.integers(0, 60), st.binary(min_size=1, max_size=8))
def test_a_damaged_file_is_read_or_refused(start, damage):
    whole = written(np.arange(100, dtype="<i2"))
    try:
        heard = decode(Audio("a", data=whole[:start] + damage + whole[start + len(damage) :]))
    except SampleError as error:
        heard, refusal = None, str(error)
    assert heard is not None or refusal.startswith("audio a ")
    assert heard is None or (len(heard.samples) <= 200 and np.abs(heard.samples).max(initial=0) <= 1)


def test_a_chunk_that_ends_beyond_the_file_is_damage():
    whole = bytearray(written(np.arange(100, dtype="<i2")))
    whole[16:20] = (0x7FFFFFFF).to_bytes(4, "little")  # the length of the format's chunk
    with pytest.raises(SampleError, match="is not a WAV file of integers"):
        decode(Audio("a", data=bytes(whole)))
