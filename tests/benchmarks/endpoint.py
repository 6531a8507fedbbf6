"""Requests a second of the endpoint family, against a server that answers at once, beside the plain client in a loop.

    python tests/benchmarks/endpoint.py [--requests N]

The server runs in a process of its own on the same cores. What is timed of the family is a whole run: samples,
requests, pacing, answers, scores, and each record flushed to the disk.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import os
import tempfile
import time
from collections.abc import Mapping, Sequence
from multiprocessing.connection import Connection
from pathlib import Path

import httpx2

from evals.execution import loop
from evals.execution.collector import Collector
from evals.execution.windows import WINDOW, WholePlan
from evals.models.endpoint.family import load
from evals.records.folder import RunFolder
from evals.records.signature import build_manifest
from evals.records.types import PlanEntry
from evals.schema import Generate, Options, Placement, Prediction, Sample, Samples, Score, Task

BODY = json.dumps(
    {
        "id": "c", "object": "chat.completion", "model": "m",
        "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "18"}}],
        "usage": {"prompt_tokens": 10, "completion_tokens": 1, "total_tokens": 11},
    }
).encode()  # fmt: skip


class AtOnce(asyncio.Protocol):
    """Answers every request with the same bytes, and reads no more of it than where it ends."""

    REPLY = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(BODY) + BODY

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport, self._held = transport, b""

    def data_received(self, data: bytes) -> None:
        self._held += data
        while (end := self._held.find(b"\r\n\r\n")) >= 0:
            head = self._held[:end].lower()
            _, found, rest = head.partition(b"content-length:")
            size = end + 4 + (int(rest.split(b"\r\n")[0]) if found else 0)
            if len(self._held) < size:
                return
            self._held = self._held[size:]
            self._transport.write(self.REPLY)


def serve(port: Connection) -> None:
    async def forever() -> None:
        server = await asyncio.get_running_loop().create_server(AtOnce, "127.0.0.1", 0, backlog=512)
        port.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(forever())


def plain_loop(url: str, count: int) -> float:
    """Requests a second of the client that the family uses, one after the other."""
    body = {"model": "m", "messages": [{"role": "user", "content": "number 17"}], "max_tokens": 4, "temperature": 0}
    with httpx2.Client(trust_env=False) as client:
        began = time.perf_counter()
        for _ in range(count):
            client.post(f"{url}/chat/completions", json=body).json()["choices"][0]["message"]["content"]
        return count / (time.perf_counter() - began)


def whole_run(url: str, count: int) -> tuple[float, float]:
    """Requests a second of a whole run, and its CPU seconds a request."""
    model = load("endpoint:benchmark", f"{url}#m", Placement())

    def build(index: int) -> Sample:
        return Sample(str(index), (Generate(str(index), (f"number {index}",), 4),), target="18")

    samples = Samples([str(index) for index in range(count)], build)
    plan = PlanEntry(budget=None, share=True, window=WINDOW)
    manifest = build_manifest(TASK, Options(), samples, model, replica=False, plan=plan, command="")
    with tempfile.TemporaryDirectory() as folder, RunFolder(Path(folder) / "run", manifest) as run:
        collector = Collector(TASK, samples)
        began, cpu = time.perf_counter(), time.process_time()
        loop.compute_batches(
            samples, model, plan=manifest.plan, leases=WholePlan(samples.ids, WINDOW),
            on_batch=lambda batch_ids, answers: run.append(collector.add(answers)),
        )  # fmt: skip
        seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
        assert len(run.finished_ids) == count
    return count / seconds, cpu / count


def score(samples: Sequence[Sample], predictions: Mapping[str, Sequence[Prediction]]) -> list[Score]:
    """One where the answer is right."""
    outputs = {sample.id: predictions[sample.id][0].output for sample in samples}
    return [Score(s.id, outputs[s.id], s.target, {"accuracy": float(outputs[s.id] == s.target)}) for s in samples]


TASK = Task("numbers", "made up", 1, "generate", ("all",), "accuracy", lambda options: NONE, score, lambda scores: {})
NONE = Samples([], lambda index: Sample("", (), None))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--requests", type=int, default=5000)
    count = parser.parse_args().requests
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=serve, args=(theirs,), daemon=True)
    process.start()
    url = f"http://127.0.0.1:{ours.recv()}/v1"
    print(f"{os.cpu_count()} cores, {os.getloadavg()[0]:.1f} processes waiting for them before the start")
    plain = plain_loop(url, count // 4)
    print(f"plain client in a loop   {plain:7.0f} requests/s")
    family, cpu = whole_run(url, count)
    print(f"endpoint, a whole run    {family:7.0f} requests/s, {1000 * cpu:.2f} ms of CPU each")
    print(f"ratio                    {family / plain:7.2f}")
    process.terminate()


if __name__ == "__main__":
    main()
