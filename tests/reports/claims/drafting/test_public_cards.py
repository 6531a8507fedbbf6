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
