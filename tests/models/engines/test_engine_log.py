"""The reason of a failure is read from what vLLM's processes print."""

from __future__ import annotations

import pytest

from evals.models.engines.vllm_environment import cause, output_to

PREFIX = "(EngineCore pid=7980) ERROR 11-28 23:00:10 [registry.py:1120] "


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        ([], None),
        (["Loading safetensors checkpoint shards: 100%"], None),
        ([f"{PREFIX}ModuleNotFoundError: No module named 'torchvision'", PREFIX], "No module named 'torchvision'"),
        (["torch.OutOfMemoryError: CUDA out of memory."], "OutOfMemoryError: CUDA out of memory."),
        (
            ["ValueError: heads of 12 are not supported", "RuntimeError: Engine core initialization failed. See root "
             "cause above."],
            "ValueError: heads of 12 are not supported",
        ),
    ],
)  # fmt: skip
def test_the_cause_is_the_last_exception_that_says_something(tmp_path, lines, reason):
    (tmp_path / "log").write_text("\n".join(lines))
    found = cause(tmp_path / "log")
    assert found is None if reason is None else reason in found


def test_there_is_no_cause_without_a_log(tmp_path):
    assert cause(tmp_path / "none") is None


def test_what_is_printed_meanwhile_goes_to_the_log(tmp_path, capfd):
    import subprocess

    print("before", flush=True)
    with output_to(tmp_path / "log"):
        subprocess.run(["sh", "-c", "echo engine; echo trouble >&2"], check=True)
    print("after", flush=True)
    assert (tmp_path / "log").read_text() == "engine\ntrouble\n"
    assert capfd.readouterr() == ("before\nafter\n", "")
