"""Measure one checkpoint with one engine, in a process of its own: python tests/gpu/worker.py SPEC.json.

The specification names the checkpoint, the engine, device, number format and tasks; the figures are written to its
`out`. Beside the suite, the same prompts go to the library's `generate` (engine transformers) or to vLLM's own
`LLM.generate` (engine vllm), in one call.
"""

from __future__ import annotations

import itertools
import json
import sys
import time
import traceback
from pathlib import Path
from typing import Any

from evals import registry
from evals.app import api
from evals.execution.resolve import resolve
from evals.execution.run import selected
from evals.models.decoding.loglikelihood import common_length
from evals.models.engines.concurrent import ConcurrentModel
from evals.schema import Generate, Placement, RunConfig


def main() -> None:
    spec = json.loads(Path(sys.argv[1]).read_text())
    figures: dict[str, Any] = {"tasks": {}, "errors": {}}
    out = Path(spec["out"])
    started = time.monotonic()
    registry.discover()
    placement = Placement(device=spec["device"], dtype=spec["dtype"], engine=spec["engine"])
    model = resolve(spec["folder"], scale="mini").load(placement)
    figures["start_seconds"] = time.monotonic() - started
    facts = ("engine", "attention", "device", "dtype", "parameters", "engine_settings", "engine_version")
    figures["model"] = {name: model.facts.get(name) for name in facts}
    out.write_text(json.dumps(figures))
    tried(figures, "peaks", lambda: figures.update(peaks=peaks(spec)))
    for task in spec["tasks"]:
        tried(figures, task["label"], lambda task=task: measure(task, model, figures, spec))
        out.write_text(json.dumps(figures))  # what is measured is kept if the time is over


def tried(figures: dict[str, Any], label: str, act: Any) -> None:
    """Do one part; what it raises is kept, and the next part goes on."""
    try:
        act()
    except Exception as error:
        traceback.print_exc()
        figures["errors"][label] = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"


def measure(task: dict[str, Any], model: Any, figures: dict[str, Any], spec: dict[str, Any]) -> None:
    """Time one task, then the same prompts beside the suite."""
    out = Path(spec["out"])
    config = RunConfig.of(spec["folder"], task["name"], out=out.with_suffix("") / task["label"],
                          engine=spec["engine"], device=spec["device"], dtype=spec["dtype"],
                          **task["options"])  # fmt: skip
    forget_prefixes(model)
    began = time.monotonic()
    record = api.execute(config, load_model=lambda *_: model)
    row = suite_figures(record, time.monotonic() - began)
    figures["tasks"][task["label"]] = row
    peak = model.peak_memory_bytes()
    if peak is not None:
        figures["peak_memory_bytes"] = max(peak, figures.get("peak_memory_bytes", 0))
    row.update(least_work(model, config, spec))
    out.write_text(json.dumps(figures))
    if task["beside"]:
        forget_prefixes(model)
        row["beside"] = beside(model, prompts_of(model, config), spec)
        forget_peak(spec)


def peaks(spec: dict[str, Any]) -> dict[str, float]:
    """The highest measured rates of the device: bytes moved per second, and operations per second."""
    import torch

    on_gpu = spec["device"] != "cpu"
    side, count = (8192, 1 << 30) if on_gpu else (512, 1 << 22)  # 1 << 30 numbers are far more than a cache holds
    kind = {"device": spec["device"], "dtype": getattr(torch, spec["dtype"])}
    square, long = torch.randn(side, side, **kind), torch.zeros(count, **kind)
    other = torch.empty_like(long)

    def best(act: Any) -> float:
        seconds = []
        for _ in range(5):
            synchronise(on_gpu)
            began = time.perf_counter()
            act()
            synchronise(on_gpu)
            seconds.append(time.perf_counter() - began)
        return min(seconds)

    moved = 2 * count * long.element_size() / best(lambda: other.copy_(long))
    return {"read": moved, "compute": 2 * side**3 / best(lambda: square @ square)}


def synchronise(on_gpu: bool) -> None:
    import torch

    if on_gpu:
        torch.cuda.synchronize()


def forget_peak(spec: dict[str, Any]) -> None:
    """Let the peak of the memory begin again, after what was measured beside the suite."""
    import torch

    if spec["device"] != "cpu" and spec["engine"] == "transformers":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()


def least_work(model: Any, config: RunConfig, spec: dict[str, Any]) -> dict[str, float]:
    """What no engine can avoid: prompt positions of which each is computed once, and bytes of a position in a cache."""
    import torch

    from evals.models.backend.gpus import cache_values

    task = registry.TASKS.get(config.task)
    samples = selected(config, task.samples(config.options))
    requests = [request for index in range(len(samples)) for request in samples[index].requests]
    prompts = sorted(tuple(model.prepare(request).tokens) for request in requests)
    shared = sum(common_length(a, b) for a, b in itertools.pairwise(prompts))
    library = unwrapped(model)
    is_loaded = hasattr(library, "model")
    text = library.model.config.get_text_config() if is_loaded else library.engine.llm.model_config.hf_text_config
    size = getattr(torch, spec["dtype"]).itemsize
    return {"distinct_prompt_tokens": sum(map(len, prompts)) - shared, "bytes_per_position": cache_values(text) * size}


def forget_prefixes(model: Any) -> None:
    """Empty vLLM's prefix cache, so that no measurement profits from the one before."""
    engine = getattr(unwrapped(model), "engine", None)  # a family without a choice of engines has none
    if engine is not None:
        engine.llm.reset_prefix_cache()


def unwrapped(model: Any) -> Any:
    """The model of the family, which a GPU shares among several batches."""
    return model.model if isinstance(model, ConcurrentModel) else model


def suite_figures(record: Any, whole: float) -> dict[str, Any]:
    """What a run of the suite took: the samples' own seconds, and those of the whole call."""
    result = record.result
    cost = result.efficiency
    return {
        "samples": result.n,
        "failed": result.failed,
        "seconds": cost["seconds"],
        "whole_seconds": whole,
        "prompt_tokens": cost["prompt_tokens"],
        "new_tokens": cost["new_tokens"],
        "samples_per_second": result.n / cost["seconds"],
        "new_tokens_per_second": cost["new_tokens"] / cost["seconds"],
    }


def prompts_of(model: Any, config: RunConfig) -> list[tuple[list[int], int]]:
    """Tokens and limit of every prompt of a generating task."""
    task = registry.TASKS.get(config.task)
    samples = selected(config, task.samples(config.options))
    requests = [request for index in range(len(samples)) for request in samples[index].requests]
    return [
        (list(model.prepare(request).tokens), request.max_new_tokens)
        for request in requests
        if isinstance(request, Generate)
    ]


def beside(model: Any, prompts: list[tuple[list[int], int]], spec: dict[str, Any]) -> dict[str, float]:
    """The same prompts without the suite; texts run to their limit, and no stop string is looked for."""
    direct = vllm_directly if spec["engine"] == "vllm" else plain_generate
    began = time.monotonic()
    tokens = direct(unwrapped(model), prompts, spec)
    seconds = time.monotonic() - began
    return {"seconds": seconds, "new_tokens": tokens, "new_tokens_per_second": tokens / seconds}


def vllm_directly(model: Any, prompts: list[tuple[list[int], int]], spec: dict[str, Any]) -> int:
    from vllm import SamplingParams, TokensPrompt

    params = [
        SamplingParams(temperature=0.0, max_tokens=limit, stop_token_ids=[1], ignore_eos=True, detokenize=False)
        for _, limit in prompts
    ]
    asked = [TokensPrompt(prompt_token_ids=tokens) for tokens, _ in prompts]
    outputs = model.engine.llm.generate(asked, params, use_tqdm=False)
    return sum(len(output.outputs[0].token_ids) for output in outputs)


def plain_generate(model: Any, prompts: list[tuple[list[int], int]], spec: dict[str, Any]) -> int:
    import torch

    rows, count = sorted(prompts, key=lambda prompt: len(prompt[0])), 0
    size = spec["plain_batch"]
    for start in range(0, len(rows), size):
        part = rows[start : start + size]
        longest = max(len(tokens) for tokens, _ in part)
        ids = torch.zeros(len(part), longest, dtype=torch.long)
        mask = torch.zeros_like(ids)
        for row, (tokens, _) in enumerate(part):
            ids[row, longest - len(tokens) :] = torch.tensor(tokens)
            mask[row, longest - len(tokens) :] = 1
        with torch.inference_mode():
            output = model.model.generate(
                input_ids=ids.to(spec["device"]), attention_mask=mask.to(spec["device"]), do_sample=False,
                max_new_tokens=max(limit for _, limit in part), pad_token_id=0, eos_token_id=1,
            )  # fmt: skip
        new = output[:, longest:]
        ended = (new == 1).cumsum(dim=1) > 0
        count += int((~ended).sum())
    return count


if __name__ == "__main__":
    main()
