"""Measure both engines on a GPU: tests/gpu/run.sh [--long] [--out DIR] [--seconds N].

    agreement    texts and log-likelihoods in float32: the GPU, and vLLM, against transformers on the CPU
    throughput   bfloat16, random Llama checkpoints made on the spot: the suite on each engine, beside the library's
                 `generate` and vLLM driven directly, with its share of the roofline

Every part runs in a process of its own, for at most twice its share of the time that is left; a part that is not
reached or cannot run is `not measured`, with the reason. Without a GPU everything runs at toy size on the CPU, which
says nothing about speed.

The share of the roofline is the least time of the device, divided by the time that was taken. The least time is the
larger of two: all operations at the highest rate, where a prompt position that prompts share counts once; and the bytes
that the steps read at the highest bandwidth: the weights at each step, and each row's keys and values for each token.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import json
import math
import os
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
ENGINES = ("transformers", "vllm")
NOT_MEASURED = "not measured"
SLOTS = 256
"""Number of rows that both engines decode at once, for the lower bound of the number of steps."""
SAMPLES = 256
"""Most samples of a task: as many as are decoded at once."""
DATA_SHEETS = {"H200": {"read": 4.8e12, "compute": 989e12}, "H100": {"read": 3.35e12, "compute": 989e12},
               "A100": {"read": 2.0e12, "compute": 312e12}}  # fmt: skip
"""NVIDIA's figures of the SXM boards: bytes per second of the memory, and dense operations per second in bfloat16.
Other GPUs are compared with the rates that were measured on them."""
SHARES = {"agreement-transformers-cpu": 1, "agreement-transformers-cuda": 1, "agreement-vllm-cuda": 3,
          "agreement-vllm-cpu": 3}  # fmt: skip
"""Shares of the time; other parts have `LARGE_SHARE`."""
LARGE_SHARE = 5
GENERATED, CHOSEN = ("gsm8k", "math"), ("rte", "sst2")
TASKS: dict[str, dict[str, Any]] = {
    "gsm8k": {"name": "math/gsm8k", "options": {"shots": 8, "max_new_tokens": 256}},
    "rte": {"name": "glue/rte", "options": {"shots": 5}},
    "sst2": {"name": "glue/sst2", "options": {}},
    "math": {"name": "math/math500", "options": {"max_new_tokens": 2048}},
}
"""By label: the task at mini scale. Texts of random weights run to their limit."""


class Measurements:
    """The figures, the time that is left, and the processes that measure."""

    def __init__(self, out: Path, seconds: float, on_gpu: bool) -> None:
        self.out, self.end, self.on_gpu = out, time.monotonic() + seconds, on_gpu
        self.figures: dict[str, Any] = {"device": "cuda" if on_gpu else "cpu", "toy": not on_gpu, "parts": {}}
        self.planned: list[str] = []
        """Labels of the parts that are still to come."""

    @property
    def left(self) -> float:
        return self.end - time.monotonic()

    def time_for(self, label: str) -> float:
        """Return the seconds that a part may take: twice its share of what is left, so that a part that hangs cannot
        take the time of all others.
        """
        self.planned = [other for other in self.planned if other != label]
        share = SHARES.get(label, LARGE_SHARE)
        later = sum(SHARES.get(other, LARGE_SHARE) for other in self.planned)
        return self.left * min(1.0, 2 * share / (share + later))

    def measure(self, label: str, folder: Path, engine: str, tasks: list[dict[str, Any]], **spec: Any) -> Any:
        """Run the worker; returns its figures, or the reason why there are none."""
        seconds = self.time_for(label)
        if engine == "vllm" and importlib.util.find_spec("vllm") is None:
            return self._keep(label, f"{NOT_MEASURED}: vllm is not installed")
        if self.left < 20:
            return self._keep(label, f"{NOT_MEASURED}: no time left")
        out = self.out / f"{label}.json"
        spec = {"folder": str(folder), "engine": engine, "tasks": tasks, "out": str(out), "plain_batch": 128, **spec}
        (self.out / f"{label}.spec.json").write_text(json.dumps(spec))
        command = [sys.executable, str(Path(__file__).parent / "worker.py"), str(self.out / f"{label}.spec.json")]
        out.unlink(missing_ok=True)  # of an earlier run
        ended = run_within(command, self.out / f"{label}.log", seconds)
        if not out.exists():
            return self._keep(label, f"{NOT_MEASURED}: {ended or 'it wrote nothing'}")
        part = json.loads(out.read_text())
        for task in tasks:
            if ended is not None and task["label"] not in part["tasks"]:
                part["errors"].setdefault(task["label"], ended)
        return self._keep(label, part)

    def _keep(self, label: str, value: Any) -> Any:
        self.figures["parts"][label] = value
        (self.out / "gpu.json").write_text(json.dumps(self.figures, indent=1))
        said = value if isinstance(value, str) else "; ".join(["done", *value["errors"].values()])
        print(f"{label}: {said}; {max(0, self.left):.0f} s left", flush=True)
        return value


def run_within(command: list[str], log: Path, seconds: float) -> str | None:
    """Run a command, and kill it and its children when its time is over; returns why it did not end well, or None."""
    with log.open("wb") as file:
        process = subprocess.Popen(command, stdout=file, stderr=file, start_new_session=True)
        try:
            code = process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            code = None
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # vLLM's engine, too, which holds the GPU's memory
            process.wait()
    if code is None:
        return f"stopped after {seconds:.0f} s"
    lines = log.read_text(errors="replace").strip().splitlines() or ["no output"]
    return None if code == 0 else f"exit code {code}: {lines[-1][:200]}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--long", action="store_true", help="also SST-2 and MATH-500, and RTE of the 8B model")
    parser.add_argument("--out", type=Path, default=Path("gpu"))
    parser.add_argument("--seconds", type=float, default=460, help="time for everything; with --long 3600")
    options = parser.parse_args()
    import torch

    on_gpu = torch.cuda.is_available()
    options.out.mkdir(parents=True, exist_ok=True)
    measurements = Measurements(options.out, 3600 if options.long else options.seconds, on_gpu)
    if on_gpu:
        measurements.figures["gpu"] = torch.cuda.get_device_name()
    else:
        print("no GPU: toy sizes on the CPU; the times mean nothing", flush=True)
    places = ["transformers-cpu", *(["transformers-cuda"] if on_gpu else []), "vllm-cuda" if on_gpu else "vllm-cpu"]
    measurements.planned = [f"agreement-{place}" for place in places]
    measurements.planned += [f"{size}-{engine}" for size in sizes(on_gpu, options.long) for engine in ENGINES]
    try:
        with tempfile.TemporaryDirectory() as scratch:
            for part in (agreement, throughput):
                try:
                    part(measurements, Path(scratch), long=options.long)
                except Exception:  # a checkpoint that cannot be made; the other parts go on
                    traceback.print_exc()
    finally:
        text = table(measurements.figures)
        (options.out / "gpu.md").write_text(text)
        print(text)


def agreement(measurements: Measurements, scratch: Path, *, long: bool) -> None:
    """Compare the texts and the log-likelihoods of a small random model in float32."""
    import models

    folder = models.llama(scratch / "small", "toy", device="cpu", dtype="float32")
    tasks = [
        {**TASKS[label], "label": label, "beside": False,
         "options": {**TASKS[label]["options"], "limit": 24, **({"max_new_tokens": 32} if label == "gsm8k" else {})}}
        for label in ("gsm8k", "rte")
    ]  # fmt: skip
    places = [("transformers", "cpu"), *([("transformers", "cuda:0")] if measurements.on_gpu else [])]
    places.append(("vllm", "cuda:0" if measurements.on_gpu else "cpu"))
    for engine, device in places:
        label = f"agreement-{engine}-{device.partition(':')[0]}"
        measurements.measure(label, folder, engine, tasks, device=device, dtype="float32")
    reference = measurements.out / "agreement-transformers-cpu"
    for engine, device in places[1:]:
        label = f"agreement-{engine}-{device.partition(':')[0]}"
        if not isinstance(measurements.figures["parts"][label], str):
            measured = set(measurements.figures["parts"][label]["tasks"])
            measurements.figures["parts"][label]["against_cpu"] = {
                task["label"]: differences(reference / task["label"], measurements.out / label / task["label"])
                for task in tasks
                if task["label"] in measured and (reference / task["label"] / "result.json").exists()
            }


def differences(a: Path, b: Path) -> dict[str, float]:
    """Count the samples whose texts differ, and find the largest difference of a log-likelihood."""
    rows = [{row["id"]: row for row in map(json.loads, (run / "samples.jsonl").open())} for run in (a, b)]
    largest = 0.0
    for id, row in rows[0].items():
        for of_a, of_b in zip(row["scores"], rows[1][id]["scores"], strict=True):
            largest = max([largest, *(abs(x - y) for x, y in zip(of_a, of_b, strict=True))])
    texts = sum(row["output"] != rows[1][id]["output"] for id, row in rows[0].items())
    return {"samples": len(rows[0]), "other_texts": texts, "largest_difference": largest}


def sizes(on_gpu: bool, long: bool) -> dict[str, tuple[str, ...]]:
    """Return the tasks of each size of model."""
    if not on_gpu:
        return {"toy": ("gsm8k", "rte")}
    return {"1B": ("gsm8k", "rte", *(("sst2", "math") if long else ())), "8B": ("gsm8k", *(("rte",) if long else ()))}


def throughput(measurements: Measurements, scratch: Path, *, long: bool) -> None:
    """Time both engines on each size; the checkpoint of a size is removed after it."""
    import models

    for size, labels in sizes(measurements.on_gpu, long).items():
        device, dtype = ("cuda", "bfloat16") if measurements.on_gpu else ("cpu", "float32")
        if measurements.left < 30:
            for engine in reversed(ENGINES):
                measurements.figures["parts"][f"{size}-{engine}"] = f"{NOT_MEASURED}: no time left"
            continue
        folder = models.llama(scratch / size, size, device=device, dtype=dtype)
        limit = {"limit": SAMPLES if measurements.on_gpu else 6}
        short = {} if measurements.on_gpu else {"max_new_tokens": 8}
        tasks = [
            {**TASKS[label], "label": label, "beside": label in GENERATED,
             "options": {**TASKS[label]["options"], **limit, **(short if label in GENERATED else {})}}
            for label in labels
        ]  # fmt: skip
        for engine in reversed(ENGINES):  # vLLM first: its figures are the aim
            place = "cuda:0" if measurements.on_gpu else "cpu"
            measurements.measure(f"{size}-{engine}", folder, engine, tasks, device=place, dtype=dtype)
        for path in folder.glob("*.safetensors"):
            path.unlink()
    if long or not measurements.on_gpu:
        images(measurements, scratch)


def images(measurements: Measurements, scratch: Path) -> None:
    """Time questions about images; vLLM has no DeepSeek-VL."""
    import models

    size, device, dtype = ("1B", "cuda", "bfloat16") if measurements.on_gpu else ("toy", "cpu", "float32")
    folder = models.deepseek_vl(scratch / "vl", size, device=device, dtype=dtype)
    options = {} if measurements.on_gpu else {"limit": 6}
    tasks = [{"name": "vqa", "label": "vqa", "beside": False, "options": options}]
    place = "cuda:0" if measurements.on_gpu else "cpu"
    for engine in ENGINES:
        measurements.measure(f"{size} DeepSeek-VL-{engine}", folder, engine, tasks, device=place, dtype=dtype)


def table(figures: dict[str, Any]) -> str:
    """Write the figures as Markdown."""
    title = f"on {figures.get('gpu')}" if "gpu" in figures else "at toy size on a CPU: the times mean nothing"
    lines = [f"Measured {title}.", "", "| against transformers on the CPU, float32 | task | samples | other texts | "
             "largest difference of a log-likelihood |", "|---|---|--:|--:|--:|"]  # fmt: skip
    throughput_lines = ["", "| model | engine | task | samples/s | new tokens/s | beside it, new tokens/s | ratio | "
                        "share of the roofline |", "|---|---|---|--:|--:|--:|--:|--:|"]  # fmt: skip
    memory = ["", "| model | engine | start, s | peak memory, GB |", "|---|---|--:|--:|"]
    for label, part in figures["parts"].items():
        if isinstance(part, str):
            if label.startswith("agreement"):
                lines.append(f"| {label.removeprefix('agreement-')} | {part} | | | |")
            else:
                size, _, engine = label.rpartition("-")
                throughput_lines.append(f"| {size} | {engine} | {part} | | | | | |")
            continue
        size, _, engine = label.rpartition("-")
        if not label.startswith("agreement"):
            failed = ((task, why) for task, why in part.get("errors", {}).items() if task not in part["tasks"])
            throughput_lines += [
                f"| {size} | {engine} | {task} | {NOT_MEASURED}: {why} | | | | |" for task, why in failed
            ]
        for task, compared in part.get("against_cpu", {}).items():
            name = label.removeprefix("agreement-")
            lines.append(f"| {name} | {task} | {compared['samples']} | {compared['other_texts']} | "
                         f"{compared['largest_difference']:.2g} |")  # fmt: skip
        if not label.startswith("agreement"):
            gpu = figures.get("gpu", "")
            throughput_lines += [
                _row(size, engine, task, row, {**part, "gpu": gpu}) for task, row in part["tasks"].items()
            ]
            peak = part.get("peak_memory_bytes")
            shown = NOT_MEASURED if peak is None else f"{peak / 1e9:.1f}"
            memory.append(f"| {size} | {engine} | {part['start_seconds']:.0f} | {shown} |")
    return "\n".join([*lines, *throughput_lines, *memory, ""])


def _row(size: str, engine: str, task: str, row: dict[str, Any], part: dict[str, Any]) -> str:
    beside, ratio = row.get("beside"), NOT_MEASURED
    if beside is not None:
        ratio = f"{row['new_tokens_per_second'] / beside['new_tokens_per_second']:.2f}"
    name = "vLLM directly" if engine == "vllm" else "plain generate"
    shown = f"{name}: {beside['new_tokens_per_second']:,.0f}" if beside else ""
    new = f"{row['new_tokens_per_second']:,.0f}" if task in GENERATED else ""
    return (
        f"| {size} | {engine} | {task} | {row['samples_per_second']:.1f} | {new} | {shown} | {ratio} | "
        f"{_roofline_share(row, part, generates=task in GENERATED)} |"
    )


def _roofline_share(row: dict[str, Any], part: dict[str, Any], *, generates: bool) -> str:
    """The least time that the device needs, as a share of the time that was taken."""
    sheet = next((rates for name, rates in DATA_SHEETS.items() if name in part["gpu"]), part.get("peaks"))
    if sheet is None or "distinct_prompt_tokens" not in row:
        return NOT_MEASURED
    weights, size = part["model"]["parameters"], 2 if part["model"].get("dtype") != "float32" else 4
    tokens, moved = row["distinct_prompt_tokens"], weights * size
    if generates:
        tokens += row["new_tokens"]
        steps = row["new_tokens"] / row["samples"] * math.ceil(row["samples"] / SLOTS)
        read = row["prompt_tokens"] / row["samples"] + row["new_tokens"] / row["samples"] / 2
        moved = steps * weights * size + row["new_tokens"] * read * row["bytes_per_position"]
    least = max(2 * weights * tokens / sheet["compute"], moved / sheet["read"])
    return f"{least / row['seconds']:.3f}"


if __name__ == "__main__":
    main()
