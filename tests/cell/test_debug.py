"""What a cell believes, asked of a whole one."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from support.admin import AdminPort, told
from support.cell_server import CellServer, infer_request, open_cell
from support.join_service import JoinService
from support.ports import free_port
from support.waiting import eventually

from cell.app import serve
from cell.crash.journal import QUARANTINE
from cell.crash.quarantine import Death, Named, Phase, Quarantine
from cell.settings import CellSettings
from croupier.errors import CroupierError
from croupier.lifecycle import Lifecycle


async def test_an_empty_cell_says_that_it_is(server: CellServer) -> None:
    debug = server.cell.debug
    assert sorted(debug) == ["batcher", "fence", "loads", "memory", "quarantine", "residency"]
    residency = await told(debug, "residency")
    assert (residency["resident"], residency["used_bytes"]) == (0, 0)
    assert residency["hottest"] == await told(debug, "quarantine") == {"entries": [], "more": 0}
    assert set((await told(debug, "batcher")).values()) == {0}
    memory = await told(debug, "memory")
    assert 0 < memory["measured"] < memory["limit"]
    assert memory["sheds"] is False


async def test_what_is_resident_by_its_digest_and_how_it_was_used(
    server: CellServer, key: bytes, small: Any
) -> None:
    for _ in range(3):
        await server.infer(infer_request(key, small[1][:2]))
    residency = await told(server.cell.debug, "residency")
    assert (residency["resident"], residency["hottest"]["more"]) == (1, 0)
    (resident,) = residency["hottest"]["entries"]
    assert resident["artifact"] == key.hex()
    assert resident["uses"] >= 2
    assert residency["used_bytes"] > 0


async def test_what_failed_to_load_and_is_refused_at_once(server: CellServer, small: Any) -> None:
    for number in range(120):
        with pytest.raises(CroupierError):
            await server.infer(infer_request(bytes([number]) * 32, small[1][:1]))
    loads = await told(server.cell.debug, "loads")
    assert loads["loads"] == {"entries": [], "more": 0}
    assert (len(loads["refused"]["entries"]), loads["refused"]["more"]) == (100, 20)
    assert loads["refused"]["entries"][0]["artifact"] == "00" * 32


async def test_what_ended_the_process_is_named(tmp_path: Path) -> None:
    quarantine = Quarantine()
    for number in (1, 2):
        culprit = Named(bytes([number]) * 32, Phase.SCORE, signal="SIGSEGV")
        quarantine.judge(Death((culprit,), "SIGSEGV"), float(number))
    path = tmp_path / "cache" / QUARANTINE
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(quarantine.dump()))
    async with open_cell(tmp_path) as server:
        named = await told(server.cell.debug, "quarantine")
        # The latest first.
        assert [entry["artifact"][:2] for entry in named["entries"]] == ["02", "01"]
        assert named["entries"][0] | {"artifact": ""} == {
            "artifact": "",
            "since": 2.0,
            "why": "SIGSEGV",
            "phase": "score",
        }


async def test_it_is_ready_while_it_is_registered_and_does_not_drain(
    tmp_path: Path, manager: tuple[JoinService, str]
) -> None:
    _, address = manager
    async with open_cell(tmp_path / "a", manager=(address,)) as server:
        await eventually(lambda: not server.cell.why_not_ready(), "it is registered")
    assert server.cell.why_not_ready() == "it drains"
    async with open_cell(tmp_path / "b", manager=(f"127.0.0.1:{free_port()}",)) as alone:
        assert alone.cell.why_not_ready() == "no version manager has it registered"
    async with open_cell(tmp_path / "c", manager=()) as unregistered:
        assert unregistered.cell.why_not_ready() == ""


async def test_the_process_says_it_on_its_admin_port(tmp_path: Path) -> None:
    port, life = AdminPort(f"127.0.0.1:{free_port()}"), Lifecycle()
    settings = CellSettings(
        store=f"file://{tmp_path}",
        cache_dir=tmp_path / "cache",
        manager=(),
        metrics_listen=port.listen,
        capacity_bytes=2**24,
        drain_seconds=0.0,
    )
    serving = asyncio.create_task(serve(settings, life))
    try:
        while await port.is_there() is False or (await port.page("/readyz"))[0] != 200:
            assert not serving.done()
        assert await port.view("batcher")
    finally:
        life.stop()
        await serving
        await life.close()
