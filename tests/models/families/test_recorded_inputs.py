"""The recorded input of bundled runs, put through a plain loop of forward passes, gives the recorded output."""

from __future__ import annotations

import json
import re

import pytest
from commands import ROOT

import evals
from evals.execution.run import selected
from evals.records.prefixes import PrefixReader
from evals.registry import TASKS
from evals.schema import Image, RunConfig

CHECKPOINTS = ROOT / "models" / "replicas" / "checkpoints"


def recorded(record):
    """Every sample with what was read for its requests."""
    reader = PrefixReader(record.folder)
    return [(row, [reader.whole(entry) for entry in row.inputs]) for row in record.samples()]


def continued(model, tokens, count, ends, **more):
    """A greedy loop without a cache."""
    import torch

    ids = list(tokens)
    with torch.inference_mode():
        for _ in range(count):
            token = int(model(input_ids=torch.tensor([ids]), **more).logits[0, -1].argmax())
            if token in ends:
                break
            ids.append(token)
    return ids[len(tokens) :]


@pytest.mark.slow
@pytest.mark.parametrize("shots", [None, 2])
def test_the_recorded_tokens_give_the_recorded_text(tmp_path, shots):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    record = evals.run("r1", "math", limit=4, shots=shots, out=tmp_path / "run")
    model = AutoModelForCausalLM.from_pretrained(CHECKPOINTS / "r1", dtype="float32").eval()
    tokenizer = AutoTokenizer.from_pretrained(CHECKPOINTS / "r1")
    for row, (read,) in recorded(record):
        assert row.cost["prompt_tokens"] == len(read.tokens)
        assert tokenizer(read.text, add_special_tokens=False)["input_ids"] == read.tokens
        assert read.text.endswith(row.prompt)
        assert read.text.count("Question:") == 1 + (shots or 0)
        tokens = continued(model, read.tokens, row.cost["new_tokens"], {tokenizer.eos_token_id})
        text = tokenizer.decode(tokens, skip_special_tokens=True)
        assert text.startswith(row.output)


@pytest.mark.slow
def test_the_recorded_continuations_have_the_recorded_log_likelihoods(tmp_path):
    import torch
    from transformers import AutoModelForCausalLM

    record = evals.run("r1", "glue/mnli", limit=6, out=tmp_path / "run")
    model = AutoModelForCausalLM.from_pretrained(CHECKPOINTS / "r1", dtype="float32").eval()
    for row, (read,) in recorded(record):
        scores = []
        for _, tokens in read.continuations:
            with torch.inference_mode():
                logits = model(input_ids=torch.tensor([[*read.tokens, *tokens]])).logits[0].log_softmax(-1)
            start = len(read.tokens) - 1
            scores.append(sum(float(logits[start + n, token]) for n, token in enumerate(tokens)))
        assert scores == pytest.approx(row.scores[0], abs=1e-3)


@pytest.mark.slow
def test_the_recorded_tokens_and_the_image_give_the_recorded_answer(tmp_path):
    from transformers import AutoModelForImageTextToText, AutoProcessor

    from evals.data.images import decode

    config = RunConfig.of("vl", "vqa", limit=6, out=tmp_path / "run")
    record = evals.run("vl", "vqa", limit=6, out=tmp_path / "run")
    samples = selected(config, TASKS.get("vqa").samples(config.options))
    model = AutoModelForImageTextToText.from_pretrained(CHECKPOINTS / "vl", dtype="float32").eval()
    processor = AutoProcessor.from_pretrained(CHECKPOINTS / "vl")
    for row, (read,) in recorded(record):
        (image,) = [part for part in samples[row.index].requests[0].parts if isinstance(part, Image)]
        assert read.text.count(processor.image_token) == 1, "one placeholder per image is shown"
        pixels = processor.image_processor(images=[decode(image)], return_tensors="pt")["pixel_values"]
        ends = {processor.tokenizer.eos_token_id}
        tokens = continued(model, read.tokens, row.cost["new_tokens"], ends, pixel_values=pixels)
        assert processor.tokenizer.decode(tokens, skip_special_tokens=True).strip() == row.output


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "task"), [("v3", "glue/sst2"), ("v3", "glue/rte"), ("r1-moe", "tones"), ("v3-seq2seq", "glue/cola")]
)
def test_every_family_records_as_many_tokens_as_it_counts(tmp_path, model, task):
    record = evals.run(model, task, limit=4, out=tmp_path / "run")
    for row, inputs in recorded(record):
        assert row.cost["prompt_tokens"] == sum(len(read.tokens) for read in inputs)


def test_the_command_prints_the_text_and_the_tokens(tmp_path, command):
    record = evals.run("r1-zero", "math/sums", limit=3, out=tmp_path / "run")
    row, (read,) = recorded(record)[0]
    shown = command("show", tmp_path / "run", "--prompt", row.id)
    assert shown.returncode == 0, shown.stderr
    text, rest = re.search(r"--- text\n(.*)\n--- end of text\n(.*)", shown.stdout, re.DOTALL).groups()
    assert text == read.text
    assert json.loads(re.search(r"tokens \d+: (\[.*?\])", rest)[1]) == list(read.tokens)
    unknown = command("show", tmp_path / "run", "--prompt", "nothing")
    assert unknown.returncode == 2
    assert "nothing" in unknown.stderr
