"""Write a plan for the terminal."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator

from evals.errors import counted
from evals.reports.plans.contents import ComparisonPlan, PlannedCase, PlannedPart, SampleCost
from evals.reports.rendering import table_formats
from evals.reports.rendering.table_formats import Table

_NONE = "none suffices"


def render(plan: ComparisonPlan, format: str) -> str:
    """Write a plan as text or JSON."""
    if format == "json":
        return json.dumps(plan.to_json(), indent=2, ensure_ascii=False) + "\n"
    parts = [
        f"To show a difference of {_points(plan.gap)} between two models on the same samples, with "
        f"{100 * plan.power:.0f} % power and {100 * plan.significance:.0f} % significance (two-sided{_holm(plan)}).",
        f"What the sets can show\n\n{table_formats.text(_smallest(plan))}",
        f"Samples for {_points(plan.gap)}\n\n{table_formats.text(_needed(plan))}",
        *_conclusions(plan),
    ]
    if _priced(plan):
        parts.append(f"What they cost, for both models\n\n{table_formats.text(_costs(plan))}")
    return "\n\n".join([*parts, *_explanations(plan), *plan.notes]) + "\n"


def _holm(plan: ComparisonPlan) -> str:
    tasks = sum(not part.is_subset for part in plan.parts)
    text = f", Holm over {counted(tasks, 'test')}" if tasks > 1 else ""
    return f"{text}; subsets: Holm over {len(plan.parts)}" if tasks < len(plan.parts) else text


def _points(gap: float) -> str:
    """Print a difference in points.

    Example:
        >>> _points(0.02), _points(0.0567), _points(0.01)
        ('2 points', '5.67 points', '1 point')
    """
    text = f"{100 * gap:.2f}".rstrip("0").rstrip(".")
    return f"{text} point{'' if text == '1' else 's'}"


def _name(part: PlannedPart) -> str:
    return part.name + (" *" if part.is_estimated else "")


def _smallest(plan: ComparisonPlan) -> Table:
    names = [case.name for case in plan.parts[0].cases]
    rows = tuple(
        (
            _name(part), f"{part.size:,}", f"{part.cluster_size:.1f}",
            *(_smallest_range(plan, part, case) for case in part.cases),
        )
        for part in plan.parts
    )  # fmt: skip
    return Table("", ("task", "samples", "cluster", *names), "lrr" + "r" * len(names), rows)


def _smallest_range(plan: ComparisonPlan, part: PlannedPart, case: PlannedCase) -> str:
    return _range(*(_gap(plan.smallest(part, design)) for design in (case.likely, case.cautious)))


def _needed(plan: ComparisonPlan) -> Table:
    names = [case.name for case in plan.parts[0].cases]
    rows = tuple(
        (_name(part), *(_count_range(plan, part, case) for case in part.cases), _this_set(plan, part))
        for part in plan.parts
    )
    return Table("", ("task", *names, "for this set alone"), "l" + "r" * (len(names) + 1), rows)


def _count_range(plan: ComparisonPlan, part: PlannedPart, case: PlannedCase) -> str:
    counts = [plan.needed(part, design) for design in (case.likely, case.cautious)]
    return _range(*(_NONE if count is None else f"{count:,}" for count in counts))


def _this_set(plan: ComparisonPlan, part: PlannedPart) -> str:
    counts = [plan.for_set(part, design) for case in part.cases for design in (case.likely, case.cautious)]
    return _range(f"{min(counts):,}", f"{max(counts):,}")


def _gap(gap: float | None) -> str:
    return "nothing" if gap is None else f"{100 * gap:.1f}"


def _range(low: str, high: str) -> str:
    return low if low == high else f"{low} to {high}"


def _planned_samples(plan: ComparisonPlan, task: str) -> int:
    """Return how many samples of a task are planned: what the cautious assumption needs, at most all.

    A random choice of a task's samples has fewer of a subset, in proportion.
    """
    whole, *subsets = sorted((part for part in plan.parts if part.task == task), key=lambda part: part.is_subset)
    counts = []
    for part in (whole, *subsets):
        needed = plan.needed(part, part.cases[0].cautious)
        counts.append(whole.size if needed is None else math.ceil(needed * whole.size / part.size))
    return min(whole.size, max(counts))


def _priced(plan: ComparisonPlan) -> list[tuple[str, SampleCost]]:
    """Return the tasks with a pilot, each with the cost of a sample."""
    return [(part.task, part.cost) for part in plan.parts if part.cost is not None and not part.is_subset]


def _costs(plan: ComparisonPlan) -> Table:
    priced = _priced(plan)
    currencies = list(dict.fromkeys(name for _, cost in priced for name, _ in cost.money))
    rows, totals = [], [0.0] * (3 + len(currencies))
    for task, cost in priced:
        count, money = _planned_samples(plan, task), dict(cost.money)
        numbers = [count, count * cost.seconds / 60, count * cost.tokens]
        numbers += [count * money.get(name, 0.0) for name in currencies]
        totals = [total + number for total, number in zip(totals, numbers, strict=True)]
        rows.append((task, *_numbers(numbers)))
    if len(rows) > 1:
        rows.append(("all", *_numbers(totals)))
    columns = ("task", "samples", "minutes", "tokens", *currencies)
    return Table("", columns, "l" + "r" * len(totals), tuple(rows))


def _numbers(numbers: list[float]) -> list[str]:
    samples, minutes, tokens, *money = numbers
    return [
        f"{samples:,.0f}",
        f"{minutes:,.1f}",
        f"{tokens:,.0f}",
        *(f"{amount:,.2f}" if amount >= 0.01 or not amount else f"{amount:.2g}" for amount in money),
    ]


def _conclusions(plan: ComparisonPlan) -> Iterator[str]:
    """Say which sets are too small, in words."""
    never = [part for part in plan.parts if all(plan.needed(part, case.likely) is None for case in part.cases)]
    perhaps = [
        part
        for part in plan.parts
        if part not in never
        and any(plan.needed(part, design) is None for case in part.cases for design in (case.likely, case.cautious))
    ]
    if never:
        yield (
            f"No number of samples suffices for {', '.join(part.name for part in never)}: even all of them show "
            f"{_points(plan.gap)} in less than {100 * plan.power:.0f} % of all cases. Ask for a larger difference, or "
            "use another set."
        )
    if perhaps:
        yield f"Whether the samples suffice depends on how much the models disagree: {_names(perhaps)}."
    enough = [part for part in plan.parts if part not in never and part not in perhaps]
    if enough:
        yield f"The samples suffice for {_names(enough)}."


def _names(parts: list[PlannedPart]) -> str:
    return ", ".join(part.name for part in parts)


def _explanations(plan: ComparisonPlan) -> Iterator[str]:
    yield (
        f"The smallest difference is shown in {100 * plan.power:.0f} % of all cases, smaller ones less often. “For "
        "this set alone” decides which model is better on these samples and says nothing about others; the other "
        "numbers are for the tests of compare."
    )
    clustered = [part for part in plan.parts if part.cluster_size > 1.05]
    if clustered:
        yield (
            f"Samples of one cluster are alike (cluster: the mean size as seen from a sample): {_names(clustered)}. "
            "The first number of a range assumes the least correlation, the second the most."
        )
    if any(part.is_estimated for part in plan.parts):
        yield "* the data could not be read: size and clusters are estimated from the pilot."
    if _priced(plan):
        yield (
            "The cost is that of the samples which the cautious end of each range needs, at most all, with as much per "
            "sample as in the pilot; the time to load the models is not counted."
        )
