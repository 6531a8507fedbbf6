"""The efficiency task as a user runs it, on small random checkpoints; no test here is of how long anything takes.

pytest tests/tasks/test_efficiency.py
"""

from __future__ import annotations

import json
import shutil
import statistics
from types import SimpleNamespace

import checkpoints
import pytest
from commands import refused

import evals
from evals import Generate, Image, InputError, registry
from evals.models.families import causal
from evals.schema import Options, Placement, Prediction, Prompt, ResourceRequirements
from evals.tasks import efficiency
from evals.timing import device, interleaving
from evals.timing.stopwatch import ModelSource, Stopwatch

CPU = Placement(device="cpu")
TASK = ("--task", "efficiency", "--split", "short", "--processes", 2, "--repetitions", 2)
TIMES = ("latency", "time-to-first-token", "per-token")
PARTS = ("weights", "cache", "workspace", "process")


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Two small language models, called `one` and `two` by a folder each."""
    place = tmp_path_factory.mktemp("models")
    return [str(checkpoints.language_model(place / name, kind)) for name, kind in (("one", "llama"), ("two", "t5"))]


@pytest.fixture(scope="module")
def runs(folders, tmp_path_factory):
    """Both, timed in turn by the call behind the command."""
    out = tmp_path_factory.mktemp("runs")
    return evals.interleave(folders, split="short", processes=2, repetitions=2, device="cpu", out=out)


@pytest.mark.slow
def test_every_figure_is_there_with_its_floors(runs):
    for record in runs:
        metrics = record.result["metrics"]
        assert record.result["headline"] == "latency"
        assert (record.result["n"], record.result["failed"], record.result["unparsed"]) == (4, 0, 0)
        for name in TIMES:
            for tail in ("", "/p95", "/p99"):
                found = metrics[name + tail]
                assert found["unit"] == "seconds"
                if tail:  # no interval: a few processes do not show how far a tail varies; the report says so
                    assert found["low"] is None
                else:
                    assert found["low"] <= found["high"]
                assert found["value"] > max(found["floors"].values()) > 0
                assert set(found["floors"]) == {"bandwidth", "arithmetic"}
        assert metrics["latency"]["value"] > metrics["time-to-first-token"]["value"] > 0
        assert metrics["new-tokens"]["value"] == 16
        assert metrics["throughput"]["unit"] == "tokens/s"
        assert metrics["peak-memory"]["value"] >= sum(metrics[f"peak-memory/{part}"]["value"] for part in PARTS[:2])
        assert metrics["size-on-disk"]["value"] > 0
        assert record.result["efficiency"]["peak_memory_bytes"] == metrics["peak-memory"]["value"]


@pytest.mark.slow
def test_models_take_turns_in_processes_of_one_session(runs):
    rows = [list(record.samples()) for record in runs]
    ids = ["short/0/0", "short/0/1", "short/1/0", "short/1/1"]
    assert [[row["id"] for row in each] for each in rows] == [ids, ids]
    sessions = [[row["cluster"] for row in each] for each in rows]
    assert sessions[0] == sessions[1]
    first, again, second, last = sessions[0]
    assert first == again != second == last
    assert all(record.manifest["plan"]["interleaved"] == [r.manifest["model"]["name"] for r in runs] for record in runs)


@pytest.mark.slow
def test_comparing_gives_the_ratio(runs, command):
    done = command("compare", *(record.folder for record in runs), COLUMNS="1000")  # no heading is wrapped
    assert done.returncode == 0, done.stderr
    assert any(" / " in line for line in done.stdout.splitlines())
    found = evals.compare(*(record.folder for record in runs)).metrics[0]
    sessions = [_session_medians(record) for record in runs]
    ratios = [sessions[0][session] / sessions[1][session] for session in sessions[0]]
    assert len(ratios) == 2
    assert found.ratio == pytest.approx(statistics.geometric_mean(ratios))
    assert found.ratio_low <= found.ratio <= found.ratio_high


def _session_medians(record):
    """Return the median latency of each session."""
    sessions = {}
    for row in record.samples():
        sessions.setdefault(row["cluster"], []).append(row["values"]["latency"])
    return {session: statistics.median(values) for session, values in sessions.items()}


@pytest.mark.slow
def test_reports_of_several_set_them_against_the_first(runs, command):
    folders = [record.folder for record in runs]
    for format in ("md", "tex", "html"):
        done = command("report", *folders, "--format", format)
        assert done.returncode == 0, done.stderr
        assert "Timed in turn" in done.stdout
        assert "bandwidth floor" in done.stdout
    rows = command("report", folders[0], "--format", "csv").stdout.splitlines()
    assert "floor" in rows[0].split(",")


@pytest.mark.slow
def test_a_run_is_scored_again_without_its_model(runs, tmp_path, command):
    copy = tmp_path / "copy"
    shutil.copytree(runs[0].folder, copy)
    done = command("score", copy)
    assert done.returncode == 0, done.stderr
    assert json.loads((copy / "result.json").read_text())["metrics"] == runs[0].result.to_dict()["metrics"]


@pytest.mark.slow
def test_a_median_below_its_floor_is_an_error(runs, tmp_path, command):
    copy = tmp_path / "copy"
    shutil.copytree(runs[0].folder, copy)
    rows = [json.loads(line) for line in (copy / "samples.jsonl").read_text().splitlines()]
    for row in rows:
        row["output"]["seconds"] = row["output"]["seconds to the first token"] + 1e-12
    (copy / "samples.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    done = command("score", copy)
    assert done.returncode == 1
    assert "floor" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


@pytest.mark.slow
def test_an_interrupted_run_repeats_only_the_session_that_was_under_way(runs, folders, tmp_path, command):
    names = [record.folder.name for record in runs]
    kept = []
    for name, record in zip(names, runs, strict=True):
        shutil.copytree(record.folder, tmp_path / name)
        (tmp_path / name / "result.json").unlink()
        (tmp_path / name / "report.html").unlink()
        lines = (tmp_path / name / "samples.jsonl").read_text().splitlines(keepends=True)
        kept.append([line for line in lines if json.loads(line)["id"].startswith("short/0/")])
        (tmp_path / name / "samples.jsonl").write_text("".join(kept[-1]))
    done = command("run", "--model", ",".join(folders), *TASK, "--device", "cpu", "--out", tmp_path)
    assert done.returncode == 0, done.stderr
    assert "Timed in turn" in done.stdout
    for name, lines in zip(names, kept, strict=True):
        now = (tmp_path / name / "samples.jsonl").read_text().splitlines(keepends=True)
        assert now[: len(lines)] == lines
        assert len(now) == 2 * len(lines)


def test_what_makes_no_sense_is_refused(folders, command, tmp_path):
    clip = str(checkpoints.dual_encoder(tmp_path / "clip"))
    (tmp_path / "outputs.jsonl").write_text('{"id": "short/0/0", "output": "x"}\n')
    one = ("run", "--model", folders[0], "--task", "efficiency")
    refused(command(*one, "--limit", 3), "--limit", "timed")
    refused(command(*one, "--workers", 2), "--workers", "timed")
    refused(command(*one, "--blind"), "--blind")
    refused(command(*one, "--data", tmp_path), "efficiency reads no data")
    refused(command(*one, "--repetitions", 0), "--repetitions 0")
    refused(command(*one, "--split", "shot"), "short")
    refused(command(*one, "--split", "caption"), "image", "text only")
    refused(command("run", "--model", clip, "--task", "efficiency"), "generate", "can: embed")
    refused(command("run", "--model", f"replay:{tmp_path}/outputs.jsonl", "--task", "efficiency"), "recorded outputs")
    several = ("run", "--model", f"{folders[0]},{folders[0]}")
    refused(command(*several, "--task", "efficiency"), "named twice")
    refused(command(*several, "--task", "efficiency", "--checkpoint", "x"), "--checkpoint")
    refused(command("run", "--model", "r1", "--task", "math", "--repetitions", 3), "--repetitions", "math")
    with pytest.raises(InputError, match="not timed"):
        evals.interleave(["r1", "v2"], "math")


@pytest.mark.slow
def test_a_checkpoint_that_cannot_be_loaded_is_one_clear_line(folders, tmp_path, command):
    broken = tmp_path / "broken"
    shutil.copytree(folders[0], broken)
    next(broken.glob("*.safetensors")).write_bytes(b"no weights")
    refused(
        command("run", "--model", broken, *TASK, "--out", tmp_path / "run"), "broken", "no readable safetensors file"
    )


# The requests


def test_every_sample_asks_for_one_length():
    found = efficiency.samples(Options())
    assert len(found) == 3 * 10 * 3
    for sample in found:
        (request,) = sample.requests
        assert request.min_new_tokens == request.max_new_tokens == sum(
            kind.new_tokens for name, kind in efficiency.KINDS["mini"].items() if name == sample.labels["kind"]
        )  # fmt: skip
    words = {sample.labels["kind"]: sample.requests[0].parts[-1].count(" ") + 1 for sample in found}
    assert (words["short"], words["long"]) == (16, 64)
    assert [len(efficiency.samples(Options("full", split))) for split in ("short", "all")] == [150, 450]


@pytest.mark.parametrize("kind", ["llama", "t5"])
def test_a_text_that_would_end_goes_on(kind, tmp_path):
    """The token that the model likes best is made the one that ends a text."""
    from evals.models.decoding.engine import Decoder

    model = causal.load("tiny", str(checkpoints.language_model(tmp_path, kind)), CPU)
    asked = Generate("1", ("How many squares are there?",), 6)
    said = _tokens(model, asked)
    object.__setattr__(model.decoder, "_ends", frozenset({said[0]}))
    if not isinstance(model.decoder, Decoder):
        model.model.generation_config.eos_token_id = said[0]
    assert _tokens(model, asked) == []
    forced = Generate("1", asked.parts, 6, min_new_tokens=6)
    assert len(_tokens(model, forced)) == 6
    assert said[0] not in _tokens(model, forced)


def _tokens(model, request):
    """What was generated, with the decoder's own continuation."""
    kept = []
    decoder, generate = model.decoder, model.decoder.generate
    decoder.generate = lambda *given: kept.append(generate(*given)) or kept[-1]
    try:
        Stopwatch(model)._answer(request)
    finally:
        del decoder.generate
    return kept[0][0].tokens


# The clock


class Fake:
    """A model that answers at once, and says that its weights are as many as is wanted."""

    name, abilities, token_budget, facts = "fake", frozenset({"generate"}), 64, {}

    def __init__(self, weights=1e3, tokens=None):
        self._weights, self._tokens = weights, tokens

    def resource_requirements(self):
        count = self._weights
        return ResourceRequirements("cpu", "float32", 1, 1, count, count, count, count, count, 1.0, 1.0)

    def prepare(self, request):
        return Prompt(request, request.id, (1, 2, 3), 0)

    def stage(self, prompts, batch):
        return None

    def run(self, prompts, batch, staged):
        request = prompts[0].request
        new = request.max_new_tokens if self._tokens is None else self._tokens
        return [Prediction(request.id, "words", prompt_tokens=3, new_tokens=new)]


ASKED = Generate("short/0/0", ("Which?",), 4, min_new_tokens=4)


def watched(monkeypatch, step, model=None):
    """A stopwatch whose clock goes on by so many seconds each time that it is read."""
    ticks = iter(range(1_000))
    monkeypatch.setattr(device, "probe_peaks", lambda requirements: device.DevicePeaks(1e6, 1e6))
    watch = Stopwatch(model or Fake(), clock=lambda: next(ticks) * step)
    watch.warm_up([ASKED])
    return watch


def test_a_time_below_what_the_device_allows_is_a_failure(monkeypatch):
    # 1,000 bytes at a million a second are 1 ms a token and 4 ms in all; three tokens are read in 6 ms and one more
    assert watched(monkeypatch, 0.1).time(ASKED).failure is None
    failed = watched(monkeypatch, 0.001).time(ASKED)
    assert failed.output is None
    assert "time-to-first-token 0.001 s, less than the" in failed.failure
    assert "floor" in failed.failure


def test_a_device_that_looked_slow_is_probed_once_more(monkeypatch):
    watch = watched(monkeypatch, 0.001)  # as above, below the floor of the speeds that were seen first
    quick = device.DevicePeaks(1e9, 1e9)
    monkeypatch.setattr(device, "probe_peaks", lambda requirements: quick)
    done = watch.time(ASKED)
    assert done.failure is None
    assert done.output["speeds"] == {"bytes_per_second": 1e9, "operations_per_second": 1e9}


def test_a_text_that_ended_early_tells_nothing(monkeypatch):
    assert "after 2 of 4 tokens" in watched(monkeypatch, 0.1, Fake(tokens=2)).time(ASKED).failure


def test_the_figures_are_the_clocks(monkeypatch):
    told = watched(monkeypatch, 0.1).time(ASKED).output
    assert (told["seconds"], told["seconds to the first token"]) == (pytest.approx(0.1), pytest.approx(0.1))
    assert (told["prompt tokens"], told["new tokens"]) == (3, 4)
    assert told["speeds"] == {"bytes_per_second": 1e6, "operations_per_second": 1e6}


def test_no_prompt_is_kept_from_one_time_to_the_next(tmp_path):
    model = causal.load("tiny", str(checkpoints.language_model(tmp_path, "llama")), CPU)
    read = []
    model.model.register_forward_pre_hook(lambda *given: read.append(given[-1]["input_ids"].shape[1]), with_kwargs=True)
    watch = Stopwatch(model)
    request = Generate("1", ("How many squares are there?",), 3, min_new_tokens=3)
    del read[:]
    for _ in range(2):
        watch.time(request)
    prompt = len(model.prepare(request).tokens)
    assert read == 2 * [prompt, prompt, 1, 1]  # to the first token; then whole


def test_turns_change_and_requests_stay_in_pairs(monkeypatch):
    """Which model is asked what, and when; a model that reads no pictures sits those out."""
    registry.discover()
    turns = []

    class TimingProcess:
        def __init__(self, source):
            self.name = source.model

        def ready(self):
            return {}

        def warm_up(self, requests):
            turns.append((self.name, len(requests)))
            return [None] * len(requests)

        def time(self, request):
            turns.append((self.name, request.id))
            told = {"seconds": 1.0, "seconds to the first token": 0.5, "prompt tokens": 3, "new tokens": 4}
            return Prediction(request.id, told)

        def close(self):
            turns.append((self.name, "ended"))

    monkeypatch.setattr(interleaving, "TimingProcess", TimingProcess)
    every = efficiency.samples(Options(processes=1, repetitions=2))
    text = evals.execution.selection.readable(every, {"text"})
    crew = [
        interleaving.TimedModel(ModelSource(n, "mini", None, CPU), s, None, Options())
        for n, s in (("a", text), ("b", every))
    ]
    with interleaving.Session(crew) as session:
        found = session.time("0", lambda: None)
    assert turns == [
        ("a", 2), ("b", 3),
        ("a", "short/0/0"), ("b", "short/0/0"), ("a", "long/0/0"), ("b", "long/0/0"), ("b", "caption/0/0"),
        ("b", "short/0/1"), ("a", "short/0/1"), ("b", "long/0/1"), ("a", "long/0/1"), ("b", "caption/0/1"),
        ("b", "ended"), ("a", "ended"),
    ]  # fmt: skip
    rows = interleaving.sample_rows(registry.TASKS.get("efficiency"), crew[0], session, found["a"])
    assert [row["cluster"] for row in rows] == 4 * [session.id]


def test_a_request_that_cannot_be_read_is_a_failure():
    model = SimpleNamespace(**{name: getattr(Fake, name) for name in ("name", "facts", "token_budget")})

    def prepare(request):
        raise evals.SampleError("the picture is torn")

    model.prepare = prepare
    request = Generate("caption/0/0", (Image("x", data=b""), "Describe."), 4)
    assert Stopwatch(model).time(request).failure == "the picture is torn"


@pytest.mark.gpu
def test_on_a_gpu_the_clock_waits_and_the_memory_is_the_allocators(tmp_path):
    import torch

    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    model = causal.load("tiny", str(checkpoints.language_model(tmp_path, "llama")), Placement("cuda:0"))
    watch = Stopwatch(model)
    watch.warm_up([ASKED])
    done = watch.time(ASKED)
    assert done.failure is None
    assert watch.resource_requirements.device == "cuda:0"
    assert done.output["peak bytes"] == torch.cuda.max_memory_allocated("cuda:0")
    assert done.output["peak bytes"] > done.output["loaded bytes"] >= watch.resource_requirements.weights_bytes
    assert torch.cuda.current_stream().query()


@pytest.mark.slow
def test_claims_that_compare_systems_are_timed_in_turn(folders, tmp_path, monkeypatch):
    registry.discover()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(efficiency, "PROCESSES", {"mini": 1})
    monkeypatch.setattr(efficiency, "REPETITIONS", {"mini": 2})
    measure = "measure: {task: efficiency, metric: latency, split: short"
    tail = measure.replace("metric: latency", "metric: latency/p99")
    (tmp_path / "t.yaml").write_text(
        "document: {id: t, title: T, subjects: {one: {name: One}, two: {name: Two}}}\nclaims:\n"
        f'- {{id: T-1, says: x, subject: one, printed: "3", unit: times, {measure}, relation: speed-up, '
        "baseline: two}}\n"
        f'- {{id: T-2, says: x, subject: one, printed: "900", unit: seconds, bound: at-most, {measure}}}}}\n'
        f'- {{id: T-3, says: x, subject: one, printed: "900", unit: seconds, bound: at-most, {tail}}}}}\n'
    )
    found = evals.check([tmp_path / "t.yaml"], systems=dict(zip(("one", "two"), folders, strict=True)))
    first, second, third = found.assessments
    assert first.measured[0].relation == "speed-up"
    assert first.measured[0].value > 0
    assert any("repetitions that were timed in turn" in line for line in first.working)
    assert any("bandwidth floor" in line for line in first.working)
    assert any("0 of 2 repetitions took longer, 1 % may; at least 299 repetitions" in line for line in third.working)
    assert second.measured[0].value < 900
    assert second.measurement.verdict == "inconclusive"  # one process gives no interval
    assert len(list((tmp_path / "runs").iterdir())) == 2
