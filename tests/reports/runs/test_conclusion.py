"""The sentence that says how two runs differ, in `compare` and in reports of several runs; and the forest plot."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from functools import partial
from xml.etree import ElementTree

import numpy as np
import pytest
from commands import ROOT, environ, refused
from commands import evals as command
from PIL import Image
from run_folders import FORMATS, HOSTILE, make, manifest, metric, render, row

from evals.reports.rendering import forest
from evals.reports.rendering.forest import ForestPanel, ForestRow
from evals.reports.rendering.formatting import one_line
from evals.schema import Metric


def run(folder, values, name, changes=None, unit="fraction", higher=None):
    """A run of the model `name` whose samples have these values, each a cluster of its own."""
    signed = manifest()
    signed["model"] |= {"name": name}
    signed["signature"] = f"{ord(name):012x}"
    signed["task"] |= changes or {}
    rows = [row(str(10 + n), float(value), cluster="") for n, value in enumerate(values)]
    mean = metric(sum(values) / len(values), len(values), unit)
    if higher is not None:
        mean["higher_is_better"] = higher
    return make(folder, rows, {"accuracy": mean}, signed, headline="accuracy")


def first_line(a, b):
    done = command("compare", a.folder, b.folder)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[0]


def test_a_difference_is_said_with_all_that_a_reader_needs(tmp_path):
    a = run(tmp_path / "a", [1] * 60 + [0] * 40, "A")
    b = run(tmp_path / "b", [1] * 40 + [0] * 60, "B")
    said = (
        r"A is better than B by 20\.0 points \(95 % interval 1\d\.\d to 2\d\.\d, p < 0\.0001, 100 questions\) in "
        r"accuracy on vqa validation\."
    )
    assert re.fullmatch(said, first_line(a, b))
    assert re.fullmatch(said, first_line(b, a)), "the better run stands first, whatever the order"


def test_lower_may_be_better(tmp_path):
    a = run(tmp_path / "a", [1] * 60 + [0] * 40, "A", higher=False)
    b = run(tmp_path / "b", [1] * 40 + [0] * 60, "B", higher=False)
    assert first_line(a, b).startswith("B is better than A by 20.0 points (95 % interval 1")


def test_the_counted_items_have_the_benchmarks_own_name(tmp_path):
    for task, items in {"math/gsm8k": "100 problems", "glue/rte": "100 pairs", "somebodys": "100 samples"}.items():
        a, b = (
            run(tmp_path / task / name, [1] * right + [0] * (100 - right), name, {"name": task})
            for name, right in (("A", 60), ("B", 40))
        )
        assert f", {items}) in accuracy on {task} validation." in first_line(a, b)


def test_few_samples_find_no_difference_at_all(tmp_path):
    a, b = run(tmp_path / "a", [1, 1, 1, 1, 0], "A"), run(tmp_path / "b", [0, 0, 0, 1, 0], "B")
    assert "; with 5 questions, no difference would have been found four times in five." in first_line(a, b)


def test_as_many_wins_as_losses_are_no_advantage(tmp_path):
    a, b = run(tmp_path / "a", [1, 0] * 20, "A"), run(tmp_path / "b", [0, 1] * 20, "B")
    assert "in accuracy on vqa validation (difference 0.0 points, 95 % interval" in first_line(a, b)


def test_where_nothing_could_be_shown_the_sentence_says_what_would_have_been_found(tmp_path):
    a = run(tmp_path / "a", [1, 0, 1] * 20, "A")
    b = run(tmp_path / "b", [1, 0, 1] * 19 + [0, 1, 1], "B")
    text = first_line(a, b)
    assert text.startswith("No difference could be shown between A and B in accuracy on vqa validation")
    assert re.search(r"; a difference of \d+\.\d points would have been found four times in five\.$", text)


def test_a_run_compared_with_itself_says_so(tmp_path):
    a = run(tmp_path / "a", [1, 0], "A")
    shutil.copytree(a.folder, tmp_path / "copy")
    done = command("compare", a.folder, tmp_path / "copy")
    assert done.stdout.startswith("A run is compared with itself")
    refused(command("compare", a.folder, a.folder), "are one folder")


def test_equal_answers_of_two_models(tmp_path):
    a, b = run(tmp_path / "a", [1, 0, 1], "A"), run(tmp_path / "b", [1, 0, 1], "B")
    assert first_line(a, b).startswith("A and B have the same value on each of 3 questions")


def test_what_was_not_tested_says_why(tmp_path):
    signed = {"first": 100}
    a, b = run(tmp_path / "a", [1] * 100, "A", signed), run(tmp_path / "b", [0, 1] * 50, "B", signed)
    text = first_line(a, b)
    assert "the difference of 50.0 points was not tested" in text
    assert text.endswith("not chosen at random.")


def test_compare_prints_percent_everywhere(tmp_path):
    a, b = run(tmp_path / "a", [1] * 3 + [0], "A"), run(tmp_path / "b", [0, 1, 0, 0], "B")
    text = command("compare", a.folder, b.folder).stdout
    assert "75.00 %" in text
    assert "25.00 %" in text
    assert "+50.00 points" in text


# Reports of several runs


@pytest.fixture
def three(tmp_path):
    values = {"A": [1] * 60 + [0] * 40, "B": [1] * 40 + [0] * 60, "C": [1] * 59 + [0] * 41}
    return [run(tmp_path / name, right, name) for name, right in values.items()]


@pytest.mark.parametrize("format", [format for format in FORMATS if format != "csv"])
def test_every_format_says_it(three, format):
    text = re.sub(r"\\(?=[%<])", "", render(three, format))
    assert re.search(r"A is better than B by 20\.0 points", text)
    assert re.search(r"No difference could be shown between A and C", text)
    assert text.replace("&#39;", "'").count("Holm's correction for 2 comparisons") == 2


def test_runs_that_cannot_be_compared_have_no_sentence(tmp_path):
    a, b = run(tmp_path / "a", [1, 0, 1], "A"), run(tmp_path / "b", [1, 0], "B")
    assert "better" not in render([a, b], "md")
    (why,) = json.loads(render([a, b], "json"))["conclusions"]
    assert why.startswith("B cannot be compared with A: ")


def test_latex_tables_have_labels_of_their_own(three):
    text = render(three, "tex")
    labels = re.findall(r"\\label\{(.*)\}", text)
    assert len(labels) == len(set(labels)) == text.count(r"\centering") == text.count(r"\begin{table}") == 4
    assert all(re.fullmatch("tab:[a-z0-9-]+", label) for label in labels)


# The forest plot


def test_the_plot_is_one_drawing_with_a_row_a_run(three):
    drawing = ElementTree.fromstring(render(three, "svg"))
    points = [each for each in drawing.iter("{http://www.w3.org/2000/svg}rect") if each.get("class") == "point"]
    assert len(points) == 3 + 2
    at = [float(point.get("x")) for point in points]
    assert at[1] < at[2] < at[0], "from left to right by value"
    title = drawing.find("{http://www.w3.org/2000/svg}title").text
    assert "A 60.00 % (55.0 to 65.0 %)" in title
    assert "difference: A minus the others: B 20.0 points" in title
    page = render(three, "html")
    assert page.count('class="forest"') == 1
    assert "style=" not in page[page.index('class="forest"') :].partition("</svg>")[0]


def test_a_difference_without_an_interval_has_a_row(tmp_path):
    records = [run(tmp_path / name, [value] * 30, name) for name, value in (("A", 1), ("B", 0))]
    done = command("report", *(record.folder for record in records), "--format", "svg")
    assert done.returncode == 0, done.stderr
    assert "difference: A minus the others" in done.stdout
    assert "100.0 points (no interval)" in done.stdout


def test_the_plot_needs_runs_of_one_metric(three, tmp_path):
    refused(command("report", three[0].folder, "--format", "svg"), "two or more runs")


@pytest.mark.parametrize("text", HOSTILE)
def test_labels_cannot_break_the_plot(text):
    """A hostile label adds no element, and is shown as text: once as the row's label, once as the panel's title."""
    panels = [ForestPanel(label, (ForestRow(label, Metric(0.5, 0.4, 0.6, 9)),)) for label in (text, "plain")]
    hostile, plain = (ElementTree.fromstring(forest.draw([panel])) for panel in panels)
    assert [element.tag for element in hostile.iter()] == [element.tag for element in plain.iter()]
    shown = [element.text for element in hostile.iter() if element.tag.endswith("}text")]
    assert shown.count(one_line(text)) == 2


@pytest.mark.parametrize("value", [0.0, 0.5, 1.0, 1e-9, -3.0, 1e9])
def test_equal_values_without_intervals_can_be_drawn(value):
    metric = Metric(value, None, None, 9, "coefficient")
    drawing = forest.draw([ForestPanel("title", (ForestRow("a", metric), ForestRow("b", metric)), reference=value)])
    assert "nan" not in drawing
    assert "inf" not in drawing


def test_the_plot_is_a_png_image_too(three, tmp_path):
    pytest.importorskip("resvg_py")
    folders = [record.folder for record in three]
    assert command("report", *folders, "--format", "png", "--out", tmp_path / "forest.png").returncode == 0
    redirected = subprocess.run(
        [sys.executable, "-m", "evals", "report", *map(str, folders), "--format", "png"],
        cwd=ROOT, env=environ(), capture_output=True, check=True,
    )  # fmt: skip
    assert redirected.stdout == (tmp_path / "forest.png").read_bytes()
    image = Image.open(tmp_path / "forest.png").convert("RGB")
    drawing = ElementTree.fromstring(render(three, "svg"))
    assert image.size == (3 * int(drawing.get("width")), 3 * int(drawing.get("height")))
    pixels = np.array(image)
    for point in (each for each in drawing.iter() if each.get("class") == "point"):
        column, line = (3 * int(float(point.get(side)) + 4) for side in ("x", "y"))
        assert tuple(pixels[line, column]) == (0x0B, 0x66, 0x61)
    texts = [each for each in drawing.iter() if each.tag.endswith("}text")]
    for text in texts:  # each has ink on its line, at its end or beginning
        line, at = 3 * int(float(text.get("y"))), 3 * float(text.get("x"))
        left = {"start": at, "middle": at - 60, "end": at - 120}[text.get("text-anchor")]
        assert (pixels[line - 30 : line, int(left) : int(left) + 120] < 200).any(), text.text


def test_an_image_is_not_for_the_screen(three):
    pytest.importorskip("resvg_py")
    refused(command("report", *(record.folder for record in three), "--format", "png"), "--out forest.png")


def test_without_resvg_or_fonts_one_line_says_so(three, tmp_path, monkeypatch):
    asked = ("report", *(record.folder for record in three), "--format", "png", "--out", tmp_path / "forest.png")
    monkeypatch.setitem(sys.modules, "resvg_py", None)
    refused(command(*asked), "resvg-py", "[png]")
    monkeypatch.undo()
    resvg_py = pytest.importorskip("resvg_py")
    monkeypatch.setattr(resvg_py, "svg_to_bytes", partial(resvg_py.svg_to_bytes, skip_system_fonts=True))
    refused(command(*asked), "no font")


def test_a_report_is_written_to_a_file(three, tmp_path):
    folders = [record.folder for record in three]
    assert command("report", *folders, "--out", tmp_path / "report.md").stdout == ""
    assert (tmp_path / "report.md").read_text() == command("report", *folders).stdout
    refused(command("report", *folders, "--out", tmp_path / "none" / "report.md"), "cannot write", "report.md")
