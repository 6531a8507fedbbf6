"""Measure time and memory of ranking: 5,000 x 25,000 x 512, and a part of 50,000 x 250,000.

    python tests/benchmarks/retrieval.py [--images 5000] [--part 0.02]

Both directions, with the figures for words in common (there are none here) and all intervals. Every measurement is a
process of its own, so that its peak memory is its own. The large size is measured in part: so many of its queries in
each direction against the whole other side; what all of them would take is extrapolated, and the line says so.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from evals.metrics.retrieval import rank, unit_rows  # noqa: E402
from evals.records.embeddings import pack  # noqa: E402
from evals.schema import Prediction, Sample  # noqa: E402
from evals.tasks.scoring.retrieval import score, text_ids  # noqa: E402
from evals.tasks.scoring.retrieval_metrics import summarise  # noqa: E402

CAPTIONS, WIDTH = 5, 512
TARGET_SECONDS = 10.0


def vectors(count: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((count, WIDTH), dtype=np.float32)


class Watch:
    """Seconds on the clock, and of processor, all threads together: other work on a machine shows in the first only."""

    def __init__(self) -> None:
        self._clock, self._processor = time.perf_counter(), time.process_time()

    def read(self) -> tuple[float, float]:
        return time.perf_counter() - self._clock, time.process_time() - self._processor


def peak() -> int:
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def whole(images: int) -> dict[str, Any]:
    """Rank both directions of a benchmark, then score it as a finished run is scored, with its intervals."""
    shown, told = vectors(images, 1), vectors(images * CAPTIONS, 2)
    told += np.repeat(shown, CAPTIONS, axis=0) / 8
    before, watch = peak(), Watch()
    sides = unit_rows(shown, [""] * len(shown)), unit_rows(told, [""] * len(told))
    forth = list(rank(*sides, [np.arange(CAPTIONS * n, CAPTIONS * n + CAPTIONS) for n in range(images)]))
    back = list(rank(*sides[::-1], [np.array([n // CAPTIONS]) for n in range(len(told))]))
    ranked, highest = watch.read(), peak()
    samples = [Sample(str(n), (), target=[f"{n} {c}" for c in range(CAPTIONS)]) for n in range(images)]
    outputs = {
        sample.id: [Prediction(id, output=pack(row)) for id, row in zip(
            (sample.id, *text_ids(sample.id, sample.target)), (shown[n], *told[CAPTIONS * n : CAPTIONS * n + CAPTIONS]),
            strict=True)]
        for n, sample in enumerate(samples)
    }  # fmt: skip
    watch = Watch()
    scores = score(samples, outputs)
    scored, watch = watch.read(), Watch()
    metrics = summarise(scores)
    assert metrics["image-to-text/recall@1"].value == np.mean([found.ranks[0] == 1 for found in forth])
    assert metrics["text-to-image/recall@1"].value == np.mean([found.ranks[0] == 1 for found in back])
    return {
        "rank": ranked, "inputs": before, "peak": highest, "score": scored, "summarise": watch.read()
    }  # fmt: skip


def part(images: int, share: float) -> dict[str, Any]:
    """Rank a share of the queries of each direction against the whole other side."""
    shown, told = vectors(images, 1), vectors(images * CAPTIONS, 2)
    for rows in (shown, told):
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    queries = [max(1, int(len(rows) * share)) for rows in (shown, told)]
    before, watch = peak(), Watch()
    for _ in rank(shown[: queries[0]], told, [np.arange(CAPTIONS * n, CAPTIONS * n + 5) for n in range(queries[0])]):
        pass
    for _ in rank(told[: queries[1]], shown, [np.array([n // CAPTIONS]) for n in range(queries[1])]):
        pass
    return {"rank": watch.read(), "inputs": before, "peak": peak(), "share": queries[0] / images}


def apart(*arguments: object) -> dict[str, Any]:
    """Measure in a process of its own."""
    done = subprocess.run([sys.executable, __file__, "--one", *map(str, arguments)], capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(done.stderr)
    figures: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return figures


def seconds(read: tuple[float, float], times: float = 1.0) -> str:
    clock, processor = (each * times for each in read)
    return f"{clock:.2f} s ({processor:.2f} s of processor)"


def mebibytes(size: float) -> str:
    return f"{size / 2**20:,.0f} MiB"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--images", type=int, default=5000)
    parser.add_argument("--part", type=float, default=0.02, help="share of the queries at ten times the size")
    parser.add_argument("--one", nargs="+", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.one:
        figures = whole(int(chosen.one[0])) if len(chosen.one) == 1 else part(int(chosen.one[0]), float(chosen.one[1]))
        print(json.dumps(figures))
        return
    size = f"{chosen.images:,} x {CAPTIONS * chosen.images:,} x {WIDTH}"
    one = apart(chosen.images)
    print(f"{size}: both directions ranked in {seconds(one['rank'])} (target: under {TARGET_SECONDS:.0f} s); "
          f"{mebibytes(one['peak'] - one['inputs'])} beside the {mebibytes(one['inputs'])} before")  # fmt: skip
    print(f"{size}: scored from records, words in common included, in {seconds(one['score'])}; "
          f"all metrics with their intervals in {seconds(one['summarise'])}")  # fmt: skip
    large = 10 * chosen.images
    size = f"{large:,} x {CAPTIONS * large:,} x {WIDTH}"
    some = apart(large, chosen.part)
    print(f"{size}: {some['share']:.1%} of the queries ranked in {seconds(some['rank'])}; all would take "
          f"{seconds(some['rank'], 1 / some['share'])} (extrapolated: time grows with the queries); "
          f"{mebibytes(some['peak'] - some['inputs'])} beside the {mebibytes(some['inputs'])} before")  # fmt: skip


if __name__ == "__main__":
    main()
