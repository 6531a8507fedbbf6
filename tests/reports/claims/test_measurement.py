"""Claims against runs: only the described system decides, and a replica shows a direction."""

from __future__ import annotations

import numpy as np
import pytest
from run_folders import make, manifest, metric, row

import evals
from evals.errors import UnknownName
from evals.reports.claims import assessment
from evals.reports.claims.evidence import required_runs
from evals.reports.claims.evidence.required_runs import RequiredRun, RunOutcome
from evals.reports.claims.language import files
from evals.reports.claims.language.values import ValueTable
from evals.reports.runs import blind_control
from evals.reports.runs.blind_control import BlindControls
from evals.statistics import paired

HEAD = "document: {id: t, title: T, subjects: {one: {name: One, system: vl}, two: {name: Two, system: v3}}}\nclaims:\n"
VQA = "measure: {{task: vqa, metric: accuracy{}}}"
LEVEL = f'id: T-1, subject: one, printed: "78.3", unit: percent, {VQA.format("")}'
BETTER = "subject: one, implied: '0', unit: points, bound: above, " + VQA.format(
    ", relation: difference, baseline: two"
)


def run(tmp_path, name, right, *, replica=False, blind=False, low=None, high=None, **stated):
    """A finished run of samples that are right or wrong, each with its own image."""
    rows = [row(str(10 + n), float(value), cluster=f"image {n}") for n, value in enumerate(right)]
    share = float(np.mean(right))
    signed = manifest(blind=blind, scale="mini" if replica else "full")
    signed["model"] |= {"name": name, "replica": replica, "parameters": 3_000_000}
    entry = (
        metric(share, len(rows))
        | stated
        | {
            "low": share - 0.01 if low is None else low,
            "high": share + 0.01 if high is None else high,
        }
    )
    folder = tmp_path / f"{name}{'-blind' if blind else ''}"
    return make(folder, rows, {"accuracy": entry}, signed, n=len(rows), failed=0, unparsed=0)


def judge(tmp_path, claim, **outcomes):
    """Check one claim against outcomes by model name; the paper evidence is empty."""
    path = tmp_path / "t.yaml"
    path.write_text(f"{HEAD}- {{says: x, {claim}}}\n")
    document = files.load(path, subjects=["vl", "v3"])
    record, vocabulary = files.load_record(), files.load_vocabulary()
    paper = assessment.assess([document], record, vocabulary)
    known = {RequiredRun(name, "vqa"): outcome for name, outcome in outcomes.items()}
    stand = {"t": {"one": "vl", "two": "v3"}}
    checked = assessment.add_measurements(paper, known, stand, [ValueTable(document, record, vocabulary)])
    return checked.assessments[0]


def right(share, n=400):
    return [1] * round(share * n) + [0] * (n - round(share * n))


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(0.775, 0.79, "supported"), (0.60, 0.70, "refuted"), (0.74, 0.79, "inconclusive")],
)
def test_the_described_system_decides_a_level(tmp_path, low, high, expected):
    result = judge(tmp_path, LEVEL, vl=RunOutcome(run(tmp_path, "vl", right(0.78), low=low, high=high)))
    assert (result.measurement.verdict, result.subject_match, result.headline) == (expected, "exact", expected)
    assert any("2.5 points for the protocol" in line for line in result.working)
    assert any("minimum detectable difference" in line for line in result.working) == (expected == "inconclusive")


@pytest.mark.parametrize("share", [0.783, 0.1])
def test_a_replica_decides_no_level(tmp_path, share):
    result = judge(tmp_path, LEVEL, vl=RunOutcome(run(tmp_path, "vl", right(share), replica=True)))
    assert (result.measurement.verdict, result.subject_match) == ("unmeasured", "proxy")
    assert (result.measured[0].decision, result.measured[0].replica) == (None, True)
    assert any("no evidence of the level" in line for line in result.working)


@pytest.mark.parametrize(
    ("one", "two", "word", "direction"),
    [(0.9, 0.6, "unmeasured", "holds"), (0.6, 0.9, "unmeasured", "fails"), (0.8, 0.795, "inconclusive", "undecided")],
)
def test_a_replica_shows_a_direction(tmp_path, one, two, word, direction):
    result = judge(
        tmp_path,
        "id: T-1, " + BETTER,
        vl=RunOutcome(run(tmp_path, "vl", right(one), replica=True)),
        v3=RunOutcome(run(tmp_path, "v3", right(two), replica=True)),
    )
    assert (result.measurement.verdict, result.subject_match) == (word, "proxy")
    assert result.measured[0].direction == direction
    assert any(f"the direction {direction}" in line for line in result.working)


@pytest.mark.parametrize(
    ("bound", "digits", "one", "two", "decision", "direction"),
    [
        ("above", "0", 0.9, 0.8, "supported", "holds"),
        ("below", "0", 0.9, 0.8, "refuted", "fails"),
        ("below", "0", 0.8, 0.9, "supported", "holds"),
        ("at-least", "20", 0.9, 0.8, "refuted", "holds"),  # ahead, but not by so much
        ("at-most", "20", 0.9, 0.8, "supported", None),  # which leaves open who is ahead
        ("at-most", "-2", 0.9, 0.8, "refuted", "fails"),
        ("about", "0", 0.8, 0.8, "inconclusive", None),
    ],
)
def test_a_bound_is_compared_on_its_own_side(tmp_path, bound, digits, one, two, decision, direction):
    claim = "id: T-1, " + BETTER.replace("'0'", f"'{digits}'").replace("above", bound)
    runs = {"vl": one, "v3": two}
    for replica in (False, True):
        own = {
            name: RunOutcome(run(tmp_path / str(replica), name, right(each), replica=replica))
            for name, each in runs.items()
        }
        result = judge(tmp_path, claim, **own)
        assert result.measured[0].direction == direction
        assert result.measured[0].decision == (None if replica else decision)


def test_a_comparison_of_the_described_systems_is_decided_pairwise(tmp_path):
    outcomes = {
        "vl": RunOutcome(run(tmp_path, "vl", right(0.9))),
        "v3": RunOutcome(run(tmp_path, "v3", right(0.8))),
    }
    result = judge(tmp_path, "id: T-1, " + BETTER, **outcomes)
    assert (result.measurement.verdict, result.subject_match) == ("supported", "exact")
    assert result.measured[0].p == pytest.approx(2 / 2**40)  # 40 wins, no loss
    error = VQA.format(", relation: error-reduction, baseline: two")
    halved = judge(tmp_path, f'id: T-1, subject: one, printed: "50", unit: percent, {error}', **outcomes)
    assert halved.measured[0].value == pytest.approx(0.5)
    assert halved.measurement.verdict == "inconclusive"  # the interval is wider than the rounding of 50 %
    far = judge(tmp_path, f'id: T-1, subject: one, printed: "90", unit: percent, {error}', **outcomes)
    assert far.measurement.verdict == "refuted"


@pytest.mark.parametrize(("higher_is_better", "expected"), [(True, "supported"), (False, "refuted")])
def test_the_better_system_is_the_one_that_the_metric_says(tmp_path, higher_is_better, expected):
    claim = f"id: T-1, subject: one, {VQA.format(', relation: order, baseline: two')}"
    runs = {"vl": right(0.9), "v3": right(0.8)}
    outcomes = {
        name: RunOutcome(run(tmp_path, name, values, higher_is_better=higher_is_better))
        for name, values in runs.items()
    }
    assert judge(tmp_path, claim, **outcomes).measurement.verdict == expected


@pytest.mark.slow
def test_each_reading_is_a_hypothesis_of_its_own(tmp_path):
    readings = (
        'readings: [{says: "a share of the errors", relation: error-reduction}, {says: "points", relation: difference}]'
    )
    claim = f'id: T-1, subject: one, printed: "30", unit: percent, {readings}, '
    claim += VQA.format(", relation: error-reduction, baseline: two")
    result = judge(
        tmp_path, claim,
        vl=RunOutcome(run(tmp_path, "vl", right(0.6, 4000))), v3=RunOutcome(run(tmp_path, "v3", right(0.3, 4000))),
    )  # fmt: skip
    assert [each.relation for each in result.measured] == ["error-reduction", "difference"]
    assert [round(each.value, 3) for each in result.measured] == [0.429, 0.3]
    assert result.measurement.verdict == "inconclusive"  # refuted in one reading, open in the other


def test_images_that_make_no_difference_are_reported(tmp_path):
    seen, unseen = run(tmp_path, "vl", right(0.783)), run(tmp_path, "vl", right(0.78), blind=True)
    result = judge(tmp_path, LEVEL, vl=RunOutcome(seen, unseen))
    assert result.headline == "modality_not_demonstrated"
    assert any("blind control 78.00 %" in line for line in result.working)
    sighted = judge(tmp_path, LEVEL, vl=RunOutcome(seen, run(tmp_path, "vl", right(0.3), blind=True)))
    assert sighted.headline == "supported"


def test_not_run_failed_and_undecided_have_different_words(tmp_path):
    words = [
        judge(tmp_path, LEVEL).measurement.verdict,
        judge(tmp_path, LEVEL, vl=RunOutcome(why="the run failed: out of memory", failed=True)).measurement.verdict,
        judge(tmp_path, LEVEL, vl=RunOutcome(run(tmp_path, "vl", right(0.78), low=0.7, high=0.9))).measurement.verdict,
    ]
    assert words == ["unmeasured", "error", "inconclusive"]


def test_a_stand_in_is_named_as_one(tmp_path):
    result = judge(tmp_path, LEVEL, vl=RunOutcome(run(tmp_path, "vl", right(0.783)), proxy="a smaller model"))
    assert (result.measurement.verdict, result.subject_match) == ("unmeasured", "proxy")
    by_task = LEVEL.replace("metric: accuracy", "metric: accuracy, proxy: another task")
    assert judge(tmp_path, by_task, vl=RunOutcome(run(tmp_path, "vl", right(0.783)))).subject_match == "proxy"


def test_a_namesake_of_other_size_is_not_the_described_system(tmp_path):
    path = tmp_path / "t.yaml"
    size = '- {id: T-2, says: y, subject: vl, kind: size, quantity: parameters, printed: "34", times: 1e9'
    size += ", unit: parameters}"
    path.write_text("document: {id: t, title: T}\nclaims:\n- {says: x, " + LEVEL.replace("one", "vl") + f"}}\n{size}\n")
    document = files.load(path)
    record, vocabulary = files.load_record(), files.load_vocabulary()
    paper = assessment.assess([document], record, vocabulary)
    outcome = {RequiredRun("vl", "vqa"): RunOutcome(run(tmp_path, "vl", right(0.783)))}
    result = assessment.add_measurements(paper, outcome, {"t": {}}, [ValueTable(document, record, vocabulary)])
    first = result.assessments[0]
    assert (first.subject_match, first.measurement.verdict) == ("same_name_different_spec", "unmeasured")
    assert any("the public model of that name was run, not the described system" in line for line in first.working)


def test_comparisons_of_a_document_are_corrected_together(tmp_path):
    path = tmp_path / "t.yaml"
    pairs = "".join(f"- {{id: T-{n}, says: x, {BETTER}}}\n" for n in range(1, 6))
    path.write_text(HEAD + pairs)
    document = files.load(path, subjects=["vl", "v3"])
    record, vocabulary = files.load_record(), files.load_vocabulary()
    paper = assessment.assess([document], record, vocabulary)
    # 12 wins against 3 losses: p = 0.035 alone, 0.18 among five
    ours, theirs = [1] * 12 + [0] * 3 + [1] * 100, [0] * 12 + [1] * 3 + [1] * 100
    outcomes = {
        RequiredRun("vl", "vqa"): RunOutcome(run(tmp_path, "vl", ours)),
        RequiredRun("v3", "vqa"): RunOutcome(run(tmp_path, "v3", theirs)),
    }
    stand = {"t": {"one": "vl", "two": "v3"}}
    result = assessment.add_measurements(paper, outcomes, stand, [ValueTable(document, record, vocabulary)])
    for each in result.assessments:
        assert each.measured[0].p == pytest.approx(0.03515625)
        assert each.measured[0].p_holm == pytest.approx(5 * 0.03515625)
        assert each.measurement.verdict == "inconclusive"
        assert any("Holm" in line for line in each.working)


def judge_all(tmp_path, claims, **outcomes):
    """Check the claims of one document; returns the assessments by the number of the claim."""
    path = tmp_path / "t.yaml"
    path.write_text(HEAD + "".join(f"- {{id: T-{n}, says: x, {claim}}}\n" for n, claim in enumerate(claims)))
    document = files.load(path, subjects=["vl", "v3"])
    record, vocabulary = files.load_record(), files.load_vocabulary()
    paper = assessment.assess([document], record, vocabulary)
    known = {RequiredRun(name, "vqa"): outcome for name, outcome in outcomes.items()}
    stand, tables = {"t": {"one": "vl", "two": "v3"}}, [ValueTable(document, record, vocabulary)]
    return assessment.add_measurements(paper, known, stand, tables).assessments


DIFFERENCE = VQA.format(", relation: difference, baseline: two")
DECIDED_BY_INTERVAL = {
    f"subject: one, implied: '0', unit: points, bound: about, margin: '20', {DIFFERENCE}": "supported",
    f"subject: one, implied: '0', unit: points, bound: about, margin: '0.1', {DIFFERENCE}": "refuted",
    f"subject: one, implied: '25', unit: points, bound: at-most, {DIFFERENCE}": "supported",
    f"subject: one, printed: '50', unit: points, {DIFFERENCE}": "refuted",
}
"""Claims of a size, and what the runs below decide; whether the systems differ at all is another hypothesis."""


def fifteen_discordant(tmp_path):
    """12 wins against 3 losses among 115: p = 0.035 alone, and a difference of 7.8 points."""
    ours, theirs = [1] * 12 + [0] * 3 + [1] * 100, [0] * 12 + [1] * 3 + [1] * 100
    return {
        "vl": RunOutcome(run(tmp_path, "vl", ours)),
        "v3": RunOutcome(run(tmp_path, "v3", theirs)),
    }


@pytest.mark.parametrize("claim", DECIDED_BY_INTERVAL)
def test_a_p_value_never_overwrites_a_decision_from_an_interval(tmp_path, claim):
    (alone,) = judge_all(tmp_path, [claim], **fifteen_discordant(tmp_path))
    checked, *orders = judge_all(tmp_path, [claim, BETTER, BETTER, BETTER], **fifteen_discordant(tmp_path))
    assert alone.measurement.verdict == checked.measurement.verdict == DECIDED_BY_INTERVAL[claim]
    assert checked.measured[0].p_holm == pytest.approx(4 * 0.03515625)
    assert any("decided by its interval, which is not corrected" in line for line in checked.working)
    assert [order.measurement.verdict for order in orders] == ["inconclusive"] * 3
    assert not any("decided by its interval" in line for order in orders for line in order.working)


def test_every_reading_is_corrected_and_readings_of_one_test_count_once(tmp_path):
    """Two relations of one claim are two tests; two bounds on one relation are one, whatever their order."""
    unclear = (
        "subject: one, implied: '0', unit: points, bound: above, readings: [{says: points, relation: difference}, "
        "{says: a share of the errors, relation: error-reduction}, {says: points again, relation: difference}], "
    ) + DIFFERENCE
    (result,) = judge_all(tmp_path, [unclear], **fifteen_discordant(tmp_path))
    assert [row.p for row in result.measured] == [pytest.approx(0.03515625)] * 3
    assert [row.p_holm for row in result.measured] == [pytest.approx(2 * 0.03515625)] * 3
    assert [row.decision for row in result.measured] == ["inconclusive"] * 3
    assert sum("corrected for 2 comparisons of the document" in line for line in result.working) == 1
    (plain,) = judge_all(tmp_path, [BETTER], **fifteen_discordant(tmp_path))
    assert plain.measurement.verdict == "supported"


@pytest.mark.parametrize("blind_share", [0.3, 0.75, 0.78, 0.8])
def test_reports_and_claims_judge_a_blind_control_alike(tmp_path, blind_share):
    seen, unseen = run(tmp_path, "vl", right(0.783)), run(tmp_path, "vl", right(blind_share), blind=True)
    (sentence,) = BlindControls().among([seen, unseen])
    claimed = judge(tmp_path, LEVEL, vl=RunOutcome(seen, unseen))
    shown = sentence.startswith("The model uses the images")
    assert shown == (claimed.headline != "modality_not_demonstrated")
    assert any(sentence in line for line in claimed.working) == (not shown)
    verdict = blind_control.compare(seen, unseen)
    values, alone = (np.array(right(share), float) for share in (0.783, blind_share)), [str(n) for n in range(400)]
    estimate = paired.difference(*values, alone)
    assert (verdict.p, verdict.low, verdict.high) == (estimate.p_value(), *estimate.interval())


def test_underspecified_claims_stay_underspecified(tmp_path):
    result = judge(tmp_path, LEVEL + ", underspecified: the split", vl=RunOutcome(run(tmp_path, "vl", right(0.783))))
    assert result.measurement.verdict == "underspecified"
    assert any("left open: the split" in line for line in result.working)


def test_required_runs_are_those_of_the_subject_and_the_baseline(tmp_path):
    path = tmp_path / "t.yaml"
    path.write_text(f"{HEAD}- {{id: T-1, says: x, {BETTER}}}\n")
    claim = files.load(path, subjects=["vl", "v3"]).claims[0]
    assert required_runs.required_runs(claim, {"one": "vl"}) == [RequiredRun("vl", "vqa"), RequiredRun("two", "vqa")]


# Real outputs


@pytest.mark.slow
def test_a_real_claim_is_settled_on_real_outputs(shared_data, tmp_path, monkeypatch):
    """Cobbe et al. 2021: "6B verification slightly outperforms a finetuned 175B model", on their published outputs."""
    monkeypatch.chdir(tmp_path)
    folder = shared_data / "gsm8k" / "recorded"
    systems = {name: f"replay:{folder / name}.jsonl" for name in ("6b-verification", "175b-finetuning")}
    document = files.FOLDER / "gsm8k-verifiers.yaml"
    result = evals.check([document], data=shared_data / "gsm8k", systems=systems)
    first, *others = result.assessments
    assert (first.claim.id, first.headline, first.subject_match) == ("G-01", "supported", "exact")
    lead = first.measured[0]
    assert lead.n == 1319
    assert lead.value == pytest.approx(0.0432, abs=5e-4)
    assert 0 < lead.low < lead.value < lead.high < 0.08
    assert lead.p == pytest.approx(0.0032, abs=3e-4)
    assert {each.measurement.verdict for each in others if each.claim.measure} == {"unmeasured"}


def test_a_system_for_an_unknown_subject_is_refused():
    with pytest.raises(UnknownName, match="no subject is named '6b'"):
        evals.check(systems={"6b": "vl"}, paper=True)
