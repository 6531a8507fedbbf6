"""Claims as data: what a file may say, and how each mistake is named."""

from __future__ import annotations

import pytest

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
