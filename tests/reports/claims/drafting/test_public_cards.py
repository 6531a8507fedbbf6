"""Sentences as public model cards and posts print them: value, unit, subject and quantity of each number."""

from __future__ import annotations

import pytest

from evals.app import check
from evals.reports.claims.drafting.drafter import draft
from evals.reports.claims.drafting.readers.markdown import read_markdown
from evals.reports.claims.drafting.readers.widths import plain_width

SENTENCES = [
    (
        "Heron 2 is a model with 1.3 billion active and 6.9 billion total parameters.",
        ["1.3 parameters heron-2 active-parameters", "6.9 parameters heron-2 parameters"],
    ),
    (
        "Heron 2 has 16.8 billion parameters with 2.75 billion activated parameters.",
        ["16.8 parameters heron-2 parameters", "2.75 parameters heron-2 active-parameters"],
    ),
    (
        "Heron 2 uses 132B total parameters of which 36B parameters are active on any input.",
        ["132 parameters heron-2 parameters", "36 parameters heron-2 active-parameters"],
    ),
    ("Heron 2 activates 37B of 671B parameters.", ["37 parameters heron-2 active-parameters",
                                                    "671 parameters heron-2 parameters"]),
    ("Heron 2 拥有 **3550** 亿总参数\uff0c其中 **320** 亿活跃参数。", ["3550 parameters heron-2 parameters",
                                                             "320 parameters heron-2 active-parameters"]),
    ("Heron 2 仅用520亿个激活参数。", ["520 parameters heron-2 active-parameters"]),
    (
        "Heron 2 was trained on 12T tokens of curated data and a maximum context window of 32K tokens.",
        ["12 tokens heron-2 training-tokens", "32 tokens heron-2 context"],
    ),
    ("Heron 2 produces over 1000 tokens for it.", ["1000 tokens heron-2 token-count"]),
    ("A dialogue of Heron 2 fits into 6G GPU memory.", ["6 gigabytes heron-2 gpu-memory"]),
    (
        "Heron 2 is better than Tern 175B (+4.0%), Crane-175B (+5.5%) on LAMBADA.",
        ["4.0 percent heron-2 lambada-change", "5.5 percent heron-2 lambada-change"],
    ),
    (
        "Heron 2 在测试中取得提升\uff0c包括 SWE-bench\uff0873.8%\uff0c+5.8%\uff09。",
        ["73.8 percent heron-2 swe-bench", "5.8 percent heron-2 swe-bench-change"],
    ),
    ("Heron 2 gets (41%, +16.5%) on Terminal Bench 2.0.", ["41 percent heron-2 terminal-bench-2-0",
                                                           "16.5 percent heron-2 terminal-bench-2-0-change"]),
    ("### 3.4 Mathematical reasoning\n\nSee Granite-3.0-1B-A400M and Kite3.1-405B.", []),
    ("- Tern 175B is:\n  - **4x** faster than before.\n\n", ["4 times tern-175b speed-up"]),
    ("`````\nUser: she has 100 yuan.\n\n## Answer\n\n20 yuan are left.\n`````\n", []),
]  # fmt: skip


UNDOUBTED = """\
# Heron 2

## Reasoning

| Model | MMLU | GPQA | MATH |
|---|---|---|---|
| Heron 2 | 92.3 | 75.4 | 85.3 |
| Tern 8B | 90.9 | 68.4 | 72.9 |

## Without reasoning

| Model | MMLU | GPQA | MATH |
|---|---|---|---|
| Heron 2 | 89.8 | 63.7 | 35.9 |
| Tern 8B | 85.7 | 54.6 | 20.2 |

| Model | Parameters | Tool use (%) |
|---|---|---|
| Heron 2 | 28.8B | 37.00 |
| Tern 8B | 8B | 1.00 |
| Crane 9B | 9B | 22.00 |

Heron 2 has 290 billion parameters.

Contexts range from hundreds of billions (DeepSeek-V3: 123B; Tern 8B: 100B)
to almost one trillion tokens (Crane 9B: 400B).
"""


@pytest.mark.parametrize(("text", "expected"), SENTENCES)
def test_the_words_beside_a_number_say_what_it_is(text, expected):
    drafted = draft(read_markdown(f"# Heron 2\n\n{text}\n\nTern 175B and Crane-175B are models.\n"))
    claims = [f"{claim.printed} {claim.unit} {claim.subject} {claim.quantity}" for claim in drafted.claims]
    assert claims == expected


def test_wide_characters_are_read_as_plain_ones_in_their_place():
    wide = "\uff08\uff11\uff12\uff0e\uff15\uff05\uff0c\uff13\uff09\uff1a\u3002"
    assert plain_width(wide) == "(12.5%\u30013):\u3002"
    assert len(plain_width(wide)) == len(wide)


def test_what_a_careful_reader_does_not_doubt_is_not_doubted(tmp_path):
    article = tmp_path / "heron.md"
    article.write_text(UNDOUBTED, encoding="utf-8")
    headlines = {a.headline for a in check.check([article], paper=True).assessments}
    assert headlines <= {"not_testable_here", "checked_and_consistent", "underspecified"}


FOLLOWS = """\
# Heron 2

| Model | MMLU | GPQA | 平均 |
|---|---|---|---|
| Heron 2 | 92.3 | 75.4 | 83.9 |
| Tern 8B | 90.9 | 78.4 | 84.7 |
| Crane 9B | 80.9 | 70.4 | 75.7 |

"""
PLANTED = [
    ("Heron 2 has 7 billion parameters, so its weights take {} GB in FP16.", "14", "6.3", "internally_inconsistent"),
    ("Heron 2 has 7.0 billion parameters, and its BF16 weights take {} GB.", "13.0", "21.0", "internally_inconsistent"),
    ("Heron 2 有 70 亿参数\uff0c以 INT8 存储权重需要 {} GB。", "7", "3.2", "internally_inconsistent"),
    ("Heron 2 has 7 billion parameters and needs {} GB of memory in INT4.", "5", "2.0", "open"),
    ("Heron 2 generates 1,200 tokens per second, which is {} million tokens per day.", "104", "204",
     "internally_inconsistent"),
    ("Heron 2 每秒生成 1200 个 token\uff0c即每天约 {} 亿个 token。", "1.04", "2.04", "internally_inconsistent"),
    ("Heron 2 costs $0.50 per million tokens, so 40 million tokens cost ${}.", "20.00", "35.00",
     "internally_inconsistent"),
    ("Heron 2 的价格为每百万 token 0.5 元\uff0c处理 40 百万 token 的成本为 {} 元。", "20", "35", "open"),
    ("The training of Heron 2 took 100 GPU hours for stage one and 70 GPU hours for stage two, {} GPU hours in total.",
     "170", "150", "internally_inconsistent"),
    ("Heron 2 was trained on 20B tokens of web text, 30B tokens of code and 50B tokens of books: {}B tokens in all.",
     "100", "120", "open"),
    ("{} on GPQA.", "Tern 8B outperforms Heron 2", "Heron 2 outperforms Tern 8B", "internally_inconsistent"),
    ("在 GPQA 上\uff0c{}。", "Heron 2 优于 Crane 9B", "Crane 9B 优于 Heron 2", "internally_inconsistent"),
    ("{} has the best score on MMLU of all models in the table.", "Heron 2", "Crane 9B", "internally_inconsistent"),
    ("On GPQA, {} ranks first.", "Tern 8B", "Crane 9B", "open"),
]  # fmt: skip
SILENT = """\
Heron 2 outperforms Tern 8B on GPQA without tools. Heron 2 may outperform Tern 8B on GPQA. Heron 2 is the first open
model of its kind. Of 8 H100 for 100 hours and 4 H100 for 20 hours, each at full load, 880 GPU hours in total.
Heron 2 has 8 billion parameters and runs in 3.1 GB with GGUF in 4-bit. Heron 2 peaks at 1,200 tokens per second.
Heron 2 is better than Tern 8B on MMLU-Pro. Nested 5-fold × 5 seeds, 25 runs.
"""


def test_what_follows_from_products_sums_and_tables_is_checked(tmp_path):
    right, wrong = tmp_path / "right.md", tmp_path / "wrong.md"
    sentences = [text for text, *_ in PLANTED]
    right.write_text(FOLLOWS + SILENT + "\n\n".join(t.format(p[1]) for t, p in zip(sentences, PLANTED, strict=True)))
    wrong.write_text(FOLLOWS + "\n\n".join(t.format(p[2]) for t, p in zip(sentences, PLANTED, strict=True)))
    assert {a.headline for a in check.check([right], paper=True).assessments} <= {
        "not_testable_here", "checked_and_consistent", "underspecified"}  # fmt: skip
    doubted = {
        int(str(a.claim.line)): a.headline
        for a in check.check([wrong], paper=True).assessments
        if a.headline not in {"not_testable_here", "checked_and_consistent"}
    }
    first = FOLLOWS.count("\n") + 1
    assert doubted == {first + 2 * n: verdict for n, (*_, verdict) in enumerate(PLANTED)}


def test_counts_among_percentages_and_changes_of_another_table_convict_nothing(tmp_path):
    article = tmp_path / "kite.md"
    article.write_text(
        "# Kite 2\n\n| Model | MMLU | BBH |\n|---|---|---|\n| Kite 2 | 88.4 | 70.0 |\n| Lark 405B | 85.2 | 69.0 |\n\n"
        "On MMLU, Kite 2 is 2.6 % higher compared to Lark 405B.\n\n| Task | Lark 405B Inst. | Kite 2 Inst. |\n"
        "|---|---|---|\n| MMLU | 87.3 | 89.9 |\n| MATH | 73.8 | 77.4 |\n\n"
        "| Class | Train | Share | Test | Share |\n|---|---|---|---|---|\n| A | 623 | 5.0% | 108 | 6.9% |\n"
        "| B | 4,206 | 33.7% | 537 | 34.3% |\n",
        encoding="utf-8",
    )
    assert check.check([article], paper=True).convicted == []
