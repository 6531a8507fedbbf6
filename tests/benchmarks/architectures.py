"""Which architectures run in batches: compare each row of a batch with the row alone, for all that the library has.

Small random checkpoints of every decoder and encoder-decoder of the installed library choose and generate through the
family `causal`: each row alone, and in batches with rows of other lengths, with and without shared prefixes. Each row
alone is compared with plain forward passes too. Padding is tried on both sides. Every architecture is checked in a
process of its own, within two minutes of processor time and 4 GiB. Finished ones are kept in a file, so a command that
was stopped goes on. With --write, `models/architectures.yaml` and `docs/architectures.md` are made from the results.

    python tests/benchmarks/architectures.py --only llama rwkv
    python tests/benchmarks/architectures.py --results checked.jsonl --write
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import msgspec

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "support")]

import architecture_checks  # noqa: E402
import architecture_table  # noqa: E402
from fork_server import fork_server_context  # noqa: E402

SECONDS = 1200
"""Longest time of a check, most of it waiting on a busy machine."""
PRELOADED = ["architecture_checks", "evals.models.families.causal", "transformers.models.llama.modeling_llama",
             "transformers.quantizers.auto", "scipy.optimize"]  # fmt: skip
"""Modules that nearly every check imports."""


class Checked(msgspec.Struct):
    """One line of the file of results."""

    section: str
    name: str
    row: architecture_checks.ArchitectureRow


def names() -> dict[str, list[str]]:
    """Return what is checked, by section of the table."""
    from transformers.models.auto import modeling_auto

    return {
        "decoders": sorted(modeling_auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES),
        "encoder_decoders": sorted(modeling_auto.MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES),
        "ropes": sorted(architecture_checks.ROPES),
    }


def check(section: str, name: str) -> architecture_checks.ArchitectureRow:
    """Check one architecture in a process of its own; one that ends or does not is not compared."""
    context = fork_server_context()
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=architecture_checks.send, args=(sender, section, name), daemon=True)
    process.start()
    sender.close()
    try:
        if not receiver.poll(SECONDS):
            return architecture_checks.not_compared(f"its small checkpoint takes more than {SECONDS} s")
        return msgspec.convert(receiver.recv(), architecture_checks.ArchitectureRow)
    except EOFError:
        return architecture_checks.not_compared("its small checkpoint ended the process (time or memory)")
    finally:
        process.kill()
        process.join()


def main() -> None:
    """Print a line per architecture, and write the table if wanted."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", metavar="TYPE", help="check these alone")
    parser.add_argument("--results", type=Path, help="file in which finished checks are kept; they are not repeated")
    parser.add_argument("--write", action="store_true", help="write the table and its page")
    options = parser.parse_args()
    finished: dict[tuple[str, str], architecture_checks.ArchitectureRow] = {}
    if options.results and options.results.exists():
        for line in options.results.read_bytes().splitlines():
            checked = msgspec.json.decode(line, type=Checked)
            finished[checked.section, checked.name] = checked.row
    # The server, from which the processes are forked, imports the libraries once.
    os.environ["PYTHONPATH"] = os.pathsep.join(sys.path[:2])
    multiprocessing.set_forkserver_preload(PRELOADED)
    wanted = [(section, name) for section, all_names in names().items() for name in all_names]
    for section, name in wanted:
        if (section, name) in finished or (options.only and name not in options.only):
            continue
        started = time.perf_counter()
        row = finished[section, name] = check(section, name)
        print(
            f"{section} {name} ({time.perf_counter() - started:.1f} s): {architecture_table.described(row)}", flush=True
        )
        if options.results:
            with options.results.open("ab") as file:
                file.write(msgspec.json.encode(Checked(section, name, row)) + b"\n")
    if options.write:
        lacking = [name for section, name in wanted if (section, name) not in finished]
        if lacking:
            raise SystemExit(f"{len(lacking)} architectures are not checked, the first being {lacking[0]}")
        write({key: finished[key] for key in wanted})


def write(rows: Mapping[tuple[str, str], architecture_checks.ArchitectureRow]) -> None:
    """Write `models/architectures.yaml` and the page made from it."""
    import transformers

    architecture_table.write_table(rows, transformers.__version__, time.strftime("%Y-%m-%d"))
    architecture_table.write_page()


if __name__ == "__main__":
    main()
