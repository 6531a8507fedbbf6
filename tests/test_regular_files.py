"""A device never ends and a pipe may never begin: neither is read where a file is expected.

pytest tests/test_regular_files.py
"""

from __future__ import annotations

import os
import threading

import pytest
from commands import evals, refused

from evals import regular_files


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


def test_a_pipe_that_the_user_names_is_read(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    writer = threading.Thread(target=(tmp_path / "pipe").write_bytes, args=(b"content",))
    writer.start()
    assert regular_files.read(tmp_path / "pipe", pipe=True) == b"content"
    writer.join()


def test_a_pipe_among_the_files_of_data_or_a_run_is_refused(tmp_path):
    (tmp_path / "RTE").mkdir()
    os.mkfifo(tmp_path / "RTE" / "dev.tsv")
    (tmp_path / "outputs.tsv").write_text("index\tprediction\n0\tentailment\n")
    arguments = ("--model", f"replay:{tmp_path / 'outputs.tsv'}", "--task", "glue/rte", "--data", tmp_path)
    refused(evals("run", *arguments, "--out", tmp_path / "run"), "dev.tsv")
    (tmp_path / "other").mkdir()
    os.mkfifo(tmp_path / "other" / "manifest.json")
    refused(evals("show", tmp_path / "other"), "manifest.json", "it is no regular file but a pipe")
