"""The table of `tests/gpu/run.sh`, from figures as its workers write them."""

from __future__ import annotations

import importlib.util

import pytest
from commands import ROOT


@pytest.fixture(scope="module")
def measure():
    spec = importlib.util.spec_from_file_location("measure", ROOT / "tests" / "gpu" / "measure.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def row(**more):
    return {
        "samples": 100, "failed": 0, "seconds": 10.0, "whole_seconds": 12.0, "prompt_tokens": 80_000,
        "new_tokens": 25_600, "samples_per_second": 10.0, "new_tokens_per_second": 2560.0,
        "distinct_prompt_tokens": 10_000, "bytes_per_position": 20_000, **more,
    }  # fmt: skip


def part(**tasks):
    return {
        "tasks": tasks, "errors": {"sst2": "no"}, "start_seconds": 40.0, "peak_memory_bytes": 5e10,
        "model": {"parameters": 1e9, "dtype": "bfloat16"},
        "peaks": {"read": 2e12, "compute": 5e14},
    }  # fmt: skip


def test_the_table_compares_with_vllm_driven_directly(measure):
    beside = {"seconds": 9.0, "new_tokens": 25_600, "new_tokens_per_second": 2844.4}
    figures = {
        "gpu": "NVIDIA H200",
        "parts": {
            "agreement-vllm-cuda": {
                "against_cpu": {"rte": {"samples": 24, "other_texts": 0, "largest_difference": 2e-5}}
            },
            "1B-vllm": part(gsm8k=row(beside=beside), rte=row()),
            "8B-vllm": "not measured: no time left",
        },
    }
    lines = measure.table(figures).splitlines()
    assert lines[0] == "Measured on NVIDIA H200."
    assert "| vllm-cuda | rte | 24 | 0 | 2e-05 |" in lines
    # 256 steps of 2 GB, and 25,600 tokens that read 928 positions of 20 kB: 987 GB at 4.8 TB/s are 0.21 s of 10 s.
    assert "| 1B | vllm | gsm8k | 10.0 | 2,560 | vLLM directly: 2,844 | 0.90 | 0.021 |" in lines
    # 10,000 positions of 2 GFLOP at 989 TFLOP/s are 0.02 s of 10 s.
    assert "| 1B | vllm | rte | 10.0 |  |  | not measured | 0.002 |" in lines
    assert "| 1B | vllm | sst2 | not measured: no | | | | |" in lines
    assert "| 8B | vllm | not measured: no time left | | | | | |" in lines
    assert "| 1B | vllm | 40 | 50.0 |" in lines


def test_what_was_not_installed_or_reached_is_not_measured(measure, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    on_a_cpu = measure.Measurements(tmp_path, 60, on_gpu=False)
    assert on_a_cpu.measure("1B-vllm", tmp_path, "vllm", []) == "not measured: vllm is not installed"
    late = measure.Measurements(tmp_path, 1, on_gpu=False)
    assert late.measure("1B-transformers", tmp_path, "transformers", []) == "not measured: no time left"
    assert "vllm is not installed" in capsys.readouterr().out


def test_a_part_that_hangs_or_fails_leaves_time_for_the_others(measure, tmp_path):
    measurements = measure.Measurements(tmp_path, 100, on_gpu=True)
    measurements.planned = ["agreement-vllm-cuda", "1B-vllm", "1B-transformers", "8B-vllm"]
    assert measurements.time_for("agreement-vllm-cuda") == pytest.approx(100 * 6 / 18, abs=1)
    assert measurements.planned == ["1B-vllm", "1B-transformers", "8B-vllm"]
    assert measurements.time_for("8B-vllm") <= measurements.left
    assert measure.run_within(["sleep", "60"], tmp_path / "log", 0.2) == "stopped after 0 s"
    assert measure.run_within(["sh", "-c", "echo no memory; exit 3"], tmp_path / "log", 9) == "exit code 3: no memory"
    assert measure.run_within(["true"], tmp_path / "log", 9) is None
