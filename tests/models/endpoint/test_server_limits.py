"""Prompts that are longer than a server's model reads, in the words of several servers: failures, or shortened."""

from __future__ import annotations

import json

import pytest
from commands import evals
from servers import FakeServer, Reply, chat, error

from evals.models.endpoint.long_prompts import Rejection, read_rejection, stated_limit
from evals.records import load

LIMIT = 120
WORDS = {
    "vllm": "This model's maximum context length is {limit} tokens. However, you requested {total} tokens ({prompt} in "
    "the messages, {new} in the completion). Please reduce the length of the messages or completion.",
    "vllm-2025": "'max_tokens' or 'max_completion_tokens' is too large: {new}. This model's maximum context length is "
    "{limit} tokens and your request has {prompt} input tokens ({new} > {limit} - {prompt}).",
    "sglang": "Requested token count exceeds the model's maximum context length of {limit} tokens. You requested a "
    "total of {total} tokens: {prompt} tokens from the input messages and {new} tokens for the completion.",
    "llama.cpp": "the request exceeds the available context size, try increasing it",
    "tgi": "`inputs` tokens + `max_new_tokens` must be <= {limit}. Given: {prompt} `inputs` tokens and {new} "
    "`max_new_tokens`",
}
"""What servers say of a request that is too long."""


def server(words, limit=LIMIT):
    """A server that counts words, and rejects prompts that need more than its limit."""

    def respond(call):
        if not call.path.endswith("/chat/completions"):
            return error(404, "no such path")
        prompt, new = len(call.prompt.split()), call.body["max_tokens"]
        if prompt + new > limit:
            return error(400, words.format(limit=limit, total=prompt + new, prompt=prompt, new=new))
        return chat("#### 7", usage={"prompt_tokens": prompt, "completion_tokens": 1, "total_tokens": prompt + 1})

    listing = Reply({"object": "list", "data": [{"id": "m", "object": "model", "max_model_len": limit}]})
    return FakeServer(respond, listing)


def run(served, out, *more):
    model = f"endpoint:{served.url}?timeout=5&backoff=0.005&retries=1&concurrency=4#m"
    return evals("run", "--model", model, "--task", "math/gsm8k", "--max-new-tokens", 16, "--out", out, *more)


def question(call):
    return call.prompt.rpartition("Question:")[2]


@pytest.mark.parametrize("kind", WORDS)
def test_whole_examples_are_left_out_first_and_as_few_as_possible(kind, tmp_path):
    with server(WORDS[kind]) as served:
        done = run(served, tmp_path / "run", "--shots", 6, "--first", 5, "--long-prompts", "truncate-left")
        sent = [call.prompt for call in served.asked("/chat/completions") if call.prompt != "Say yes."]
    assert done.returncode == 0, done.stderr
    record = load(tmp_path / "run")
    assert record.result.long_prompts == 5
    assert record.manifest.model["positions"] == LIMIT
    assert record.manifest.model["long_prompts"] == "truncate-left"
    assert "5 of 5 samples had a prompt longer than the model reads: shortened" in done.stdout
    for row in record.samples():
        tried = [prompt for prompt in sent if prompt.endswith(row.prompt)]
        fits = [len(prompt.split()) + 16 <= LIMIT for prompt in tried]
        assert fits == [False] * (len(tried) - 1) + [True], "only the last one fits"
        lengths = [prompt.count("####") for prompt in tried]
        assert lengths == list(range(lengths[0], lengths[-1] - 1, -1)), "one example less each time"
        shown = evals("show", tmp_path / "run", "--prompt", row.id).stdout
        assert tried[-1] in shown, "what is recorded is what was read"
        assert tried[0] not in shown
        assert row.cost["prompt_tokens"] == len(tried[-1].split())


@pytest.mark.parametrize("kind", WORDS)
def test_without_examples_the_text_is_cut_from_its_left(kind, tmp_path):
    with server(WORDS[kind], limit=36) as served:
        done = run(served, tmp_path / "run", "--shots", 1, "--first", 3, "--long-prompts", "truncate-left")
        sent = [call.prompt for call in served.asked("/chat/completions") if call.prompt != "Say yes."]
    assert done.returncode == 0, done.stderr
    accepted = [prompt for prompt in sent if len(prompt.split()) + 16 <= 36]
    assert len(accepted) == 3
    for prompt in accepted:
        assert 8 < len(prompt.split()) <= 20
        assert any(other.endswith(prompt) and other != prompt for other in sent)


def test_unless_it_is_chosen_the_sample_fails_in_the_servers_words(tmp_path):
    with server(WORDS["vllm"]) as served:
        done = run(served, tmp_path / "run", "--shots", 6, "--first", 40)
        sent = [call for call in served.asked("/chat/completions") if call.prompt != "Say yes."]
    assert done.returncode == 1
    assert len(sent) == 40, "each is asked once, and so many rejections do not stop the run"
    record = load(tmp_path / "run")
    assert record.result.long_prompts == record.result.failed == 40
    (first, *_) = record.samples()
    assert f"maximum context length is {LIMIT} tokens" in first.failure
    assert first.failure.endswith("--long-prompts truncate-left shortens such prompts")


def test_what_no_shortening_fits_is_a_failure(tmp_path):
    with server(WORDS["vllm"], limit=16) as served:
        done = run(served, tmp_path / "run", "--shots", 0, "--first", 1, "--long-prompts", "truncate-left")
    assert done.returncode == 1
    (row,) = load(tmp_path / "run").samples()
    assert row.failure.startswith("no shortening makes the prompt fit: ")
    assert row.long_prompt


@pytest.mark.parametrize(
    ("words", "new", "rejection"),
    [
        (f"maximum context length is {'9' * 5000} tokens", 0, Rejection(None, None)),
        (WORDS["vllm"], 16, Rejection(120, 216)), (WORDS["vllm-2025"], 16, Rejection(120, 216)),
        (WORDS["sglang"], 16, Rejection(120, 216)), (WORDS["llama.cpp"], 16, Rejection(None, None)),
        (WORDS["tgi"], 16, Rejection(120, 216)),
        ("The input (200 tokens) is longer than the model's context length (120 tokens).", 0, Rejection(120, 200)),
        ("Prompt contains 200 tokens, too large for model with 120 maximum context length", 0, Rejection(120, 200)),
        ("The model `n` does not exist.", 16, None), ("temperature must be at most 2", 16, None),
    ],
)  # fmt: skip
def test_the_words_of_servers_are_read(words, new, rejection):
    assert read_rejection(words.format(limit=120, total=216, prompt=200, new=16), new) == rejection


@pytest.mark.parametrize(
    ("row", "limit"),
    [
        ({"max_model_len": 4096}, 4096), ({"context_length": 8}, 8), ({"meta": {"n_ctx": 512}}, 512), ({}, None),
        ({"max_model_len": None}, None), ({"max_model_len": "many"}, None), ({"max_model_len": True}, None),
    ],
)  # fmt: skip
def test_the_limit_of_a_list_of_models(row, limit):
    assert stated_limit({"data": [{"id": "other", "max_model_len": 1}, {"id": "m", **row}]}, "m") == limit
    assert stated_limit(json.loads("[]"), "m") is None
