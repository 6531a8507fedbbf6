"""Small logs in the formats of other harnesses, of three problems of GSM8K's form and their outputs."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

DATE = "2026-11-28T09-34-15.759025"
PROBLEMS = [
    {"question": "How much is 9 * 2?", "answer": "9 * 2 = 18\n#### 18"},
    {"question": "Kim has 7 pens and loses 2. How many are left?", "answer": "7 - 2 = 5\n#### 5"},
    {"question": "A box holds 1,200 nuts. How many do 2 boxes hold?", "answer": "2 * 1200 = 2400\n#### 2,400"},
]
OUTPUTS = ["9 * 2 = 18\n#### 18", "That leaves $5.", "#### 240"]
STRICT, FLEXIBLE = [1.0, 0.0, 0.0], [1.0, 1.0, 0.0]
"""What the harness says; our flexible reading agrees, and our strict one too."""
PAIRS = [
    {"sentence1": "Dana died.", "sentence2": "Dana lives.", "label": 1, "idx": 0},
    {"sentence1": "Oslo is big.", "sentence2": "Oslo is large.", "label": 0, "idx": 1},
]


def _lines(path: Path, rows: list[dict]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def lm_eval_math(folder: Path, *, strict=STRICT, flexible=FLEXIBLE, outputs=OUTPUTS) -> Path:
    """The results and samples of `gsm8k`, with a line per filter."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = [
        {
            "doc_id": number, "doc": problem, "target": problem["answer"],
            "arguments": {"gen_args_0": {"arg_0": f"Question: {problem['question']}\nAnswer:", "arg_1": {"until": []}}},
            "resps": [[outputs[number]]], "filtered_resps": ["x"], "filter": name, "metrics": ["exact_match"],
            "doc_hash": "x", "prompt_hash": "x", "target_hash": "x", "exact_match": values[number],
        }
        for name, values in (("strict-match", strict), ("flexible-extract", flexible))
        for number, problem in enumerate(PROBLEMS)
    ]  # fmt: skip
    _lines(folder / f"samples_gsm8k_{DATE}.jsonl", rows)
    results = {
        "results": {
            "gsm8k": {
                "alias": "gsm8k", "exact_match,strict-match": sum(strict) / 3, "exact_match_stderr,strict-match": 0.3,
                "exact_match,flexible-extract": sum(flexible) / 3, "exact_match_stderr,flexible-extract": "N/A",
            }
        },
        "configs": {"gsm8k": {"doc_to_text": "Question: {{question}}\nAnswer:", "test_split": "test"}},
        "n-shot": {"gsm8k": 5}, "higher_is_better": {"gsm8k": {"exact_match": True}},
        "n-samples": {"gsm8k": {"original": 3, "effective": 3}}, "versions": {"gsm8k": 3.0},
        "config": {"model": "hf", "model_args": "pretrained=org/model,dtype=float32", "limit": None},
        "lm_eval_version": "0.4.13", "transformers_version": "5.24.0", "model_name": "org/model",
    }  # fmt: skip
    (folder / f"results_{DATE}.json").write_text(json.dumps(results))
    return folder


def lm_eval_choices(folder: Path, task: str = "rte", *, likelihoods=((-3.0, -1.0), (-1.0, -2.0))) -> Path:
    """Samples alone of a task that scores two continuations."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for number, (pair, (first, second)) in enumerate(zip(PAIRS, likelihoods, strict=True)):
        prompt = f"{pair['sentence1']}\nQuestion: {pair['sentence2']} True or False?\nAnswer:"
        endings = {f"gen_args_{n}": {"arg_0": prompt, "arg_1": f" {text}"} for n, text in enumerate(("True", "False"))}
        rows.append({
            "doc_id": number, "doc": pair, "target": str(pair["label"]), "arguments": endings,
            "resps": [[[str(first), "False"]], [[str(second), "False"]]],
            "filtered_resps": [[str(first), "False"], [str(second), "False"]], "filter": "none", "metrics": ["acc"],
            "acc": float((second > first) == bool(pair["label"])),
        })  # fmt: skip
    return _lines(folder / f"samples_{task}_{DATE}.jsonl", rows)


def lmms_eval(folder: Path) -> Path:
    """The results and samples of a task on images, with lmms-eval's names of files and without rows."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = [
        {"doc_id": 0, "target": "red", "filtered_resps": ["red"], "input": "Which color?", "exact_match": 1.0},
        {"doc_id": 1, "target": "two", "filtered_resps": ["3"], "input": "How many?", "exact_match": 0.0},
    ]  # fmt: skip
    _lines(folder / "20260922_165022_samples_realworldqa.jsonl", rows)
    results = {
        "results": {"realworldqa": {"alias": "realworldqa", "exact_match,none": 0.5, "exact_match_stderr,none": "N/A"}},
        "configs": {"realworldqa": {}}, "n-shot": {"realworldqa": 0}, "model_name": "llava",
        "lmms_eval_version": "0.7.2",
    }  # fmt: skip
    (folder / "20260922_165022_results.json").write_text(json.dumps(results))
    return folder


def inspect_header(scores: list[dict], *, task: str = "inspect_evals/gsm8k", samples: int = 3) -> dict:
    """The header of a log of Inspect."""
    return {
        "version": 2, "status": "success",
        "eval": {
            "task": task, "model": "openai/gpt-x", "created": "2026-11-28T10:00:00+00:00", "task_args": {"fewshot": 10},
            "dataset": {"name": "gsm8k", "samples": samples}, "config": {"epochs": 1},
            "packages": {"inspect_ai": "0.3.285"},
        },
        "plan": {"steps": [{"solver": "prompt_template"}, {"solver": "generate"}], "config": {"temperature": 0.0}},
        "results": {"total_samples": samples, "scores": scores},
    }  # fmt: skip


def inspect_sample(id: int | str, question: str, target: str, output: str, grade: str, **more) -> dict:
    """One sample of a log of Inspect."""
    message = {
        "role": "assistant",
        "content": [{"type": "reasoning", "reasoning": "Hm."}, {"type": "text", "text": output}],
    }
    return {
        "id": id, "epoch": 1, "input": question, "target": target,
        "messages": [{"role": "user", "content": f"Solve: {question}"}, message],
        "output": {"model": "gpt-x", "choices": [{"message": message, "stop_reason": "stop"}]},
        "scores": {"match": {"value": grade, "answer": output}},
        "model_usage": {"openai/gpt-x": {"input_tokens": 11, "output_tokens": 7}}, **more,
    }  # fmt: skip


def inspect_ai(folder: Path, *, archive: bool = True) -> Path:
    """A log of GSM8K as an archive, or as JSON; its ids are hashes of the questions."""
    folder.mkdir(parents=True, exist_ok=True)
    metrics = {"accuracy": {"name": "accuracy", "value": 2 / 3}, "stderr": {"name": "stderr", "value": 0.33}}
    header = inspect_header([{"name": "match", "scorer": "match", "metrics": metrics}])
    targets, grades = ["18", "5", "2400"], ["C", "C", "I"]
    samples = [
        inspect_sample(f"gsm8k_{number:x}7", problem["question"], targets[number], OUTPUTS[number], grades[number])
        for number, problem in enumerate(PROBLEMS)
    ]
    if not archive:
        (folder / "log.json").write_text(json.dumps({**header, "samples": samples}))
        return folder / "log.json"
    with zipfile.ZipFile(folder / "log.eval", "w") as file:
        file.writestr("header.json", json.dumps(header))
        for sample in samples:
            file.writestr(f"samples/{sample['id']}_epoch_1.json", json.dumps(sample))
    return folder / "log.eval"


def lighteval(folder: Path) -> Path:
    """Details and results of a task that lighteval scores by letters."""
    import pyarrow as arrow
    import pyarrow.parquet as parquet

    details = folder / "details" / "org" / "model" / DATE
    details.mkdir(parents=True)
    rows = [
        {
            "doc": {"query": f"Question {number}?", "choices": [" A", " B"], "gold_index": [number], "specific": None},
            "model_response": {"input": f"Few shots. Question {number}?", "text": [], "logprobs": [-1.0, -2.0]},
            "metric": {"acc": float(number == 0), "acc_norm": 1.0},
        }
        for number in range(2)
    ]
    parquet.write_table(arrow.Table.from_pylist(rows), details / f"details_leaderboard|arc:challenge|25_{DATE}.parquet")
    results = folder / "results" / "org" / "model"
    results.mkdir(parents=True)
    content = {
        "config_general": {"lighteval_sha": "?", "model_name": "org/model", "max_samples": None},
        "results": {
            "leaderboard|arc:challenge|25": {"acc": 0.5, "acc_stderr": 0.5, "acc_norm": 1.0},
            "all": {"acc": 0.5},
        },
        "config_tasks": {"leaderboard|arc:challenge|25": {"hf_repo": "ai2_arc", "evaluation_splits": ["test"]}},
    }
    (results / f"results_{DATE}.json").write_text(json.dumps(content))
    return folder


def helm(folder: Path) -> Path:
    """A run folder of HELM's GSM8K, with a perturbed instance that is no sample."""
    folder.mkdir(parents=True)
    states, stats = [], []
    for number, problem in enumerate(PROBLEMS):
        solution = problem["answer"].replace("#### ", "The answer is ").replace("\n", " ") + "."
        instance = {
            "id": f"id{number}", "split": "test", "input": {"text": problem["question"]},
            "references": [{"output": {"text": solution}, "tags": ["correct"]}],
        }  # fmt: skip
        request = {"prompt": f"Q: {problem['question']}\nA:"}
        result = {"completions": [{"text": OUTPUTS[number], "logprob": -1.0}]}
        states.append({"instance": instance, "train_trial_index": 0, "request": request, "result": result})
        changed = {**instance, "perturbation": {"name": "typos"}}
        states.append({"instance": changed, "train_trial_index": 0, "request": request, "result": result})
        named = [
            {"name": {"name": "final_number_exact_match", "split": "test"}, "count": 1, "mean": FLEXIBLE[number]},
            {"name": {"name": "num_prompt_tokens", "split": "test"}, "count": 1, "mean": 20},
        ]
        stats.append({"instance_id": f"id{number}", "train_trial_index": 0, "stats": named})
    spec = {
        "name": "gsm:model=org_model", "scenario_spec": {"class_name": "GSM8KScenario", "args": {}},
        "adapter_spec": {"method": "generation", "model": "org/model", "max_train_instances": 5, "temperature": 0.0},
    }  # fmt: skip
    whole = [{"name": {"name": "final_number_exact_match", "split": "test"}, "count": 1, "mean": 2 / 3}]
    contents = {
        "run_spec": spec,
        "scenario_state": {"request_states": states},
        "per_instance_stats": stats,
        "stats": whole,
    }
    for name, content in contents.items():
        (folder / f"{name}.json").write_text(json.dumps(content))
    return folder


def mteb(folder: Path) -> Path:
    """The results of a task in two languages."""
    place = folder / "intfloat__e5" / "abc"
    place.mkdir(parents=True)
    subsets = [
        {"hf_subset": name, "main_score": score, "cosine_spearman": score} for name, score in (("en", 0.8), ("de", 0.6))
    ]
    content = {"task_name": "STS22", "mteb_version": "2.0.1", "dataset_revision": "r", "scores": {"test": subsets}}
    (place / "STS22.json").write_text(json.dumps(content))
    (place / "model_meta.json").write_text(json.dumps({"name": "intfloat/e5", "revision": "abc"}))
    return folder


def vlmevalkit(folder: Path) -> Path:
    """A judged table of predictions with its accuracies."""
    place = folder / "GPT4o"
    place.mkdir(parents=True)
    (place / "GPT4o_MMBench_DEV_EN_result.tsv").write_text(
        "index\tquestion\tA\tB\tanswer\tcategory\tprediction\thit\n"
        "241\tWhich is red?\tthe left\tthe right\tA\tcolor\tA\t1\n"
        "252\tHow many?\tone\ttwo\tB\tcounting\tThe answer is A.\t0\n"
    )
    (place / "GPT4o_MMBench_DEV_EN.tsv").write_text("index\tquestion\tanswer\tprediction\n241\tWhich is red?\tA\tA\n")
    (place / "GPT4o_MMBench_DEV_EN_acc.csv").write_text('"split","Overall","color"\n"dev","0.5","1.0"\n')
    return folder


def every_eval_ever(folder: Path) -> Path:
    """A log with a metric and its samples."""
    folder.mkdir(parents=True)
    result = {
        "evaluation_result_id": "boolq/acc", "evaluation_name": "boolq", "source_data": {"dataset_name": "BoolQ"},
        "metric_config": {"metric_name": "acc", "lower_is_better": False}, "score_details": {"score": 0.5},
    }  # fmt: skip
    log = {
        "schema_version": "0.3.0", "evaluation_id": "boolq/org/1", "model_info": {"name": "m", "id": "org/m"},
        "eval_library": {"name": "other", "version": "1"}, "evaluation_results": [result],
    }  # fmt: skip
    (folder / "a.json").write_text(json.dumps(log))
    lines = [
        {
            "schema_version": "0.3.0", "evaluation_id": "boolq/org/1", "sample_id": str(number),
            "evaluation_name": "boolq",
            "evaluation_result_id": "boolq/acc", "input": {"raw": f"Is it {number}?", "reference": ["yes"]},
            "output": {"raw": [answer]}, "evaluation": {"score": score},
        }
        for number, (answer, score) in enumerate((("yes", 1.0), ("no", 0.0)))
    ]  # fmt: skip
    _lines(folder / "a_samples.jsonl", lines)
    return folder
