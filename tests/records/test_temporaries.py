"""What a kill leaves behind is removed by the next start, and never what a living process writes."""

from __future__ import annotations

import random
import signal
import subprocess
import time

import pytest
from commands import start
from test_records import MANIFEST

from evals.records.folder import RunFolder
from evals.temporaries import remove_abandoned, scratch_folder, write_atomically

WRITE = """
import os, sys
from pathlib import Path
from evals import temporaries
def wait(_):
    print("writing", flush=True)
    sys.stdin.read()
temporaries.os.fsync = wait
temporaries.write_atomically(Path({path!r}), b"new")
"""
SCRATCH = """
import sys
from pathlib import Path
from evals.temporaries import scratch_folder
with scratch_folder("base", Path({path!r})) as folder:
    (folder / "link").symlink_to("/")
    print("writing", flush=True)
    sys.stdin.read()
"""


def writer(code, path):
    """A process that has begun to write and waits."""
    process = start("-c", code.format(path=str(path)), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "writing\n"
    return process


def kill(process):
    process.kill()
    process.communicate()


def test_a_file_that_was_being_written_is_removed_when_its_process_has_ended(tmp_path):
    path = tmp_path / "result.json"
    process = writer(WRITE, path)
    try:
        assert len(list(tmp_path.iterdir())) == 1
        write_atomically(path, b"mine")  # does not touch what the other writes
        assert len(list(tmp_path.iterdir())) == 2
        remove_abandoned(tmp_path)
        assert len(list(tmp_path.iterdir())) == 2
    finally:
        kill(process)
    assert len(list(tmp_path.iterdir())) == 2
    write_atomically(path, b"again")
    assert [file.name for file in tmp_path.iterdir()] == ["result.json"]
    assert path.read_bytes() == b"again"


def test_a_writer_that_lives_ends_well_while_others_look(tmp_path):
    path = tmp_path / "result.json"
    process = writer(WRITE, path)
    write_atomically(path, b"mine")
    process.communicate("", timeout=60)
    assert process.returncode == 0
    assert path.read_bytes() == b"new"
    assert [file.name for file in tmp_path.iterdir()] == ["result.json"]


def test_a_scratch_folder_is_removed_when_its_process_has_ended(tmp_path):
    process = writer(SCRATCH, tmp_path)
    try:
        (theirs,) = tmp_path.iterdir()
        with scratch_folder("base", tmp_path) as mine:
            assert {theirs, mine} == set(tmp_path.iterdir())
        assert list(tmp_path.iterdir()) == [theirs]
    finally:
        kill(process)
    assert (theirs / "link").is_symlink()
    with scratch_folder("another", tmp_path):
        assert theirs.exists()
    with scratch_folder("base", tmp_path) as mine:
        assert list(tmp_path.iterdir()) == [mine]
    assert list(tmp_path.iterdir()) == []


def test_a_run_folder_that_is_opened_holds_no_abandoned_file_and_loses_no_other(tmp_path):
    (tmp_path / "worst").mkdir()
    for name in (".report.html.123.tmp", "worst/.42.png.77.tmp", ".notes.tmp", "mine.tmp", ".samples.jsonl.5.tmp~"):
        (tmp_path / name).write_text("x")
    with RunFolder(tmp_path, MANIFEST):
        pass
    left = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    assert left == {".lock", "manifest.json", "samples.jsonl", ".notes.tmp", "mine.tmp", ".samples.jsonl.5.tmp~"}


def test_links_are_neither_followed_nor_removed(tmp_path):
    (tmp_path / "kept").write_text("x")
    (tmp_path / ".result.json.1.tmp").symlink_to(tmp_path / "kept")
    remove_abandoned(tmp_path)
    assert (tmp_path / "kept").exists()


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2))
def test_many_writers_that_are_killed_at_any_moment_leave_one_whole_file(tmp_path, seed):
    code = """
import sys
from pathlib import Path
from evals.temporaries import write_atomically
print("ready", flush=True)
n = 0
while True:
    write_atomically(Path(sys.argv[1]), bytes([65 + n % 26]) * 100_000)
    n += 1
"""
    draw = random.Random(seed)
    path = tmp_path / "result.json"
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    processes = [start("-c", code, path, **options) for _ in range(3)]
    for process in processes:
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        time.sleep(0.2 + draw.random() * 0.3)
        assert process.poll() is None, process.stderr.read()
        process.send_signal(signal.SIGKILL)
        process.communicate()
        content = path.read_bytes()
        assert content == content[:1] * 100_000
    write_atomically(path, b"last")
    assert [file.name for file in tmp_path.iterdir()] == ["result.json"]
