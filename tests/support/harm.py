"""Ways to harm a running stack, and to look at what became of it."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import signal
import subprocess
import threading
import urllib.request
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self, TypeAlias, TypeVar

from support.waiting import wait_until

from croupier.errors import CroupierError
from croupier.grpcio.manager import VersionManagerClient
from croupier_client import Client, PredictError
from croupierctl.stack import Stack
from croupierctl.stack_process import Process
from sharding.dealer import Dealer
from version_manager.model.wire import generation_from_pb

MiB: TypeAlias = float
T = TypeVar("T")
_STALLED = re.compile(r'_loop_stall_seconds_sum\{kind="(\w+)"\} (\S+)')
_METRICS = re.compile(r"metrics on http://([\d.]+):(\d+)/")


def resident_mib(pid: int) -> MiB:
    """Of a process with its children; 0 when it is gone."""
    return sum(_resident_kib(one) for one in (pid, *children(pid))) / 1024


def children(pid: int) -> list[int]:
    try:
        listed = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    except OSError:
        return []
    return [int(child) for child in listed.split()]


def _resident_kib(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("VmRSS:")), 0)


@contextmanager
def stopped(pids: list[int]) -> Iterator[None]:
    """SIGSTOP: connections stay open and nothing answers."""
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


def with_manager(stack: Stack, ask: Callable[[VersionManagerClient], Awaitable[T]]) -> T:
    async def call() -> T:
        async with VersionManagerClient(stack.manager) as manager:
            return await ask(manager)

    return asyncio.run(call())


def hand_of(stack: Stack, tenant: str) -> tuple[str, ...]:
    generation = with_manager(stack, lambda manager: manager.get_generation())
    return Dealer(generation_from_pb(generation)).hand(tenant)


def addresses(stack: Stack) -> dict[str, str]:
    """Where each registered cell is."""
    return {cell.id: cell.address for cell in with_manager(stack, lambda manager: manager.list_cells())}


def await_registered(stack: Stack) -> None:
    """Wait until every cell of the stack is registered where it now listens."""
    expected = {
        name: process.address for name, process in stack.processes.items() if name.startswith("cell-")
    }

    def is_so() -> bool:
        assert addresses(stack) == expected
        return True

    wait_until(is_so, "every cell is registered", timeout=40.0)


def is_answering(stack: Stack) -> bool:
    """Whether the version manager answers."""
    try:
        with_manager(stack, lambda manager: manager.list_cells())
    except CroupierError:
        return False
    return True


def etcdctl(stack: Stack, *arguments: str, stdin: str = "") -> str:
    """Run etcdctl against the stack's etcd; returns what it prints."""
    done = subprocess.run(
        ["etcdctl", f"--endpoints={stack.process('etcd').address}", *arguments],
        check=True,
        capture_output=True,
        timeout=30,
        text=True,
        input=stdin,
        env={**os.environ, "ETCDCTL_API": "3"},
    )
    return done.stdout


def keys(stack: Stack, prefix: str = "croupier/") -> list[str]:
    return etcdctl(stack, "get", "--prefix", "--keys-only", prefix).split()


def backup(stack: Stack, path: Path) -> Path:
    """A snapshot of etcd in the file `path`."""
    etcdctl(stack, "snapshot", "save", str(path))
    return path


def replace_etcd(stack: Stack, snapshot: Path | None) -> None:
    """Kill etcd and start it with what is in `snapshot`, or empty."""
    etcd = stack.process("etcd")
    etcd.kill()
    shutil.rmtree(stack.folder / "etcd")
    if snapshot is not None:
        flags = dict(zip(etcd.argv[1::2], etcd.argv[2::2], strict=False))
        same = ("--name", "--data-dir", "--initial-cluster", "--initial-advertise-peer-urls")
        words = [word for flag in same for word in (flag, flags[flag])]
        etcdctl(stack, "snapshot", "restore", str(snapshot), *words)
    stack.restart("etcd")


class Kept:
    """The values of etcd's keys but those of processes that live, put back when the block ends at last."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        live = ("croupier/cells/", "croupier/managers/")
        self._values = {key: self._get(key) for key in keys(stack) if not key.startswith(live)}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.put_back()

    def put_back(self) -> None:
        for key, value in self._values.items():
            if self._get(key) != value:
                etcdctl(self._stack, "put", key, value)

    def _get(self, key: str) -> str:
        return etcdctl(self._stack, "get", "--print-value-only", key).rstrip("\n")


def error_of(client: Client, model: str, row: Sequence[float], version: int = 0) -> str:
    """The class of the error with which a prediction ends; "" for an answer."""
    try:
        client.predict(model, list(row), version=version)
    except PredictError as error:
        return kind_of(error)
    return ""


def kind_of(error: PredictError) -> str:
    """The class in `croupier_client.errors` that an error is of."""
    kinds = (kind for kind in type(error).__mro__ if kind.__module__ == PredictError.__module__)
    return next(kinds).__name__


def log_bytes(stack: Stack) -> int:
    return sum(process.log.stat().st_size for process in stack.processes.values())


def metrics_of(process: Process) -> list[tuple[str, int]]:
    """Where a process serves its metrics, by its log."""
    found = _METRICS.findall(process.log.read_text(errors="replace"))
    return [(host, int(port)) for host, port in found[-1:]]


def page_of(address: tuple[str, int]) -> str:
    host, port = address
    with urllib.request.urlopen(f"http://{host}:{port}/metrics", timeout=2) as page:
        text: str = page.read().decode()
        return text


def stalls_of(process: Process) -> dict[str, float]:
    """For how many seconds the process's event loop has stood still so far, by what kept it."""
    (address,) = metrics_of(process)
    return {kind: float(seconds) for kind, seconds in _STALLED.findall(page_of(address))}


class Memory:
    """How much more the processes of a stack take at most during a block, and keep after it."""

    _MOST = 256.0
    _KEPT = 32.0

    def __init__(self, stack: Stack) -> None:
        self._pids = {name: one.pid for name, one in stack.processes.items() if name != "etcd"}
        self._before: dict[str, MiB] = {}
        self.peak: dict[str, MiB] = {}
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="memory")

    def __enter__(self) -> Self:
        self._before = self._now()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._done.set()
        self._thread.join()

    def check(self) -> None:
        """No process took too much, and each gives nearly all of it back."""
        assert max(self.peak.values()) <= self._MOST, self.peak

        def is_back() -> bool:
            now = self._now()
            kept = {name: now[name] - was for name, was in self._before.items()}
            assert max(kept.values()) <= self._KEPT, kept
            return True

        wait_until(is_back, "memory is given back", timeout=30.0)

    def _watch(self) -> None:
        while not self._done.wait(0.05):
            for name, size in self._now().items():
                self.peak[name] = max(self.peak.get(name, 0.0), size - self._before[name])

    def _now(self) -> dict[str, MiB]:
        return {name: resident_mib(pid) for name, pid in self._pids.items()}
