"""A device never ends and a pipe may never begin: neither is read where a file is expected.

pytest tests/test_regular_files.py
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading

import pytest
from commands import evals, refused

from evals import InputError, data, regular_files
from evals.data import json_files


def test_a_regular_file_is_read_whole_and_nothing_else(tmp_path):
    path, pipe = tmp_path / "file", tmp_path / "pipe"
    path.write_bytes(b"content")
    (tmp_path / "link").symlink_to(path)
    os.mkfifo(pipe)
    assert regular_files.read(path) == regular_files.read(tmp_path / "link") == b"content"
    for other, words in ((pipe, "a pipe"), ("/dev/zero", "a device"), (tmp_path, "Is a directory")):
        with pytest.raises(OSError, match=words):
            regular_files.read(other)
    with pytest.raises(FileNotFoundError):
        regular_files.read(tmp_path / "missing")


def test_a_file_that_is_too_large_is_not_read(tmp_path, monkeypatch):
    path = tmp_path / "hole"
    with path.open("wb") as file:
        file.truncate(8 << 30)
    for limit in ({}, {"limit": 5}):
        with pytest.raises(OSError, match="it has over"):
            regular_files.read(path, **limit)
    path.write_bytes(b"12345")
    assert regular_files.read(path, limit=5) == b"12345"
    monkeypatch.setattr(json_files, "MAX_LINE", 1000)
    path.write_bytes(b"{}\n" + bytes(1001))
    with pytest.raises(InputError, match="line 2: it has over 1,000 bytes"):
        data.read_jsonl(path, dict)
    with path.open("wb") as file:
        file.truncate(json_files.MAX_BYTES + 1)
    with pytest.raises(InputError, match="hole cannot be read: it has over 1,073,741,824 bytes"):
        data.read_json(path, dict)


def test_a_pipe_that_the_user_names_is_read(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    writer = threading.Thread(target=(tmp_path / "pipe").write_bytes, args=(b"content",))
    writer.start()
    assert regular_files.read(tmp_path / "pipe", pipe=True) == b"content"
    writer.join()


def test_a_pipe_is_read_up_to_the_limit(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for size, limit in ((3_000_000, 3_000_000), (3_000_001, 3_000_000)):
        writer = threading.Thread(target=(tmp_path / "pipe").write_bytes, args=(bytes(size),))
        writer.start()
        if size > limit:
            with pytest.raises(OSError, match="it has over 3,000,000 bytes"):
                regular_files.read(tmp_path / "pipe", pipe=True, limit=limit)
        else:
            assert regular_files.read(tmp_path / "pipe", pipe=True, limit=limit) == bytes(size)
        writer.join()


def test_a_small_file_needs_little_memory(tmp_path):
    """Where memory is limited, as in a container, reserving as much as the limit would fail."""
    (tmp_path / "file").write_bytes(b"content")
    code = (
        "import resource, sys; from pathlib import Path; from evals import regular_files;"
        "resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30)); print(regular_files.read(Path(sys.argv[1])))"
    )
    done = subprocess.run([sys.executable, "-c", code, tmp_path / "file"], capture_output=True, text=True, check=True)
    assert done.stdout == "b'content'\n"


def test_a_pipe_among_the_files_of_data_or_a_run_is_refused(tmp_path):
    (tmp_path / "RTE").mkdir()
    os.mkfifo(tmp_path / "RTE" / "dev.tsv")
    (tmp_path / "outputs.tsv").write_text("index\tprediction\n0\tentailment\n")
    arguments = ("--model", f"replay:{tmp_path / 'outputs.tsv'}", "--task", "glue/rte", "--data", tmp_path)
    refused(evals("run", *arguments, "--out", tmp_path / "run"), "dev.tsv")
    (tmp_path / "other").mkdir()
    os.mkfifo(tmp_path / "other" / "manifest.json")
    refused(evals("show", tmp_path / "other"), "manifest.json", "it is no regular file but a pipe")
