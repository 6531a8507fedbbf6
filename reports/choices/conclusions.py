"""Say the outcome of a selection in sentences that can be quoted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from evals.errors import counted
from evals.reports.choices.differences import CostRatio, QualityDifference
from evals.reports.choices.requirements import COSTS, LATENCY, MEMORY, PRICE, measured
from evals.reports.choices.selection import JudgedCandidate, Selection
from evals.reports.claims.evidence.chance import chance_level
from evals.reports.rendering.formatting import amount
from evals.reports.runs import naming
from evals.reports.runs.blind_control import BlindControls
from evals.reports.runs.conclusion import points

CHEAPER = {PRICE: "cheaper", LATENCY: "faster", MEMORY: "smaller in memory"}
_LEAST_GAIN = 1.05
"""Smallest factor by which a cost is lower that the sentences mention."""


def sentences(selection: Selection) -> list[str]:
    """Say which model to choose, what ties with it, and what would be cheaper; or which requirement excludes all."""
    if selection.chosen is None:
        return list(_nothing(selection))
    return [_choice(selection, selection.chosen), *_others(selection)]


def cautions(selection: Selection) -> list[str]:
    """Say what a reader must know before relying on the choice: guessing, and samples without an output."""
    texts = []
    for judged in selection.candidates:
        for task, run in judged.candidate.runs.items():
            level = chance_level(run, selection.headlines[task])
            if level is not None and not judged.excluded:
                texts.append(f"{judged.name} is not shown to be better than guessing on {task} ({100 * level:.1f} %).")
        if judged.candidate.failed:
            failed = counted(judged.candidate.failed, "sample")
            texts.append(f"{failed} of {judged.name} have no output; they count as wrong.")
    return texts


def about(selection: Selection) -> str:
    """Say which scale, checkpoints and data a selection is about; of replicas, that the choice is one of replicas."""
    records = list({record.manifest.signature: record for record in selection.records}.values())
    text = naming.about(records, BlindControls().among(records))
    if any(record.manifest.replica for record in records):
        text += " The choice is one among replicas."
    return text


def quality_name(selection: Selection) -> str:
    """Name what the quality is.

    A mean of several headlines is named as such.
    """
    names = [f"{task} {selection.headlines[task]}" for task in selection.criteria.tasks]
    return names[0] if len(names) == 1 else f"mean of {' and '.join([', '.join(names[:-1]), names[-1]])}"


def quality(judged: JudgedCandidate) -> str:
    """Print the quality of a candidate: its headline with the interval, or the mean of several."""
    values = list(judged.candidate.quality.values())
    if len(values) == 1:
        return measured(values[0])
    unit = "fraction" if {value.unit for value in values} == {"fraction"} else "coefficient"
    return "not measured" if judged.mean is None else amount(judged.mean, unit)


def _choice(selection: Selection, chosen: JudgedCandidate) -> str:
    eligible = sum(not judged.excluded for judged in selection.candidates)
    if eligible == 1:
        excluded = len(selection.candidates) - 1
        only = "the only candidate" if not excluded else f"the only one of {excluded + 1} candidates that fits"
        return f"Choose {chosen.name}: it is {only} ({quality_name(selection)} {quality(chosen)})."
    fits = "that keep every requirement" if selection.requirements else "that are measured"
    return (
        f"Choose {chosen.name}: of {eligible} candidates {fits} it has the best {quality_name(selection)}, "
        f"{quality(chosen)}."
    )


def _others(selection: Selection) -> Iterator[str]:
    """Say of each other candidate that can be chosen how it differs from the chosen one."""
    corrected = sum(
        difference.adjusted is not None for judged in selection.candidates for difference in judged.differences
    )
    for judged in selection.candidates:
        if not judged.differences:
            continue
        gains = _costs(judged.ratios, "better")
        if judged.ties and any(difference.low is None for difference in judged.differences):
            gaps = ", ".join(f"{difference.text} on {difference.task}" for difference in judged.differences)
            yield f"{judged.name} is not shown to differ ({gaps}); without an interval, no limit is known."
            continue
        if judged.ties:
            within = f"{_within(judged.differences)}{_and(gains)}"
            yield f"{judged.name} is as good within {within}: no difference of quality is shown."
            continue
        gaps = ", ".join(_gap(difference) for difference in judged.differences)
        if gains:
            yield f"{judged.name} would be {gains} at {gaps}."
        elif any(difference.shown == "untested" for difference in judged.differences):
            yield f"{judged.name} has {gaps}; no test is possible."
        elif {"better", "worse"} <= {difference.shown for difference in judged.differences}:
            yield f"{judged.name} has {gaps}: better in one, worse in another."
        elif any(difference.shown == "better" for difference in judged.differences):
            yield f"{judged.name} has {gaps}: better in one, and not shown to be worse in another."
    if corrected > 1:
        yield f"The p-values of {corrected} comparisons with the chosen one are corrected by Holm's method."


def _within(differences: Sequence[QualityDifference]) -> str:
    """Return the largest loss that the intervals allow, with its interval; no difference was shown in any task."""
    texts = []
    for difference in differences:
        where = f" on {difference.task}" if len(differences) > 1 else ""
        loss = difference.value if difference.low is None else difference.low
        texts.append(f"{points(abs(min(loss, 0.0)), difference.unit)}{where}")
    return " and ".join(texts)


def _gap(difference: QualityDifference) -> str:
    shown = {"neither": ", not shown to differ", "untested": ", untested"}.get(difference.shown, "")
    return f"{difference.text} on {difference.task}{shown}"


def _and(gains: str) -> str:
    return f", and {gains}" if gains else ""


def _costs(ratios: Sequence[CostRatio], shown: str) -> str:
    """Say by what factors a candidate is cheaper; of price and latency those that are shown."""
    texts = []
    for ratio in ratios:
        is_lower = ratio.value < 1 and (ratio.shown == shown or ratio.name == MEMORY or ratio.low is None)
        if is_lower and 1 / ratio.value >= _LEAST_GAIN:
            texts.append(f"{times(1 / ratio.value)[0]} times {CHEAPER[ratio.name]}{_spread(ratio)}")
    return " and ".join(texts)


def times(*factors: float) -> list[str]:
    """Print factors with as many decimals as the first needs.

    Example:
        >>> times(2.13), times(1.236, 0.9, 2.13)
        (['2.1'], ['1.24', '0.90', '2.13'])
    """
    return [f"{factor:.{1 if factors[0] >= 2 else 2}f}" for factor in factors]


def _spread(ratio: CostRatio) -> str:
    if ratio.low and ratio.high:
        _, low, high = times(1 / ratio.value, 1 / ratio.high, 1 / ratio.low)
        return f" ({low} to {high})"
    return "" if ratio.name == MEMORY else " (no interval)"


def _nothing(selection: Selection) -> Iterator[str]:
    """Say why no candidate can be chosen, and which comes nearest."""
    total = len(selection.candidates)
    if not selection.requirements:
        yield "No candidate can be chosen: none was measured in every task."
    else:
        yield f"No candidate is shown to keep every requirement ({counted(total, 'candidate')})."
        counts = [
            (sum(judged.standings[index] == "kept" for judged in selection.candidates), limit)
            for index, limit in enumerate(selection.requirements)
        ]
        fewest = min(count for count, _ in counts)
        hit = [limit.text for count, limit in counts if count == fewest]
        if fewest < total:
            yield f"{' and '.join(hit)}: kept by {fewest} of {total}."
    if selection.nearest is not None:
        yield f"The nearest is {selection.nearest.name}: {'; '.join(selection.nearest.excluded)}."


def reasons_left_out(selection: Selection) -> list[str]:
    """Say which costs the Pareto front leaves out, and why."""
    return [f"{cost}: {selection.left_out[cost]}" for cost in COSTS if cost in selection.left_out]
