"""The learning curve of `r1-zero`: the share of sums that the most likely answer solves, by number of interactions."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from evals.statistics.intervals import wilson
from evals.tasks.mini.sums import LONGEST, read, sums

if TYPE_CHECKING:
    from transformers import LlamaForCausalLM, PreTrainedTokenizerBase

CURVE = "curve.csv"
COLUMNS = ("interactions", "split", "right", "of", "rate", "low", "high")


def solved(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerBase, split: str) -> list[bool]:
    """Return for each sum of a split whether greedy decoding solves it."""
    import torch

    prompts = torch.tensor(tokenizer([problem.prompt for problem in sums(split)])["input_ids"])
    output = model.generate(
        prompts, attention_mask=torch.ones_like(prompts), max_new_tokens=LONGEST, do_sample=False
    )  # fmt: skip
    texts = tokenizer.batch_decode(output[:, prompts.shape[1] :], skip_special_tokens=True)
    return [read(text) == problem.result for text, problem in zip(texts, sums(split), strict=True)]


def point(interactions: int, split: str, right: Sequence[bool]) -> dict[str, str]:
    """Make a row of the learning curve, with a 95 % Wilson interval."""
    low, high = wilson(sum(right), len(right))
    values = (f"{value:.4f}" for value in (sum(right) / len(right), low, high))
    return dict(zip(COLUMNS, (str(interactions), split, str(sum(right)), str(len(right)), *values), strict=True))


def read_curve(out: Path) -> list[dict[str, str]]:
    """Read the learning curve in a folder; no rows if there is none."""
    if not (out / CURVE).exists():
        return []
    with (out / CURVE).open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def write_curve(out: Path, rows: Iterable[dict[str, str]]) -> None:
    """Write the learning curve into a folder."""
    with (out / CURVE).open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)
