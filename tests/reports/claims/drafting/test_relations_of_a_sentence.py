"""What a sentence says to follow from its own numbers: found where it holds and where it fails, and nowhere else."""

from __future__ import annotations

import pytest

from evals.reports.claims.drafting.drafter import draft
from evals.reports.claims.drafting.readers.markdown import read_markdown

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
