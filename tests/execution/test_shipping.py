"""What travels to a worker on another machine: the files of a configuration, by content.

python -m pytest tests/execution/test_shipping.py
"""

from __future__ import annotations

import json
import os
import shutil

from evals.execution.run import _worker_setup, resolved
from evals.execution.workers.cluster import nodes
from evals.execution.workers.cluster.shipping import local_files, pack, unpack
from evals.schema import RunConfig

TASK = "data: rows/r.jsonl\nsplit: r\nprompt: '{{ q }}'\ntarget: a\n"


def test_a_task_file_and_its_data_are_sent_by_content(tmp_path, monkeypatch):
    """The worker's machine is this one after the folder is gone."""
    here, there = tmp_path / "here", tmp_path / "there"
    for folder in (here / "rows", there):
        folder.mkdir(parents=True)
    (here / "own.yaml").write_text(TASK)
    (here / "rows" / "r.jsonl").write_text(json.dumps({"q": "1 + 1?", "a": "2"}))
    (here / "answers.jsonl").write_text(json.dumps({"id": "1", "output": "2"}))
    monkeypatch.chdir(here)
    monkeypatch.setattr(nodes, "check", lambda config, source: None)
    config = RunConfig.of("replay:answers.jsonl", "./own.yaml", cluster="auto")
    setup = _worker_setup(config)
    assert (setup.files.task, setup.files.data) == (str(here / "own.yaml"), str(here / "rows" / "r.jsonl"))
    other = RunConfig.of("replay:answers.jsonl", "./own.yaml", cluster="auto", data=here / "rows")
    assert local_files(other, resolved(other)).data == str(here / "rows"), "the user's data come first"
    parcels = {path: pack(path) for path in (setup.files.task, setup.files.data, setup.files.checkpoint)}
    os.chdir(there)
    shutil.rmtree(here)
    monkeypatch.setenv("EVALS_CACHE", str(tmp_path / "cache"))
    loaded = setup(0, lambda path: unpack(parcels[path]))
    (sample,) = loaded.samples
    assert (sample.requests[0].parts, sample.target) == (("1 + 1?",), ["2"])
    assert loaded.samples.facts["definition"] == TASK
