"""A checkpoint directly and behind a server on loopback: equal texts, and records of exactly what was sent."""

from __future__ import annotations

import json

import checkpoints
import plain_models as plain
import pytest
from commands import ROOT
from served_models import served
from servers import FakeServer, chat, error

import evals
from evals.execution.run import selected
from evals.models.decoding.thoughts import SWITCHES
from evals.models.endpoint.requests import chat_body
from evals.records.prefixes import PrefixReader
from evals.registry import TASKS
from evals.reports.runs.prompts import messages
from evals.schema import ChatSettings, Generate, RunConfig

R1 = ROOT / "models" / "replicas" / "checkpoints" / "r1"
TEMPLATE = (
    "{% for m in messages %}User: {{ m['content'] }}\n\n{% endfor %}{% if add_generation_prompt %}Assistant:{% endif %}"
)


def address(server):
    return f"endpoint:{server.url}?concurrency=2#m"


def outputs(record):
    return {row.id: row.output for row in record.samples()}


def test_thinking_is_turned_off_by_every_name_that_templates_use():
    request = Generate("7", ("Is it red?",), 3, chat=ChatSettings(thinking=False))
    body = chat_body(request, model="m", max_tokens=3, stop=False, neutral=False)
    assert body["chat_template_kwargs"] == dict.fromkeys(SWITCHES, False)
    assert SWITCHES[:2] == ("enable_thinking", "thinking")


@pytest.fixture(scope="module")
def random_chat(tmp_path_factory):
    folder = checkpoints.language_model(tmp_path_factory.mktemp("chat"), "llama")
    (folder / "chat_template.jinja").write_text(TEMPLATE)
    return folder


@pytest.mark.slow
def test_r1_writes_the_same_bytes_behind_a_server(tmp_path):
    direct = outputs(evals.run("r1", "math", limit=40, out=tmp_path / "direct"))
    with served(R1) as server:
        behind = outputs(evals.run(address(server), "math", limit=40, out=tmp_path / "served"))
    assert len(direct) == 40
    assert behind == direct
    assert any(text != text.strip() for text in direct.values()), "the outputs have no white space to lose"


@pytest.mark.slow
def test_a_chat_writes_the_same_bytes_behind_a_server(tmp_path, random_chat):
    options = {"limit": 6, "max_new_tokens": 24}
    direct = outputs(evals.run(str(random_chat), "math", out=tmp_path / "direct", **options))
    with served(random_chat) as server:
        record = evals.run(address(server), "math", out=tmp_path / "served", **options)
    assert outputs(record) == direct


@pytest.mark.slow
def test_the_recorded_prompt_of_a_server_gives_the_recorded_output(tmp_path):
    with served(R1) as server:
        record = evals.run(address(server), "math", limit=4, out=tmp_path / "run")
        scored = evals.run(address(server), "glue/rte", limit=4, out=tmp_path / "scored")
    model, reader = plain.Decoder(R1), PrefixReader(record.folder)
    config = RunConfig.of("r1", "math", limit=4)
    samples = selected(config, TASKS.get("math").samples(config.options))
    sent = [call.body["prompt"] for call in server.calls if call.path == "/v1/completions"]
    for row in record.samples():
        read = reader.whole(row.inputs[0])
        assert read.tokens is None, "only the server knows them"
        assert read.text in sent
        (request,) = samples[row.index].requests
        assert model.generate(model.tokenizer(read.text)["input_ids"], (), request) == row.output
    reader = PrefixReader(scored.folder)
    for row in scored.samples():
        read = reader.whole(row.inputs[0])
        tokens = model.tokenizer(read.text)["input_ids"]
        scores = [
            model.log_likelihood(tokens, (), model.tokenizer(text, add_special_tokens=False)["input_ids"])
            for text, _ in read.continuations
        ]
        assert scores == pytest.approx(list(row.scores[0]), abs=1e-3)


@pytest.mark.parametrize(
    ("options", "path"),
    [
        ({}, "chat"),
        ({"system_prompt": "Be brief."}, "chat"),
        ({"chat_template": "off"}, "text"),
        ({"shots": 2}, "chat"),
    ],
)
def test_exactly_what_was_sent_is_recorded(tmp_path, options, path):
    """Messages where messages were sent, and the plain text where a completion was asked for."""

    def answer(call):
        if call.path.endswith("/chat/completions"):
            return chat(" 4 ")
        if "prompt" in call.body and not call.body.get("echo"):
            return completion(" 4 ")
        return error(404, "no such path")

    def completion(text):
        reply = chat("")
        reply.body["choices"] = [{"index": 0, "text": text, "finish_reason": "stop"}]
        return reply

    rows = [{"text": f"What is {n} + 2?", "target": str(n + 2)} for n in range(3)]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    task, data = ("math", {}) if "shots" in options else ("custom", {"data": tmp_path / "rows.jsonl"})
    with FakeServer(answer) as server:
        record = evals.run(address(server), task, limit=3, out=tmp_path / "run", **data, **options)
    sent = [call.body for call in server.calls if call.body and call.prompt != "Say yes."]
    reader = PrefixReader(record.folder)
    for row in record.samples():
        assert row.output == " 4 ", "the text as the server sent it"
        read = reader.whole(row.inputs[0])
        if path == "text":
            assert read.messages is None
            assert any(body.get("prompt") == read.text for body in sent)
        else:
            assert any(body.get("messages") == messages(read, []) for body in sent)
