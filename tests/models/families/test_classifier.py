"""Sequence classifiers: the library's own numbers at every batch budget, classes in the benchmark's order."""

from __future__ import annotations

import json
import math

import checkpoints
import pytest
from commands import refused
from glue_folders import official
from hypothesis import given
from hypothesis import strategies as st

import evals as suite
from evals.errors import InputError, LongPromptError, SampleError
from evals.execution.batching import plan
from evals.execution.resolve import resolve
from evals.models.families import classifier
from evals.models.families.classifier import class_indices
from evals.registry import FAMILIES, discover
from evals.schema import Classify, Generate, Placement

CPU = Placement(device="cpu")
KINDS = ["bert", "roberta", "llama", "deepseek_v2", "deepseek_v3", "t5"]
TEXTS = [
    ("What color is the large circle?",), ("red",), ("How many squares are there?", "There are three squares."),
    ("yes", "no no no no no"), ("left " * 9, "right"), ("?", "!"),
]  # fmt: skip
LABELS = ("entailment", "neutral", "contradiction")


@pytest.fixture(scope="module", params=KINDS)
def folder(request, tmp_path_factory):
    return checkpoints.classifier(tmp_path_factory.mktemp(request.param), request.param, LABELS[::-1])


def answers(model, requests, budget=10_000):
    prompts = [model.prepare(request) for request in requests]
    found = {}
    for batch in plan(prompts, budget):
        for prediction in model.run(prompts, batch, model.stage(prompts, batch)):
            found[prediction.id] = prediction
    return [found[request.id] for request in requests]


def asked(labels=LABELS, texts=TEXTS):
    return [Classify(str(number), parts, labels) for number, parts in enumerate(texts)]


def plain(folder, texts=TEXTS):
    """The library's own outputs, a text or pair at a time."""
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    with torch.inference_mode():
        return [model(**tokenizer(*parts, return_tensors="pt")).logits[0] for parts in texts]


def test_it_gives_the_librarys_numbers_at_every_budget(folder):
    model = classifier.load("tiny", str(folder), CPU)
    expected = [logits.log_softmax(-1).tolist()[::-1] for logits in plain(folder)]  # the checkpoint counts backwards
    for budget in (1, 60, 10_000):
        for prediction, scores in zip(answers(model, asked(), budget), expected, strict=True):
            assert prediction.scores == pytest.approx(scores, abs=1e-4)
            assert prediction.output == LABELS[max(range(3), key=lambda n: scores[n])]
            assert not prediction.truncated


@pytest.mark.parametrize("kind", ["xlnet", "fnet", "convbert"])
def test_an_encoder_that_reads_padding_gets_none(tmp_path, kind):
    import torch
    from transformers import AutoConfig, AutoModelForSequenceClassification

    checkpoints.tokenizer(tmp_path).save_pretrained(tmp_path)
    changes = {"xlnet": {"d_model": 32, "n_layer": 1, "n_head": 2, "d_inner": 48}}.get(kind) or {
        "hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 4, "intermediate_size": 48,
        "max_position_embeddings": 80, "embedding_size": 32,
    }  # fmt: skip
    names = dict(enumerate(LABELS[::-1]))
    config = AutoConfig.for_model(kind, vocab_size=400, id2label=names, initializer_range=0.3, **changes)
    torch.manual_seed(0)
    AutoModelForSequenceClassification.from_config(config).save_pretrained(tmp_path)
    model = classifier.load("tiny", str(tmp_path), CPU)
    expected = [logits.log_softmax(-1).tolist()[::-1] for logits in plain(tmp_path)]
    for prediction, scores in zip(answers(model, asked()), expected, strict=True):
        assert prediction.scores == pytest.approx(scores, abs=1e-4)


def test_the_second_text_of_a_pair_is_told_apart(tmp_path):
    model = classifier.load("tiny", str(checkpoints.classifier(tmp_path, "bert")), CPU)
    prompt = model.prepare(Classify("x", ("red", "left"), ("no", "yes")))
    assert set(prompt.token_types) == {0, 1}
    one, two = answers(model, asked(("no", "yes"), [("red", "left"), ("left", "red")]))
    assert one.scores != two.scores


def test_a_family_is_found_by_the_configuration(folder):
    discover()
    assert resolve(str(folder), scale="mini").family is FAMILIES.get("classifier")


# Classes


@given(st.permutations(LABELS), st.permutations(LABELS), st.sampled_from([str.upper, str.title, lambda n: f" {n} "]))
def test_classes_are_found_by_name_whatever_their_order(names, labels, spelled):
    assert [names[place] for place in class_indices([spelled(name) for name in names], labels)] == list(labels)


@given(st.integers(2, 6), st.sampled_from(["LABEL_{}", "label_{}", "{}"]))
def test_numbered_classes_are_taken_in_order(count, form):
    labels = [f"class {chr(97 + n)}" for n in range(count)]
    assert class_indices([form.format(n) for n in range(count)], labels) == list(range(count))


@pytest.mark.parametrize(
    ("names", "labels"),
    [
        (["NEGATIVE", "POSITIVE"], ["not_entailment", "entailment"]),
        (["LABEL_0", "LABEL_1", "LABEL_2"], ["not_entailment", "entailment"]),
        (["LABEL_0", "LABEL_1"], LABELS),
        (["LABEL_1", "LABEL_2"], ["not_entailment", "entailment"]),
        (["entailment", "entailment"], ["entailment", "not_entailment"]),
        (["LABEL_0"], ["not_entailment", "entailment"]),
        (["negative", "positive"], []),
    ],
)
def test_other_classes_than_the_tasks_are_shown_beside_them(names, labels):
    with pytest.raises(InputError) as raised:
        class_indices(names, labels)
    for name in [*names, *labels]:
        assert name in str(raised.value)


def test_a_head_with_one_output_gives_its_number(tmp_path):
    model = classifier.load("tiny", str(checkpoints.classifier(tmp_path, "bert", ["LABEL_0"])), CPU)
    for prediction, logits in zip(answers(model, asked(())), plain(tmp_path), strict=True):
        assert prediction.output == pytest.approx(logits.item(), abs=1e-5)
        assert prediction.scores == ()


# What does not fit


@pytest.mark.parametrize(("kind", "limit"), [("bert", 64), ("roberta", 64), ("llama", 512)])
def test_long_texts_are_refused_or_cut_as_the_library_cuts_and_counted(tmp_path, kind, limit):
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    checkpoints.classifier(tmp_path, kind, LABELS)
    long, short = ("red " * 600, "left " * 700), ("red", "left")
    with pytest.raises(LongPromptError, match=rf"\d\d\d\d tokens is longer than the {limit} "):
        answers(classifier.load("tiny", str(tmp_path), CPU), asked(texts=[long, short]))
    model = classifier.load("tiny", str(tmp_path), Placement("cpu", long_prompts="truncate-left"))
    assert model.facts["longest_text"] == limit
    cut, whole = answers(model, asked(texts=[long, short]))
    assert (cut.truncated, whole.truncated) == (True, False)
    assert cut.prompt_tokens == limit
    tokenizer = AutoTokenizer.from_pretrained(tmp_path, truncation_side="left")
    encoded = tokenizer(*long, truncation=True, max_length=limit, return_tensors="pt")
    with torch.inference_mode():
        logits = AutoModelForSequenceClassification.from_pretrained(tmp_path).eval()(**encoded).logits[0]
    assert cut.scores == pytest.approx(logits.log_softmax(-1).tolist(), abs=1e-4)


def test_a_decoder_without_a_padding_token_is_still_batched_right(tmp_path):
    """Its library class refuses batches; rows alone are judged by their last token."""
    import json

    from transformers import AutoTokenizer

    checkpoints.classifier(tmp_path, "llama", LABELS)
    words = AutoTokenizer.from_pretrained(tmp_path)
    words.pad_token = None
    words.save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, "pad_token_id": None}))
    model = classifier.load("tiny", str(tmp_path), CPU)
    expected = [logits.log_softmax(-1).tolist() for logits in plain(tmp_path)]
    for budget in (1, 10_000):
        for prediction, scores in zip(answers(model, asked(), budget), expected, strict=True):
            assert prediction.scores == pytest.approx(scores, abs=1e-4)


def test_numbers_that_are_none_are_failures(tmp_path):
    import torch

    model = classifier.load("tiny", str(checkpoints.classifier(tmp_path, "bert", LABELS)), CPU)
    with torch.no_grad():
        model.model.classifier.weight.fill_(math.nan)
    for prediction in answers(model, asked()):
        assert prediction.output is None
        assert "not finite" in prediction.failure


def test_what_it_cannot_read_fails_the_sample(tmp_path):
    model = classifier.load("tiny", str(checkpoints.classifier(tmp_path, "bert", LABELS)), CPU)
    with pytest.raises(SampleError, match="reads a text or two"):
        model.prepare(Classify("x", ("a", "b", "c"), LABELS))
    with pytest.raises(SampleError, match="does not ask for a class"):
        model.prepare(Generate("x", ("a",), 3))
    (tmp_path / "tokenizer.json").unlink()
    (tmp_path / "tokenizer_config.json").unlink()
    with pytest.raises(InputError, match="no usable tokenizer"):
        classifier.load("tiny", str(tmp_path), CPU)


# Through the commands


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    return official(tmp_path_factory.mktemp("glue"))


def test_a_checkpoint_is_run_on_its_task(rows, tmp_path):
    """The order of the checkpoint's classes changes no answer."""
    found = []
    for order in (("entailment", "not_entailment"), ("not_entailment", "entailment")):
        folder = checkpoints.classifier(tmp_path / order[0], "llama", order)
        record = suite.run(str(folder), "glue/rte", data=rows, out=tmp_path / "runs" / order[0])
        assert record.manifest["task"]["method"] == "classify"
        assert record.manifest["model"]["classes"] == list(order)
        assert (record.result["n"], record.result["failed"], record.result["unparsed"]) == (12, 0, 0)
        found.append([row["scores"][0] for row in record.samples()])
        assert suite.score(record.folder).result["metrics"] == record.result["metrics"]
    for (first, second), (theirs, ours) in zip(*found, strict=True):
        assert (first, second) == pytest.approx((ours, theirs), abs=1e-6)


def test_a_regression_head_is_scored_on_sts_b(rows, tmp_path):
    folder = checkpoints.classifier(tmp_path / "model", "bert", ["LABEL_0"])
    record = suite.run(str(folder), "glue/stsb", data=rows, out=tmp_path / "run")
    assert all(isinstance(row["answer"], float) for row in record.samples())
    assert record.result["headline"] == "pearson"


@pytest.mark.parametrize(
    ("task", "more", "words"),
    [
        ("glue/sst2", (), ["entailment, not_entailment", "negative, positive"]),
        ("glue/stsb", (), ["entailment, not_entailment", "asks for a number"]),
        ("glue/rte", ("--shots", 2), ["--shots 2", "classify has no prompt"]),
        ("glue/rte", ("--method", "choose"), ["needs a model that can choose", "can: classify"]),
        ("vqa", (), ["needs a model that can generate", "can: classify"]),
    ],
)
def test_what_a_checkpoint_is_not_for_is_said_on_one_line(rows, tmp_path, command, task, more, words):
    folder = checkpoints.classifier(tmp_path / "model", "bert", ("entailment", "not_entailment"))
    out = tmp_path / "run"
    refused(command("run", "--model", folder, "--task", task, "--data", rows, "--out", out, *more), *words)


# Names of classes that differ


@pytest.mark.parametrize("labels", ["0=positive,1=negative", "NEG=negative, POS=positive", "pos=Positive,1=NEGATIVE"])
def test_the_user_says_what_the_outputs_mean(rows, tmp_path, labels):
    folder = checkpoints.classifier(tmp_path / "model", "bert", ("POS", "NEG"))
    same = checkpoints.classifier(tmp_path / "same", "bert", ("positive", "negative"))
    runs = [
        suite.run(str(model), "glue/sst2", data=rows, out=tmp_path / f"{model.name}-run", **more)
        for model, more in ((folder, {"labels": labels}), (same, {}))
    ]
    assert [row.output for row in runs[0].samples()] == [row.output for row in runs[1].samples()]
    assert runs[0].manifest["model"]["classes_from"] == "--labels"


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        ("0=negative", "says nothing of output 1; the checkpoint's outputs are 0=POS, 1=NEG"),
        ("0=negative,1=negative", "names 1 or negative twice"),
        ("0=a,0=b", "names 0 or b twice"),
        ("0=negative,2=positive", "'2=positive' is not OUTPUT=CLASS"),
        ("negative,positive", "'negative' is not OUTPUT=CLASS"),
        ("", "'' is not OUTPUT=CLASS"),
    ],
)
def test_labels_that_name_no_output_are_refused(tmp_path, labels, words):
    folder = checkpoints.classifier(tmp_path, "bert", ("POS", "NEG"))
    with pytest.raises(InputError, match=words):
        classifier.load("tiny", str(folder), Placement(device="cpu", labels=labels))


def test_labels_are_for_classifiers(tmp_path, command):
    folder = checkpoints.language_model(tmp_path / "model", "llama")
    done = command("run", "--model", folder, "--task", "glue/sst2", "--labels", "0=negative,1=positive")
    refused(done, "--labels 0=negative,1=positive is for classifiers")


def test_a_variant_says_what_the_outputs_mean():
    from evals.execution.resolve import _labels
    from evals.schema import Variant

    def labels(value):
        return _labels(Variant("mine", "classifier", "", {}, (), {"labels": value}))

    assert labels({0: "negative", 1: "positive"}) == labels("0=negative,1=positive") == "0=negative,1=positive"
    with pytest.raises(InputError, match=r"model 'mine': labels is \['a'\]"):
        labels(["a"])


@pytest.mark.parametrize(
    "changes",
    [
        {"id2label": {"a": "x", "1": "y"}}, {"id2label": {"9" * 5_000: "x"}}, {"id2label": ["x"]},
        {"id2label": None, "num_labels": "x"}, {"id2label": None, "num_labels": 10**12},
        {"id2label": None, "num_labels": -1},
    ],
)  # fmt: skip
def test_classes_that_a_configuration_cannot_have_are_refused_before_any_weight_is_read(tmp_path, changes):
    config = {"model_type": "bert", "architectures": ["BertForSequenceClassification"], **changes}
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(InputError, match=r"id2label is|num_labels is") as refusal:
        classifier.check_request(tmp_path, Placement(), Classify("a", ("text",), ("x", "y")))
    assert len(str(refusal.value)) < 300


def test_a_class_of_too_many_digits_is_no_number(tmp_path):
    assert class_indices(["a", "9" * 5_000], ["a", "9" * 5_000]) == [0, 1]
    with pytest.raises(InputError, match="is not OUTPUT=CLASS"):
        classifier.renamed(["a", "b"], f"{'9' * 5_000}=x,b=y")
