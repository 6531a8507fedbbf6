"""The pages of claims and of trends in headless Chromium: at two widths, in light and dark, folded and open.

Skipped without a browser. Screenshots go to `$EVALS_SHOTS` where that is set, for somebody to look at.
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest
from chromium import axe, browser, screenshot
from PIL import Image
from run_folders import make, manifest, metric, row

import evals
from evals.reports.claims.drafting.readers.markdown import read_markdown
from evals.reports.claims.evidence import learning_curves
from evals.reports.claims.evidence.measured_rows import MeasuredRow
from evals.reports.claims.language.sources.placement import place
from evals.reports.claims.output import page as claim_page
from evals.reports.trends import page as trend_page
from evals.reports.trends import series

pytestmark = pytest.mark.slow

SHOWN = ["A-20", "A-37", "A-59", "B-18", "B-24", "B-28", "B-59", "B-60", "B-61", "B-94"]
"""A claim of each mark, with all parts of the evidence."""
MEASURED = MeasuredRow(
    task="vqa", metric="accuracy", relation="level", value=0.805, low=0.774, high=0.834, n=1000,
    claimed_low=0.7825, claimed_high=0.7835, decision=None, unit="fraction", subject_match="proxy",
)  # fmt: skip


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """The page of some claims, with everything that a page can have."""
    browser()
    folder = tmp_path_factory.mktemp("runs")
    found = evals.check(paper=True)
    some = [each for each in found.assessments if each.claim.id in SHOWN]
    some = [replace(each, measured=(MEASURED,)) if each.claim.id == "B-59" else each for each in some]
    runs = tuple(
        make(folder / name, [row("1", value)], {"accuracy": metric(value)}, signed(name), headline="accuracy")
        for name, value in (("v3", 0.6), ("vl", 0.8))
    )
    curve = folder / "curve.csv"
    moments = {0: (0.1, 0.05), 2500: (0.4, 0.1), 5000: (0.67, 0.2)}
    rows = [
        (step, split, rate)
        for step, own in moments.items()
        for split, rate in zip(("seen", "unseen"), own, strict=True)
    ]
    lines = [f"{step},{split},86,{rate},{rate - 0.04},{rate + 0.06}" for step, split, rate in rows]
    curve.write_text("\n".join(["interactions,split,of,rate,low,high", *lines]))
    learnt = (learning_curves.read(curve, "r1-zero"),)
    articles = {document.document.id: article(document, some) for document in found.documents}
    return claim_page.render(
        replace(found, assessments=tuple(some), runs=runs, curves=learnt, articles=articles, unread={})
    )


def article(document, some):
    """An article of a document's claims: a paragraph, items, code, and a table with a claim in a cell."""
    quotes = [each.claim.quote for each in some if each.document is document]
    rows = [f"| {quote} | a cell with {'a long text ' * 9} |" for quote in quotes[-2:]]
    lines = ["# Title", " ".join(quotes[:1]) * 9, *(f"1. {quote}" for quote in quotes[1:-2]), "```", "code = 1", "```"]
    table = ["", "| what | a wide column of the table |", "|---|---|", *rows, ""]
    source = "\n\n".join(lines) + "\n".join(table)
    return place(document, read_markdown(source))


@pytest.fixture(scope="module")
def nights(tmp_path_factory):
    """The page of three nights, with a change on the last and a run that was left out once."""
    browser()
    folder = tmp_path_factory.mktemp("nights")
    for day, values in {"2026-11-22": (0.8, 0.3), "2026-11-23": (0.81,), "2026-11-24": (0.7, 0.32)}.items():
        for blind, value in zip((False, True), values, strict=False):
            samples = [row(str(10 + n), float(n < 40 * value)) for n in range(40)]
            make(folder / day / f"{blind}", samples, {"accuracy": metric(value, 40)}, manifest(blind=blind))
    return trend_page.render([series.read(day) for day in sorted(folder.iterdir())], "html")


def signed(name):
    whole = manifest()
    whole["model"] |= {"name": name, "parameters": 3_000_000}
    return whole


def opened(html):
    return html.replace("<details", "<details open")


@pytest.mark.parametrize(("width", "dark"), [(1200, False), (500, True)])
def test_axe_finds_nothing(page, tmp_path, width, dark):
    found = axe(opened(page), tmp_path, width, dark=dark)
    assert found["violations"] == []
    assert found["passes"] > 20


@pytest.mark.parametrize(("width", "dark"), [(1200, True), (500, False)])
def test_axe_finds_nothing_on_the_page_of_trends(nights, tmp_path, width, dark):
    found = axe(opened(nights), tmp_path, width, dark=dark)
    assert found["violations"] == []
    assert found["passes"] > 15


def test_axe_would_notice(page, tmp_path):
    broken = page.replace('<html lang="en">', "<html>").replace("<h1>", '<img src="data:,"><h1>')
    assert {"html-has-lang", "image-alt"} <= {rule for rule, *_ in axe(broken, tmp_path, 1200)["violations"]}


@pytest.mark.parametrize(("name", "width", "dark"), [("desktop", 1200, False), ("phone", 500, True)])
@pytest.mark.parametrize("shown", ["page", "nights"])
def test_screenshots_show_a_page_that_fits_its_width(request, tmp_path, shown, name, width, dark):
    shots = Path(os.environ.get("EVALS_SHOTS", tmp_path)).resolve()
    copy = tmp_path / f"{shown}.html"
    copy.write_text(opened(request.getfixturevalue(shown)))
    height = 5000 if shown == "page" else 1500
    with Image.open(screenshot(copy, shots / f"{shown}-{name}.png", width, height, dark=dark)) as shot:
        pixels = shot.convert("L")
        assert pixels.size == (width, height)
        corner = pixels.getpixel((0, 0))
        assert (corner < 60) == dark
        assert pixels.crop((0, 0, width, 1200)).getextrema()[1] - pixels.getextrema()[0] > 150  # there is text
        edge = pixels.crop((width - 4, 0, width, height))
        assert edge.getextrema() == (corner, corner)  # nothing runs out on the right
