"""Forms of public articles: headers of files, formulas beside prices, Chinese names, printed tables of a harness."""

from __future__ import annotations

from decimal import Decimal

import pytest

from evals.reports.claims.drafting.drafter import draft
from evals.reports.claims.drafting.language.numbers import find_numbers
from evals.reports.claims.drafting.readers.select import read
from evals.reports.claims.drafting.text.chinese_names import chinese_names

SENTENCE = "\nHeron 3 answers in 180 ms.\n"


def values(text, name="post.md"):
    drafted = draft(read(text.encode(), name))
    return [(claim.printed, claim.unit) for claim in drafted.claims], drafted


@pytest.mark.parametrize(
    ("header", "title"),
    [
        ('+++\ntitle = "Heron 3 is out"\nweight = 42 # 37 GB\n[params]\nscore = 71.5\n+++\n', "Heron 3 is out"),
        ("+++\r\ntitle = 'Heron 3'\r\n+++\r\n", "Heron 3"),
        ("+++\ntitle = broken 42 GB\n+++\n", None),
        ('---\ntitle: "Heron 3 is out"\nscore: 71.5 %\n---\n', "Heron 3 is out"),
        ("\ufeff---\ntitle: Heron 3\n...\n", "Heron 3"),
        ('{\n  "title": "Heron 3",\n  "size": "37 GB", "params": {"score": 71.5}\n}\n', "Heron 3"),
        (';;;\n{"title": "Heron 3", "size": "37 GB"}\n;;;\n', "Heron 3"),
    ],
)
def test_the_header_of_a_file_is_no_text_and_gives_the_title(header, title):
    found, drafted = values(header + SENTENCE)
    assert found == [("180", "milliseconds")]
    assert drafted.article.title == (title or SENTENCE.strip())
    assert len(drafted.article.source) == len(header + SENTENCE)


def test_text_between_rules_is_no_header():
    assert values("---\nIt takes 5 GB.\n\n---\nIt takes 7 GB.\n")[0] == [("5", "gigabytes"), ("7", "gigabytes")]
    assert values('{"size": "37 GB"} is what it prints, and it takes 5 GB.\n')[0][-1] == ("5", "gigabytes")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("It takes $2t$ steps, $ 2t + 1 $ at most, and costs $2.", "2 dollars"),
        ("From $5 (small) to $10 (large), at $1.50/hr.", "5 dollars 10 dollars 1.50 dollars"),
        ("It reaches $78.3$ % in $k=5$ runs of $O(2^{10})$ for US$4.", "78.3 percent 4 dollars"),
        (r"It is $1.5\times$ faster than \(2n\), for $3/$15.", "1.5 times 3 dollars 15 dollars"),
        ("The loss is $$ L = 2t + 3 $$ and costs $3.", "3 dollars"),
        ("$5 for the small model and $6 for the large", "5 dollars 6 dollars"),
        ("$5 in the US and $6 abroad, or A$", "5 dollars 6 dollars"),
    ],
)
@pytest.mark.parametrize("name", ["post.md", "post.html"])
def test_formulas_are_no_prices(text, expected, name):
    source = text if name.endswith("md") else f"<p>{text}</p>"
    words = expected.split()
    assert values(source, name)[0] == [*zip(words[::2], words[1::2], strict=True)]


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("源2.0-M32和源2.0 M32", ["源2.0-M32", "源2.0 M32"]),
        ("书生·浦语2.5-20B与文心4.0", ["书生·浦语2.5-20B", "文心4.0"]),
        ("开源2.0版本", []), ("来源3.5%", []), ("文心4个", []), ("参数约为2.5-7B", []),
        ("提升2.5 GB", []), ("资源2.0", []),
        ("某模2.0-Pro32 更快", ["某模2.0-Pro32"]), ("星火V3.5达到80%", ["星火V3.5"]), ("豆包1.5倍", []),
    ],
)  # fmt: skip
def test_chinese_names_hold_their_version(text, names):
    assert [match["name"] for match in chinese_names(text)] == names


def test_digits_of_names_are_no_numbers():
    text = "# 源2.0 M32\n\n源2.0 M32 总参数40B。源2.0-102B 在 HumanEval 上为67.1%。"
    found, drafted = values(f"{text}\n\nMistral-8*7B has 46.7 billion parameters.")
    assert [printed for printed, _ in found] == ["40", "67.1", "46.7"]
    assert [drafted.names.names[claim.subject] for claim in drafted.claims] == [
        "源2.0 M32", "源2.0-102B", "Mistral-8*7B"
    ]  # fmt: skip


def test_printed_tables_of_a_harness_hold_the_values_of_one_model():
    table = """\
| Tasks |Version|     Filter     |n-shot|  Metric   |   |Value |   |Stderr|
|-------|------:|----------------|-----:|-----------|---|-----:|---|-----:|
|gsm8k  |      3|flexible-extract|     5|exact_match|↑  |0.3783|±  |0.0134|
|       |       |strict-match    |     5|exact_match|↑  |0.3753|±  |0.0133|
|wikitext|     2|none            |     0|word_perplexity|↓|9.82|±  |   N/A|
"""
    run = (
        "```\nhf (pretrained=acme/Wren-13B,dtype=auto), limit: None, num_fewshot: 5, batch_size: 8\n" + table + "```\n"
    )
    _, drafted = values(f"# Otter-7B\n\n{table}\n{run}")
    assert [row["subject"] for entry in drafted.tables for row in entry.rows] == ["otter-7b", "wren-13b"]
    assert not drafted.claims
    (first, _) = drafted.tables
    assert [column["name"] for column in first.columns] == [
        "gsm8k exact_match flexible-extract (5-shot)", "gsm8k exact_match strict-match (5-shot)",
        "wikitext word_perplexity (0-shot) ↓",
    ]  # fmt: skip
    assert [first.rows[0]["cells"], first.columns[2]["better"]] == [["0.3783", "0.3753", "9.82"], "lower"]
    opencompass = "| dataset | version | metric | mode | otter-7b-hf |\n|---|---|---|---|---|\n"
    opencompass += "| ARC-c | 1e0de5 | accuracy | gen | 86.10 |\n"
    (table_of_models,) = values("# Heron 3\n\n" + opencompass)[1].tables
    assert [(row["subject"], row["cells"]) for row in table_of_models.rows] == [("otter-7b-hf", ["86.10"])]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("180万像素", "1800000 pixels exactly"), ("1.3 megapixels", "1300000 pixels exactly"),
        ("7万余张照片", "70000 images above"), ("3万亿Token", "3000000000000 tokens exactly"),
        ("2 万行代码", "20000 items exactly"), ("3千万用户", "30000000 items exactly"),
    ],
)  # fmt: skip
def test_counters(text, expected):
    value, unit, bound = expected.split()
    assert [(number.value, number.unit, number.bound) for number in find_numbers(text)] == [
        (Decimal(value), unit, bound)
    ]
