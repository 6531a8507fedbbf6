"""The device under a clock: wait for it, see what it can do, ask how much memory is held.

On a GPU the figures of memory are the allocator's (`torch.cuda`): what tensors hold. On a CPU they are the process's
resident set as Linux tells it, of which Python and the libraries are a part that no model's size explains; elsewhere
there are none.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from evals.schema import ResourceRequirements
from evals.timing.roofline import DevicePeaks

PROBES = 7
"""Times each speed is tried; the best counts, since a floor must be one that nothing beats."""
_SIDE = {"cpu": 1024, "cuda": 8192}
"""Side of the matrices whose product is timed: large enough to keep the device busy, small enough for a moment."""
_LEAST_READ = 1 << 20
_PROCESS = Path("/proc/self")


def is_cuda(device: str) -> bool:
    """Whether torch calls a device one of CUDA's."""
    return device.startswith("cuda")


def synchronise(device: str) -> None:
    """Wait until a device has done what it was given; a CPU has."""
    if is_cuda(device):
        import torch

        torch.cuda.synchronize(device)


def probe_peaks(requirements: ResourceRequirements) -> DevicePeaks:
    """See how fast a device reads what a step reads, and how fast it multiplies.

    What is read is read as decoding does, a matrix times a vector, and as a plain sum; the best time of both counts.
    """
    import torch

    dtype = getattr(torch, requirements.dtype)
    count = int(max(requirements.step_bytes, _LEAST_READ)) // dtype.itemsize
    width = int(count**0.5)
    kind: dict[str, Any] = {"dtype": dtype, "device": requirements.device}
    matrix, vector = torch.ones(count // width, width, **kind), torch.ones(width, **kind)
    side = _SIDE["cuda" if is_cuda(requirements.device) else "cpu"]
    square = torch.ones(side, side, **kind)
    with torch.inference_mode():
        read = min(
            _least_seconds(lambda: matrix @ vector, requirements.device),
            _least_seconds(matrix.sum, requirements.device),
        )
        multiply = _least_seconds(lambda: square @ square, requirements.device)
    return DevicePeaks(matrix.numel() * matrix.element_size() / read, 2 * side**3 / multiply)


def _least_seconds(act: Callable[[], Any], device: str) -> float:
    seconds = []
    for _ in range(PROBES):
        synchronise(device)
        start = time.perf_counter()
        act()
        synchronise(device)
        seconds.append(time.perf_counter() - start)
    return min(seconds)


# Memory


def warm_libraries() -> None:
    """Load the libraries and have them take the memory that they keep, so that it is not counted as a model's."""
    import torch
    import transformers  # noqa: F401  # for what its import holds

    square = torch.ones(64, 64)
    square @ square  # the first product sets up the libraries of linear algebra


def memory_bytes(device: str) -> int | None:
    """Bytes held now; None where nobody tells."""
    if is_cuda(device):
        import torch

        return int(torch.cuda.memory_allocated(device))
    return _status("VmRSS")


def reset_peak_memory(device: str) -> None:
    """Let the peak begin anew."""
    if is_cuda(device):
        import torch

        torch.cuda.reset_peak_memory_stats(device)
        return
    with contextlib.suppress(OSError):  # a locked-down system keeps the peak of loading in, as a laxer one would not
        (_PROCESS / "clear_refs").write_text("5")


def peak_memory_bytes(device: str) -> int | None:
    """The most bytes held since `reset_peak_memory`; None where nobody tells."""
    if is_cuda(device):
        import torch

        return int(torch.cuda.max_memory_allocated(device))
    return _status("VmHWM")


def _status(field: str) -> int | None:
    """A figure of Linux's own account of this process; `getrusage` would begin with the peak of the parent."""
    try:
        lines = (_PROCESS / "status").read_text().splitlines()
    except OSError:
        return None
    found = [line.split()[1] for line in lines if line.startswith(f"{field}:")]
    return 1024 * int(found[0]) if found else None
