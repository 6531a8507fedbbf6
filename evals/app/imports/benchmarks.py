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
from evals.errors import EvalsError
from evals.logs import HarnessRun, HarnessSample
from evals.schema import Choose, Json, Options, Sample, Task
from evals.tasks.glue_tasks import TABLE

_STRICT, _FLEXIBLE = re.compile("strict", re.IGNORECASE), re.compile("flexible", re.IGNORECASE)


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
                return _with_samples(run, name.format(**match.groupdict()), rows(run))
            except EvalsError as error:
                return f"its outputs were not scored again as {name.format(**match.groupdict())}: {error}"
    return None


def _plain(task: str) -> str:
    """Return the name of a task without suite and organisation.

    Example:
        >>> _plain("leaderboard|gsm8k"), _plain("inspect_evals/gsm8k"), _plain("glue:rte")
        ('gsm8k', 'gsm8k', 'rte')
    """
    return re.split(r"[|/:]", task.lower())[-1]


def _with_samples(run: HarnessRun, name: str, rows: Sequence[Mapping[str, Json]]) -> Recognised:
    task = registry.TASKS.get(name)
    with tempfile.TemporaryDirectory(prefix="evals-import-") as folder:
        _write(Path(folder), name, rows)
        read = task.samples(Options(scale="full", data=Path(folder)))
        samples = list(read)
    if len(samples) != len(run.samples):
        raise _NoRowsError(f"{len(run.samples)} samples have {len(samples)} rows")
    kept = {key: value for key, value in read.facts.items() if key not in {"files", "source", "shots"}}
    return Recognised(
        task,
        tuple(_named(sample, logged) for sample, logged in zip(samples, run.samples, strict=True)),
        kept,
        _same_as(task, run),
    )


def _named(sample: Sample, logged: HarnessSample) -> Sample:
    """Give a sample the benchmark's id: its own, or where that is the row's number, the number in the log."""
    start, slash, last = sample.id.rpartition("/")
    if not last.isdigit() or not isinstance(logged.id, str):
        return sample
    return replace(sample, id=f"{start}{slash}{logged.id}" if logged.id.isdigit() else logged.id)


def _same_as(task: Task, run: HarnessRun) -> dict[str, str]:
    """Match the harness's metrics with ours: by the rule that reads the answer, else the headline."""
    names = dict.fromkeys([*run.metrics, *(name for sample in run.samples[:1] for name in sample.values)])
    pairs = {}
    for name in names:
        if "/" in name or name in {"f1", "mcc", "acc_norm", "pearson", "spearmanr"}:
            continue
        if task.needs == "generate":
            rule = "-strict" if _STRICT.search(name) else "-flexible" if _FLEXIBLE.search(name) else ""
            pairs[name] = f"accuracy{rule}"
        else:
            pairs[name] = "accuracy"
    return pairs


def _write(folder: Path, name: str, rows: Sequence[Mapping[str, Json]]) -> None:
    """Write rows as the benchmark's own files."""
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
    parquet.write_table(table, folder / subtask / "validation-00000-of-00001.parquet")


def _gsm8k(run: HarnessRun) -> list[dict[str, Json]]:
    """Return rows of GSM8K: question, and a solution that ends in `#### answer`."""
    return [{"question": _question(sample), "answer": _solution(sample)} for sample in run.samples]


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
        if sample.log_likelihoods and str(sample.target) != str(row["label"]):
            raise _NoRowsError(f"sample {sample.id} has target {sample.target!r}, its row the label {row['label']!r}")
        rows.append({key: value for key, value in row.items() if isinstance(value, str | int | float)})
    return rows


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
        best = max(range(len(logged.log_likelihoods)), key=lambda index: logged.log_likelihoods[index])
        return TABLE[sample.labels["task"]].labels[best], logged.log_likelihoods
    outputs: Sequence[str] = logged.outputs
    return (list(outputs) if len(outputs) > 1 else outputs[0] if outputs else None), ()


_SUBTASKS = "|".join(name for name in TABLE if name not in {"stsb", "mnli"})
_BENCHMARKS: Sequence[tuple[re.Pattern[str], str, MakeRows]] = (
    (re.compile(r"gsm8k(?:[_-].*)?|gsm"), "math/gsm8k", _gsm8k),
    (re.compile(r"(?:hendrycks_|minerva_)?math[_-]?500(?:[_-].*)?"), "math/math500", _math),
    (re.compile(r"(?:hendrycks_|minerva_)math(?:_.*)?"), "math/math", _math),
    (re.compile(rf"(?:glue_)?(?P<subtask>{_SUBTASKS})"), "glue/{subtask}", _glue),
)
"""Names of tasks, without suite; ours; and what makes rows of their samples. Of MNLI, whose two sets are one task here
and two there, and of STS-B the scores are kept."""
