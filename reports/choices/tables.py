"""The tables of a selection, and the notes below them."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from evals.reports.choices import conclusions
from evals.reports.choices.amounts import ANSWERS
from evals.reports.choices.early import pruning
from evals.reports.choices.requirements import LATENCY, MEMORY, PRICE, measured, printed
from evals.reports.choices.selection import JudgedCandidate, Selection
from evals.reports.rendering.formatting import MISSING, probability
from evals.reports.rendering.table_formats import Table

_REQUESTS = {
    "short": "a short text", "caption": "an image with a short text",
}  # fmt: skip


def of_selection(selection: Selection) -> list[Table]:
    """Return the tables of a selection."""
    return [
        candidates_table(selection), requirements_table(selection), differences_table(selection),
        excluded_table(selection), apart_table(selection),
    ]  # fmt: skip


def candidates_table(selection: Selection) -> Table:
    """One row per candidate: what was measured, and its place on the Pareto front."""
    columns: list[tuple[str, str, Callable[[JudgedCandidate], str]]] = [
        ("candidate", "l", lambda judged: judged.name),
        ("", "l", lambda judged: _place(selection, judged)),
    ]
    for task, name in selection.headlines.items():
        columns.append((f"{task} {name}", "r", _cell(task)))
    for cost, heading in ((LATENCY, "latency"), (MEMORY, "peak memory"), (PRICE, f"price of {ANSWERS:,}")):
        if cost != PRICE or any(judged.candidate.price for judged in selection.candidates):
            columns.append((heading, "r", _cell(cost)))
    columns += [("weights", "r", _weights), ("Pareto front", "l", _front)]
    rows = tuple(tuple(cell(judged) for *_, cell in columns) for judged in selection.candidates)
    names, sides = tuple(name for name, *_ in columns), "".join(side for _, side, _ in columns)
    return Table("Candidates", names, sides, rows)


def requirements_table(selection: Selection) -> Table:
    """One row per requirement, with a column per candidate: kept, violated, not shown, not measured."""
    names = tuple(judged.name for judged in selection.candidates)
    rows = tuple(
        (limit.text, *(judged.standings[index] for judged in selection.candidates))
        for index, limit in enumerate(selection.requirements)
    )
    return Table("Requirements", ("requirement", *names), "l" * (len(names) + 1), rows)


def differences_table(selection: Selection) -> Table:
    """One row per candidate and task: the difference to the chosen one, and its costs relative to those."""
    chosen = selection.best[0].name if selection.best else ""
    rows: list[tuple[str, ...]] = []
    for judged in selection.candidates:
        for difference in judged.differences:
            shown = {"neither": "tie", "untested": "not tested"}.get(difference.shown, difference.shown)
            rows.append(
                (judged.name, f"{difference.task} {difference.metric}", difference.text,
                 probability(difference.adjusted), shown)
            )  # fmt: skip
        for ratio in judged.ratios:
            spread = "" if ratio.low is None or ratio.high is None else f" ({ratio.low:.2f} to {ratio.high:.2f})"
            words = {"neither": "tie", "untested": "point value", "better": "lower", "worse": "higher"}
            rows.append((judged.name, ratio.name, f"{ratio.value:.2f} times{spread}", MISSING, words[ratio.shown]))
    columns = ("candidate", "of", f"against {chosen}", "p (Holm)", "shown")
    return Table(f"Against {chosen}", columns, "llrrl", tuple(rows))


def excluded_table(selection: Selection) -> Table:
    """One row per reason for which a candidate cannot be chosen."""
    rows = tuple((judged.name, why) for judged in selection.candidates for why in judged.excluded)
    return Table("Excluded", ("candidate", "why"), "ll", rows)


def apart_table(selection: Selection) -> Table:
    """One row per reason for which runs are set apart."""
    runs: dict[str, list[str]] = {}
    for apart in selection.apart:
        runs.setdefault(apart.why, []).append(apart.run)
    rows = tuple((why, ", ".join(dict.fromkeys(names))) for why, names in runs.items())
    return Table("Set apart", ("why", "runs"), "ll", rows)


def notes(selection: Selection) -> list[str]:
    """Say how the values are to be read."""
    lines = [_front_note(selection)]
    if any(judged.candidate.latency for judged in selection.candidates):
        lines.append(
            f"Latency is the median time of a whole answer to {_REQUESTS[selection.kind]}, one at a time "
            f"({_machine(selection)})."
        )
    if any(judged.candidate.memory for judged in selection.candidates):
        lines.append(
            "Peak memory is the largest value that occurred in any timing of the same weights under these conditions; "
            "on a CPU it is that of the process, Python included."
        )
    for judged in selection.candidates:
        timing, peak = judged.candidate.timing, judged.candidate.peak
        if timing is not None and peak is not None and peak.folder != timing.folder:
            lines.append(f"The peak memory of {judged.name} is that of another timing, {peak.folder}.")
    lines += [*_price_notes(selection), *pruning.notes(selection)]
    if any(judged.differences for judged in selection.candidates):
        lines.append(
            "A tie is a difference that is not shown: p of at least 0.05 after Holm's correction, or an interval of "
            "the ratio that contains 1. Intervals are not corrected."
        )
        tests = dict.fromkeys(d.test for judged in selection.candidates for d in judged.differences)
        lines.append(f"Tests of quality: {'; '.join(tests)}.")
    return lines


def _front_note(selection: Selection) -> str:
    if not selection.best:
        return "There is no Pareto front without a candidate that can be chosen."
    left_out = conclusions.reasons_left_out(selection)
    of = ", ".join(selection.objectives)
    text = f"The Pareto front is that of {of}, by point values, of the candidates that can be chosen"
    return f"{text}; not of {'; not of '.join(left_out)}." if left_out else f"{text}."


def _price_notes(selection: Selection) -> Iterator[str]:
    kinds = dict.fromkeys(judged.candidate.price_of for judged in selection.candidates if judged.candidate.price)
    hourly = selection.criteria.hourly
    if "device time" in kinds and hourly is not None:
        yield (
            f"Price: {hourly.amount:g} {hourly.currency} per hour of the device, times the mean time of {ANSWERS:,} "
            "answers as they were timed, one at a time; batches make it lower."
        )
    if "tokens" in kinds:
        tasks = selection.criteria.tasks
        dearest = "" if len(tasks) == 1 else " of the dearest task"
        yield f"Price: what the server charged for the tokens{dearest}, for {ANSWERS:,} samples."


def _machine(selection: Selection) -> str:
    timing = next((j.candidate.timing for j in selection.candidates if j.candidate.timing is not None), None)
    if timing is None:
        return "machine unknown"
    machine = timing.manifest.machine
    parts = [
        timing.manifest.model.get("device"),
        machine.get("cores") and f"{machine['cores']} cores",
        machine.get("system"),
    ]
    return ", ".join(str(part) for part in parts if part)


def _place(selection: Selection, judged: JudgedCandidate) -> str:
    if judged in selection.best:
        return "chosen" if len(selection.best) == 1 else "best"
    if judged.excluded:
        return "excluded"
    return "tie" if judged.ties else "worse" if any(d.shown == "worse" for d in judged.differences) else "other"


def _cell(name: str) -> Callable[[JudgedCandidate], str]:
    """Return what prints the value of a task or of a cost."""
    return lambda judged: measured(judged.candidate.measured(name))


def _weights(judged: JudgedCandidate) -> str:
    weights = judged.candidate.weights
    return MISSING if weights is None else printed(weights, "bytes")


def _front(judged: JudgedCandidate) -> str:
    if judged.dominated_by is None:
        return MISSING
    return "on it" if judged.on_front else f"dominated by {', '.join(judged.dominated_by)}"
