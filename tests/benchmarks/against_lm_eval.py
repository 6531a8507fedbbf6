"""Run the same checkpoint, rows and prompts through lm-eval and through the suite, and print what both took.

    tox -e bench-lm-eval -- [--data DIR] [--cases sst2 rte …] [--rows N] [--batch-sizes 16 64]

or, with lm-eval in an environment of its own,

    python tests/benchmarks/against_lm_eval.py --lm-eval /path/to/its/bin/python

lm-eval is given the prompts of our adapters, word for word, in task files that this writes. The seconds are of whole
processes, each program's own command; of lm-eval's batch sizes the fastest counts. Both must give the same
log-likelihoods, to 1e-3 nats, and the same texts. The checkpoint is random (`qwen2_85m`): its scores mean nothing.
Without `--data` the bundled rows are asked, which are shorter than the real ones.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "benchmarks")]
TOLERANCE = 1e-3
"""Nats by which two log-likelihoods of an ending may differ."""


@dataclass(frozen=True)
class Case:
    """A task as both are asked it."""

    name: str
    task: str
    """As the suite calls it."""
    folder: str
    """Of its files, under `--data`."""
    rows: int
    """How many are asked."""
    goal: float
    """How many times as fast the suite should be."""
    shots: int | None = None
    """Examples in the prompt, or the suite's default."""
    same_shots: bool = False
    """The examples are the same for all rows."""

    @property
    def flags(self) -> list[str]:
        """Options of the suite's command."""
        return [
            *([] if self.shots is None else ["--shots", str(self.shots)]),
            *(["--same-shots"] if self.same_shots else []),
        ]


CASES = (
    Case("sst2", "glue/sst2", "glue", 400, 1.6),
    Case("rte", "glue/rte", "glue", 200, 2.2),
    Case("rte-5-drawn", "glue/rte", "glue", 64, 2.2, shots=5),
    Case("rte-5", "glue/rte", "glue", 64, 4.0, shots=5, same_shots=True),
    Case("gsm8k", "math/gsm8k", "gsm8k", 64, 2.0, shots=0),
    Case("gsm8k-8", "math/gsm8k", "gsm8k", 32, 3.0, shots=8),
)


@dataclass(frozen=True)
class Took:
    """What a process took, and what came out."""

    seconds: float
    cpu_seconds: float
    outputs: dict[str, Any]
    """By row: the log-likelihoods of its endings, or a text."""


def main() -> None:
    names = [case.name for case in CASES]
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--lm-eval", default=sys.executable, metavar="PYTHON", help="a python that has lm-eval")
    parser.add_argument("--data", type=Path, help="a folder with GLUE's files in glue/ and GSM8K's in gsm8k/")
    parser.add_argument("--cases", nargs="+", default=names, choices=names)
    parser.add_argument("--rows", type=int, help="rows of each, instead of some dozens to hundreds")
    parser.add_argument("--batch-sizes", nargs="+", default=["16", "64"], help="of lm-eval")
    parser.add_argument("--repeats", type=int, default=1, help="times that each is run, in turns; the fastest counts")
    parser.add_argument("--checkpoint", type=Path, help="a folder that is used, or made, instead of a temporary one")
    parser.add_argument("--suite-only", action="store_true", help="run only ours")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        checkpoint = arguments.checkpoint or folder / "checkpoint"
        if not checkpoint.exists():
            import qwen2_85m

            qwen2_85m.make(checkpoint, corpus(arguments.data))
        print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}; {time.strftime('%Y-%m-%d %H:%M')}")
        for case in CASES:
            if case.name in arguments.cases:
                compare(case, arguments, checkpoint, folder / case.name)


def compare(case: Case, arguments: argparse.Namespace, checkpoint: Path, folder: Path) -> None:
    """Run one case through both, in turns, and print a line for each and the ratio."""
    folder.mkdir()
    rows = asked(case, arguments.data, arguments.rows or case.rows)
    (folder / "task").mkdir()
    write_task(folder / "task", case.name, rows)
    ours: list[Took] = []
    theirs: dict[str, list[Took]] = {size: [] for size in arguments.batch_sizes}
    for turn in range(arguments.repeats):
        for size in [] if arguments.suite_only else arguments.batch_sizes:
            theirs[size].append(lm_eval(case, arguments.lm_eval, checkpoint, size, folder, turn))
        ours.append(suite(case, arguments.data, checkpoint, len(rows), folder / f"suite-{turn}"))
    best = min(ours, key=lambda took: took.seconds)
    print(f"\n{case.name}: {len(rows)} rows", flush=True)
    show("the suite", best)
    for size, runs in theirs.items():
        for took in runs:
            agree(case, took.outputs, best.outputs)
        if runs:
            show(f"lm-eval, batch {size}", min(runs, key=lambda took: took.seconds))
    if not arguments.suite_only:
        size, took = min(
            ((size, took) for size, runs in theirs.items() for took in runs), key=lambda pair: pair[1].seconds
        )
        ratio, processor = took.seconds / best.seconds, took.cpu_seconds / best.cpu_seconds
        print(
            f"  {ratio:.2f} times as fast as batch {size} (goal {case.goal}; by processor time {processor:.2f})",
            flush=True,
        )


def show(name: str, took: Took) -> None:
    print(f"  {name:22}{took.seconds:8.1f} s   processor {took.cpu_seconds:8.1f} s", flush=True)


def agree(case: Case, theirs: dict[str, Any], ours: dict[str, Any]) -> None:
    """Raise `AssertionError` unless both answered the same rows alike; print by how much log-likelihoods differ."""
    assert theirs.keys() == ours.keys(), f"{case.name}: other rows"
    different = [row for row in ours if not isinstance(ours[row], list) and ours[row] != theirs[row]]
    assert not different, f"{case.name}: {len(different)} texts differ, the first of row {different[0]}"
    pairs = [
        (mine, other) for row in ours if isinstance(ours[row], list)
        for mine, other in zip(ours[row], theirs[row], strict=True)
    ]  # fmt: skip
    furthest = max((abs(mine - other) for mine, other in pairs), default=0.0)
    assert furthest <= TOLERANCE, f"{case.name}: log-likelihoods differ by {furthest} nats"
    print(f"  same answers; log-likelihoods to {furthest:.1e} nats" if pairs else f"  the same {len(ours)} texts")


# Rows and prompts, from our adapters


def asked(case: Case, data: Path | None, limit: int) -> list[dict[str, Any]]:
    """Render the prompts of the first rows as the suite does: id, prompt and endings, or what stops a text."""
    from evals import registry
    from evals.schema import Choose, Generate, Options

    registry.discover()
    options = Options(data=data and data / case.folder, shots=case.shots, same_shots=case.same_shots)
    samples = registry.TASKS.get(case.task).samples(options)
    rows: list[dict[str, Any]] = []
    for index in range(min(limit, len(samples))):
        (request,) = samples[index].requests
        row = {"id": request.id, "prompt": "".join(map(str, request.parts))}
        if isinstance(request, Choose):
            rows.append({**row, "choices": list(request.choices), "target": 0})
        elif isinstance(request, Generate):
            length = {"until": list(request.stop), "max_gen_toks": request.max_new_tokens}
            rows.append({**row, "target": "", "length": length})
    return rows


def write_task(folder: Path, name: str, rows: Sequence[dict[str, Any]]) -> None:
    """Write rows and a task file that asks them word for word (JSON is YAML)."""
    path = folder / f"{name}.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    task: dict[str, Any] = {
        "task": f"ours-{name}", "dataset_path": "json", "dataset_kwargs": {"data_files": {"test": str(path)}},
        "test_split": "test", "doc_to_text": "prompt", "doc_to_target": "target", "target_delimiter": "",
        "num_fewshot": 0,
    }  # fmt: skip
    if "choices" in rows[0]:
        task |= {"output_type": "multiple_choice", "doc_to_choice": "choices", "metric_list": [{"metric": "acc"}]}
    else:
        task |= {
            "output_type": "generate_until", "generation_kwargs": {**rows[0]["length"], "do_sample": False},
            "metric_list": [{"metric": "exact_match"}],
        }  # fmt: skip
    (folder / f"{name}.yaml").write_text(json.dumps(task))


def corpus(data: Path | None) -> Iterator[str]:
    """What the tokenizer is trained on: problems, and opinions as they are asked. ` yes` stays two tokens of it."""
    from evals import registry
    from evals.schema import Options
    from evals.tasks.formats.glue import read
    from evals.tasks.glue_tasks import TABLE, continuation, prompt

    for row in read(TABLE["sst2"], "train", data and data / "glue").rows[:2000]:
        yield prompt("sst2", row.texts) + continuation("sst2", row.label)
    registry.discover()
    folder = data / "gsm8k" if data else None
    samples = registry.TASKS.get("math/gsm8k").samples(Options(data=folder, split="train" if folder else None, shots=0))
    for index in range(len(samples)):
        yield "".join(map(str, samples[index].requests[0].parts)) + str(samples[index].target)


# The two programs


def suite(case: Case, data: Path | None, checkpoint: Path, rows: int, out: Path) -> Took:
    command = [
        sys.executable, "-m", "evals", "run", "--model", str(checkpoint), "--task", case.task, "--first", str(rows),
        *case.flags, *(["--data", str(data / case.folder)] if data else []), "--device", "cpu", "--out", str(out),
    ]  # fmt: skip
    seconds, processor = timed(command, out.with_suffix(".log"))
    found = {}
    for line in (out / "samples.jsonl").read_text().splitlines():
        row = json.loads(line)
        found[row["id"]] = row["scores"][0] or row["output"]
    return Took(seconds, processor, found)


def lm_eval(case: Case, python: str, checkpoint: Path, size: str, folder: Path, turn: int) -> Took:
    out = folder / f"lm-eval-{size}-{turn}"
    command = [
        python, "-m", "lm_eval", "run", "--model", "hf", "--model_args", f"pretrained={checkpoint},dtype=float32",
        "--tasks", f"ours-{case.name}", "--include_path", str(folder / "task"), "--device", "cpu",
        "--batch_size", size, "--output_path", str(out), "--log_samples",
    ]  # fmt: skip
    seconds, processor = timed(command, out.with_suffix(".log"), HF_HOME=str(folder / "hub"))
    found = {}
    (samples,) = out.rglob("samples_*.jsonl")
    for line in samples.read_text().splitlines():
        row = json.loads(line)
        told = [answer[0] for answer in row["resps"]]
        found[row["doc"]["id"]] = [float(one[0]) for one in told] if "choices" in row["doc"] else told[0]
    return Took(seconds, processor, found)


def timed(command: Sequence[str], log: Path, **environment: str) -> tuple[float, float]:
    """Run a command; returns its seconds and those of the processor. Raises `SystemExit` where it fails."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.perf_counter()
    with log.open("wb") as file:
        environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "CI": "1", **environment}
        done = subprocess.run(command, cwd=ROOT, stdout=file, stderr=subprocess.STDOUT, env=environment)
    seconds = time.perf_counter() - began
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}\n{log.read_text()[-3000:]}")
    return seconds, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


if __name__ == "__main__":
    main()
