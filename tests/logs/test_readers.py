"""Readers of logs: what a harness asked for a sample, which choice it took, and what names and tables say.

pytest tests/logs/test_readers.py
"""

from __future__ import annotations

import json
import math

import harness_logs
import pytest

from evals.errors import InputError
from evals.logs import helm, inspect_ai, lm_eval, lm_eval_requests, vlmevalkit

DATE = "2026-11-28T09-34-15.759025"


def line(requests, scores, **more):
    """A line of lm-eval's samples that scores continuations."""
    asked = {f"gen_args_{n}": {"arg_0": prompt, "arg_1": ending} for n, (prompt, ending) in enumerate(requests)}
    return {"doc_id": 0, "doc": {}, "arguments": asked, "resps": [[[str(score), "False"]] for score in scores], **more}


def read(requests, scores, *metrics):
    return lm_eval_requests.read(line(requests, scores), "line 1", metrics)


def test_choices_without_a_prompt_serve_mutual_information_only():
    requests = [("Q?", " a"), ("Q?", " b"), ("", " a"), ("", " b")]
    asked = read(requests, [-2, -3, -0.5, -9], "acc", "acc_mutual_info")
    assert (asked.choices, asked.log_likelihoods) == ((" a", " b"), (-2, -3))  # `acc` takes a; the gain of b is higher
    others = read(requests, [-2, -3, -0.5, -9], "acc")
    assert len(others.choices) == 4
    filtered = read(requests, [-2, -3, -0.5, -9], "acc_mutual_info,none")
    assert filtered.choices == (" a", " b")


@pytest.mark.parametrize(
    ("answers", "outputs"),
    [
        ({"filtered_resps": "red"}, ("red",)),
        ({"resps": [" red", "blue"], "filtered_resps": ["red", "blue"]}, (" red", "blue")),
        (
            {"filtered_resps": [["-2.0", "False"], ["-1.0", "True"]]},
            ("(the log does not say which texts were scored)",),
        ),
    ],
)
def test_lmms_eval_leaves_out_lists_and_requests(answers, outputs):
    asked = lm_eval_requests.read({"doc_id": 0, "input": "Color?", **answers}, "line 1", ["acc"])
    assert (asked.prompt, asked.outputs, asked.is_complete) == ("Color?", outputs, True)


def test_a_choice_of_probability_zero_is_not_taken():
    requests = [("Q?", " a"), ("Q?", " b"), ("Q?", " c")]
    asked = read(requests, [-3.0, -math.inf, -1.0], "acc")
    assert (asked.choices[asked.taken], asked.log_likelihoods, asked.is_complete) == (" c", (), True)
    for scores in ([math.nan, -1.0, -2.0], [math.inf, -1.0, -2.0], [-math.inf] * 3):
        assert not read(requests, scores, "acc").is_complete
    halves = [*requests, *(("", ending) for _, ending in requests)]  # the second half is not kept
    asked = read(halves, [-3.0, -2.0, -1.0, -math.inf, -1.0, -1.0], "acc_mutual_info")
    assert (asked.log_likelihoods, asked.is_complete) == ((-3.0, -2.0, -1.0), True)
    alone = read([("Q?", " a"), ("", " a")], [-math.inf, -1.0], "acc_mutual_info")
    assert (alone.log_likelihoods, alone.is_complete) == ((), False)


def test_choices_that_are_in_the_prompt_differ():
    asked = read([("Ann beat Sue, so Ann", " won."), ("Ann beat Sue, so Sue", " won.")], [-2, -1])
    assert (asked.prompt, asked.choices) == ("Ann beat Sue, so", (" Ann won.", " Sue won."))


@pytest.mark.parametrize(("greedy", "output"), [("True", " fox"), ("False", "another text than the scored one")])
def test_one_scored_text_is_the_output_only_if_it_is_the_greedy_one(tmp_path, greedy, output):
    row = line([("the quick", " fox")], [-2], target=" fox", metrics=["perplexity", "acc"], perplexity=-2.0, acc=0.0)
    row["resps"] = [[["-2.0", greedy]]]
    path = tmp_path / f"samples_lambada_{DATE}.jsonl"
    path.write_text(json.dumps(row))
    (sample,) = lm_eval.read([path])[0].samples
    assert sample.choice == output
    assert sample.values == {"acc": 0.0}  # a log-likelihood is no perplexity


def test_results_of_lm_eval_under_a_name_of_the_users(tmp_path):
    row = line([("Q?", " a"), ("Q?", " b")], [-2, -3], metrics=["acc"], acc=1.0)
    (tmp_path / f"samples_mine_{DATE}.jsonl").write_text(json.dumps(row))
    results = {"results": {"mine": {"acc,none": 1.0, "sample_len": 1}}, "configs": {"mine": {}}, "model_name": "o/m"}
    (tmp_path / f"out_{DATE}.json").write_text(json.dumps(results))
    (tmp_path / f"notes_{DATE}.json").write_text("[]")
    assert lm_eval.is_log(tmp_path / f"out_{DATE}.json")
    assert not lm_eval.is_log(tmp_path / f"notes_{DATE}.json")
    (piece,) = lm_eval.pieces([tmp_path / f"samples_mine_{DATE}.jsonl"])
    (run,) = lm_eval.read(piece)
    assert (run.model, run.metrics["acc"].value, len(run.files)) == ("o/m", 1.0, 2)


def helm_folder(folder, method, *, predicted=None, tokens=True):
    """A run of HELM with one instance, whose second choice gains most over the request without a question."""
    states = []
    references = [
        {"output": {"text": text}, "tags": ["correct"][number:]} for number, text in enumerate(("Oslo", "Aas"))
    ]
    instance = {"id": "id0", "split": "test", "input": {"text": "Capital?"}, "references": references}
    for index, (text, original, alone) in enumerate((("Oslo", -2.0, -0.5), ("Aas", -3.0, -9.0))):
        for mode, score in (("calibration", alone), ("original", original)):
            spelt = [{"text": "Q:", "logprob": -5.0}, {"text": f" {text[:2]}", "logprob": score / 2}]
            spelt.append({"text": text[2:], "logprob": score / 2})
            completion = {"text": f"Q: {text}", "logprob": score - 5, "tokens": spelt if tokens else []}
            states.append({"instance": instance, "reference_index": index, "request_mode": mode,
                           "request": {"prompt": "Q:"}, "result": {"completions": [completion]}})  # fmt: skip
    named = {"exact_match": 0.0, **({} if predicted is None else {"predicted_index": predicted})}
    stats = [{"name": {"name": name, "split": "test"}, "count": 1, "mean": value} for name, value in named.items()]
    spec = {"name": "x:model=m", "scenario_spec": {}, "adapter_spec": {"method": method, "model": "m"}}
    contents = {
        "run_spec": spec, "scenario_state": {"request_states": states}, "stats": stats,
        "per_instance_stats": [{"instance_id": "id0", "train_trial_index": 0, "stats": stats}],
    }  # fmt: skip
    folder.mkdir()
    for name, content in contents.items():
        (folder / f"{name}.json").write_text(json.dumps(content))
    return folder / "run_spec.json"


@pytest.mark.parametrize(
    ("method", "choice", "options"),
    [
        ("multiple_choice_separate_original", "Oslo", {}),
        ("multiple_choice_separate_calibrated", "Aas", {}),
        ("multiple_choice_separate_calibrated", "Aas", {"predicted": 1.0, "tokens": False}),
        ("multiple_choice_separate_calibrated", None, {"tokens": False}),
    ],
)
def test_the_choice_of_helm_is_the_one_that_it_took(tmp_path, method, choice, options):
    (sample,) = helm.read([helm_folder(tmp_path / "run", method, **options)])[0].samples
    assert sample.choice == choice
    assert sample.log_likelihoods == ((-2.0, -3.0) if options.get("tokens", True) else ())
    assert sample.values == {"exact_match": 0.0}
    assert sample.outputs == (() if choice else ("(the log does not say which choice was taken)",))


TABLE = "index\tquestion\tanswer\tprediction\n1\tRed?\tA\tA\n"


@pytest.mark.parametrize(
    ("name", "model", "task"),
    [
        ("Qwen_VL_7B_MMBench_DEV_EN_openai_result", "Qwen_VL_7B", "MMBench_DEV_EN"),
        ("mymodel_POPE_auxmatch", "mymodel", "POPE"),
        ("GPT4o_20240806_MathVista_MINI_gpt-4-turbo", "GPT4o_20240806", "MathVista_MINI"),
        ("InternVL2_8B_MME-RealWorld-Lite", "InternVL2_8B", "MME-RealWorld-Lite"),
        ("mine_colours", "mine", "colours"),
        ("my_model_colours", "unknown", "my_model_colours"),
    ],
)
def test_names_of_vlmevalkit_without_a_folder_of_the_model(tmp_path, name, model, task):
    path = tmp_path / f"{name}.tsv"
    path.write_text(TABLE)
    (run,) = vlmevalkit.read([path])
    assert (run.model, run.task) == (model, task)
    assert bool(run.note) == (model == "unknown")
    judge = {"MMBench_DEV_EN": "openai", "MathVista_MINI": "gpt-4-turbo"}.get(task)
    assert run.protocol == ({"judge": judge} if judge else {})


def test_values_of_vlmevalkit_are_named_by_their_rows_and_kept_as_written(tmp_path):
    path = tmp_path / "m_MathVista_MINI_gpt-4-turbo.tsv"
    path.write_text(TABLE)
    beside = tmp_path / "m_MathVista_MINI_gpt-4-turbo_score.csv"
    beside.write_text('"Task&Skill","tot","acc"\n"Overall","2","63.5"\n"geometry","1","0.5"\n')
    (run,) = vlmevalkit.read([path])
    values = {name: metric.value for name, metric in run.metrics.items()}
    assert values == {"Overall/tot": 2, "Overall/acc": 63.5, "geometry/tot": 1, "geometry/acc": 0.5}
    assert {metric.unit for metric in run.metrics.values()} == {"score"}
    beside.write_text('"Task&Skill","acc"\n"Overall","63.5"\n"Overall","60"\n')
    with pytest.raises(InputError, match="two values of Overall/acc"):
        vlmevalkit.read([path])
    (tmp_path / "stray.tsv").write_text("index\tprediction\n1\t2\n")
    assert not vlmevalkit.is_log(tmp_path / "stray.tsv")


HEAD = "index\tquestion\tanswer\tprediction"
ASKED = {"0": "0\tRed?\tA\tA", "1": "1\tBlue?\tB\tA", "2": "2\tGreen?\tB\t"}


def judged(folder, rows, predictions=ASKED.values()):
    """Read a judged table, beside its predictions."""
    folder.joinpath("m_MMStar.tsv").write_text("\n".join([HEAD, *predictions]))
    path = folder / "m_MMStar_openai_result.tsv"
    path.write_text("\n".join([f"{HEAD}\thit", *rows]))
    (run,) = vlmevalkit.read([path])
    return run


def test_truth_values_of_vlmevalkit_are_scores_and_other_texts_are_named(tmp_path):
    hits = ["True", "FALSE", "1.0", "true", "maybe", ""]
    rows = [f"{index}\tRed?\tA\tA\t{hit}" for index, hit in enumerate(hits)]
    run = judged(tmp_path, rows, [row.rpartition("\t")[0] for row in rows])
    assert [sample.values.get("hit") for sample in run.samples] == [1, 0, 1, 1, None, None]
    assert run.note == (
        "1 of 6 samples without a score: 5; "
        "1 of 6 samples with a score that is neither a number nor True or False: 4 ('maybe')"
    )


def test_predictions_of_vlmevalkit_without_a_judgement_are_samples_without_a_score(tmp_path):
    run = judged(tmp_path, [f"{ASKED['0']}\tTrue", f"{ASKED['2']}nan\tFalse"])  # pandas writes nan for an empty cell
    assert {sample.id: sample.values for sample in run.samples} == {"0": {"hit": 1}, "2": {"hit": 0}, "1": {}}
    assert run.note == "1 of 3 samples without a score, 1 of them for lack of a row in m_MMStar_openai_result.tsv: 1"
    assert [path.name for path in run.files] == ["m_MMStar_openai_result.tsv", "m_MMStar.tsv"]
    rotated = [*ASKED.values(), "1000001\tBlue?\tA\tB", "1000000\tRed?\tB\tB"]
    run = judged(tmp_path, [f"{row}\t1" for row in ASKED.values()], rotated)
    assert (len(run.samples), run.note, len(run.files)) == (3, "", 1)


@pytest.mark.parametrize(
    ("row", "named"),
    [("1\tPink?\tB\tA\t1", "another question of index 1"), ("1\tBlue?\tB\tB\t1", "another prediction of index 1")],
)
def test_a_judged_copy_of_other_predictions_of_vlmevalkit_is_refused(tmp_path, row, named):
    with pytest.raises(InputError, match=f"{named} than m_MMStar.tsv"):
        judged(tmp_path, [row])


def inspect_run(folder, samples, *, held, **config):
    """A run of Inspect whose header states a number of samples, of which the log holds these."""
    header = harness_logs.inspect_header([], task="mine", samples=held)
    header["eval"]["config"] |= config
    if config.keys() & {"limit", "sample_id"}:  # Inspect counts the chosen samples only
        del header["results"]["total_samples"]
    path = folder / "log.json"
    path.write_text(json.dumps({**header, "samples": samples}))
    return inspect_ai.read([path])[0]


def inspect_sample(id, *, epoch=1, **more):
    return harness_logs.inspect_sample(id, "Q?", "4", "4", "C") | {"epoch": epoch, **more}


@pytest.mark.parametrize(
    ("error", "failure"),
    [({"message": "boom"}, "'boom'"), ("boom", "'boom'"), ({"message": ""}, "the log has an error without a message")],
)
def test_a_sample_of_inspect_that_an_error_ended_has_no_output(tmp_path, error, failure):
    scored = {"error": {"message": "late"}}
    ended = {"error": error, "scores": {}}
    run = inspect_run(tmp_path, [inspect_sample(1), inspect_sample(2, **scored), inspect_sample(3, **ended)], held=3)
    assert [sample.failure for sample in run.samples] == [None, None, failure]
    assert [len(sample.outputs) for sample in run.samples] == [1, 1, 0]


def test_an_error_in_one_epoch_of_inspect_fails_the_sample(tmp_path):
    ended = inspect_sample(1, epoch=2, error={"message": "boom"}, scores=None)
    (sample,) = inspect_run(tmp_path, [inspect_sample(1), ended], held=1, epochs=2).samples
    assert (sample.failure, sample.outputs, sample.values) == ("'boom'", (), {})


def test_a_sample_of_inspect_comes_once_in_an_epoch(tmp_path):
    run = inspect_run(tmp_path, [inspect_sample(1), inspect_sample(1, epoch=2)], held=1, epochs=2)
    assert [sample.outputs for sample in run.samples] == [("4", "4")]
    with pytest.raises(InputError, match="sample '1' comes twice in one epoch"):
        inspect_run(tmp_path, [inspect_sample(1), inspect_sample(1), inspect_sample(2)], held=3)


@pytest.mark.parametrize(
    ("held", "config", "note"),
    [
        (2, {}, ""),
        (3, {}, "the log holds 2 of its 3 samples: 1 is missing"),
        (
            2,
            {"epochs": 2},
            "the log holds 2 of its 4 samples, each epoch counted: 2 are missing",
        ),
        (9, {"limit": 2}, ""),
        (9, {"limit": 5}, "the log holds 2 of its 5 samples: 3 are missing"),
        (9, {"limit": [7, 12]}, ""),
        (9, {"limit": [2, 6]}, "the log holds 2 of its 4 samples: 2 are missing"),
        (9, {"sample_id": [1, 2]}, ""),
    ],
)
def test_samples_that_a_log_of_inspect_lacks_are_no_choice(tmp_path, held, config, note):
    run = inspect_run(tmp_path, [inspect_sample(1), inspect_sample(2)], held=held, **config)
    assert (run.lacks, run.data.get("samples_in_split")) == (note, held)
