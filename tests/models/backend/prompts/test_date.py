"""Chat templates that read the clock: every prompt of a run has the date of its start, also on the day after."""

from __future__ import annotations

import datetime
import json

import checkpoints
import pytest

import evals
from evals.models.backend.prompts.chat_templates import ChatTemplates
from evals.records import folder as folders
from evals.records import signature
from evals.records.prefixes import PrefixReader
from evals.schema import ChatSettings

CLOCK = (
    "{% if strftime_now is defined %}Today is {{ strftime_now('%d %b %Y, %H:%M') }}.\n{% endif %}"
    "{% for m in messages %}User: {{ m['content'] }}\n{% endfor %}{% if add_generation_prompt %}Assistant:{% endif %}"
)
STARTED = "2031-05-04T10:20:30"
SHOWN = "Today is 04 May 2031, 10:20."


def test_a_template_formats_the_date_that_it_is_told():
    templates = ChatTemplates(CLOCK, "folder", {})
    text = templates.choose(ChatSettings(date=STARTED)).render("Is it red?")
    assert text == f"{SHOWN}\nUser: Is it red?\nAssistant:"
    assert templates.choose(ChatSettings()).render("Is it red?") != text


def test_a_template_without_a_clock_needs_no_second_renderer():
    templates = ChatTemplates("{% for m in messages %}{{ m['content'] }}{% endfor %}", "folder", {})
    assert templates.choose(ChatSettings(date=STARTED)) is templates.default


@pytest.fixture
def model(tmp_path):
    folder = checkpoints.language_model(tmp_path / "model", "llama")
    (folder / "chat_template.jinja").write_text(CLOCK)
    return folder


@pytest.fixture
def rows(tmp_path):
    lines = [{"text": f"{n}. What color is it?", "target": "red"} for n in range(8)]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return tmp_path / "rows.jsonl"


class Clock(datetime.datetime):
    """A clock that stands at the start of the run, or a day later."""

    moment = datetime.datetime.fromisoformat(STARTED)

    @classmethod
    def now(cls, tz=None):
        return cls.moment


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_a_run_that_goes_on_the_next_day_has_the_same_prompts(tmp_path, monkeypatch, model, rows, workers):
    options = {"data": rows, "max_new_tokens": 3, "token_budget": 80}
    monkeypatch.setattr(signature, "datetime", Clock)
    whole = evals.run(str(model), "custom", out=tmp_path / "whole", **options)
    cut = evals.run(str(model), "custom", out=tmp_path / "cut", **options)
    assert cut.manifest.started == STARTED
    log = tmp_path / "cut" / folders.SAMPLES
    log.write_bytes(b"".join(log.read_bytes().splitlines(keepends=True)[:3]))
    (tmp_path / "cut" / folders.RESULT).unlink()
    monkeypatch.setattr(Clock, "moment", Clock.moment + datetime.timedelta(days=1))
    resumed = evals.run(str(model), "custom", out=tmp_path / "cut", workers=workers, **options)
    assert resumed.manifest.started == STARTED

    def read(record):
        reader = PrefixReader(record.folder)
        return {row.id: (reader.whole(row.inputs[0]).text, row.output) for row in record.samples()}

    assert read(resumed) == read(whole)
    assert all(text.startswith(SHOWN) for text, _ in read(resumed).values())
    later = evals.run(str(model), "custom", out=tmp_path / "later", **options)
    assert later.manifest.signature == whole.manifest.signature
    assert all(text.startswith("Today is 05 May 2031") for text, _ in read(later).values())


@pytest.mark.slow
def test_embeddings_by_a_prompt_have_the_date_too(tmp_path, monkeypatch):
    folder = checkpoints.deepseek_vl(tmp_path / "vl")
    (folder / "chat_template.jinja").write_text("{{ strftime_now('%Y') }} " + checkpoints.TEMPLATE)
    monkeypatch.setattr(signature, "datetime", Clock)
    record = evals.run(str(folder), "retrieval", limit=1, out=tmp_path / "run")
    reader = PrefixReader(record.folder)
    (row,) = record.samples()
    assert all(reader.whole(entry).text.removeprefix("<s>").startswith("2031 ") for entry in row.inputs)
