"""Time reading and scoring the official VQA 2.0 files, at the size of the validation split.

    python tests/benchmarks/vqa_scoring.py [--questions N]

Makes seeded files of 214,354 questions on 40,504 images in the official format, loads, scores and summarises them as a
run would, and scores them with a transcription of the official tool, in a process each so that the peak memory is each
one's own. Strings repeat about as in the real annotations: a third of the lists unanimous, few answers given often, a
long tail given once.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "support")]
QUESTIONS, QUESTIONS_AN_IMAGE = 214_354, 5.292
QUESTION_TYPES = 65


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--questions", type=int, default=QUESTIONS)
    parser.add_argument("--step", choices=["ours", "official"], help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.step:
        result = {"ours": ours, "official": official}[arguments.step](arguments.folder)
        result["peak_MiB"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(json.dumps(result))
        return
    with tempfile.TemporaryDirectory() as folder:
        make(Path(folder), arguments.questions)
        results = {step: measure(step, folder) for step in ("ours", "official")}
    report(arguments.questions, results)


def make(folder: Path, count: int) -> None:
    """Write questions, annotations and a results file."""
    draw = random.Random(2017)
    before, after = ["", "", "a ", "the "], ["", ".", "s", " one"]
    words = [f"{draw.choice(before)}thing{n}{draw.choice(after)}" for n in range(60_000)]
    questions, annotations, results = [], [], []
    for n in range(count):
        id, image = 1000 * n, int(n / QUESTIONS_AN_IMAGE)
        kind = draw.choices(["yes/no", "number", "other"], [38, 12, 50])[0]
        answers = draw_answers(draw, kind, words)
        questions.append({"image_id": image, "question": f"What about number {n}?", "question_id": id})
        annotations.append({
            "question_type": f"type {int(QUESTION_TYPES * draw.random() ** 2)}", "multiple_choice_answer": answers[0],
            "answers": [
                {"answer": answer, "answer_confidence": draw.choice(["yes", "maybe"]), "answer_id": place}
                for place, answer in enumerate(answers, start=1)
            ],
            "image_id": image, "answer_type": kind, "question_id": id,
        })  # fmt: skip
        answer = draw.choice([answers[0], answers[0], answers[3].title(), "blue."])
        results.append({"question_id": id, "answer": answer})
    for name, document in (
        ("v2_OpenEnded_mscoco_val2014_questions.json", {"questions": questions}),
        ("v2_mscoco_val2014_annotations.json", {"annotations": annotations}),
        ("results.json", results),
    ):
        (folder / name).write_text(json.dumps(document))


def draw_answers(draw: random.Random, kind: str, words: list[str]) -> list[str]:
    if kind == "yes/no":
        first, second = draw.sample(["yes", "no"], 2)
    elif kind == "number":
        first, second = (str(int(draw.expovariate(0.3))) for _ in range(2))
    else:
        first, second = (words[int(len(words) * draw.random() ** 4)] for _ in range(2))
    answers = [first] * 10
    if draw.random() > 0.33:
        for place in draw.sample(range(10), draw.randint(1, 6)):
            answers[place] = second if draw.random() < 0.6 else words[int(len(words) * draw.random() ** 4)]
    return answers


def measure(step: str, folder: str) -> dict[str, float]:
    command = [sys.executable, __file__, "--step", step, "--folder", folder]
    start = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return {**json.loads(done.stdout), "process": time.perf_counter() - start}


def ours(folder: Path) -> dict[str, float]:
    from evals.schema import Options, Prediction
    from evals.tasks import vqa

    results = {row["question_id"]: row["answer"] for row in json.loads((folder / "results.json").read_text())}
    predictions = {str(id): [Prediction(str(id), answer)] for id, answer in results.items()}
    clock = time.process_time
    start = clock()
    samples = vqa.samples(Options(data=folder))
    spent = {"load": clock() - start, "build": 0.0, "score": 0.0}
    scores = []
    for window in range(0, len(samples), 1024):  # as a run does
        start = clock()
        built = [samples[index] for index in range(window, min(window + 1024, len(samples)))]
        ready = clock()
        scores += vqa.score(built, predictions)
        spent["build"] += ready - start
        spent["score"] += clock() - ready
    start = clock()
    metrics = vqa.summarise(scores)
    accuracy = round(100 * metrics["accuracy"].value, 2)
    return {**spent, "summarise": clock() - start, "metrics": len(metrics), "accuracy": accuracy}


def official(folder: Path) -> dict[str, float]:
    import vqa_official

    results = {row["question_id"]: row["answer"] for row in json.loads((folder / "results.json").read_text())}
    start = time.process_time()
    json.loads((folder / "v2_OpenEnded_mscoco_val2014_questions.json").read_text())
    annotations = json.loads((folder / "v2_mscoco_val2014_annotations.json").read_text())["annotations"]
    loaded = time.process_time()
    printed = vqa_official.evaluate(results, annotations)
    accuracy = printed["accuracy"]["overall"]
    return {"load": loaded - start, "score": time.process_time() - loaded, "accuracy": accuracy}


def report(count: int, results: dict[str, dict[str, float]]) -> None:
    own, theirs = results["ours"], results["official"]
    print(f"VQA 2.0, {count:,} questions; ours gives three rules and {own['metrics']} metrics with intervals\n")
    print(f"{'':34}{'ours':>8}{'official':>10}{'ratio':>8}")
    for name, key in (("load, CPU seconds", "load"), ("build samples", "build"), ("score", "score"),
                      ("metrics and intervals", "summarise"), ("whole process, wall seconds", "process")):  # fmt: skip
        other = f"{theirs[key]:10.1f}{theirs[key] / own[key]:8.1f}" if key in theirs else f"{'-':>10}{'-':>8}"
        print(f"{name:34}{own[key]:8.1f}{other}")
    print(f"{'peak memory, MiB':34}{own['peak_MiB']:8.0f}{theirs['peak_MiB']:10.0f}")
    print(f"{'accuracy, percent':34}{own['accuracy']:8.2f}{theirs['accuracy']:10.2f}")


if __name__ == "__main__":
    main()
