"""Workers as actors of a Ray cluster (a `Transport`): one per GPU, or one per node without GPUs.

Ray starts the actors, carries messages and notices dead nodes; it repeats nothing (`max_restarts=0`,
`max_task_retries=0`), because the leases decide what is computed again. Ray is imported only here, when a run asks for
a cluster.
"""

from __future__ import annotations

import logging
import os
import re
import signal
import socket
import threading
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

from evals.errors import EvalsError, InputError, counted, one_line
from evals.execution.resolve import Resolved
from evals.execution.workers.cluster import shipping
from evals.execution.workers.cluster.actor import WorkerActor
from evals.execution.workers.messages import decode, encode
from evals.execution.workers.transport import Died, Received, named
from evals.schema import RunConfig

_ADDRESS = re.compile(r"auto|ray://[^/\s]+:\d+")
_CONNECT = 20.0
"""Seconds in which the cluster has to accept a connection."""
_ATTEMPTS = 3
"""Number of times that a client server is asked for a connection if the process that it starts for it has died."""
_SERVER_DIED = "Starting Ray client server failed"
"""What a client server says then: a fork beside threads of gRPC sometimes fails (Ray 2.60, `proxier.py`)."""
_DEATHS = {
    "running low on memory": "Ray ended it because the node had hardly any memory left",
    "node has died": "its node has died",
    "node was terminated": "its node has died",
    "Worker unexpectedly exits": "its process was ended or crashed, perhaps because the node had no memory left",
}
"""What an error of Ray says, and what that means."""
_EXCHANGE = 10.0
"""Seconds after which an actor returns from a call even if it has no message."""
_PASSED_ON = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "TOKENIZERS_PARALLELISM")
"""Environment variables of the driver that workers get."""


def check(config: RunConfig, source: Resolved) -> None:
    """Refuse what cannot run on a cluster, before any connection. Raises `InputError`."""
    address, device = config.cluster or "", config.placement.device
    check_address(address)
    for part in source.parts.values() or (source,):
        if part.family.name == "endpoint":
            which = f"the part {part.name!r} of {source.name!r}, which is" if source.parts else "a model"
            raise InputError(
                f"--cluster {address} has no effect on {which} behind a server; name several servers of it as "
                f"endpoint:URL1|URL2#NAME"
            )
    if device is not None and ":" in device:
        raise InputError(f"--device {device} names one device of one machine; on a cluster give cuda or cpu")


def check_address(address: str) -> None:
    """Refuse what is no address of a cluster. Raises `InputError`."""
    if not _ADDRESS.fullmatch(address):
        raise InputError(f"--cluster {address}: expected auto or ray://HOST:PORT")


def gpus_per_worker(config: RunConfig, source: Resolved) -> int:
    """Return the number of GPUs that each worker needs if the cluster has any: none for recorded outputs."""
    if config.placement.device == "cpu" or source.computes_elsewhere:
        return 0
    return config.placement.tensor_parallel or 1


def connect(address: str) -> Connection:
    """Connect this process to a cluster. Raises `InputError` if Ray is not installed or there is no cluster."""
    try:
        import ray
    except ImportError:
        raise InputError(f"--cluster {address} needs the package ray: pip install 'claim-evals[cluster]'") from None
    if ray.is_initialized():
        return Connection(ray, is_shared=True)
    _check_reachable(address)
    for attempt in range(_ATTEMPTS):
        try:
            with warnings.catch_warnings(action="ignore"), _kept_termination():  # the error says the same
                ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
        except (ConnectionError, ImportError, ValueError, RuntimeError) as error:
            if _SERVER_DIED in str(error) and attempt + 1 < _ATTEMPTS:
                continue
            hint = "start one with `ray start --head`" if address == "auto" else "is its client server running?"
            lines = str(error).strip().splitlines() or [type(error).__name__]
            reason = lines[-1].strip()  # those before it are a traceback of the server
            raise InputError(f"--cluster {address}: there is no Ray cluster ({reason}); {hint}") from error
        break
    return Connection(ray, is_shared=False)


@contextmanager
def _kept_termination() -> Iterator[None]:
    """Let SIGTERM mean what it meant: Ray's own handler would write addresses, and end with exit code 15."""
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if before is not None and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, before)


def _check_reachable(address: str) -> None:
    """Refuse an address at which nothing listens: Ray itself would try for minutes. Raises `InputError`."""
    place = os.environ.get("RAY_ADDRESS", "") if address == "auto" else address
    if place == "local":
        raise InputError(f"--cluster {address}: RAY_ADDRESS is local, which names no cluster; unset it")
    host, colon, port = place.removeprefix("ray://").rpartition(":")
    if not colon or not port.isdigit():
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=_CONNECT).close()
    except OSError as error:
        where = f" (RAY_ADDRESS is {place})" if address == "auto" else ""
        raise InputError(
            f"--cluster {address}: there is no Ray cluster{where}: {error.strerror or one_line(error)}"
        ) from error


@dataclass(frozen=True)
class Connection:
    """This process's connection to a cluster."""

    ray: ModuleType
    is_shared: bool
    """Whether the caller of this process made the connection, and goes on using it."""

    def close(self) -> None:
        """End the connection if this run made it."""
        if not self.is_shared:
            self.ray.shutdown()


@dataclass(frozen=True)
class _Node:
    """A living machine of the cluster."""

    id: str
    name: str
    resources: Mapping[str, float]


@dataclass
class _Actor:
    """A worker's actor, as the driver sees it."""

    handle: Any
    outbox: list[bytes] = field(default_factory=list)
    """Messages for the next call."""
    call: Any = None
    """The call of `exchange` that is under way."""


class Cluster:
    """Workers on the nodes of a cluster; nodes that join get workers too."""

    def __init__(self, connection: Connection, *, gpus: int, limit: int | None = None) -> None:
        """Use a cluster; no worker is started yet.

        Args:
            connection: to the cluster.
            gpus: number of GPUs per worker; 0 is one worker per node, on its CPU.
            limit: maximum number of workers, or None for as many as there is room for.
        """
        self._connection = connection
        self._ray: Any = connection.ray
        self._gpus = gpus
        self._limit = limit
        self._uses_gpus: bool | None = None
        """Decided by the nodes of the start, because all workers compute on the same kind of device."""
        self._actors: dict[int, _Actor] = {}
        self._places: list[_Node] = []
        """The node of every worker that was ever started."""
        self._started = Counter[str]()
        """Number of workers that were ever started, by node: one that died is not started again."""
        self._parcels: dict[tuple[str, tuple[str, ...]], Any] = {}
        self._remote = self._ray.remote(WorkerActor)

    def start(self) -> list[int]:
        """See `Transport.start`."""
        nodes = self._nodes()
        if self._uses_gpus is None:
            most = max((node.resources.get("GPU", 0) for node in nodes), default=0) if self._gpus else 0
            if 0 < most < self._gpus:
                raise InputError(f"each worker needs {self._gpus} GPUs of one node, and no node has more than {most:g}")
            self._uses_gpus = most > 0
        numbers = []
        for node in nodes:
            for _ in range(self._room(node) - self._started[node.id]):
                if self._limit is None or len(self._actors) < self._limit:
                    numbers.append(self._start(node))
        return numbers

    def restart(self, worker: int) -> int | None:
        """See `Transport.restart`."""
        self.end(worker)
        node = self._places[worker]
        return self._start(node) if any(node.id == living.id for living in self._nodes()) else None

    def receive(self, seconds: float) -> list[Received]:
        """See `Transport.receive`."""
        calls = {}
        for number, actor in self._actors.items():
            if actor.call is None:
                actor.call = actor.handle.exchange.remote(actor.outbox, _EXCHANGE)
                actor.outbox = []
            calls[actor.call] = number
        try:
            ready, _ = self._ray.wait(list(calls), num_returns=1, timeout=seconds, fetch_local=False)
            if ready:
                ready, _ = self._ray.wait(list(calls), num_returns=len(calls), timeout=0, fetch_local=False)
        except ConnectionError as error:
            raise EvalsError(
                f"the connection to the cluster broke: {one_line(error)}; what was finished is kept"
            ) from error
        return [message for call in ready for message in self._result(calls[call], call)]

    def send(self, worker: int, message: object) -> None:
        """See `Transport.send`."""
        actor = self._actors.get(worker)
        if actor is None:
            return
        if isinstance(message, _Shipment):
            actor.handle.deliver_files.remote(message.parcel)
        elif actor.call is None:
            actor.outbox.append(encode(message))
        else:
            actor.handle.deliver.remote(encode(message))

    def supply(self, worker: int, path: str, beside: Sequence[str] = ()) -> object:
        """Put a file or folder into the cluster's object store, once for all workers."""
        if (key := (path, tuple(beside))) not in self._parcels:
            try:
                self._parcels[key] = self._ray.put(shipping.pack(path, beside))
            except InputError as error:
                raise InputError(f"{named(worker, self.machine(worker))} lacks a file: {error}") from None
        return _Shipment(self._parcels[key])

    def end(self, worker: int) -> None:
        """See `Transport.end`."""
        actor = self._actors.pop(worker, None)
        if actor is not None:
            self._ray.kill(actor.handle, no_restart=True)

    def close(self) -> None:
        """See `Transport.close`."""
        try:
            for worker in list(self._actors):
                self.end(worker)
        finally:
            self._parcels.clear()
            self._connection.close()

    def machine(self, worker: int) -> str:
        """See `Transport.machine`."""
        return self._places[worker].name

    def needs(self) -> str:
        """See `Transport.needs`."""
        what = counted(self._gpus, "free GPU") if self._uses_gpus else "all cores of its node"
        return f"{what}, which other programs may have (`ray status` shows it)"

    def _nodes(self) -> list[_Node]:
        """Return the living nodes; those that share an address are told apart by their ids."""
        nodes = sorted((node for node in self._ray.nodes() if node["Alive"]), key=lambda node: str(node["NodeID"]))
        addresses = Counter(node["NodeManagerAddress"] for node in nodes)
        return [
            _Node(
                node["NodeID"], _node_name(node, is_alone=addresses[node["NodeManagerAddress"]] == 1), node["Resources"]
            )
            for node in nodes
        ]

    def _room(self, node: _Node) -> int:
        """Return how many workers a node has room for."""
        if self._uses_gpus:
            return int(node.resources.get("GPU", 0) // self._gpus)
        return int(node.resources.get("CPU", 0) >= 1)

    def _start(self, node: _Node) -> int:
        """Start a worker on a node; it waits there until the node's resources are free."""
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        number = len(self._places)
        cores = node.resources.get("CPU", 0)
        environment = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
        handle = self._remote.options(
            num_gpus=self._gpus if self._uses_gpus else 0,
            num_cpus=min(1, cores) if self._uses_gpus else cores,
            max_restarts=0,
            max_task_retries=0,
            max_concurrency=3,
            scheduling_strategy=NodeAffinitySchedulingStrategy(node.id, soft=False),
        ).remote(number, environment)
        self._places.append(node)
        self._started[node.id] += 1
        self._actors[number] = _Actor(handle)
        return number

    def _result(self, number: int, call: Any) -> list[Received]:
        """Read the messages of a call that has returned; an actor whose call failed has died."""
        actor = self._actors[number]
        actor.call = None
        try:
            return [(number, decode(data)) for data in self._ray.get(call)]
        except self._ray.exceptions.RayError as error:
            self.end(number)
            return [(number, Died(_reason(error)))]


@dataclass(frozen=True)
class _Shipment:
    """Contents of files in the cluster's object store."""

    parcel: Any


def _node_name(node: Mapping[str, Any], *, is_alone: bool) -> str:
    """Name a node by its address; one of several on a machine also by the beginning of its id."""
    address: str = node["NodeManagerAddress"]
    return address if is_alone else f"{address}/{node['NodeID'][:6]}"


def _reason(error: Exception) -> str:
    r"""Say in a few words why an actor has died.

    Example:
        >>> _reason(RuntimeError("The actor is dead. Worker exit detail: Worker unexpectedly exits with a connection"))
        'died (its process was ended or crashed, perhaps because the node had no memory left)'
        >>> _reason(RuntimeError("ray::WorkerActor.exchange()\n  File ...\nRuntimeError: ValueError: by zero"))
        'died (RuntimeError: ValueError: by zero)'
    """
    text = " ".join(str(error).split())
    for sign, reason in _DEATHS.items():
        if sign in text:
            return f"died ({reason})"
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"died ({lines[-1][:200]})" if lines else "died"
