"""Ask lm-eval and the suite the same, as lm-eval does by default, and print by how much their values differ.

    tox -e bench-lm-eval-values -- [--data DIR] [--rows N]

or, with lm-eval in an environment of its own,

    python tests/benchmarks/against_lm_eval_values.py --lm-eval /path/to/its/bin/python

lm-eval runs its own task files (`rte`, `sst2`, `gsm8k` with five examples and with none) on local rows, with and
without its `--apply_chat_template`. What it recorded as arguments is then read by the suite: the continuations are
scored, the prompts are continued. The checkpoints are small and random, with the habits of public ones
(`lm_eval_checkpoints`).

own chat   the suite is also given the question alone, and renders the checkpoint's chat template itself

Log-likelihoods must agree to 1e-4 nats, and texts in every character, unless `EXPLAINED` says why they differ; what is
explained must differ. `--golden` instead records what lm-eval says of the bundled replica `r1`, for the test of CI.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
TOLERANCE = 1e-4
"""Nats by which two log-likelihoods may differ."""
TASKS = {
    "rte": ("glue/rte/default.yaml", None), "sst2": ("glue/sst2/default.yaml", None),
    "gsm8k": ("gsm8k/gsm8k.yaml", None), "gsm8k-zero": ("gsm8k/gsm8k.yaml", 0),
}  # fmt: skip
"""lm-eval's own task files, and the number of examples where it is not the file's."""
NEW_TOKENS = 256
"""What lm-eval generates at most if a task does not say."""
_EXAMPLES = 200
"""Number of GSM8K's training problems from which lm-eval draws its examples."""
CLOSES = (
    "the tokenizer puts [SEP] after a text: lm-eval leaves it between context and continuation, and scores the tokens "
    "after it; the suite takes it off"
)
NO_BOS = (
    "the template writes no BOS, and the tokenizer adds one to every text: lm-eval reads it before the template, the "
    "library's apply_chat_template and the suite do not"
)
BORDER = (
    "the template ends in white space, which lm-eval counts to the continuation and the suite to the context: the "
    "log-likelihoods of a row differ by one amount, so the choice is the same"
)
EXPLAINED: Mapping[tuple[str, bool, str], str] = {
    **{(name, True, task): BORDER for name in ("llama", "qwen2", "no-bos", "closing") for task in ("rte", "sst2")},
    **{("closing", False, task): CLOSES for task in TASKS},
    ("no-bos", True, "own chat"): NO_BOS,
}
"""Why values differ, by checkpoint, chat template, and task."""


@dataclass(frozen=True)
class Outcome:
    """What the suite made of the recorded arguments of one task."""

    rows: int
    furthest: float | None
    """The largest difference of two log-likelihoods in nats; None for texts."""
    equal: int
    """Number of equal texts, or of rows whose log-likelihoods agree."""
    shifted: int = 0
    """Number of rows whose log-likelihoods all differ by one amount."""

    @property
    def agrees(self) -> bool:
        """Whether every row agrees."""
        return self.equal == self.rows


def main() -> None:
    if sys.argv[1:2] == ["--as-lm-eval"]:
        as_lm_eval(Path(sys.argv[2]))
        return
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--lm-eval", default=sys.executable, metavar="PYTHON", help="a python that has lm-eval")
    parser.add_argument("--data", type=Path, help="a folder with GLUE's files in glue/ and GSM8K's in gsm8k/")
    parser.add_argument("--rows", type=int, default=8, help="rows of each task")
    parser.add_argument("--folder", type=Path, help="where checkpoints and records are kept; lm-eval is asked once")
    parser.add_argument("--golden", type=Path, metavar="FILE", help="record what lm-eval says of r1 instead")
    arguments = parser.parse_args()
    sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "benchmarks")]
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.folder or Path(temporary)
        if not (folder / "tasks").exists():
            write_tasks(folder / "tasks", arguments.data, arguments.rows)
        if arguments.golden:
            checkpoints = {"r1": ROOT / "models" / "replicas" / "checkpoints" / "r1"}
            recorded = ask_lm_eval(arguments, checkpoints, folder, chats=(False,))
            arguments.golden.write_text("".join(json.dumps(row) + "\n" for row in golden_rows(recorded)))
            return
        import lm_eval_checkpoints

        checkpoints = {name: folder / "checkpoints" / name for name in lm_eval_checkpoints.NAMES}
        if not (folder / "checkpoints").exists():
            lm_eval_checkpoints.make_all(folder / "checkpoints", corpus(folder / "tasks"))
        recorded = ask_lm_eval(arguments, checkpoints, folder, chats=(False, True))
        sys.exit(report(recorded, checkpoints, Path(temporary) / "runs"))


# lm-eval's side


def write_tasks(folder: Path, data: Path | None, rows: int) -> None:
    """Write the rows, and for each task a file that includes lm-eval's own and reads them."""
    from evals import registry
    from evals.tasks.formats.glue import read
    from evals.tasks.formats.math import read_problems
    from evals.tasks.glue_tasks import TABLE
    from evals.tasks.math import MINI

    registry.discover()
    folder.mkdir(parents=True)
    for name in ("rte", "sst2"):
        glue = read(TABLE[name], "validation", data and data / "glue").rows[:rows]
        # GLUE writes "entailment" as 0 in the hub's files, which lm-eval reads: True is its first continuation.
        _write_rows(folder / f"{name}.jsonl", ({**row.texts, "label": int(row.label or 0)} for row in glue))
    for split, bundled in (("train", "train"), ("test", "validation")):
        path = data / "gsm8k" / f"{split}.jsonl" if data else MINI / f"{bundled}.parquet"
        problems = read_problems(path, "####")[: _EXAMPLES if split == "train" else rows]
        written = ({"question": problem.question, "answer": problem.solution} for problem in problems)
        _write_rows(folder / f"gsm8k-{split}.jsonl", written)


def _write_rows(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def as_lm_eval(path: Path) -> None:
    """Run lm-eval, in its own environment, on everything that a file asks for; record its samples beside the file."""
    import lm_eval
    from lm_eval.tasks import TaskManager

    asked = json.loads(path.read_text())
    own = Path(lm_eval.__file__).parent / "tasks"
    tasks = Path(asked["tasks"])
    for name, (file, shots) in TASKS.items():
        source = name.partition("-")[0]
        files = {"test": str(tasks / f"{source}.jsonl"), "validation": str(tasks / f"{source}.jsonl")}
        if source == "gsm8k":
            files = {split: str(tasks / f"gsm8k-{split}.jsonl") for split in ("train", "test")}
        local = {
            "include": str(own / file), "task": f"local-{name}", "dataset_path": "json", "dataset_name": None,
            "dataset_kwargs": {"data_files": files}, **({} if shots is None else {"num_fewshot": shots}),
            **({"training_split": None} if source != "gsm8k" else {}),
        }  # fmt: skip
        (tasks / f"{name}.yaml").write_text(json.dumps(local))
    manager = TaskManager(include_path=str(tasks), include_defaults=False)
    for run in asked["runs"]:
        results = lm_eval.simple_evaluate(
            "hf", model_args=f"pretrained={run['checkpoint']},dtype=float32", tasks=[f"local-{name}" for name in TASKS],
            task_manager=manager, device="cpu", batch_size=4, apply_chat_template=run["chat"], log_samples=True,
            bootstrap_iters=0,
        )  # fmt: skip
        rows = [
            {"task": task.removeprefix("local-"), "checkpoint": run["name"], "chat": run["chat"], "id": row["doc_id"],
             "question": row["doc"].get("question"), "arguments": [list(arguments) for arguments in row["arguments"]],
             "answers": [answer[0] for answer in row["resps"]]}
            for task, samples in results["samples"].items() for row in {row["doc_id"]: row for row in samples}.values()
        ]  # fmt: skip
        _write_rows(Path(run["out"]), rows)


def ask_lm_eval(
    arguments: argparse.Namespace, checkpoints: Mapping[str, Path], folder: Path, *, chats: Sequence[bool]
) -> list[dict[str, Any]]:
    """Run lm-eval on every checkpoint in one process, with and without the chat template; return what it recorded."""
    runs = [
        {"name": name, "checkpoint": str(path), "chat": chat, "out": str(folder / f"{name}-{chat}.jsonl")}
        for name, path in checkpoints.items()
        for chat in chats
    ]
    if all(Path(str(run["out"])).exists() for run in runs):
        return [json.loads(line) for run in runs for line in Path(str(run["out"])).read_text().splitlines()]
    asked = folder / "asked.json"
    asked.write_text(json.dumps({"tasks": str(folder / "tasks"), "runs": runs}))
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "HF_HOME": str(folder / "hub")}
    command = [arguments.lm_eval, str(Path(__file__).resolve()), "--as-lm-eval", str(asked)]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}\n{done.stderr[-3000:]}")
    return [json.loads(line) for run in runs for line in Path(str(run["out"])).read_text().splitlines()]


# The suite's side


def requests(rows: Sequence[Mapping[str, Any]], *, own_chat: bool = False) -> list[Any]:
    """Make the suite's requests from what lm-eval recorded: the same contexts, continuations, limits and stop strings.

    Args:
        rows: rows of one task.
        own_chat: give the question alone, and let the suite render the chat template.
    """
    from evals.schema import ChatSettings, Choose, Generate

    made: list[Any] = []
    for row in rows:
        pairs = row["arguments"]
        context, last = pairs[0]
        if isinstance(last, str):
            made.append(Choose(str(row["id"]), (context,), tuple(ending for _, ending in pairs)))
            continue
        text = f"Question: {row['question']}\nAnswer:" if own_chat else context
        limit, chat = last.get("max_gen_toks", NEW_TOKENS), ChatSettings(template="on" if own_chat else "off")
        made.append(Generate(str(row["id"]), (text,), limit, tuple(last["until"]), chat=chat))
    return made


def replayed(rows: Sequence[Mapping[str, Any]], model: str, out: Path, *, own_chat: bool = False) -> Outcome:
    """Run what lm-eval recorded of one task through the suite, and compare.

    Args:
        rows: rows of one task.
        model: as `evals.run` names it.
        out: the run folder.
        own_chat: as in `requests`.
    """
    import evals
    from evals import registry
    from evals.schema import Metric, Sample, Samples, Score, Task

    registry.discover()
    asked = requests(rows, own_chat=own_chat)
    chooses = hasattr(asked[0], "choices")
    task = Task(
        name=f"lm-eval/{out.name}",
        summary="what lm-eval recorded",
        version=1,
        needs="choose" if chooses else "generate",
        splits=("all",),
        headline="answered",
        samples=lambda options: Samples([r.id for r in asked], lambda i: Sample(asked[i].id, (asked[i],), target="")),
        score=lambda samples, predictions: [Score.of(s, answer="", values={"answered": 1.0}) for s in samples],
        summarise=lambda scores: {"answered": Metric(1.0, None, None, len(scores))},
    )
    registry.TASKS.add(task)
    record = evals.run(model, task.name, out=out, device="cpu", dtype="float32")
    answers = {row.id: row.scores[0] if chooses else row.output for row in record.samples()}
    return compared(rows, answers)


def compared(rows: Sequence[Mapping[str, Any]], answers: Mapping[str, Any]) -> Outcome:
    """Compare the suite's answers with what lm-eval recorded."""
    equal, shifted, furthest = 0, 0, None
    for row in rows:
        ours = answers[str(row["id"])]
        if isinstance(row["answers"][0], str):
            equal += ours == row["answers"][0]
            continue
        values = [float(value) for value, _ in row["answers"]]
        differences = [mine - other for mine, other in zip(ours, values, strict=True)]
        difference = max(map(abs, differences))
        equal += difference <= TOLERANCE
        shifted += max(differences) - min(differences) <= 2 * TOLERANCE
        furthest = max(furthest or 0.0, difference)
    return Outcome(len(rows), furthest, equal, shifted)


def report(recorded: Sequence[Mapping[str, Any]], checkpoints: Mapping[str, Path], folder: Path) -> int:
    """Print the table; return 1 if a row differs without an explanation, or agrees in spite of one."""
    print("| checkpoint | chat template | task | rows | agree | largest difference (nats) | why |")
    print("|---|---|---|---:|---:|---:|---|")
    wrong = 0
    for name, chat, task, ask in comparisons(checkpoints):
        rows = [row for row in recorded if (row["checkpoint"], row["chat"], row["task"]) == (name, chat, ask)]
        out = folder / f"{name}-{chat}-{task.replace(' ', '-')}"
        outcome = replayed(rows, str(checkpoints[name]), out, own_chat=task == "own chat")
        why = EXPLAINED.get((name, chat, task))
        wrong += outcome.agrees != (why is None) or (why == BORDER and outcome.shifted < outcome.rows)
        furthest = "" if outcome.furthest is None else f"{outcome.furthest:.0e}"
        state = "on" if chat else "off"
        print(
            f"| {name} | {state} | {task} | {outcome.rows} | {outcome.equal} | {furthest} | {why or ''} |", flush=True
        )
    return int(wrong > 0)


def comparisons(checkpoints: Iterable[str]) -> Iterator[tuple[str, bool, str, str]]:
    """Yield checkpoint, chat template, what is compared, and the task whose rows are read for it."""
    for name in checkpoints:
        for chat in (False, True):
            for task in TASKS:
                yield name, chat, task, task
        yield name, True, "own chat", "gsm8k-zero"


def golden_rows(recorded: Sequence[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield what the test of CI replays: a few short rows of each task."""
    for task in ("rte", "sst2", "gsm8k-zero"):
        rows = [row for row in recorded if row["task"] == task]
        for row in rows[:6]:
            yield {key: row[key] for key in ("task", "id", "question", "arguments", "answers")}


def corpus(folder: Path) -> Iterator[str]:
    """Yield the texts that the tokenizers are trained on."""
    for path in sorted(folder.glob("*.jsonl")):
        for line in path.read_text().splitlines():
            yield from (str(value) for value in json.loads(line).values())
    yield from partial(map, str)(["Question: Answer: True False positive negative Is this sentence or?"] * 20)


if __name__ == "__main__":
    main()
