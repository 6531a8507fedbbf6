"""Let several batches share one vLLM engine: their requests run together, and each batch waits for its own.

vLLM's engine is stepped by one thread at a time. The thread of the first batch steps it; when that batch is answered,
the thread of another open batch goes on. So requests of a new batch enter while older ones still run, and no thread
polls.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from evals.models.decoding.sampling import RowProgress

if TYPE_CHECKING:
    from vllm import PoolingParams, RequestOutput, SamplingParams
    from vllm.lora.request import LoRARequest


@dataclass(frozen=True)
class EngineRequest:
    """One request to vLLM."""

    prompt: Any
    """`TokensPrompt`: token ids, and the images of a vision-language model."""
    params: SamplingParams | PoolingParams
    progress: RowProgress | None = None
    """Reads the tokens as they come, and ends the request at a stop string; None for a request that only scores."""


@dataclass
class _OpenBatch:
    """A batch whose requests are not all answered."""

    requests: Sequence[EngineRequest]
    outputs: dict[int, RequestOutput | str] = field(default_factory=dict)
    """The last output of each request, or why vLLM refused it, by its index."""
    entered: bool = False
    """Whether its requests were given to the engine."""
    leads: bool = False
    """Whether its thread steps the engine."""
    error: BaseException | None = None
    wake: threading.Event = field(default_factory=threading.Event)

    @property
    def answered(self) -> bool:
        return self.error is not None or len(self.outputs) == len(self.requests)


class EngineQueue:
    """Answers batches of requests with one vLLM engine, from any number of threads."""

    def __init__(self, engine: Any, lora: LoRARequest | None = None) -> None:
        """Wrap an engine.

        Args:
            engine: the `LLMEngine` of a loaded `vllm.LLM`.
            lora: the adapter that every request uses, or None.
        """
        self._engine = engine
        self._lora = lora
        self._numbers = itertools.count()
        self._lock = threading.Lock()
        self._open: list[_OpenBatch] = []
        self._running: dict[str, tuple[_OpenBatch, int]] = {}
        """Batch and index of the requests in the engine, by vLLM's id."""

    def answer(self, requests: Sequence[EngineRequest]) -> list[RequestOutput | str]:
        """Answer requests.

        Returns:
            For each request, in order, its last output, or the reason for which vLLM refused it.

        Raises:
            Exception: the engine failed; what it raises is passed on to every open batch.
        """
        if not requests:
            return []
        batch = _OpenBatch(requests)
        with self._lock:
            batch.leads = not any(other.leads for other in self._open)
            self._open.append(batch)
        while not batch.answered:
            if batch.leads:
                self._lead(batch)
            else:
                batch.wake.wait()
                batch.wake.clear()
        if batch.error is not None:
            raise batch.error
        return [batch.outputs[index] for index in range(len(requests))]

    def _lead(self, batch: _OpenBatch) -> None:
        """Step the engine until a batch is answered; then let the thread of another batch go on."""
        try:
            while not batch.answered:
                self._enter_waiting()
                if self._running:
                    self._step()
        except BaseException as error:
            with self._lock:
                for other in self._open:
                    other.error = error
                    other.wake.set()
                self._open.clear()
                self._running.clear()
            raise
        with self._lock:
            batch.leads = False
            self._open.remove(batch)
            waiting = next((other for other in self._open if not other.answered), None)
            if waiting is not None:
                waiting.leads = True
                waiting.wake.set()

    def _enter_waiting(self) -> None:
        """Give the engine the requests of batches that came meanwhile, in their order."""
        with self._lock:
            entering = [batch for batch in self._open if not batch.entered]
        for batch in entering:
            batch.entered = True
            for index, request in enumerate(batch.requests):
                id = str(next(self._numbers))
                try:
                    self._engine.add_request(id, request.prompt, request.params, lora_request=self._lora)
                except ValueError as error:  # vLLM refuses this request, for example for its length
                    self._finish(batch, index, " ".join(str(error).split()))
                else:
                    self._running[id] = (batch, index)

    def _step(self) -> None:
        """Compute one step, and read what it brought."""
        for output in self._engine.step():
            batch, index = self._running.get(output.request_id, (None, 0))
            if batch is None:  # it was ended before, at a stop string
                continue
            progress = batch.requests[index].progress
            if progress is not None:
                progress.read(output.outputs[0].token_ids)
                if progress.finished and not output.finished:
                    self._engine.abort_request([output.request_id])
            if output.finished or (progress is not None and progress.finished):
                del self._running[output.request_id]
                self._finish(batch, index, output)

    def _finish(self, batch: _OpenBatch, index: int, output: RequestOutput | str) -> None:
        batch.outputs[index] = output
        if batch.answered and not batch.leads:
            with self._lock:
                self._open.remove(batch)
            batch.wake.set()
