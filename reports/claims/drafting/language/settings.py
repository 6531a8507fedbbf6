"""Find the words that say that a score is of no plain run: prompts, numbers of answers, weights, parts of a benchmark.

A published score of the same model, benchmark, split and shots is no evidence against such a score.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

_QUALIFIERS = re.compile(
    r"\b(?:cot|chain[- ]of[- ]thoughts?|step[- ]by[- ]step|think(?:ing)?|reasoning (?:mode|enabled|effort)|scratchpad|"
    r"maj(?:ority)?(?:@\d+| vot\w+)?|self[- ]consistency|vot(?:e|ing)|best[- ]of[- ]\w+|rerank\w*|cons@\d+|ensembl\w+|"
    r"quanti[sz]\w*|q\d_\w+|int[248]|nf4|fp[48]|w\d+a\d+|awq|gptq|gguf|\d[- ]?bits?|prun\w+|spars\w+|"
    r"fine[- ]?tun\w+|sft|lora|distill\w*|continued|pre-?train\w* (?:on|for)|checkpoints?|steps|epochs?|"
    r"subsets?|portion|categor(?:y|ies)|filtered|decontaminated|translated|"
    r"tools?|calculator|interpreter|rag|retrieval|search|browsing|agentic|system prompt|templates?|"
    r"temperature|greedy|beam|seeds?|runs|avg|averaged?|averages|strict|loose|(?:prompt|instruction|inst)[- ]level|"
    r"in (?:english|german|french|spanish|chinese|japanese|korean|arabic|hindi|italian|portuguese|russian))\b|"
    r"思维链|逐步|思考|推理模式|投票|自洽|量化|剪枝|稀疏|微调|蒸馏|继续训练|续训|检查点|步后|轮后|子集|类别|学科|工具|检索|搜索|"
    r"联网|模板|提示词|温度|采样|平均|英文|中文|德语|法语|日语|韩语|阿拉伯语",
    re.IGNORECASE,
)
"""Words that change what is measured, in text, captions, headers and names of rows."""
_ADJUNCT = re.compile(
    r"\b(?:with|without|using|after|before|when|while|under|via|through|if|once|in|for|at|by)\s+(?P<what>[^,.;:()]{2,50})|"
    r"(?:使用|采用|通过|经过|借助|结合|配合|加入)(?P<means>[^，。；：（）]{2,20})|"
    r"在(?P<state>[^，。；：（）]{1,20}?)(?:下|后|时|条件|模式)",
    re.IGNORECASE,
)
"""Phrases that say how, after what or on which part something was measured."""
_PLAIN = re.compile(
    r"\b(?:an?|the|of|on|and|our|its|all|both|accurac\w+|scores?|exact match|f1|em|pass@1|recall|precision|results?|"
    r"terms|comparison|contrast|particular|total|addition|general|test|dev\w*|validation|val|sets?|splits?|settings?|"
    r"zero|one|few|five|shots?|benchmarks?|evaluations?|tasks?|questions?|problems?|points?|percent|"
    r"tables?|figures?|sections?|respectively|same|first|time|previous|now)\b|"
    r"[\d.,%±+~/-]+|准确率|得分|分数|测试集|验证集|开发集|评测|基准|零样本|少样本|样本|设置|上|中|的|了|和|与",
    re.IGNORECASE,
)
"""Words of an adjunct that add nothing: "with an accuracy of 71.3 %", "in the 5-shot setting"."""
_LONGEST = 60


def qualifier(text: str) -> str | None:
    """Return the words of a caption, header or name that say that its scores are of no plain run; None without any.

    Example:
        >>> qualifier("Table 1: results after 4-bit quantization"), qualifier("Table 1: results (5-shot)")
        ('4-bit', None)
        >>> qualifier("IFEval (avg)"), qualifier("IFEval")
        ('avg', None)
    """
    match = _QUALIFIERS.search(text)
    return match[0] if match else None


def mark(columns: Sequence[dict[str, Any]], rows: Sequence[dict[str, Any]], *, texts: Sequence[str]) -> None:
    """Enter the settings of a table into the protocols of its columns and rows.

    Args:
        columns: the columns, with their headers as `name`; changed in place.
        rows: the rows, with what their name says beside the system's as `rest`, which is taken out.
        texts: the caption and the heading, which are about all columns.
    """
    common = next((words for text in texts if (words := qualifier(text))), None)
    for column in columns:
        if words := qualifier(column["name"]) or common:
            column.setdefault("protocol", {})["setting"] = words
    for row in rows:
        if words := qualifier(row.pop("rest")):
            row.setdefault("protocol", {})["setting"] = f"{words}, {common}" if common else words


def setting(sentence: str, known: tuple[str, ...]) -> str | None:
    """Return what a sentence says about how a score came about, beside split and shots; None if it says nothing.

    Args:
        sentence: the sentence of the score.
        known: names that are no setting: the benchmark and the systems.

    Example:
        >>> setting("Otter 2 reaches 75.0 % accuracy on MMLU with majority voting", ("MMLU", "Otter 2"))
        'majority voting'
        >>> setting("In the 5-shot setting, Otter 2 reaches an accuracy of 75.0 % on MMLU", ("MMLU", "Otter 2"))
        >>> setting("When images come first, Otter 2 reaches 75.0 % on MMLU", ("MMLU", "Otter 2"))
        'When images come first'
    """
    for name in sorted(known, key=len, reverse=True):
        sentence = re.sub(re.escape(name), " ", sentence, flags=re.IGNORECASE) if name else sentence
    if words := qualifier(sentence):
        return words
    for match in _ADJUNCT.finditer(sentence):
        what = match["what"] or match["means"] or match["state"]
        if re.sub(r"\W", "", _PLAIN.sub(" ", what)):
            return " ".join(match[0].split())[:_LONGEST]
    return None
