"""Mini tones: the bundled clips, whether the tones can be detected, and the scores of answers.

pytest tests/tasks/test_tones.py
"""

from __future__ import annotations

import hashlib
from collections import Counter

import numpy as np
import pytest
from commands import evals as command
from commands import refused

from evals import Audio, InputError, Options, Prediction
from evals.data.audio import decode
from evals.execution.selection import blinded
from evals.tasks import tones
from evals.tasks.mini import generate
from evals.tasks.mini import tones as mini

CONTENT = "2ad7dcaca29844b93b1be7f9e4c91145580418ea8dcf04686f0e18f86dc5dafd"
"""The SHA-256 of all recordings and their digits, whatever the encoding of the file."""


@pytest.fixture(scope="module")
def samples():
    return list(tones.samples(Options()))


def test_the_bundled_file_is_what_the_generator_gives(samples):
    assert generate.tone_differences("validation") == []
    total = hashlib.sha256()
    for sample in samples:
        total.update(sample.target.encode() + decode(sample.requests[0].parts[0]).samples.tobytes())
    assert total.hexdigest() == CONTENT


def test_each_digit_comes_equally_often(samples):
    assert set(Counter(sample.target for sample in samples).values()) == {mini.CLIPS // 10}
    assert set(Counter(sample.labels["noise"] for sample in samples)) == set(mini.NOISE)
    assert len({sample.requests[0].parts[1:] for sample in samples}) == 1, "the text gives something away"


def goertzel(samples, hertz):
    """The energy at a frequency, and a little above and below it, as no part of the generator computes it."""
    time = np.arange(len(samples)) / mini.RATE
    return max(abs(np.exp(-2j * np.pi * near * hertz * time) @ samples) for near in np.linspace(0.985, 1.015, 7))


def test_the_digits_can_be_heard():
    """A detector that knows the eight frequencies, and where the key sounds, names nearly all of new recordings."""
    right = 0
    for clip_id in range(5_000_000, 5_000_060):
        clip = mini.clip(clip_id)
        heard = clip.samples[clip.start : clip.end].astype(float) - 128
        row, column = (
            int(np.argmax([goertzel(heard, hertz) for hertz in among])) for among in (mini.ROWS, mini.COLUMNS)
        )
        right += mini.KEYS[clip.digit] == (row, column)
    assert right >= 55


def test_recordings_do_not_tell_the_digit_by_length_or_loudness():
    clips = [mini.clip(clip_id) for clip_id in range(6_000_000, 6_000_400)]
    for measure in (lambda clip: len(clip.samples), lambda clip: clip.samples.astype(float).std()):
        means = [np.mean([measure(clip) for clip in clips if clip.digit == digit]) for digit in mini.KEYS]
        spread = np.std([measure(clip) for clip in clips])
        assert np.std(means) < 0.35 * spread


def test_answers_are_read_and_scored(samples):
    few = samples[:4]
    said = ["0", " One.", "the 2", ""]
    predictions = {s.id: [Prediction(s.id, output=one)] for s, one in zip(few, said, strict=True)}
    scores = tones.score(few, predictions)
    assert [score.answer for score in scores] == ["0", "1", None, None]
    assert [score.values["accuracy"] for score in scores] == [1, 1, 0, 0]
    metrics = tones.summarise(scores)
    assert metrics["accuracy"].value == 0.5
    assert {name.partition("/")[2] for name in metrics} <= {"", "faint", "strong"}


def test_a_blind_run_hears_silence(samples):
    sound = blinded(tones.samples(Options()))[3].requests[0].parts[0]
    assert sound == Audio(sound.key, data=sound.data, blind=True)
    assert not decode(sound).samples.any()
    assert len(decode(sound).samples) == len(decode(samples[3].requests[0].parts[0]).samples)


@pytest.mark.parametrize("options", [Options(split="test"), Options(scale="full")])
def test_what_there_is_not_is_refused(options):
    with pytest.raises(InputError, match="tones"):
        tones.samples(options)


def test_a_model_that_does_not_hear_is_refused():
    refused(command("run", "--model", "vl", "--task", "tones"), "shows audio", "'vl' reads image, text only")
