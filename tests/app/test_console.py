"""What is written to the terminal: any encoding, any width, closed pipes, and names that strangers chose."""

from __future__ import annotations

import contextlib
import os
import pty
import subprocess
import sys
import termios
import unicodedata
from pathlib import Path

import pytest
from commands import ROOT, environ
from hypothesis import given
from hypothesis import strategies as st
from run_folders import make

from evals.app import cli
from evals.app.console import printable


def command(*arguments, **environment):
    return subprocess.run(
        [sys.executable, "-m", "evals", *map(str, arguments)],
        cwd=ROOT, env={**environ(), **environment}, capture_output=True, timeout=120,
    )  # fmt: skip


@pytest.fixture
def run(tmp_path):
    return make(tmp_path / "run").folder


@pytest.mark.slow
@pytest.mark.parametrize("encoding", ["ascii", "iso-8859-1", "cp1252", "utf-8"])
def test_a_terminal_of_any_encoding_gets_the_table(run, encoding):
    done = command("show", run, PYTHONIOENCODING=encoding)
    text = done.stdout.decode(encoding)
    assert done.returncode == 0, done.stderr
    assert done.stderr == b""
    assert ("█" if encoding == "utf-8" else "##") in text
    assert "\\u" not in text


@pytest.mark.parametrize("columns", [40, 80, 300])
def test_tables_fit_a_narrow_terminal(run, columns, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", str(columns))
    assert cli.main(["show", str(run)]) == 0
    table = capsys.readouterr().out.split("Efficiency")[0].splitlines()[2:]
    assert max(map(len, table)) <= max(min(columns, 100), 46), "a first column and one other are never divided"


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("a\x1b[31mred", "a\\x1b[31mred"),
        ("a\u202eb", "a\\u202eb"),
        ("a" * 5000, "aaa…aaa"),
        ("./" + "b/" * 3000, "/b/b"),
        ("~nobody-of-this-name/x", "home"),
        ("\ud800", "\\ud800"),
        ("a\u2028b", "a\\u2028b"),
    ],
    ids=["escape", "direction", "long", "deep", "home", "surrogate", "separator"],
)
@pytest.mark.parametrize("place", ["model", "task", "data", "report", "check", "out"])
def test_strange_names_are_named_in_one_short_line(name, shown, place, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("CI", "true")  # elsewhere a line before it says what is loaded
    given = {
        "model": ["run", "--model", name, "--task", "vqa"],
        "task": ["run", "--model", "vl", "--task", name],
        "data": ["run", "--model", "vl", "--task", "vqa", "--data", name],
        "report": ["report", name],
        "check": ["check", "--paper", name],
        "out": ["report", str(make(tmp_path / "run").folder), "--out", f"{tmp_path}/none/{name}"],
    }[place]
    assert cli.main(given) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    (line,) = printed.err.splitlines()
    assert len(line) < 1_000
    if place != "out":
        assert shown in line


@given(st.text(max_size=400))
def test_nothing_in_a_message_moves_the_cursor(text):
    assert not {unicodedata.category(character) for character in printable(text)} & {"Cc", "Cf", "Cs", "Zl", "Zp"}
    assert len(printable(text).splitlines()) <= 1
    assert len(printable(text)) <= 2_000


def test_several_runs_are_reported_without_those_that_are_none(run, tmp_path, capsys):
    (tmp_path / "foreign").mkdir()
    (tmp_path / "file.txt").write_text("x")
    unfinished = make(tmp_path / "unfinished").folder
    (unfinished / "result.json").unlink()
    assert cli.main(["report", *map(str, sorted(tmp_path.iterdir()))]) == 0
    printed = capsys.readouterr()
    assert [line.split()[3] for line in printed.err.splitlines()] == [
        str(tmp_path / name) for name in ("file.txt", "foreign", "unfinished")
    ]
    assert "accuracy" in printed.out
    assert cli.main(["report", str(unfinished)]) == 2
    assert cli.main(["report", str(tmp_path / "foreign"), str(unfinished)]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 2


def test_trends_leave_out_what_is_not_finished(run, tmp_path, capsys):
    unfinished = make(tmp_path / "unfinished").folder
    (unfinished / "result.json").unlink()
    assert cli.main(["trends", str(tmp_path)]) == 0
    printed = capsys.readouterr()
    assert "unfinished is not finished" in printed.err
    assert "vqa" in printed.out


@pytest.mark.slow
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_full_disk_is_one_line(run, unbuffered):
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "evals", "show", run],
            cwd=ROOT, env={**environ(), "PYTHONUNBUFFERED": unbuffered}, stdout=full, stderr=subprocess.PIPE,
        )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.decode().splitlines() == ["evals: No space left on device"]


# The first seconds


def on_a_terminal(*arguments):
    """What a command writes to a terminal, from its standard error."""
    ours, its = pty.openpty()
    termios.tcsetwinsize(its, (24, 100))
    with subprocess.Popen(
        [sys.executable, "-m", "evals", *map(str, arguments)],
        cwd=ROOT, env={**environ(), "CI": ""}, stdout=subprocess.DEVNULL, stderr=its,
    ) as running:  # fmt: skip
        os.close(its)
        written = b""
        with contextlib.suppress(OSError):  # the end of a terminal
            while part := os.read(ours, 4096):
                written += part
    os.close(ours)
    return running.returncode, written.decode()


@pytest.mark.slow
def test_the_first_line_says_what_is_loaded_and_a_bar_follows(tmp_path):
    code, written = on_a_terminal("run", "--model", "r1", "--task", "glue/rte", "--limit", 4, "--out", tmp_path / "run")
    assert code == 0
    assert written.startswith("evals: r1 on glue/rte: reading the data, loading the model\r\n")
    assert "4/4" in written


@pytest.mark.slow
def test_a_message_is_not_written_into_the_line_of_seconds():
    code, written = on_a_terminal("run", "--model", "r2", "--task", "glue/rte")
    assert code == 2
    assert "\r          \revals: no model is named 'r2'" in written or "\nevals: no model is named 'r2'" in written


WRONG = [
    "run --model vll --task vqa", "run --model vl --task vqaa", "run --model vl --task vqa --data /none",
    "run --model r1 --task math --split foo", "run --model vl --task vqa --checkpoint /none",
    "run --model r1 --task vqa", "run --model r1 --task glue --method classify", "run --model vl --task vqa --dtype f8",
    "run --model r1 --task glue/rte --shots 9999", "run --model r1 --task math --system-prompt @/none",
    "run --model replay:/none --task vqa", "run --model r1 --task math --extend 5 --out /none",
    "run --model r1 --task math --out /proc/none", "attend --model vl --image /none.png --question x --out a.png",
    "check --system a=b", "compare /none /none2", "report /none", "trends /none", "score /none", "show /none",
]  # fmt: skip


@pytest.mark.slow
def test_mistakes_of_the_command_line_are_found_before_torch_is_imported():
    code = (
        "import sys\nfrom evals.app import cli\n"
        f"for line in {WRONG!r}:\n"
        "    assert cli.main(line.split()) == 2, line\n"
        "    assert not {'torch', 'transformers'} & set(sys.modules), line\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environ(), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert len(done.stderr.splitlines()) == len(WRONG)
