"""Checks before any weight is read: options that cannot work, and models that cannot do the task.

Each raises an `InputError` that says what was given and what is allowed.
"""

from __future__ import annotations

import importlib.util
import os
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from evals.errors import InputError, UnknownName, counted, shorten
from evals.execution import generation_options
from evals.execution.resolve import Resolved
from evals.registry import FAMILIES
from evals.schema import MODALITIES, SCALES, Model, Options, Placement, RunConfig, Samples, Task
from evals.schema.config import DTYPES, ENGINES, LONG_PROMPTS

MAX_WORKERS = 1_024
"""Limit on the workers of a run."""
WORKERS_PER_CORE = 8
"""Limit on the processes of a run on this machine: more would exhaust it before the first sample."""
_GPU_FILES = (
    "/proc/driver/nvidia", "/dev/nvidiactl", "/dev/nvidia0", "/dev/nvhost-gpu", "/dev/nvmap", "/dev/dxg", "/dev/kfd",
)  # fmt: skip
"""Of NVIDIA's driver, also on Jetson, of the Windows subsystem for Linux, and of AMD's driver."""
_HASHED_IDS = 100_000
"""Number of ids from which their hashes are compared first."""
_CHECKED_SAMPLES = 16
"""Number of samples whose requests are compared with what a checkpoint's files say; GLUE alternates nine tasks."""


def check_numbers(config: RunConfig) -> None:
    """Refuse options whose numbers are out of range or do not fit together."""
    options = config.options
    if options.scale not in SCALES:
        raise UnknownName("scale", options.scale, SCALES)
    counts = {
        "limit": options.limit,
        "first": options.first,
        "token-budget": config.token_budget,
        "workers": config.workers,
        "samples": options.samples_per_problem,
        "extend": config.extend,
    }
    counts |= {"processes": options.processes, "repetitions": options.repetitions, "batch": options.batch}
    counts |= {"threads": config.placement.threads, "experts": config.placement.experts}
    counts |= {"tensor-parallel": config.placement.tensor_parallel}
    for flag, value in counts.items():
        if value is not None and value < 1:
            raise InputError(f"--{flag} {value} leaves nothing to do: give 1 or more")
    if options.limit is not None and options.first is not None:
        raise InputError(
            f"--limit {options.limit} chooses at random, --first {options.first} does not: give one of them"
        )
    if options.shots is not None and options.shots < 0:
        raise InputError(f"--shots {options.shots}: give 0 or more")
    if options.same_shots and not options.shots:
        raise InputError("--same-shots fixes the examples of --shots K: give --shots too")
    if not 0 <= options.temperature <= 10 or not 0 < options.top_p <= 1:
        flags = f"--temperature {options.temperature} --top-p {options.top_p}"
        raise InputError(f"{flags}: a temperature lies in 0 to 10, top-p in 0 to 1")
    if config.placement.long_prompts not in {None, *LONG_PROMPTS}:
        raise InputError(f"--long-prompts {config.placement.long_prompts}: allowed are {' and '.join(LONG_PROMPTS)}")
    if config.placement.engine not in {None, *ENGINES}:
        raise InputError(f"--engine {config.placement.engine} is not known; allowed: {', '.join(ENGINES)}")
    device = config.placement.device
    if device is not None and re.fullmatch(r"(cpu|cuda|mps|xpu)(:[0-9]{1,3})?", device, re.ASCII) is None:
        raise InputError(f"--device {shorten(device)} is no device; allowed: cpu, cuda, cuda:N")
    here = config.cluster is None and config.workers == 1
    if here and device is not None and device.startswith("cuda") and not may_have_gpu():
        raise InputError(f"--device {device} cannot be used: this machine has no GPU; leave it out, or give cpu")
    _check_worker_count(config)
    if config.placement.dtype not in {None, *DTYPES}:
        raise InputError(f"--dtype {config.placement.dtype} is not supported; allowed: {', '.join(DTYPES)}")
    if options.samples_per_problem > 1 and not options.temperature and options.generation is None:
        raise InputError(f"--samples {options.samples_per_problem} would all be equal: give --temperature too")
    if options.top_p != 1 and not options.temperature:
        raise InputError(f"--top-p {options.top_p} limits sampling, but decoding is greedy: give --temperature too")
    if config.precision is not None:
        check_early("precision", config.precision, config)
    elif config.predictor:
        raise InputError(
            f"--predictor {config.predictor[0]} makes a run with --precision shorter: give --precision too; a run with "
            f"--limit uses it afterwards, with show RUN --predictor"
        )
    if config.mixed and config.cluster is None:
        raise InputError("--mixed is about the GPUs of a cluster: give --cluster too")
    generation_options.check(options)


def check_early(flag: str, points: float | None, config: RunConfig) -> None:
    """Refuse a width in points that no interval can have, or options that choose the samples of a run that stops early.

    Args:
        flag: of the width, without its dashes; for the error too.
        points: percentage points, or None.
        config: the configuration of the run.
    """
    if points is not None and not 0 < points < 100:
        raise InputError(f"--{flag} {points:g}: give percentage points, more than 0 and less than 100")
    options = config.options
    for other, value in {"limit": options.limit, "first": options.first, "extend": config.extend}.items():
        if value is not None:
            raise InputError(f"--{other} {value} cannot be given for a run that stops early by itself; leave it out")
    if config.force:
        raise InputError("--force needs the run and its blind control in full, and this run may stop early")


def _check_worker_count(config: RunConfig) -> None:
    """Refuse more workers than a cluster, or this machine, can start."""
    if config.workers > MAX_WORKERS:
        raise InputError(f"--workers {config.workers:,}: at most {MAX_WORKERS:,} workers share a run")
    cores = os.cpu_count() or 1
    if config.cluster is None and config.workers > WORKERS_PER_CORE * cores:
        raise InputError(
            f"--workers {config.workers:,}: this machine has {counted(cores, 'core')}, so at most "
            f"{WORKERS_PER_CORE * cores:,} processes share a run"
        )


def may_have_gpu() -> bool:
    """Return whether torch may find a GPU here, without its import: no, if Linux has none of the drivers' files."""
    return sys.platform != "linux" or any(Path(path).exists() for path in _GPU_FILES)


def check_documents(reading: str | None, *, scale: str, systems: Mapping[str, str], data: Path | str | None) -> None:
    """Refuse options of `check` that have no effect, and data that are not there.

    Args:
        reading: `--paper` or `--recorded` if no run is made, else None.
        scale: see `evals.check`.
        systems: see `evals.check`; with `--recorded` they say whose run is read.
        data: see `evals.check`.
    """
    if scale not in SCALES:
        raise UnknownName("scale", scale, SCALES)
    flags = {
        "--system": bool(systems) and reading == "--paper",
        "--data": data is not None,
        "--scale": scale != SCALES[0],
    }
    unused = [flag for flag, is_used in flags.items() if is_used]
    if unused and reading is not None:
        raise InputError(f"{unused[0]} has no effect with {reading}, which runs no model; leave it out")
    if data is not None and not Path(data).expanduser().exists():
        raise InputError(f"--data {data} does not exist")


def check_supported(task: Task, options: Options) -> None:
    """Refuse options that the task does not use: the manifest must not record what was not done."""
    defaults = Options()
    names = (
        "columns",
        "prompt",
        "shots",
        "same_shots",
        "samples",
        "processes",
        "repetitions",
        "rate",
        "arrivals",
        "batch",
    )
    for name in names:
        field = "samples_per_problem" if name == "samples" else name
        if getattr(options, field) != getattr(defaults, field) and name not in task.supported_options:
            flag = name.replace("_", "-")
            raise InputError(f"--{flag} has no effect on task {task.name!r}; leave it out")
    if options.columns is not None and options.data is None:
        raise InputError(f"--columns {shorten(options.columns)} names columns of a table: give --data too")


def check_distinct(task: Task, ids: Sequence[str]) -> None:
    """Refuse samples of which two have one id: they could not be told apart on the disk."""
    for id in ids:
        if not isinstance(id, str):
            raise InputError(f"task {task.name!r} has the sample id {id!r} ({type(id).__name__}), expected text")
    if len(ids) > _HASHED_IDS and _have_distinct_hashes(ids):
        return
    seen: set[str] = set()
    for id in ids:
        if id in seen:
            raise InputError(f"task {task.name!r} has two samples with the id {id!r}: every id must be another")
        seen.add(id)


def _have_distinct_hashes(ids: Sequence[str]) -> bool:
    """Return whether no two ids of very many have one hash; they take 8 bytes each, and a set of them over 100."""
    import numpy as np

    hashes = np.fromiter(map(hash, ids), np.int64, len(ids))
    hashes.sort()
    return not (hashes[1:] == hashes[:-1]).any()


def check_modalities(task: Task, model: Resolved, samples: Samples, force: bool) -> None:
    """Refuse a model that does not read the samples' modalities: a server may accept images and ignore them."""
    modalities = samples.facts.get("modalities") or sorted(
        {MODALITIES[type(part)] for request in samples[0].requests for part in request.parts} if len(samples) else ()
    )
    lacking = [kind for kind in modalities if model.modalities is not None and kind not in model.modalities]
    if lacking and not force:
        reads = ", ".join(sorted(model.modalities or ()))
        hint = " (--force asks anyway, and then runs the blind control)" if "image" in lacking else ""
        raise InputError(f"task {task.name!r} shows {' and '.join(lacking)}; {model.name!r} reads {reads} only{hint}")
    if force and "image" not in lacking:
        why = f"{model.name!r} may read them" if "image" in modalities else f"{task.name!r} has none"
        raise InputError(f"--force is for images, shown to a model that is not known to read them; {why}")


def check_long_prompts(config: RunConfig, source: Resolved) -> None:
    """Refuse `--long-prompts` for recorded outputs, for which no prompt is read."""
    recorded = [part.name for part in source.answering if part.family.name == "replay"]
    if config.placement.long_prompts is not None and recorded:
        raise InputError(
            f"--long-prompts has no effect on model {recorded[0]!r}, which reads no prompt here; leave it out"
        )


def check_engine(config: RunConfig, source: Resolved) -> None:
    """Refuse an engine that the model's family cannot use, or that is not installed; neither is imported."""
    engine, parallel = config.placement.engine, config.placement.tensor_parallel
    if engine is not None and engine not in source.family.engines:
        able = " and ".join(sorted(family.name for family in FAMILIES if engine in family.engines))
        raise InputError(f"--engine {engine} is for models of the families {able}; {source.name!r} is of the family "
                         f"{source.family.name}")  # fmt: skip
    if engine == "vllm" and importlib.util.find_spec("vllm") is None:
        raise InputError("--engine vllm needs vllm, which is not installed: pip install 'claim-evals[vllm]'")
    if parallel is not None and engine != "vllm":
        raise InputError(f"--tensor-parallel {parallel} divides a model among GPUs, which needs --engine vllm")
    if (parallel or 1) > 1 and config.workers > 1:
        raise InputError(f"--workers {config.workers} --tensor-parallel {parallel}: give one of them")


def check_requests(source: Resolved, placement: Placement, samples: Samples) -> None:
    """Refuse a checkpoint whose files say that it cannot answer the first samples of a split."""
    for index in range(min(len(samples), _CHECKED_SAMPLES)):
        for request in samples[index].requests:
            source.check_request(request, placement)


def ability(task: Task, method: str | None) -> str:
    """Return the ability that a task needs when it queries a model by a method."""
    return task.needs if method is None else task.methods[method]


def check_able(task: Task, options: Options, model: Model) -> None:
    """Refuse a loaded model that lacks an ability of its family."""
    needed = ability(task, options.method)
    facts = [model.facts, *(model.facts.get("parts") or {}).values()]
    if options.max_new_tokens is not None and any(stated.get("max_tokens") is not None for stated in facts):
        raise InputError("--max-new-tokens and the address's max_tokens both set the limit: give one of them")
    if needed not in model.abilities:
        can = ", ".join(sorted(model.abilities)) or "nothing"
        raise InputError(f"task {task.name!r} needs a model that can {needed}; {model.name!r} has weights to: {can}")


def check_timed(task: Task, config: RunConfig) -> None:
    """Refuse options that a timed task does not use."""
    refused = {
        "limit": config.options.limit,
        "first": config.options.first,
        "workers": config.workers if config.workers > 1 else None,
        "cluster": config.cluster,
        "token-budget": config.token_budget,
        "blind": config.options.blind,
        "force": config.force,
        "precision": config.precision,
    }
    if config.placement.engine == "vllm":
        raise InputError(f"--engine vllm: task {task.name!r} times models on the engine transformers only")
    for flag, value in refused.items():
        if value:
            raise InputError(f"--{flag} has no effect on task {task.name!r}, whose requests are timed; leave it out")


def method(task: Task, model: Resolved, chosen: str | None) -> str | None:
    """Choose how to query the model: as the user chose, else by the first method that it supports.

    Returns:
        A key of `task.methods`, or None if the task has one way only.

    Raises:
        InputError: if the model supports no method of the task.
    """
    if chosen is not None and chosen not in task.methods:
        raise UnknownName(f"method of {task.name}", chosen, task.methods)
    methods: list[str | None] = [chosen] if chosen is not None else [*task.methods] or [None]
    abilities = [ability(task, method) for method in methods]
    for method, needed in zip(methods, abilities, strict=True):
        if needed in model.abilities:
            return method
    can = ", ".join(sorted(model.abilities)) or "nothing"
    raise InputError(f"task {task.name!r} needs a model that can {' or '.join(abilities)}; {model.name!r} can: {can}")
