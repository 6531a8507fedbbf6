"""Mistakes of the command line: one short line, exit code 2, before torch is imported; nothing given is ignored.

pytest tests/app/test_command_line.py
"""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from commands import ROOT, environ, evals, refused

from evals.app import cli, several
from evals.errors import InputError, UnknownName
from evals.execution.validation import may_have_gpu
from evals.schema import RunConfig

RUN = ["run", "--model", "vl", "--task", "vqa"]
MISTAKES = {
    "no model": (["run", "--model", ",", "--task", "vqa"], "',' names nothing"),
    "no task": (["run", "--model", "vl", "--task", " , "], "names nothing"),
    "an empty model": (["run", "--model", "", "--task", "vqa"], "names nothing"),
    "an empty folder of outputs": (["run", "--model", "replay:", "--task", "vqa"], "names no file or folder"),
    "an empty hub id": (["run", "--model", "hf:", "--task", "vqa"], "names no file or folder"),
    "an empty checkpoint": ([*RUN, "--checkpoint", ""], "--checkpoint '' names nothing"),
    "an empty split": ([*RUN, "--split", ""], "--split '' names nothing"),
    "data of another task": ([*RUN, "--data", "glue=x"], "no task of this command is named 'glue'; known: vqa"),
    "no such device": ([*RUN, "--device", "tpu"], "--device 'tpu' is no device; allowed: cpu, cuda, cuda:N"),
    "too many workers": ([*RUN, "--workers", "100000"], "--workers 100,000: at most 1,024"),
    "too many workers for one machine": ([*RUN, "--workers", "1024"], "--workers 1,024: this machine has "),
    "too large a number": ([*RUN, "--first", "9" * 30], "option 'first' is " + "9" * 30 + ", expected a whole number"),
    "a number as long as a book": ([*RUN, "--limit", "9" * 5000], "9999…9999"),
    "a number with an underscore": ([*RUN, "--limit", "1_0"], "'1_0' is not a whole number"),
    "a temperature with one": ([*RUN, "--temperature", "1_0"], "'1_0' is not a number"),
    "an option given twice": ([*RUN, "--limit", "5", "--limit", "6"], "argument --limit: is given twice"),
    "the root as a run folder": ([*RUN, "--out", "/"], "--out / is the root of the file system"),
    "the home folder of several runs": (
        ["run", "--model", "vl", "--task", "vqa,tones", "--out", "~"],
        "--out ~ is your home folder",
    ),
    "the home folder of a check": (["check", "--paper", "--out", "~"], "--out ~ is your home folder"),
    "a folder of other files": ([*RUN, "--out", str(ROOT)], "holds other files ('CHANGELOG.md') and is no run folder"),
    "one run compared with itself": (["compare", "runs/a", "runs/b/../a"], "are one folder; give two runs"),
    "an endless file": (["run", "--models-file", "/dev/zero", "--task", "vqa"], "it is no regular file but a device"),
    "an endless prompt": ([*RUN, "--system-prompt", "@/dev/zero"], "it is no regular file but a device"),
    "an endless template": ([*RUN, "--chat-template", "/dev/zero"], "it is no regular file but a device"),
    "endless outputs": (["run", "--model", "replay:/dev/zero", "--task", "vqa"], "it is no regular file but a device"),
    "endless claims": (["check", "/dev/zero", "--paper"], "it is no regular file but a device"),
    "data of a check that are not there": (["check", "--data", "no/such"], "--data no/such does not exist"),
    "data of a check that runs nothing": (["check", "--paper", "--data", "."], "--data has no effect with --paper"),
    "a scale of a check that runs nothing": (["check", "--paper", "--scale", "full"], "--scale has no effect"),
    "no such scale": (["list", "--scale", "x"], "no scale is named 'x'"),
}


if not may_have_gpu():
    MISTAKES["no GPU"] = ([*RUN, "--device", "cuda:0"], "--device cuda:0 cannot be used: this machine has no GPU")


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_refused_in_one_short_line(capsys, mistake, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    arguments, words = MISTAKES[mistake]
    assert cli.main(arguments) == 2
    printed = capsys.readouterr()
    assert words in printed.err
    assert printed.out == ""
    lines = [line for line in printed.err.splitlines() if not line.endswith(("loading the model", "that test them"))]
    assert len(lines) == 1
    assert len(lines[0]) < 500
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_mistakes_are_refused_before_torch_is_imported(tmp_path):
    (tmp_path / "sitecustomize.py").write_text(
        "import sys\n"
        "class Forbidden:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'torch':\n"
        "            raise SystemExit('torch is imported')\n"
        "sys.meta_path.insert(0, Forbidden())\n"
    )
    script = (
        "import sys\nfrom evals.app import cli\nsys.exit(sum(cli.main(line) != 2 for line in "
        + repr([arguments for arguments, _ in MISTAKES.values()])
        + "))"
    )
    path = os.pathsep.join([str(tmp_path), str(ROOT)])
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        env={**environ(), "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_data_belong_to_a_task_of_the_command():
    assert several.of_task({"vqa": "a"}, ["vqa", "glue"]) == {"vqa": "a", "glue": None}
    assert several.of_task("a", ["vqa", "glue"]) == {"vqa": "a", "glue": "a"}
    with pytest.raises(UnknownName, match="'math'"):
        several.of_task({"vqa": "a", "math": "b"}, ["vqa"])


@pytest.mark.parametrize("text", ["", " ", ",", " , ,"])
def test_names_are_never_empty(text):
    with pytest.raises(InputError, match="names nothing"):
        several.names(text)


def test_an_interrupt_while_modules_are_imported_is_one_line():
    script = (
        "import sys, evals.__main__ as command\n"
        "class Interrupt:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'evals.app': raise KeyboardInterrupt\n"
        "sys.meta_path.insert(0, Interrupt())\n"
        "sys.exit(command.main())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, env=environ(), capture_output=True, text=True, check=False
    )
    assert done.returncode == 130
    assert done.stderr == "evals: interrupted before the command began\n"


@pytest.mark.parametrize("option", [{"out": "o/\udcff"}, {"data": "d/\udcfe"}, {"split": "\ud800"}])
def test_a_name_that_cannot_be_recorded_is_refused(option):
    with pytest.raises(InputError, match="is not UTF-8 and cannot be recorded"):
        RunConfig.of("vl", "vqa", **option)


@pytest.mark.slow
def test_closed_and_full_outputs_end_no_command_in_a_traceback(tmp_path):
    lines = [
        "--version >&-", "list tasks >&- 2>&-", "show no/such 2>&-", "show no/such 2>/dev/full",
        "list tasks >/dev/full",
    ]  # fmt: skip
    codes = []
    for line in lines:
        done = subprocess.run(
            ["sh", "-c", f'"{sys.executable}" -m evals {line}'],
            cwd=tmp_path, env=environ(), capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert "Traceback" not in done.stdout + done.stderr
        codes.append(done.returncode)
    assert codes == [0, 0, 2, 2, 1]


def test_compare_says_how_many_runs_it_takes():
    assert refused(evals("compare", "a", "b", "c"), "two runs, 3 folders came", "report puts any number into one table")
