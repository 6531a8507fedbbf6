"""What a column's header and a table's caption say: which direction is better, shots, split, average or sum."""

from __future__ import annotations

import re

from evals.reports.claims.language.tables.models import (
    ColumnRole,
    Direction,
    ResultTable,
    RowRole,
    TableColumn,
    TableRow,
)

_LOWER = re.compile(
    r"\b(error|errors|wer|cer|ter|fid|mae|mse|rmse|perplexity|ppl|loss|latency|time|runtime|memory|cost|price|energy|"
    r"bits per byte|bpb|hallucinations?|toxicity|false positives?|fpr|fnr|eer)\b",
    re.IGNORECASE,
)
_HIGHER = re.compile(
    r"\b(accuracy|acc|exact match|em|f1|pass@[0-9]+|recall|precision|correct|win rate|"
    r"glue|superglue|cola|sst-?2?|mrpc|sts-?b?|sts[0-9]+|qqp|mnli|multinli|xnli|qnli|rte|wnli|squad|quac|boolq|drop|"
    r"arc|hellaswag|winogrande|piqa|siqa|openbookqa|commonsenseqa|triviaqa|naturalquestions|nq|bbh|big-bench|agieval|"
    r"c-?eval|cmmlu|mmlu|gsm-?8?k?|math|math-?500|aime|mbpp|humaneval|livecodebench|gpqa|truthfulqa|ifeval|"
    r"vqav?2?|textvqa|docvqa|gqa|vizwiz|scienceqa|sqa|pope|mm-?bench|mm-?vet|seed|mmmu|mathvista|imagenet|cifar-?10+|llava-bench|mt-bench|swe-bench|rewardbench)\b",
    re.IGNORECASE,
)
"""Words and benchmarks of which a higher value is known to be better."""
_HIGHER_UNITS = {"percent", "%", "tokens-per-second", "tokens/s"}
_LOWER_UNITS = {
    *("seconds", "s", "milliseconds", "ms", "minutes", "min", "hours", "h", "days", "d", "bytes", "B", "megabytes"),
    *("MB", "gigabytes", "GB", "gibibytes", "GiB", "terabytes", "TB", "watts", "W", "dollars", "$"),
}
_GRADED = re.compile(
    r"\b(f1|f-?score|matthews|mcc|cola|pearson|spearman|sts-?b|bleu\w*|chrf|rouge\w*|meteor|cider|spice|vqa\w*|auc|auroc|"
    r"map|ndcg\w*|mrr|iou|miou|wer|cer|avg|average|mean|score|glue|mrpc|qqp|win rate)\b",
    re.IGNORECASE,
)
_ROLES: dict[str, ColumnRole] = {
    **dict.fromkeys(("avg", "avg.", "average", "mean", "macro avg", "macro average"), "average"),
    **dict.fromkeys(("sum", "total"), "sum"),
}
_REFERENCES = re.compile(r"\b(human|humans|oracle|upper bound|random|chance|majority)\b", re.IGNORECASE)
_SPLITS = {
    **dict.fromkeys(("dev", "development", "validation", "val"), "dev"),
    "test": "test",
    "train": "train",
}
_GENERIC = {
    *(
        "accuracy",
        "acc",
        "acc.",
        "score",
        "f1",
        "em",
        "exact",
        "match",
        "precision",
        "recall",
        "auc",
        "bleu",
        "rouge",
        "pass@1",
    ),
    *(
        "overall",
        "dev",
        "test",
        "val",
        "validation",
        "train",
        "params",
        "parameters",
        "result",
        "results",
        "value",
        "error",
    ),
    *(
        "time",
        "latency",
        "memory",
        "speed",
        "throughput",
        "cost",
        "price",
        "size",
        "rate",
        "average",
        "avg",
        "avg.",
        "mean",
    ),
    *(
        "total",
        "sum",
        "all",
        "easy",
        "medium",
        "hard",
        "other",
        "number",
        "yes",
        "no",
        "en",
        "zh",
        "math",
        "code",
        "vision",
    ),
}


def direction(column: TableColumn, unit: str) -> Direction | None:
    """Which direction is better; None if nothing says it.

    Example:
        >>> direction(TableColumn(name="WER ↓"), "percent"), direction(TableColumn(name="SST-2"), "percent")
        ('lower', 'higher')
        >>> direction(TableColumn(name="Parameters"), "parameters") is None
        True
    """
    if column.better is not None:
        return column.better
    if "↑" in column.name or "↓" in column.name:
        return "higher" if "↑" in column.name else "lower"
    if unit in _LOWER_UNITS or _LOWER.search(column.name):
        return "lower"
    return "higher" if unit in _HIGHER_UNITS else None


def is_direction_stated(column: TableColumn) -> bool:
    """Whether the column says which direction is better, rather than its unit alone.

    Example:
        >>> is_direction_stated(TableColumn(name="Accuracy")), is_direction_stated(TableColumn(name="Toxigen"))
        (True, False)
    """
    named = _LOWER.search(column.name) or _HIGHER.search(column.name)
    return column.better is not None or "↑" in column.name or "↓" in column.name or named is not None


def role(column: TableColumn) -> ColumnRole:
    """What the column is: values, or the average or sum of others.

    Example:
        >>> role(TableColumn(name="Avg.")), role(TableColumn(name="SST-2"))
        ('average', 'value')
    """
    if column.role is not None:
        return column.role
    if column.mean_of or column.sum_of:
        return "average" if column.mean_of else "sum"
    return _ROLES.get(bare(column.name).lower(), "value")


def row_role(row: TableRow) -> RowRole:
    """What the row is: a competing system, a reference, or the average or sum of others.

    Example:
        >>> [row_role(TableRow(name=name, cells=("92.0",))) for name in ("Human performance", "Otter")]
        ['reference', 'value']
    """
    if row.role is not None or row.sum_of:
        return row.role or "sum"
    return "reference" if _REFERENCES.search(row.name) else "value"


def is_graded(column: TableColumn) -> bool:
    """Whether an item's score may lie between 0 and 1, so that a percentage is no whole number of items.

    Example:
        >>> is_graded(TableColumn(name="SQuAD F1")), is_graded(TableColumn(name="SST-2"))
        (True, False)
    """
    return column.graded if column.graded is not None else _GRADED.search(column.name) is not None


def bare(name: str) -> str:
    """Return a header without arrows and what stands in brackets.

    Example:
        >>> bare("MMLU (5-shot) ↑")
        'MMLU'
    """
    return re.sub(r"[\[(][^\])]*[\])]|[↑↓]", " ", name).strip()


def slug(name: str) -> str:
    """Return a name in small letters, digits and hyphens.

    Example:
        >>> slug("MATH-500 (EM)"), slug("HumanEval+")
        ('math-500', 'humaneval-plus')
    """
    return re.sub(r"[^a-z0-9]+", "-", re.sub(r"(?<=\w)\+(?!\w)", "-plus", bare(name).lower())).strip("-")


def is_generic(name: str) -> bool:
    """Whether a header names no benchmark ("Accuracy"), so that two tables may mean different things by it.

    Example:
        >>> is_generic("Accuracy (%)"), is_generic("SST-2")
        (True, False)
    """
    return {*bare(name).lower().split()} <= _GENERIC


def protocol(table: ResultTable, column: TableColumn, row: TableRow) -> dict[str, str]:
    """Collect the protocol of a cell: what the row, the column, the header and the caption state.

    Example:
        >>> column = TableColumn(name="MMLU (5-shot)")
        >>> row = TableRow(name="Otter", cells=("70.1",))
        >>> protocol(ResultTable(split="dev", columns=(column,), rows=(row,)), column, row)
        {'shots': '5', 'split': 'dev'}
    """
    stated: dict[str, str] = {}
    for text in (column.name, table.caption or ""):
        if shots := re.search(r"\b([0-9]+|zero|few|one)[- ]shot\b", text, re.IGNORECASE):
            number = {"zero": "0", "one": "1"}.get(shots[1].lower(), shots[1].lower())
            stated.setdefault("shots", number)
    split = column.split or table.split or _split_in(column.name) or _split_in(table.caption or "")
    if split is not None:
        stated["split"] = _SPLITS.get(split.lower(), split)
    return {**stated, **column.protocol, **row.protocol}


def _split_in(text: str) -> str | None:
    """The split that a text names; None if it names none, or several."""
    splits = {_SPLITS[word.lower()] for word in re.findall(r"[A-Za-z]+", text) if word.lower() in _SPLITS}
    return next(iter(splits)) if len(splits) == 1 else None
