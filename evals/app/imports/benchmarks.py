"""Recognise the benchmarks of this suite in the logs of other harnesses, and read their samples.

A harness's task is one of ours if its name says so and its samples have the rows of the benchmark: the question, and
the solution or label. The rows are written in the benchmark's own format and read by the task itself, so the references
and labels are those of a run of ours. What a task needs and a log lacks is never guessed: such a run keeps its scores.
"""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from evals import registry
from evals.errors import EvalsError, shorten
from evals.logs import HarnessRun, HarnessSample
from evals.schema import Choose, Json, Options, Sample, Task
from evals.tasks.glue_tasks import TABLE, metric_name


@dataclass(frozen=True, slots=True)
class Recognised:
    """A task of ours with the samples of a log, in its order."""

    task: Task
    samples: tuple[Sample, ...]
    facts: Mapping[str, Json]
    same_as: Mapping[str, str]
    """By the harness's name of a metric, the one of ours that reads the same answers by a like rule."""


class _NoRowsError(EvalsError):
    """A log lacks what a benchmark's rows need; the message says what."""


MakeRows = Callable[[HarnessRun], list[dict[str, Json]]]


def recognise(run: HarnessRun) -> Recognised | str | None:
    """Find the task of ours that a log is about.

    Returns:
        The task with its samples; why a task of ours could not be scored again; or None for other tasks.
    """
    if not run.samples:
        return None
    for pattern, name, rows in _BENCHMARKS:
        match = pattern.fullmatch(_plain(run.task))
        if match is not None:
            try:
                _check_data(run, name)
                return _with_samples(run, name.format(**match.groupdict()), rows(run), match.groupdict().get("part"))
            except EvalsError as error:
                return f"its outputs were not scored again as {name.format(**match.groupdict())}: {error}"
    return None


_SUITES = frozenset({"inspect_evals", "glue", "leaderboard", "lighteval", "helm", "original", "harness"})
"""Suites and organisations whose tasks of these names are the benchmarks."""


def _plain(task: str) -> str:
    """Return the name of a task without a suite that is known; one of an unknown suite is kept whole.

    Example:
        >>> _plain("leaderboard|gsm8k"), _plain("inspect_evals/gsm8k"), _plain("glue:rte"), _plain("acme/gsm8k")
        ('gsm8k', 'gsm8k', 'rte', 'acme/gsm8k')
    """
    *suites, name = re.split(r"[|/:]", task.lower())
    return name if set(suites) <= _SUITES else task.lower()


def _check_data(run: HarnessRun, name: str) -> None:
    """Raise unless the data of a log can be those of the benchmark, by the data set's name and the number of rows."""
    known, most = _DATA[name]
    stated = next((run.data[key] for key in ("dataset_path", "hf_repo", "location") if run.data.get(key)), None)
    if isinstance(stated, str) and stated.rpartition("/")[2].lower() not in known | _LOCAL:
        raise _NoRowsError(f"its data set is {stated}")
    if most is not None and len(run.samples) > most:
        raise _NoRowsError(f"it has {len(run.samples):,} samples, the benchmark {most:,}")


def _with_samples(
    run: HarnessRun, name: str, rows: Sequence[Mapping[str, Json]], part: str | None = None
) -> Recognised:
    task = registry.TASKS.get(name)
    with tempfile.TemporaryDirectory(prefix="evals-import-") as folder:
        _write(Path(folder), name, rows, _SPLITS.get(_plain(run.task), "validation"))
        read = task.samples(Options(scale="full", data=Path(folder), split=_SPLITS.get(_plain(run.task))))
        samples = list(read)
    if len(samples) != len(run.samples):
        raise _NoRowsError(f"{len(run.samples)} samples have {len(samples)} rows")
    kept = {key: value for key, value in read.facts.items() if key not in {"files", "source", "shots"}}
    kept |= {"part": part} if part else {}
    return Recognised(
        task,
        tuple(_named(sample, logged, part) for sample, logged in zip(samples, run.samples, strict=True)),
        kept,
        _same_as(task, run),
    )


def _named(sample: Sample, logged: HarnessSample, part: str | None) -> Sample:
    """Give a sample the id of the log where the benchmark's own is the row's number; a part of a benchmark is named."""
    if not sample.id.isdigit():
        return sample
    return replace(sample, id=f"{part}/{logged.id}" if part else logged.id)


_SAME = {
    "exact_match": "accuracy", "exact_match,strict-match": "accuracy-strict",
    "exact_match,flexible-extract": "accuracy-flexible", "math_verify": "accuracy", "extractive_match": "accuracy",
    "em": "accuracy", "qem": "accuracy", "match": "accuracy", "expression_equivalence": "accuracy",
    "final_number_exact_match": "accuracy", "math_equiv": "accuracy", "math_equiv_chain_of_thought": "accuracy",
}  # fmt: skip
"""By a harness's name of a metric of math, ours that reads the answer by a like rule."""
_OF_CHOICES = {
    "acc": "accuracy", "f1": "f1", "mcc": "matthews", "pearson": "pearson", "pearsonr": "pearson",
    "spearman": "spearman", "spearmanr": "spearman",
}  # fmt: skip
_OURS = frozenset(
    {"accuracy", "accuracy-strict", "accuracy-flexible", "run-on", "given-up", "majority", "f1", "matthews"}
)


def _same_as(task: Task, run: HarnessRun) -> dict[str, str]:
    """Match the harness's metrics with those of ours that mean the same; all others have none beside them."""
    names = dict.fromkeys([*run.metrics, *(name for sample in run.samples for name in sample.values)])
    several = any(len(sample.outputs) > 1 for sample in run.samples)
    pairs = {}
    for name in names:
        if name in _OURS or re.fullmatch(r"pass@\d+", name):
            pairs[name] = name
        elif task.needs != "generate":
            subset = _SPLITS.get(_plain(run.task), "").partition("_")[2]
            pairs |= (
                {name: metric_name(_OF_CHOICES[name], {"set": subset} if subset else {})} if name in _OF_CHOICES else {}
            )
        elif several:
            pairs |= {name: "majority"} if re.fullmatch(r"exact_match,maj@\d+", name) else {}
        elif name in _SAME:
            pairs[name] = _SAME[name]
    return pairs


def _write(folder: Path, name: str, rows: Sequence[Mapping[str, Json]], split: str) -> None:
    """Write rows as the benchmark's own files; `split` is GLUE's."""
    if name.startswith("math"):
        file = "math500.jsonl" if name.endswith("math500") else "test.jsonl"
        text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        (folder / file).write_text(text, encoding="utf-8", errors="surrogatepass")
        return
    import pyarrow as arrow
    import pyarrow.parquet as parquet

    subtask = name.partition("/")[2]
    (folder / subtask).mkdir()
    table = arrow.Table.from_pylist([dict(row) for row in rows])
    parquet.write_table(table, folder / subtask / f"{split}-00000-of-00001.parquet")


def _gsm8k(run: HarnessRun) -> list[dict[str, Json]]:
    """Return rows of GSM8K: question, and a solution that ends in `#### answer`."""
    for sample in run.samples:
        _check_target(sample, (sample.row or {}).get("answer"))
    return [{"question": _question(sample), "answer": _solution(sample)} for sample in run.samples]


def _check_target(sample: HarnessSample, answer: Json) -> None:
    """Raise if the harness compared with another answer than the row's."""
    target = sample.target[0] if isinstance(sample.target, list) and len(sample.target) == 1 else sample.target
    stated, row = (str(text).rpartition("####")[2].replace(",", "").strip() for text in (target, answer))
    if answer is None or target is None or stated == row:
        return
    if str(target).strip() not in str(answer) and str(answer).strip() not in str(target):
        raise _NoRowsError(f"sample {sample.id} was compared with {shorten(target)}, its row has {shorten(answer)}")
    if re.fullmatch(r"-?[\d.]+", stated) and re.fullmatch(r"-?[\d.]+", row):
        raise _NoRowsError(f"sample {sample.id} was compared with {stated}, its row has {row}")


def _question(sample: HarnessSample) -> str:
    row = sample.row or {}
    stated = row.get("question", row.get("problem"))
    if isinstance(stated, str):
        return stated
    return re.sub(r"^\s*Question:\s*|\s*Answer:\s*$", "", sample.question)


def _solution(sample: HarnessSample) -> str:
    row = sample.row or {}
    for stated in (row.get("answer"), sample.target):
        text = stated[0] if isinstance(stated, list) and len(stated) == 1 else stated
        if isinstance(text, int | float) and not isinstance(text, bool):
            text = str(text)
        if isinstance(text, str) and "####" in text:
            return text
        if isinstance(text, str) and (match := re.search(r"The answer is (\S+?)\.?\s*$", text)):
            return f"{text}\n#### {match[1]}"
        if isinstance(text, str) and re.fullmatch(r"\s*-?\$?[\d,]*\.?\d+\s*", text):
            reasoning = row.get("reasoning")
            return f"{reasoning if isinstance(reasoning, str) else ''}\n#### {text.strip()}"
    raise _NoRowsError(f"sample {sample.id} has no solution that states its answer")


def _math(run: HarnessRun) -> list[dict[str, Json]]:
    """Return rows of MATH: problem, solution with a boxed answer, level, type, unique_id."""
    rows = []
    for sample in run.samples:
        row = sample.row or {}
        answer = row.get("answer", sample.target)
        _check_target(sample, row.get("answer"))
        solution = next((text for text in (row.get("solution"), sample.target) if _is_boxed(text)), None)
        if solution is None and isinstance(answer, str) and answer.strip():
            solution = f"\\boxed{{{answer}}}"
        if solution is None:
            raise _NoRowsError(f"sample {sample.id} has no solution with a boxed answer")
        kept = {
            key: row[key] for key in ("level", "type", "subject", "unique_id") if isinstance(row.get(key), str | int)
        }
        rows.append({"problem": _question(sample), "solution": solution, **kept})
    return rows


def _is_boxed(text: Json) -> bool:
    return isinstance(text, str) and "\\boxed" in text


def _glue(run: HarnessRun) -> list[dict[str, Json]]:
    """Return rows of GLUE as the hub has them; labels are numbers, in the order in which the choices were scored."""
    rows = []
    for sample in run.samples:
        row = sample.row
        if row is None or not isinstance(row.get("label"), int | float):
            raise _NoRowsError(f"sample {sample.id} has no row with its label")
        if not _is_equal(sample.target, row["label"]):
            raise _NoRowsError(f"sample {sample.id} has target {sample.target!r}, its row the label {row['label']!r}")
        rows.append({key: value for key, value in row.items() if isinstance(value, str | int | float)})
    return rows


def _is_equal(target: Json, label: Json) -> bool:
    """Whether a target is a row's label; STS-B's are scores, which may be written as other texts.

    Example:
        >>> _is_equal("3.80", 3.8), _is_equal("1", 1), _is_equal("entailment", 0)
        (True, True, False)
    """
    try:
        return float(str(target)) == float(str(label))
    except ValueError:
        return str(target) == str(label)


def output_of(sample: Sample, logged: HarnessSample) -> tuple[Json, tuple[float, ...]]:
    """Return the recorded output of a sample, and its log-likelihoods; of choices the output is the label.

    Raises:
        EvalsError: the log scored another number of choices than the task has.
    """
    (request, *_) = sample.requests
    if isinstance(request, Choose) and logged.log_likelihoods:
        if len(logged.log_likelihoods) != len(request.choices):
            raise _NoRowsError(
                f"sample {logged.id} has scores of {len(logged.log_likelihoods)} choices, the task has "
                f"{len(request.choices)}"
            )
        subtask = TABLE[sample.labels["task"]]
        points = tuple(text.strip() for text in subtask.continuations)
        if not subtask.labels and tuple(text.strip() for text in logged.choices) != points:
            raise _NoRowsError(f"sample {logged.id} scored {', '.join(logged.choices)}, and not the points 0 to 5")
        best = max(range(len(logged.log_likelihoods)), key=lambda index: logged.log_likelihoods[index])
        return (subtask.labels or points)[best], logged.log_likelihoods
    outputs: Sequence[str] = logged.outputs
    return (list(outputs) if len(outputs) > 1 else outputs[0] if outputs else None), ()


_MISMATCHED = ("mnli_mismatch", "mnli_mismatched")
_LOCAL = frozenset({"json", "parquet", "csv", "arrow", "text"})
"""Names of local files in place of a data set's: they say nothing of what it is."""
_DATA: Mapping[str, tuple[frozenset[str], int | None]] = {
    "math/gsm8k": (frozenset({"gsm8k", "grade-school-math"}), 1319),
    "math/math500": (frozenset({"math-500", "math500", "math_500", "minerva_math500"}), 500),
    "math/math": (frozenset({"math", "hendrycks_math", "competition_math", "math_lighteval"}), 5000),
    "glue/{subtask}": (frozenset({"glue"}), None),
}
"""By task, the names of its data set, and the most samples of a split that is evaluated."""
_SUBJECTS = (
    "algebra|counting_and_prob|counting_and_probability|geometry|intermediate_algebra|num_theory|number_theory|prealgebra|"
    "precalc|precalculus"
)
_SUBTASKS = "|".join(TABLE)
_SPLITS = {"mnli": "validation_matched", **dict.fromkeys(_MISMATCHED, "validation_mismatched")}
"""By a harness's name of a task, its split of GLUE, where that is not the whole validation split."""
_BENCHMARKS: Sequence[tuple[re.Pattern[str], str, MakeRows]] = (
    (
        re.compile(r"gsm8k(?:_(?:cot|cot_zeroshot|cot_llama|cot_self_consistency|llama|fewshot))?|gsm8k-zero|gsm"),
        "math/gsm8k",
        _gsm8k,
    ),
    (re.compile(r"(?:hendrycks_|minerva_)?math[_-]?500(?:_(?:gpassk|pass_k))?"), "math/math500", _math),
    (re.compile(rf"(?:hendrycks_|minerva_)math_(?P<part>{_SUBJECTS})"), "math/math", _math),
    (re.compile(rf"(?:glue_)?(?P<subtask>{_SUBTASKS})(?:(?<=mnli)_mismatch(?:ed)?)?"), "glue/{subtask}", _glue),
)
"""Names of tasks, without suite; ours; and what makes rows of their samples. MNLI's two sets are one task here and two
there: a log is of one set, and its metrics are named after it."""
