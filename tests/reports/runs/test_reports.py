"""Reports of runs show every metric, hide nothing, and are the same every time.

pytest tests/reports/runs/test_reports.py
EVALS_GOLDEN=write pytest tests/reports/runs/test_reports.py -k golden     after an intended change; look at the diff
"""

from __future__ import annotations

import csv
import io
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import golden
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from run_folders import FORMATS, HOSTILE, METRICS, Outline, make, manifest, metric, of_run, render, result, row, sign

from evals import records, reports
from evals.errors import InputError, RecordError, UnknownName
from evals.records.folder import Record
from evals.reports.rendering import formatting, table_formats
from evals.reports.runs import contents, naming, page, sections, side_by_side, tables, terminal

GOLDEN = golden.FOLDER / "reports"


@pytest.fixture
def record(tmp_path):
    return make(tmp_path / "run")


def divide(record):
    return sections.divide(sections.ordered_metrics(record))


# All formats


@pytest.mark.parametrize("format", [*FORMATS, "show"])
def test_golden(record, format):
    text = terminal.show(record) if format == "show" else render([record], format)
    text = re.sub(r"<style>.*</style>", "<style></style>", text.replace(str(record.folder), "RUN"), flags=re.DOTALL)
    text = re.sub(r"sha256-[^']*", "sha256-", text)
    path = GOLDEN / f"run.{format}.txt"
    if os.environ.get("EVALS_GOLDEN") == "write":
        path.write_text(text)
    assert text == path.read_text()


@pytest.mark.parametrize("format", FORMATS)
def test_same_record_same_bytes(tmp_path, format):
    def shuffled(value):
        return {k: shuffled(value[k]) for k in reversed(value)} if isinstance(value, dict) else value

    one = make(tmp_path / "run")
    texts = [render([one], format), render([records.load(one.folder)], format)]
    texts.append(render([Record(one.folder, shuffled(one.manifest), shuffled(one.result))], format))
    assert texts[0] == texts[1] == texts[2]


@pytest.mark.parametrize("format", FORMATS)
def test_first_says_what_it_is_about(record, format):
    text = render([record], format)
    first = text if format in {"csv", "json", "html"} else text.splitlines()[0]
    for fact in (
        "Mini",
        "models/replicas/vl",
        "bundled",
        "validation",
        "replica",
        "no evidence about the public model",
    ):
        assert fact in first
    if format == "html":
        assert Outline(text.partition("<body>")[2]).text.split() [:2] == ["Mini", "scale:"]  # fmt: skip


@pytest.mark.parametrize("format", FORMATS)
def test_full_scale_is_no_replica(tmp_path, format):
    one = make(tmp_path / "run", signed=manifest(scale="full", limit=100), scale="full")
    text = render([one], format)
    assert "replicas:" not in text
    assert "Full scale" in text
    assert "first 100 samples only" in text


def test_recorded_outputs_on_official_files_are_nobodys_replica(tmp_path):
    signed = manifest() | {"model": {"name": "replay:x.json", "replica": False}, "data": {"source": "VQA 2.0 files"}}
    text = render([make(tmp_path / "run", signed=signed)], "md")
    assert "Own files: replay:x.json on vqa validation (data VQA 2.0 files)." in text
    assert "replicas:" not in text


@pytest.mark.parametrize("format", FORMATS)
def test_blind_runs_say_so(tmp_path, format):
    assert re.search(
        "blind control", render([make(tmp_path / "run", signed=manifest(blind=True))], format), re.IGNORECASE
    )


units = st.sampled_from(["fraction", "coefficient", "rank", "seconds", "bytes", "count", "tokens/s"])
values = st.floats(-1, 1) | st.floats(0, 1e12)
metrics_ = st.builds(metric, values, st.integers(1, 10**6), units, st.floats(0, 1) | st.none())
parts = st.text(st.characters(codec="utf-8", exclude_characters="/"), min_size=1, max_size=12)
names = st.lists(parts, min_size=1, max_size=3).map("/".join)


@settings(max_examples=60, deadline=None)
@given(found=st.dictionaries(names, metrics_, min_size=1, max_size=8), data=st.data())
@pytest.mark.slow
def test_every_metric_is_in_every_format(found, data):
    headline = data.draw(st.sampled_from(sorted(found)))
    with tempfile.TemporaryDirectory() as folder:
        one = make(Path(folder), metrics=found, headline=headline)
        texts = {format: render([one], format) for format in FORMATS}
    assert json.loads(texts["json"])["runs"][0]["result"]["metrics"] == found
    rows = list(csv.DictReader(io.StringIO(texts["csv"])))
    assert [float(each["value"]) for each in rows] == [found[name]["value"] for name in sections.ordered_metrics(one)]
    page = re.sub(r"\s+", " ", Outline(texts["html"]).text)
    for section in divide(one):
        for each in section.rows:
            value = formatting.metric_value(each.metric)
            label = formatting.one_line(each.label)
            assert f"| {table_formats.escape_markdown(each.label)} | {value} |" in texts["md"]
            assert f"{table_formats.escape_latex(each.label)} & {table_formats.escape_latex(value)} &" in texts["tex"]
            assert label in texts["text"]
            assert value in texts["text"]
            assert re.sub(r"\s+", " ", f"{formatting.visible(each.label)}").strip() in page
            assert value in page
    assert sum(len(section.rows) for section in divide(one)) == len(found)


def test_unfinished_run_is_refused_by_name(record):
    unfinished = Record(record.folder, record.manifest, None)
    for format in FORMATS:
        with pytest.raises(RecordError, match=re.escape(str(record.folder))):
            render([unfinished], format)


def test_bad_calls(record):
    with pytest.raises(UnknownName, match="'mdx'; did you mean 'md'"):
        tables.render([record], "mdx")
    for format in FORMATS:
        with pytest.raises(InputError, match="at least one run"):
            render([], format)


# Several runs


def test_same_task_stands_side_by_side(record, tmp_path):
    blind = make(tmp_path / "blind", metrics={"accuracy": metric(0.31), "f1": metric(0.2)}, signed=manifest(blind=True))
    table = side_by_side.comparison([record, blind])
    assert table.columns == ("metric", "vl", "vl (blind)")
    assert table.rows[0] == ("accuracy", "47.50 % (42.5 to 52.5 %)", "31.00 % (26.0 to 36.0 %)")
    assert ("f1", "–", "20.00 % (15.0 to 25.0 %)") in table.rows
    assert {each[0] for each in table.rows} == {*METRICS, "f1"}
    page = Outline(render([record, blind], "html"))
    assert page.tags.count("article") == 2
    assert page.tags.count("h1") == 1


@pytest.mark.parametrize("format", FORMATS)
def test_other_tasks_get_a_row_a_run(record, tmp_path, format):
    signed = manifest(name="retrieval")
    other = make(tmp_path / "b", metrics={"rsum": metric(3.0, unit="points")}, signed=signed, headline="rsum")
    assert side_by_side.comparison([record, other]).rows == (
        (f"vl {record.manifest.signature[:6]}", "vqa", "accuracy", "47.50 %", "42.5 to 52.5 %", "4"),
        (f"vl {other.manifest.signature[:6]}", "retrieval", "rsum", "3.00 points", "2.95 to 3.05 points", "4"),
    )
    text = render([record, other], format)
    assert "rsum" in text
    assert "accuracy/yes-no" in text or "yes-no" in text


# One format


@pytest.mark.parametrize("text", HOSTILE)
def test_no_format_passes_hidden_characters_on(tmp_path, text):
    signed = manifest() | {"command": text}
    one = make(tmp_path / "run", [row("1", 0.0, output=text, prompt=text)], signed=signed)
    for rendered in (*(render([one], format) for format in FORMATS), terminal.show(one)):
        assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", rendered)


def test_markdown_keeps_its_tables(record):
    lines = [line for line in render([record], "md").splitlines() if line.startswith("|")]
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in lines if line.startswith("| 1")} == {6}
    assert r"It is ↵ there \| \`maybe\`" in render([record], "md")


def test_csv_keeps_fractions_whole(tmp_path):
    one = make(tmp_path / "run", metrics={"accuracy": metric(1 / 3, spread=None)})
    [line] = csv.DictReader(io.StringIO(render([one], "csv")))
    assert (float(line["value"]), line["low"], line["unit"]) == (1 / 3, "", "fraction")
    assert (line["scale"], line["checkpoint"], line["data"]) == ("mini", "models/replicas/vl", "bundled")


def test_terminal_tables_fit(record, tmp_path):
    runs = [make(tmp_path / str(n), signed=manifest(seed=n)) for n in range(8)]
    assert all(len(line) <= 100 for line in table_formats.text(side_by_side.comparison(runs)).splitlines())
    text = render([record], "text")
    assert "\x1b" not in text
    assert text.splitlines()[-1].startswith(str(record.folder))
    assert "report.html" in text.splitlines()[-1]


def test_metric_order(tmp_path):
    names = [
        "rsum",
        "t2i/recall@10",
        "t2i/recall@5",
        "accuracy/b",
        "accuracy",
        "accuracy-2017",
        "accuracy/level/10",
        "accuracy/level/2",
    ]
    one = make(tmp_path, metrics={name: metric(0.5) for name in names})
    main, level = divide(one)
    assert [each.name for each in main.rows] == [
        "accuracy",
        "accuracy/b",
        "accuracy-2017",
        "rsum",
        "t2i/recall@5",
        "t2i/recall@10",
    ]
    assert [each.label for each in level.rows] == ["2", "10"]
    assert (level.title, level.subject) == ("Accuracy by level", "level")


# The package


def test_write_puts_both_reports_into_the_folder(record):
    before = set(record.folder.iterdir())
    reports.write(record)
    assert {path.name for path in set(record.folder.iterdir()) - before} == {"report.md", "report.html"}
    assert (record.folder / "report.md").read_text() == render([record], "md")
    assert (record.folder / "report.html").read_text() == render([record], "html")


def test_import_is_light():
    code = "import sys, reports; print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"torch", "transformers", "datasets", "pandas", "numpy", "matplotlib", "PIL", "rich", "jinja2"} & set(
        loaded
    )
    assert "reports" in loaded  # the test of the test


# A run and its blind control


def pair_of_runs(tmp_path, seen, blind):
    """A run and its control in folders beside each other, with these scores."""
    made = []
    for name, values in (("seen", seen), ("blind", blind)):
        rows = [row(str(n), value, cluster=str(n)) for n, value in enumerate(values)]
        signed = manifest(blind=name == "blind")
        made.append(make(tmp_path / name, rows, signed=signed))
    return made


def test_a_control_that_does_not_drop_is_told_in_every_report(tmp_path):
    seen, blind = pair_of_runs(tmp_path, [1.0, 0.0] * 40, [1.0, 0.0] * 39 + [0.0, 1.0])
    for text in (render([seen], "md"), render([blind], "html"), terminal.show(seen), render([seen, blind], "text")):
        flat = " ".join(text.split())
        assert "Modality not demonstrated: accuracy 50.00 % with images and 50.00 % blind" in flat
        assert "The model uses" not in flat


def test_a_control_that_drops_shows_that_the_model_uses_the_images(tmp_path):
    seen, _ = pair_of_runs(tmp_path, [1.0, 1.0, 1.0, 0.0] * 20, [1.0, 0.0, 0.0, 0.0] * 20)
    text = terminal.show(seen)
    assert "The model uses the images: accuracy 75.00 % with images and 25.00 % blind on the same 80 questions" in text
    assert "loses 50.0 points" in text


@pytest.mark.parametrize(
    ("task", "changed", "inputs"),
    [
        ("vqa", "every image was replaced by a flat one.", "images"),
        ("tones", "every audio clip was replaced by silence.", "audio"),
        (
            "custom",
            "every image was replaced by a flat one and every audio clip was replaced by silence.",
            "images or audio",
        ),
    ],
)
def test_a_control_names_the_inputs_of_its_task(tmp_path, task, changed, inputs):
    pair = []
    for name, values in (("seen", [1.0] * 40), ("blind", [0.0] * 40)):
        rows = [row(str(n), value, cluster=str(n)) for n, value in enumerate(values)]
        pair.append(make(tmp_path / name, rows, signed=manifest(name=task, blind=name == "blind")))
    assert f"Blind control: {changed}" in naming.about(pair[1:])
    assert f"Blind runs are controls: {changed.replace('every', 'each')}" in naming.about(pair)
    assert f"The model uses the {inputs}: " in terminal.show(pair[0])
    assert f"without {inputs} it loses 100.0 points" in " ".join(terminal.show(pair[0]).split())


def test_another_models_control_says_nothing(tmp_path):
    seen, blind = pair_of_runs(tmp_path, [1.0] * 8, [1.0] * 8)
    other = json.loads((blind.folder / "manifest.json").read_text())
    other["model"]["digest"] = "another"
    (blind.folder / "manifest.json").write_text(json.dumps(sign(other)))
    (blind.folder / "result.json").write_text(
        json.dumps(result(METRICS, n=8, failed=0, unparsed=0, **of_run(sign(other))))
    )
    assert "demonstrated" not in terminal.show(seen)


def test_many_runs_are_named_together(tmp_path):
    def run(name, task, place):
        signed = manifest(name=task)
        signed["model"] |= {"name": name, "checkpoint": place}
        return make(tmp_path / f"{name}-{task}", signed=signed)

    runs = [run(name, task, f"models/replicas/{name}") for name in ("vl", "v3") for task in ("vqa", "custom")]
    said = naming.about(runs)
    assert said.startswith(
        "Mini scale: vl, v3 (checkpoints under models/replicas) on vqa validation, custom validation (data bundled)."
    )
    apart = naming.about([*runs, run("r1", "vqa", "org/r1")])
    assert "vl (checkpoint models/replicas/vl), v3 (checkpoint models/replicas/v3), r1 (checkpoint org/r1) on" in apart


# Gather, then render


@pytest.mark.parametrize("count", [1, 2])
def test_rendering_reads_no_file(tmp_path, count):
    """What is rendered after the folders are gone is what was gathered."""
    runs = pair_of_runs(tmp_path / "runs", [1.0, 0.0] * 20, [0.0, 0.0] * 20)[:count]
    expected = [render(runs, format) for format in ("md", "text", "html")]
    report = contents.gather(runs)
    shutil.rmtree(tmp_path / "runs")
    assert [tables.markdown(report), tables.FORMATS["text"][0](report), page.html(report)] == expected


def test_numbers_in_labels_have_any_length():
    names = ["Level 10", "Level 9", "Level 09", "Level " + "9" * 5_000, "Level", "Level 010"]
    assert sorted(names, key=sections._natural_order) == [
        "Level", "Level 09", "Level 9", "Level 010", "Level 10", "Level " + "9" * 5_000,
    ]  # fmt: skip
