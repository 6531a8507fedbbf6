"""The two bundled documents: every row of arithmetic, every contradiction, and the facts that can be counted here.

The rows and the contradictions are those of a reading by hand (`ANALYSIS.md`, sections 2 and 2.1), which knew nothing
of this code, as amended by its section 4.5: where a way out exists the word is `open`, a value that is only computed is
compared with nothing, and two statements contradict each other only if they cannot both be true. Where a verdict
differs from that reading, the claim's note or the comment here says why.
"""

from __future__ import annotations

import pytest

import evals
from evals.reports.claims.verdicts import CONVICTIONS, PLAIN_WORDS, PRECEDENCE, headline, plain

CONSISTENT, NOMINAL = "consistent", "nominally_inconsistent"
INTERNAL, OPEN, NOTHING = "internally_inconsistent", "open", "na"

ROWS = [
    # row, {claim: what its arithmetic says}, words of the working
    (1, {"B-18": NOMINAL}, ["22.22 %", "21.9 to 22.54 %", "22.5 to 23.5 %", "0.8 % of the values that round"]),
    (2, {"B-24": INTERNAL}, ["1.846", "1.824 to 1.868", "1.741 to 1.96", "1.643 to 2.083", "40 ms", "30 ms"]),
    (3, {"B-23": CONSISTENT}, ["96.52 %", "96.41 to 96.63 %"]),
    (4, {"B-61": CONSISTENT}, ["6.2 pp", "8.599 %", "n = 371"]),
    (5, {"B-57": NOTHING}, ["1.7 points", "z = 1.11", "n = 872 (not significant", "5,587"]),
    (6, {"A-32": NOTHING}, ["z = 1.63", "n = 872 (not significant", "n = 1,265", "2,584"]),
    (7, {"A-33": NOTHING}, ["z = 4.04", "n = 5,463 (significant"]),
    (8, {"A-22": NOTHING}, ["1.5 × (1.353 to 1.667"]),
    (9, {"A-26": CONSISTENT}, ["2.133 × (2.032"]),
    (10, {"B-66": NOTHING, "B-67": NOTHING}, ["2.333 (2.32 to 2.347", "2.615"]),
    (11, {"A-36": CONSISTENT}, ["2.6 GB", "21.67 %"]),
    (12, {"A-37": OPEN}, ["35 GB", "8.229 bit", "a way out: With 8-bit weights", "17.5 GB", "offloaded"]),
    (13, {"A-38": OPEN}, ["30 GB (28.93 to 31.09 GB", "48.57 %", "21 GB"]),
    (14, {"A-39": OPEN, "A-13": INTERNAL}, ["64 experts; equal to A-62 = 8 experts"]),
    (15, {"A-53": OPEN}, ["18 GB", "40 GB"]),
    (16, {"A-20": OPEN}, ["1280 token", "1.306 s", "1.712 s", "3328 GB/s", "0.6529 s", "0.7461 s", "8.533 ms"]),
    (17, {"A-21": OPEN}, ["2.197 s", "1.099 s", "1.441 s", "17.58 s"]),
    (18, {"A-47": NOTHING}, ["640 token"]),
    (19, {"A-48": NOTHING, "A-49": NOTHING}, []),
    (20, {"A-08": INTERNAL}, ["37,804,032", "75,608,064", "1967"]),
    (21, {"A-13": INTERNAL}, ["16,842,816", "202.1 million"]),
    (22, {"A-18": CONSISTENT}, ["2048 dimensions"]),
    (23, {"B-70": OPEN}, ["26 GB", "a way out: With 8-bit weights", "13 GB"]),
    (24, {"B-71": INTERNAL}, ["6.5 GB", "4 GB", "3.25 GB", "= 2 (1.977"]),
    (25, {"B-79": INTERNAL, "B-80": INTERNAL}, ["4 (3.706 to 4.333", "0.9846 bit", "3.938 bit", "1.6 billion"]),
    (26, {"B-65": NOTHING}, ["12.75 ms", "9.411", "7.177", "18.82", "14.35", "1440"]),
    (27, {"B-68": NOTHING}, ["3.188 ms", "20.39", "15.55"]),
    (28, {"B-31": NOTHING}, ["9501", "8817"]),
    (29, {"B-32": NOTHING, "B-36": NOTHING, "B-44": NOTHING}, ["3.846", "0.8824", "3.077", "296", "405"]),
    (30, {"B-62": OPEN, "B-63": NOTHING, "B-64": OPEN}, ["12.5 %", "55 pp", "558.3 %", "5000 interactions", "B-47"]),
    (31, {"B-81": CONSISTENT}, ["0.8 GB", "8 GB", "0.5078 s"]),
    (32, {"A-60": CONSISTENT}, ["A-10 = 64 experts", "A-62 = 8 experts"]),
    (33, {"A-41": NOTHING}, ["41,698", "85,197"]),
    (34, {"A-28": CONSISTENT, "A-29": CONSISTENT, "B-55": CONSISTENT, "B-56": CONSISTENT, "B-58": CONSISTENT},
     ["91.5 % is 798 of 872", "91.5 % is no whole number of 277", "86.1 % is no whole number of 408"]),
]  # fmt: skip

CONTRADICTIONS = {
    1: "A-05 B-10", 2: "A-14 B-11 B-12 B-13 B-34 B-37 B-60", 4: "A-11 B-05",
}  # fmt: skip
"""Groups of claims of two documents that cannot all be true, by their number in the reading by hand."""
DIFFERENCES = {9: "A-29 B-55", 10: "A-28 B-56", 21: "A-32 B-55"}
"""Groups of scores that lie apart by no more than two protocols do."""
NOTES = {
    8: "A-04 B-31", 11: "A-37 B-70", 13: "A-51 B-82 B-83", 14: "A-50 A-40 B-33 B-72 B-95", 15: "A-43 B-73",
    16: "A-47 B-72", 17: "A-55 B-77", 18: "A-18 B-35", 20: "A-53 B-65 B-70",
}  # fmt: skip
"""Groups that the reading called contradictions (20 was missed there) and that can all be true: one value stated of two
systems, advice for two uses, a bound beside a value."""
APART = {
    3: "A-04 B-34 B-35", 5: "A-20 A-21 A-22 B-65 B-66", 6: "A-17 A-57 A-58 B-06 B-32", 7: "A-15 A-16 A-18 B-30",
    12: "A-56 B-10 B-02", 19: "A-59 B-90", 22: "A-34 B-11", 23: "A-06 B-37",
}  # fmt: skip
"""Groups that the reading called contradictions and that are not compared any more: an encoder of an encoder-decoder
may have two streams; each document times another model on images; two systems may each owe something to the other;
sequences in all and on one device; a focus on text excludes no images; a decoder may have encoders beside it; an empty
cell may mean "not measured"; "mainly" leaves room."""


@pytest.fixture(scope="module")
def checked():
    return evals.check(paper=True)


@pytest.fixture(scope="module")
def assessments_by_id(checked):
    return {assessment.claim.id: assessment for assessment in checked.assessments}


@pytest.mark.parametrize(("row", "expected", "words"), ROWS, ids=[f"row-{row}" for row, _, _ in ROWS])
def test_arithmetic(assessments_by_id, row, expected, words):
    assert {id: assessments_by_id[id].arithmetic.verdict for id in expected} == expected
    working = "\n".join(line for id in expected for line in assessments_by_id[id].arithmetic.working)
    for text in words:
        assert text in working, f"row {row}: {text!r} is not in\n{working}"


def test_every_row_is_there():
    assert [row for row, _, _ in ROWS] == list(range(1, 35))


def linked(pairs, ids):
    """Return those of a group's claims that are in a pair within the group."""
    return {id for pair in pairs if (names := {pair.first.by, pair.second.by}) <= ids for id in names}


@pytest.mark.parametrize("number", CONTRADICTIONS)
def test_contradictions_between_documents_are_found_by_rule(checked, number):
    ids = set(CONTRADICTIONS[number].split())
    assert linked(checked.conflicts, ids) == ids


@pytest.mark.parametrize("number", NOTES)
def test_statements_that_can_both_be_true_are_notes(checked, number):
    ids = set(NOTES[number].split())
    assert linked(checked.notes, ids) == ids
    assert not linked(checked.conflicts, ids)


@pytest.mark.parametrize("number", DIFFERENCES)
def test_scores_within_the_margin_of_protocols_differ(checked, assessments_by_id, number):
    ids = set(DIFFERENCES[number].split())
    assert linked(checked.differences, ids) == ids
    assert {assessments_by_id[id].headline for id in ids} == {"differs"}


@pytest.mark.parametrize("number", APART)
def test_statements_about_different_things_are_not_compared(checked, number):
    assert not linked((*checked.conflicts, *checked.notes), set(APART[number].split()))


def test_a_note_is_no_contradiction_of_a_claim(checked, assessments_by_id):
    """A latency is not contradicted by the advice to use another model, nor 60 layers by another model's 60."""
    for pair in checked.notes:
        for assertion, other in ((pair.first, pair.second), (pair.second, pair.first)):
            conflicts = {id for entry in checked.conflicts if assertion.by in (ids := (entry.first.by, entry.second.by))
                         for id in ids}  # fmt: skip
            listed = set(assessments_by_id[assertion.by].contradicts)
            assert other.by not in listed or other.by in conflicts, pair.describe()


def test_what_the_documents_agree_on(checked):
    said = {(pair.quantity, frozenset((pair.first.by, pair.second.by))) for pair in checked.agreements}
    assert any(quantity == "quality-order" for quantity, _ in said)  # R1 over V3 on text classification, in sign only


def test_every_claim_has_one_verdict_by_the_precedence(checked):
    assert len(checked.assessments) == 160
    for assessment in checked.assessments:
        assert assessment.headline in PRECEDENCE
        assert assessment.plain == plain(assessment.headline)
        assert assessment.plain in PLAIN_WORDS
        assert assessment.headline == headline(assessment.vector)
        assert assessment.working or assessment.vector["public_record"] == "na"
    assert "supported" not in {assessment.arithmetic.verdict for assessment in checked.assessments}


def test_a_contradiction_marks_both_sides_and_says_which_one_the_record_supports(assessments_by_id):
    for id in ("A-14", "B-11"):
        assert assessments_by_id[id].cross_document.verdict == "contradicted_by_other_document"
    assert "the public record supports this side" in assessments_by_id["A-14"].cross_document.working
    assert assessments_by_id["B-11"].public_record.verdict == "contradicted"


def test_printed_values_that_can_both_be_true_are_no_contradiction(assessments_by_id):
    assert assessments_by_id["A-37"].cross_document.verdict == "na"
    assert "both can be true" in assessments_by_id["A-37"].cross_document.working[0]
    assert "B-70" not in assessments_by_id["A-37"].contradicts


def test_what_the_record_supports_is_supported(assessments_by_id):
    for id in ("A-06", "A-14", "A-34", "B-95"):
        assert assessments_by_id[id].headline == "supported", id
    assert assessments_by_id["A-14"].cross_document.verdict == "contradicted_by_other_document"


def test_checked_is_another_word_than_unchecked(assessments_by_id):
    assert assessments_by_id["A-26"].headline == "checked_and_consistent"
    assert assessments_by_id["A-24"].headline == "not_testable_here"


def test_the_words_are_those_of_the_contract():
    """DESIGN's plain words and convictions."""
    words = {word: [headline for headline in PRECEDENCE if plain(headline) == word] for word in PLAIN_WORDS}
    assert words["supported"] == ["supported", "partially_supported"]
    assert words["refuted"] == [
        "internally_inconsistent", "contradicted_by_public_record", "refuted", "physically_implausible",
    ]  # fmt: skip
    assert words["conflicting"] == ["contradicted_by_other_document", "nominally_inconsistent", "differs"]
    assert "open" in words["not_enough_evidence"]
    assert sorted(CONVICTIONS) == sorted([*words["refuted"], "contradicted_by_other_document"])


SIXTY = """\
document: {{id: {id}, title: T, subjects: {{v2: {{name: V2}}, vl: {{name: VL}}}}}}
claims:
- {{id: {letter}-1, says: it has 60 layers, subject: {subject}, quantity: layers, printed: "60", unit: layers}}
"""


def test_one_value_of_two_systems_convicts_none(tmp_path):
    """ "V2 has 60 layers" and "VL has 60 layers" can both be true."""
    paths = []
    for id, subject in (("p", "v2"), ("q", "vl")):
        paths.append(tmp_path / f"{id}.yaml")
        paths[-1].write_text(SIXTY.format(id=id, letter=id.upper(), subject=subject))
    result = evals.check(paths, paper=True)
    assert not result.conflicts
    assert [pair.rule for pair in result.notes] == ["attribution"]
    assert [assessment.cross_document.verdict for assessment in result.assessments] == ["na", "na"]


def test_derived_claims_inherit_the_worst_of_their_inputs(assessments_by_id):
    assert assessments_by_id["B-18"].inherits == "computed from B-60: contradicted by public record"
    assert assessments_by_id["B-18"].headline == NOMINAL


@pytest.mark.slow
def test_the_listings_do_what_the_working_says():
    """Rows 20 to 22 run the documents' own listings."""
    torch = pytest.importorskip("torch")
    attention = torch.nn.MultiheadAttention(512, 8)
    layer = [attention, torch.nn.Linear(512, 2048), torch.nn.Linear(2048, 512)]
    assert 12 * sum(p.numel() for part in layer for p in part.parameters()) == 37_804_032
    experts = [torch.nn.Linear(512, 512) for _ in range(64)]
    router = torch.nn.Linear(512, 64)
    assert sum(p.numel() for part in (*experts, router) for p in part.parameters()) == 16_842_816

    def forward(x):
        scores = torch.softmax(router(x), dim=-1)
        return sum(r * e for r, e in zip(scores, [expert(x) for expert in experts], strict=False))

    for shape in ((7, 512), (2, 7, 512)):
        with pytest.raises(RuntimeError, match=r"512"):
            forward(torch.zeros(shape))
    assert forward(torch.zeros(512)).shape == (512,)
    project = [torch.nn.Linear(512, 2048), torch.nn.Linear(2048, 2048)]
    attend = torch.nn.MultiheadAttention(2048, 8)
    assert sum(p.numel() for part in (*project, attend) for p in part.parameters()) == 22_032_384
    assert attend(torch.zeros(5, 2, 2048), torch.zeros(9, 2, 2048), torch.zeros(9, 2, 2048))[0].shape == (5, 2, 2048)
