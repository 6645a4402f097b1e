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
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import quote

from croupier.errors import NotFound
from croupier.grpcio.manager import VersionManagerClient
from croupierctl.stack_process import Process, StackFailed, free_port, wait_connectable
from croupierctl.stack_state import forget_state, write_state
from protos.versions.v1 import versions_pb2 as pb


@dataclass(slots=True)
class Stack:
    """`router_port` and `manager_port` 0 pick free ones; cells are spread over the zones in turn.

    `cell_capacity` is in bytes: the cells of one machine cannot each take what a cell takes by itself.
    `cell_module` is what runs a cell: with `cell.supervisor`, one that crashes starts again by itself; its
    process here is then the parent of the cell's, and to kill that kills both.
    With `logs` there is a logger, and what families want logged comes into the folder `log`. Routers read
    stored features from `features_store`, a URL; without one from the folder `features`.
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
    logs: bool = False
    features_store: str = ""
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
        self.start_managers()
        cells = [self._start_cell(number) for number in range(self.cells)]
        for cell in cells:
            # They start together, on the same few processors.
            cell.wait_ready(30.0 + 5.0 * self.cells)
        asyncio.run(self._seat_cells())
        self.start_router("router", self.snapshot, self.router_port)
        if self.logs:
            self._launch("logger", self._logger_argv()).wait_ready()
        write_state(self.folder, self.processes.values())

    def start_managers(self) -> None:
        """Start etcd and the version managers alone.

        Raises:
            StackFailed: as `start`.
        """
        (self.folder / "logs").mkdir(parents=True, exist_ok=True)
        self._start_etcd()
        for number in range(self.managers):
            name = f"version-manager-{number}" if number else "version-manager"
            self._launch(name, self._manager_argv(name)).wait_ready()

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
        forget_state(self.folder)

    def restart(self, name: str) -> None:
        """Start an ended process again, at the address that it had."""
        process = self.process(name)
        process.stop()
        process.start()
        if name == "etcd":
            wait_connectable(process)
        else:
            process.wait_ready()

    def start_cell(self, number: int) -> Process:
        """Start one cell more, which has no seat; wait until it serves."""
        cell = self._start_cell(number)
        cell.wait_ready()
        return cell

    def _start_cell(self, number: int) -> Process:
        return self._launch(f"cell-{number}", self._cell_argv(number))

    def start_router(
        self,
        name: str,
        snapshot: Path,
        port: int = 0,
        *,
        options: Sequence[str] = (),
        patience: float = 30.0,
    ) -> Process:
        """Start a router that keeps its copy of the catalog in `snapshot`; wait until it serves.

        `options` are what it is told besides; it may take `patience` seconds.
        """
        argv = [
            *(sys.executable, "-m", "router.app"),
            *("--listen", f"127.0.0.1:{port or free_port()}"),
            *("--manager", self.manager),
            *("--snapshot", str(snapshot)),
            *("--features-store", self.features_url),
            *(("--log-spool", str(self._spool)) if self.logs else ()),
            *options,
        ]
        router = self._launch(name, argv)
        router.wait_ready(patience)
        return router

    def _launch(self, name: str, argv: Sequence[str]) -> Process:
        process = Process(name, argv, self.folder / "logs" / f"{name}.log")
        self.processes[name] = process
        process.start()
        return process

    def _start_etcd(self) -> None:
        client, peer = (f"127.0.0.1:{free_port()}" for _ in range(2))
        argv = [
            *("etcd", "--name", "local", "--data-dir", str(self.folder / "etcd")),
            *("--listen-client-urls", f"http://{client}", "--advertise-client-urls", f"http://{client}"),
            *("--listen-peer-urls", f"http://{peer}", "--initial-advertise-peer-urls", f"http://{peer}"),
            *("--initial-cluster", f"local=http://{peer}", "--logger", "zap", "--log-level", "warn"),
        ]
        process = self._launch("etcd", argv)
        process.address = client
        wait_connectable(process)

    def _manager_argv(self, name: str) -> list[str]:
        port = self.manager_port if name == "version-manager" else 0
        return [
            *(sys.executable, "-m", "version_manager.app"),
            *("--listen", f"127.0.0.1:{port or free_port()}"),
            *("--etcd", self.process("etcd").address),
            *("--store", self.store_url),
            *("--snapshot", str(self.folder / f"{name}.snapshot")),
        ]

    def _logger_argv(self) -> list[str]:
        return [
            *(sys.executable, "-m", "logger.app", "--spool", str(self._spool)),
            *("--store", self.store_url, "--log", self.log_url),
            # Whoever tries it out looks soon.
            *("--flush-seconds", "1", "--poll-seconds", "0.1"),
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
    def _spool(self) -> Path:
        return (self.folder / "spool").absolute()

    @property
    def features_url(self) -> str:
        """Where the routers' stored features lie."""
        return self.features_store or f"lmdb:{quote(str((self.folder / 'features').absolute()))}"

    @property
    def log_url(self) -> str:
        """Where the log is, if there is one."""
        return f"file://{(self.folder / 'log').absolute()}"

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
