"""Time the bundled run with and without shared prefixes.

    python tests/benchmarks/vqa_prefixes.py [--repeats 3] [--limit N] [--device cuda] [--checkpoint DIR]

Both ways are run in turns, each in a process of its own so that the peak memory is its own, and must give the same
answers. Prints samples/s, padding share, share of the time inside the model and peak memory.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--limit", type=int)
    parser.add_argument("--device")
    parser.add_argument("--checkpoint")
    parser.add_argument("--one", choices=["shared", "alone"], help=argparse.SUPPRESS)
    parser.add_argument("--out", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        run(arguments)
        return
    results: dict[str, list[dict]] = {"shared": [], "alone": []}
    answers: dict[str, list] = {}
    with tempfile.TemporaryDirectory() as folder:
        for repeat in range(arguments.repeats):
            for way in results:
                out = Path(folder) / f"{way}{repeat}"
                subprocess.run([sys.executable, __file__, *sys.argv[1:], "--one", way, "--out", str(out)], check=True)
                results[way].append(json.loads((out / "result.json").read_text())["efficiency"])
                rows = map(json.loads, (out / "samples.jsonl").read_text().splitlines())
                answers[way] = sorted((row["id"], row["output"]) for row in rows)
    assert answers["shared"] == answers["alone"], "sharing changed an answer"
    report(results, len(answers["shared"]))


def run(arguments: argparse.Namespace) -> None:
    import evals

    evals.run(
        "vl", "vqa", checkpoint=arguments.checkpoint, limit=arguments.limit, device=arguments.device,
        share=arguments.one == "shared", out=arguments.out,
    )  # fmt: skip


def report(results: dict[str, list[dict]], n: int) -> None:
    print(f"{n} questions, the same answers both ways; medians of {len(results['shared'])}")
    for name, unit in (
        ("samples_per_second", 1),
        ("padding_share", 1),
        ("model_share", 1),
        ("peak_memory_bytes", 2**20),
    ):
        shared, alone = (statistics.median(row[name] / unit for row in results[way]) for way in ("shared", "alone"))
        label = name.replace("_bytes", "_MiB")
        print(f"{label:20} shared {shared:9.3f}   alone {alone:9.3f}   ratio {shared / alone if alone else 0:.2f}")


if __name__ == "__main__":
    main()
