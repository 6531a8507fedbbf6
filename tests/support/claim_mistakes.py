"""A claims file, and variants of it with one mistake each."""
# ruff: noqa: E501

from __future__ import annotations

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

MISTAKES = {
    "a misspelt key": ('printed: "78.3"', 'printd: "78.3"', 8, "no key is named 'printd'; did you mean 'printed'"),
    "a misspelt group": ("claims:", "claim:", 2, "no key is named 'claim'; did you mean 'claims'"),
    "a missing key": ("says: VL's error rate is 23 % below V3's\n  ", "", 17, "B-18 lacks 'says'"),
    "a key given twice": ("kind: quality", "unit: percent", 9, "'unit' is given twice"),
    "an unknown subject": ("subject: vl\n", "subject: vll\n", 6, "no subject is named 'vll'; did you mean 'vl'"),
    "an unknown metric": ("accuracy}\n- id: B-60", "acuracy}\n- id: B-60", 10, "no metric of vqa is named 'acuracy'; did you"),
    "an unknown task": ("vqa, metric: accuracy}\n- id: B-60", "vqaa, metric: accuracy}\n- id: B-60", 10, "did you mean 'vqa'"),
    "an unknown unit": ("percent\n  measure", "percents\n  measure", 9, "no unit is named 'percents'; did you mean 'percent'"),
    "an unknown quantity": ("kind: quality", "quantity: vqa-acc", 7, "no quantity is named 'vqa-acc'; did you mean 'vqa-accuracy'"),
    "an unknown claim": ("100 - B-60) - ", "100 - B-61) - ", 21, "no claim is named 'B-61'; did you mean 'B-60'"),
    "an unknown fact": ("kind: quality", "record: {facts: [r1-layer]}", 7, "no fact is named 'r1-layer'; did you mean 'r1-layers'"),
    "an unknown baseline": ("baseline: v3}", "baseline: v33}", 22, "no subject is named 'v33'; did you mean 'v3'"),
    "an unknown relation": ("error-reduction", "error-reduced", 22, "relation: no word is 'error-reduced'; did you mean"),
    "an unknown unit in an expression": ("kind: quality", "derive: B-60 * 2 byt", 7, "no unit is named 'byt'; did you mean 'bytes'"),
    "a repeated id": ("- id: B-60", "- id: B-59", 11, "B-59 is the id of two claims; the first is at "),
    "an id in small letters": ("- id: B-18", "- id: b18", 17, "id: 'b18' is not an id"),
    "a comma for a point": ('78.3"\n', '78,3"\n', 8, "printed: '78,3' is not a number; write its digits alone"),
    "a number without its unit": ("unit: percent\n  derive", "derive", 19, "gives '23' without a 'unit'"),
    "a relation without a baseline": (", baseline: v3", "", 22, "relation 'error-reduction' needs a 'baseline'"),
    "a reading without a baseline": ("kind: quality", "readings: [{says: x, relation: ratio}]", 3, "'measure' needs a 'baseline'"),
    "an unknown claim in a reading": ("kind: quality", "readings: [{says: x, derive: B-61}]", 7, "no claim is named 'B-61'; did you mean 'B-60'"),
    "an unknown unit of a reading": ("kind: quality", "readings: [{says: x, printed: '3', unit: percents}]", 7, "no unit is named 'percents'"),
    "an unknown unit of a check": ("kind: quality", "checks: [{says: x, right: B-60, unit: percents}]", 7, "no unit is named 'percents'"),
    "a bracket that is not closed": ("- (100 - B-59)) /", "- (100 - B-59) /", 21, "a bracket is not closed"),
    "a call of something else": ("kind: quality", "derive: exec(B-60)", 7, "'exec' is not a function; known: exact, max, min, sqrt"),
    "Python in an expression": ("kind: quality", "derive: __import__('os')", 7, "is not a number, claim, fact or operator"),
    "an object of Python": ("kind: quality", "note: !!python/name:os.system x", 7, "cannot be read"),
    "a date that does not exist": ("2025-09-25", "2025-13-25", 1, "'2025-13-25' cannot be read: month must be in 1..12"),
    "a bracket of YAML": ("language: zh}", "language: zh", 2, "no YAML: did not find expected ',' or '}'"),
    "a tab": ("kind: quality", "\tkind: quality", 7, "no YAML: found a tab character"),
    "testable and not": ("kind: quality", "untestable: {reason: plan, why: x}", 3, "can't be both"),
    "a judgement without a reason": ("kind: quality", "record: {facts: [r1-layers], judged: supported}", 7, "needs its 'why'"),
    "a word where a list was expected": ("kind: quality", "readings: three", 7, "readings: 'three' where a list was expected"),
    "a claim that is a word": ("claims:\n", "claims:\n- B-1\n", 3, "claims, entry 1: 'B-1' where a mapping of keys and values was expected"),
    "no claims": ("claims:", "claims: []\nnotes:", 2, "claims"),
    "itself within itself": ("kind: quality", "note: &a [*a]", 7, "nested more than 24 deep"),
}  # fmt: skip
"""What was there, what is written instead, the line that is named, and words of the message."""
