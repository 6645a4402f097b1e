"""Processes under measurement: on a core of their own, with their CPU time, gone when we are done.

CPU time is what the kernel charges to a process and its descendants: by the clock that each process has, in
nanoseconds, and for descendants that have ended in ticks of 10 ms (proc(5), `stat`).
"""

from __future__ import annotations

import os
import resource
import socket
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from croupierctl.stack_process import Process, StackFailed, free_port

_FILES = 65_536
# The nice value of who goes last.
_LAST = 19
_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Cores:
    """`proxy` is for what is measured, `load` for all others; the same where there is only one."""

    proxy: int
    load: int


@dataclass(frozen=True, slots=True)
class Stat:
    """A line of /proc/PID/stat. `ticks` are those of children that have ended and were waited for."""

    pid: int
    parent: int
    ticks: int

    @property
    def cpu_seconds(self) -> float:
        """Nothing is left of a process that has ended: whoever waited for it has its ticks."""
        try:
            own = time.clock_gettime(_clock_of(self.pid))
        except OSError:
            own = 0.0
        return own + self.ticks / _TICKS_PER_SECOND


@dataclass(frozen=True, slots=True)
class Usage:
    """Seconds of the clock, of all cores at work, and of our own processes, up to some moment."""

    at: float
    busy: float
    ours: float

    def others_share(self, since: Usage, cores: int) -> float:
        """How much of the machine others had since then, 0 to 1: other processes, or other machines
        that the same hardware pretends to be."""
        others = (self.busy - since.busy) - (self.ours - since.ours)
        return max(0.0, others) / ((self.at - since.at) * cores)


def usage() -> Usage:
    busy = parse_busy(Path("/proc/stat").read_text())
    return Usage(time.monotonic(), busy, cpu_seconds(os.getpid()))


def parse_busy(text: str) -> float:
    """Seconds that all cores have worked, from /proc/stat; what was stolen from us counts as work."""
    user, nice, system, _, _, irq, softirq, steal = map(int, text.split()[1:9])
    return (user + nice + system + irq + softirq + steal) / _TICKS_PER_SECOND


def cores() -> Cores:
    usable = sorted(os.sched_getaffinity(0))
    return Cores(usable[0], usable[-1])


@contextmanager
def pinned(core: int) -> Iterator[None]:
    """This thread, and the processes that it starts meanwhile, run on `core` alone."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def confine(pid: int, *cores: int) -> None:
    """Have all threads of `pid` and of its descendants, and those that they start later, run on `cores`."""
    for thread in _threads(pid):
        # It may have ended meanwhile.
        with suppress(ProcessLookupError):
            os.sched_setaffinity(thread, cores)


def step_back(pid: int) -> None:
    """Have the same threads take what others leave, as far as there is any."""
    for thread in _threads(pid):
        with suppress(ProcessLookupError):
            os.setpriority(os.PRIO_PROCESS, thread, _LAST)


def _threads(pid: int) -> Iterator[int]:
    for stat in family(pid, stats()):
        yield from (int(thread.name) for thread in Path(f"/proc/{stat.pid}/task").iterdir())


@contextmanager
def confined(pid: int, core: int) -> Iterator[None]:
    """The same for a while; then on any core that this process may use."""
    confine(pid, core)
    try:
        yield
    finally:
        confine(pid, *os.sched_getaffinity(0))


@contextmanager
def giving_way() -> Iterator[None]:
    """This thread gives way for a while: see `give_way`."""
    give_way()
    try:
        yield
    finally:
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))


def give_way() -> None:
    """Have the processor only when nobody else wants it: for whoever stands for another machine."""
    os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))


def start_pinned(process: Process, core: int) -> None:
    with pinned(core):
        process.start()


@contextmanager
def many_files() -> Iterator[None]:
    """This process, and those that it starts meanwhile, may open a file for each of very many connections.

    Shells often let them open 1,024.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = _FILES if hard == resource.RLIM_INFINITY else min(_FILES, hard)
    if soft != resource.RLIM_INFINITY:
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, most), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def free_address() -> str:
    """host:port on loopback that nobody listens on now."""
    return f"127.0.0.1:{free_port()}"


def wait_connectable(process: Process, timeout: float = 20.0) -> None:
    """Wait until `process.address` takes connections.

    Raises:
        StackFailed: the process ended, or nobody listens after `timeout` seconds.
    """
    host, _, port = process.address.rpartition(":")
    give_up = time.monotonic() + timeout
    while time.monotonic() < give_up and process.is_running:
        try:
            socket.create_connection((host, int(port)), timeout=1.0).close()
            return
        except OSError:
            time.sleep(0.02)
    raise StackFailed(f"{process.name} did not start; its log is {process.log}:\n{process.last_lines()}")


def rss_of(pid: int) -> int:
    """Resident bytes of the process; 0: it has ended."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    return 0


def cpu_seconds(pid: int) -> float:
    """User and system time so far of `pid` and all its descendants."""
    return sum(stat.cpu_seconds for stat in family(pid, stats()))


def cpu_seconds_of(parts: Mapping[str, Sequence[int]]) -> dict[str, float]:
    """The same for several parts, each of several processes, at one moment."""
    found = stats()
    return {
        name: sum(stat.cpu_seconds for pid in pids for stat in family(pid, found))
        for name, pids in parts.items()
    }


def _clock_of(pid: int) -> int:
    """The number of a process's CPU clock, as clock_getcpuclockid(3) makes it."""
    return ~pid << 3 | 2


def family(pid: int, among: list[Stat]) -> list[Stat]:
    """The process `pid` and its descendants."""
    found = {pid}
    # A child may have a lower number than its parent, so go on until nobody is added.
    while added := {stat.pid for stat in among if stat.parent in found} - found:
        found |= added
    return [stat for stat in among if stat.pid in found]


def parse_stat(line: str) -> Stat:
    """The name stands in parentheses and may hold anything, even parentheses and blanks."""
    pid, _, rest = line.partition(" ")
    fields = rest.rpartition(")")[2].split()
    # cutime and cstime are the fields 16 and 17, the first after the name is number 3.
    return Stat(int(pid), int(fields[1]), sum(map(int, fields[13:15])))


def stats() -> list[Stat]:
    """Every process that there is."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            found.append(parse_stat(path.read_text(errors="replace")))
        except (FileNotFoundError, ProcessLookupError):
            continue
    return found
