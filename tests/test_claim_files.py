"""Claims as data: what a file may say, and how each mistake is named."""

from __future__ import annotations

import pytest
from conftest import CHECKOUT

from evals.errors import InputError
from reports import claim_files

DOCUMENT = """\
document: {id: b, title: From R1 to VL, date: 2025-09-25, language: zh}
claims:
- id: B-59
  quote: VL模型准确率达78.3%
  says: DeepSeek-VL scores 78.3 % on VQA 2.0
  subject: vl
  kind: quality
  printed: "78.3"
  unit: percent
  measure: {task: vqa, metric: accuracy}
- id: B-60
  says: DeepSeek-V3 scores 72.1 % on VQA 2.0
  subject: v3
  printed: 72.10
  unit: percent
  measure: {task: vqa, metric: accuracy}
- id: B-18
  says: VL's error rate is 23 % below V3's
  printed: "23"
  unit: percent
  derive: "((100 - B-60) - (100 - B-59)) / (100 - B-60)"
  measure: {task: vqa, metric: accuracy, relation: error-reduction, baseline: v3}
"""


@pytest.fixture
def load(tmp_path):
    """Loads a document given as text."""

    def loader(text, **options):
        path = tmp_path / "claims.yaml"
        path.write_text(text, encoding="utf-8")
        return claim_files.load(path, **options)

    return loader


def test_a_document_is_read(load):
    document = load(DOCUMENT)
    assert [claim.id for claim in document.claims] == ["B-59", "B-60", "B-18"]
    assert document.claim("B-60").printed == "72.10"  # digits are kept, quoted or not
    assert document.claim("B-18").subject == ("vl",)  # of what it is derived from, its baseline aside
    assert document.claim("B-59").measure.metric == "accuracy"


def test_a_mistake_is_named_with_its_line(load):
    with pytest.raises(InputError, match=r"claims.yaml:6: B-59 no subject is named 'vll'; did you mean 'vl'"):
        load(DOCUMENT.replace("subject: vl\n", "subject: vll\n"))


@pytest.mark.parametrize(("name", "count"), [("a", 65), ("b", 95)])
def test_the_documents_claims_are_all_there(name, count):
    document = claim_files.load(claim_files.FOLDER / f"{name}.yaml")
    assert [claim.id for claim in document.claims] == [f"{name.upper()}-{n:02}" for n in range(1, count + 1)]
    for claim in document.claims:
        assert claim.quote, claim.id
        tested = claim.measure or claim.checks or claim.derive or claim.record or claim.untestable
        by_record = any(
            fact.quantity == said.quantity and {*fact.subject} & {*said.subject}
            for said in claim.statements
            for fact in claim_files.load_record().facts
        )
        assert tested or by_record or claim.underspecified, f"{claim.id}: nothing could test it"


@pytest.mark.parametrize("name", ["a", "b"])
def test_quotes_are_the_documents_own_words(name):
    path = CHECKOUT.parent / "shared" / "documents" / f"{name}.txt"
    if not path.exists():
        pytest.skip(f"no document at {path}")
    text = path.read_text(encoding="utf-8")
    lines = text.splitlines()
    for claim in claim_files.load(claim_files.FOLDER / f"{name}.yaml").claims:
        assert claim.quote in lines[claim.line - 1], f"{claim.id}: {claim.quote!r} is not in line {claim.line}"
