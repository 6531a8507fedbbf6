"""What a sentence says to follow from its own numbers: found where it holds and where it fails, and nowhere else."""

from __future__ import annotations

import pytest

from evals.reports.claims.assessment import assess
from evals.reports.claims.drafting.drafter import draft
from evals.reports.claims.drafting.readers.markdown import read_markdown
from evals.reports.claims.drafting.settling import settled_yaml
from evals.reports.claims.language.files import load, load_record, load_vocabulary

FRAMES = [
    ("Start-up time goes from 40 s to 28 s (−{} %).", "30", "55"),
    ("The container shrinks from 8.4 GB to 6.3 GB, {} % smaller.", "25", "45"),
    ("It uses 2.6 GFLOPs per token instead of 6.5 GFLOPs, a reduction of {} %.", "60", "75"),
    ("Cold starts take 9 s instead of 27 s, {}x faster.", "3", "5"),
    ("The number of languages has grown from 40 to 58, {} % more.", "45", "70"),
    ("The cache of 1.2 GB is {} % smaller than the old cache of 4.8 GB.", "75", "40"),
    ("The edge box handles 48 streams, {} times as many as the 16 streams of the old box.", "three", "five"),
    ("Idle, it draws 0.9 watts, {} % less than the 1.2 watts of Gull.", "25", "60"),
    ("Murmur makes {} % fewer errors than Otter (2.1 % against 2.7 %).", "22", "45"),
    ("The vocabulary has {}, from 32,000 to 64,000 entries.", "doubled", "tripled"),
    ("It costs $0.50 with BF16 and $0.30 with FP8, {} % less.", "40", "70"),
    ("The flat index needs 24 GB, whereas the small index needs 8 GB, that is, {} times less.", "three", "six"),
    ("Input tokens fall from $3.00 to $1.20 per million (-{}%).", "60", "85"),
    ("Compared with Wren at 3,600 tokens/s, Heron's 4,140 tokens/s are {}% higher.", "15", "40"),
    ("在 GSM8K 上得分 84.0,较上一代的 75.0 提升 {}%。", "12", "30"),
    ("训练时间从 60 小时缩短到 24 小时，缩短了{}%。", "60", "85"),
    ("磁盘占用从 30 GB 降低到 10 GB，降低到原来的{}。", "三分之一", "一半"),
    ("输出价格从每百万 token 12 元降到 8 元，便宜了{}%。", "33", "50"),
    ("吞吐量从每秒 40 个请求提高到每秒 100 个请求，是原来的{}倍。", "2.5", "4"),
]
HONEST = [
    "Latency falls from 40 s to 28 s, with 55 % less memory.",
    "Latency falls from 40 s to 28 s, a 55 % reduction in memory.",
    "Latency falls from 40 s to 28 s, and the price by 55 %.",
    "Latency falls from 40 s to 28 s, up to 55 % with caching.",
    "It costs $0.20 per million input tokens and $0.60 per million output tokens, a saving of 75 %.",
    "Otter has 72 % on MMLU and 80 % on GSM8K, a gain of 5 points.",
    "Otter answers in 28 s on average instead of 40 s, on average across tasks 55 % faster.",
    "Otter takes 12 GB, 55 % for the weights of 4.2 GB.",
    "Otter 4 needs 350 ms and Otter 3 500 ms. With speculative decoding, it is 2.2 times faster.",
    "Otter 4 needs 350 ms and Otter 3 500 ms. Under load, it is more than twice as fast.",
    "Otter 4 keeps 97 % of the accuracy.",
    "Otter 4 was trained with around half the time of Heron 6 (2800 vs 6300 hours).",
    "Cold starts take 9 s instead of 16 s, nearly twice as fast.",
    "Prices went from $10 to $8 per seat, and with the annual discount 40 % less.",
    "The context grew from 8K to 32K tokens, 10 times that of Otter 0.",
    "Otter 2 scores 71.0 on MMLU and Otter 1 scores 65.0 on MMLU, 8 points better on code.",
    "价格从 10 元降到 8 元,叠加年付优惠后便宜 40%。",
    "上下文从 8K 扩展到 32K,是云雀 0 的 10 倍。",
]


def _state(text: str) -> str:
    drafted = draft(read_markdown(f"# Notes\n\n{text}\n"))
    changes = [claim for claim in drafted.claims if claim.is_change]
    if any("do not give it" in ground for claim in changes for ground in claim.grounds):
        return "fails"
    return "holds" if any(claim.derive for claim in changes) else "nothing"


@pytest.mark.parametrize(("frame", "right", "wrong"), FRAMES)
def test_a_change_is_held_against_the_two_values_of_its_sentence(frame, right, wrong):
    assert (_state(frame.format(right)), _state(frame.format(wrong))) == ("holds", "fails")


@pytest.mark.parametrize("text", HONEST)
def test_a_change_of_something_else_is_held_against_nothing(text):
    assert _state(text) != "fails"


COLUMNS = [
    "| Model | A (ms) | B (ms) | Speedup |\n|-|-|-|-|\n| a1 | 90 | 45 | 2.0x |\n| b1 | 84 | 28 | 3.0x |\n"
    "| c1 | 75 | 50 | {} |\n| d1 | 80 | 32 | 2.5x |\n",
    "| Benchmark | Otter 1 | Otter 2 | Change |\n|-|-|-|-|\n| MMLU | 71.4 | 78.9 | +7.5 |\n"
    "| GSM8K | 55.3 | 70.8 | {} |\n| BoolQ | 80.2 | 84.1 | +3.9 |\n",
    "| Variant | F1 | Δ |\n|-|-|-|\n| Full | 82.1 | - |\n| w/o adapter | 80.6 | -1.5 |\n| w/o data | 75.0 | {} |\n"
    "| w/o both | 71.4 | -10.7 |\n| w/o all | 70.0 | -12.1 |\n",
    "| Format | Otter (GB) | Heron (GB) | Total (GB) |\n|-|-|-|-|\n| FP16 | 18.2 | 93.0 | 111.2 |\n"
    "| FP8 | 10.4 | 48.5 | 58.9 |\n| FP4 | 6.1 | 26.2 | {} |\n| FP2 | 4.0 | 14.0 | 18.0 |\n",
]


@pytest.mark.parametrize(
    ("table", "right", "wrong"),
    [*zip(COLUMNS, ("1.5x", "+15.5", "-7.1", "32.3"), ("2.6x", "+21.5", "-11.7", "41.3"), strict=True)],
)
def test_a_computed_column_is_held_against_what_its_other_rows_show(table, right, wrong, tmp_path):
    assert (_convicted(table.format(right), tmp_path), _convicted(table.format(wrong), tmp_path)) == (0, 1)


@pytest.mark.parametrize("change", ["+0.4", "+9.9", "2.6x", "12 %"])
def test_a_column_of_changes_from_elsewhere_convicts_nothing(change, tmp_path):
    rows = "".join(f"| w{n} | {70 + n}.3 | {change} |\n" for n in range(3))
    assert _convicted(f"| Variant | F1 | Gain |\n|-|-|-|\n{rows}", tmp_path) == 0


def _convicted(text: str, folder) -> int:
    path = folder / "article.yaml"
    drafted = draft(read_markdown(f"# Notes\n\n{text}\n"))
    path.write_text(settled_yaml(drafted, id="q-1", source="article.md"), encoding="utf-8")
    document = load(path)
    checked = assess([document], load_record(), load_vocabulary())
    return sum(entry.arithmetic.verdict == "internally_inconsistent" for entry in checked.assessments)


COUNTED = [
    ("Raters preferred Otter 2 in 540 of 900 conversations, or {} %.", "60", "71"),
    ("Of the 5,000 utterances, 4,850 were correct ({} %).", "97", "88"),
    ("Otter has 4.8B parameters, of which 1.2B are active, that is, {} %.", "25", "33"),
    ("在 500 个样本中，Otter 答对 430 个，准确率{}%。", "86", "78"),
    ("Training used 256 GPUs for 500 hours, {} GPU hours in all.", "128,000", "98,000"),
    ("Each of our 8 nodes serves 150 requests per second, {} requests per second in total.", "1,200", "1,600"),
    ("1,000 hours of audio at $0.24 per hour cost ${}.", "240", "340"),
    ("The plan costs $250 a month, that is ${} a year.", "3,000", "2,500"),
    (
        "The run takes {} minutes in total: 41 minutes for units, 35 minutes for models and 20 minutes for docs.",
        "96",
        "120",
    ),
]
NOT_COUNTED = [
    "Of the 1,600 items, 400 are hard; on those Otter reaches 41 %.",
    "Of the 1,600 items, 400 were labelled twice (95 % agreement).",
    "Of 900 users, about 540, or 71 %, by another estimate, stayed.",
    "The plan costs $250 a month, or $2,500 a year.",
]


@pytest.mark.parametrize(("frame", "right", "wrong"), COUNTED)
def test_shares_and_products_are_held_against_the_numbers_of_their_sentence(frame, right, wrong, tmp_path):
    assert (_convicted(frame.format(right), tmp_path), _convicted(frame.format(wrong), tmp_path)) == (0, 1)


@pytest.mark.parametrize("text", NOT_COUNTED)
def test_a_number_of_something_else_is_no_share(text, tmp_path):
    assert _convicted(text, tmp_path) == 0


@pytest.mark.parametrize("name", ["WinoGrande", "Generation", "Twin-2K"])
def test_a_benchmark_whose_name_holds_another_word_is_a_part_of_the_average(name):
    rows = "| O 1 | 10.0 | 30.0 | 20.0 |\n| O 2 | 20.0 | 60.0 | 40.0 |\n"
    table = f"| Model | A | {name} | Average |\n|---|---|---|---|\n{rows}"
    (proposal,) = draft(read_markdown(f"# Results\n\n{table}")).tables
    assert proposal.columns[-1].get("mean_of") == ["A", name]
