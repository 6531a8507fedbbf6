"""Time from the start of a command to its first new sample, if 214,354 samples are already finished.

    python tests/benchmarks/vqa_resume.py [--questions N]

Makes the official files at that size, interrupts a run at its first samples, fills in the records that it would have
written, and starts it again on the five that are left.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from PIL import Image
from vqa_scoring import QUESTIONS, QUESTIONS_AN_IMAGE, ROOT, make

COST = dict.fromkeys(("prompt_tokens", "new_tokens", "computed_tokens", "useful_tokens", "seconds", "model_seconds"), 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--questions", type=int, default=QUESTIONS)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        make(folder, arguments.questions + 5)
        for image in range(
            int(arguments.questions / QUESTIONS_AN_IMAGE), int((arguments.questions + 5) / QUESTIONS_AN_IMAGE) + 1
        ):
            Image.new("RGB", (640, 480), "teal").save(folder / f"COCO_val2014_{image:012d}.jpg")
        last = fill(folder, interrupt(folder), arguments.questions)
        size = (folder / "run" / "samples.jsonl").stat().st_size
        print(f"{arguments.questions} finished samples, {size / 2**20:.0f} MiB of records")
        print(f"to the first new sample: {resume(folder, last):.2f} s")


def start(folder: Path) -> subprocess.Popen[bytes]:
    command = ["run", "--model", "vl", "--task", "vqa", "--data", str(folder), "--out", str(folder / "run")]
    return subprocess.Popen([sys.executable, "-m", "evals", *command], cwd=ROOT, stdout=subprocess.DEVNULL)


def interrupt(folder: Path) -> dict:
    """Start the run, kill it once a sample is written, and return that record as a pattern for the others."""
    log = folder / "run" / "samples.jsonl"
    process = start(folder)
    while not (log.exists() and b"\n" in log.read_bytes()):
        time.sleep(0.05)
        assert process.poll() is None, "the run ended before it wrote a sample"
    process.kill()
    process.wait()
    return json.loads(log.read_bytes().splitlines()[0])


def fill(folder: Path, pattern: dict, count: int) -> int:
    """Write finished records for the first samples; returns the size of the log."""
    (annotations,) = folder.glob("*annotations.json")
    told = json.loads(annotations.read_text())["annotations"]
    with (folder / "run" / "samples.jsonl").open("w") as log:
        for index, row in enumerate(told[:count]):
            target = [answer["answer"] for answer in row["answers"]]
            own = {"id": str(row["question_id"]), "index": index, "target": target, "cluster": str(row["image_id"])}
            log.write(json.dumps({**pattern, **own, "cost": COST}) + "\n")
        return log.tell()


def resume(folder: Path, before: int) -> float:
    log = folder / "run" / "samples.jsonl"
    began = time.perf_counter()
    process = start(folder)
    while log.stat().st_size <= before:
        time.sleep(0.01)
        assert process.poll() is None or log.stat().st_size > before, "the run did not go on"
    seconds = time.perf_counter() - began
    process.kill()
    process.wait()
    return seconds


if __name__ == "__main__":
    main()
