"""The benchmarks of worked problems: their files, sizes and defaults."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Benchmark:
    """The properties in which the benchmarks differ."""

    name: str
    summary: str
    form: str
    """The requested form of the answer: a key of `evals.tasks.math.INSTRUCTIONS`."""
    file: str
    """The name of the file of test problems in a user's folder."""
    size: int
    """Official number of test problems."""
    shots: int
    """Default number of examples in the prompt, if the folder has the training problems."""
    max_new_tokens: int
    source: str
    """Where the official files are."""
    repository: str = ""
    """The hub's data set, read at full scale unless other files are named."""
    hub_files: tuple[str, ...] = ()
    """Patterns of its files, the test problems first."""
    by_subject: bool = False
    """Whether its files are in a folder for each subject."""


TABLE = (
    Benchmark(
        name="gsm8k",
        summary="GSM8K: school problems of two to eight steps",
        form="####",
        file="test.jsonl",
        size=1319,
        shots=8,
        max_new_tokens=512,
        source="https://github.com/openai/grade-school-math (grade_school_math/data: test.jsonl, train.jsonl)",
        repository="openai/gsm8k",
        hub_files=("main/test-*.parquet", "main/train-*.parquet"),
    ),
    Benchmark(
        name="math500",
        summary="MATH-500: 500 problems of MATH",
        form="boxed",
        file="math500.jsonl",
        size=500,
        shots=4,
        max_new_tokens=1024,
        source="https://github.com/openai/prm800k (prm800k/math_splits/test.jsonl, named math500.jsonl)",
        repository="HuggingFaceH4/MATH-500",
        hub_files=("test.jsonl",),
    ),
    Benchmark(
        name="math",
        summary="MATH: competition problems of five levels",
        form="boxed",
        file="test.jsonl",
        size=5000,
        shots=4,
        max_new_tokens=1024,
        source="https://github.com/hendrycks/math, as JSON lines with problem, solution and unique_id",
        repository="EleutherAI/hendrycks_math",
        hub_files=("*/test-*.parquet", "*/train-*.parquet"),
        by_subject=True,
    ),
)
