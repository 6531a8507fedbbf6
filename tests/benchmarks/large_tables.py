"""How much memory and processor time a run takes of a table of one's own that has many rows.

    python tests/benchmarks/large_tables.py [--rows 2000,200000,2000000] [--formats csv,jsonl,parquet]

For each size and format it writes a table of short questions, runs the bundled `r1` on 20 rows that are drawn of all
(`--limit 20`) in a process of its own, and prints its peak memory without shared pages (a mapped file is not counted)
and its processor time. Every row is read and checked before the run.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
MEASURED = """
import resource, sys, threading, time
from evals.app import cli
peak, done = 0, False
def watch():
    global peak
    while not done:
        status = open("/proc/self/status").read()
        peak = max(peak, int(status.split("RssAnon:")[1].split()[0]))
        time.sleep(0.02)
threading.Thread(target=watch, daemon=True).start()
code = cli.main(sys.argv[1:])
done = True
used = resource.getrusage(resource.RUSAGE_SELF)
print("MEASURED", peak, used.ru_utime + used.ru_stime, file=sys.stderr)
sys.exit(code)
"""


def question(number: int) -> dict[str, str]:
    return {"question": f"What is {number} plus {number}, as people usually write it?", "answer": str(2 * number)}


def write(path: Path, rows: int) -> None:
    """Write a table of questions, piece by piece."""
    if path.suffix == ".parquet":
        import pyarrow
        from pyarrow import parquet

        schema = pyarrow.schema([("question", pyarrow.string()), ("answer", pyarrow.string())])
        with parquet.ParquetWriter(path, schema) as writer:
            for start in range(0, rows, 50_000):
                piece = [question(number) for number in range(start, min(rows, start + 50_000))]
                writer.write_table(pyarrow.Table.from_pylist(piece, schema))
        return
    with path.open("w", encoding="utf-8") as file:
        if path.suffix == ".csv":
            file.write("question,answer\n")
        for number in range(rows):
            row = question(number)
            file.write(f"{json.dumps(row)}\n" if path.suffix == ".jsonl" else f'"{row["question"]}",{row["answer"]}\n')


def measure(path: Path) -> tuple[int, float]:
    """Return the peak memory of a run in KiB, and its processor time in seconds."""
    arguments = [
        "run",
        "--model",
        "r1",
        "--task",
        "custom",
        "--data",
        path,
        "--limit",
        "20",
        "--out",
        path.parent / "run",
    ]
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, *map(str, arguments)], cwd=ROOT, capture_output=True, text=True, check=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", "EVALS_CACHE": str(path.parent / "cache")},
    )  # fmt: skip
    peak, seconds = re.findall(r"^MEASURED (\d+) ([\d.]+)$", done.stderr, re.MULTILINE)[0]
    return int(peak), float(seconds)


def main() -> None:
    """Print a line for each size and format."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", default="2000,200000,2000000")
    parser.add_argument("--formats", default="csv,jsonl,parquet")
    options = parser.parse_args()
    print(f"{'format':8} {'rows':>10} {'file, MB':>9} {'peak, MiB':>10} {'processor, s':>13}")
    for suffix in options.formats.split(","):
        for rows in map(int, options.rows.split(",")):
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder, f"table.{suffix}")
                write(path, rows)
                size = path.stat().st_size / 1e6
                peak, seconds = measure(path)
            print(f"{suffix:8} {rows:10,} {size:9.1f} {peak / 1024:10.0f} {seconds:13.1f}", flush=True)


if __name__ == "__main__":
    main()
