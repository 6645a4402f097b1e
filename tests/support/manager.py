"""A version manager in the test's own process, with a real gRPC server, on a real etcd."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from support.etcd import EtcdServer
from support.waiting import eventually

from croupier.artifacts.format import Tensor, pack
from croupier.grpcio.manager import VersionManagerClient
from croupier.lifecycle import Lifecycle
from croupier.stores.etcd import Etcd, EtcdConfig, KeyValue
from protos.versions.v1 import versions_pb2 as pb
from version_manager.app import VersionManager
from version_manager.map.keys import Keys
from version_manager.map.records import Announced, encode
from version_manager.settings import ManagerSettings

SEED = 7


def artifact(text: str = "model") -> bytes:
    """A packed artifact that no engine needs to run."""
    return pack(
        engine="onnx",
        inputs=[Tensor("input", "FP32", (-1, 2))],
        outputs=[Tensor("label", "INT64", (-1,))],
        sections={"model": text.encode()},
    )


def release(
    tenant: str, name: str, *splits: tuple[int, int], expected: int = 0, **labels: int
) -> pb.SetReleaseRequest:
    return pb.SetReleaseRequest(
        tenant=tenant,
        name=name,
        splits=[pb.Split(version=version, basis_points=points) for version, points in splits],
        labels=labels,
        expected_number=expected,
    )


def generation(*cells: str, seed: int = SEED) -> pb.Generation:
    return pb.Generation(
        seed=seed, hand_size=2, seats=[pb.Seat(cell=cell, zone=f"zone-{cell}", weight=1) for cell in cells]
    )


def cell_report(cell: str, *, state: str = "active", used: int = 0, port: int = 9000) -> pb.JoinRequest:
    return pb.JoinRequest(
        cell=pb.Cell(
            id=cell,
            zone="zone-a",
            address=f"127.0.0.1:{port}",
            weight=1.0,
            state=state,
            load=pb.Load(capacity_bytes=100, used_bytes=used),
        )
    )


class Fleet:
    """An etcd, the managers started on it, a client of the first, and a look into etcd itself."""

    def __init__(self, folder: Path, **told: Any) -> None:
        self.etcd = EtcdServer(folder)
        self.folder = folder
        self._told = told
        self._running: list[tuple[VersionManager, Lifecycle, VersionManagerClient]] = []
        self.raw: Etcd

    async def __aenter__(self) -> Self:
        await self.etcd.__aenter__()
        try:
            self.raw = Etcd(EtcdConfig((self.etcd.endpoint,)))
            await self.raw.__aenter__()
            await self.start_manager()
        except BaseException:
            await self.__aexit__(None, None, None)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        while self._running:
            await self.stop_manager()
        await self.raw.__aexit__(None, None, None)
        await self.etcd.kill()

    @property
    def client(self) -> VersionManagerClient:
        return self._running[0][2]

    @property
    def manager(self) -> VersionManager:
        return self._running[0][0]

    @property
    def address(self) -> str:
        return self._running[0][0].address

    def snapshot(self, index: int = 0) -> Path:
        """Where the manager that is started with `index` others running keeps what was good."""
        return self.folder / f"manager-{index}.snapshot"

    async def start_manager(self) -> VersionManagerClient:
        told = ManagerSettings(
            listen="127.0.0.1:0",
            metrics_listen="",
            etcd=(self.etcd.endpoint,),
            store=f"file://{self.folder / 'objects'}",
            snapshot=self.snapshot(len(self._running)),
            **{"grace_seconds": 0.1, **self._told},
        )
        life = Lifecycle()
        manager = VersionManager(told, life)
        assert await manager.start()
        client = VersionManagerClient(manager.address)
        self._running.append((manager, life, client))
        return client

    async def stop_manager(self, index: int = -1) -> None:
        manager, life, client = self._running.pop(index)
        await manager.stop()
        await life.close()
        await client.__aexit__(None, None, None)
        assert not life.failed

    async def kept(self, prefix: str = "croupier") -> list[KeyValue]:
        """All that is in etcd below `prefix`, but for the managers' own records."""
        items = (await self.raw.range(prefix)).items
        return [pair for pair in items if not pair.key.startswith("croupier/managers/")]

    async def audit(self) -> Sequence[bytes]:
        return [pair.value for pair in (await self.raw.range("croupier-audit/")).items]


class JoinedCell:
    """A cell's side of a Join stream, one report and one answer at a time."""

    def __init__(self, client: VersionManagerClient, first: pb.JoinRequest, *, method: str = "join") -> None:
        self._reports: asyncio.Queue[pb.JoinRequest | None] = asyncio.Queue()
        self._reports.put_nowait(first)
        self.answers = getattr(client, method)(self._outgoing())

    async def say(self, report: pb.JoinRequest) -> pb.JoinResponse:
        self._reports.put_nowait(report)
        return await anext(self.answers)

    def hang_up(self) -> None:
        self._reports.put_nowait(None)

    async def _outgoing(self) -> AsyncIterator[pb.JoinRequest]:
        while (report := await self._reports.get()) is not None:
            yield report


@asynccontextmanager
async def joined(client: VersionManagerClient, first: pb.JoinRequest) -> AsyncIterator[JoinedCell]:
    """A cell that has joined; it hangs up at the end of the block."""
    cell = JoinedCell(client, first)
    await anext(cell.answers)
    try:
        yield cell
    finally:
        cell.hang_up()
        async for _ in cell.answers:
            pass


async def listed(client: VersionManagerClient) -> dict[str, pb.Cell]:
    """The cells that a manager lists, by id."""
    return {cell.id: cell for cell in await client.list_cells()}


async def until_listed(client: VersionManagerClient, *cells: str) -> None:
    async def are_listed() -> bool:
        return (await listed(client)).keys() == set(cells)

    await eventually(are_listed)


@asynccontextmanager
async def older_manager(fleet: Fleet, protocol: int) -> AsyncIterator[None]:
    """While a version manager runs that understands so much, as the fleet's first one sees it."""
    key = Keys().manager("00cd")

    async def until(is_there: bool) -> None:
        async def is_so() -> bool:
            return ("00cd" in {one.id for one in (await fleet.client.get_status()).managers}) == is_there

        await eventually(is_so)

    await fleet.raw.put(key, encode(Announced(protocol, protocol)))
    await until(True)
    try:
        yield
    finally:
        await fleet.raw.delete(key)
        await until(False)
