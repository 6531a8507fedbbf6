"""Claims against published scores: the formats, what may contradict, and how often that is wrong."""

from __future__ import annotations

import json
from itertools import product

import pytest
from run_folders import make, manifest, metric, row

import evals
from evals.app import evidence
from evals.errors import InputError
from evals.reports.claims.drafting.language import settings
from evals.reports.claims.evidence.published.benchmark_names import named_benchmark
from evals.reports.runs.verifying import verification

CARD = """\
---
license: mit
model-index:
- name: otter-2
  results:
  - task: {type: text-generation}
    dataset: {name: "MMLU (5-Shot)", type: cais/mmlu, config: all, split: test, args: {num_few_shot: 5}}
    metrics:
    - {type: acc, value: 61.2, name: accuracy}
    - {type: perplexity, value: 8.1}
  - task: {type: text-generation}
    dataset: {name: GSM8k, type: gsm8k, config: main, split: test, args: {num_few_shot: 5}}
    metrics:
    - {type: acc, value: 0.412}
---
# Otter 2
"""


def log(score, *, model="acme/otter-2", split="test", shots="5", name="accuracy", **more):
    """A log of Every Eval Ever with one score."""
    return {
        "schema_version": "0.3.0",
        "evaluation_timestamp": "2026-01-02T00:00:00+00:00",
        "model_info": {"name": model, "id": model, "additional_details": more},
        "evaluation_results": [
            {
                "evaluation_name": "mmlu",
                "source_data": {"dataset_name": "MMLU", "source_type": "hf_dataset", "hf_split": split},
                "metric_config": {"metric_name": name, "max_score": 1.0},
                "score_details": {"score": score},
                "generation_config": {"additional_details": {} if shots is None else {"shots": shots}},
            }
        ],
    }  # fmt: skip


def claims(tmp_path, *claimed):
    """A claims file: each claim is its digits and its protocol."""
    entries = [
        f'- {{id: C-{number}, says: s, subject: otter-2, quantity: {quantity}, printed: "{digits}", unit: percent, '
        f"protocol: {json.dumps(protocol)}}}"
        for number, (quantity, digits, protocol) in enumerate(claimed, 1)
    ]
    path = tmp_path / "claims.yaml"
    head = "document: {id: post, title: P, subjects: {otter-2: {name: Otter 2}}}\nclaims:\n"
    path.write_text(head + "\n".join(entries) + "\n")
    return path


def words(path, *places):
    return [a.public_record.verdict for a in evals.check([path], paper=True, evidence=places).assessments]


SAME = {"split": "test", "shots": "5"}


def test_a_model_card_supports_contradicts_or_differs(tmp_path):
    card = tmp_path / "acme" / "README.md"
    card.parent.mkdir()
    card.write_text(CARD)
    path = claims(tmp_path, ("mmlu", "61.2", SAME), ("mmlu", "61", {}), ("mmlu", "66.2", {"split": "test"}))
    assert words(path, card) == ["supported", "supported", "differs"]
    path = claims(
        tmp_path, ("mmlu", "66.2", {**SAME, "prompt": "CoT"}), ("mmlu", "66.2", {"split": "test", "shots": "0"})
    )
    assert words(path, card) == ["no_public_record"] * 2, "of another protocol"
    path = claims(
        tmp_path, ("mmlu", "61.2", SAME), ("gsm8k", "41.2", {}), ("gsm8k", "49.0", SAME), ("humaneval", "6.0", SAME)
    )
    assert words(path, card) == ["supported", "supported", "differs", "na"], "the scale of 0.412 is not stated"
    path = claims(tmp_path, ("mmlu", "66.2", SAME))
    assert words(path, card) == ["contradicted"]
    (assessment,) = evals.check([path], paper=True, evidence=[tmp_path / "acme"]).assessments
    assert assessment.headline == "contradicted_by_public_record"
    assert "66.2 % against 61.2 %" in assessment.public_record.working[0]
    assert "model card acme/README.md: otter-2" in assessment.public_record.working[0]


def test_a_score_convicts_only_if_both_sides_state_everything_and_planted_errors_are_found(tmp_path):
    stated = [
        {key: value for key, value in (("split", split), ("shots", shots)) if value}
        for split, shots in product(("test", "dev", None), ("0", "5", None))
    ]
    convicted = honest = 0
    for split, shots, name in product(("test", "validation", None), ("0", "5", None), ("acc", "exact_match")):
        (tmp_path / "log.json").write_text(json.dumps(log(0.612, name=name, split=split, shots=shots)))
        for digits in ("61.2", "68.5"):
            path = claims(tmp_path, *(("mmlu", digits, protocol) for protocol in stated))
            for protocol, word in zip(stated, words(path, tmp_path / "log.json"), strict=True):
                published = {"split": {"validation": "dev"}.get(split, split), "shots": shots}
                is_false = digits == "68.5" and protocol == published and name == "acc"
                assert (word == "contradicted") == is_false, (split, shots, name, digits, protocol, word)
                assert word != "supported" or digits == "61.2"
                convicted, honest = convicted + is_false, honest + (not is_false)
    assert (convicted, honest) == (4, 320)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({}, "contradicted"),
        ({"model": "acme/otter-2-chat"}, "na"),
        ({"replica": "true"}, "na"),
        ({"name": "bleu"}, "na"),
    ],
)
def test_another_model_a_replica_and_another_metric_are_no_evidence(tmp_path, change, word):
    (tmp_path / "log.json").write_text(json.dumps(log(0.612, **change)))
    assert words(claims(tmp_path, ("mmlu", "70.0", SAME)), tmp_path / "log.json") == [word]


def test_names_that_share_a_dataset_are_other_benchmarks(tmp_path):
    """As cards on the hub have them: MMLU-Redux of `cais/mmlu`, parts of a benchmark, rescaled leaderboard scores."""
    card = tmp_path / "README.md"
    path = claims(tmp_path, ("mmlu", "70.0", SAME))
    expected = {
        'name: "MMLU-Redux (5-Shot)", type: cais/mmlu': "na",
        "name: MMLU, config: abstract_algebra": "na",
        "name: MMLU+": "na",
        "name: MMLU": "contradicted",
    }
    for dataset, word in expected.items():
        whole = CARD.replace('name: "MMLU (5-Shot)", type: cais/mmlu, config: all', dataset)
        card.write_text(whole)
        assert words(path, card) == [word], dataset
    arabic = log(0.612)
    arabic["evaluation_results"][0]["evaluation_name"] = "Arabic"
    few = log(0.612)
    few["evaluation_results"][0]["source_data"] |= {"samples_number": 14042, "sample_ids": [1, 2, 3]}
    for content in (arabic, few):
        (tmp_path / "log.json").write_text(json.dumps(content))
        assert words(path, tmp_path / "log.json") == ["na"]


def test_two_models_of_one_name_convict_nobody(tmp_path):
    for owner, score in (("acme", 0.612), ("else", 0.5)):
        (tmp_path / f"{owner}.json").write_text(json.dumps(log(score, model=f"{owner}/otter-2")))
    path = claims(tmp_path, ("mmlu", "70.0", SAME))
    assert words(path, tmp_path / "acme.json", tmp_path / "else.json") == ["differs"]


def test_a_part_of_a_split_is_no_score_of_the_whole(tmp_path):
    """A run that stopped early, as its exports say."""
    part = log(0.5)
    part["evaluation_results"][0]["source_data"]["additional_details"] = {"part_of_split": "9 of 90, stopped early"}
    (tmp_path / "part.json").write_text(json.dumps(part))
    (tmp_path / "README.md").write_text(
        CARD.replace("value: 61.2,", "value: 61.2, args: {n: 9, samples: '9 of 90 in random order, stopped early'},")
    )
    assert evidence.read([tmp_path / "part.json"]) == []
    assert [score.benchmark for score in evidence.read([tmp_path / "README.md"])] == ["GSM8k"]


def test_a_verified_run_is_marked_beside_the_evidence(tmp_path, monkeypatch):
    monkeypatch.setattr(verification, "mark", lambda record: " Verified on 2026-11-29: none differs.")
    signed = manifest(name="glue/mmlu", split="test", scale="full")
    signed["model"] |= {"name": "acme/otter-2", "replica": False}
    make(tmp_path / "run", [row("1", 1.0)], {"accuracy": metric(0.612)}, signed, task="glue/mmlu", headline="accuracy")
    (score,) = evidence.read([tmp_path / "run"])
    assert (score.model, score.mark) == ("claim-evals/otter-2", "Verified on 2026-11-29: none differs.")
    checked = evals.check([claims(tmp_path, ("mmlu", "61.2", {}))], paper=True, evidence=[tmp_path / "run"])
    assert "Verified on 2026-11-29: none differs" in str(checked.assessments[0].public_record)


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("MMLU (5-shot, test)", ("MMLU", "5", "test", None)),
        ("MMLU [test] (Five shots)", ("MMLU [test] (Five shots)", None, None, None)),
        ("MMLU（0-shot）", ("MMLU", "0", None, None)),
        ("5-shot MMLU (acc_norm; dev set)", ("MMLU", "5", "dev", "normalised accuracy")),
        ("MMLU (zero-shot)", ("MMLU", "0", None, None)),
        ("MMLU, 5-shot", ("MMLU", "5", None, None)),
        pytest.param("M" + "(5-shot)" * 99_999, ("M" + "(5-shot)" * 99_999, None, None, None), id="long"),
        ("MMLU (5-shot, CoT)", ("MMLU (5-shot, CoT)", None, None, None)),
        ("MMLU (5-shot) (0-shot)", ("MMLU (5-shot) (0-shot)", None, None, None)),
        ("(5-shot)", ("(5-shot)", None, None, None)),
    ],
)
def test_the_name_of_a_benchmark_says_the_protocol_if_its_brackets_say_nothing_else(name, key):
    named = named_benchmark(name)
    assert (named.name, named.shots, named.split, named.metric) == key


def test_a_setting_in_a_name_counts_as_one_in_a_field_and_two_that_disagree_count_as_none(tmp_path):
    path = claims(tmp_path, ("mmlu", "66.2", SAME))
    for name, fields, word in [
        ("MMLU (5-shot, test)", {"split": None, "shots": None}, "contradicted"),
        ("MMLU (5-shot, test)", {}, "contradicted"),
        ("MMLU (test)", {"split": None}, "contradicted"),
        ("MMLU (0-shot)", {}, "no_public_record"),
        ("MMLU (5-shot, CoT)", {}, "na"),
    ]:
        published = log(0.612, **fields)
        published["evaluation_results"][0]["evaluation_name"] = name
        (tmp_path / "log.json").write_text(json.dumps(published))
        assert words(path, tmp_path / "log.json") == [word], (name, fields)


@pytest.mark.parametrize("folder", ["acme--otter-2", "models--acme--otter-2/snapshots/1"])
def test_a_folder_of_the_hub_names_its_model_also_where_its_files_are_links(tmp_path, folder):
    (tmp_path / "blobs").mkdir()
    (tmp_path / "blobs" / "0a1b").write_text("- {dataset: {id: cais/mmlu}, value: 61.2}\n")
    results = tmp_path / folder / ".eval_results" / "mmlu.yaml"
    results.parent.mkdir(parents=True)
    results.symlink_to(tmp_path / "blobs" / "0a1b")
    assert [score.model for score in evidence.read([tmp_path])] == ["acme/otter-2"]


def test_eval_results_and_run_folders_are_read_and_what_cannot_be_is_refused(tmp_path):
    results = tmp_path / "models--acme--otter-2" / "snapshots" / "1" / ".eval_results" / "mmlu.yaml"
    results.parent.mkdir(parents=True)
    results.write_text("- {dataset: {id: cais/mmlu, task_id: default}, value: 61.2, date: 2026-01-02}\n")
    path = claims(tmp_path, ("mmlu", "61.2", {}), ("mmlu", "66.2", {"split": "test"}))
    (score,) = evidence.read([tmp_path / "models--acme--otter-2"])
    assert (score.model, score.benchmark, score.metric) == ("acme/otter-2", "mmlu", None)
    assert words(path, results) == ["supported", "no_public_record"]
    make(tmp_path / "runs" / "vl", [row("1", 1.0)], {"accuracy": metric(0.8)}, manifest(), headline="accuracy")
    assert evidence.read([tmp_path / "runs"]) == [], "a replica's run is no score of the public model"
    (tmp_path / "card").mkdir()
    (tmp_path / "card" / "README.md").write_text(CARD.replace("value: 61.2", "value: '66.2%'"))
    checked = evals.check([path], paper=True, evidence=[tmp_path / "card", tmp_path / "runs"])
    said = "2 scores read from --evidence; 1 is about what a claim is about. No score was read from --evidence"
    assert f"{said} {tmp_path / 'runs'}." in checked.about
    assert [entry.public_record.verdict for entry in checked.assessments] == ["differs", "supported"]
    for name, text in {"a.json": "[" * 99_999, "b.json": '{"a": 1}', "README.md": "# no front matter"}.items():
        (tmp_path / name).write_text(text)
        with pytest.raises(InputError, match=name):
            evidence.read([tmp_path / name])
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="holds no results"):
        evidence.read([tmp_path / "empty"])


@pytest.mark.parametrize(
    "sentence",
    [
        "Otter 2 reaches 75.0 % accuracy on the MMLU test split (5-shot, chain-of-thought).",
        "Otter 2 reaches 75.0 % accuracy (maj@8) on the MMLU test split (5-shot).",
        "Quantized to 4 bits, Otter 2 reaches 60.0 % accuracy on the MMLU test split (5-shot).",
        "After fine-tuning on FLAN, Otter 2 reaches 75.0 % accuracy on the MMLU test split (5-shot).",
        "On the STEM subset of the MMLU test split, Otter 2 reaches 60.0 % accuracy (5-shot).",
        "After 100B tokens, Otter 2 reaches 45.0 % accuracy on the MMLU test split (5-shot).",
        "In German, Otter 2 reaches 60.0 % accuracy on the MMLU test split (5-shot).",
        "When it thinks first, Otter 2 reaches 85.0 % on the MMLU test split (5-shot).",
        "使用多数投票，Otter 2在MMLU测试集（5-shot）上的准确率为75.0%。",
        "在低温条件下，Otter 2的MMLU测试集（5-shot）准确率为75.0%。",
    ],
)
def test_a_score_of_no_plain_run_has_a_setting(sentence):
    assert settings.setting(sentence, ("MMLU", "Otter 2"))


def test_a_published_score_convicts_only_a_plain_run(tmp_path):
    plain = "Otter 2 reaches 75.0 % accuracy on the MMLU test split (5-shot).\n\n"
    assert settings.setting(plain, ("MMLU", "Otter 2")) is None
    assert settings.setting("Otter 2在MMLU测试集（5-shot）上的准确率为75.0%。", ("MMLU", "Otter 2")) is None
    voted = "With majority voting, Otter 2 reaches 70.0 % accuracy on the GSM8K test split (5-shot).\n\n"
    table = "## After quantization\n\n| Model | MMLU (5-shot, test) | ARC |\n|--|--|--|\n| Otter 2 | 40.0 | 9.5 |\n"
    (tmp_path / "post.md").write_text(f"# Otter 2\n\n{plain}{voted}")
    (tmp_path / "tables.md").write_text(f"# Otter 2\n\n{table}")
    result = log(0.612)
    result["evaluation_results"] += [
        log(0.612)["evaluation_results"][0] | {"evaluation_name": name} for name in ("gsm8k", "arc")
    ]
    (tmp_path / "log.json").write_text(json.dumps(result))
    assert words(tmp_path / "post.md", tmp_path / "log.json") == ["contradicted", "no_public_record"]
    assert words(tmp_path / "tables.md", tmp_path / "log.json")[0] == "no_public_record"
