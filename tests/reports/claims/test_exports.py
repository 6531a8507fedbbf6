"""The exports of `check` for continuous integration: JUnit XML and a job's summary."""

from __future__ import annotations

from collections import Counter
from xml.etree import ElementTree as Xml

import pytest
from claim_mistakes import DOCUMENT
from commands import evals

from evals.app import check
from evals.reports.claims.output import exports
from evals.reports.claims.verdicts import PRECEDENCE

ATTRIBUTES = {
    "testsuites": {"name", "tests", "failures", "errors", "skipped", "time"},
    "testsuite": {"name", "tests", "failures", "errors", "skipped", "time"},
    "properties": set(),
    "property": {"name", "value"},
    "testcase": {"classname", "name", "time"},
    "failure": {"message", "type"},
    "error": {"message", "type"},
    "skipped": {"message"},
    "system-out": set(),
}
"""What Jenkins' junit-10.xsd, which most readers follow, has of each element that is written."""


@pytest.fixture(scope="module")
def articles():
    return check.check(paper=True)


@pytest.fixture(scope="module")
def root(articles):
    return Xml.fromstring(exports.junit(articles))


def test_each_document_is_a_suite_and_each_claim_a_case(articles, root):
    assert [suite.get("name") for suite in root] == ["document a", "document b"]
    names = [case.get("name").partition(" ")[0] for case in root.iter("testcase")]
    assert names == [each.claim.id for each in articles.assessments]
    for element in root.iter():
        assert element.tag in ATTRIBUTES
        assert element.keys() == [key for key in element.keys() if key in ATTRIBUTES[element.tag]]  # noqa: SIM118


def test_the_counts_are_those_of_the_cases(root):
    for element in [root, *root]:
        cases = list(element.iter("testcase"))
        assert int(element.get("tests")) == len(cases)
        for key, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
            assert int(element.get(key)) == sum(case.find(tag) is not None for case in cases)


def test_what_is_contradicted_fails_and_only_what_is_supported_passes(articles, root):
    cases = list(zip(articles.assessments, root.iter("testcase"), strict=True))
    assert {each.claim.id for each in articles.convicted} == {
        each.claim.id for each, case in cases if case.find("failure") is not None
    }
    for each, case in cases:
        results = [child.tag for child in case if child.tag in {"failure", "error", "skipped"}]
        assert len(results) <= 1
        assert (results == []) == (each.headline in {"supported", "partially_supported"})
        text = "".join(case.itertext())
        assert all(line.split("\n")[0] in text for line in each.working)


def test_every_headline_has_an_outcome():
    counts = Counter(map(exports.case_outcome, PRECEDENCE))
    assert counts == {"failure": 5, "error": 1, "passed": 2, "skipped": len(PRECEDENCE) - 8}


def test_text_that_xml_cannot_hold_is_shown(tmp_path):
    path = tmp_path / "claims.yaml"
    says = r'"a \0 \x1b[31m \ufffe <b> ]]> & end"'
    path.write_text(DOCUMENT.replace("DeepSeek-VL scores 78.3 % on VQA 2.0", says))
    root = Xml.fromstring(exports.junit(check.check([path], paper=True)))
    name = next(root.iter("testcase")).get("name")
    assert "\\x00" in name
    assert "<b> ]]> & end" in name


def test_the_summary_says_what_matters(articles):
    text = exports.job_summary(articles)
    assert text.startswith("On paper: no model was run")
    assert "| claims | 65 | 95 | 160 |" in text
    assert text.count("<details>") == text.count("</details>") == 2
    assert all(f"| {each.claim.id} |" in text for each in articles.assessments)
    assert len(text.encode()) < exports.LIMIT


def test_a_summary_that_is_too_long_says_so(articles, monkeypatch):
    monkeypatch.setattr(exports, "LIMIT", 10_000)
    text = exports.job_summary(articles)
    assert len(text.encode()) < 10_200
    assert text.rstrip().endswith("`claims.md` has it.")


def test_the_command_adds_to_a_jobs_summary(tmp_path):
    path, summary = tmp_path / "claims.yaml", tmp_path / "summary.md"
    path.write_text(DOCUMENT)
    summary.write_text("before\n")
    arguments = ["check", path, "--paper", "--summary", "--out", tmp_path / "out"]
    done = evals(*arguments, GITHUB_STEP_SUMMARY=str(summary))
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    assert summary.read_text().startswith("before\nOn paper")
    assert Xml.parse(tmp_path / "out" / "claims.xml").getroot().get("tests") == "3"
    printed = evals(*arguments, GITHUB_STEP_SUMMARY="")
    assert printed.stdout == summary.read_text().removeprefix("before\n").removesuffix("\n")
    lost = evals(*arguments, GITHUB_STEP_SUMMARY=str(tmp_path))
    assert lost.returncode == 2
    assert len(lost.stderr.splitlines()) == 1
