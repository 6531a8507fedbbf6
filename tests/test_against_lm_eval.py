"""The benchmark against lm-eval, without lm-eval: what it would be asked is what our models read, token for token."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import checkpoints
import pytest

from evals import registry
from evals.execution import loop, selection
from evals.execution.windows import WholePlan
from evals.models.families import causal
from evals.records.types import PlanEntry
from evals.schema import Generate, Options, Placement

sys.path.append(str(Path(__file__).parent / "benchmarks"))
import against_lm_eval as benchmark

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = checkpoints.language_model(tmp_path_factory.mktemp("m"), "llama")
    config = folder / "config.json"
    config.write_text(
        json.dumps(json.loads(config.read_text()) | {"max_position_embeddings": 32_768})
    )  # 8-shot prompts
    return causal.load("tiny", str(folder), Placement("cpu"))


@pytest.mark.parametrize("case", benchmark.CASES, ids=lambda case: case.name)
def test_lm_eval_is_asked_what_our_models_read(case, model, tmp_path):
    benchmark.write_task(tmp_path, case.name, benchmark.asked(case, None, 7))
    task = json.loads((tmp_path / f"{case.name}.yaml").read_text())
    (file,) = task["dataset_kwargs"]["data_files"].values()
    rows = {row["id"]: row for row in map(json.loads, Path(file).read_text().splitlines())}
    registry.discover()
    samples = selection.limited(
        registry.TASKS.get(case.task).samples(Options(shots=case.shots, same_shots=case.same_shots)), Options(first=7)
    )
    plan = PlanEntry(budget=None, share=True, window=len(samples), token_budget=10_000)
    lease = WholePlan(samples.ids, plan.window).next_window()
    read = loop._window(samples, model, lease, plan).prompts
    assert [prompt.request.id for prompt in read] == list(rows)
    for prompt in read:
        row, request = rows[prompt.request.id], prompt.request
        if isinstance(request, Generate):
            assert list(prompt.tokens) == model.tokenizer(row[task["doc_to_text"]])["input_ids"]
            assert task["generation_kwargs"]["until"] == list(request.stop)
            assert task["generation_kwargs"]["max_gen_toks"] == request.max_new_tokens
        else:
            texts = [row[task["doc_to_text"]] + choice for choice in row[task["doc_to_choice"]]]
            assert [[*prompt.tokens, *tokens] for tokens in prompt.continuations] == model.tokenizer(texts)["input_ids"]
    assert task["num_fewshot"] == 0
    assert task["target_delimiter"] == ""


def test_answers_that_differ_stop_the_benchmark(capsys):
    case = benchmark.CASES[0]
    benchmark.agree(case, {"0": [-1.0, -2.0]}, {"0": [-1.0005, -2.0]})
    assert "5.0e-04 nats" in capsys.readouterr().out
    with pytest.raises(AssertionError, match="differ by"):
        benchmark.agree(case, {"0": [-1.0, -2.0]}, {"0": [-1.0, -2.01]})
    with pytest.raises(AssertionError, match="1 texts differ"):
        benchmark.agree(case, {"0": "a", "1": "b"}, {"0": "a", "1": "c"})
    with pytest.raises(AssertionError, match="other rows"):
        benchmark.agree(case, {"0": "a"}, {"1": "a"})


def test_the_tokenizer_learns_from_what_is_asked():
    texts = list(benchmark.corpus(None))
    assert any(text.endswith(" positive") for text in texts)
    assert any(text.startswith("Solve each problem") for text in texts)
