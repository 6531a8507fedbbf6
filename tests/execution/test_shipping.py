"""What travels to a worker on another machine: the files of a configuration, by content.

python -m pytest tests/execution/test_shipping.py
"""

from __future__ import annotations

import json
import os
import shutil

from PIL import Image

from evals.execution.run import _worker_setup, resolved
from evals.execution.workers.cluster import nodes
from evals.execution.workers.cluster.shipping import local_files, pack, unpack
from evals.registry import TASKS
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


def test_a_table_is_sent_with_the_images_that_its_rows_name_and_no_others(tmp_path, monkeypatch):
    here = tmp_path / "here"
    (here / "photos").mkdir(parents=True)
    for name in ("photos/a.png", "b.png", "photos/unused.png"):
        Image.new("RGB", (8, 8), "red").save(here / name)
    (here / "rows.csv").write_text("image,text,target\nphotos/a.png,Color?,red\nb.png,Color?,red\nb.png,Shade?,red\n")
    (here / "answers.jsonl").write_text("".join(json.dumps({"id": str(n), "output": "red"}) + "\n" for n in (1, 2, 3)))
    monkeypatch.setenv("EVALS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(nodes, "check", lambda config, source: None)
    config = RunConfig.of(f"replay:{here}/answers.jsonl", "custom", cluster="auto", data=here / "rows.csv")
    split = TASKS.get("custom").samples(config.options)
    setup = _worker_setup(config, split)
    assert setup.files.media == ("photos/a.png", "b.png")
    parcels = {
        path: pack(path, beside)
        for path, beside in ((setup.files.data, setup.files.media), (setup.files.checkpoint, ()))
    }
    assert [name for name, _ in parcels[setup.files.data].files] == ["", "photos/a.png", "b.png"]
    shutil.rmtree(here)
    loaded = setup(0, lambda path, beside=(): unpack(parcels[path]))
    places = [sample.requests[0].parts[0].path for sample in loaded.samples]
    assert all(place.is_file() and place.is_relative_to(tmp_path / "cache") for place in places)
    assert loaded.samples.facts["media"] == split.facts["media"]
    assert not list((tmp_path / "cache").rglob("unused.png"))
