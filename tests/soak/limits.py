"""Worker processes that read damaged inputs, each within limits of time and memory.

A worker is started once and reads many mutants. One that exceeds a limit is killed, counted and replaced.
"""

from __future__ import annotations

import os
import resource
import shutil
import signal
import tempfile
import time
import traceback
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from random import Random

from tests.soak import kinds, mutators
from tests.soak.targets import Refused, Target
from tests.support.fork_server import fork_server_context

CPU_SECONDS = 5
"""Most seconds of processor time of a mutant: its wall time depends on what else the machine does."""
WALL_SECONDS = 60
"""Most seconds of a mutant that waits and does not compute."""
MEMORY_BYTES = 1 << 30
"""Most resident memory of a worker."""
_SPARE_BYTES = 2 << 30
"""Address space beyond that of a warm worker: an allocation of more fails, so that the machine is safe."""
_BATCH = 50
"""Seeds that a worker has ahead."""
TARGETS = {**kinds.TARGETS, **kinds.PLANTED}

SCRATCH = Path("/dev/shm") if os.access("/dev/shm", os.W_OK) else Path(tempfile.gettempdir())
"""Where mutants are written: in memory if possible, because each is read once."""

CONTEXT = fork_server_context()
PRELOADED = ("tests.soak.limits", "tests.soak.warm")
"""What is imported before any worker is made."""
CONTEXT.set_forkserver_preload([*PRELOADED])


@dataclass(frozen=True)
class Verdict:
    """What became of a mutant."""

    outcome: str
    """`read`, `refused`, `traceback`, `hang` or `over 1 GiB`."""
    detail: str = ""
    """The traceback."""


class Worker:
    """A process that reads the mutants of one kind."""

    def __init__(self, kind: str, cpu_seconds: int = CPU_SECONDS) -> None:
        self.kind, self._cpu_seconds = kind, cpu_seconds
        self._start()

    def _start(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="evals-soak-", dir=SCRATCH))
        self._connection, theirs = CONTEXT.Pipe()
        self._process = CONTEXT.Process(target=_serve, args=(theirs, self.kind, self._folder, self._cpu_seconds))
        self._process.start()
        theirs.close()
        ready = self._receive()
        if ready.outcome != "read":
            self.close()
            raise RuntimeError(f"{self.kind}: the good input was not read: {ready.outcome} {ready.detail}")

    def read(self, seeds: Sequence[int]) -> Iterator[tuple[int, Verdict]]:
        """Make mutants and read them; yields each seed with its verdict.

        The worker has several seeds ahead, so that it does not wait for this process on a busy machine.
        """
        remaining = list(seeds)
        while remaining:
            batch = remaining[:_BATCH]
            self._connection.send(batch)
            for seed in batch:
                verdict = self._receive()
                remaining.remove(seed)
                yield seed, verdict
                if verdict.outcome in {"hang", "over 1 GiB"} or verdict.detail.startswith("died"):
                    self.close()
                    self._start()
                    break

    def _receive(self) -> Verdict:
        try:
            while not self._connection.poll(WALL_SECONDS):
                if not computes(self._process.pid):
                    return Verdict("hang", "it waited")
            return self._connection.recv()
        except EOFError:
            self._process.join(10)
            code = self._process.exitcode
            return Verdict("hang", "it computed") if code == -signal.SIGXCPU else Verdict("traceback", f"died: {code}")

    def close(self) -> None:
        """End the process and remove its files."""
        self._connection.close()
        self._process.kill()
        self._process.join()
        shutil.rmtree(self._folder, ignore_errors=True)


def computes(process: int) -> bool:
    """Whether a process or a child of it computes or waits for a processor; its time is limited then by the system."""
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(") ")[2][:1]
        children = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    except OSError:  # it has ended, or the system has no such files
        return False
    return state == "R" or any(computes(int(child)) for child in children)


def mutant(target: Target, kind: str, seed: int, folder: Path, good: Path) -> str:
    """Write the mutant of a seed into an empty folder; returns the name of the damaged file."""
    random = Random(f"{kind} {seed}")
    shutil.copytree(good, folder)
    file = random.choice(sorted(target.files))
    content = (good / file).read_bytes()
    (folder / file).write_bytes(mutators.mutate(target.files[file], content, random))
    if random.random() < 0.5:
        target.mend(folder, file)
    return file


def prepare(target: Target, good: Path) -> None:
    """Write the good input of a kind; the file `unchanged` is newer than all of it, and older than any mutant."""
    good.mkdir(parents=True)
    target.prepare(good)
    time.sleep(0.02)
    (good / "unchanged").touch()
    time.sleep(0.02)


def _serve(connection: Connection, kind: str, folder: Path, cpu_seconds: int) -> None:
    """Read mutants until the connection is closed."""
    from tests.soak import warm  # it imports much, which the soak's own process does not need

    os.environ.update(CI="1", HF_HUB_OFFLINE="1", COLUMNS="100")
    warm.remember_constants()
    target, good = TARGETS[kind], folder / "good"
    prepare(target, good)
    os.chdir(folder)
    shutil.copytree(good, folder / "first")
    connection.send(_verdict(target, folder / "first"))
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (size + _SPARE_BYTES, hard))
    _, most = resource.getrlimit(resource.RLIMIT_CPU)
    while True:
        try:
            seeds = connection.recv()
        except (EOFError, ConnectionError):
            return
        for seed in seeds:
            work = folder / "mutant"
            shutil.rmtree(work, ignore_errors=True)
            try:
                mutant(target, kind, seed, work, good)
            except Exception:  # a fault of the soak itself, which must not look like one of the suite
                connection.send(Verdict("traceback", f"the mutator failed: {traceback.format_exc()}"))
                continue
            resource.setrlimit(resource.RLIMIT_CPU, (int(time.process_time()) + 1 + cpu_seconds, most))
            connection.send(_verdict(target, work))


def _verdict(target: Target, folder: Path) -> Verdict:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            target.read(folder)
        verdict = Verdict("read")
    except Refused:
        verdict = Verdict("refused")
    except MemoryError:
        verdict = Verdict("over 1 GiB", traceback.format_exc())
    except BaseException:
        verdict = Verdict("traceback", traceback.format_exc())
    if resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 > MEMORY_BYTES:
        return Verdict("over 1 GiB", verdict.detail)
    return verdict
