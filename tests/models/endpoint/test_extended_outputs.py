"""`--extend` of a server's outputs: continued or written again, and never worse than what was recorded."""

from __future__ import annotations

import json
import re
from collections import Counter
from types import SimpleNamespace

import checkpoints
import pytest
import served_models
from servers import FakeServer, Reply, chat, error

from evals import EvalsError, Generate, InputError, Sample, load, run
from evals.execution.extending import server_extension
from evals.records.types import SampleRecord
from evals.schema import RecordedBeginning

QUESTIONS = {"one": 3, "two": 9, "three": 14, "four": 40}
"""Number of words of each answer."""


@pytest.fixture
def data(tmp_path):
    path = tmp_path / "rows.jsonl"
    rows = [{"text": f"Count to {name}.", "target": f"last of {name}"} for name in QUESTIONS]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def words(prompt, draw=0):
    """The whole answer to a question, of which a token is a word."""
    (name,) = re.findall(r"Count to (\w+)\.", prompt)
    return [f" {name}{draw}.{n}" for n in range(QUESTIONS[name])]


class Writer:
    """A server that writes the same words for the same question, or others at each time."""

    def __init__(self, kind, *, thought=0, unsteady=False, rejects=None, why="out of paper", divides=0):
        self.kind, self.thought, self.unsteady, self.rejects, self.why = kind, thought, unsteady, rejects, why
        self.divides = divides
        """How many tokens more it reads for what it wrote itself."""
        self.times = Counter()

    def __call__(self, call):
        if not call.path.endswith(self.kind):
            return error(404, "no such path")
        prompt, limit = call.prompt, call.body["max_tokens"]
        if "Count to" not in prompt:
            return self.reply([" yes"], limit)
        if self.rejects and self.rejects in prompt and limit > 4:
            return error(400, self.why)
        self.times[prompt] += 1
        answer = words(prompt, self.times[prompt] if self.unsteady else 0)
        written = prompt.partition(".")[2].count(" ")
        return self.reply(answer[written:], limit, read=10 + written + self.divides * bool(written))

    def reply(self, answer, limit, read=10):
        ended = "length" if len(answer) > limit else "stop"
        usage = {"prompt_tokens": read, "completion_tokens": min(limit, len(answer))}
        text = "".join(answer[:limit])
        if "chat" in self.kind:
            thought, text = "".join(answer[: self.thought][:limit]), "".join(answer[self.thought : limit])
            return chat(text or None, ended=ended, usage=usage, **({"reasoning": thought} if thought else {}))
        return Reply({"model": "m", "choices": [{"index": 0, "finish_reason": ended, "text": text}], "usage": usage})


@pytest.fixture
def both(data, tmp_path):
    """Run with a limit of 4 tokens, extend the run, and return it with what was sent for the extension."""

    def extended(writer, limit=12, **options):
        with FakeServer(writer) as server:
            model = f"endpoint:{server.url}?timeout=5&backoff=0.005&retries=1#m"
            options = {"data": data, "out": tmp_path / "run", "max_new_tokens": 4, **options}
            before = {row.id: row for row in run(model, "custom", **options).samples()}
            server.calls.clear()
            record = run(model, "custom", extend=limit, **options)
            sent = [call for call in server.asked("completions") if "Count to" in call.prompt]
        return before, record, sent

    return extended


def outputs(record):
    return {row.id: (row.output, row.thought, row.truncated, row.values) for row in record.samples()}


def whole(data, tmp_path, writer, limit, **options):
    with FakeServer(writer) as server:
        model = f"endpoint:{server.url}?timeout=5#m"
        return outputs(run(model, "custom", data=data, out=tmp_path / "long", max_new_tokens=limit, **options))


@pytest.mark.parametrize("sampling", [{}, {"temperature": 0.7, "seed": 3}])
def test_a_server_of_plain_texts_goes_on_after_what_it_wrote(both, data, tmp_path, sampling):
    before, record, sent = both(Writer("/v1/completions"), **sampling)
    assert outputs(record) == whole(data, tmp_path, Writer("/v1/completions"), 12, **sampling)
    assert sorted(call.body["prompt"] for call in sent) == sorted(
        row.prompt + row.output for row in before.values() if row.truncated
    )
    assert {call.body["max_tokens"] for call in sent} == {8}
    (untouched,) = (row for row in record.samples() if not before[row.id].truncated)
    assert untouched == before[untouched.id]
    assert [row.extended_to for row in record.samples()] == [None, 12, 12, 12]
    assert [row.cost["new_tokens"] for row in record.samples()] == [3, 9, 12, 12]
    assert record.result.efficiency["outputs_continued"] == 3
    assert record.result.truncated == 2


def test_a_text_that_the_server_reads_as_other_tokens_is_written_again(both, data, tmp_path):
    _, record, sent = both(Writer("/v1/completions", divides=1))
    assert outputs(record) == whole(data, tmp_path, Writer("/v1/completions"), 12)
    assert sorted(call.body["max_tokens"] for call in sent) == [8] * 3 + [12] * 3
    assert record.result.efficiency["outputs_repeated"] == 3
    assert "outputs_continued" not in record.result.efficiency
    assert [row.cost["new_tokens"] for row in record.samples()] == [3, 4 + 5 + 9, 4 + 8 + 12, 4 + 8 + 12]
    assert [row.cost["prompt_tokens"] for row in record.samples()] == [10, 35, 35, 35]


@pytest.mark.parametrize("text", ["caf\ufffd", "a\ufffdb", "ok"])
def test_a_text_with_bytes_that_are_no_character_is_not_continued(text):
    """As where the limit cuts a character: the text stands for other bytes than the server wrote."""
    row = SampleRecord(
        id="1", index=0, prompt="", output=text, answer=None, target="", values={}, failed=False, failure=None,
        truncated=True, scores=[()], cluster="", labels={}, cost={"prompt_tokens": 9},
    )  # fmt: skip
    manifest = SimpleNamespace(model={})
    (begun,) = server_extension.beginnings(manifest, row, Sample("1", (Generate("1", ("a",), 4),), ""))
    assert begun == RecordedBeginning(text, 4, 9 if text == "ok" else None)


@pytest.mark.parametrize("thought", [0, 2, 6])
@pytest.mark.parametrize("sampling", [{}, {"temperature": 0.7, "seed": 3}])
def test_a_chat_is_asked_again_and_only_for_what_was_cut(both, data, tmp_path, sampling, thought):
    _, record, sent = both(Writer("/v1/chat/completions", thought=thought), **sampling)
    assert outputs(record) == whole(data, tmp_path, Writer("/v1/chat/completions", thought=thought), 12, **sampling)
    assert len(sent) == 3
    assert {call.body["max_tokens"] for call in sent} == {12}
    assert len({call.body.get("seed") for call in sent}) == (3 if sampling else 1)
    assert record.result.efficiency["outputs_repeated"] == 3
    assert "outputs_changed" not in record.result.efficiency
    assert [row.cost["new_tokens"] for row in record.samples()] == [3, 4 + 9, 4 + 12, 4 + 12], "both are paid for"
    assert [row.cost["prompt_tokens"] for row in record.samples()] == [10, 20, 20, 20]


def test_a_greedy_answer_that_begins_otherwise_is_counted(both):
    _, record, _ = both(Writer("/v1/chat/completions", unsteady=True))
    assert [row.output.split()[0] for row in record.samples()] == ["one1.0", "two2.0", "three2.0", "four2.0"]
    first = (record.folder / "report.md").read_text().splitlines()
    assert "3 of 3 cut outputs that the server wrote again begin otherwise." in "\n".join(first)


def test_another_draw_never_replaces_a_sampled_output_that_was_cut(both):
    before, record, _ = both(Writer("/v1/chat/completions", unsteady=True), temperature=0.7)
    assert outputs(record) == {id: (row.output, row.thought, row.truncated, row.values) for id, row in before.items()}
    assert record.result.efficiency["outputs_changed"] == 3
    assert record.result.truncated == 3


def test_an_output_that_is_not_continued_stays_and_the_same_command_tries_again(data, tmp_path):
    writer = Writer("/v1/completions", rejects="three")
    with FakeServer(writer) as server:
        model = f"endpoint:{server.url}?timeout=5&backoff=0.005&retries=1#m"
        options = {"data": data, "out": tmp_path / "run", "max_new_tokens": 4}
        run(model, "custom", **options)
        with pytest.raises(EvalsError, match=r"1 sample with cut outputs could not be continued, .*out of paper"):
            run(model, "custom", extend=12, **options)
        kept = load(tmp_path / "run")
        assert [len(row.output.split()) for row in kept.samples()] == [3, 9, 4, 12]
        assert kept.result is not None
        writer.rejects = None
        server.calls.clear()
        again = run(model, "custom", extend=12, **options)
        assert [len(row.output.split()) for row in again.samples()] == [3, 9, 12, 12]
        assert len([call for call in server.asked("completions") if "Count to" in call.prompt]) == 1
        further = run(model, "custom", extend=14, **options)
        assert [len(row.output.split()) for row in further.samples()] == [3, 9, 14, 14]
        with pytest.raises(InputError, match="was extended to 14 tokens"):
            run(model, "custom", extend=13, **options)


@pytest.mark.parametrize("kind", ["/v1/completions", "/v1/chat/completions"])
def test_a_prompt_that_leaves_no_room_for_more_keeps_its_cut_output(both, kind):
    too_long = "This model's maximum context length is 20 tokens. However, you requested 22 tokens"
    before, record, _ = both(Writer(kind, rejects="three", why=too_long))
    assert [len(row.output.split()) for row in record.samples()] == [3, 9, 4, 12]
    row = next(row for row in record.samples() if "three" in row.prompt)
    assert (row.output, row.truncated, row.long_prompt) == (before[row.id].output, True, False)
    assert row.extended_to == 12


def test_the_limit_must_be_higher_than_that_of_the_run_and_of_the_address(data, tmp_path):
    with FakeServer(Writer("/v1/completions")) as server:
        model = f"endpoint:{server.url}?timeout=5&max_tokens=6#m"
        run(model, "custom", data=data, out=tmp_path / "run")
        with pytest.raises(InputError, match=r"--extend 6: the cut outputs of .* have 6 tokens already"):
            run(model, "custom", data=data, out=tmp_path / "run", extend=6)
        record = run(model, "custom", data=data, out=tmp_path / "run", extend=12)
        assert [len(row.output.split()) for row in record.samples()] == [3, 9, 12, 12]


def test_an_output_that_a_stop_ended_here_was_not_cut(data, tmp_path):
    """Servers that apply no stops write on until the limit; the output before the stop is whole."""
    with FakeServer(Writer("/v1/chat/completions")) as server:
        record = run(
            f"endpoint:{server.url}?timeout=5#m",
            "custom",
            data=data,
            out=tmp_path / "run",
            max_new_tokens=6,
            stop=(".2",),
        )
    assert {row.truncated for row in record.samples()} == {False}


@pytest.mark.slow
@pytest.mark.parametrize("chats", [False, True])
def test_an_extended_run_of_a_real_model_is_the_one_of_the_higher_limit(tmp_path, chats):
    """The texts of random weights are divided into other tokens than were written; most are written again."""
    folder = checkpoints.language_model(tmp_path / "model", "llama")
    if chats:
        template = "{% for message in messages %}User: {{ message.content }}\n{% endfor %}Assistant:"
        (folder / "chat_template.jinja").write_text(template)
    texts = ["What color is the circle?", "How many squares", "yes no left right", "User: red", "the large one is"]
    rows = tmp_path / "rows.jsonl"
    rows.write_text("".join(json.dumps({"text": text, "target": "red"}) + "\n" for text in texts))
    with served_models.served(folder) as server:
        model, options = f"endpoint:{server.url}?timeout=60#m", {"data": rows}
        run(model, "custom", out=tmp_path / "run", max_new_tokens=5, **options)
        extended = run(model, "custom", out=tmp_path / "run", max_new_tokens=5, extend=20, **options)
        long = run(model, "custom", out=tmp_path / "long", max_new_tokens=20, **options)
    assert outputs(extended) == outputs(long)
    assert any(row.extended_to for row in extended.samples())
