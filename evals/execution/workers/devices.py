"""Assign a device to each worker: a GPU of its own, or the CPU for all."""

from __future__ import annotations

from dataclasses import replace

from evals.errors import InputError
from evals.schema import Placement


def assign(placement: Placement, worker_count: int, gpu_count: int) -> tuple[Placement, ...]:
    """Place workers on devices, so that no two of them share a GPU.

    Args:
        placement: what the user chose for the whole run.
        worker_count: number of workers, at least 2.
        gpu_count: number of CUDA devices.

    Returns:
        One placement per worker.

    Raises:
        InputError: there are fewer GPUs than workers, or the user named one GPU.

    Example:
        >>> [worker.device for worker in assign(Placement(), worker_count=2, gpu_count=4)]
        ['cuda:0', 'cuda:1']
        >>> assign(Placement("cuda"), worker_count=2, gpu_count=0)
        Traceback (most recent call last):
            ...
        evals.errors.InputError: --workers 2: no GPU is here, and each worker needs one for itself; give --device cpu
    """
    device = placement.device
    if device is not None and (device.startswith("cuda:") or device in {"mps", "xpu"}):
        raise InputError(
            f"--workers {worker_count} cannot share --device {device}: each worker needs a GPU for itself; "
            "give --device cuda or --workers 1"
        )
    if device not in {None, "cuda"} or (device is None and not gpu_count):
        return (placement,) * worker_count
    if worker_count > gpu_count:
        gpus = {0: "no GPU is", 1: "only one GPU is"}.get(gpu_count, f"only {gpu_count} GPUs are")
        advice = f"--workers {gpu_count} or --device cpu" if gpu_count else "--device cpu"
        raise InputError(f"--workers {worker_count}: {gpus} here, and each worker needs one for itself; give {advice}")
    return tuple(replace(placement, device=f"cuda:{number}") for number in range(worker_count))
