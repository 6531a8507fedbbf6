"""Options for generated texts: in the requests, in the signature, and as columns of a variant."""

from __future__ import annotations

import json

import checkpoints
import pytest
from commands import refused

from evals import InputError, run
from evals.execution.generation_options import apply
from evals.records import load
from evals.registry import VARIANTS
from evals.schema import Generate, Options, Sample, Samples, Variant

TEMPLATE = (
    "{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}\n{% endfor %}"
    "{% if enable_thinking is defined %}thinking {{ enable_thinking }}\n{% endif %}yes:"
)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "rows.jsonl"
    path.write_text(json.dumps({"text": "What color is the circle?", "target": "red"}) + "\n")
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return checkpoints.language_model(tmp_path_factory.mktemp("model"), "llama")


def outcome(folder, data, out, **options):
    record = run(str(folder), "custom", data=data, device="cpu", out=out, **options)
    (row,) = record.samples()
    return record, row


@pytest.mark.slow
def test_each_option_is_in_the_signature_and_in_effect(folder, data, tmp_path):
    template = tmp_path / "chat.jinja"
    template.write_text(TEMPLATE)
    prompt = tmp_path / "system.txt"
    prompt.write_text("yes no left right")
    plain, row = outcome(folder, data, tmp_path / "plain")
    signatures = {plain.manifest.signature}
    chat = {"chat_template": str(template)}
    for number, options in enumerate([
        {"max_new_tokens": 2}, {"stop": [row.output[1]]}, chat, {**chat, "system_prompt": f"@{prompt}"},
        {**chat, "thinking": "on"}, {**chat, "thinking": "off"}, {"temperature": 2.0}, {"temperature": 2.0, "top_k": 2},
        {"temperature": 2.0, "min_p": 0.5}, {"temperature": 2.0, "seed": 1}, {"generation": "checkpoint"},
    ]):  # fmt: skip
        record, _ = outcome(folder, data, tmp_path / str(number), **options)
        signatures.add(record.manifest.signature)
    assert len(signatures) == 12
    _, row = outcome(folder, data, tmp_path / "0", max_new_tokens=2)
    assert row.cost["new_tokens"] == 2
    lengths = [
        outcome(folder, data, tmp_path / str(number), **options)[1].cost["prompt_tokens"]
        for number, options in enumerate([{"max_new_tokens": 2}], start=0)
    ]
    assert lengths[0] < outcome(folder, data, tmp_path / "2", **chat)[1].cost["prompt_tokens"]


def test_the_checkpoints_own_sampling_is_applied_and_recorded(data, tmp_path):
    folder = checkpoints.language_model(tmp_path / "model", "llama")
    (folder / "generation_config.json").write_text(json.dumps({"do_sample": True, "temperature": 2.0, "top_k": 5}))
    own, row = outcome(folder, data, tmp_path / "own", generation="checkpoint")
    _, asked = outcome(folder, data, tmp_path / "same", temperature=2.0, top_k=5)
    assert row.output == asked.output
    assert own.manifest.model["generation_config"] == {"do_sample": True, "temperature": 2.0, "top_k": 5}
    (folder / "generation_config.json").write_text(json.dumps({"num_beams": 4}))
    with pytest.raises(InputError, match="sets num_beams, which --generation checkpoint cannot apply"):
        outcome(folder, data, tmp_path / "beams", generation="checkpoint")


def test_a_variants_columns_stand_in_for_options_that_are_not_given(folder, data, tmp_path, monkeypatch):
    row = Variant("tiny", "causal", "a test", {"mini": str(folder)}, (), {"max_new_tokens": 3, "stop": "Q:"})
    monkeypatch.setitem(VARIANTS._entries, "tiny", row)
    record, _ = outcome("tiny", data, tmp_path / "row")
    assert record.manifest.task.generation == {"max_new_tokens": 3, "stop": ["Q:"]}
    record, _ = outcome("tiny", data, tmp_path / "given", max_new_tokens=5)
    assert record.manifest.task.generation["max_new_tokens"] == 5


@pytest.mark.parametrize(("options", "message"), [
    ({"max_new_tokens": 0}, "--max-new-tokens 0"), ({"top_k": 3}, "greedy"), ({"thinking": "maybe"}, "on or off"),
    ({"min_p": 2.0, "temperature": 1.0}, "0 to 1"), ({"stop": [""]}, "--stop"), ({"chat_template": "on"}, "template"),
    ({"system_prompt": "Be kind."}, "template"), ({"chat_template": "/nowhere.jinja"}, "cannot read /nowhere.jinja"),
    ({"generation": "own"}, "expected checkpoint"),
])  # fmt: skip
def test_options_that_cannot_work_are_refused(options, message, folder, data, tmp_path):
    with pytest.raises(InputError, match=message):
        outcome(folder, data, tmp_path / "run", **options)


# Every task that asks for texts takes the options for sampling, whatever answers it


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "task"),
    [
        ("language_model", "math/sums"), ("language_model", "custom"), ("deepseek_vl", "vqa"), ("two_streams", "vqa"),
        ("mixture", "vqa"), ("r1-moe", "tones"),
    ],
)  # fmt: skip
def test_a_command_samples_with_every_task_and_family(kind, task, data, tmp_path, command):
    shape = {"language_model": ["llama"], "two_streams": ["BlipForQuestionAnswering"]}.get(kind, [])
    make = getattr(checkpoints, kind, None)
    folder = kind if make is None else make(tmp_path / "model", *shape)
    arguments = ["run", "--model", folder, "--task", task, "--first", 4, "--max-new-tokens", 12, "--device", "cpu"]
    arguments += ["--data", data] if task == "custom" else []

    def texts(out, *more):
        done = command(*arguments, "--out", tmp_path / out, *more)
        assert done.returncode == 0, done.stderr
        return [row.output for row in load(tmp_path / out).samples()]

    sampling = ["--temperature", 3, "--top-k", 50, "--top-p", 0.99, "--min-p", 0.001, "--seed", 1]
    greedy, sampled, again = texts("greedy"), texts("sampled", *sampling), texts("again", *sampling)
    assert sampled == again != greedy
    assert texts("other", *sampling[:-1], 2) != sampled
    manifest = load(tmp_path / "sampled").manifest
    assert manifest.task.temperature == 3
    assert manifest.signature != load(tmp_path / "greedy").manifest.signature


def test_a_request_keeps_its_own_sampling_unless_the_user_chooses():
    sample = Sample("7", (Generate("7", ("How many?",), 3, temperature=0.6, top_p=0.9, seed=5),), target="3")
    samples = Samples(["7"], lambda index: sample)
    (limited,) = apply(samples, Options(max_new_tokens=9))[0].requests
    assert (limited.max_new_tokens, limited.temperature, limited.top_p, limited.seed) == (9, 0.6, 0.9, 5)
    (chosen,) = apply(samples, Options(temperature=1.0, seed=2))[0].requests
    assert (chosen.temperature, chosen.top_p, chosen.seed) == (1.0, 1.0, 2)


@pytest.mark.parametrize("flag", [("--temperature", "1"), ("--max-new-tokens", "3"), ("--stop", "Q:")])
def test_options_for_texts_are_refused_where_no_text_is_asked_for_or_it_is_recorded(flag, folder, tmp_path, command):
    refused(
        command("run", "--model", folder, "--task", "glue/rte", *flag), f"{flag[0]} has no effect on task 'glue/rte'"
    )
    outputs = tmp_path / "outputs.jsonl"
    outputs.write_text(json.dumps({"id": "0", "output": "7"}) + "\n")
    words = f"{flag[0]} has no effect on 'replay:{outputs}', whose texts are recorded"
    refused(command("run", "--model", f"replay:{outputs}", "--task", "math/sums", *flag), words)
