r"""Math word problems: GSM8K, MATH, MATH-500 and the bundled mini set.

Cobbe et al., Training verifiers to solve math word problems, arXiv 2110.14168 (GSM8K, 1,319 test problems); Hendrycks
et al., Measuring mathematical problem solving with the MATH dataset, NeurIPS 2021 (5,000); Lightman et al., Let's
verify step by step, arXiv 2305.20050 (MATH-500, 500 of them). A problem of GSM8K and one of MATH, as in the files:

    {"question": "Janet's ducks lay 16 eggs per day. …", "answer": "Janet sells 16 - 3 - 4 = <<16-3-4=9>>9 …\n#### 18"}
    {"problem": "How many vertical asymptotes …?", "level": "Level 3", "type": "Algebra",
     "solution": "… $\\boxed{2}$ vertical asymptotes.", "unique_id": "test/algebra/1.json"}

A model writes its steps and states the answer in the form of the benchmark's own solutions. Three accuracies are
reported, because most disagreements about published values are about how the answer is read:

    accuracy            the headline: the answer in any form is equivalent to the gold answer (verified equivalence)
    accuracy-strict     the answer in the requested form equals the gold answer as a normalised string
    accuracy-flexible   the answer in any form equals the gold answer as a normalised string

The thinking of a reasoning model is removed before the answer is read, and so is a next question that a model writes
after its answer; the share of such outputs is `run-on`. `given-up` is the share of answers that could not be compared
within their limits of time and memory; they count as wrong. With several outputs per problem, `accuracy` is their mean,
`pass@k` the unbiased estimate of Chen et al. (arXiv 2107.03374) and `majority` the accuracy of the most frequent
answer, where answers that are equivalent count as one.
"""

from __future__ import annotations

import atexit
import dataclasses
import functools
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

from evals import data
from evals.errors import InputError, UnknownName
from evals.registry import TASKS
from evals.schema import Generate, Json, Metric, Options, Prediction, PromptTemplates, Sample, Samples, Score, Task
from evals.tasks.formats import math_prompts, math_tables, plain_templates
from evals.tasks.formats.math import Problem, read_problems
from evals.tasks.formats.math_benchmarks import TABLE, Benchmark
from evals.tasks.mini import BUNDLED

if TYPE_CHECKING:
    # Reading answers compiles hundreds of patterns, which every command would wait for.
    from evals.metrics.math_grader import AnswerPair, Grade, Grader
    from evals.tasks.scoring.math_reading.answers import Answer, ExtractedAnswers

INSTRUCTIONS = {
    "####": "Solve each problem step by step. End with #### and the answer as a number.\n\n",
    "boxed": "Solve each problem step by step. End with the answer in \\boxed{}.\n\n",
}
"""By the requested form of the answer; the wording is ours."""
_Facts = dict[str, Json]
STOP = ("\n\nQuestion:",)
MINI = BUNDLED / "math"


def prompt(question: str) -> str:
    r"""Return the last part of a prompt, which holds the problem.

    Example:
        >>> prompt("How much is 9 * 2?")
        'Question: How much is 9 * 2?\nAnswer:'
    """
    return f"Question: {question}\nAnswer:"


def samples(benchmark: Benchmark, options: Options) -> Samples:
    """Read the problems of a benchmark; the instruction and the examples are the same for all.

    Raises:
        InputError: files are missing or malformed, a solution states no answer, or there are fewer training problems
            than requested examples.
        UnknownName: there is no such split.
    """
    fetched: dict[str, Json] = {}
    if options.data is None and options.scale == "full":
        options, fetched = _fetched(benchmark, options)
    problems, examples, facts = _read(benchmark, options, is_fetched=bool(fetched))
    instruction, asked = math_prompts.template(INSTRUCTIONS[benchmark.form], options.prompt)
    leading = (instruction + "".join(examples),) if instruction or examples else ()
    stop = math_prompts.stop(STOP, asked)
    count = options.samples_per_problem

    def build(index: int) -> Sample:
        problem = problems[index]
        requests = tuple(
            Generate(
                problem.id if count == 1 else f"{problem.id}#{n}",
                (*leading, plain_templates.fill(asked, {"question": problem.question})),
                benchmark.max_new_tokens,
                stop,
                temperature=options.temperature,
                top_p=options.top_p,
                seed=options.seed,
                examples=examples,
            )
            for n in range(count)
        )
        return Sample(problem.id, requests, target=problem.gold, labels=problem.labels)

    return Samples([problem.id for problem in problems], build, facts | fetched)


def _read(benchmark: Benchmark, options: Options, *, is_fetched: bool) -> tuple[list[Problem], tuple[str, ...], _Facts]:
    """Read the problems, the examples and what identifies them."""
    if options.data is not None and options.data.is_dir() and is_fetched and benchmark.by_subject:
        return _subjects(benchmark, options.data, options)
    if math_tables.is_table(options, benchmark.form):
        table = math_tables.read(benchmark.form, options)
        examples = _drawn(benchmark, options.shots or 0, options, table.train or [], f"{options.data}, split train")
        return table.problems, examples, table.facts | {"shots": len(examples)}
    path = _path(benchmark, options)
    problems = read_problems(path, benchmark.form)
    examples = _examples(benchmark, options, path)
    return problems, examples, {
        "source": "bundled" if options.data is None else benchmark.name.upper() + " files",
        "split": path.stem,
        "shots": len(examples),
        "files": {path.name: data.digest(path)},
    }  # fmt: skip


def _fetched(benchmark: Benchmark, options: Options) -> tuple[Options, dict[str, Json]]:
    """Return the options with the hub's file of test problems, which is downloaded at its first use."""
    from evals.data.row_tables.hub_files import official

    folder, facts = official(benchmark.repository, benchmark.hub_files, benchmark.name)
    data = folder if benchmark.by_subject else next(folder.glob(benchmark.hub_files[0]))
    return dataclasses.replace(options, data=data), facts


def _subjects(benchmark: Benchmark, folder: Path, options: Options) -> tuple[list[Problem], tuple[str, ...], _Facts]:
    """Read the hub's files of test problems, and of training problems for examples."""
    if options.split not in {None, "test"}:
        raise UnknownName(f"split of math/{benchmark.name}", str(options.split), ["test"])
    shots = options.shots if options.shots is not None else benchmark.shots
    test, train = (sorted(folder.glob(pattern)) for pattern in benchmark.hub_files)
    problems = math_tables.read_subjects(test, benchmark.form)
    known = math_tables.read_subjects(train, benchmark.form) if shots else []
    examples = _drawn(benchmark, shots, options, known, f"{benchmark.repository}, split train")
    files = {f"{path.parent.name}/{path.name}": data.digest(path) for path in (test + train if shots else test)}
    return problems, examples, {"source": "hub", "split": "test", "shots": shots, "files": files}


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


def _examples(benchmark: Benchmark, options: Options, path: Path) -> tuple[str, ...]:
    """Return the few-shot examples, which all problems share.

    The examples are drawn from the training problems by the seed alone: they are the same for all problems, so the
    shared part is computed once.
    """
    train = path.with_name(f"train{path.suffix}" if not path.name.startswith("test-") else f"train{path.name[4:]}")
    shots = options.shots if options.shots is not None else (benchmark.shots if options.data and train.exists() else 0)
    if not shots:
        return ()
    if not train.exists():
        raise InputError(f"--shots {shots} needs training problems: {train} does not exist; {benchmark.source}")
    return _drawn(benchmark, shots, options, read_problems(train, benchmark.form), str(train))


def _drawn(benchmark: Benchmark, shots: int, options: Options, problems: list[Problem], where: str) -> tuple[str, ...]:
    """Draw examples of training problems."""
    if shots > len(problems):
        raise InputError(f"--shots {shots} is more than the {len(problems)} problems of {where}")
    chosen = Random(f"{benchmark.name} {options.seed}").sample(problems, shots)
    _, asked = math_prompts.template(INSTRUCTIONS[benchmark.form], options.prompt)
    return tuple(
        f"{plain_templates.fill(asked, {'question': problem.question})} {problem.solution}\n\n" for problem in chosen
    )


# Scores


def score(form: str, samples: Sequence[Sample], predictions: Mapping[str, Sequence[Prediction]]) -> list[Score]:
    """Score samples by the three rules.

    Args:
        form: the requested form of the answer, a key of `INSTRUCTIONS`.
        samples: the samples.
        predictions: by sample id, one or more outputs.

    Raises:
        InputError: an output is not text.
    """
    from evals.metrics.math_equivalence import element_count
    from evals.tasks.scoring.math_reading.answers import asked_quantities, asked_value

    extracted = {
        sample.id: [_extract(output, form, element_count(sample.target)) for output in predictions[sample.id]]
        for sample in samples
    }
    pairs = [
        (sample.target, asked_value(answers.flexible.text, quantities))
        for sample in samples
        for quantities in [asked_quantities(_problem(sample))]
        for answers in extracted[sample.id]
        if answers.flexible is not None
    ]
    grades = iter(_grader().grade(pairs))
    graded = {
        name: [next(grades) if answers.flexible else None for answers in listed] for name, listed in extracted.items()
    }
    return [_score(sample, predictions[sample.id], extracted[sample.id], graded[sample.id]) for sample in samples]


def _problem(sample: Sample) -> str:
    """Return the text of a problem: the last part of its prompt."""
    request = sample.requests[0] if sample.requests else None
    last_part = request.parts[-1] if isinstance(request, Generate) else ""
    return last_part if isinstance(last_part, str) else ""


@functools.cache
def _grader() -> Grader:
    """Return the grader of this process; its workers take a second to start and end with the process."""
    from evals.metrics.math_grader import Grader

    grader = Grader()
    atexit.register(grader.close)
    return grader


def _equal(pairs: list[AnswerPair]) -> list[bool]:
    return [grade.equal for grade in _grader().grade(pairs)]


def _extract(prediction: Prediction, form: str, elements: int) -> ExtractedAnswers:
    from evals.tasks.scoring.math_reading.answers import ExtractedAnswers, read_output

    if prediction.failure is not None:
        return ExtractedAnswers(None, None, ran_on=False)
    return read_output(prediction.text(), form, elements)


def _score(
    sample: Sample,
    predictions: Sequence[Prediction],
    extracted: Sequence[ExtractedAnswers],
    grades: Sequence[Grade | None],
) -> Score:
    from evals.tasks.scoring.math_reading.normal import written_alike
    from evals.tasks.scoring.math_reading.sampling import grouped, majority, pass_at

    def equals_gold(answer: Answer | None) -> bool:
        return answer is not None and written_alike(sample.target, answer.text)

    # An answer that is written as the gold answer is right, whatever the algebra makes of it.
    verified = [
        (grade is not None and grade.equal) or equals_gold(answers.strict) or equals_gold(answers.flexible)
        for grade, answers in zip(grades, extracted, strict=True)
    ]
    values = {
        "accuracy": _mean(verified),
        "accuracy-strict": _mean(equals_gold(answers.strict) for answers in extracted),
        "accuracy-flexible": _mean(equals_gold(answers.flexible) for answers in extracted),
        "run-on": _mean(answers.ran_on for answers in extracted),
        "given-up": _mean(grade is not None and grade.undecided for grade in grades),
    }
    texts = [answers.flexible.text if answers.flexible else None for answers in extracted]
    if len(extracted) > 1:
        values |= {f"pass@{k}": pass_at(len(verified), sum(verified), k) for k in _powers(len(verified))}
        values["majority"] = majority(grouped(texts, verified, _equal), verified)
    failed = any(prediction.failure is not None for prediction in predictions)
    answer: Json = texts[0] if len(texts) == 1 else (texts if any(texts) else None)
    return Score.of(sample, answer=answer, values=values, failed=failed)


def _powers(n: int) -> list[int]:
    """Return 1, 2, 4, … up to n, and n itself."""
    return sorted({*(2**power for power in range(n.bit_length()) if 2**power <= n), n})


def _mean(values: Iterable[float]) -> float:
    listed = list(values)
    return math.fsum(listed) / len(listed)


def summarise(scores: Sequence[Score]) -> dict[str, Metric]:
    """Average every value, and the headline by level and by type if problems have them."""
    from evals.metrics.estimates import Mean, means

    metrics_by_name = {
        name: Mean(name, higher_is_better=name not in ("run-on", "given-up")) for name in scores[0].values
    }
    for label in ("level", "type"):
        for text in sorted({score.labels[label] for score in scores if label in score.labels}):
            metrics_by_name[f"accuracy/{label}/{text}"] = Mean("accuracy", label, text)
    metrics = means(scores, metrics_by_name)
    if metrics["given-up"].value > 0:
        metrics["given-up"] = dataclasses.replace(metrics["given-up"], note=_given_up(scores))
    return metrics


def _given_up(scores: Sequence[Score]) -> str:
    """State how many answers could not be compared."""
    outputs = [len(score.answer) if isinstance(score.answer, list) else 1 for score in scores]
    given_up = round(math.fsum(score.values["given-up"] * n for score, n in zip(scores, outputs, strict=True)))
    return (
        f"{given_up:,} of {sum(outputs):,} answers could not be compared within the limits of time, memory and size;"
        " they count as wrong"
    )


def _task(name: str, benchmark: Benchmark, summary: str) -> Task:
    read_samples: Callable[[Options], Samples] = functools.partial(samples, benchmark)
    return Task(
        name=name,
        summary=summary,
        version=2,
        needs="generate",
        splits=("validation",),
        headline="accuracy",
        supported_options=frozenset({"columns", "shots", "samples", "prompt"}),
        prompts=PromptTemplates(
            functools.partial(math_prompts.templates, INSTRUCTIONS[benchmark.form], benchmark.form),
            functools.partial(plain_templates.check, fields=("question",)),
        ),
        samples=read_samples,
        score=functools.partial(score, benchmark.form),
        summarise=summarise,
    )


TASKS.add(_task("math", TABLE[0], "worked problems; GSM8K's form, bundled unless --data is given"))
for _benchmark in TABLE:
    TASKS.add(_task(f"math/{_benchmark.name}", _benchmark, _benchmark.summary))
