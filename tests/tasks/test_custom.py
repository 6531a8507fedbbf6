"""The task `custom`: rows that are read, rows that are refused, and correct answers.

python -m pytest tests/tasks/test_custom.py
"""

from __future__ import annotations

import base64
import io
import json
import string
from pathlib import Path

import pytest
from commands import ROOT, evals, refused
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image as Picture

from evals import Audio, Image, InputError, Options, Prediction
from evals.data.images import decode
from evals.tasks import custom


def png(colour: str = "red") -> bytes:
    file = io.BytesIO()
    Picture.new("RGB", (30, 20), colour).save(file, "PNG")
    return file.getvalue()


def written(folder: Path, *rows: object, name: str = "rows.jsonl") -> Path:
    path = folder / name
    path.write_text("\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows))
    return path


def read(path: Path):
    return custom.samples(Options(data=path))


def values(said: str, *targets: str) -> dict[str, float]:
    sample = custom.Sample("1", (), target=list(targets), labels={"shows": "text"})
    (scored,) = custom.score([sample], {"1": [Prediction("1", output=said)]})
    return dict(scored.values)


# What is read


def test_a_row_of_every_modality(tmp_path):
    data = base64.b64encode(png()).decode()
    path = written(
        tmp_path,
        {"text": "what is said?", "image": "a/b.png", "audio": "c.wav", "target": "red"},
        "",
        {"text": "colour?", "image": data, "target": ["red", "crimson"], "id": "seven"},
        {"text": "colour?", "image": f"data:image/png;base64,{data}", "target": "red"},
        {"text": "2 + 2?", "target": "4"},
    )
    samples = read(path)
    assert list(samples.ids) == ["1", "seven", "4", "5"], "rows without an id go by their line"
    picture, sound, text = samples[0].requests[0].parts
    assert picture == Image("a/b.png", path=tmp_path / "a/b.png")
    assert sound == Audio("c.wav", path=tmp_path / "c.wav")
    assert text == "what is said?"
    bare, url = samples[1].requests[0].parts[0], samples[2].requests[0].parts[0]
    assert bare == url
    assert decode(bare).getpixel((0, 0)) == (255, 0, 0)
    assert samples[1].target == ["red", "crimson"]
    assert samples.facts["modalities"] == ["audio", "image", "text"]


def test_base64_may_have_line_breaks(tmp_path):
    data = base64.encodebytes(png()).decode()
    assert "\n" in data.strip()
    rows = [{"image": data, "target": "red"}, {"image": f"data:image/png;base64,{data}", "target": "red"}]
    for sample in read(written(tmp_path, *rows)):
        assert decode(sample.requests[0].parts[0]).getpixel((0, 0)) == (255, 0, 0)


def test_the_only_file_of_a_folder_is_found(tmp_path):
    written(tmp_path, {"text": "a", "target": "b"})
    assert len(read(tmp_path)) == 1
    written(tmp_path, {"text": "a", "target": "b"}, name="more.jsonl")
    with pytest.raises(InputError, match=r"more\.jsonl, rows\.jsonl"):
        read(tmp_path)


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({"target": "b"}, "line 2.*has no prompt"),
        ({"text": "a"}, "line 2.*target"),
        ({"text": "a", "target": "?!"}, "line 2.*empty once it is normalised"),
        ({"text": "a", "target": []}, "line 2.*empty"),
        ({"text": "a", "target": None}, "line 2.*target is missing"),
        ({"text": "a", "target": {"start": 4}}, "line 2.*target is a mapping with 'start'; expected one of text"),
        ({"text": "a", "target": "b", "imge": "c.png"}, "'imge': is it image"),
        ({"text": "a", "target": "b", "image": "../secret.png"}, "line 2.*leaves its folder"),
        ({"text": "a", "target": "b", "image": "/etc/passwd"}, "line 2.*leaves its folder"),
        ({"text": "a", "target": "b", "audio": "..\\secret.wav"}, "line 2.*leaves its folder"),
        ({"text": "a", "target": "b", "image": "data:image/png,raw"}, "line 2.*without base64"),
        ({"text": "a", "target": "b", "image": "data:image/png;base64,?"}, "line 2.*not base64"),
        ({"text": "a", "target": "b", "image": "data:image/png;base64,ä"}, "line 2.*not base64"),
        ({"text": "a", "target": "b", "image": "a\0.png"}, "line 2.*control character"),
        ({"text": "a", "target": "b", "image": "a\nb.png"}, "line 2.*control character"),
        ({"text": "a", "target": "b", "audio": "a" * 300}, "line 2.*300 characters, more than a file system"),
        ({"text": "a", "target": "b", "image": "a/" * 3000 + "b"}, "line 2.*6,001 characters, more than"),
        (
            {"text": "a", "target": "b", "image": base64.b64encode(b"%PDF" + bytes(400)).decode()},
            "line 2.*nor base64 of",
        ),
        ({"text": "a", "target": "b", "id": "1"}, "id 1 comes twice"),
        ("{", "line 2"),
    ],
)
def test_a_bad_row_is_named(tmp_path, row, words):
    with pytest.raises(InputError, match=words):
        read(written(tmp_path, {"text": "a", "target": "b", "id": 1}, row))


def test_an_empty_file_is_no_benchmark(tmp_path):
    with pytest.raises(InputError, match="no rows"):
        read(written(tmp_path, ""))


# When an answer is right


@pytest.mark.parametrize(
    ("said", "target", "accuracy", "contains"),
    [
        ("red", "red", 1, 1),
        ("  RED.\n", "red", 1, 1),
        ("It is red.", "red", 0, 1),
        ("hundred", "red", 0, 0),
        ("-5", "5", 0, 0.5),
        ("13", "3", 0, 0),
        ("it is 3.", "3", 0, 1),
        ("3.5", "3", 0, 0),
        ("3.5", "5", 0, 0),
        ("about 1,200 cars", "200", 0, 0),
        ("0.5", ".5", 0, 0),
        ("3, 5 and 7", "5", 0, 1),
        ("C++", "C", 0, 0.5),
        ("35", "3.5", 0, 0),
        ("", "red", 0, 0),
        ("“红色”。", "红色", 1, 1),
        ("答案是红色。", "红色", 0, 1),
    ],
)
def test_answers(said, target, accuracy, contains):
    found = values(said, target)
    assert found["accuracy"] == accuracy
    if contains != 0.5:  # a sign is no part of a word: whether it changes the meaning is for exact match to say
        assert found["contains"] == contains


TEXTS = st.text(st.sampled_from(string.ascii_letters + "ÄßéİΣ ½²ﬁ.,!-+%$#(「」。红5"), max_size=12)


@given(TEXTS)
def test_normalising_twice_is_normalising_once(text):
    once = custom.normalised(text)
    assert custom.normalised(once) == once


@given(TEXTS, TEXTS)
def test_what_is_right_is_contained(said, target):
    if custom.normalised(target):
        found = values(said, target)
        assert found["contains"] >= found["accuracy"]
        assert values(target, target)["accuracy"] == 1
        assert values(said, target, said or "x")["accuracy"] >= found["accuracy"]


def test_a_failure_is_wrong_and_counted_apart():
    sample = custom.Sample("1", (), target=["red"], labels={"shows": "text"})
    (scored,) = custom.score([sample], {"1": [Prediction("1", failure="no")]})
    assert (scored.failed, dict(scored.values)) == (True, {"accuracy": 0.0, "contains": 0.0})


# As a user runs it


@pytest.mark.slow
def test_the_replica_answers_rows_about_a_picture(tmp_path):
    from evals.tasks.mini.images.drawing import draw
    from evals.tasks.mini.vqa import split

    rows = []
    for sheet in split("validation")[:3]:
        draw(sheet.scene).save(tmp_path / f"{sheet.image_id}.png")
        rows += [{"text": q.text, "image": f"{sheet.image_id}.png", "target": q.answer} for q in sheet.questions]
    path = written(tmp_path, *rows)
    done = evals("run", "--model", "vl", "--task", "custom", "--data", path, "--out", tmp_path / "run")
    assert done.returncode == 0, done.stderr
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert result["n"] == len(rows)
    assert result["metrics"]["accuracy"]["value"] >= 0.3
    assert result["metrics"]["accuracy"]["low"] is not None


def test_a_modality_that_a_model_lacks_is_named(tmp_path):
    path = written(tmp_path, {"text": "a", "target": "b"}, {"audio": "c.wav", "target": "b"})
    refused(evals("run", "--model", "vl", "--task", "custom", "--data", path, cwd=tmp_path), "shows audio", "'vl'")
    refused(evals("run", "--model", "vl", "--task", "custom", cwd=ROOT), "--data FILE.jsonl")


@pytest.mark.parametrize("field", ["image", "audio"])
@pytest.mark.parametrize("value", ["", " \n"])
def test_an_empty_path_is_not_a_question_without_its_image(tmp_path, field, value):
    row = {"text": "What is it?", field: value, "target": "a dog"}
    (tmp_path / "rows.jsonl").write_text(json.dumps(row) + "\n")
    with pytest.raises(InputError, match=f"line 1: {field} is empty"):
        custom.samples(Options(data=tmp_path / "rows.jsonl"))


def test_an_empty_target_among_others_is_refused(tmp_path):
    (tmp_path / "rows.jsonl").write_text(json.dumps({"text": "?", "target": ["", "no"]}) + "\n")
    with pytest.raises(InputError, match=r"target \['', 'no'\] is empty"):
        custom.samples(Options(data=tmp_path / "rows.jsonl"))
