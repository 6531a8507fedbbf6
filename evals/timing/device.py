"""Synchronise a device, measure its peak speeds, and read the memory in use.

On a GPU, memory is what torch's allocator (`torch.cuda`) reports for tensors. On a CPU it is the resident set of the
process as Linux reports it, which includes Python and the libraries. On other systems it is not available.
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
"""Number of trials per speed; the best one counts, since nothing may be faster than a lower bound."""
_SIDE = {"cpu": 1024, "cuda": 8192}
"""Side of the square matrices that are multiplied: large enough to keep the device busy, small enough to be quick."""
_LEAST_READ = 1 << 20
"""Minimum number of bytes to read in a trial."""
_PROCESS = Path("/proc/self")


def is_cuda(device: str) -> bool:
    """Return whether a torch device name is a CUDA device."""
    return device.startswith("cuda")


def synchronise(device: str) -> None:
    """Wait until a device has finished its queued work; does nothing for a CPU."""
    if is_cuda(device):
        import torch

        torch.cuda.synchronize(device)


def probe_peaks(requirements: ResourceRequirements) -> DevicePeaks:
    """Measure how fast a device reads as many bytes as a decoding step, and how fast it multiplies matrices.

    Reading is measured as a product of a matrix and a vector (as in decoding) and as a sum; the faster one counts.
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
        read_seconds = min(
            _least_seconds(lambda: matrix @ vector, requirements.device),
            _least_seconds(matrix.sum, requirements.device),
        )
        multiply_seconds = _least_seconds(lambda: square @ square, requirements.device)
    return DevicePeaks(matrix.numel() * matrix.element_size() / read_seconds, 2 * side**3 / multiply_seconds)


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
    """Load the libraries and their working memory in advance, so that it is not counted as memory of a model."""
    import torch
    import transformers  # noqa: F401  # imported for the memory that it uses

    square = torch.ones(64, 64)
    square @ square  # the first product initialises the linear-algebra libraries


def memory_bytes(device: str) -> int | None:
    """Return the number of bytes in use; None if not available."""
    if is_cuda(device):
        import torch

        return int(torch.cuda.memory_allocated(device))
    return _status("VmRSS")


def reset_peak_memory(device: str) -> None:
    """Reset the peak memory to the memory in use now."""
    if is_cuda(device):
        import torch

        torch.cuda.reset_peak_memory_stats(device)
        return
    with contextlib.suppress(OSError):  # where this is forbidden, the peak includes loading
        (_PROCESS / "clear_refs").write_text("5")


def peak_memory_bytes(device: str) -> int | None:
    """Return the peak number of bytes in use since `reset_peak_memory`; None if not available."""
    if is_cuda(device):
        import torch

        return int(torch.cuda.max_memory_allocated(device))
    return _status("VmHWM")


def _status(field: str) -> int | None:
    """Read a value in bytes from Linux's status of this process; `getrusage` would include the parent's peak."""
    try:
        lines = (_PROCESS / "status").read_text().splitlines()
    except OSError:
        return None
    kibibytes = [line.split()[1] for line in lines if line.startswith(f"{field}:")]
    return 1024 * int(kibibytes[0]) if kibibytes else None
