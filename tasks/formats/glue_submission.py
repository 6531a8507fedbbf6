"""Splits of GLUE without labels: nothing is scored, and the answers become the leaderboard's submission files."""

from __future__ import annotations

from collections.abc import Sequence

from evals.schema import Json, Metric, Score
from evals.tasks.glue_tasks import HIGHEST, TABLE, Subtask

ANSWERED = "answered"
"""The metric of a split without labels."""


def answered(scores: Sequence[Score]) -> dict[str, Metric]:
    """Compute the one metric of a split without labels: the share of rows that have an answer to submit."""
    share = sum(score.answer is not None for score in scores) / len(scores)
    note = "the split has no labels: nothing is scored, and the folder `submission` has the leaderboard's files"
    return {ANSWERED: Metric(share, None, None, len(scores), note=note)}


def submission(scores: Sequence[Score]) -> dict[str, str]:
    """Write the answers of an unlabelled split as the leaderboard's files; none for a labelled split.

    Each file has the columns `index` and `prediction`: names for MNLI, QNLI and RTE, a number with three decimals for
    STS-B, and numbers for the others. An answer that is missing is the first class, or 0: the server takes no gaps.

    Args:
        scores: the scores of a whole run.

    Returns:
        The text of each file by its name (`SST-2.tsv`, `MNLI-m.tsv`, …), in the order of the rows.
    """
    lines: dict[str, list[tuple[int, str]]] = {}
    for score in scores:
        if score.target is None:
            task = TABLE[score.labels["task"]]
            suffix = {"matched": "-m", "mismatched": "-mm"}.get(score.labels.get("set", ""), "")
            index = int(score.id.rpartition("/")[2])
            lines.setdefault(f"{task.folder}{suffix}.tsv", []).append((index, _submitted(task, score.answer)))
    return {
        name: "index\tprediction\n" + "".join(f"{index}\t{answer}\n" for index, answer in sorted(rows))
        for name, rows in lines.items()
    }


def _submitted(task: Subtask, answer: Json) -> str:
    if not task.labels:
        return f"{min(max(float(answer or 0), 0), HIGHEST):.3f}"
    named = task.name in {"mnli", "qnli", "rte"}
    chosen = task.labels[0] if answer is None else str(answer)
    return chosen if named else str(task.labels.index(chosen))
