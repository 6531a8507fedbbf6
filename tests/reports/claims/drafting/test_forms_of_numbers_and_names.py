"""How tables and languages print numbers and names: decimal commas, entities, headers of LaTeX, Chinese words."""

import re

import pytest

from evals.reports.claims.drafting.drafter import draft
from evals.reports.claims.drafting.readers.select import read
from evals.reports.claims.drafting.tables.columns import column_meaning


def drafted(text, name="post.md"):
    return draft(read(text.encode(), name))


def cells(text, name="post.md"):
    """The cells of the only table, and what stands in the source at their places."""
    article = drafted(text, name)
    (table,) = article.tables
    return [
        (cell, article.article.source[slice(*span)])
        for row in table.rows
        for cell, span in zip(row["cells"], row["spans"], strict=True)
        if span
    ]


@pytest.mark.parametrize(
    ("first", "second", "read_as"),
    [
        ("4,30752", "15,37", ["4.30752", "15.37"]),
        ("4,3 %", "1,765", None),  # one cell alone does not make commas decimal
        ("12,5", "9,75", ["12.5", "9.75"]),
        ("41,8%", "50.25", ["41.8%", "50.25"]),  # a slip
        ("1,234", "5,678", ["1,234", "5,678"]),
        ("1,234.5", "56.25", ["1,234.5", "56.25"]),
    ],
)
def test_commas_are_decimal_where_they_cannot_part_thousands(first, second, read_as):
    header = "# Otter 2\n\n| Model | Perplexity | Loading time |\n|---|---|---|\n"
    found = cells(f"{header}| Otter 2 | {first} | {second} |\n| Tern | 1 | 2 |\n")
    if read_as is None:
        assert (second, second) in found
    else:
        assert found[:2] == [*zip(read_as, (first.rstrip("%"), second), strict=True)]


@pytest.mark.parametrize("entity", ["&nbsp;", "&#160;", "&#xA0;", " "])
def test_entities_of_markdown_print_their_characters(entity):
    claims = drafted(f"# Otter 2\n\nOtter 2 answers in 180{entity}ms, 2&times; faster than before.\n").claims
    assert [(claim.printed, claim.unit) for claim in claims] == [("180", "milliseconds"), ("2", "times")]


@pytest.mark.parametrize("rule", ["midrule", "toprule", "hline"])
def test_rows_of_values_are_no_header_of_latex(rule):
    text = rf"""\begin{{table}}\begin{{tabular}}{{l|cc}}
\toprule
% Method & 1 & 2 \\
Method &
RMSE & AbsRel \\
\{rule}
Otter et al. \cite{{otter}}
% & 0.9 & 0.8
& 0.113 & 0.741 \\
Wren et al. & 0.098 & 0.666 \\
\midrule
Ours & 0.053 & 0.179 \\
\bottomrule
\end{{tabular}}\caption{{Depth.}}\end{{table}}"""
    assert [cell for cell, _ in cells(text, "paper.tex")] == ["0.113", "0.741", "0.098", "0.666", "0.053", "0.179"]


@pytest.mark.parametrize(
    ("header", "unit"),
    [
        ("参数量", "parameters"), ("参数", "parameters"), ("模型参数 (B)", "parameters"),
        ("全参数意图识别", "percent"), ("缺参数意图识别", "percent"), ("超参数得分", "percent"),
        ("推理速度(令牌数/秒)", "tokens-per-second"), ("Tokens/second", "tokens-per-second"),
        ("上下文长度", "tokens"), ("Mean Accuracy GFLOPs per token", "percent"), ("Average Accuracy/GFLOPs", "percent"),
        ("Evaluation time (800 tokens)", "number"), ("显存占用", "number"),
    ],
)  # fmt: skip
def test_headers_say_what_stands_below_them(header, unit):
    meaning = column_meaning(header, ["35", "52.38", "70"], "", "")
    assert meaning is not None
    assert meaning.unit == unit


@pytest.mark.parametrize(
    ("rows", "units"),
    [
        ([("Turn 1", "Turn 2", "Average"), ("7.05", "6.47", "6.76"), ("7.30", "6.62", "6.96")], ["number"] * 3),
        ([("English", "Average"), ("71.2", "6.76"), ("70", "6.96")], ["percent"] * 2),
        ([("English", "Chinese"), ("71.2", "*"), ("70", "*"), ("66", "55.3")], ["percent"] * 2),
    ],
)
def test_an_average_of_marks_is_a_mark_and_asterisks_are_empty_cells(rows, units):
    names = ["Model", "Otter 2", "Tern 1.5", "Wren 7B"]
    lines = [f"| {name} | {' | '.join(row)} |" for name, row in zip(names, rows, strict=False)]
    (table,) = drafted("\n".join([lines[0], "|---" * (len(rows[0]) + 1) + "|", *lines[1:], ""])).tables
    assert [column["unit"] for column in table.columns] == units


def test_the_second_of_two_compared_values_is_of_the_other_system():
    text = "# Otter 2\n\n| Model | GQA |\n|---|---|\n| Otter 2 | 58.46 |\n| Tern 1.5 | 62.0 |\n\n"
    text += "Otter 2 outperforms Tern 1.5 on MMLU (31.2 vs 31.1), RTE (50.95 vs 50.0) and BoolQ (70 % versus 60 %).\n"
    assert [(claim.printed, claim.subject) for claim in drafted(text).claims] == [
        (value, subject)
        for pair in (("31.2", "31.1"), ("50.95", "50.0"), ("70", "60"))
        for value, subject in zip(pair, ("otter-2", "tern-1-5"), strict=True)
    ]


@pytest.mark.parametrize("form", ["Int4", "GPTQ-Int8", "FP8"])
def test_what_a_model_was_made_to_is_part_of_its_name(form):
    text = f"# Otter-14B\n\n- **Otter-14B-Chat-{form}:** 量化模型的大小减小了70%。\n"
    (claim,) = drafted(text).claims
    assert claim.subject == f"otter-14b-chat-{form.lower()}"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("总token数达到5.4B。", [("5.4", "tokens")]),
        ("参数规模为5.4B。", [("5.4", "parameters")]),
        ("它在2000B tokens上训练。", [("2000", "tokens")]),
        ("它于2000年发布。", []),
        ("激活专家数：2", [("2", "experts")]),
        ("专家数量：32", [("32", "experts")]),
        ("隐层1024，训练2M步", [("1024", "dimensions"), ("2", "steps")]),
    ],
)
def test_chinese_counts_say_before_or_behind_what_they_count(text, expected):
    claims = drafted(f"# Otter-2\n\n- Otter-2：{text}\n").claims
    assert [(claim.printed, claim.unit) for claim in claims] == expected


def test_pairs_of_values_with_remarks_become_two_columns():
    text = "| 模型简称 | 下载 | 开发集 | 测试集 |\n|---|---|---|---|\n"
    text += "| Otter 2 | [link](a) | 65.5 (64.4) / 84.5 (84.0) | 57.0 / 79.0 |\n"
    text += "| Tern 1.5 | [链接](b) | 66.3 (65.0) / 85.6 (84.7) | 62.2 / 81.8 |\n"
    (table,) = drafted(text).tables
    assert [row["name"] for row in table.rows] == ["Otter 2", "Tern 1.5"]
    assert [re.match(r"[\d.]+", cell)[0] for cell in table.rows[0]["cells"]] == ["65.5", "84.5", "57.0", "79.0"]
