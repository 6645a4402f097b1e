"""A server of models as a process: on a core of its own, within bounds, ended with all that it has started.

Memory is the proportional set size (PSS, proc_pid_smaps(5)) of the whole family: what is shared counts once.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
from google.protobuf.message import DecodeError

from bench import processes
from bench.serving.asking import TOLERANCE
from bench.serving.models import Models
from bench.serving.peer import Peer, Wire
from croupierctl.stack_process import Process, free_port

_POLL = 0.1
# A channel that has met nobody tries again after seconds, and after minutes, unless it is told otherwise.
_IMPATIENT = [(f"grpc.{which}_reconnect_backoff_ms", 200) for which in ("initial", "min", "max")]
_STOP_SECONDS = 10.0
# Of memory that nothing else has, so much is left to the machine.
_RESERVE_MIB = 2_048.0


class Stopped(Exception):
    """The server was stopped, or did not start: the message says why, for a table."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a server may take: MiB of memory, and seconds to load all of a number of models."""

    memory_mib: float
    seconds: float

    def check(self, pid: int) -> float:
        """How much memory it has, in MiB. Raises Stopped: too much, or the machine has hardly any left."""
        seen = pss_mib(pid)
        if seen > self.memory_mib:
            raise Stopped(f"has more than {self.memory_mib:,.0f} MiB")
        if available_mib(Path("/proc/meminfo").read_text()) < _RESERVE_MIB:
            raise Stopped(f"the machine has no memory left beside its {seen:,.0f} MiB")
        return seen


@dataclass(frozen=True, slots=True)
class Running:
    """A server that is ready, with the models m0 to m{count - 1}."""

    peer: Peer
    process: Process
    wire: Wire
    count: int

    @property
    def address(self) -> str:
        return self.process.address

    @property
    def cpu_seconds(self) -> float:
        return processes.cpu_seconds(self.process.pid)


@contextmanager
def started(
    peer: Peer, models: Models, count: int, folder: Path, core: int, bounds: Bounds, first: int = 0
) -> Iterator[Running]:
    """The server on `core`, ready, while in the block; its files lie in a new folder below `folder`.

    It is ready when model 0 and the last one of the `first` are answered for, or of all `count`.

    Raises:
        Stopped: it did not start, or took more than its bounds.
    """
    home = folder / f"{peer.name}-{len(list(folder.glob(f'{peer.name}-*')))}"
    home.mkdir(parents=True)
    port = free_port()
    argv = peer.argv(models, home, port, count)
    process = Process(peer.name, argv, home / "server.log", f"127.0.0.1:{port}")
    processes.start_pinned(process, core)
    try:
        wire = peer.wire(models)
        _wait(process, peer, wire, models, first or count, bounds)
        # Some set affinity themselves.
        processes.confine(process.pid, core)
        yield Running(peer, process, wire, count)
    finally:
        end(process)


def _wait(process: Process, peer: Peer, wire: Wire, models: Models, count: int, bounds: Bounds) -> None:
    """Until model 0 and model `count - 1` answer rightly."""
    give_up = time.monotonic() + peer.start_seconds + (bounds.seconds if peer.loads_ahead else 0.0)
    waiting = {0, count - 1}
    with grpc.insecure_channel(process.address, _IMPATIENT) as channel:
        while waiting:
            if not process.is_running:
                raise Stopped(f"ended at the start: {process.last_lines(1)}")
            if time.monotonic() > give_up:
                raise Stopped(f"was not ready after {peer.start_seconds:.0f} s")
            bounds.check(process.pid)
            waiting = {number for number in waiting if not _answers(channel, wire, models, number)}
            if waiting:
                time.sleep(_POLL)


def _answers(channel: grpc.Channel, wire: Wire, models: Models, number: int) -> bool:
    call: Any = channel.unary_unary(wire.path)
    metadata = [(name.decode(), value.decode()) for name, value in wire.headers(number)]
    try:
        answer: bytes = call(wire.message(number, models.rows[0]), timeout=5.0, metadata=metadata)
        said = wire.prediction(answer)
    except (grpc.RpcError, ValueError, DecodeError):
        return False
    return abs(said - float(models.expected(number)[0])) <= TOLERANCE


@contextmanager
def ended_by_term() -> Iterator[None]:
    """TERM ends this process as Ctrl-C does while in the block: it would leave a server behind otherwise."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def end(process: Process) -> None:
    """TERM, then KILL for whatever of its family is left, and wait until nothing of it is."""
    family = [stat.pid for stat in processes.family(process.pid, processes.stats())]
    process.stop(_STOP_SECONDS)
    left = [pid for pid in family if is_alive(pid)]
    for pid in left:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    give_up = time.monotonic() + _STOP_SECONDS
    while any(map(is_alive, left)) and time.monotonic() < give_up:
        time.sleep(_POLL)


def is_alive(pid: int) -> bool:
    """One that has ended, and that nobody has waited for yet, is not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def pss_mib(pid: int) -> float:
    """Of a process and its descendants."""
    found = 0
    for stat in processes.family(pid, processes.stats()):
        # It may have ended meanwhile.
        with suppress(OSError):
            found += parse_pss(Path(f"/proc/{stat.pid}/smaps_rollup").read_text())
    return found / 1024


def parse_pss(text: str) -> int:
    """kB."""
    return next((int(line.split()[1]) for line in text.splitlines() if line.startswith("Pss:")), 0)


def available_mib(meminfo: str) -> float:
    line = next(line for line in meminfo.splitlines() if line.startswith("MemAvailable:"))
    return int(line.split()[1]) / 1024
