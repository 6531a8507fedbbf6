"""Every task and every family: what a run recorded as read, put through the library alone, gives what it recorded.

The references are those of `plain_models`: one prompt at a time, from the recorded token ids and the images or audio
whose digests were recorded. Nothing is rendered or tokenised again, except to compare.
"""

from __future__ import annotations

import hashlib
import json

import checkpoints
import numpy as np
import plain_models as plain
import pytest
from commands import ROOT
from glue_folders import official
from model_requests import picture

import evals
from evals.execution.run import selected
from evals.records.embeddings import pack, unpack
from evals.records.prefixes import PrefixReader
from evals.registry import FAMILIES, TASKS
from evals.schema import Audio, Choose, Classify, Embed, Generate, Image, RunConfig
from evals.tasks.file_tasks import SHIPPED

pytestmark = pytest.mark.slow

REPLICAS = ROOT / "models" / "replicas" / "checkpoints"
KINDS = {
    "r1": plain.Decoder, "v2": plain.Decoder, "r1-zero": plain.Decoder, "v3-seq2seq": plain.EncoderDecoder,
    "v3": plain.Blip, "vl": plain.WithImages, "r1-moe": plain.WithImages,
}  # fmt: skip
BUNDLED = [
    ("r1", "math", {}),
    ("r1", "math", {"shots": 2}),
    ("r1", "math/gsm8k", {"data": "problems"}),
    ("r1", "math/math500", {"data": "competition", "max_new_tokens": 32, "long_prompts": "truncate-left"}),
    ("r1", "math/math", {"data": "competition", "max_new_tokens": 32, "long_prompts": "truncate-left"}),
    ("r1", "custom", {"data": "texts"}),
    *(("r1", f"glue/{name}", {}) for name in ("cola", "sst2", "mrpc", "stsb", "qqp", "mnli", "qnli", "rte", "wnli")),
    ("r1", "glue/rte", {"shots": 2}),
    ("r1", "glue", {"limit": 9}),
    ("v2", "math", {}),
    ("v2", "glue/mnli", {}),
    ("r1-zero", "math/sums", {}),
    ("v3-seq2seq", "math", {}),
    ("v3-seq2seq", "glue/cola", {}),
    ("v3", "vqa", {}),
    ("v3", "retrieval", {}),
    ("v3", "glue/qnli", {}),
    ("vl", "vqa", {}),
    ("vl", "retrieval", {}),
    ("vl", "custom", {"data": "images"}),
    ("r1-moe", "vqa", {}),
    ("r1-moe", "retrieval", {}),
    ("r1-moe", "tones", {}),
    ("r1-moe", "glue/wnli", {}),
    ("r1-moe", "custom", {"data": "images"}),
]


def written(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def problems(folder):
    """The file of GSM8K."""
    rows = [{"question": f"Tom has {n} apples and buys {n}. How many?", "answer": f"#### {2 * n}"} for n in (2, 3, 4)]
    return written(folder / "test.jsonl", rows).parent


def competition(folder):
    """The files of MATH and MATH-500."""
    rows = [
        {"problem": f"What is ${n} + 2$?", "solution": f"$\\boxed{{{n + 2}}}$", "unique_id": str(n)} for n in range(3)
    ]
    written(folder / "math500.jsonl", rows)
    return written(folder / "test.jsonl", rows).parent


def texts(folder):
    rows = [{"text": f"Question: What is {n} + 2?\nAnswer:", "target": str(n + 2)} for n in range(3)]
    return written(folder / "rows.jsonl", rows)


def images(folder):
    for number in range(3):
        (folder / f"{number}.png").write_bytes(picture(number))
    rows = [{"text": "What color is it?", "image": f"{number}.png", "target": "red"} for number in range(3)]
    return written(folder / "rows.jsonl", rows)


MAKERS = {"problems": problems, "competition": competition, "texts": texts, "images": images}


def options_of(stated, folder):
    folder.mkdir()
    data = {"data": MAKERS[stated["data"]](folder)} if "data" in stated else {}
    return {"limit": 3, **stated, **data}


def read_by(record, model, task, options):
    """Yield for every request of a run: its sample's record, its place, the request, what was read, and the media."""
    config = RunConfig.of(model, task, **options)
    samples = selected(config, TASKS.get(task).samples(config.options))
    reader = PrefixReader(record.folder)
    for row in record.samples():
        requests = samples[row.index].requests
        inputs = row.inputs * len(requests) if len(row.inputs) == 1 else row.inputs
        for place, (request, entry) in enumerate(zip(requests, inputs, strict=True)):
            yield row, place, request, reader.whole(entry), media_of(request, entry)


def media_of(request, entry):
    """Decode the images and audio of a request, whose digests must be the recorded ones."""
    parts = [part for part in request.parts if isinstance(part, Image | Audio)]
    found = []
    for part, recorded in zip(parts, entry.media or [], strict=True):
        data = part.data if part.data is not None else part.path.read_bytes()
        assert hashlib.sha256(data).hexdigest()[:16] == recorded.digest
        found.append(plain.decoded(recorded.kind, data))
    return found


def check(model, row, place, request, read, media):
    """Check that the plain model makes of what was read what was recorded."""
    output = row.output[place] if isinstance(row.output, list) else row.output
    assert not row.failed, row.failure
    match request:
        case Generate():
            assert row.thought is None
            assert model.generate(read.tokens, media, request) == output
        case Choose():
            assert tuple(text for text, _ in read.continuations) == request.choices
            scores = [model.log_likelihood(read.tokens, media, tokens) for _, tokens in read.continuations]
            assert scores == pytest.approx(list(row.scores[place]), abs=1e-3)
        case Embed():
            np.testing.assert_allclose(unpack(output), model.embed(read.tokens, media).numpy(), rtol=1e-3, atol=1e-4)
        case Classify():
            expected = model.log_probabilities(read.tokens).tolist()
            assert expected == pytest.approx(list(row.scores[place]), abs=1e-4)


@pytest.fixture(scope="module")
def loaded():
    """The plain models, each loaded once."""
    models = {}

    def load(name, folder=None, kind=None):
        if name not in models:
            stated = REPLICAS / name if name != "r1-zero" else REPLICAS / name / "last"
            models[name] = (kind or KINDS[name])(folder or stated)
        return models[name]

    return load


@pytest.mark.parametrize(
    ("model", "task", "stated"), BUNDLED, ids=[f"{model}-{task}-{n}" for n, (model, task, _) in enumerate(BUNDLED)]
)
def test_a_bundled_run(tmp_path, loaded, model, task, stated):
    options = options_of(stated, tmp_path / "data")
    record = evals.run(model, task, out=tmp_path / "run", **options)
    seen = list(read_by(record, model, task, options))
    assert seen
    for row, place, request, read, media in seen:
        check(loaded(model), row, place, request, read, media)
        if not media and not row.long_prompt:
            assert loaded(model).tokenizer(read.text, add_special_tokens=False)["input_ids"] == list(read.tokens)


@pytest.mark.parametrize("kind", ["clip", "siglip"])
def test_a_dual_encoder(tmp_path, kind):
    folder = checkpoints.dual_encoder(tmp_path / kind, kind)
    record = evals.run(str(folder), "retrieval", limit=2, out=tmp_path / "run")
    model = plain.Dual(folder)
    for row, place, request, read, media in read_by(record, str(folder), "retrieval", {"limit": 2}):
        check(model, row, place, request, read, media)


@pytest.mark.parametrize("kind", ["bert", "llama", "t5"])
@pytest.mark.parametrize("task", ["glue/sst2", "glue/rte"])
def test_a_classifier(tmp_path, kind, task):
    labels = TASKS.get(task).samples(evals.Options(method="classify"))[0].requests[0].labels
    folder = checkpoints.classifier(tmp_path / kind, kind, labels)
    options = {"limit": 3, "method": "classify", "long_prompts": "truncate-left"}
    record = evals.run(str(folder), task, out=tmp_path / "run", **options)
    model = plain.Classes(folder)
    for row, place, request, read, media in read_by(record, str(folder), task, options):
        check(model, row, place, request, read, media)


def test_an_encoder_with_a_probe(tmp_path):
    """The probe is fitted again on plain embeddings; from those of the recorded tokens it reads the same labels."""
    folder = checkpoints.encoder(tmp_path / "bert", "bert")
    options = {"limit": 8, "method": "probe", "data": official(tmp_path / "glue", 18)}
    record = evals.run(str(folder), "glue/rte", out=tmp_path / "run", **options)
    model, task = plain.MeanOfTokens(folder), TASKS.get("glue/rte")

    def predictions(requests, tokens):
        return [
            evals.Prediction(request.id, pack(model.embed(ids, ()).numpy()))
            for request, ids in zip(requests, tokens, strict=True)
        ]

    config = RunConfig.of(str(folder), "glue/rte", **options)
    samples = task.samples(config.options)
    train = {
        sample.id: predictions(sample.requests, [model.tokenizer(*r.parts)["input_ids"] for r in sample.requests])
        for sample in samples.train
    }
    probe = task.fit_probe(list(samples.train), train)
    rows = {}
    for row, _, request, read, _ in read_by(record, str(folder), "glue/rte", options):
        rows.setdefault(row.id, (row, [], []))
        rows[row.id][1].append(request)
        rows[row.id][2].append(read.tokens)
    for row, requests, tokens in rows.values():
        again = probe(samples[row.index], predictions(requests, tokens))
        assert again.output == row.output
        assert list(again.scores) == pytest.approx(list(row.scores[0]), abs=1e-3)


@pytest.mark.parametrize("model", ["r1", "vl"])
def test_what_is_timed(tmp_path, loaded, model):
    """A timed run records no text; it must have read what the other tasks' prompts are rendered to."""
    options = {"processes": 1, "repetitions": 1}
    record = evals.run(model, "efficiency", out=tmp_path / "run", **options)
    samples = TASKS.get("efficiency").samples(evals.Options(**options))
    rows = list(record.samples())
    assert {row.labels["kind"] for row in rows} == (
        {"short", "long"} if model == "r1" else {"short", "long", "caption"}
    )
    reader = PrefixReader(record.folder)
    by_id = {samples[n].id: samples[n] for n in range(len(samples))}
    for row in rows:
        (request,) = by_id[row.id].requests
        read = reader.whole(row.inputs[0])
        assert len(media_of(request, row.inputs[0])) == (row.labels["kind"] == "caption")
        prefix = "" if row.labels["kind"] == "short" else f"{row.labels['kind']}-"
        # A repetition that was faster than the device's floors fails; a busy machine measures those too low.
        assert row.failed or row.values[f"{prefix}prompt-tokens"] == len(read.tokens)
        assert request.parts[-1] in read.text
        if row.labels["kind"] != "caption":
            assert loaded(model).tokenizer(read.text, add_special_tokens=False)["input_ids"] == list(read.tokens)


def test_every_task_and_family_is_here():
    tasks = {task for _, task, _ in BUNDLED} | {"efficiency"}
    files = {task.name for task in SHIPPED}  # they have no bundled data
    assert {task.name for task in TASKS if not task.name.startswith("toy")} == tasks | files
    families = {"causal", "vision_language", "mixture", "two_streams"} | {"dual_encoder", "encoder", "classifier"}
    elsewhere = {"endpoint", "replay", "composed"}  # test_served_prompts; a replay reads nothing; test_composition
    assert {family.name for family in FAMILIES if not family.name.startswith("toy")} == families | elsewhere
