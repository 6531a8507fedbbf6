"""The page is safe, semantic, and the same tags whatever a model writes."""

from __future__ import annotations

import base64
import hashlib
import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from run_folders import HOSTILE, Outline, make, manifest, metric, render, row

from evals.reports.rendering import formatting, svg
from evals.schema import Metric


@pytest.fixture
def record(tmp_path):
    return make(tmp_path / "run")


def test_page_allows_its_own_style_and_nothing_else(record):
    page = render([record], "html")
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', page)
    style = re.search(r"<style>(.*)</style>", page, re.DOTALL)
    assert policy is not None
    assert style is not None
    digest = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
    directives = {
        "default-src 'none'",
        f"style-src 'sha256-{digest}'",
        "img-src data:",
        "base-uri 'none'",
        "form-action 'none'",
    }
    assert set(policy[1].split("; ")) == directives
    outline = Outline(page)
    assert not {"script", "link", "iframe", "object", "form", "base"} & set(outline.tags)
    for _, name, value in outline.attributes:
        assert not name.startswith("on")
        assert name != "style"
        assert name not in {"src", "href"} or (value or "").startswith(("data:image/png;base64,", "#"))
    assert "url(" not in style[1]
    assert "@import" not in style[1]


def test_page_is_semantic(record):
    outline = Outline(render([record], "html"))
    assert ("html", "lang", "en") in outline.attributes
    headings = [int(tag[1]) for tag in outline.tags if re.fullmatch(r"h[1-6]", tag)]
    assert headings[0] == 1
    assert headings.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(headings))
    assert outline.tags.count("th") == sum(tag == "th" and name == "scope" for tag, name, _ in outline.attributes)
    assert outline.tags.count("img") == sum(tag == "img" and name == "alt" for tag, name, _ in outline.attributes) == 2
    opened = [tag for tag in outline.tags if not tag.startswith("/") and tag not in {"meta", "img", "br", "wbr"}]
    closed = [tag[1:] for tag in outline.tags if tag.startswith("/")]
    assert sorted(opened) == sorted(closed)


@pytest.mark.parametrize("text", HOSTILE)
def test_page_has_the_same_tags_whatever_a_model_writes(tmp_path, text):
    def page(output):
        signed = manifest() | {"command": output}
        signed["model"] = signed["model"] | {"name": output}
        metrics = {"accuracy": metric(0.5), f"accuracy/{output.replace('/', '')}": metric(0.1)}
        rows = [row("1", 0.0, prompt=output, output=output, answer=None, target=[output], failure=output, failed=True,
                    labels={output: output})]  # fmt: skip
        return render([make(tmp_path / "run", rows, metrics, signed, model=output)], "html")

    hostile = Outline(page(text))
    assert hostile.tags == Outline(page("harmless")).tags
    assert " ".join(formatting.visible(text).split()) in " ".join(hostile.text.split())


def test_long_output_is_cut_with_a_note(tmp_path):
    one = make(tmp_path / "run", [row("1", 0.0, output="<b>" * 350_000 + "#### 7")])
    for format in ("md", "html"):
        text = render([one], format)
        assert len(text) < 60_000
        assert "of 1,050,006 characters left out" in text
        assert "# 7" in text


# Figures


@given(st.floats(-1, 1), st.floats(0, 1), st.floats(0, 1))
def test_strips_stay_on_their_scale(value, below, above):
    each = Metric(value, value - below, value + above, 9, "coefficient")
    on = svg.choose_scale([each])
    assert on is not None
    drawn = svg.strip(each, on, each)
    assert all(0 <= float(x) <= 100 for x in re.findall(r'(?:x|x1|x2|width)="([-\d.]+)%"', drawn))
    assert "<title>" in drawn or drawn == ""


def test_axis_describes_itself():
    each = Metric(0.5, 0.4, 0.6, 9)
    on = svg.choose_scale([each])
    assert on is not None
    drawn = svg.axis(on, each)
    assert "<title>Scale from 0.0 % to 100.0 %</title>" in drawn
    assert "the dashed line is the whole, 50.00 %.</desc>" in drawn
