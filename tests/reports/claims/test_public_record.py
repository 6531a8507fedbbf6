"""The public record: only a fact of a claim's own key contradicts it, and only if no fact of the quantity agrees."""

from __future__ import annotations

import json

import pytest

import evals
from evals.reports.claims.evidence.cross_document import Assertion
from evals.reports.claims.evidence.public_record import FactIndex
from evals.reports.claims.language import files
from evals.reports.claims.language.schema import Claim, Document, DocumentInfo
from evals.reports.claims.language.values import ValueTable

RECORD, VOCABULARY = files.load_record(), files.load_vocabulary()
KNOWN = [fact for fact in RECORD.facts if fact.state == "known"]
KEYS = ("printed", "implied", "upto", "times", "exact", "unit", "value", "bound", "margin", "derive",
        "quantity", "baseline", "conditions", "release", "protocol")  # fmt: skip


def found(subject, **statement):
    """Return the finding of the record about one claim."""
    claim = Claim(id="C-1", says="x", subject=(subject,), **statement)
    document = Document(document=DocumentInfo(id="t", title="T"), claims=(claim,))
    table = ValueTable(document, RECORD, VOCABULARY)
    index = FactIndex(RECORD, table, VOCABULARY.quantities)
    return index.check(claim, [Assertion("C-1", "t", subject, claim, table)])


def word(subject, **statement):
    return found(subject, **statement).verdict


def billions(digits, **more):
    return {"quantity": "parameters", "printed": digits, "times": "1e9", "unit": "parameters", **more}


def percent(quantity, digits, **more):
    return {"quantity": quantity, "printed": digits, "unit": "percent", **more}


TRUE = [
    ("v3", billions("671")),
    ("v3", billions("685")),  # on the hub, with the module of multi-token prediction
    ("v3", billions("685", release="V3-Base")),
    ("v2", billions("236")), ("v2", billions("15.7")), ("v2", billions("16", release="V2-Lite")),
    ("v3", percent("mmlu", "88.5")), ("v3", percent("mmlu", "87.1")),
    ("v3", percent("mmlu", "87.1", release="V3-Base", protocol={"shots": "5"})),
    ("v3", percent("livecodebench", "40.5")), ("v3", percent("livecodebench", "37.6")),
    ("v3", percent("livecodebench", "37.6", protocol={"metric": "Pass@1", "prompt": "direct"})),
    ("v2", percent("mmlu", "78.5")), ("v2", percent("mmlu", "77.8")), ("v2", percent("mmlu", "78.4")),
    ("r1-zero", percent("aime-2024", "71.0", conditions={"at": "end"})),
    ("r1-zero", percent("aime-2024", "77.9", conditions={"at": "end"})),  # the journal version
    ("r1-zero", percent("aime-2024", "15.6")),
    *(("v3", {"quantity": "context", "unit": "tokens", **digits}) for digits in (
        {"printed": "128", "times": "1e3"}, {"printed": "131072"}, {"printed": "128000"},
        {"printed": "131", "times": "1e3"})),
    ("v2", {"quantity": "context", "printed": "32768", "unit": "tokens"}),
    ("gsm8k", {"quantity": "items", "printed": "8.5", "times": "1e3", "unit": "items"}),
    ("gsm8k", {"quantity": "items", "printed": "8792", "unit": "items"}),
    ("deepseek", {"quantity": "lineage", "value": ["v3 to r1"], "bound": "at-least"}),
    ("deepseek", {"quantity": "lineage", "value": ["r1 to v3"], "bound": "at-least"}),
]  # fmt: skip
FALSE = [
    ("v3", billions("700")), ("v3", billions("67.1")), ("v2", billions("6.5")), ("r1", billions("13")),
    ("v3", percent("mmlu", "78.1", release="V3", protocol={"metric": "EM"})),
    ("v3", percent("mmlu", "78.1", release="V3-Base", protocol={"shots": "5"})),
    ("v2", percent("math", "35.9", release="V2-Chat (RL)")),
    ("v3", {"quantity": "context", "printed": "64", "times": "1e3", "unit": "tokens"}),
    ("v3", {"quantity": "layers", "printed": "60", "exact": True, "unit": "layers"}),
]  # fmt: skip
DIFFERENT = [
    ("v3", percent("mmlu", "60.0")),  # neither release nor protocol is stated
    ("v3", percent("mmlu", "60.0", release="V3")),
    ("v3", percent("mmlu", "88.0", release="V3", protocol={"shots": "0"})),
    ("v2", percent("gsm8k", "80.0", release="V2")),  # 79.2 in one README, 81.6 in another
    ("r1-zero", percent("aime-2024", "50.0")),  # 15.6 at the start, 71.0 at the end
]


@pytest.mark.parametrize(("subject", "statement"), TRUE)
def test_each_of_several_true_values_is_supported(subject, statement):
    assert word(subject, **statement) == "supported"


@pytest.mark.parametrize(("subject", "statement"), FALSE)
def test_a_value_that_no_fact_of_its_key_has_is_contradicted(subject, statement):
    assert word(subject, **statement) == "contradicted"


@pytest.mark.parametrize(("subject", "statement"), DIFFERENT)
def test_a_score_of_an_unstated_key_differs_and_is_not_convicted(subject, statement):
    assert word(subject, **statement) == "differs"


def test_a_protocol_that_the_record_lacks_is_no_public_record():
    result = found("v3", **percent("mmlu", "87.0", release="V3-Base", protocol={"shots": "0"}))
    assert result.verdict == "no_public_record"
    assert any(line.startswith("no record of this release or protocol") for line in result.working)


def test_a_plan_is_not_compared_with_the_present():
    planned = {"quantity": "active-experts", "printed": "4", "exact": True, "unit": "experts"}
    assert word("r1", **planned, conditions={"when": "planned"}) == "na"


@pytest.mark.parametrize("fact", KNOWN, ids=lambda fact: fact.id)
def test_each_fact_supports_a_claim_of_its_words(fact):
    """With its whole key; and without release and protocol it is never contradicted."""
    statement = {key: getattr(fact, key) for key in KEYS if key in fact.model_fields_set}
    for subject in fact.subject:
        assert word(subject, **statement) == "supported"
        unkeyed = {key: value for key, value in statement.items() if key not in {"release", "protocol"}}
        assert word(subject, **unkeyed) == "supported"


def test_every_fact_names_its_place():
    """Facts of files of a repository at a pinned revision have the line, or say where it is."""
    for fact in KNOWN:
        pinned = [name for name in fact.source if RECORD.sources[name].revision and "readme" in name]
        assert not pinned or fact.line or fact.where or fact.note, fact.id


def test_what_was_not_read_is_not_absent():
    for fact in RECORD.facts:
        if fact.state == "absent":
            assert "not read" not in (fact.note or ""), fact.id


ACQUITTED = """\
document: {id: t, title: T}
claims:
- {id: T-1, says: V3 has 1.3 billion parameters., subject: v3, quantity: parameters, printed: "1.3", times: 1e9,
   unit: parameters, record: {facts: [v3-parameters], judged: JUDGED, why: I say so.}}
- {id: T-2, says: V3 is the best., subject: v3, record: {facts: [v3-mmlu], judged: JUDGED, why: I say so.}}
"""


@pytest.mark.parametrize("judged", ["supported", "partially_supported", "contradicted", "no_public_record"])
def test_a_file_can_neither_acquit_nor_convict_itself(tmp_path, judged):
    path = tmp_path / "t.yaml"
    path.write_text(ACQUITTED.replace("JUDGED", judged))
    result = evals.check([path], paper=True, out=tmp_path / "out")
    assert [assessment.headline for assessment in result.assessments] == [
        "contradicted_by_public_record", "not_testable_here",
    ]  # fmt: skip
    written = json.loads((tmp_path / "out" / "claims.json").read_text())["claims"]
    assert [claim["judged"] for claim in written] == [judged, judged]
    lines = [line for claim in written for line in claim["working"]]
    assert any(line.startswith("judged by hand, which decides nothing:") and "I say so." in line for line in lines)


def test_what_is_said_beyond_the_statements_is_not_supported(tmp_path):
    path = tmp_path / "t.yaml"
    claim = 'id: T-1, says: x, subject: v3, quantity: layers, exact: true, printed: "61", unit: layers'
    path.write_text(f"document: {{id: t, title: T}}\nclaims:\n- {{{claim}, beyond: all of them are fast}}\n")
    (assessment,) = evals.check([path], paper=True).assessments
    assert assessment.headline == "partially_supported"


SCORES = """\
document: {{id: {id}, title: T, subjects: {{s: {{name: S}}}}}}
claims:
- {{id: {letter}-1, says: x, subject: s, quantity: mmlu, printed: "{digits}", unit: percent{more}}}
"""


@pytest.mark.parametrize(
    ("first", "second", "more", "expected"),
    [
        ("89.2", "87.5", "", "differs"),
        ("89.2", "89.2", "", "agrees"),
        ("89.2", "80.1", "", "contradicted_by_other_document"),
        ("89.2", "87.5", ", protocol: {shots: '5'}", "contradicted_by_other_document"),
    ],
)
def test_documents_have_the_same_margin_as_the_record_and_runs(tmp_path, first, second, more, expected):
    paths = []
    for id, digits in (("p", first), ("q", second)):
        paths.append(tmp_path / f"{id}.yaml")
        paths[-1].write_text(SCORES.format(id=id, letter=id.upper(), digits=digits, more=more))
    result = evals.check(paths, paper=True)
    assert {assessment.cross_document.verdict for assessment in result.assessments} == {expected}


def test_protocols_that_differ_are_not_compared(tmp_path):
    paths = []
    for id, digits, shots in (("p", "89.2", "0"), ("q", "60.1", "5")):
        paths.append(tmp_path / f"{id}.yaml")
        more = f", protocol: {{shots: '{shots}'}}"
        paths[-1].write_text(SCORES.format(id=id, letter=id.upper(), digits=digits, more=more))
    assert {entry.cross_document.verdict for entry in evals.check(paths, paper=True).assessments} == {"na"}
