"""Data sets of the hub: pinned, verified, and read without a network afterwards.

python -m pytest tests/data/row_tables/test_hub_files.py
"""

from __future__ import annotations

import csv
import io
import json
import logging
import re
import zipfile

import pyarrow as pa
import pytest
from hub_server import serving
from huggingface_hub import constants
from pyarrow import parquet

from evals import InputError, Options
from evals.data.row_tables import hub_files
from evals.registry import TASKS
from evals.tasks import custom
from evals.tasks.formats import retrieval_hub

CARD = b"""---
configs:
- config_name: easy
  default: true
  data_files:
  - {split: train, path: easy/train.jsonl}
  - {split: test, path: easy/test.jsonl}
- config_name: hard
  data_files: hard/*.csv
---
# Numbers
"""
FILES = {
    "README.md": CARD,
    "easy/train.jsonl": b'{"question": "1 + 1?", "answer": 2}\n',
    "easy/test.jsonl": b'{"question": "2 + 2?", "answer": 4}\n{"question": "2 + 3?", "answer": 5}\n',
    "hard/rows.csv": b"question,answer\n17 * 3?,51\n",
    "loader.py": b"raise SystemExit('code of a stranger')\n",
}


def read(name: str, split: str | None = None):
    return custom.samples(Options(data=f"hf:{name}", split=split))


def test_a_data_set_is_pinned_verified_and_read_again_without_a_network(tmp_path, monkeypatch, caplog):
    caplog.set_level(logging.INFO, "evals.data")
    with serving({"me/numbers": dict(FILES)}, monkeypatch, tmp_path) as hub:
        revision = hub.revision("me/numbers")
        with pytest.raises(InputError, match="has the splits train, test: choose one with --split"):
            read("me/numbers#easy")
        samples = read("me/numbers#easy", "test")
        assert [sample.target for sample in samples] == [["4"], ["5"]]
        facts = samples.facts
        assert (facts["repository"], facts["revision"], facts["config"]) == ("me/numbers", revision, "easy")
        assert any(
            re.search(r"downloading 72 bytes in 1 file at revision", record.message) for record in caplog.records
        )
        assert not [path for path in hub.requests if path.endswith((".py", "train.jsonl"))], "only what is read"
        with pytest.raises(InputError, match="no configuration of hf:me/numbers is named 'hrd'; did you mean 'hard'"):
            read("me/numbers#hrd")
        with pytest.raises(InputError, match="me/nothing is not on this machine, and the hub does not provide it"):
            read("me/nothing")
        # The branch moves: the pinned revision is what is read, and nothing is asked.
        hub.repositories["me/numbers"]["easy/test.jsonl"] = b'{"question": "2 + 2?", "answer": 3}\n'
        asked = len(hub.requests)
        assert read("me/numbers#easy", "test").facts == facts
        assert len(hub.requests) == asked
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert read("me/numbers#easy", "test").facts == facts
    with pytest.raises(InputError, match=r"^me/.*|hf:me/other is not on this machine.*ffline") as refusal:
        read("me/other")
    assert "\n" not in str(refusal.value)
    # A file of the cache that was changed is not what was measured before.
    (path,) = (tmp_path / "hub").rglob("snapshots/*/easy/test.jsonl")
    path.resolve().write_bytes(b'{"question": "2 + 2?", "answer": 5}\n')
    with pytest.raises(InputError, match="is not the file of its first use"):
        read("me/numbers#easy", "test")


@pytest.mark.parametrize("pattern", ["/etc/*.csv", "../other/*.csv", "https://example.com/x.csv"])
def test_a_card_cannot_name_files_elsewhere(pattern):
    text = f"---\nconfigs:\n- config_name: a\n  data_files:\n  - {{split: test, path: '{pattern}'}}\n---\n"
    with pytest.raises(InputError, match="outside the data set"):
        hub_files._check_card("hf:me/bad", text)


@pytest.mark.parametrize("name", ["numbers", "me/numbers/more", "me/numbers@", "me/../x", "me/a b"])
def test_a_name_of_another_form_is_refused(name, tmp_path, monkeypatch):
    monkeypatch.setenv("EVALS_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(InputError, match="hf:"):
        read(name)


def parquet_bytes(**columns: list) -> bytes:
    file = io.BytesIO()
    parquet.write_table(pa.table(columns), file)
    return file.getvalue()


PNG = b"\x89PNG"


def captions(collection: retrieval_hub.HubCollection) -> tuple[str, dict[str, bytes]]:
    """Write two images of the test split, and one of another, as the hub has them."""
    table, zipped = io.StringIO(), io.BytesIO()
    writer = csv.writer(table)
    writer.writerow(["raw", "sentids", "split", "filename", "img_id", "cocoid"])
    with zipfile.ZipFile(zipped, "w") as archive:
        for number, split in ((1, "test"), (2, "test"), (3, "train")):
            texts = [" A dog. ", 'He said "no".', "c", "d", "e", f"six {number}"]
            raw = json.dumps(texts) if collection.id == "filename" else repr(texts)
            writer.writerow([raw, "[]", split, f"{number}.jpg", number, number + 6])
            archive.writestr(f"images/{number}.jpg", PNG)
            archive.writestr(f"__MACOSX/images/{number}.jpg", b"")
    return collection.repository, {collection.table: table.getvalue().encode(), collection.images: zipped.getvalue()}


def at_full_scale(name: str):
    task, _, split = name.partition(" ")
    return TASKS.get(task).samples(Options(scale="full", split=split or None))


def test_official_files_are_fetched_at_full_scale_and_read_again_without_a_network(tmp_path, monkeypatch, caplog):
    caplog.set_level(logging.INFO, "evals.data")
    rte = {"sentence1": ["A cat.", "A dog."], "sentence2": ["An animal.", "A cat."], "label": [0, 1], "idx": [0, 1]}
    problems = {"question": ["How much is 1 + 1?"] * 8, "answer": ["1 + 1 is 2.\n#### 2"] * 8}
    problem = json.dumps({"problem": "P", "solution": "$\\boxed{2}$", "unique_id": "test/1.json"}).encode()
    shard = "00000-of-00001.parquet"
    subject = {"problem": ["P", "Q"], "level": ["Level 3"] * 2, "type": ["Algebra"] * 2}
    subject["solution"] = ["$\\boxed{2}$", "so \\boxed{\\frac12}"]
    answers = [[{"answer": "red", "answer_confidence": "yes", "answer_id": n} for n in range(1, 11)]]
    asked = {"question": ["c?"], "image": [{"bytes": PNG, "path": None}], "question_id": [42000], "image_id": [42]}
    asked |= {
        "question_type": ["what"],
        "answer_type": ["other"],
        "multiple_choice_answer": ["red"],
        "answers": answers,
    }
    repositories = {
        "EleutherAI/hendrycks_math": {
            f"{name}/{split}-{shard}": parquet_bytes(**subject)
            for name in ("algebra", "geometry")
            for split in ("test", "train")
        },
        "lmms-lab/VQAv2": {f"data/validation-{shard}": parquet_bytes(**asked)},
        **dict(map(captions, retrieval_hub.COLLECTIONS.values())),
        "nyu-mll/glue": {f"rte/{split}-{shard}": parquet_bytes(**rte) for split in ("train", "validation")},
        "openai/gsm8k": {f"main/{split}-{shard}": parquet_bytes(**problems) for split in ("test", "train")},
        "HuggingFaceH4/MATH-500": {"test.jsonl": problem},
    }
    tasks = {"glue/rte": 2, "math/gsm8k": 8, "math/math500": 1, "math/math": 4, "vqa": 1}
    tasks |= dict.fromkeys(("retrieval flickr30k-1k", "retrieval coco-5k-all-captions"), 2)
    with serving(repositories, monkeypatch, tmp_path) as hub:
        facts = {name: at_full_scale(name).facts for name in tasks}
        revisions = {name: hub.revision(name) for name in repositories}
    assert {entry["repository"]: entry["revision"] for entry in facts.values()} == revisions
    assert sum("downloading" in record.message for record in caplog.records) == 7
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    for name, count in tasks.items():
        samples = at_full_scale(name)
        assert (len(samples), samples.facts) == (count, facts[name])
    problems = at_full_scale("math/math")
    assert problems.ids == ["algebra/0", "algebra/1", "geometry/0", "geometry/1"]
    assert (problems[1].target, problems[1].labels) == ("\\frac12", {"level": "Level 3", "type": "Algebra"})
    assert facts["math/math"]["shots"] == 4
    (question,) = at_full_scale("vqa")
    assert (question.id, question.cluster, question.target) == ("42000", "42", ["red"] * 10)
    assert question.labels == {"answer type": "other", "question type": "what"}
    flickr, coco = (at_full_scale(name) for name in [*tasks][-2:])
    assert [(s.id, len(s.target), s.requests[0].parts[0].data) for s in flickr] == [
        ("1.jpg", 5, PNG),
        ("2.jpg", 5, PNG),
    ]
    assert [(s.id, len(s.target)) for s in coco] == [("7", 6), ("8", 6)]
    assert (flickr[0].target[1], coco.facts["protocol"]) == ('He said "no".', "custom-all-captions"), "of 2 images"
    with pytest.raises(InputError, match=r"choose --split flickr30k-1k or --split coco-5k"):
        at_full_scale("retrieval")
    (prompt,) = TASKS.get("math/gsm8k").samples(Options(scale="full", shots=1))[0].requests
    assert "1 + 1 is 2." in prompt.parts[0], "the training problems are beside the test problems"
