"""Logs of other harnesses become run folders: nothing of them is lost, and our scorers score the outputs again."""

from __future__ import annotations

import json

import harness_logs
import pytest
from commands import evals, refused
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import pearsonr

import evals as suite
from evals import logs
from evals.app import evidence
from evals.app.imports import import_logs
from evals.errors import InputError
from evals.logs.matching import question_key
from evals.reports.runs import reported


def rows(record):
    return list(suite.load(record.folder).samples())


def sentences(record):
    return "\n".join(reported.sentences(record))


def imported(path, out):
    (record,) = import_logs([path], out).records
    return record


def test_lm_eval_problems_are_scored_again(tmp_path):
    record = imported(harness_logs.lm_eval_math(tmp_path / "log"), tmp_path / "run")
    result, manifest = record.finished(), record.manifest
    assert (manifest.task.name, manifest.model_name, manifest.task.shots) == ("math/gsm8k", "org/model", 5)
    assert {name: result.metrics[name].value for name in ("accuracy", "accuracy-strict", "accuracy-flexible")} == {
        "accuracy": 2 / 3, "accuracy-strict": 1 / 3, "accuracy-flexible": 2 / 3,
    }  # fmt: skip
    assert [row.id for row in rows(record)] == ["0", "1", "2"]
    assert [row.output for row in rows(record)] == harness_logs.OUTPUTS
    assert rows(record)[1].inputs[0].text.startswith("Question: Kim has 7 pens")
    assert rows(record)[1].reported == {"exact_match,strict-match": 0.0, "exact_match,flexible-extract": 1.0}
    assert manifest.imported.protocol["doc_to_text"] == "Question: {{question}}\nAnswer:"
    assert sentences(record).count("the same on every sample") == 2


def test_samples_that_a_harness_scores_otherwise_are_listed(tmp_path):
    log = harness_logs.lm_eval_math(tmp_path / "log", flexible=[1.0, 0.0, 0.0])
    record = imported(log, tmp_path / "run")
    assert "they differ on 1 sample: 1" in sentences(record)
    table = (record.folder / "differences.csv").read_text()
    assert table.splitlines()[1] == '1,"exact_match,flexible-extract",0.0,accuracy-flexible,1.0,5,5'
    shown = evals("show", record.folder).stdout
    assert "they differ on 1 sample: 1" in shown
    assert shown.startswith("Imported: ")
    costs = record.finished().efficiency
    assert (costs["seconds"], costs["prompt_tokens"]) == (None, None), "a log without them does not say zero"


def test_samples_without_a_score_are_counted_also_where_the_first_has_none(tmp_path):
    (samples,) = harness_logs.lm_eval_math(tmp_path / "log").glob("samples_*.jsonl")
    first, *others = [json.loads(line) for line in samples.read_text().splitlines()]
    alone = samples.with_name("alone")
    alone.mkdir()
    text = "".join(json.dumps(line) + "\n" for line in [{**first, "exact_match": float("nan")}, *others])
    (alone / samples.name).write_text(text)
    assert "1 sample without a score there" in sentences(imported(alone / samples.name, tmp_path / "run"))


def test_a_log_is_scored_again_and_imported_again_with_one_result(tmp_path):
    log = harness_logs.lm_eval_math(tmp_path / "log")
    record = imported(log, tmp_path / "run")
    before = record.finished().to_dict()
    assert suite.score(record.folder).finished().to_dict() == before
    assert imported(log, tmp_path / "run").finished().to_dict() == before


def test_lm_eval_choices_have_their_log_likelihoods(tmp_path):
    record = imported(harness_logs.lm_eval_choices(tmp_path / "log"), tmp_path / "run")
    assert record.manifest.task.name == "glue/rte"
    assert evidence.read([record.folder]) == [], "samples alone do not say of which model they are"
    assert [row.scores for row in rows(record)] == [[(-3.0, -1.0)], [(-1.0, -2.0)]]
    assert [row.answer for row in rows(record)] == ["not_entailment", "entailment"]
    assert record.finished().metrics["accuracy"].value == 1.0
    assert rows(record)[0].inputs[0].continuations[1].text == " False"


MNLI = [("It rains.", "It is dry.", 2, (-1, -2, -3)), ("Sue sang.", "Sue sang well.", 1, (-3, -1, -2))]
STSB = [
    ("A cat sits.", "A cat is sitting.", 4.8, "5"),
    ("A dog.", "A plane.", 0.2, "1.0"),
    ("He runs.", "He.", 2.6, "?"),
]


@pytest.mark.parametrize(("task", "subset"), [("mnli", "matched"), ("mnli_mismatch", "mismatched")])
def test_each_set_of_mnli_is_scored_again(tmp_path, task, subset):
    path = tmp_path / f"samples_{task}.jsonl"
    path.write_text("\n".join(json.dumps({
        "doc_id": number, "doc": {"premise": premise, "hypothesis": hypothesis, "label": label}, "target": str(label),
        "arguments": [[premise, ending] for ending in (" True", " Neither", " False")],
        "resps": [[[score, False]] for score in scores], "acc": float(max(scores) == scores[label]),
    }) for number, (premise, hypothesis, label, scores) in enumerate(MNLI)))  # fmt: skip
    record = imported(path, tmp_path / "run")
    assert (record.manifest.task.name, record.manifest.task.split) == ("glue/mnli", f"validation_{subset}")
    assert {name: metric.value for name, metric in record.finished().metrics.items()} == {f"accuracy/{subset}": 0.5}
    assert f"acc 0.5, accuracy/{subset} of the same outputs here is 0.5: the same on every" in sentences(record)


def test_scores_of_stsb_are_read_again_and_points_of_another_scale_are_not(tmp_path):
    path = tmp_path / "samples_stsb.jsonl"
    lines = [{
        "doc_id": number, "doc": {"sentence1": first, "sentence2": second, "label": label}, "target": f"{label:.2f}",
        "arguments": [[first, {"until": []}]], "resps": [[output]], "exact_match": 0.0,
    } for number, (first, second, label, output) in enumerate(STSB)]  # fmt: skip
    path.write_text("\n".join(map(json.dumps, lines)))
    record = imported(path, tmp_path / "run")
    assert record.manifest.task.name == "glue/stsb"
    assert [row.answer for row in rows(record)] == [5.0, 1.0, None]
    assert record.finished().metrics["pearson"].value == pytest.approx(pearsonr([4.8, 0.2, 2.6], [5.0, 1.0, 0.0])[0])
    for row in lines:
        row |= {"arguments": [["a", f" {word}"] for word in "xyzuvw"], "resps": [[[-1.0, False]]] * 6}
    path.write_text("\n".join(map(json.dumps, lines)))
    record = imported(path, tmp_path / "other")
    assert record.manifest.task.name == "lm-eval/stsb"
    assert "not the points 0 to 5" in sentences(record)


def test_choices_whose_targets_are_not_the_labels_keep_their_scores(tmp_path):
    path = harness_logs.lm_eval_choices(tmp_path / "log")
    path.write_text(path.read_text().replace('"target": "0"', '"target": "1"'))
    record = imported(path, tmp_path / "run")
    assert record.manifest.task.name == "lm-eval/rte"
    assert "not scored again as glue/rte: sample 1 has target '1', its row the label 0" in sentences(record)


def test_tasks_that_this_suite_lacks_keep_their_scores_with_intervals(tmp_path):
    record = imported(harness_logs.lm_eval_choices(tmp_path / "log", "arc_easy"), tmp_path / "run")
    metric = record.finished().metrics["acc"]
    assert (record.manifest.task.name, metric.value, metric.n) == ("lm-eval/arc_easy", 1.0, 2)
    assert metric.low is not None
    assert "the values are those of lm-eval" in sentences(record)
    assert "which the table shows" not in sentences(record)
    results = {"results": {"arc_easy": {"acc,none": 0.9}}, "configs": {"arc_easy": {}}, "model_name": "org/model"}
    (tmp_path / "log" / f"results_{harness_logs.DATE}.json").write_text(json.dumps(results))
    other = imported(tmp_path / "log", tmp_path / "other")
    assert "acc: lm-eval reports 0.9, but the mean of its 2 samples in the log is 1, which the" in sentences(other)
    refused(evals("score", record.folder), "lm-eval/arc_easy")


@pytest.mark.parametrize("archive", [True, False])
def test_inspect_ai(tmp_path, archive):
    record = imported(harness_logs.inspect_ai(tmp_path / "log", archive=archive), tmp_path / "run")
    assert (record.manifest.task.name, record.manifest.task.shots) == ("math/gsm8k", 10)
    assert record.finished().metrics["accuracy"].value == 2 / 3
    assert [row.id for row in rows(record)] == ["gsm8k_07", "gsm8k_17", "gsm8k_27"]
    assert rows(record)[0].thought == "Hm."
    assert rows(record)[0].cost["new_tokens"] == 7
    assert "inspect_ai reports match 0.6667, accuracy of the same outputs here is 0.6667: the same" in sentences(record)


def test_lighteval(tmp_path):
    record = imported(harness_logs.lighteval(tmp_path / "log"), tmp_path / "run")
    assert record.manifest.task.name == "lighteval/leaderboard|arc:challenge"
    assert (record.manifest.task.shots, record.manifest.task.split) == (25, "test")
    assert {name: metric.value for name, metric in record.finished().metrics.items()} == {"acc": 0.5, "acc_norm": 1.0}
    assert [row.answer for row in rows(record)] == [" A", " A"]


def test_helm(tmp_path):
    record = imported(harness_logs.helm(tmp_path / "log"), tmp_path / "run")
    assert (record.manifest.task.name, record.manifest.model_name) == ("math/gsm8k", "org/model")
    (score,) = evidence.read([record.folder])
    assert (score.model, score.benchmark, f"{score.percent:f}") == ("org/model", "gsm8k", "66.6667")
    assert score.origin.startswith("run run (log of HELM")
    assert [row.id for row in rows(record)] == ["id0", "id1", "id2"], "perturbed instances are no samples"
    assert record.finished().metrics["accuracy"].value == 2 / 3
    assert "reports final_number_exact_match 0.6667" in sentences(record)


def test_results_of_an_old_mteb_are_named(tmp_path):
    log = harness_logs.mteb(tmp_path / "log")
    old = {"mteb_version": "0.0.2", "mteb_dataset_name": "STS12", "test": {"cos_sim": {"spearman": 0.7}}}
    (log / "STS12-old.json").write_text(json.dumps(old))
    finished = evals("import", log, "--out", tmp_path / "run")
    assert finished.returncode == 2
    assert "STS12-old.json has the format of mteb before 1.11" in finished.stderr
    assert (tmp_path / "run" / "manifest.json").is_file()


def test_mteb_has_metrics_and_no_samples(tmp_path):
    record = imported(harness_logs.mteb(tmp_path / "log"), tmp_path / "run")
    assert (record.manifest.model_name, record.finished().n) == ("intfloat/e5", 0)
    assert record.finished().metrics["main_score"].value == pytest.approx(0.7)
    assert record.finished().metrics["de/cosine_spearman"].value == 0.6
    assert evals("show", record.folder).returncode == 0
    assert evals("report", record.folder, "--format", "json").returncode == 0


def test_vlmevalkit(tmp_path):
    record = imported(harness_logs.vlmevalkit(tmp_path / "log"), tmp_path / "run")
    assert (record.manifest.task.name, record.manifest.model_name) == ("vlmevalkit/MMBench_DEV_EN", "GPT4o")
    assert [row.id for row in rows(record)] == ["241", "252"]
    assert record.finished().metrics["hit"].value == 0.5
    assert rows(record)[1].labels == {"category": "counting"}


def test_tables_of_vlmevalkit_may_be_excel_files(tmp_path):
    import openpyxl

    book = openpyxl.Workbook()
    for line in (("index", "question", "answer", "prediction", "hit"), (3, "How many?", "B", "B", 1)):
        book.active.append(line)
    book.save(tmp_path / "GPT4o_MMStar.xlsx")
    record = imported(tmp_path / "GPT4o_MMStar.xlsx", tmp_path / "run")
    assert [(row.id, row.output, row.values) for row in rows(record)] == [("3", "B", {"hit": 1.0})]


def test_every_eval_ever_and_what_this_suite_exports_in_its_format(tmp_path):
    record = imported(harness_logs.every_eval_ever(tmp_path / "log"), tmp_path / "run")
    assert (record.manifest.task.name, record.finished().metrics["acc"].value) == ("every-eval-ever/boolq", 0.5)
    exported = tmp_path / "exported"
    exported.mkdir()
    for format, name in (("every-eval-ever", "a.json"), ("every-eval-ever-samples", "a.jsonl")):
        assert evals("report", record.folder, "--format", format, "--out", exported / name).returncode == 0
    again = imported(exported, tmp_path / "again")
    assert [(row.output, row.values) for row in rows(again)] == [(row.output, row.values) for row in rows(record)]


def test_lmms_eval(tmp_path):
    record = imported(harness_logs.lmms_eval(tmp_path / "log"), tmp_path / "run")
    assert (record.manifest.task.name, record.manifest.imported.version) == ("lmms-eval/realworldqa", "0.7.2")
    assert [(row.output, row.values["exact_match"]) for row in rows(record)] == [("red", 1.0), ("3", 0.0)]


def test_logs_of_several_harnesses_are_compared_by_their_questions(tmp_path):
    harness_logs.lm_eval_math(tmp_path / "logs")
    harness_logs.inspect_ai(tmp_path / "logs")
    finished = evals("import", tmp_path / "logs", "--out", tmp_path / "runs")
    assert finished.returncode == 0, finished.stderr
    folders = sorted((tmp_path / "runs").iterdir())
    assert [folder.name for folder in folders] == ["openai-gpt-x-math-gsm8k", "org-model-math-gsm8k"]
    compared = evals("compare", *folders)
    assert "3 samples are in both runs, matched by their questions" in compared.stdout, compared.stderr
    assert "task.shots is 10 in the first run, 5 in the second" in compared.stdout
    (metric, *_) = suite.compare(*folders).metrics
    assert (metric.name, metric.difference, metric.n) == ("accuracy", 0.0, 3)


def test_only_the_samples_that_both_runs_have_are_compared(tmp_path):
    a = imported(harness_logs.lm_eval_math(tmp_path / "a"), tmp_path / "run-a").folder
    log = harness_logs.lm_eval_math(tmp_path / "b")
    path = next(log.glob("samples*"))
    path.write_text("".join(line for line in path.read_text().splitlines(True) if '"doc_id": 2' not in line))
    b = imported(log, tmp_path / "run-b").folder
    comparison = suite.compare(a, b)
    assert {metric.n for metric in comparison.metrics} == {2}
    assert comparison.notes[0] == "2 samples are in both runs, matched by their ids (3 and 2 in all)"
    arc = imported(harness_logs.lm_eval_choices(tmp_path / "c", "arc_easy"), tmp_path / "run-c").folder
    with pytest.raises(InputError, match=r"different protocols: task\.name"):
        suite.compare(a, arc)


@pytest.mark.parametrize(
    ("name", "change", "words"),
    [
        ("samples", None, ["no samples of gsm8k beside it", "--log_samples"]),
        ("samples", lambda text: text + "{", ["line 7", "is no JSON"]),
        ("samples", lambda text: text + text, ["doc_id 0 comes a second time"]),
        ("samples", lambda text: text.replace('"doc_id": 1', '"doc_id": -1'), ["doc_id is -1"]),
        ("results", lambda text: text[:-9], ["results_", "is no JSON"]),
    ],
)
def test_damaged_logs_are_one_line(tmp_path, name, change, words):
    log = harness_logs.lm_eval_math(tmp_path / "log")
    path = next(log.glob(f"{name}*"))
    if change is None:
        path.unlink()
    else:
        path.write_text(change(path.read_text()))
    refused(evals("import", *sorted(log.iterdir()), "--out", tmp_path / "run"), *words)
    assert not (tmp_path / "run").exists()


def test_a_log_that_cannot_be_imported_does_not_keep_the_others_from_it(tmp_path):
    log = harness_logs.lm_eval_math(tmp_path / "logs")
    (log / f"samples_other_{harness_logs.DATE}.jsonl").write_text('{"doc_id": 0, "resps": [["x"]], "metrics": []}\n')
    finished = evals("import", log, "--out", tmp_path / "runs")
    assert finished.returncode == 2
    assert "other is no task of this suite, and its samples have no scores" in finished.stderr
    assert (tmp_path / "runs" / "manifest.json").is_file()


def test_results_that_name_a_task_without_samples_say_so(tmp_path):
    """As lmms-eval leaves them for a task whose samples were not logged; the rows of groups are no tasks."""
    log = harness_logs.lm_eval_math(tmp_path / "logs")
    path = next(log.glob("results*"))
    content = json.loads(path.read_text())
    content |= {"group_subtasks": {"all": ["gsm8k"], "gsm8k": []}}
    content["results"] |= {"all": {"acc,none": 0.5}}
    path.write_text(json.dumps(content))
    assert evals("import", log, "--out", tmp_path / "runs").returncode == 0
    content["results"] |= {"pope": {"acc,none": 0.5}}
    path.write_text(json.dumps(content))
    for number, named in enumerate(([log], [path], sorted(log.iterdir()))):
        finished = evals("import", *named, "--out", tmp_path / f"runs-{number}")
        assert finished.returncode == 2
        assert "has no samples of pope beside it" in finished.stderr
        assert (tmp_path / f"runs-{number}" / "manifest.json").is_file()


def test_what_is_no_log_is_named(tmp_path):
    (tmp_path / "notes.json").write_text('{"a": 1}')
    refused(evals("import", tmp_path / "notes.json"), "notes.json is no log of")
    refused(evals("import", tmp_path), "holds no log of")
    refused(evals("import", tmp_path / "nothing"), "does not exist")


@given(st.text(), st.sampled_from(["", "Question: ", "Q: ", " "]), st.sampled_from(["", "\nAnswer:", "\nA: "]))
def test_marks_around_a_question_do_not_change_its_hash(question, before, after):
    if any(mark in question.casefold() for mark in ("question", "problem", "answer", "solution", "q", "a")):
        return
    assert question_key(before + question + after) == question_key(question)


def test_real_logs_of_lm_eval(tmp_path, shared_data):
    logs_of_others = shared_data.parent / "cases" / "logs"
    if not logs_of_others.is_dir():
        pytest.skip("the real logs are not here")
    records = {record.manifest.task.name: record for record in import_logs([logs_of_others], tmp_path / "runs").records}
    rte, problems = records["glue/rte"], records["math/gsm8k"]
    assert (rte.finished().n, round(rte.finished().metrics["accuracy"].value, 4)) == (277, 0.4657)
    assert sentences(rte).endswith("the same on every sample")
    assert (problems.finished().n, problems.manifest.subset) == (60, "first")
    assert all(row.reported for record in records.values() for row in record.samples())


def test_every_reader_states_a_harness():
    assert {reader.harness for reader in logs.detection.READERS} == {
        "inspect_ai", "lm-eval and lmms-eval", "lighteval", "HELM", "mteb", "Every Eval Ever", "VLMEvalKit",
    }  # fmt: skip


def lines_of(log, **changes):
    """Change every line of a log's samples."""
    path = next(log.glob("samples*"))
    path.write_text(
        "".join(json.dumps({**json.loads(line), **changes}) + "\n" for line in path.read_text().splitlines())
    )
    return path


@pytest.mark.parametrize("task", ["gsm8k_platinum_cot", "gsm8k_custom", "gsm8k-hard", "math_500_ko", "rte_superglue"])
def test_tasks_with_names_like_ours_keep_their_scores(tmp_path, task):
    log = harness_logs.lm_eval_math(tmp_path / "log")
    path = next(log.glob("samples*"))
    path.rename(path.with_name(path.name.replace("gsm8k", task)))
    record = imported(path.with_name(path.name.replace("gsm8k", task)), tmp_path / "run")
    assert record.manifest.task.name == f"lm-eval/{task}"


def test_other_data_under_the_name_of_a_benchmark_keep_their_scores(tmp_path):
    log = harness_logs.lm_eval_math(tmp_path / "log")
    results = next(log.glob("results*"))
    results.write_text(results.read_text().replace('"test_split"', '"dataset_path": "acme/sums", "test_split"'))
    record = imported(log, tmp_path / "run")
    assert record.manifest.task.name == "lm-eval/gsm8k"
    assert "not scored again as math/gsm8k: its data set is acme/sums" in sentences(record)
    other = imported(lines_of(harness_logs.lm_eval_math(tmp_path / "b"), target="777").parent, tmp_path / "run-b")
    assert "sample 0 was compared with '777', its row has" in sentences(other)


def test_results_of_another_folder_or_date_are_not_those_of_samples(tmp_path):
    good = harness_logs.lm_eval_math(tmp_path / "good")
    bad = harness_logs.lm_eval_math(tmp_path / "bad", outputs=["no"] * 3, strict=[0.0] * 3, flexible=[0.0] * 3)
    next(bad.glob("results*")).unlink()
    path = next(bad.glob("samples*"))
    path.rename(path.with_name("samples_gsm8k_2020-01-01T00-00-00.1.jsonl"))
    records = import_logs([good, bad], tmp_path / "runs").records
    assert sorted(record.manifest.model_name for record in records)[1].startswith("unknown-")


def test_one_id_of_other_questions_is_no_common_sample(tmp_path):
    a = imported(harness_logs.lm_eval_math(tmp_path / "a"), tmp_path / "run-a").folder
    log = harness_logs.lm_eval_math(tmp_path / "b")
    path = next(log.glob("samples*"))
    path.write_text(path.read_text().replace('"doc_id": 2', '"doc_id": 7').replace('"doc_id": 1', '"doc_id": 2'))
    b = imported(log, tmp_path / "run-b").folder
    assert suite.compare(a, b).notes[0] == "3 samples are in both runs, matched by their questions"
    log = harness_logs.lm_eval_math(tmp_path / "c")
    path = next(log.glob("samples*"))
    path.write_text(path.read_text().replace("9 * 2", "9 + 2").replace("pens", "pins").replace("nuts", "bolts"))
    c = imported(log, tmp_path / "run-c").folder
    with pytest.raises(InputError, match="their 3 common ids have other questions"):
        suite.compare(a, c)
    refused(evals("gap", a, c), "their 3 common ids have other questions")


def test_parts_of_math_are_other_samples(tmp_path):
    row = {"problem": "What is $1+1$?", "solution": "$\\boxed{2}$", "level": "Level 1", "type": "Algebra"}
    line = {
        "doc_id": 0,
        "doc": row,
        "target": "2",
        "resps": [["\\boxed{2}"]],
        "metrics": ["exact_match"],
        "exact_match": 1,
    }
    for part in ("algebra", "geometry"):
        changed = {**line, "doc": {**row, "problem": f"{part}: {row['problem']}"}}
        (tmp_path / f"samples_minerva_math_{part}.jsonl").write_text(json.dumps(changed) + "\n")
    records = import_logs([tmp_path], tmp_path / "runs").records
    assert [row.id for record in records for row in rows(record)] == ["algebra/0", "geometry/0"]
    assert "part algebra" in evals("show", records[0].folder).stdout
    with pytest.raises(InputError, match="no question is in both"):
        suite.compare(*(record.folder for record in records))


def test_majorities_and_placeholders_are_not_set_beside_accuracy(tmp_path):
    log = harness_logs.lm_eval_math(tmp_path / "log")
    path = next(log.glob("samples*"))
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    repeated = [{**line, "resps": [line["resps"][0] * 3], "filter": "maj@3", "bypass": 999} for line in lines[:3]]
    path.write_text("".join(json.dumps({**line, "metrics": ["exact_match", "bypass"]}) + "\n" for line in repeated))
    record = imported(path, tmp_path / "run")
    assert record.manifest.imported.metrics["exact_match,maj@3"].same_as == "majority"
    assert "bypass" not in record.manifest.imported.metrics
    assert record.manifest.task.samples == 3


def test_a_metric_whose_direction_is_not_known_makes_no_run_better(tmp_path):
    folders = []
    for name, values in (("a", (0.9, 0.8)), ("b", (0.1, 0.2))):
        path = harness_logs.lm_eval_choices(tmp_path / name, "speech")
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        path.write_text("".join(
            json.dumps({**line, "metrics": ["oddness", "wer"], "oddness": value, "wer": value}) + "\n"
            for line, value in zip(lines, values, strict=True)
        ))  # fmt: skip
        folders.append(imported(path, tmp_path / f"run-{name}").folder)
    compared = evals("compare", *folders).stdout
    assert "which is better is not known" in compared
    assert suite.load(folders[0]).result.metrics["wer"].higher_is_better is False
    assert suite.load(folders[0]).result.metrics["wer"].unit == "score"


def test_samples_of_inspect_that_failed_are_counted(tmp_path):
    path = harness_logs.inspect_ai(tmp_path / "log", archive=False)
    log = json.loads(path.read_text())
    failed = {
        "id": "gsm8k_37",
        "epoch": 1,
        "input": "Why?",
        "target": "7",
        "error": {"message": "timeout"},
        "scores": {},
    }
    path.write_text(json.dumps({**log, "status": "error", "samples": [*log["samples"], failed]}))
    record = imported(path, tmp_path / "run")
    assert (record.finished().n, record.finished().failed) == (4, 1)
    assert "the same on the 3 samples that have a score there; 1 sample without a score there" in sentences(record)
    assert "the log's status is error" in sentences(record)


def test_what_a_log_of_inspect_lacks_is_said_where_it_is_scored_again_too(tmp_path):
    path = harness_logs.inspect_ai(tmp_path / "log", archive=False)
    log = json.loads(path.read_text())
    path.write_text(json.dumps({**log, "samples": log["samples"][:2]}))
    record = imported(path, tmp_path / "run")
    assert record.manifest.imported.scored_again
    assert "the log holds 2 of its 3 samples: 1 is missing" in sentences(record)
    metric = record.finished().metrics["accuracy"]
    assert metric.low is None, "what is left is no random choice"
    assert "samples that are left in the log" in metric.note
    assert "chosen by" not in evals("show", record.folder).stdout


def test_scores_of_inspect_with_one_key_and_several_reducers_are_kept_apart(tmp_path):
    path = harness_logs.inspect_ai(tmp_path / "log", archive=False)
    log = json.loads(path.read_text())
    for sample in log["samples"]:
        sample["scores"] = {judge: {"value": {"quality": value}} for judge, value in (("one", 1.0), ("two", 0.0))}
    accuracy = {"accuracy": {"value": 0.5}}
    log["results"]["scores"] = [
        {"name": "quality", "scorer": "one", "metrics": accuracy},
        {"name": "quality", "scorer": "two", "reducer": "max", "metrics": accuracy},
    ]
    path.write_text(json.dumps(log))
    metrics = imported(path, tmp_path / "run").manifest.imported.metrics
    assert {name: metric.value for name, metric in metrics.items()} == {
        "one/quality": 0.5, "two/quality/max": 0.5, "two/quality": 0.0,
    }  # fmt: skip


def test_formulas_of_a_model_are_no_formulas_in_the_table_of_differences(tmp_path):
    log = harness_logs.lm_eval_math(tmp_path / "log", outputs=["=HYPERLINK(1) 18", "5", "1"], flexible=[0.0, 1.0, 0.0])
    record = imported(log, tmp_path / "run")
    assert ",=" not in (record.folder / "differences.csv").read_text()


def test_a_stray_file_does_not_keep_a_folder_from_being_imported(tmp_path):
    log = harness_logs.lm_eval_math(tmp_path / "log")
    (log / "notes.json").write_text("{bad")
    (log / "table.csv").write_bytes("index\tprediction".encode("utf-16"))
    assert len(import_logs([log], tmp_path / "run").records) == 1


def test_scored_copies_of_vlmevalkit_are_no_runs_of_their_own(tmp_path):
    folder = tmp_path / "GPT4o"
    folder.mkdir()
    table = "index\tquestion\tanswer\tprediction{}\n1\tWhat?\tA\tA{}\n2\tWho?\tB\tC{}\n3\tWhy?\tD\tE{}\n"
    (folder / "GPT4o_VideoMME_8frame.tsv").write_text(table.format("", "", "", ""))
    scored = folder / "GPT4o_VideoMME_8frame_gpt-4o-mini_score.tsv"
    scored.write_text(table.format("\tscore", "\t1", "\t0", "\t-1"))
    record = imported(folder, tmp_path / "run")
    assert record.manifest.imported.task == "VideoMME_8frame"
    assert (record.finished().metrics["score"].value, record.finished().metrics["score"].n) == (0.5, 2)
    assert "1 of 3 samples without a score: 3" in sentences(record)


def test_a_part_of_a_log_is_named_and_has_no_interval(tmp_path):
    """Of lm-eval and HELM as of Inspect: what is left is no random choice, also where its mean is the reported one."""
    (path,) = harness_logs.lm_eval_math(tmp_path / "log", strict=[1.0] * 3, flexible=[1.0] * 3).glob("samples*")
    lines = [line for line in path.read_text().splitlines() if json.loads(line)["doc_id"] != 1]
    path.write_text("\n".join(lines) + "\n")
    helm = harness_logs.helm(tmp_path / "helm")
    (stats,) = helm.rglob("stats.json")
    count = {"name": {"name": "num_instances", "split": "test"}, "count": 1, "sum": 9, "mean": 9}
    stats.write_text(json.dumps([*json.loads(stats.read_text()), count]))
    for log, words in (
        (tmp_path / "log", "the log holds 2 of its 3 samples: 1 is missing"),
        (helm, "of its 9 samples"),
    ):
        record = imported(log, tmp_path / f"run-{log.name}")
        assert words in sentences(record)
        assert all(metric.low is None for metric in record.finished().metrics.values())
        assert "the others missing in the log" in evals("show", record.folder).stdout


def test_two_logs_without_a_models_name_are_not_of_one_model(tmp_path):
    a, b = (
        harness_logs.lm_eval_choices(tmp_path / name, likelihoods=scores)
        for name, scores in (("a", ((-3.0, -1.0), (-1.0, -2.0))), ("b", ((-1.0, -3.0), (-1.0, -2.0))))
    )
    first, second = (imported(log, tmp_path / f"run-{log.parent.name}") for log in (a, b))
    assert first.manifest.model_name != second.manifest.model_name
    assert evidence.read([first.folder, second.folder]) == []
