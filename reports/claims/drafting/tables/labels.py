"""What the label of a row or column of a table may name: a measure, a system, a setting, a sum, or a change.

`weight` says how far a label speaks for a system (above 0) or against one (below 0), as the logarithm of odds.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence

from evals.reports.claims.drafting.language.lexicon import is_benchmark, is_measure
from evals.reports.claims.drafting.language.words import entries

_VARIATION = re.compile(
    r"^\W*(?:w/|with\b|using\b|no\b(?!\.)|ours\b|\+)|w/o\b|"
    r"\b(?:without|only|longer|shorter|larger|smaller|bigger|fewer|more|less|higher|lower|wider|deeper|double|half|"
    r"twice|reduced|extended|frozen|removed?|disabled?|full|ablat\w+|extra|additional|different|same)\b",
    re.I,
)
_NUMBER_FORMAT = re.compile(r"\b(?:FP|INT|BF)\d{1,2}\b", re.I)
_BRACKETS = re.compile(r"[\[((][^\[\]()()]*[\]))]")
_MODEL_LIKE = re.compile(r"[A-Z].*[A-Z\d]|\b[Oo]urs\b")
_CAPITALS = re.compile(r"[A-Z]{2,}(?:[ /&-][A-Z]{2,})*")
_MEASURE = re.compile(
    r"(?<![A-Za-z])(?:R|P|Prec\w*|Recall|Hits?|Acc|Top|MRR|N?DCG|mAP|pass|maj|Success)\s?@\s?\d+|\b(?:precision|recall|"
    r"V?RAM|energy|power|performance|weights|FLOPS|hours|EM|MCC|MRR|nDCG|BPC|PPL|Spearman|Pearson|corr(?:elation|\.))"
    r"(?![\w-])|/\s?s(?:ec(?:ond)?)?\b|[\s-]per[\s-]sec|"
    r"[\[((]\s?(?:ms|s|secs?|seconds?|mins?|minutes?|h|hours?|days?|[KMGT]i?B|[MG]?W|[kM]Wh|%|FPS|[KMB]|[TG]?FLOPs?(?:/s)?|"
    r"\$[^()\[\]]*|x|×)\s?[\]))]\W*$",
    re.I,
)
"""Metrics, and units in brackets, that a label is the name of a measure for."""
_TASK = re.compile(
    r"\b(?:zero-shot|retrieval|classification|caption(?:s|ing)?|detection|segmentation|question answering|translation|"
    r"summari[sz]ation|recognition|understanding|reasoning)\W*$",
    re.I,
)
"""Tasks that a label ends with."""
METRIC_TAIL = re.compile(r"[\s_-]*(?:的)?(?:准确率|得分|分数|精度|accuracy|score|acc\.?)(?:\s?\(.*?\))?$", re.I)
_NAMED_AND_METRIC = re.compile(r"[A-Z][a-z]{0,12}[-\s]?\d(?:\.\d)?(?:准确率|得分|分数|精度|\s(?:accuracy|score))")
"""A short name with a number before a metric: "V3准确率" is a column of V3."""
_PART = re.compile(r"(?i)(?<=[a-z\d])[\s_-]*(?:val|test|dev|train|en|zh|cn|hard|lite|mini|pro|full)(?:\s?\(.*\))?$")
"""What follows the name of a benchmark: its split, language or part."""
_CHANGE = re.compile(
    r"\W*(?:(?:relative|absolute|total|avg\.?|%|percent(?:age)?)\s)?(?:changes?|diff(?:erence)?s?|delta|Δ|improvements?|"
    r"gains?|speed-?ups?|increases?|decreases?|reductions?|savings?|变化|变化率|差异|差值|提升|提升幅度|降幅|增幅|加速比)"
    r"(?:\s?(?:\(.{1,12}\)|%))?\W*",
    re.I,
)
AT_RANK = re.compile(r"\s@\s?\d+\s*$")
"""The rank of a metric behind the name of a system: "OpenCLIP @ 1"."""
_AGGREGATE = re.compile(
    r"\W*(?:in |grand |macro[- ]?|micro[- ]?|weighted )?(?:avg|average|mean|overall|total|sum|all|"
    r"合计|总计|总体|总和|平均)(?:\s?(?:score|值|分))?\W*",
    re.I,
)
_SETTING = re.compile(
    r"\W*(?:"
    r"[A-Za-z]{0,3}\s?[=<>~≈]{0,2}\s?\d[\d.,]*\s?(?:[kKMB]?(?:s|ms|h|hrs?|min|px|[GMK]i?B|tokens?|steps?|epochs?|images?|gpus?|"
    r"cores?|threads?|shots?|bit|bpw|hours?|days?|[x×]\s?\w{0,10})?)|"
    r"(?:fp|bf|int|uint|tf|nf|q|w)\d{1,2}(?:[_-]?\w{1,4})?|\d{1,2}-?bits?|(?:zero|one|few|five|\d+)-shots?|"
    r"(?:awq|gptq|ggml|gguf|rtn|exl2|onnx|tensorrt|pytorch)?[\s-]?(?:fp|bf|int)\d{1,2}(?:-g\d+)?|"
    r"(?:dev|test|val|train|validation|evaluation|training)(?:[\s_-](?:set|clean|other|net|meeting|split))?|"
    r"zero-?shot|fine-?tuned?|default|none|yes|no|true|false|"
    r"(?:\d{1,4}\s?[x×*]?\s?)?(?:NVIDIA\s|AMD\s|Intel\s)?(?:RTX\s?|GTX\s?|Tesla\s|Jetson\s)?"
    r"(?:[AHVLTBP]\d{1,3}0?|MI\d{3}|[2345]0[5-9]0(?:\s?Ti)?|Orin|TPU\s?v\d\w?|CPU|GPU)(?:[\s-]?\d{2,3}\s?GB?)?"
    r")\W*",
    re.I,
)
"""A number, a number format, a split or another state of one system."""
_LANGUAGES = frozenset(" ".join(entries("languages")).split())
_EXACT, _LOOSE, _LIKE, _CAPITAL, _KNOWN, _SETS = -3.5, -1.5, 1.1, 0.2, 2.5, -1.5


def names_measure(label: str) -> bool:
    """Whether a row or column is named for a measure, and for no variation of a system.

    Example:
        >>> names_measure("Latency (ms)"), names_measure("arc_challenge"), names_measure("longer context")
        (True, True, False)
        >>> names_measure("MMMUval")
        True
    """
    bare = _NUMBER_FORMAT.sub("", _BRACKETS.sub(" ", label)).strip()
    if not bare or _VARIATION.search(bare):
        return False
    if _NAMED_AND_METRIC.fullmatch(bare):
        return False
    return is_measure(bare) or is_named_benchmark(bare) or any(words.search(label) for words in (_MEASURE, _TASK))


def is_named_benchmark(label: str) -> bool:
    """Whether a label begins with the name of a benchmark, as tables print it.

    Example:
        >>> is_named_benchmark("arc_challenge"), is_named_benchmark("MMMUval"), is_named_benchmark("CIFAR100 (top-1)")
        (True, True, True)
    """
    stem = _PART.sub("", label)
    return is_benchmark(stem) or bool({_plain(label), _plain(stem), _plain(label.split(" ")[0])} & _benchmarks())


def is_change_name(name: str) -> bool:
    """Whether the header of a column or row says that it holds changes.

    Example:
        >>> is_change_name("Change"), is_change_name("Δ (%)"), is_change_name("DeltaNet")
        (True, True, False)
    """
    return _CHANGE.fullmatch(" ".join(name.split())) is not None


def is_aggregate(label: str) -> bool:
    """Whether a label sums up the others of its row or column, which are then parts of one thing and no systems.

    Example:
        >>> is_aggregate("Avg."), is_aggregate("In Total"), is_aggregate("Total-7B")
        (True, True, False)
    """
    return _AGGREGATE.fullmatch(label.strip()) is not None


def is_setting(label: str) -> bool:
    """Whether a label is a number, a number format, a language, a split or another state of one system.

    Example:
        >>> is_setting("N=4"), is_setting("int8"), is_setting("AWQ-INT4"), is_setting("French"), is_setting("Otter-2")
        (True, True, True, True, False)
    """
    return _SETTING.fullmatch(label.strip()) is not None or label.strip().lower() in _LANGUAGES


@functools.cache
def _benchmarks() -> frozenset[str]:
    """The names of benchmarks in small letters and digits alone, as harnesses print them: `arc_challenge`."""
    return frozenset(
        _plain(name)
        for name in (*(row["name"] for row in entries("benchmarks")), *map(str, entries("other_benchmarks")))
        if len(_plain(name)) > 3
    )


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def is_model_like(name: str) -> bool:
    """Whether a name may be that of a system: it has a capital and another capital or a digit, and is no measure.

    Example:
        >>> is_model_like("NC-Conv"), is_model_like("Clean"), is_model_like("Recall @ 1")
        (True, False, False)
    """
    return _MODEL_LIKE.search(AT_RANK.sub("", name)) is not None and not names_measure(name)


def is_known(label: str, known: frozenset[str]) -> bool:
    """Whether a label is a name that the text has outside its tables, or begins or ends with one.

    Args:
        label: the label.
        known: names in small letters and digits.
    """
    plain = _plain(label)
    return plain in known or any(len(name) > 3 and (plain.startswith(name) or plain.endswith(name)) for name in known)


def weight(label: str, known: frozenset[str] = frozenset()) -> float:
    """Return how far a label speaks for a system.

    Args:
        label: the label.
        known: names of systems, in small letters and digits.

    Example:
        >>> weight("MMLU") < weight("Speed of loading") <= weight("French") < weight("x") < weight("Otter-2")
        True
    """
    if is_aggregate(label):
        return _EXACT
    if names_measure(label):
        is_short = len(label.split()) <= 2 or is_named_benchmark(label) or _MEASURE.search(label) is not None
        return _EXACT if is_short else _LOOSE
    if is_known(label, known):
        return _KNOWN
    if is_setting(label):
        return _SETS
    if _CAPITALS.fullmatch(label.strip()):
        return _CAPITAL
    return _LIKE if is_model_like(label) else 0.0


def have_one_stem(labels: Sequence[str]) -> bool:
    """Whether labels are variants of one name: "Otter-2", "Otter-2 Mini", "Otter-3".

    Example:
        >>> have_one_stem(["CN-CLIP RN50", "CN-CLIP ViT-B/16"]), have_one_stem(["Size", "Weights"])
        (True, False)
    """
    stems = {re.split(r"[-\s_.(\d]", label.strip(), maxsplit=1)[0].lower() for label in labels}
    return len(labels) > 1 and len(stems) == 1 and len(next(iter(stems))) > 1
