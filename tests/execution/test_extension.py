"""`--extend`: exactly the cut outputs go on, from their recorded tokens, as if the limit had been higher."""

from __future__ import annotations

import json

import checkpoints
import pytest
import vision_checkpoints
from model_requests import picture

from evals import InputError, run
from evals.records import load


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "rows.jsonl"
    texts = ["What color is the circle?", "How many squares", "yes no left right", "User: red", "the large one is"]
    path.write_text("".join(json.dumps({"text": text, "target": "red"}) + "\n" for text in texts))
    return path


def seen(record):
    """What a run says about its samples, apart from what the machine cost."""
    return {
        row.id: (row.output, row.truncated, row.tokens, row.cost["new_tokens"], row.values) for row in record.samples()
    }


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["llama", "mistral", "t5"])
@pytest.mark.parametrize("sampling", [{}, {"temperature": 1.5, "top_k": 20, "min_p": 0.01, "seed": 3}])
def test_an_extended_run_is_the_one_of_the_higher_limit(kind, sampling, data, tmp_path):
    folder = checkpoints.language_model(tmp_path / "model", kind)
    _end_sometimes(folder)
    options = {"data": data, "device": "cpu", **sampling}
    short = run(str(folder), "custom", out=tmp_path / "short", max_new_tokens=6, **options)
    before = {row.id: row for row in short.samples()}
    extended = run(str(folder), "custom", out=tmp_path / "short", max_new_tokens=6, extend=24, **options)
    long = run(str(folder), "custom", out=tmp_path / "long", max_new_tokens=24, **options)
    assert any(row.truncated for row in before.values())
    assert seen(extended) == seen(long)
    for row in extended.samples():
        if not before[row.id].truncated:
            assert row == before[row.id]
    assert extended.manifest.signature != short.manifest.signature
    again = run(str(folder), "custom", out=tmp_path / "short", max_new_tokens=6, extend=24, **options)
    assert seen(again) == seen(extended)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy keyword")
@pytest.mark.parametrize("kind", ["deepseek_vl", "gemma3", "paligemma", "qwen2_vl"])
def test_an_extended_run_of_images_is_the_one_of_the_higher_limit(kind, tmp_path):
    rows = []
    for number, text in enumerate(["What color is the circle?", "How many squares", "the circle", "is there a"]):
        (tmp_path / f"{number}.png").write_bytes(picture(number % 2))
        rows.append(json.dumps({"text": text, "image": f"{number}.png", "target": "red"}) + "\n")
    data = tmp_path / "rows.jsonl"
    data.write_text("".join(rows))
    with vision_checkpoints.images_only():
        folder = vision_checkpoints.BUILDERS[kind](tmp_path / "model")
        options = {"data": data, "device": "cpu"}
        run(str(folder), "custom", out=tmp_path / "short", max_new_tokens=2, **options)
        extended = run(str(folder), "custom", out=tmp_path / "short", max_new_tokens=2, extend=8, **options)
        long = run(str(folder), "custom", out=tmp_path / "long", max_new_tokens=8, **options)
    assert seen(extended) == seen(long)
    assert any(row.cost["new_tokens"] == 8 for row in extended.samples()), "something was continued"


def _end_sometimes(folder):
    """Make a quarter of the vocabulary end a text, so that some outputs are cut and others are not."""
    path = folder / "generation_config.json"
    settings = json.loads(path.read_text()) if path.exists() else {}
    path.write_text(json.dumps({**settings, "eos_token_id": list(range(1, 400, 9))}))


def test_a_run_is_extended_upwards_only_and_by_its_own_command(data, tmp_path):
    folder = checkpoints.language_model(tmp_path / "model", "llama")
    options = {"data": data, "device": "cpu", "out": tmp_path / "run"}
    with pytest.raises(InputError, match="holds no run to extend"):
        run(str(folder), "custom", max_new_tokens=4, extend=8, **options)
    run(str(folder), "custom", max_new_tokens=4, **options)
    with pytest.raises(InputError, match="another run"):
        run(str(folder), "custom", max_new_tokens=5, extend=8, **options)
    with pytest.raises(InputError, match="have 4 tokens already"):
        run(str(folder), "custom", max_new_tokens=4, extend=3, **options)
    run(str(folder), "custom", max_new_tokens=4, extend=8, **options)
    with pytest.raises(InputError, match="extended to 8"):
        run(str(folder), "custom", max_new_tokens=4, extend=6, **options)
    again = run(str(folder), "custom", max_new_tokens=4, extend=12, **options)
    assert all(row.cost["new_tokens"] == 12 for row in again.samples() if row.truncated)
    assert load(tmp_path / "run").manifest.task.generation == {"max_new_tokens": 4, "extended": 12}


def test_the_first_line_names_the_cut_outputs_and_the_bounds_of_the_score(data, tmp_path):
    folder = checkpoints.language_model(tmp_path / "model", "llama")
    record = run(str(folder), "custom", data=data, device="cpu", max_new_tokens=2, out=tmp_path / "run")
    assert record.result.truncated == 5
    assert record.result.bounds["accuracy"] == [0.0, 1.0]
    first_line = (tmp_path / "run" / "report.md").read_text()
    assert "5 of 5 outputs were cut at the token limit: accuracy 0.0 % if all of them are wrong, 100.0 %" in first_line
