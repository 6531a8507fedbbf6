"""The Slurm script: what it asks for, what it starts, and that a shell can read it."""

from __future__ import annotations

import shlex
import subprocess

import pytest

from evals.execution.workers.cluster import slurm

RUN = ["--model", "hf:ORG/NAME", "--task", "math/gsm8k", "--stop", "it's $HOME", "--out", "/shared/run"]


@pytest.fixture
def text():
    return slurm.script(RUN, nodes=4, gpus=8, cpus=32, time="02:00:00")


def test_the_script_asks_for_the_allocation(text):
    asked = [line.removeprefix("#SBATCH ") for line in text.splitlines() if line.startswith("#SBATCH ")]
    assert asked == [
        "--job-name=evals", "--nodes=4", "--ntasks-per-node=1", "--cpus-per-task=32", "--gpus-per-node=8",
        "--time=02:00:00", "--signal=B:TERM@60",
    ]  # fmt: skip
    assert "gpus-per-node" not in slurm.script(RUN, nodes=4)


def test_the_script_starts_one_head_the_other_nodes_and_one_run(text):
    joined = text.replace("\\\n", " ")
    starts = [line for line in joined.splitlines() if "ray start" in line]
    assert ["--head" in line for line in starts] == [True, False]
    assert all("--num-gpus=8" in line and "--block &" in line for line in starts)
    assert "export SRUN_CPUS_PER_TASK=32 " in text
    (run,) = [line for line in joined.splitlines() if "evals run" in line]
    words = shlex.split(run.partition("python -m evals run ")[2].removesuffix("&"))
    assert words == [*RUN, "--cluster", "auto"]


def test_a_shell_can_read_the_script(text):
    done = subprocess.run(["bash", "-n"], input=text, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_command_prints_the_script(text, capsys):
    slurm.main(["--nodes", "4", "--gpus", "8", "--cpus", "32", "--time", "02:00:00", "--", *RUN])
    assert capsys.readouterr().out == text
