"""Recording what a model reads: memory does not grow with the samples, and a killed run loses nothing.

python -m pytest tests/execution/test_inputs.py
"""

from __future__ import annotations

import gc
import signal
import subprocess
import time

import pytest
from commands import start

import evals
from evals.execution import loop
from evals.execution.windows import WINDOW, WholePlan
from evals.records import prefixes
from evals.records.inputs import RecordedInput, SharedPrefix
from evals.records.prefixes import PREFIXES, PrefixReader, PrefixWriter, read_prefixes
from evals.records.types import PlanEntry
from evals.schema import Generate, ModelInput, Prediction, Prompt, Sample, Samples

INSTRUCTION = "Answer with one word, and think of what the question asks for.\n" * 3


class Reader:
    """A model that says what it reads, and writes nothing."""

    name, abilities, facts, token_budget = "reader", frozenset({"generate"}), {}, 1 << 20

    def prepare(self, request):
        return Prompt(request, request.parts[:-1], (1,) * 60 + (len(request.id),), 1)

    def model_input(self, prompt):
        return ModelInput("".join(prompt.request.parts), prompt.tokens)

    def stage(self, prompts, batch):
        return None

    def run(self, prompts, batch, staged):
        return [Prediction(prompts[member].request.id, "word") for member in batch.members]

    def peak_memory_bytes(self):
        return None


def most_inputs(count):
    """The most recorded inputs that were alive at once while so many samples were computed."""
    ids = [str(n) for n in range(count)]

    def build(index):
        return Sample(ids[index], (Generate(ids[index], (INSTRUCTION, f"Question {index}?"), 1),), "word")

    most, seen = 0, 0

    def on_batch(batch_ids, answers):
        nonlocal most, seen
        seen += len(answers)
        assert all(answer.model_input is not None for answer in answers)
        most = max(most, sum(type(entry) is RecordedInput for entry in gc.get_objects()))

    plan = PlanEntry(budget=None, share=True, window=WINDOW, token_budget=1 << 20)
    leases = WholePlan(ids, WINDOW, set())
    loop.compute_batches(Samples(ids, build), Reader(), plan=plan, leases=leases, on_batch=on_batch)
    assert seen == count
    return most


@pytest.mark.slow
def test_recorded_inputs_in_memory_do_not_grow_with_the_samples():
    few, many = most_inputs(3 * WINDOW), most_inputs(12 * WINDOW)
    assert few > WINDOW / 2, "they are counted"
    assert many <= 4 * WINDOW


def test_remembered_prefixes_do_not_grow_with_the_samples(tmp_path, monkeypatch):
    monkeypatch.setattr(prefixes, "_REMEMBERED", 50)
    writer = PrefixWriter(tmp_path)
    for n in range(30):
        writer.add(SharedPrefix.of(f"Passage {n}/{k}: ", [n, k]) for k in range(20))
        assert len(writer._digests) <= 50
    assert len(list(read_prefixes(tmp_path / PREFIXES))) == 600
    assert len(PrefixWriter(tmp_path)._digests) <= 50, "a run that goes on"


def test_a_reader_keeps_only_the_prefixes_that_are_wanted(tmp_path):
    wanted, *_ = made = [SharedPrefix.of(f"Passage {n}: ", [n]) for n in range(100)]
    PrefixWriter(tmp_path).add(made)
    reader = PrefixReader(tmp_path, [wanted.digest])
    assert len(reader._prefixes) == 1
    assert reader.whole(RecordedInput("?", [7], wanted.digest)).tokens == [0, 7]


def read(record):
    reader = PrefixReader(record.folder)
    return {row.id: (row.output, [reader.whole(entry) for entry in row.inputs]) for row in record.samples()}


OPTIONS = {"limit": 10, "shots": 2, "max_new_tokens": 12, "token_budget": 500}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """What was read and answered in a run that was not killed."""
    return read(evals.run("r1", "math", out=tmp_path_factory.mktemp("whole") / "run", **OPTIONS))


@pytest.mark.slow
@pytest.mark.parametrize("finished", [1, 5])
def test_a_killed_run_has_readable_prefixes_and_goes_on(whole, tmp_path, finished):
    """SIGKILL in mid-run: what is on the disk can be read, and the run that goes on equals one that was not killed."""
    flags = [word for name, value in OPTIONS.items() for word in (f"--{name.replace('_', '-')}", str(value))]
    command = ["-m", "evals", "run", "--model", "r1", "--task", "math", *flags]
    folder = tmp_path / "killed"
    with start(*command, "--out", folder, stderr=subprocess.PIPE) as process:
        log, end = folder / "samples.jsonl", time.monotonic() + 200
        while not log.exists() or log.read_bytes().count(b"\n") < finished:
            assert process.poll() is None, process.stderr.read()
            assert time.monotonic() < end
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
    kept = evals.load(folder)
    before = read(kept)
    assert len(before) >= finished
    assert {prefix.digest for prefix in read_prefixes(folder / PREFIXES)} >= {
        entry.prefix for row in kept.samples() for entry in row.inputs if entry.prefix is not None
    }
    resumed = evals.run("r1", "math", out=folder, **OPTIONS)
    assert read(resumed) == whole
    assert {id: entry for id, entry in read(resumed).items() if id in before} == before
    digests = [prefix.digest for prefix in read_prefixes(folder / PREFIXES)]
    assert len(digests) == len(set(digests)) >= 1
