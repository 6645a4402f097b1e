"""The local stack: etcd, version manager, cells and router as real processes on loopback.

    with Stack(folder) as stack:          # starts in order, waits for each to say that it is ready
        stack.router, stack.manager       # addresses
        stack.process("cell-3").kill()    # real processes, to be killed

Everything that the stack writes (etcd's data, objects, caches, logs) lies below one folder. The
cells are seated in the first generation once they have registered. A process that dies stays
dead: what the rest does then is what one wants to see.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from croupier.errors import FailedPrecondition, NotFound
from croupier.grpcio.manager import VersionManagerClient
from protos.versions.v1 import versions_pb2 as pb

_READY = re.compile(rb" on (\S+) ready$", re.MULTILINE)
_STATE_FILE = "stack.json"


class StackFailed(FailedPrecondition):
    """A process of the stack did not come up. The operator's: its log says why."""


@dataclass(slots=True)
class Process:
    """One process of the stack. `address` is known once it is ready."""

    name: str
    argv: Sequence[str]
    log: Path
    address: str = ""
    child: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self.log.open("wb") as log:
            # A session of its own: Ctrl-C reaches the stack alone, which stops its processes in order.
            self.child = subprocess.Popen(
                self.argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )

    def wait_ready(self, timeout: float = 30.0) -> None:
        """Wait for the line that tells the address.

        Raises:
            StackFailed: the process ended, or said nothing for `timeout` seconds.
        """
        give_up = time.monotonic() + timeout
        while time.monotonic() < give_up:
            if found := _READY.search(self.log.read_bytes()):
                self.address = found[1].decode()
                return
            if not self.is_running:
                break
            time.sleep(0.02)
        raise StackFailed(f"{self.name} did not start; its log is {self.log}:\n{self.last_lines()}")

    @property
    def is_running(self) -> bool:
        return self.child is not None and self.child.poll() is None

    @property
    def exit_code(self) -> int:
        """Of a process that has ended: minus the signal's number if one ended it."""
        return self.child.returncode if self.child else 0

    @property
    def pid(self) -> int:
        return self.child.pid if self.child else 0

    def signal(self, number: signal.Signals) -> None:
        if self.child is not None and self.is_running:
            self.child.send_signal(number)

    def kill(self) -> None:
        """SIGKILL, and wait for the end."""
        self.signal(signal.SIGKILL)
        if self.child is not None:
            self.child.wait()

    def stop(self, timeout: float = 10.0) -> int:
        """SIGTERM, then SIGKILL after `timeout` seconds; returns the exit code."""
        if self.child is None:
            return 0
        self.signal(signal.SIGTERM)
        try:
            return self.child.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()
            return self.child.returncode

    def last_lines(self, count: int = 5) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-count:])


@dataclass(slots=True)
class Stack:
    """`router_port` and `manager_port` 0 pick free ones; cells are spread over the zones in turn.

    `cell_capacity` is in bytes: the cells of one machine cannot each take what a cell takes by itself.
    `cell_module` is what runs a cell: with `cell.supervisor`, one that crashes starts again by itself; its
    process here is then the parent of the cell's, and to kill that kills both.
    """

    folder: Path
    cells: int = 8
    zones: int = 4
    hand_size: int = 3
    router_port: int = 0
    manager_port: int = 0
    managers: int = 1
    cell_capacity: int = 512 * 2**20
    cell_module: str = "cell.app"
    processes: dict[str, Process] = field(default_factory=dict)

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def router(self) -> str:
        return self.process("router").address

    @property
    def manager(self) -> str:
        """All version managers, as `--manager` takes them."""
        names = [name for name in self.processes if name.startswith("version-manager")]
        return ",".join(self.process(name).address for name in names)

    def process(self, name: str) -> Process:
        return self.processes[name]

    def start(self) -> None:
        """Start everything and seat the cells.

        Raises:
            StackFailed: naming the process and the end of its log.
        """
        (self.folder / "logs").mkdir(parents=True, exist_ok=True)
        self._start_etcd()
        for number in range(self.managers):
            name = f"version-manager-{number}" if number else "version-manager"
            self._launch(name, self._manager_argv(name)).wait_ready()
        cells = [self._launch(f"cell-{number}", self._cell_argv(number)) for number in range(self.cells)]
        for cell in cells:
            # They start together, on the same few processors.
            cell.wait_ready(30.0 + 5.0 * self.cells)
        asyncio.run(self._seat_cells())
        self.start_router("router", self.snapshot, self.router_port)
        self._write_state()

    def stop(self) -> None:
        """Stop what was started: routers and cells together, then what they lean on."""
        base = [
            process
            for name, process in self.processes.items()
            if name == "etcd" or name.startswith("version-manager")
        ]
        leaves = [process for process in self.processes.values() if process not in base]
        for process in leaves:
            process.signal(signal.SIGTERM)
        for process in (*leaves, *reversed(base)):
            process.stop()
        (self.folder / _STATE_FILE).unlink(missing_ok=True)

    def restart(self, name: str) -> None:
        """Start an ended process again, at the address that it had."""
        process = self.process(name)
        process.stop()
        process.start()
        if name == "etcd":
            _wait_connectable(process)
        else:
            process.wait_ready()

    def start_router(self, name: str, snapshot: Path, port: int = 0) -> Process:
        """Start a router that keeps its copy of the catalog in `snapshot`; wait until it serves."""
        argv = [
            *(sys.executable, "-m", "router.app"),
            *("--listen", f"127.0.0.1:{port or _free_port()}"),
            *("--manager", self.manager),
            *("--snapshot", str(snapshot)),
        ]
        router = self._launch(name, argv)
        router.wait_ready()
        return router

    def _launch(self, name: str, argv: Sequence[str]) -> Process:
        process = Process(name, argv, self.folder / "logs" / f"{name}.log")
        self.processes[name] = process
        process.start()
        return process

    def _start_etcd(self) -> None:
        client, peer = _free_address(), _free_address()
        argv = [
            *("etcd", "--name", "local", "--data-dir", str(self.folder / "etcd")),
            *("--listen-client-urls", f"http://{client}", "--advertise-client-urls", f"http://{client}"),
            *("--listen-peer-urls", f"http://{peer}", "--initial-advertise-peer-urls", f"http://{peer}"),
            *("--initial-cluster", f"local=http://{peer}", "--logger", "zap", "--log-level", "warn"),
        ]
        process = self._launch("etcd", argv)
        process.address = client
        _wait_connectable(process)

    def _manager_argv(self, name: str) -> list[str]:
        port = self.manager_port if name == "version-manager" else 0
        return [
            *(sys.executable, "-m", "version_manager.app"),
            *("--listen", f"127.0.0.1:{port or _free_port()}"),
            *("--etcd", self.process("etcd").address),
            *("--store", self.store_url),
            *("--snapshot", str(self.folder / f"{name}.snapshot")),
        ]

    def _cell_argv(self, number: int) -> list[str]:
        return [
            *(sys.executable, "-m", self.cell_module),
            *(
                "--id",
                f"cell-{number}",
                "--zone",
                f"zone-{'abcdefghijklmnopqrstuvwxyz'[number % self.zones]}",
            ),
            *("--store", self.store_url),
            *("--cache-dir", str(self.folder / "cache" / f"cell-{number}")),
            *("--capacity-bytes", str(self.cell_capacity)),
            *("--manager", self.manager),
        ]

    @property
    def snapshot(self) -> Path:
        """The router's copy of the catalog."""
        return self.folder / "router.snapshot"

    @property
    def store_url(self) -> str:
        return f"file://{(self.folder / 'objects').absolute()}"

    async def _seat_cells(self) -> None:
        async with VersionManagerClient(self.manager) as manager:
            give_up = time.monotonic() + 20
            while len(cells := await manager.list_cells()) < self.cells:
                if time.monotonic() > give_up:
                    raise StackFailed(f"only {len(cells)} of {self.cells} cells registered")
                await asyncio.sleep(0.05)
            seats = [
                pb.Seat(cell=cell.id, zone=cell.zone, weight=cell.weight)
                for cell in sorted(cells, key=lambda cell: cell.id)
            ]
            try:
                active = await manager.get_generation()
            except NotFound:
                active = pb.Generation()
            # A folder used before has its shard map still: it stays unless the cells are others.
            if (active.hand_size, list(active.seats)) != (self.hand_size, seats):
                new = pb.Generation(seed=1, hand_size=self.hand_size, seats=seats)
                await manager.set_generation(new, expected_number=active.number)

    def _write_state(self) -> None:
        rows = [
            {"name": p.name, "pid": p.pid, "started": started_at(p.pid), "address": p.address}
            for p in self.processes.values()
        ]
        state = {"pid": os.getpid(), "started": started_at(os.getpid()), "processes": rows}
        (self.folder / _STATE_FILE).write_text(json.dumps(state, indent=2))


@dataclass(frozen=True, slots=True)
class RunningProcess:
    """A process of a stack that another command started."""

    name: str
    pid: int
    address: str
    is_running: bool


def read_state(folder: Path) -> tuple[int, list[RunningProcess]]:
    """The pid of the command that holds the stack in `folder`, and its processes; (0, []) when none.

    A file that a killed command left behind may name a pid that is another process's by now, which
    `local down` must not end: so a process is known by its start as well.
    """
    try:
        state = json.loads((folder / _STATE_FILE).read_text())
    except FileNotFoundError:
        return 0, []
    processes = [
        RunningProcess(row["name"], row["pid"], row["address"], _still_runs(row))
        for row in state["processes"]
    ]
    return (state["pid"] if _still_runs(state) else 0), processes


def _still_runs(written: dict[str, Any]) -> bool:
    started = started_at(written["pid"])
    return started != 0 and started == written.get("started")


def is_alive(pid: int) -> bool:
    return started_at(pid) != 0


def started_at(pid: int) -> int:
    """When process `pid` started, in clock ticks since the machine did (proc(5)); 0 when it has ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return 0 if fields[0] == "Z" else int(fields[19])


def _free_port() -> int:
    return int(_free_address().rpartition(":")[2])


def _free_address() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        host, port = probe.getsockname()
        return f"{host}:{port}"


def _wait_connectable(process: Process, timeout: float = 20.0) -> None:
    """Wait for a server that says nothing when it is ready.

    Raises:
        StackFailed: nothing listens after `timeout` seconds.
    """
    host, _, port = process.address.rpartition(":")
    give_up = time.monotonic() + timeout
    while time.monotonic() < give_up and process.is_running:
        try:
            socket.create_connection((host, int(port)), timeout=1).close()
            return
        except OSError:
            time.sleep(0.02)
    raise StackFailed(f"{process.name} did not start; its log is {process.log}:\n{process.last_lines()}")
