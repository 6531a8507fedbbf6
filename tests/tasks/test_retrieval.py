"""Retrieval: official files, protocols, recorded embeddings, scores against brute force, words in common, bad input.

python -m pytest tests/tasks/test_retrieval.py
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from commands import evals, refused
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from retrieval_reference import brute_force

import evals as package
from evals import records
from evals.errors import InputError, UnknownName
from evals.metrics.retrieval import rank, unit_rows
from evals.records.embeddings import pack
from evals.schema import Options, Prediction, Sample
from evals.statistics.intervals import mean_intervals
from evals.tasks import retrieval
from evals.tasks.mini import generate
from evals.tasks.mini.images.scenes import COLORS, SHAPES, SIZES, TEXTURES
from evals.tasks.mini.retrieval import GROUP, split
from evals.tasks.scoring.retrieval import average_precision, score, text_ids
from evals.tasks.scoring.retrieval_metrics import summarise

RECALLS = [f"{direction}/recall@{k}" for direction in ("image-to-text", "text-to-image") for k in (1, 5, 10)]


# Folders as users have them


def picture(path: Path, color: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (40, 30), (color % 256, color // 7 % 256, 90)).save(path)


def flickr8k(folder: Path, images: int = 12) -> Path:
    names = [f"{n}_ab.jpg" for n in range(images)]
    lines = [f"{name}#{n}\tCaption {n} of {name} ." for name in [*names, "9_ab.jpg.1"] for n in range(5)]
    (folder / "Flickr8k.token.txt").write_text("\n".join(lines) + "\n")
    (folder / "Flickr_8k.testImages.txt").write_text("\n".join(names[: images - 2]) + "\n")
    (folder / "Flickr_8k.devImages.txt").write_text("\n".join(names[images - 2 :]) + "\n")
    for n, name in enumerate(names):
        picture(folder / "images" / name, 20 * n)
    return folder


def karpathy(folder: Path, images: int = 4, captions: int = 6, dataset: str = "coco") -> Path:
    rows = [
        {
            "filename": f"COCO_val2014_{n:012d}.jpg", "filepath": "val2014", "cocoid": n, "split": "test",
            "sentences": [{"raw": f"Words {c} of {n}. ", "tokens": []} for c in range(captions)],
        }
        for n in range(images)
    ]  # fmt: skip
    (folder / f"dataset_{dataset}.json").write_text(json.dumps({"dataset": dataset, "images": rows}))
    return folder


def coco(folder: Path, images: int = 4) -> Path:
    known = [{"id": n, "file_name": f"{n:012d}.jpg"} for n in range(images)]
    said = [
        {"id": 10 * n + c, "image_id": n, "caption": f"A thing {c} of {n}.\n"} for c in range(6) for n in range(images)
    ]
    (folder / "captions_val2017.json").write_text(json.dumps({"images": known, "annotations": said}))
    for n in range(images - 1):
        picture(folder / "val2017" / f"{n:012d}.jpg", 30 * n)
    return folder


def embeddings(path: Path, samples, vectors) -> Path:
    """Write recorded embeddings of samples: `vectors` gives one for an id."""
    images, texts = [s.id for s in samples], [id for s in samples for id in text_ids(s.id, s.target)]
    np.savez(
        path, image_ids=images, image_embeddings=np.stack([vectors(id) for id in images]), text_ids=texts,
        text_embeddings=np.stack([vectors(id) for id in texts]),
    )  # fmt: skip
    return path


def drawn(id: str, width: int = 8) -> np.ndarray:
    """A vector of an id; those of a picture and of its captions point roughly the same way."""
    own, common = (np.random.default_rng(sum(map(ord, key)) + 7 * len(key)) for key in (id, id.partition("#")[0]))
    return (common.normal(size=width) + own.normal(size=width)).astype(np.float32)


# What is read


def test_flickr8k_is_read_as_its_files_say(tmp_path):
    samples = retrieval.samples(Options(data=flickr8k(tmp_path)))
    assert [len(samples), samples.facts["split"], samples.facts["protocol"]] == [10, "test", "custom"]
    sample = samples[3]
    assert [request.id for request in sample.requests] == ["3_ab.jpg", *(f"3_ab.jpg#{n}" for n in range(5))]
    assert sample.requests[0].parts[0].path == tmp_path / "images" / "3_ab.jpg"
    assert sample.target[2] == sample.requests[3].parts[0] == "Caption 2 of 3_ab.jpg ."
    assert len(samples.output_ids()) == 60
    assert len(retrieval.samples(Options(data=tmp_path, split="dev"))) == 2


def test_karpathy_gives_the_first_five_captions_or_all(tmp_path):
    samples = retrieval.samples(Options(data=karpathy(tmp_path)))
    assert [sample.id for sample in samples] == ["0", "1", "2", "3"]
    assert samples[1].target == [f"Words {n} of 1." for n in range(5)]
    every = retrieval.samples(Options(data=tmp_path, split="test-all-captions"))
    assert [len(every[1].target), every.facts["split"]] == [6, "test-all-captions"]
    assert every.facts["captions"] == 24


@pytest.mark.parametrize(
    ("dataset", "images", "split", "protocol"),
    [
        ("coco", 5000, None, "coco-5k"), ("coco", 5000, "test-5x1000", "coco-5k-5x1000"),
        ("coco", 5000, "test-all-captions-5x1000", "coco-5k-all-captions-5x1000"), ("coco", 4999, "test", "custom"),
        ("flickr30k", 1000, None, "flickr30k-1k"), ("flickr8k", 1000, "test", "flickr8k-1k"),
    ],
)  # fmt: skip
def test_protocols_have_their_names_and_sizes(tmp_path, dataset, images, split, protocol):
    samples = retrieval.samples(Options(data=karpathy(tmp_path, images, dataset=dataset), split=split))
    assert [samples.facts["protocol"], samples.facts["images"]] == [protocol, images]
    folds = Counter(samples[n].labels.get("fold", "") for n in range(images))
    assert folds == ({str(n): 1000 for n in range(1, 6)} if "5x1000" in protocol else {"": images})


def test_coco_captions_are_of_the_pictures_that_are_there(tmp_path):
    samples = retrieval.samples(Options(data=coco(tmp_path)))
    assert [sample.id for sample in samples] == ["0", "1", "2"]
    assert [samples.facts["protocol"], samples.facts["images"], samples.facts["captions"]] == ["custom", 3, 15]
    assert samples[1].target[4] == "A thing 4 of 1."
    for path in (tmp_path / "val2017").iterdir():
        path.unlink()
    assert len(retrieval.samples(Options(data=tmp_path))) == 4  # recorded outputs need no pictures


def test_bundled_splits_are_the_generators():
    for name in retrieval.SPLITS:
        assert generate.caption_differences(name) == []
        samples = retrieval.samples(Options(split=name))
        assert [len(samples), samples.facts["captions"], samples.facts["protocol"]] == [200, 1000, "mini"]
        assert samples[0].requests[0].parts[0].data[:4] == b"\x89PNG"


def test_a_perfect_bag_of_words_finds_no_picture_of_a_group_first():
    rows = split("validation")
    kinds = (*COLORS, *SHAPES, *SIZES, *TEXTURES)

    def bag(words):
        return np.array([words.count(kind) for kind in kinds], dtype=np.float32)

    def singular(text):
        return [re.sub("es$", "", word) if word == "crosses" else re.sub("s$", "", word) if word[:-1] in kinds else word
                for word in re.findall("[a-z]+", text.lower())]  # fmt: skip

    images = [bag([w for t in one.scene.things for w in (t.color, t.shape, t.size, t.texture)]) for one in rows]
    texts = [bag(singular(text)) for one in rows for text in one.captions]
    sides = [unit_rows(side, [str(n) for n in range(len(side))]) for side in (texts, images)]
    found = list(rank(*sides, [np.array([n // 5]) for n in range(len(texts))]))
    assert all(one.ranks[0] >= GROUP for one in found)
    listing = [one.ranks[0] for one in found[::5]]
    assert np.mean([place <= 5 for place in listing]) > 0.9  # it is not for lack of sight


# What it is worth


def predictions(samples, vectors):
    return {
        s.id: [Prediction(id, output=pack(vectors(id))) for id in (s.id, *text_ids(s.id, s.target))] for s in samples
    }


CHOICES = [np.float32(v) for v in ([1, 0, 0, 0], [0, 1, 0, 0], [1, 1, 1, 1], [1, 1, -1, 1], [0, 0, 0, -2])]
WORDS = ["a dog .", "a cat .", "two dogs .", "a red bus .", "snow .", "a man .", "a hat .", "the sea ."]


@given(st.data())
@settings(max_examples=25, deadline=None)
@pytest.mark.slow
def test_recalls_equal_brute_force_with_ties_and_words_in_common(data):
    captions = st.lists(st.sampled_from(WORDS), min_size=1, max_size=3)
    samples = [Sample(f"{n}.jpg", (), target=data.draw(captions)) for n in range(data.draw(st.integers(1, 15)))]
    ids = [id for s in samples for id in (s.id, *text_ids(s.id, s.target))]
    table = {id: CHOICES[data.draw(st.integers(0, len(CHOICES) - 1))] for id in ids}
    metrics = summarise(score(samples, predictions(samples, table.__getitem__)))
    expected = brute_force(samples, table.__getitem__)
    assert {name: metrics[name].value for name in expected} == pytest.approx(expected)
    assert metrics["rsum"].value == pytest.approx(sum(expected[name] for name in RECALLS))
    if "rsum/shared-captions" in metrics:
        wider = brute_force(samples, table.__getitem__, shared=True)
        assert {name: metrics[f"{name}/shared-captions"].value for name in RECALLS} == pytest.approx(
            {name: wider[name] for name in RECALLS}
        )
        gain = metrics["rsum/shared-captions"].value - metrics["rsum"].value
        assert metrics["rsum/shared-captions-gain"].value == pytest.approx(gain)


def test_average_precision_by_hand():
    assert average_precision([2, 3, 11]) == pytest.approx((1 / 2 + 2 / 3) / 3)
    assert average_precision([1, 4, None]) == 0.5  # (1/1 + 2/4) / 3
    assert average_precision(list(range(1, 13))) == 1.0


def test_a_case_worked_by_hand():
    samples = [Sample("a", (), target=["x", "y"]), Sample("b", (), target=["z"])]
    table = {"a": [1, 0], "b": [0, 1], "a#0": [0.6, 0.8], "a#1": [0, 1], "b#0": [0.8, 0.6]}
    scores = score(samples, predictions(samples, lambda id: np.float32(table[id])))
    # a sees z at 0.8, x at 0.6, y at 0: its captions are second and third. b sees y at 1, x at 0.8, z at 0.6: third.
    assert [one.answer["image-to-text"] for one in scores] == [[2, 3], [3]]
    assert [one.answer["text-to-image"] for one in scores] == [[2, 2], [2]]
    assert [one.answer["nearest caption"] for one in scores] == ["b#0", "a#1"]
    metrics = summarise(scores)
    assert metrics["image-to-text/map@10"].value == pytest.approx(((1 / 2 + 2 / 3) / 2 + 1 / 3) / 2)
    assert [metrics["image-to-text/recall@1"].value, metrics["text-to-image/recall@5"].value] == [0, 1]
    assert [metrics["image-to-text/median-rank"].value, metrics["text-to-image/map@10"].value] == [2.5, 0.5]


def test_a_constant_embedding_scores_the_floor():
    samples = retrieval.samples(Options())
    metrics = summarise(score(list(samples), predictions(list(samples), lambda id: np.full(16, 0.1, np.float32))))
    assert all(metrics[name].value == 0 for name in RECALLS)
    assert metrics["text-to-image/median-rank"].value == 200


def test_recalls_near_one_have_intervals_of_means():
    """A bootstrap of 39 hits in 40 would draw none too few; one of 40 in 40 would draw no miss at all."""
    samples = [Sample(f"{n}", (), target=["w", "v"]) for n in range(40)]
    axes = np.eye(41, dtype=np.float32)
    for missed in (0, 1):
        vectors = {id: axes[int(id.partition("#")[0])] for s in samples for id in (s.id, *text_ids(s.id, s.target))}
        vectors |= {"7": axes[40]} if missed else {}
        recall = summarise(score(samples, predictions(samples, vectors.__getitem__)))["image-to-text/recall@1"]
        (expected,) = mean_intervals([np.arange(40) >= missed], [str(n) for n in range(40)])
        assert (recall.low, recall.high) == pytest.approx(expected)
        assert recall.low < 0.92
        assert recall.high == pytest.approx(1.0) if not missed else recall.high < 1


def test_galleries_are_averaged():
    samples = [Sample(f"{n}", (), target=["w"], labels={"fold": str(n // 2)}) for n in range(4)]
    axes = {"0": [1, 0], "1": [0, 1], "2": [1, 0], "3": [1, 0]}
    scores = score(samples, predictions(samples, lambda id: np.float32(axes[id[0]])))
    assert [one.answer["text-to-image"] for one in scores] == [[1], [1], [2], [2]]
    metrics = summarise(scores)
    assert metrics["text-to-image/recall@1"].value == 0.5
    assert metrics["text-to-image/median-rank"].value == 1.5


def test_what_failed_is_found_by_nobody_and_counts_against_the_score():
    samples = [Sample(f"{n}", (), target=["w", "v"]) for n in range(3)]
    said = predictions(samples, lambda id: np.float32(np.eye(3)[int(id[0])]))
    said["0"][0] = Prediction("0", failure="no picture")
    said["1"][2] = Prediction("1#1", failure="memory")
    scores = score(samples, said)
    assert [one.failed for one in scores] == [True, True, False]
    assert [one.answer["image-to-text"] for one in scores] == [[None, None], [1, None], [1, 2]]
    assert [one.answer["text-to-image"] for one in scores] == [[None, None], [1, None], [1, 1]]
    metrics = summarise(scores)
    assert metrics["text-to-image/recall@10"].value == 0.5
    assert metrics["image-to-text/recall@10"].value == pytest.approx(2 / 3)
    assert math.isfinite(metrics["image-to-text/median-rank"].value)


def test_an_embedding_that_is_none_is_named():
    samples = [Sample("a", (), target=["x"]), Sample("b", (), target=["y"])]
    said = predictions(samples, lambda id: np.float32([1, 2]))
    said["b"][1] = Prediction("b#0", output=[1.0, math.nan])
    with pytest.raises(InputError, match="b#0"):
        score(samples, said)


# Whole runs of recorded embeddings


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    folder = tmp_path_factory.mktemp("flickr")
    samples = list(retrieval.samples(Options(data=flickr8k(folder))))
    return folder, samples, embeddings(folder / "outputs.npz", samples, drawn)


def test_recorded_embeddings_are_scored_from_the_command_line(recorded, tmp_path):
    folder, samples, file = recorded
    arguments = ("run", "--model", f"replay:{file}", "--task", "retrieval", "--data", folder)
    done = evals(*arguments, "--out", tmp_path / "run")
    assert done.returncode == 0, done.stderr
    assert "custom protocol: 10 images, 50 captions" in done.stdout
    record = records.load(tmp_path / "run")
    expected = brute_force(samples, drawn)
    assert {name: record.result["metrics"][name]["value"] for name in expected} == pytest.approx(expected)
    before = (tmp_path / "run" / "samples.jsonl").read_bytes()
    again = evals("score", tmp_path / "run")
    assert again.returncode == 0, again.stderr
    assert records.load(tmp_path / "run").result == record.result
    assert (tmp_path / "run" / "samples.jsonl").read_bytes() == before
    shown = evals("show", tmp_path / "run")
    assert "6 embeddings of 8 numbers" in shown.stdout


def test_a_run_cut_short_goes_on(recorded, tmp_path):
    folder, _, file = recorded
    whole = package.run(f"replay:{file}", "retrieval", data=folder, out=tmp_path / "whole", token_budget=7)
    cut = tmp_path / "cut"
    package.run(f"replay:{file}", "retrieval", data=folder, out=cut, token_budget=7)
    (cut / "result.json").unlink()
    (cut / "report.html").unlink()
    lines = (cut / "samples.jsonl").read_bytes().splitlines(keepends=True)
    (cut / "samples.jsonl").write_bytes(b"".join(lines[:4]) + lines[4][:99])
    resumed = package.run(f"replay:{file}", "retrieval", data=folder, out=cut, token_budget=7)
    assert resumed.result["metrics"] == whole.result["metrics"]
    assert resumed.result["n"] == 10


FORMATS = {
    "float16": lambda rng, shape: rng.integers(-40, 41, shape),
    "float32": lambda rng, shape: rng.integers(-40, 41, shape),
    "float64": lambda rng, shape: rng.integers(-40, 41, shape) / 3,
    "int8": lambda rng, shape: rng.integers(-40, 41, shape),
    "uint8": lambda rng, shape: rng.integers(0, 80, shape),
    "bool": lambda rng, shape: rng.integers(0, 2, shape),
}


@pytest.mark.parametrize("normalised", [False, True])
@pytest.mark.parametrize("dtype", FORMATS)
def test_half_precision_and_quantised_files_keep_their_ties(recorded, tmp_path, dtype, normalised):
    """Every item has a copy, scaled where the format can hold it: a wrong item ties wherever the right one is."""
    folder, samples, _ = recorded
    rng, copies = np.random.default_rng(0), {}
    ids = [id for s in samples for id in (s.id, *text_ids(s.id, s.target))]
    for half in (ids[: len(ids) // 2], ids[len(ids) // 2 :]):
        kinds = FORMATS[dtype](np.random.default_rng(1), (len(half), 48))
        scale = 1 if dtype == "bool" else rng.integers(1, 4, (len(half), 1))
        copies |= dict(zip(half, (kinds * scale).astype(dtype), strict=True))
    held = copies
    if normalised:
        held = {id: row.astype("f4") / np.linalg.norm(row.astype("f4")) for id, row in copies.items()}
    file = embeddings(tmp_path / "copies.npz", samples, held.__getitem__)
    assert np.load(file)["image_embeddings"].dtype == ("float32" if normalised else dtype)
    record = package.run(f"replay:{file}", "retrieval", data=folder, out=tmp_path / "run")
    expected = brute_force(samples, copies.__getitem__)
    assert {name: record.result.metrics[name].value for name in expected} == pytest.approx(expected)
    assert record.result.metrics["image-to-text/recall@1"].value == 0


def changed(file: Path, out: Path, **arrays) -> Path:
    with np.load(file) as held:
        np.savez(out, **{**held, **arrays})
    return out


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            lambda a: {"text_ids": a["text_ids"][1:], "text_embeddings": a["text_embeddings"][1:]},
            ["no output", "0_ab.jpg#0"],
        ),
        (lambda a: {"image_ids": [*a["image_ids"][1:], "x.jpg"]}, ["no output", "0_ab.jpg"]),
        (lambda a: {"text_ids": [*a["text_ids"][:-1], a["text_ids"][0]]}, ["0_ab.jpg#0", "second time"]),
        (lambda a: {"text_ids": a["text_ids"][1:]}, ["text_ids (49,)", "(50, 8)"]),
        (lambda a: {"text_embeddings": np.where(np.arange(50)[:, None] == 7, np.nan, 1.0)}, ["1_ab.jpg#2", "finite"]),
        (lambda a: {"image_embeddings": np.ones((10, 3))}, ["0_ab.jpg#0", "8 numbers", "has 3"]),
        (lambda a: {"image_ids": np.array([{}] * 10)}, ["not a readable .npz"]),
    ],
)  # fmt: skip
def test_recorded_embeddings_that_do_not_fit_are_refused(recorded, tmp_path, change, words):
    folder, _, file = recorded
    with np.load(file) as held:
        bad = changed(file, tmp_path / "bad.npz", **change(dict(held)))
    with pytest.raises(InputError) as error:
        package.run(f"replay:{bad}", "retrieval", data=folder, out=tmp_path / "run")
    assert all(word in str(error.value) for word in words), error.value


def test_recorded_embeddings_of_unknown_items_or_without_an_array_are_refused(recorded, tmp_path):
    folder, samples, _ = recorded
    more = [*samples, Sample("new.jpg", (), target=["?"])]
    with pytest.raises(InputError, match=r"new.jpg.* not in the split"):
        package.run(
            f"replay:{embeddings(tmp_path / 'more.npz', more, drawn)}", "retrieval", data=folder, out=tmp_path / "r"
        )
    np.savez(tmp_path / "less.npz", image_ids=["a"], image_embeddings=np.ones((1, 2)))
    done = evals("run", "--model", f"replay:{tmp_path / 'less.npz'}", "--task", "retrieval", "--data", folder)
    assert refused(done, "text_ids", "text_embeddings")


# Bad input


@pytest.mark.parametrize("scale", [1e-200, 1e200, 1e-39])
def test_the_scale_of_a_float64_file_changes_nothing(recorded, tmp_path, scale):
    folder, samples, _ = recorded
    metrics = []
    for name, factor in (("plain", 1.0), ("scaled", scale)):
        file = embeddings(tmp_path / f"{name}.npz", samples, lambda id, factor=factor: drawn(id).astype(float) * factor)
        record = package.run(f"replay:{file}", "retrieval", data=folder, out=tmp_path / name)
        metrics.append({metric: entry.value for metric, entry in record.result.metrics.items()})
    assert metrics[0] == metrics[1]
    assert metrics[0]["rsum"] > 0


def break_list(folder):
    with (flickr8k(folder) / "Flickr_8k.testImages.txt").open("a") as file:
        file.write("missing.jpg\n")


def break_tokens(folder):
    with (flickr8k(folder) / "Flickr8k.token.txt").open("a") as file:
        file.write("no number here\n")


def break_annotation(folder):
    text = coco(folder) / "captions_val2017.json"
    text.write_text(text.read_text().replace('"image_id": 2', '"image_id": 77'))


def two_kinds(folder):
    coco(karpathy(folder))


def climb(folder):
    text = karpathy(folder) / "dataset_coco.json"
    text.write_text(text.read_text().replace("COCO_val2014_000000000001", "../../secret"))


def leave_empty(folder):
    pass


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (break_list, "missing.jpg has no caption"), (break_tokens, "line 66"), (break_annotation, "image_id 77"),
        (two_kinds, "several kinds"), (climb, "leaves its folder"), (leave_empty, "has no captions"),
    ],
)  # fmt: skip
def test_files_that_do_not_belong_together_are_refused(tmp_path, make, words):
    make(tmp_path)
    with pytest.raises(InputError, match=words):
        list(retrieval.samples(Options(data=tmp_path)))


def test_what_is_not_there_is_refused(tmp_path):
    with pytest.raises(UnknownName, match="val2017"):
        retrieval.samples(Options(data=coco(tmp_path), split="val2071"))
    with pytest.raises(InputError, match="the split has 3"):
        retrieval.samples(Options(data=tmp_path, split="val2017-5x1000"))
    with pytest.raises(InputError, match="--data"):
        retrieval.samples(Options(scale="full"))
    with pytest.raises(UnknownName, match="validation"):
        retrieval.samples(Options(split="train"))


# Real data


@pytest.mark.slow
def test_real_flickr8k_has_its_protocol_and_its_words_in_common(shared_data, tmp_path):
    samples = retrieval.samples(Options(data=shared_data / "flickr8k"))
    facts = samples.facts
    assert [facts["protocol"], facts["images"], facts["captions"], facts["shared captions"]] == [
        "flickr8k-1k",
        1000,
        5000,
        6,
    ]
    file = embeddings(tmp_path / "f.npz", list(samples), drawn)
    record = package.run(f"replay:{file}", "retrieval", data=shared_data / "flickr8k", out=tmp_path / "run")
    expected = brute_force(list(samples), drawn)
    assert {name: record.result["metrics"][name]["value"] for name in expected} == pytest.approx(expected, abs=2e-3)
    assert record.result["metrics"]["rsum/shared-captions-gain"]["value"] >= 0


def test_real_coco_is_of_the_pictures_that_are_there(shared_data, tmp_path):
    samples = retrieval.samples(Options(data=shared_data / "coco"))
    assert [samples.facts["protocol"], samples.facts["images"], samples.facts["captions"]] == ["custom", 159, 795]
    assert samples[0].requests[0].parts[0].path.read_bytes()[:2] == b"\xff\xd8"
    (tmp_path / "captions_val2017.json").symlink_to(shared_data / "coco" / "captions_val2017.json")
    whole = retrieval.samples(Options(data=tmp_path)).facts
    assert [whole["protocol"], whole["images"], whole["captions"]] == ["coco-val2017-5k", 5000, 25_000]
    every = retrieval.samples(Options(data=tmp_path, split="val2017-all-captions")).facts
    assert [every["protocol"], every["captions"]] == ["coco-val2017-5k-all-captions", 25_014]
