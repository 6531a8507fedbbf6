"""The probe: scikit-learn's own probabilities from embeddings, through the commands, and again from the record."""

from __future__ import annotations

import checkpoints
import numpy as np
import pytest
from commands import refused
from glue_folders import official
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import evals as suite
from evals.errors import InputError
from evals.records.embeddings import pack
from evals.records.folder import RESULT, SAMPLES
from evals.schema import Options, Prediction, Sample
from evals.tasks import glue
from evals.tasks.glue_tasks import TABLE
from evals.tasks.scoring import glue_probe
from evals.tasks.scoring.glue_probe import STRENGTHS, features, fit, fit_probe

ROWS = 18
"""In each made-up file: six of each of MNLI's labels, for five folds."""


def embedded(task, n, seed=0):
    """Samples of a task with made-up embeddings that tell their labels in part."""
    generator = np.random.default_rng(seed)
    labels, texts = TABLE[task].labels, len(TABLE[task].columns)
    samples, predictions = [], {}
    for number in range(n):
        label = number % len(labels)
        samples.append(Sample(str(number), (), labels[label], labels={"task": task}))
        predictions[str(number)] = [
            Prediction(f"{number}#{place}", pack(generator.normal(size=8) * 3 + 2 + label * (place == 0)))
            for place in range(texts)
        ]
    return samples, predictions


def matrix(samples, predictions):
    numbers = [TABLE[sample.labels["task"]].labels.index(sample.target) for sample in samples]
    return np.stack([features(predictions[sample.id]) for sample in samples]), np.array(numbers)


VECTOR = st.lists(st.floats(-9, 9, width=32), min_size=3, max_size=3)


@given(VECTOR, VECTOR)
def test_a_pairs_features_are_both_and_how_they_differ_and_agree(u, v):
    u, v = np.float32(u), np.float32(v)
    pair = [Prediction("0#0", pack(u)), Prediction("0#1", pack(v))]
    assert features(pair).tolist() == [*u, *v, *abs(u - v), *(u * v)]
    assert features(pair[:1]).tolist() == u.tolist()


@pytest.mark.parametrize("task", ["cola", "rte", "mnli"])
def test_what_is_read_is_what_scikit_learn_predicts(task):
    samples, predictions = embedded(task, 90)
    inputs, numbers = matrix(samples, predictions)
    head = fit(task, inputs, numbers)
    assert head.strength in STRENGTHS
    reference = make_pipeline(StandardScaler(), LogisticRegression(C=head.strength, max_iter=2000))
    reference.fit(inputs, numbers)
    read = fit_probe(samples, predictions)
    asked, answers = embedded(task, 30, seed=1)
    expected = reference.predict_log_proba(matrix(asked, answers)[0])
    for sample, scores in zip(asked, expected, strict=True):
        found = read(sample, answers[sample.id])
        assert found.scores == pytest.approx(scores.tolist(), abs=1e-4)
        assert found.output == TABLE[task].labels[int(scores.argmax())]


def test_the_strength_is_chosen_on_train_by_cross_validation():
    """Pure noise wants the weights held down; a clear answer in one of the numbers does not."""
    generator = np.random.default_rng(0)
    numbers = np.arange(120) % 2
    noise = generator.normal(size=(120, 40)).astype(np.float32)
    clear = noise.copy()
    clear[:, 0] = 8 * numbers
    sure, lost = fit("sst2", clear, numbers), fit("sst2", noise, numbers)
    assert [sure.log_probabilities(row).argmax() for row in clear[:4]] == [0, 1, 0, 1]
    assert lost.strength < sure.strength
    fresh = generator.normal(size=(200, 40))
    assert 0.3 < np.mean([lost.log_probabilities(row).argmax() for row in fresh]) < 0.7


def test_many_rows_are_searched_in_part_and_all_learned_from(monkeypatch):
    samples, predictions = embedded("sst2", 200)
    inputs, numbers = matrix(samples, predictions)
    monkeypatch.setattr(glue_probe, "SEARCHED", 50)
    head = fit("sst2", inputs, numbers)
    reference = make_pipeline(StandardScaler(), LogisticRegression(C=head.strength, max_iter=2000)).fit(inputs, numbers)
    expected = reference.predict_log_proba(inputs[:1])[0]
    assert head.log_probabilities(inputs[0]) == pytest.approx(expected, abs=1e-4)


def test_a_label_with_too_few_rows_is_named():
    with pytest.raises(InputError, match="rte: 4 of 40 train rows are not_entailment; a probe needs 5 or more"):
        fit("rte", np.zeros((40, 2), np.float32), np.array([1] * 4 + [0] * 36))


def test_sts_b_is_the_cosine_on_the_scale_without_training():
    read = fit_probe([], {})
    sample = Sample("0", (), 2.5, labels={"task": "stsb"})

    def answer(u, v):
        return read(sample, [Prediction("0#0", pack(u)), Prediction("0#1", pack(v))]).output

    assert answer([1.0, 2.0], [2.0, 4.0]) == pytest.approx(5.0)
    assert answer([1.0, 0.0], [0.0, 3.0]) == 0.0
    assert answer([1.0, 0.0], [-2.0, 0.0]) == pytest.approx(-5.0)
    assert answer([0.0, 0.0], [1.0, 0.0]) == 0.0


def test_an_embedding_that_failed_fails_its_sample():
    pair = [Prediction("0#0", pack([1.0])), Prediction("0#1", failure="out of memory")]
    found = fit_probe([], {})(Sample("0", (), 2.5, labels={"task": "stsb"}), pair)
    assert (found.output, found.failure) == (None, "out of memory")


# Through the commands


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return official(tmp_path_factory.mktemp("glue"), ROWS)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return checkpoints.sentence_encoder(
        tmp_path_factory.mktemp("encoder"), pooling={"pooling_mode_mean_tokens": True}, steps=["Normalize"]
    )


def test_train_rows_are_asked_as_the_others_are(folder):
    samples = glue.samples(["rte", "stsb"], Options(data=folder, method="probe"))
    assert list(samples.train.ids) == [f"train/rte/{n}" for n in range(ROWS)]
    assert set(samples.facts["files"]) == {"rte/dev.tsv", "rte/train.tsv", "stsb/dev.tsv"}
    assert [len(sample.requests) for sample in samples][:2] == [2, 2]
    assert samples.train[3].requests[1].parts == ('"sentence2 3 of train',)
    assert glue.samples(["stsb"], Options(data=folder, method="probe")).train is None
    assert glue.samples(["rte"], Options(data=folder, method="choose")).train is None


@pytest.mark.slow
def test_all_nine_are_probed_and_scored_again_from_small_records(folder, model, tmp_path):
    record = suite.run(str(model), "glue", data=folder, out=tmp_path / "run")
    assert record.manifest["task"]["method"] == "probe"
    assert (record.result["n"], record.result["failed"], record.result["unparsed"]) == (10 * ROWS, 0, 0)
    assert (record.result.metrics["average"].note or "").count("without") == 0
    row = next(row for row in record.samples() if row["labels"]["task"] == "mnli")
    assert row["output"] in TABLE["mnli"].labels
    assert len(row["scores"][0]) == 3
    assert row["prompt"].splitlines() == [f'"sentence{n} 0 of validation_matched' for n in (1, 2)]
    assert (tmp_path / "run" / SAMPLES).stat().st_size < 900 * 10 * ROWS, "no embedding is kept"
    assert suite.score(record.folder).result["metrics"] == record.result["metrics"]


def test_an_interrupted_probe_goes_on_to_the_same_answers(folder, model, tmp_path):
    record = suite.run(str(model), "glue/sst2", data=folder, out=tmp_path / "run")
    whole = {row["id"]: (row["output"], row["scores"]) for row in record.samples()}
    log = record.folder / SAMPLES
    log.write_bytes(b"".join(log.read_bytes().splitlines(keepends=True)[:7]))
    (record.folder / RESULT).unlink()
    again = suite.run(str(model), "glue/sst2", data=folder, out=tmp_path / "run")
    assert {row["id"]: (row["output"], row["scores"]) for row in again.samples()} == whole
    assert again.result["metrics"] == record.result["metrics"]


@pytest.mark.slow
def test_workers_fit_the_probe_of_one_process(folder, model, tmp_path):
    alone, shared = (
        suite.run(str(model), "glue/sst2", data=folder, out=tmp_path / str(workers), workers=workers, device="cpu")
        for workers in (1, 2)
    )
    answers = [{row.id: (row.output, row.scores) for row in record.samples()} for record in (alone, shared)]
    assert answers[0] == answers[1]
    assert alone.manifest.signature == shared.manifest.signature
    assert alone.result.metrics == shared.result.metrics


def test_recorded_embeddings_of_pairs_are_compared(folder, tmp_path):
    """STS-B needs no training, so the embeddings may come from anywhere."""
    lines = [f'{{"id": "{n}", "output": [[1, 0], [{5 - n % 6}, {n % 6}]]}}\n' for n in range(ROWS)]
    (tmp_path / "vectors.jsonl").write_text("".join(lines))
    record = suite.run(
        f"replay:{tmp_path / 'vectors.jsonl'}", "glue/stsb", data=folder, method="probe", out=tmp_path / "run"
    )  # fmt: skip
    answers = {row["id"]: row["answer"] for row in record.samples()}
    assert answers["0"] == pytest.approx(5.0)
    assert answers["5"] == pytest.approx(0.0)


@pytest.mark.parametrize(
    ("task", "rows", "words"),
    [
        ("glue/qnli", None, ["has no QNLI/train.tsv and no qnli/train-*.parquet", "gluebenchmark.com"]),
        ("glue/mnli", 12, ["mnli: 4 of 12 train rows are entailment", "needs 5 or more"]),
    ],
)
def test_what_cannot_be_learned_from_is_named(model, tmp_path, command, task, rows, words):
    data = official(tmp_path / "glue", rows or ROWS)
    if rows is None:
        (data / "QNLI" / "train.tsv").unlink()
    refused(command("run", "--model", model, "--task", task, "--data", data, "--out", tmp_path / "run"), *words)


def test_recorded_answers_cannot_be_probed(folder, tmp_path, command):
    (tmp_path / "gold.tsv").write_text("index\tprediction\n" + "".join(f"{n}\t1\n" for n in range(ROWS)))
    arguments = ["--model", f"replay:{tmp_path / 'gold.tsv'}", "--task", "glue/rte", "--method", "probe"]
    refused(command("run", *arguments, "--data", folder, "--out", tmp_path / "run"), "no output for train/rte/0")
