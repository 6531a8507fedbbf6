"""Say why a run stopped early, what its interval is about, and what was decided."""

from __future__ import annotations

from collections.abc import Collection, Iterator

import msgspec

from evals.errors import counted
from evals.records.folder import Record
from evals.records.sequential.entry import SequentialEntry
from evals.reports.rendering.formatting import one_line, shorten_path

_NO_GAIN = 0.98
"""Share of the width of an interval from which on predictions are said to gain nothing."""
_WRONG = "such a statement is wrong in at most 5 of 100 runs, however often a run looks"


def sentences(record: Record) -> Iterator[str]:
    """Yield what a finished run says of its looks; nothing for a run that did not look."""
    result, entry = record.finished(), record.finished().sequential
    if entry is msgspec.UNSET:
        return
    if entry.rule == "until-decided":
        outcome = left(entry, record.manifest.model_name) or decision(entry)
        is_whole = result.stopped is None and entry.used < entry.of
        yield f"Of the race that this run took part in: {outcome}" if is_whole else outcome
    elif entry.decision == "below_minimum":
        low, high = (100 * (end or 0.0) for end in (entry.low, entry.high))
        yield (
            f"Stopped as a candidate of a selection: {result.headline} is below {100 * (entry.target or 0.0):g} %, "
            f"after {entry.used:,} of {entry.of:,} samples ({low:.1f} to {high:.1f} %)."
        )
    elif entry.rule == "fast" and entry.decision != "undecided":
        yield decision(entry)
    if result.stopped is None:
        if entry.rule == "precision":
            value = 100 * result.metrics[result.headline].value
            were = "was" if entry.of == 1 else "were"
            yield (
                f"All {counted(entry.of, 'sample')} {were} computed: no look before showed {result.headline} within "
                f"{_goal(entry)}. Of these samples it is {value:.2f} %; the interval is about samples like these."
            )
        return
    metric = result.metrics[result.headline]
    if entry.rule == "precision":
        helped = f" and the predictions of {_predictors(entry)}" if entry.predictors else ""
        yield (
            f"Stopped early, as --precision asked: {result.n:,} of {entry.of:,} samples{helped} show "
            f"{result.headline} within {_goal(entry)}."
        )
    rest = f"The same command without --{entry.rule} computes the other {entry.of - result.n:,}."
    if entry.estimate is not None and entry.low is not None and entry.high is not None:
        yield (
            f"On all {entry.of:,} samples, {result.headline} is estimated as {100 * entry.estimate:.1f} % and lies "
            f"between {100 * entry.low:.1f} and {100 * entry.high:.1f} %; {_WRONG}, and whatever the predictions are "
            f"worth. {rest}"
        )
        if metric.low is not None and metric.high is not None:
            gains = entry.high - entry.low < _NO_GAIN * (metric.high - metric.low)
            yield (
                f"Of these samples alone, without the predictions, it is {100 * metric.value:.1f} % and lies between "
                f"{100 * metric.low:.1f} and {100 * metric.high:.1f} % (as in the table)"
                f"{'' if gains else ': the predictions gain nothing here'}."
            )
    elif metric.low is not None and metric.high is not None:
        yield (
            f"On all {entry.of:,} samples, {result.headline} lies between {100 * metric.low:.1f} and "
            f"{100 * metric.high:.1f} %; {_WRONG}. {rest}"
        )


def decision(entry: SequentialEntry, out: Collection[str] = ()) -> str:
    """Say the outcome of a race between two models in a sentence, or of several which is the best.

    Args:
        entry: what a run of the race states.
        out: of several models those that are known to have left it.

    Example:
        >>> entry = SequentialEntry(
        ...     rule="until-decided", looks=18, used=240, of=5000, decision="first_better", low=0.01, high=0.073,
        ...     difference=0.041, clusters=5000, largest=1, ids="", models=["a", "b"],
        ... )
        >>> print(decision(entry))
        Decided after 240 of 5,000 samples: a is better than b by 4.1 points (1.0 to 7.3).
        >>> print(decision(msgspec.structs.replace(entry, decision="undecided", low=-0.01, used=5000)))
        Not decided: all 5,000 samples do not show whether a or b is better (difference 4.1 points, -1.0 to 7.3).
    """
    names = [one_line(name, 60) for name in entry.models]
    start = f"Decided after {entry.used:,} of {entry.of:,} samples"
    if len(names) > 2:
        if entry.best is not None:
            return f"{start}: {one_line(entry.best, 60)} is the best of {', '.join(names)}."
        if entry.tied:
            return (
                f"{start}: {_listed([one_line(name, 60) for name in entry.tied])} are the same within {_goal(entry)}."
            )
        remaining = [name for name in names if name not in out]
        gone = f" ({_listed([name for name in names if name in out])} left the race before)" if out else ""
        return f"Not decided: {_all(entry)} not show which of {', '.join(remaining)} is the best{gone}."
    first, second = names
    low, high, difference = (100 * (end or 0.0) for end in (entry.low, entry.high, entry.difference))
    match entry.decision:
        case "first_better":
            return f"{start}: {first} is better than {second} by {difference:.1f} points ({low:.1f} to {high:.1f})."
        case "second_better":
            size = f"{-difference:.1f} points ({-high:.1f} to {-low:.1f})"
            return f"{start}: {second} is better than {first} by {size}."
        case "within_margin":
            size = f"difference {difference:.1f} points, {low:.1f} to {high:.1f}"
            return f"{start}: {first} and {second} are the same within {_goal(entry)} ({size})."
    spread = f"difference {difference:.1f} points, {low:.1f} to {high:.1f}"
    return f"Not decided: {_all(entry)} not show whether {first} or {second} is better ({spread})."


def left(entry: SequentialEntry, model: str) -> str:
    """Say when a model has left a race of several models, and why; empty if it has not left it.

    Example:
        >>> entry = SequentialEntry(
        ...     rule="until-decided", looks=4, used=40, of=5000, decision="first_better", low=0.01, high=0.3,
        ...     difference=0.15, clusters=5000, largest=1, ids="", models=["a", "b", "c"], pair=["a", "b"], best="a",
        ... )
        >>> print(left(entry, "b"))
        b left the race after 40 of 5,000 samples: a is better by 15.0 points (1.0 to 30.0).
    """
    if len(entry.models) < 3 or entry.decision != "first_better" or entry.pair[1:] != [model]:
        return ""
    low, high, difference = (100 * (end or 0.0) for end in (entry.low, entry.high, entry.difference))
    start = f"{one_line(model, 60)} left the race after {entry.used:,} of {entry.of:,} samples"
    return f"{start}: {one_line(entry.pair[0], 60)} is better by {difference:.1f} points ({low:.1f} to {high:.1f})."


def _predictors(entry: SequentialEntry) -> str:
    return _listed([one_line(shorten_path(name), 60) for name in entry.predictors])


def _all(entry: SequentialEntry) -> str:
    return "the only sample does" if entry.of == 1 else f"all {entry.of:,} samples do"


def _goal(entry: SequentialEntry) -> str:
    return f"{100 * (entry.target or 0):g} points"


def _listed(names: list[str]) -> str:
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))
