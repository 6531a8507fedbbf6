"""What a model read, as the command, the page and the exports show it: whole, with special tokens, each prefix once."""

from __future__ import annotations

import json
import re

import pytest
from chromium import browser, screenshot
from commands import refused
from PIL import Image
from run_folders import HOSTILE, Outline, make, manifest, metric, render, row

import evals
from evals.records.inputs import SharedPrefix
from evals.records.prefixes import PREFIXES, PrefixReader, PrefixWriter
from evals.reports.exports import every_eval_ever
from evals.reports.runs import terminal

EXAMPLES = "<|im_start|>user\n" + "".join(f"Question: {n} + {n}?\nAnswer: {2 * n}\n\n" for n in range(300))
PREFIX = SharedPrefix.of(EXAMPLES, [1, *range(5, 900)])
QUESTION = "What color is the ball?<|im_end|>\n<|im_start|>assistant\n"


def recorded(number, text=QUESTION, **changes):
    entry = {"text": f"{number}. {text}", "tokens": [7, 8, number], "prefix": PREFIX.digest} | changes
    return {name: value for name, value in entry.items() if value is not None}


@pytest.fixture
def record(tmp_path):
    """Twelve samples whose prompts begin with the same 300 examples."""
    rows = [row(str(n), 0.0, inputs=[recorded(n)]) for n in range(12)]
    record = make(tmp_path / "run", rows, {"accuracy": metric(0.0, 12)})
    PrefixWriter(record.folder).add([PREFIX])
    return record


def test_the_command_prints_the_text_and_the_tokens(tmp_path, command):
    record = evals.run("r1-zero", "math/sums", limit=3, out=tmp_path / "run")
    sample = next(record.samples())
    read = PrefixReader(record.folder).whole(sample.inputs[0])
    shown = command("show", tmp_path / "run", "--prompt", sample.id)
    assert shown.returncode == 0, shown.stderr
    text, rest = re.search(r"--- text\n(.*)\n--- end of text\n(.*)", shown.stdout, re.DOTALL).groups()
    assert text == read.text
    assert json.loads(re.search(r"tokens \d+: (\[.*?\])", rest)[1]) == list(read.tokens)
    assert refused(command("show", tmp_path / "run", "--prompt", "nothing"), "nothing")


def test_the_page_has_every_prompt_whole_and_the_prefix_once(record):
    page = render([record], "html")
    text = Outline(page).text
    assert text.count(EXAMPLES) == 1
    for number in range(12):
        assert f"{number}. {QUESTION}" in text
    assert page.count(f'href="#run-1-prefix-{PREFIX.digest}"') == 12
    assert page.count(f'id="run-1-prefix-{PREFIX.digest}"') == 1
    assert text.count("What the model read: 899 tokens") == 12
    assert "<details open" not in page


def test_each_run_of_a_page_has_its_own_prefix(record, tmp_path):
    other = make(tmp_path / "other", [row("1", 0.0, inputs=[recorded(1)])], {"accuracy": metric(0.0, 1)})
    PrefixWriter(other.folder).add([PREFIX])
    page = render([record, other], "html")
    anchors = re.findall(r'id="([^"]*prefix[^"]*)"', page)
    assert anchors == [f"run-1-prefix-{PREFIX.digest}", f"run-2-prefix-{PREFIX.digest}"]
    assert "one prompt shares with others of the run" in page


@pytest.mark.parametrize("text", HOSTILE)
def test_no_prompt_changes_the_tags_of_a_page(tmp_path, text):
    def outline(name, said):
        entry = {"text": said, "tokens": [1], "continuations": [{"text": said}]}
        folder = make(tmp_path / name, [row("1", 0.0, inputs=[entry])], {"accuracy": metric(0.0, 1)})
        return Outline(render([folder], "html"))

    harmless, hostile = outline("a", "harmless"), outline("b", text)
    assert hostile.tags == harmless.tags
    assert "\x1b" not in hostile.text


def test_a_sample_with_several_requests_shows_each(tmp_path):
    media = [{"kind": "image", "digest": "0123456789abcdef", "blind": True}]
    entries = [{"text": "", "tokens": [], "media": media}, None, {"text": "[CLS]a dog[SEP]", "tokens": [1, 2, 3]}]
    record = make(tmp_path / "run", [row("1", 0.0, inputs=entries)], {"accuracy": metric(0.0, 1)})
    text = Outline(render([record], "html")).text
    assert "image 0123456789abcdef, replaced" in text
    assert "[CLS]a dog[SEP]" in text
    assert text.count("What the model read") == 2


def test_a_run_without_inputs_has_no_prompts(tmp_path):
    record = make(tmp_path / "old")
    assert "What the model read" not in render([record], "html")
    assert "--prompt" not in terminal.show(record)


def test_the_terminal_shows_where_a_prompt_begins_and_ends(record):
    text = terminal.show(record)
    assert "899 tokens: <|im_start|>user ↵ Question: 0 + 0?" in text
    assert "<|im_end|> ↵ <|im_start|>assistant" in text
    assert "show RUN --prompt ID" in text


def test_a_missing_prefix_is_an_error_of_one_line(record):
    (record.folder / PREFIXES).unlink()
    with pytest.raises(evals.EvalsError, match=f"lacks the prefix {PREFIX.digest}"):
        render([record], "html")


@pytest.mark.slow
def test_a_phone_shows_prompts_without_overflow(tmp_path):
    """Inside a frame of 390 pixels, since the browser's own window is never narrower than 500."""
    browser()
    wide = "".join(f"<|token_{n}|>" for n in range(300)) + "x" * 3000
    rows = [
        row(str(n), 0.0, inputs=[recorded(n, wide, continuations=[{"text": "y" * 400}], prefix=None)]) for n in range(3)
    ]
    record = make(tmp_path / "run", rows, {"accuracy": metric(0.0, 3)})
    page = render([record], "html").replace("<details", "<details open")
    (tmp_path / "page.html").write_text(page)
    frame = '<body style="margin:0;background:#0f0"><iframe src="page.html" width="390" height="6000" style="border:0">'
    (tmp_path / "frame.html").write_text(frame)
    with Image.open(screenshot(tmp_path / "frame.html", tmp_path / "shot.png", 500, 6000)) as shot:
        pixels = shot.convert("RGB")
        assert pixels.getpixel((450, 10)) == (0, 255, 0), "beside the frame"
        edge = pixels.crop((386, 0, 390, 6000)).convert("L")
        assert edge.getextrema()[0] == edge.getextrema()[1], "something runs out on the right"
        assert pixels.crop((0, 0, 380, 6000)).convert("L").getextrema()[0] < 100, "there is text"


# Every Eval Ever's samples

REQUIRED = {
    "schema_version", "evaluation_id", "model_id", "evaluation_name", "sample_id", "interaction_type", "input",
    "answer_attribution", "evaluation",
}  # fmt: skip
"""Of `instance_level_eval.schema.json`, version 0.3.0."""
OPTIONAL = {
    "evaluation_result_id", "sample_hash", "output", "messages", "token_usage", "performance", "error", "metadata",
}  # fmt: skip


def exported(record):
    return [json.loads(line) for line in every_eval_ever.render([record], "every-eval-ever-samples").splitlines()]


def test_every_eval_evers_samples_have_the_prompt_whole(record):
    lines = exported(record)
    log = json.loads(every_eval_ever.render([record], "every-eval-ever"))
    results = {result["evaluation_result_id"] for result in log["evaluation_results"]}
    assert [line["sample_id"] for line in lines] == [str(n) for n in range(12)]
    for number, line in enumerate(lines):
        assert set(line) >= REQUIRED
        assert set(line) <= REQUIRED | OPTIONAL
        assert line["input"]["formatted"] == f"{EXAMPLES}{number}. {QUESTION}"
        assert line["input"]["reference"] == ["red"] * 7 + ["blue"] * 3
        assert line["evaluation_id"] == log["evaluation_id"]
        assert line["evaluation_result_id"] in results


def test_every_eval_evers_samples_are_read_by_its_own_types(record, tmp_path):
    types = pytest.importorskip("every_eval_ever.instance_level_types")
    for run in (record, make(tmp_path / "old")):
        lines = exported(run)
        read = [types.InstanceLevelEvaluationLog.model_validate(line) for line in lines]
        assert [log.sample_id for log in read] == [line["sample_id"] for line in lines]


def test_failures_choices_and_several_requests_are_exported(tmp_path):
    choices = [{"text": " no", "tokens": [3]}, {"text": " yes", "tokens": [4]}]
    rows = [
        row("1", 1.0, inputs=[{"text": "Is it?", "tokens": [1], "continuations": choices}], output=" yes"),
        row("2", 0.0, output=None, answer=None, failed=True, failure="too long"),
        row("3", 0.3, inputs=[{"text": "a", "tokens": [1]}, {"text": "b", "tokens": [2]}], output=["c", "d"]),
    ]
    first, second, third = exported(make(tmp_path / "run", rows, {"accuracy": metric(0.433, 3)}))
    assert first["input"]["choices"] == [" no", " yes"]
    assert first["output"]["raw"] == [" yes"]
    assert first["evaluation"] == {"score": 1.0, "is_correct": True}
    assert (second["error"], second["input"]["formatted"], second["answer_attribution"]) == ("too long", None, [])
    assert (third["metadata"]["formatted[0]"], third["metadata"]["formatted[1]"]) == ("a", "b")
    assert third["output"]["raw"] == ["c", "d"]


def test_a_run_whose_samples_cannot_be_right_or_wrong_is_refused(tmp_path):
    timed = manifest(name="efficiency")
    timed["plan"]["interleaved"] = ["vl"]
    record = make(tmp_path / "run", [row("1", 0.0)], {"latency": metric(0.1, 1, "seconds")}, timed, headline="latency")
    with pytest.raises(evals.InputError, match="holds times"):
        every_eval_ever.render([record], "every-eval-ever-samples")
    with pytest.raises(evals.InputError, match="one run per file"):
        every_eval_ever.render([record, record], "every-eval-ever-samples")
