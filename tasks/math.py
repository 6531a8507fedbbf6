r"""Mathematical problems in words: GSM8K, MATH, MATH-500 and the bundled mini set.

Cobbe et al., Training verifiers to solve math word problems, arXiv 2110.14168 (GSM8K, 1,319 test problems); Hendrycks
et al., Measuring mathematical problem solving with the MATH dataset, NeurIPS 2021 (5,000); Lightman et al., Let's
verify step by step, arXiv 2305.20050 (MATH-500, 500 of them). A problem of each, as it stands in the files:

    {"question": "Janet's ducks lay 16 eggs per day. …", "answer": "Janet sells 16 - 3 - 4 = <<16-3-4=9>>9 …\n#### 18"}
    {"problem": "How many vertical asymptotes …?", "level": "Level 3", "type": "Algebra",
     "solution": "… $\\boxed{2}$ vertical asymptotes.", "unique_id": "test/algebra/1.json"}

A model writes its steps and ends in the form that the benchmark's own solutions end in. Three accuracies stand side by
side, because most disagreements about such numbers are about reading the answer:

    accuracy            the headline: the answer, read flexibly, equals the gold answer (verified equivalence)
    accuracy-strict     the answer in the asked form, written as the gold answer is
    accuracy-flexible   the answer in whatever form, written as the gold answer is

The thinking of a reasoning model goes before anything is read, and so does what a model writes after its answer when it
runs on into a next question; the share of such outputs is `run-on`. With several samples a problem, `accuracy` is
their mean, `pass@k` the unbiased estimate of Chen et al. (arXiv 2107.03374) and `majority` the commonest answer's.
"""

from __future__ import annotations

import atexit
import functools
import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

from evals import data
from evals.errors import InputError, UnknownName
from evals.metrics.estimates import Mean, means
from evals.metrics.math_grader import Grader
from evals.registry import TASKS
from evals.schema import Generate, Json, Metric, Options, Prediction, Sample, Samples, Score, Task
from evals.tasks.formats.math import read_problems
from evals.tasks.mini import BUNDLED
from evals.tasks.scoring.math_answers import (
    Answer,
    cut_run_on,
    extract_flexible,
    extract_strict,
    normalise,
    strip_thinking,
)

INSTRUCTIONS = {
    "####": "Solve each problem step by step. End with #### and the answer as a number.\n\n",
    "boxed": "Solve each problem step by step. End with the answer in \\boxed{}.\n\n",
}
"""By the form of the answer that is asked for; our own wording."""
STOP = ("\n\nQuestion:",)
MINI = BUNDLED / "math"


@dataclass(frozen=True)
class Benchmark:
    """What differs between the benchmarks."""

    name: str
    summary: str
    form: str
    """How an answer is asked for: a key of `INSTRUCTIONS`."""
    file: str
    """The test problems in a user's folder."""
    size: int
    """Official number of test problems."""
    shots: int
    """Examples in the prompt when nothing else is asked for and the folder has the training problems."""
    max_new_tokens: int
    source: str


TABLE = (
    Benchmark("gsm8k", "GSM8K: school problems of two to eight steps", "####", "test.jsonl", 1319, 8, 512,
              "https://github.com/openai/grade-school-math (grade_school_math/data: test.jsonl, train.jsonl)"),
    Benchmark("math500", "MATH-500: 500 problems of MATH", "boxed", "math500.jsonl", 500, 4, 1024,
              "https://github.com/openai/prm800k (prm800k/math_splits/test.jsonl, named math500.jsonl)"),
    Benchmark("math", "MATH: competition problems of five levels", "boxed", "test.jsonl", 5000, 4, 1024,
              "https://github.com/hendrycks/math, as JSON lines with problem, solution and unique_id"),
)  # fmt: skip


def prompt(question: str) -> str:
    r"""The part of a prompt that is the problem's own.

    Example:
        >>> prompt("How much is 9 * 2?")
        'Question: How much is 9 * 2?\nAnswer:'
    """
    return f"Question: {question}\nAnswer:"


def samples(benchmark: Benchmark, options: Options) -> Samples:
    """Read the problems of a benchmark, each with the prompt of all.

    Raises:
        InputError: files are missing or malformed, a solution states no answer, or there are fewer training problems
            than examples are asked for.
        UnknownName: there is no such split.
    """
    if options.data is None and options.scale == "full":
        raise InputError(
            f"math/{benchmark.name} at full scale needs the official files; {benchmark.source}; see --data"
        )
    path = _path(benchmark, options)
    problems = read_problems(path, benchmark.form)
    leading, examples = _leading(benchmark, options, path)
    count = options.samples_per_problem

    def build(index: int) -> Sample:
        problem = problems[index]
        requests = tuple(
            Generate(
                problem.id if count == 1 else f"{problem.id}#{n}",
                (leading, prompt(problem.question)),
                benchmark.max_new_tokens,
                STOP,
                temperature=options.temperature,
                top_p=options.top_p,
                seed=options.seed,
            )
            for n in range(count)
        )
        return Sample(problem.id, requests, target=problem.gold, labels=problem.labels)

    facts = {
        "source": "bundled" if options.data is None else benchmark.name.upper() + " files",
        "split": path.stem,
        "shots": examples,
        "files": {path.name: data.digest(path)},
    }
    return Samples([problem.id for problem in problems], build, facts)


def _path(benchmark: Benchmark, options: Options) -> Path:
    """Find the file of test problems."""
    if options.data is None:
        split = options.split or "validation"
        if split != "validation":
            raise UnknownName(f"split of math/{benchmark.name}", split, ["validation"])
        return MINI / "validation.parquet"
    if options.data.is_file():
        return options.data
    name = f"{options.split}.jsonl" if options.split else benchmark.file
    ((path, *_),) = data.find(options.data, [name], benchmark.source)
    return path


def _leading(benchmark: Benchmark, options: Options, path: Path) -> tuple[str, int]:
    """The part of the prompt that all problems have in common, and how many examples it holds.

    The examples are drawn from the training problems by the seed alone, so that they are computed once for all.
    """
    train = path.with_name(f"train{path.suffix}")
    wanted = options.shots if options.shots is not None else (benchmark.shots if options.data and train.exists() else 0)
    if not wanted:
        return INSTRUCTIONS[benchmark.form], 0
    if not train.exists():
        raise InputError(f"--shots {wanted} needs training problems: {train} does not exist; {benchmark.source}")
    known = read_problems(train, benchmark.form)
    if wanted > len(known):
        raise InputError(f"--shots {wanted} is more than the {len(known)} problems of {train}")
    chosen = Random(f"{benchmark.name} {options.seed}").sample(known, wanted)
    examples = "".join(f"{prompt(problem.question)} {problem.solution}\n\n" for problem in chosen)
    return INSTRUCTIONS[benchmark.form] + examples, wanted


# What an output is worth


@dataclass(frozen=True)
class ExtractedAnswers:
    """What was read from one output."""

    strict: Answer | None
    flexible: Answer | None
    ran_on: bool


def read(output: str, form: str) -> ExtractedAnswers:
    r"""Read the answer of an output: without its thinking, and without what comes after its answer.

    Example:
        >>> read("<think>18?</think>9 * 2 = 18\n#### 18\n\nQuestion: next", "####").flexible.text
        '18'
    """
    said, reached = strip_thinking(output)
    text, ran_on = cut_run_on(said)
    if not reached:
        return ExtractedAnswers(None, None, ran_on=False)
    return ExtractedAnswers(extract_strict(text, form), extract_flexible(text), ran_on)


def score(form: str, samples: Sequence[Sample], predictions: Mapping[str, Sequence[Prediction]]) -> list[Score]:
    """Score samples by the three rules. Raises `InputError` when an output is no text."""
    readings = {sample.id: [_reading(prediction, form) for prediction in predictions[sample.id]] for sample in samples}
    pairs = [
        (sample.target, reading.flexible.text)
        for sample in samples
        for reading in readings[sample.id]
        if reading.flexible is not None
    ]
    grades = iter(_grader().grade(pairs))
    verified = {
        sample.id: [reading.flexible is not None and next(grades).equal for reading in readings[sample.id]]
        for sample in samples
    }
    return [_score(sample, predictions[sample.id], readings[sample.id], verified[sample.id]) for sample in samples]


@functools.cache
def _grader() -> Grader:
    """One grader a process: its workers take a second to start, and end with it."""
    grader = Grader()
    atexit.register(grader.close)
    return grader


def _reading(prediction: Prediction, form: str) -> ExtractedAnswers:
    if prediction.failure is not None:
        return ExtractedAnswers(None, None, ran_on=False)
    return read(prediction.text(), form)


def _score(
    sample: Sample, predictions: Sequence[Prediction], readings: Sequence[ExtractedAnswers], verified: Sequence[bool]
) -> Score:
    gold = normalise(sample.target)
    values = {
        "accuracy": _mean(verified),
        "accuracy-strict": _mean(r.strict is not None and normalise(r.strict.text) == gold for r in readings),
        "accuracy-flexible": _mean(r.flexible is not None and normalise(r.flexible.text) == gold for r in readings),
        "run-on": _mean(reading.ran_on for reading in readings),
    }
    answers = [reading.flexible.text if reading.flexible else None for reading in readings]
    if len(readings) > 1:
        values |= {f"pass@{k}": pass_at(len(verified), sum(verified), k) for k in _powers(len(verified))}
        values["majority"] = majority(answers, verified)
    failed = any(prediction.failure is not None for prediction in predictions)
    answer: Json = answers[0] if len(answers) == 1 else (answers if any(answers) else None)
    return Score(sample.id, answer, sample.target, values, failed, sample.cluster, sample.labels)


def pass_at(n: int, right: int, k: int) -> float:
    """Estimate without bias how likely one of k samples is right, from n samples of which some were.

    Source: Chen et al., arXiv 2107.03374, equation 1.

    Example:
        >>> pass_at(4, 1, 1), pass_at(4, 1, 4), round(pass_at(10, 3, 2), 4)
        (0.25, 1.0, 0.5333)
    """
    return 1.0 - math.comb(n - right, k) / math.comb(n, k)


def majority(answers: Sequence[str | None], right: Sequence[bool]) -> float:
    """Say how far the commonest answer is right; answers that are equally common share the vote.

    Example:
        >>> majority(["18", "18.0", "3", None], [True, True, False, False])
        1.0
        >>> majority(["18", "3"], [True, False])
        0.5
    """
    written = [normalise(answer) for answer in answers if answer is not None]
    if not written:
        return 0.0
    most = Counter(written).most_common(1)[0][1]
    first = {normalise(answer): verdict for answer, verdict in zip(answers, right, strict=True) if answer is not None}
    leaders = [answer for answer, count in Counter(written).items() if count == most]
    return _mean(first[answer] for answer in leaders)


def _powers(n: int) -> list[int]:
    """1, 2, 4, … up to n, and n."""
    return sorted({*(2**power for power in range(n.bit_length()) if 2**power <= n), n})


def _mean(values: Iterable[float]) -> float:
    listed = list(values)
    return math.fsum(listed) / len(listed)


def summarise(scores: Sequence[Score]) -> dict[str, Metric]:
    """Average every figure, and the headline by level and by type where problems have them."""
    wanted = {name: Mean(name) for name in scores[0].values}
    for label in ("level", "type"):
        for told in sorted({score.labels[label] for score in scores if label in score.labels}):
            wanted[f"accuracy/{label}/{told}"] = Mean("accuracy", label, told)
    return means(scores, wanted)


def _task(name: str, benchmark: Benchmark, summary: str) -> Task:
    read_samples: Callable[[Options], Samples] = functools.partial(samples, benchmark)
    return Task(
        name=name,
        summary=summary,
        version=1,
        needs="generate",
        splits=("validation",),
        headline="accuracy",
        supported_options=frozenset({"shots", "temperature", "samples"}),
        samples=read_samples,
        score=functools.partial(score, benchmark.form),
        summarise=summarise,
    )


TASKS.add(_task("math", TABLE[0], "worked problems; GSM8K's form, bundled unless --data is given"))
for _benchmark in TABLE:
    TASKS.add(_task(f"math/{_benchmark.name}", _benchmark, _benchmark.summary))
