"""Forms of public articles: headers of files, formulas beside prices, Chinese names, printed tables of a harness."""

from __future__ import annotations

from decimal import Decimal

import pytest

from evals.app.check import check
from evals.reports.claims.drafting.drafter import draft
from evals.reports.claims.drafting.language.numbers import find_numbers
from evals.reports.claims.drafting.readers.markdown import read_markdown
from evals.reports.claims.drafting.readers.select import read
from evals.reports.claims.drafting.text.chinese_names import chinese_names
from evals.reports.claims.output import contradictions, explanation, tables

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


def test_notes_name_the_document_where_two_have_the_id(tmp_path):
    paths = [tmp_path / f"{name}.md" for name in ("first", "second", "third")]
    for path, layers in zip(paths, (12, 61, 61), strict=True):
        path.write_text(f"# Otter 2\n\nOtter 2 has {layers} layers.\n", encoding="utf-8")
    checked = check([str(path) for path in paths], paper=True)
    assert [pair.describe() for pair in checked.conflicts] == [
        "layers of otter-2: C-1 of first 12 layers against C-1 of second 61 layers (interval)",
        "layers of otter-2: C-1 of first 12 layers against C-1 of third 61 layers (interval)",
    ]
    (agreement,) = [pair.describe() for pair in checked.agreements]
    assert agreement.startswith("layers of otter-2: C-1 of second 61 layers and C-1 of third 61 layers")
    assert checked.assessments[0].opponents == ("C-1 of second", "C-1 of third")
    texts = [contradictions.pages(checked), explanation.explain(checked, "C-1"), tables.render(checked, "md")]
    texts.append(tables.render(checked, "json"))
    assert all("C-1 of second" in text for text in texts)
    alone = check([str(paths[0])], paper=True)
    assert "C-1 of first" not in tables.render(alone, "json") + tables.render(alone, "md")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "Qwen2.5-72B在LiveCodeBench、MultiPL-E和MBPP中分别得分55.5、75.1和88.2，优于Qwen2-72B的32.2、69.2和80.2。",
            "72B 55.5 livecodebench, 72B 75.1 multipl-e, 72B 88.2 mbpp, "
            "Qwen2-72B 32.2 livecodebench, Qwen2-72B 69.2 multipl-e, Qwen2-72B 80.2 mbpp",
        ),
        ("Qwen2.5-32B 大幅领先其前身 Qwen1.5-32B，在 MATH 中获得 57.7分。", "Qwen2.5-32B 57.7 math"),
        ("Otter-7B 优于竞争对手 Wren-9b-IT 和 Heron-8B，尤其是在 MMLU 上（MMLU: 75.5）。", "Otter-7B 75.5 mmlu"),
        (
            "Otter-7B outperforms Wren-7B and Heron-7B. On GSM8K and MATH it scores 78.0 and 45.1, respectively.",
            "Otter-7B 78.0 gsm8k, Otter-7B 45.1 math",
        ),
        ("Otter-7B exceeded the CNN-LSTM baseline by 33 points in accuracy.", "Otter-7B 33 accuracy-change"),
    ],
)
def test_numbers_in_lists_and_beside_baselines_have_their_own_subject(text, expected):
    drafted = values(text)[1]
    names = [drafted.names.names[claim.subject] for claim in drafted.claims]
    shown = [f"{name} {claim.printed} {claim.quantity}" for name, claim in zip(names, drafted.claims, strict=True)]
    assert len(shown) == len(expected.split(", "))
    assert all(line.endswith(end) for line, end in zip(shown, expected.split(", "), strict=True)), shown


def test_tables_of_variants_and_of_words_keep_their_rows():
    table = """\
| Model | Tokens per second | Memory | Precision | Speed |
|---|---|---|---|---|
| Otter 2.1 | 658.8 | 849MB | 0.48 | 1.5x faster |
| - int8 | 860.2 | 529MB | 0.29 | 2x faster |
| Marian 1.11 | 344.5 | 7605MB | 0.30 | - |
| - int8 | 355.8 | 4763MB | 0.27 | - |
"""
    (read_table,) = values(f"# Otter 2.1\n\n{table}")[1].tables
    assert [row["name"] for row in read_table.rows] == [
        "Otter 2.1", "Otter 2.1 - int8", "Marian 1.11", "Marian 1.11 - int8"
    ]  # fmt: skip
    assert [(column["name"], column["unit"]) for column in read_table.columns] == [
        ("Tokens per second", "tokens-per-second"), ("Memory", "megabytes"), ("Precision", "number"),
        ("Speed", "times"),
    ]  # fmt: skip
    assert read_table.rows[1]["cells"][-1] == "2"
    comparison = "| | Otter | Cloud API |\n|---|---|---|\n| Speed | ✅ 340 times real time (Otter-7B) | ❌ |\n"
    assert "q-340" not in " ".join(values(f"# Otter-7B\n\n{comparison}")[1].names.names)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Both contact a third party. It takes a third of the memory.", "0.3333 times"),
        ("A 7-day min-release-age, by default 1 hour; training took 3 GPU hours.", "7 days 3 hours"),
        ("A 744B-parameter, 1M-context open model.", "744 parameters 1 tokens"),
        ("We ran the Otter 2 7B and 13B on an NVIDIA® GeForce RTX™ 4090.", ""),
        ("Weights in 16-bit integers (INT16) or 4bit-quantized.", ""),
    ],
)
def test_what_only_looks_like_another_number(text, expected):
    words = expected.split()
    assert values(f"# Otter 2\n\n{text}")[0] == [*zip(words[::2], words[1::2], strict=True)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("# Models\n\n- `gpt-oss-20b` — for lower latency (21B parameters), in MXFP4", "gpt-oss-20b 21 parameters"),
        ("# Otter 2\n\nOutput tokens rose, from 2,054 to 2,224.", "Otter-2 2054 tokens Otter-2 2224 tokens"),
        ("# FunASR 实测：比 Whisper-large-v3 快 30 倍的语音识别", "FunASR 30 times"),
        ("# Otter 2\n\nIt shows the first 50 lines of 11K lines of Python.", "Otter-2 11 items"),
        ("# PithTrain\n\nPithTrain uses little (up to 44% less). On one, DynMoE-2, it takes 62% fewer turns.",
         "PithTrain 44 percent PithTrain 62 percent"),
        ("# WebLLM\n\nWebGPU can preserve up to 85% of the native speed. WebGPU is a standard.", "WebGPU 85 percent"),
    ],
)  # fmt: skip
def test_names_and_counts_of_posts(text, expected):
    drafted = values(text)[1]
    shown = [
        (drafted.names.names[claim.subject].replace(" ", "-"), claim.printed, claim.unit) for claim in drafted.claims
    ]
    words = expected.split()
    assert shown == [*zip(words[::3], words[1::3], words[2::3], strict=True)]


def test_tables_of_tasks_and_lengths_keep_their_systems():
    table = """\
| Task | Framework | GPU Time (min) | Agent Turns | Output Tokens |
|---|---|---:|---:|---:|
| **Start** | Megatron-LM | 5.4 | 88 | 26.9K |
| | **PithTrain** | **3.1** | **26** | **5.8K** |
| **Extend** | Megatron-LM | 33.7 | 125 | 57.1K |
| | **PithTrain** | **27.6** | **47** | **25.4K** |
"""
    (by_task,) = values(f"# PithTrain\n\n{table}")[1].tables
    assert [(row["name"], row["group"]) for row in by_task.rows] == [
        ("Megatron-LM", "Start"), ("PithTrain", "Start"), ("Megatron-LM", "Extend"), ("PithTrain", "Extend")
    ]  # fmt: skip
    assert [column["unit"] for column in by_task.columns][::2] == ["minutes", "tokens"]
    lengths = "| Model | Seq Length |\n|---|---|\n| Otter-6B | 8k |\n| Otter-6B-32K | 32k |\n"
    (of_lengths,) = values(f"# Otter-6B\n\n{lengths}")[1].tables
    assert [column["unit"] for column in of_lengths.columns] == ["tokens"]


def test_tables_of_settings_are_about_the_system_of_the_heading(tmp_path):
    table = """\
| batch | tp | prompt_tokens | output_tokens | throughput(out tok/s) | mem(GB) |
|---|---|---|---|---|---|
| 1 | 1 | 128 | 128 | 102.21 | 76.59 |
| 16 | 1 | 128 | 128 | 1272.47 | 76.77 |
"""
    text = f"# Benchmark\n\nWe time otter-7b and wren-13b.\n\n### FP16 otter-7b\n\n{table}"
    (settings,) = values(text)[1].tables
    assert [(row["subject"], row["group"]) for row in settings.rows] == [
        ("otter-7b", "batch 1, tp 1, prompt_tokens 128, output_tokens 128"),
        ("otter-7b", "batch 16, tp 1, prompt_tokens 128, output_tokens 128"),
    ]
    assert [column["name"] for column in settings.columns] == ["throughput(out tok/s)", "mem(GB)"]
    path = tmp_path / "post.md"
    path.write_text(text, encoding="utf-8")
    assert all(entry.plain == "not_enough_evidence" for entry in check([str(path)], paper=True).assessments)


def test_speeds_over_real_time_and_guessed_subjects_convict_nothing(tmp_path):
    text = """\
# FunASR 实测：比 Whisper-large-v3 快 30 倍的开源语音识别

Whisper-large-v3 在 A100 上只有 13x 实时，处理 1 小时音频需要 ~5 分钟。

测试条件：184 个中文会议录音，总计 192 分钟。
"""
    path = tmp_path / "post.md"
    path.write_text(text, encoding="utf-8")
    checked = check([str(path)], paper=True)
    assert [entry.claim.id for entry in checked.assessments if entry.plain != "not_enough_evidence"] == []
    kinds = {claim.printed: claim.quantity for claim in values(text)[1].claims}
    assert (kinds["13"], kinds["192"]) == ("real-time-speed", "audio-length")


def test_two_splits_in_a_sentence_stay_apart(tmp_path):
    text = """\
# Otter 2

Otter 2 reaches 84.1 % on the dev set of BoolQ and 82.9 % on the test set.

| Model | BoolQ (dev) | BoolQ (test) |
|---|---|---|
| Otter 2 | 84.1 | 82.9 |
"""
    assert [claim.protocol for claim in values(text)[1].claims] == [{"split": "dev"}, {"split": "test"}]
    path = tmp_path / "post.md"
    path.write_text(text, encoding="utf-8")
    assert not [entry for entry in check([str(path)], paper=True).assessments if entry.headline == "open"]


@pytest.mark.parametrize(
    ("text", "title"),
    [
        ('<p>\n<a href="zh.md">中文</a>&nbsp; | English\n</p>\n\n## 1. Introduction\n\nOtter 2 is fast.\n', ""),
        ("━━━━━━━━━━━━━━━━\n\nUnlocking the reasoning of otters\n", "Unlocking the reasoning of otters"),
        ("[2026.05.30] We released Otter 2.\n\n## Overview\n", ""),
        ("**Otter 2, a small model**\n\nIt is fast.\n", "Otter 2, a small model"),
        ("Otter Assist | The support bot\n\nIt is fast.\n", "Otter Assist | The support bot"),
    ],
)
def test_rows_of_links_rules_and_news_are_no_titles(text, title):
    assert read_markdown(text).title == title


def test_a_quote_does_not_begin_or_end_within_a_bracket():
    text = "# Otter 2\n\nOtter 2 reaches 83.2 % on HellaSwag (5-shot, test) and 71.0 % on MMLU (5-shot, test).\n"
    quotes = [claim.quote for claim in draft(read_markdown(text)).claims]
    assert quotes == ["Otter 2 reaches 83.2 % on HellaSwag (5-shot, test)", "and 71.0 % on MMLU (5-shot, test)"]
