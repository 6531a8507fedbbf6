"""Replay arrivals: by one loop that answers what waits, or by sending each request when it arrives.

serve     a local model: one loop answers the waiting requests in their order, one at a time or several together
send      a server: each request is sent when it arrives, on a thread of its own, however many are under way

Arrivals are times of a schedule, and latencies count from them: a request that could only be started or sent late has
waited. So nothing is left out because the server was slow ("coordinated omission").
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Generic, TypeVar

A = TypeVar("A")
Clock = Callable[[], float]
Sleep = Callable[[float], object]

MOST_AT_ONCE = 1024
"""Maximum number of requests under way at a server; further ones wait, which counts as latency."""


@dataclass(frozen=True, slots=True)
class Served(Generic[A]):
    """One request of a replay; times in seconds after the start of the replay."""

    arrival: float
    start: float
    """When the loop began to answer it, or when it was sent."""
    first: float | None
    """When its first token came; None if the answer was not streamed."""
    end: float
    """When its last token came, or when it failed."""
    together: int
    """Number of requests that were answered with it; 1 if it was answered alone or by a server."""
    waiting: int
    """Number of requests that had arrived and were left waiting when it was started; 0 for a server."""
    answer: A


def serve(
    arrivals: Sequence[float],
    answer: Callable[[Sequence[int], int], Sequence[A]],
    *,
    batch: int = 1,
    clock: Clock = time.perf_counter,
    sleep: Sleep = time.sleep,
) -> list[Served[A]]:
    """Answer requests in the order of their arrival, up to `batch` of those that wait together.

    Args:
        arrivals: seconds after the start, ascending.
        answer: answers the requests of some indices; also gets the number of requests that still wait.
        batch: maximum number of requests that are answered together.
        clock: returns the time in seconds.
        sleep: waits a number of seconds.

    Returns:
        One entry per request, in the order of the arrivals.

    Example:
        >>> now = [0.0]
        >>> def answer(indices, waiting):
        ...     now[0] += 1.0
        ...     return ["yes"] * len(indices)
        >>> def sleep(seconds):
        ...     now[0] += seconds
        >>> served = serve([0.0, 0.25, 5.0], answer, clock=lambda: now[0], sleep=sleep)
        >>> [(request.start, request.end) for request in served]
        [(0.0, 1.0), (1.0, 2.0), (5.0, 6.0)]
    """
    origin, served = clock(), []
    next_request = 0
    while next_request < len(arrivals):
        now = clock() - origin
        if now < arrivals[next_request]:
            sleep(arrivals[next_request] - now)
            continue
        arrived = next_request
        while arrived < len(arrivals) and arrivals[arrived] <= now:
            arrived += 1
        indices = range(next_request, min(arrived, next_request + batch))
        waiting = arrived - indices.stop
        answers = answer(indices, waiting)
        end = clock() - origin
        served += [
            Served(
                arrivals[index], start=now, first=None, end=end, together=len(indices), waiting=waiting, answer=result
            )
            for index, result in zip(indices, answers, strict=True)
        ]
        next_request = indices.stop
    return served


def send(
    arrivals: Sequence[float],
    ask: Callable[[int, Callable[[], object]], A],
    *,
    most: int = MOST_AT_ONCE,
    clock: Clock = time.perf_counter,
    sleep: Sleep = time.sleep,
) -> list[Served[A]]:
    """Send each request when it arrives, without waiting for the answers to the earlier ones.

    Args:
        arrivals: seconds after the start, ascending.
        ask: sends the request of an index and waits for its answer; calls the function that it gets at the first token.
        most: maximum number of requests under way.
        clock: returns the time in seconds.
        sleep: waits a number of seconds.

    Returns:
        One entry per request, in the order of the arrivals.
    """
    origin = clock()
    at_once = threading.Semaphore(most)

    def ask_now(index: int) -> Served[A]:
        firsts: list[float] = []
        try:
            start = clock() - origin
            answer = ask(index, lambda: firsts.append(clock() - origin))
            end = clock() - origin
        finally:
            at_once.release()
        first = firsts[0] if firsts else None
        return Served(arrivals[index], start=start, first=first, end=end, together=1, waiting=0, answer=answer)

    with ThreadPoolExecutor(min(most, len(arrivals) or 1)) as threads:
        futures = []
        for index, arrival in enumerate(arrivals):
            if (early := arrival - (clock() - origin)) > 0:
                sleep(early)
            at_once.acquire()
            futures.append(threads.submit(ask_now, index))
        return [future.result() for future in futures]
