"""What a version manager believes, asked of a whole one."""

from __future__ import annotations

import asyncio
from pathlib import Path

from support.admin import AdminPort, told
from support.manager import Fleet, artifact
from support.ports import free_port

from croupier.lifecycle import Lifecycle
from version_manager.app import serve
from version_manager.settings import ManagerSettings


async def test_the_map_that_it_serves_and_what_it_passes_over(fleet: Fleet) -> None:
    debug = fleet.manager.debug
    assert sorted(debug) == ["map", "watchers"]
    before = await told(debug, "map")
    assert (before["is_loaded"], before["models"], before["frozen_for"]) == (True, 0, "")
    await fleet.client.publish("acme", "churn", artifact())
    key = "croupier/models/\x1b[2J" + "x" * 1_000
    await fleet.raw.put(key, b"{")
    # Its revision may have been seen before what came of it is.
    while not (after := await told(debug, "map"))["bad_keys"]["entries"]:
        await asyncio.sleep(0)
    assert (after["models"], after["bad_keys"]) == (1, {"entries": [key[:500]], "more": 0})
    assert after["seen_revision"] >= before["seen_revision"] + 2


async def test_who_watches_it(fleet: Fleet) -> None:
    debug = fleet.manager.debug
    assert (await told(debug, "watchers"))["watchers"] == 0
    watch = fleet.client.watch(0, "", protocol=2)
    await anext(watch)
    watchers = await told(debug, "watchers")
    assert (watchers["watchers"], watchers["by_protocol"]) == (1, {"2": 1})
    await watch.aclose()


async def test_a_manager_that_waits_for_etcd_says_so(tmp_path: Path) -> None:
    port, life = AdminPort(f"127.0.0.1:{free_port()}"), Lifecycle()
    settings = ManagerSettings(
        listen="127.0.0.1:0",
        metrics_listen=port.listen,
        etcd=(f"127.0.0.1:{free_port()}",),
        store=f"file://{tmp_path}",
        snapshot=tmp_path / "snapshot",
    )
    serving = asyncio.create_task(serve(life, settings))
    try:
        while not await port.is_there() or await port.view("") == []:
            assert not serving.done()
        assert await port.page("/healthz") == (200, "ok")
        assert await port.page("/readyz") == (503, "there is no map yet")
        assert (await port.view("map"))["is_loaded"] is False
    finally:
        life.stop()
        await serving
        await life.close()
