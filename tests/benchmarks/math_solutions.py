r"""How often the answer is read from real solutions that do not state it: the last sentences alone.

    python tests/benchmarks/math_solutions.py ../shared/data

The solutions are those of GSM8K without their line ``#### n``, those of MATH without the command ``\boxed``, and the
published outputs of two models without their line ``A: n`` (right is there what the removed line says). Beside it: how
often the last number of the text is the answer, which is what lm-evaluation-harness reads as `flexible-extract`.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from evals import Generate, Prediction, Sample, registry
from evals.metrics.math_grader import Grader
from evals.tasks.math import prompt
from evals.tasks.scoring.math_reading.answers import extract_strict
from evals.tasks.scoring.math_reading.statements import boxes

LAST_NUMBER = re.compile(r"-?[$0-9.,]{2,}|-?[0-9]+")
"""As in lm_eval/tasks/gsm8k/gsm8k.yaml."""
CALCULATOR = re.compile(r"<<[^<>\n]*>>")


class Solution(NamedTuple):
    """A solution without its statement."""

    problem: str
    answer: str
    text: str


def without_boxes(text: str) -> str:
    r"""Replace each ``\boxed{x}`` by x."""
    for start, end, content in reversed(boxes(text, 50)):
        text = text[:start] + content + text[end:]
    return text


def read_rows(path: Path) -> Iterator[dict[str, str]]:
    """Read JSON lines."""
    with path.open(encoding="utf-8") as file:
        yield from map(json.loads, file)


def solutions(folder: Path) -> dict[str, list[Solution]]:
    """Return the solutions of each source."""
    sources: dict[str, list[Solution]] = {"GSM8K test": [], "GSM8K train": [], "MATH test": []}
    for split in ("test", "train"):
        for row in read_rows(folder / "gsm8k" / f"{split}.jsonl"):
            text, answer = row["answer"].split("####")
            sources[f"GSM8K {split}"].append(Solution("", answer.strip(), text.strip()))
    for row in read_rows(folder / "math" / "test.jsonl"):
        answer = extract_strict(row["solution"], "boxed")
        assert answer is not None
        sources["MATH test"].append(Solution(row["problem"], answer.text, without_boxes(row["solution"])))
    for path in sorted((folder / "gsm8k" / "recorded").glob("*.jsonl")):
        outputs = [(row["output"], extract_strict(row["output"], "A:")) for row in read_rows(path)]
        sources[path.stem] = [
            Solution("", stated.text, re.sub(r"^A: .*$", "", output, flags=re.MULTILINE).strip())
            for output, stated in outputs
            if stated is not None
        ]
    return sources


def last_number(text: str) -> str:
    """Return the last number of a text."""
    numbers = LAST_NUMBER.findall(CALCULATOR.sub("", text))
    return numbers[-1].strip("$,.").replace(",", "") if numbers else ""


def main() -> None:
    """Print for each source how many answers are read right, and how many are the last number."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="has gsm8k/test.jsonl, gsm8k/train.jsonl and math/test.jsonl")
    arguments = parser.parse_args()
    registry.discover()
    task = registry.TASKS.get("math/math")
    print(f"{'solutions of':18} {'number':>7} {'read right':>11} {'last number':>12}")
    for source, listed in solutions(arguments.folder).items():
        samples = [
            Sample(str(n), (Generate(str(n), (prompt(solution.problem),), 1, ()),), solution.answer)
            for n, solution in enumerate(listed)
        ]
        predictions = {str(n): [Prediction(str(n), solution.text)] for n, solution in enumerate(listed)}
        read = sum(score.values["accuracy"] for score in task.score(samples, predictions))
        with Grader() as grader:
            last = sum(
                grade.equal for grade in grader.grade([(item.answer, last_number(item.text)) for item in listed])
            )
        print(f"{source:18} {len(listed):7,} {read / len(listed):11.1%} {last / len(listed):12.1%}", flush=True)


if __name__ == "__main__":
    main()
