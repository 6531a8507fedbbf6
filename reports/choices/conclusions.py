"""Say the outcome of a selection in sentences that can be quoted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice

from evals.errors import counted
from evals.logs.matching import is_imported
from evals.records import Record
from evals.reports.choices.conditions import NOT_COMPARABLE
from evals.reports.choices.differences import CostRatio, QualityDifference
from evals.reports.choices.early.pruning import stops
from evals.reports.choices.requirements import COSTS, LATENCY, MEMORY, PRICE, measured
from evals.reports.choices.selection import JudgedCandidate, Selection
from evals.reports.claims.evidence.chance import chance_level
from evals.reports.rendering.formatting import amount, one_line, shorten_path
from evals.reports.runs import naming
from evals.reports.runs.blind_control import BlindControls
from evals.reports.runs.conclusion import points

CHEAPER = {PRICE: "cheaper", LATENCY: "faster", MEMORY: "smaller in memory"}
COST_NAMES = {PRICE: "price", LATENCY: "latency", MEMORY: "peak memory"}
_FITS = {True: "that keep every requirement", False: "that are measured"}
"""What the candidates that can be chosen have in common, by whether there are requirements."""
_SHOWN = 4
"""Maximum number of models that a sentence names."""
_PROMPTS = 20
"""Number of samples of which the prompts of imported runs are compared."""
_LEAST_GAIN = 1.05
"""Smallest factor by which a cost is lower that the sentences mention."""


def sentences(selection: Selection) -> list[str]:
    """Say which model to choose, what ties with it, and what would be cheaper; or which requirement excludes all."""
    if not selection.best:
        return [*_nothing(selection), *_apart(selection)]
    return [*_choice(selection), *_apart(selection), *_others(selection)]


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
            verb, pronoun = ("has", "it counts") if judged.candidate.failed == 1 else ("have", "they count")
            texts.append(f"{failed} of {judged.name} {verb} no output; {pronoun} as wrong.")
    settings = {judged.name: judged.candidate.settings for judged in selection.candidates if judged.candidate.runs}
    if len(set(settings.values())) > 1:
        by_name = "; ".join(f"{name}: {one_line(text, 120)}" for name, text in settings.items())
        texts.append(f"The settings for generated texts differ, and with them what is compared ({by_name}).")
    return [*texts, *_other_prompts(selection)]


def _other_prompts(selection: Selection) -> Iterator[str]:
    """Say of which imported runs the models read other prompts for the same questions: their harness allows that."""
    for task in selection.criteria.tasks:
        runs = {judged.name: judged.candidate.runs[task] for judged in selection.candidates
                if task in judged.candidate.runs and is_imported(judged.candidate.runs[task])}  # fmt: skip
        prompts = [(name, _first_prompts(run)) for name, run in runs.items()]
        for name, read in prompts[1:]:
            first, reference = prompts[0]
            same = [id for id, (question, _) in read.items() if id in reference and reference[id][0] == question]
            if any(read[id] != reference[id] for id in same if read[id][1] and reference[id][1]):
                yield f"{name} did not read the prompts of {first} on {task}: a difference may be that of the prompts."


def _first_prompts(run: Record) -> dict[str, tuple[str, str]]:
    """The question of the first samples of a run, and all that the model read, by their ids."""
    return {
        row.id: (row.prompt, "\n".join(f"{entry.prefix or ''}{entry.text}" for entry in row.inputs or () if entry))
        for row in islice(run.samples(), _PROMPTS)
    }


def about(selection: Selection) -> str:
    """Say which scale, checkpoints and data a selection is about; of replicas, that the choice is one of replicas."""
    records = list({record.manifest.signature: record for record in selection.records}.values())
    text = naming.about(records, BlindControls().among(records))
    replicas = [judged.name for judged in selection.candidates if judged.candidate.replica]
    if replicas and all(judged.candidate.replica for judged in selection.candidates if judged.candidate.runs):
        text += " The choice is one among replicas."
    elif replicas:
        text += f" Replicas are: {listed(replicas)}."
    return one_line(text)


def listed(names: Sequence[str], limit: int | None = None) -> str:
    """List names in a sentence.

    Args:
        names: at least one.
        limit: how many are named; the others are counted.

    Example:
        >>> listed(["a"]), listed(["a", "b", "c"]), listed(["a", "b", "c"], 1)
        ('a', 'a, b and c', 'a and 2 more')
    """
    shown = list(names if limit is None else names[:limit])
    shown += [f"{len(names) - len(shown)} more"] if len(names) > len(shown) else []
    return " and ".join([*([", ".join(shown[:-1])] if shown[1:] else []), shown[-1]])


def quality_name(selection: Selection) -> str:
    """Name what the quality is.

    A mean of several headlines is named as such.
    """
    names = [f"{task} {selection.headlines[task]}" for task in selection.criteria.tasks]
    return names[0] if len(names) == 1 else f"mean of {listed(names)}"


def quality(judged: JudgedCandidate) -> str:
    """Print the quality of a candidate: its headline with the interval, or the mean of several."""
    values = list(judged.candidate.quality.values())
    if len(values) == 1:
        return measured(values[0])
    unit = "fraction" if {value.unit for value in values} == {"fraction"} else "coefficient"
    return "not measured" if judged.mean is None else amount(judged.mean, unit)


def _choice(selection: Selection) -> Iterator[str]:
    """Say which candidate is the best, and by what; or which are equal."""
    first, names = selection.best[0], [judged.name for judged in selection.best]
    eligible = [judged for judged in selection.candidates if not judged.excluded]
    what, value = quality_name(selection), quality(first)
    if len(eligible) == 1:
        excluded = len(selection.candidates) - 1
        only = "the only candidate" if not excluded else f"the only one of {excluded + 1} candidates that fits"
        if not excluded and any(_apart(selection)):
            only += " whose runs count, so nothing is shown against the others"
        yield f"Choose {first.name}: it is {only} ({what} {value})."
        return
    among = f"of {len(eligible)} candidates {_FITS[bool(selection.requirements)]},"
    if selection.chosen is not None and selection.decided_by is None:
        yield f"Choose {first.name}: {among} it has the best {what}, {value}."
        return
    equal = [judged.name for judged in eligible if judged.mean == first.mean]
    if selection.decided_by is not None:
        cost = measured(first.candidate.measured(selection.decided_by))
        yield (
            f"Choose {first.name}: {among} {listed(equal)} have the best {what}, {value}, and of these it has the "
            f"lowest {COST_NAMES[selection.decided_by]}, {cost}."
        )
        return
    costs = [COST_NAMES[name] for name in COSTS if name not in selection.undecided]
    also = f" and in {listed(costs)}" if costs else ""
    yield f"No single choice: {among} {listed(names)} have the best {what}, {value}, and are equal in it{also}."
    if selection.undecided:
        reasons = "; ".join(f"{COST_NAMES[cost]}: {selection.undecided[cost]}" for cost in selection.undecided)
        yield f"Nothing else decides ({reasons})."


def _apart(selection: Selection) -> Iterator[str]:
    """Say which other models have runs of the tasks that cannot be compared with these, and why."""
    measured_ones = {
        (judged.candidate.model, task) for judged in selection.candidates for task in judged.candidate.quality
    }
    by_reason: dict[str, dict[str, None]] = {}
    for apart in selection.apart:
        of_task = apart.task in selection.criteria.tasks and (apart.model, apart.task) not in measured_ones
        if of_task and apart.why.startswith(NOT_COMPARABLE):
            reason = apart.why.removeprefix(NOT_COMPARABLE)
            by_reason.setdefault(reason, {})[shorten_path(apart.model)] = None
    for why, models in by_reason.items():
        yield f"Set apart and not compared: {listed(list(models), _SHOWN)} ({why})."


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
        reference = "the chosen one" if selection.chosen is not None else selection.best[0].name
        yield f"The p-values of {corrected} comparisons with {reference} are corrected by Holm's method."


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
            yield f"{listed(hit)}: kept by {fewest} of {total}."
    if selection.nearest is not None:
        among = (
            " of those that were run in full" if any(stops(judged.candidate) for judged in selection.candidates) else ""
        )
        yield f"The nearest{among} is {selection.nearest.name}: {'; '.join(selection.nearest.excluded)}."
    elif selection.candidates:
        yield "All candidates stopped early; without --fast, the one that comes nearest is named."


def reasons_left_out(selection: Selection) -> list[str]:
    """Say which costs the Pareto front leaves out, and why."""
    return [f"{cost}: {selection.left_out[cost]}" for cost in COSTS if cost in selection.left_out]
