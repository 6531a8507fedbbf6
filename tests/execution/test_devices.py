"""Which device each worker gets."""

from __future__ import annotations

import pytest
from commands import evals, refused
from hypothesis import given
from hypothesis import strategies as st

from evals.errors import InputError
from evals.execution.run import _placements
from evals.execution.workers.devices import assign
from evals.schema import Placement, RunConfig

COUNTS = st.integers(2, 64)
DEVICES = st.sampled_from([None, "cpu", "cuda", "cuda:0", "cuda:1", "mps", "meta"])


@given(device=DEVICES, worker_count=COUNTS, gpu_count=st.integers(0, 64), dtype=st.sampled_from([None, "float16"]))
def test_no_gpu_has_two_workers(device, worker_count, gpu_count, dtype):
    placement = Placement(device, dtype)
    on_gpus = device == "cuda" or (device is None and gpu_count > 0)
    if device in {"cuda:0", "cuda:1", "mps"} or (on_gpus and worker_count > gpu_count):
        with pytest.raises(InputError, match=rf"^--workers {worker_count}\b.*each worker needs") as refusal:
            assign(placement, worker_count, gpu_count)
        assert "\n" not in str(refusal.value)
        return
    placements = assign(placement, worker_count, gpu_count)
    assert len(placements) == worker_count
    assert all(entry.dtype == dtype for entry in placements)
    devices = [entry.device for entry in placements]
    assert devices == ([f"cuda:{number}" for number in range(worker_count)] if on_gpus else [device] * worker_count)


@pytest.mark.parametrize(("gpus", "words"), [(1, "only one GPU is here"), (3, "only 3 GPUs are here")])
def test_more_workers_than_gpus_are_refused_before_anything_is_loaded(monkeypatch, tmp_path, gpus, words):
    monkeypatch.setattr("torch.cuda.device_count", lambda: gpus)
    command = ("run", "--model", "vl", "--task", "vqa", "--limit", 4, "--workers", 4, "--out", tmp_path / "run")
    refused(evals(*command), words, f"--workers {gpus} or --device cpu")
    refused(evals(*command, "--device", "cuda"), words)
    refused(evals(*command, "--device", "cuda:0"), "--device cuda:0", "each worker needs a GPU for itself")
    assert not (tmp_path / "run").exists()


def test_workers_on_a_cpu_or_of_a_server_need_no_gpu(monkeypatch):
    monkeypatch.setattr("torch.cuda.device_count", lambda: 1)
    for model, device in (("vl", "cpu"), ("endpoint:http://127.0.0.1:1/v1#m", None)):
        config = RunConfig.of(model, "vqa", workers=3, device=device)
        assert _placements(config) == (config.placement,) * 3


def test_each_worker_gets_a_gpu_of_its_own(monkeypatch):
    monkeypatch.setattr("torch.cuda.device_count", lambda: 4)
    placements = _placements(RunConfig.of("vl", "vqa", workers=3))
    assert [entry.device for entry in placements] == ["cuda:0", "cuda:1", "cuda:2"]
