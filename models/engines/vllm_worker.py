"""What the suite adds to vLLM's workers, which live in processes of their own (vLLM's `worker_extension_cls`)."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

_WATCH_SECONDS = 1.0
"""Time between two looks at whether the suite's process is alive."""


class WorkerExtension:
    """Methods of vLLM's worker that `LLM.collective_rpc` calls by name."""

    vllm_config: Any

    def evals_watch(self, pid: int) -> None:
        """End this worker, and the engine that started it, when the suite's process has ended.

        vLLM's engine waits for requests for ever if the process that asks is killed.

        Args:
            pid: the suite's process.
        """
        if pid != os.getpid():
            threading.Thread(target=_end_after, args=(pid, os.getppid()), daemon=True).start()

    def evals_description(self) -> dict[str, Any]:
        """Return what this worker computes with: the names of its attention backends, and its model runner."""
        layers = self.vllm_config.compilation_config.static_forward_context.values()
        backends = {layer.get_attn_backend().get_name() for layer in layers if hasattr(layer, "get_attn_backend")}
        runner = "v2" if getattr(self, "use_v2_model_runner", False) else "v1"
        return {"attention": sorted(backends), "model_runner": runner}

    def evals_peak_memory(self) -> int:
        """Return the peak memory of torch on this worker's GPU in bytes; 0 on a CPU."""
        import torch

        return int(torch.cuda.max_memory_allocated()) if torch.cuda.is_available() else 0


def _end_after(pid: int, engine: int) -> None:
    """Wait for the end of the suite's process, then end the engine's process, if that is another one, and this one."""
    while _runs(pid):
        time.sleep(_WATCH_SECONDS)
    if engine != pid and os.getppid() == engine:
        os.kill(engine, signal.SIGKILL)
    os.kill(os.getpid(), signal.SIGKILL)


def _runs(pid: int) -> bool:
    """Return whether a process exists and is more than an entry that its parent has not read yet."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"
