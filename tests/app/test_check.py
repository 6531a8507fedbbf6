"""The command `check`: verdicts of claims files, and a page that is safe for any content of a document."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import json
import re
import subprocess
import sys
from itertools import pairwise

import pytest
from commands import HEAVY, ROOT, environ, refused
from commands import evals as command
from run_folders import HOSTILE, Outline

import evals
from evals.reports.claims.language import files
from evals.reports.claims.language.values import ValueTable
from evals.reports.claims.output import page as claim_page
from evals.reports.claims.output import tables
from evals.reports.claims.output.tables import FORMATS

DOCUMENT = """\
document: {id: mine, title: My article, subjects: {thing: {name: Thing}}}
claims:
- {id: M-1, says: It takes 120 ms., subject: thing, quantity: latency, printed: "120", unit: milliseconds}
- {id: M-2, says: It takes 65 ms., subject: vl, printed: "65", unit: milliseconds}
- {id: M-3, says: It is 3 times faster., subject: vl, printed: "3", unit: times, derive: M-1 / M-2}
"""


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """The bundled documents, checked by the command."""
    out = tmp_path_factory.mktemp("check") / "claims"
    done = command("check", "--paper", "--out", out)
    assert done.returncode == 0, done.stderr
    return done.stdout, out


def test_the_bundled_documents_are_reported_in_every_format(report):
    printed, out = report
    assert printed.startswith("On paper: no model was run")
    assert sorted(path.name for path in out.iterdir()) == [
        f"claims.{kind}" for kind in ("csv", "html", "json", "jsonld", "md", "tex", "xml")
    ]
    for kind in ("md", "tex", "html"):
        assert "no model was run" in (out / f"claims.{kind}").read_text()


@pytest.mark.slow
def test_on_paper_nothing_heavy_is_loaded(tmp_path):
    code = (
        "import sys\nfrom evals.app.cli import main\n"
        f"assert main(['check', '--paper', '--out', {str(tmp_path)!r}]) == 0\n"
        f"print(sorted({HEAVY!r} & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], env=environ(), cwd=ROOT, capture_output=True, text=True)
    assert done.stderr.strip() == "[]"


def test_json_is_the_contract(report):
    found = json.loads((report[1] / "claims.json").read_text())
    assert len(found["claims"]) == 160
    keys = ["headline", "arithmetic", "cross_document", "public_record", "measurement", "subject_match"]
    for claim in found["claims"]:
        assert all(isinstance(claim[key], str) for key in ["id", *keys])
        assert {*claim["contradicts"]} <= {other["id"] for other in found["claims"]}
        assert isinstance(claim["working"], list)
    assert sum(found["summary"].values()) == 160
    by_id = {claim["id"]: claim for claim in found["claims"]}
    assert by_id["B-24"]["headline"] == "internally_inconsistent"
    assert {"B-65", "B-68"} <= {*by_id["B-24"]["contradicts"]}
    for id, claim in by_id.items():
        assert all(id in by_id[other]["contradicts"] for other in claim["contradicts"]), id


def test_csv_has_a_row_a_claim(report):
    rows = list(csv.DictReader(io.StringIO((report[1] / "claims.csv").read_text())))
    assert len(rows) == 160
    assert {row["document"] for row in rows} == {"a", "b"}


def test_the_same_findings_give_the_same_bytes(report):
    again = evals.check(paper=True)
    for kind in ("json", "csv", "md", "tex"):
        assert tables.render(again, kind) == (report[1] / f"claims.{kind}").read_text()
    assert claim_page.render(again) == (report[1] / "claims.html").read_text()


def test_a_document_of_ones_own(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(DOCUMENT)
    done = command("check", path, "--paper", "--out", tmp_path / "out", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    strict = command("check", path, "--paper", "--strict", "--out", tmp_path / "out")
    assert strict.returncode == 1
    claims = json.loads((tmp_path / "out" / "claims.json").read_text())["claims"]
    assert [claim["headline"] for claim in claims] == ["not_testable_here"] * 2 + ["internally_inconsistent"]


def test_strict_is_content_where_nothing_is_contradicted(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(DOCUMENT.replace('printed: "3"', 'printed: "1.8"'))
    assert command("check", path, "--paper", "--strict", "--out", tmp_path / "out").returncode == 0


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("M-1 / M-2", "M-1 / M-9"), ["mine.yaml:5", "M-9", "M-1"]),
        (("M-1 / M-2", "M-1 / (M-2 - M-2)"), ["M-3", "divisor may be zero"]),
        (("M-1 / M-2", "M-1 + 3 byte"), ["M-3", "second", "bit"]),
        (("M-1 / M-2", "open('x')"), ["mine.yaml:5"]),
        (("unit: times", "unit: timez"), ["mine.yaml:5", "timez", "times"]),
    ],
)
def test_mistakes_get_one_line(tmp_path, change, words):
    path = tmp_path / "mine.yaml"
    path.write_text(DOCUMENT.replace(*change))
    assert refused(command("check", path, "--paper", "--out", tmp_path / "out"), *words)


def test_a_document_given_twice_is_refused(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(DOCUMENT)
    assert refused(command("check", path, path, "--paper", "--out", tmp_path / "out"), "mine", "already")


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    assert refused(command("check", "--paper", "--out", tmp_path / "file" / "out"), "file")


# The page


def test_the_page_allows_its_own_style_and_nothing_else(report):
    page = (report[1] / "claims.html").read_text()
    style = re.search(r"<style>(.*)</style>", page, re.DOTALL)
    assert style is not None
    digest = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
    assert f"style-src 'sha256-{digest}'" in page
    assert "default-src 'none'" in page
    outline = Outline(page)
    assert not {"script", "link", "iframe", "object", "form", "base"} & set(outline.tags)
    for _, name, value in outline.attributes:
        assert not name.startswith("on")
        assert name != "style"
        assert name != "src"
        assert name != "href" or re.fullmatch(r"#[A-Z]-\d+", value or "")
    assert "url(" not in style[1]


def test_the_page_is_semantic_and_its_links_lead_somewhere(report):
    outline = Outline((report[1] / "claims.html").read_text())
    headings = [int(tag[1]) for tag in outline.tags if re.fullmatch(r"h[1-6]", tag)]
    assert headings[0] == 1
    assert headings.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(headings))
    ids = [value for _, name, value in outline.attributes if name == "id"]
    assert len(ids) == len(set(ids))
    for _, name, value in outline.attributes:
        if name == "href":
            assert (value or "").removeprefix("#") in ids
    assert outline.tags.count("th") == sum(tag == "th" and name == "scope" for tag, name, _ in outline.attributes)
    assert outline.tags.count("details") == 160
    void = {"meta", "img", "br", "wbr"}
    opened = [tag for tag in outline.tags if not tag.startswith("/") and tag not in void]
    assert sorted(opened) == sorted(tag[1:] for tag in outline.tags if tag.startswith("/"))


def test_the_same_tags_whatever_a_document_says(tmp_path):
    def tags(text):
        path = tmp_path / "hostile.yaml"
        quoted = json.dumps(text)
        path.write_text(
            f"document: {{id: h, title: {quoted}}}\nclaims:\n"
            f"- {{id: H-1, says: {quoted}, quote: {quoted}, subject: document, note: {quoted}}}\n"
        )
        checked = evals.check([path], paper=True)
        for kind in FORMATS:
            assert "\x1b" not in tables.render(checked, kind)
        return Outline(claim_page.render(checked)).tags

    plain = tags("plain")
    for text in HOSTILE:
        printable = "".join(c for c in text if c.isprintable() or c == "\n")
        assert tags(printable) == plain


# Facts


def test_sizes_in_the_record_are_those_of_the_registered_models():
    """`tests/models/test_systems.py` counts these on the meta device from the public configurations."""
    from evals.registry import VARIANTS, discover

    discover()
    told = {v.name: (v.details.get("parameters") or {}).get("full") for v in VARIANTS}
    record = files.load_record()
    facts = {fact.id: fact for fact in record.facts}
    ledger = ValueTable(files.load(files.default()[0]), record, files.load_vocabulary())
    for name, fact in {"v3": "v3-parameters-counted", "vl": "vl-parameters", "vl-7b": "vl-7b-parameters"}.items():
        counted = ledger.allowed(facts[fact])
        assert counted.is_point
        assert counted.low == told[name]


# Runs

MEASURED = """\
document: {id: mine, title: My article, subjects: {thing: {name: Thing, system: "toy:x"}, other: {name: Other}}}
claims:
- {id: M-1, says: Half are right., subject: thing, printed: "50", unit: percent, measure: {task: toy, metric: accuracy}}
- {id: M-2, says: It is as good., subject: other, printed: "50", unit: percent, measure: {task: toy, metric: accuracy}}
"""


@pytest.mark.slow
def test_what_is_missing_is_run_once(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(MEASURED)
    arguments = ["check", path, "--system", "other=replay:none.json", "--out", "out"]
    first = command(*arguments, cwd=tmp_path)
    assert first.returncode == 0, first.stderr
    found = {claim["id"]: claim for claim in json.loads((tmp_path / "out" / "claims.json").read_text())["claims"]}
    runs = list((tmp_path / "runs").iterdir())
    assert [run.name.startswith("toy-x-toy-") for run in runs] == [True]
    assert (found["M-1"]["measurement"], found["M-1"]["subject_match"]) == ("inconclusive", "exact")
    assert found["M-1"]["measured"][0]["n"] == 3000  # and no interval, which would decide
    assert found["M-2"]["measurement"] == "error"  # tried, and failed
    assert any("none.json" in line for line in found["M-2"]["working"])
    page = (tmp_path / "out" / "claims.html").read_text()
    command(*arguments, cwd=tmp_path)
    assert list((tmp_path / "runs").iterdir()) == runs
    assert (tmp_path / "out" / "claims.html").read_text() == page


def test_systems_are_given_by_subject(tmp_path):
    assert refused(command("check", "--system", "vl", cwd=tmp_path), "vl", "SUBJECT=MODEL")
    assert refused(command("check", "--system", "vll=replay:x", cwd=tmp_path), "vll", "'vl'")


def test_who_does_a_task_beside_a_timed_system_is_timed_too():
    from evals.app.checking.claim_runs import timings_of_rivals
    from evals.registry import discover
    from evals.reports.claims.evidence.required_runs import RequiredRun

    discover()
    jobs = [
        RequiredRun("v3", "efficiency", "short"),
        RequiredRun("v3", "vqa"),
        RequiredRun("vl", "vqa"),
        RequiredRun("vl", "vqa"),
        RequiredRun("r1", "math"),
    ]
    assert timings_of_rivals(jobs) == [RequiredRun("vl", "efficiency", "short")]
    assert timings_of_rivals(jobs[1:]) == []
