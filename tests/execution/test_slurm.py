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


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("--nodes 0 -- --model r1 --task glue", "--nodes 0: give 1 or more"),
        ("--nodes 2 --cpus 0 -- --model r1 --task glue", "--cpus 0"),
        ("--nodes 2 --gpus -1 -- --model r1 --task glue", "--gpus -1"),
        ("--nodes 2 --time soon -- --model r1 --task glue", "'soon': Slurm reads"),
        ("--nodes 2 --time '1:00\nrm -rf x' -- --model r1 --task glue", "Slurm reads"),
        ("--nodes 2 -- --model r1 --task glue --cluster=auto", "--cluster: leave it out"),
        ("--nodes 2 -- --model r1 --tsk glue", "--model M --task T"),
    ],
)
def test_a_job_that_cannot_run_is_refused_before_it_is_submitted(arguments, words, capsys):
    with pytest.raises(SystemExit) as stop:
        slurm.main(shlex.split(arguments))
    assert stop.value.code == 2
    written = capsys.readouterr()
    assert written.out == ""
    assert words in written.err
    assert written.err.count("\n") == 1


@pytest.mark.parametrize("time", ["90", "90:00", "02:00:00", "1-0", "1-12", "2-12:30", "7-00:00:00"])
def test_times_of_slurm_are_accepted(time, capsys):
    slurm.main(["--nodes", "2", "--time", time, "--", "--models-file", "x", "--task", "glue"])
    assert f"#SBATCH --time={time}\n" in capsys.readouterr().out
