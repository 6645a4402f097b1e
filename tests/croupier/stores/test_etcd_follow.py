"""Following a prefix of a real etcd that is killed, frozen, compacted, wiped and cut off."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from pathlib import Path

import pytest
from prometheus_client import REGISTRY
from support.etcd import EtcdServer
from support.ports import free_port
from support.proxy import TcpProxy
from support.waiting import eventually

from croupier.stores.etcd import Changed, Delete, Etcd, EtcdConfig, Listed, Put

pytestmark = pytest.mark.system

Events = AsyncGenerator[Listed | Changed, None]


@pytest.fixture
async def proxy(server: EtcdServer) -> AsyncIterator[TcpProxy]:
    async with TcpProxy(server.endpoint) as proxy:
        yield proxy


@pytest.fixture
async def etcd(server: EtcdServer) -> AsyncIterator[Etcd]:
    """A client beside the one that is tested, straight to etcd."""
    async with Etcd(EtcdConfig(endpoints=(server.endpoint,))) as etcd:
        yield etcd


@pytest.fixture
async def events(proxy: TcpProxy) -> AsyncIterator[Events]:
    """A follower of `a/` whose connection goes through `proxy`."""
    config = EtcdConfig(endpoints=(proxy.endpoint,), timeout=0.5, silence=0.5)
    async with Etcd(config) as etcd, aclosing(etcd.follow("a/")) as events:
        yield events


async def _next(events: Events) -> Listed | Changed:
    async with asyncio.timeout(10):
        return await anext(events)


async def _listed(events: Events) -> Listed:
    event = await _next(events)
    assert isinstance(event, Listed), event
    return event


async def _changed(events: Events) -> Changed:
    event = await _next(events)
    assert isinstance(event, Changed), event
    return event


def _values(event: Listed | Changed) -> dict[str, bytes]:
    pairs = event.items if isinstance(event, Listed) else event.puts
    return {pair.key: pair.value for pair in pairs}


def _reconnects() -> float:
    return REGISTRY.get_sample_value("croupier_etcd_watch_reconnects_total") or 0.0


async def test_lists_and_then_tells_changes(events: Events, etcd: Etcd) -> None:
    await etcd.put("a/1", b"1")
    put = await etcd.put("a/2", b"2")
    listed = await _listed(events)
    assert _values(listed) == {"a/1": b"1", "a/2": b"2"}
    assert put == listed.revision
    assert (await etcd.range("a/")).cluster_id == listed.cluster_id

    await etcd.put("b", b"of another prefix")
    moved = await etcd.transact([], [Delete("a/1"), Put("a/3", b"3")])
    changed = await _changed(events)
    assert _values(changed) == {"a/3": b"3"}
    assert (("a/1", moved.revision),) == changed.deletes
    assert moved.revision == changed.revision


async def test_goes_on_where_it_was_after_a_restart(events: Events, etcd: Etcd, server: EtcdServer) -> None:
    await _listed(events)
    await etcd.put("a/1", b"1")
    assert _values(await _changed(events)) == {"a/1": b"1"}
    waiting = asyncio.create_task(_changed(events))
    await server.restart()
    await etcd.get("a/1")
    await etcd.put("a/2", b"2")
    assert _values(await waiting) == {"a/2": b"2"}


async def test_begins_while_etcd_is_down(tmp_path: Path) -> None:
    server = EtcdServer(tmp_path)
    config = EtcdConfig(endpoints=(server.endpoint,), timeout=0.2)
    async with Etcd(config) as etcd, aclosing(etcd.follow("")) as events:
        before = _reconnects()
        waiting = asyncio.create_task(_listed(events))
        await eventually(lambda: _reconnects() > before)
        async with server:
            assert (await waiting).items == ()


async def test_misses_nothing_while_cut_off(events: Events, etcd: Etcd, proxy: TcpProxy) -> None:
    await _listed(events)
    waiting = asyncio.create_task(_changed(events))
    await proxy.cut()
    # More than the thousand revisions that etcd catches a watch up by at a time.
    for batch in range(13):
        await asyncio.gather(*(etcd.put(f"a/{number}", str(batch).encode()) for number in range(100)))
    await etcd.delete("a/7")
    last = await etcd.put("a/last", b"")
    await proxy.mend()

    changed = await waiting
    values = _values(changed)
    while changed.revision < last:
        for key, _ in changed.deletes:
            values.pop(key, None)
        changed = await _changed(events)
        values |= _values(changed)
    for key, _ in changed.deletes:
        values.pop(key, None)
    assert {pair.key: pair.value for pair in (await etcd.range("a/")).items} == values


async def test_change_larger_than_a_message(events: Events, etcd: Etcd, proxy: TcpProxy) -> None:
    await _listed(events)
    waiting = asyncio.create_task(_changed(events))
    await proxy.cut()
    expected = {f"a/{number}": bytes([number]) * 1_000_000 for number in range(6)}
    for key, value in expected.items():
        await etcd.put(key, value)
    await proxy.mend()
    values = _values(await waiting)
    while len(values) < len(expected):
        values |= _values(await _changed(events))
    assert expected == values


async def test_lists_again_when_its_changes_are_compacted(
    events: Events, etcd: Etcd, proxy: TcpProxy, server: EtcdServer
) -> None:
    await etcd.put("a/1", b"1")
    await etcd.put("a/2", b"2")
    await _listed(events)
    waiting = asyncio.create_task(_listed(events))
    await proxy.cut()
    await etcd.delete("a/1")
    last = await etcd.put("a/2", b"3")
    await server.etcdctl("compact", str(last))
    await proxy.mend()
    listed = await waiting
    assert _values(listed) == {"a/2": b"3"}
    assert last == listed.revision


async def test_compaction_behind_it_does_not_matter(events: Events, etcd: Etcd, server: EtcdServer) -> None:
    await _listed(events)
    revision = await etcd.put("a/1", b"1")
    await _changed(events)
    await server.etcdctl("compact", str(revision))
    await etcd.put("a/1", b"2")
    assert _values(await _changed(events)) == {"a/1": b"2"}


async def test_frozen_etcd_is_noticed(events: Events, etcd: Etcd, server: EtcdServer) -> None:
    await _listed(events)
    before = _reconnects()
    waiting = asyncio.create_task(_changed(events))
    server.sigstop()
    # Silence first, then an attempt to reconnect that gets no answer either.
    await eventually(lambda: _reconnects() >= before + 2)
    server.sigcont()
    await etcd.put("a/1", b"1")
    assert _values(await waiting) == {"a/1": b"1"}


async def test_quiet_etcd_is_not_taken_for_dead(events: Events, etcd: Etcd) -> None:
    await _listed(events)
    before = _reconnects()
    loop = asyncio.get_running_loop()
    waiting = asyncio.create_task(_changed(events))
    quiet_until = loop.time() + 1.2
    await eventually(lambda: loop.time() > quiet_until)
    await etcd.put("a/1", b"1")
    await waiting
    assert before == _reconnects()


async def test_hanging_connection_is_left_for_another(server: EtcdServer, etcd: Etcd) -> None:
    async with TcpProxy(server.endpoint) as proxy:
        config = EtcdConfig(endpoints=(proxy.endpoint, server.endpoint), timeout=1.0, silence=0.3)
        async with Etcd(config) as through, aclosing(through.follow("a/")) as events:
            await _listed(events)
            waiting = asyncio.create_task(_changed(events))
            proxy.hang()
            await etcd.put("a/1", b"1")
            assert _values(await waiting) == {"a/1": b"1"}


async def test_dead_endpoint_is_passed_over(server: EtcdServer, etcd: Etcd) -> None:
    config = EtcdConfig(endpoints=(f"127.0.0.1:{free_port()}", server.endpoint))
    async with Etcd(config) as through, aclosing(through.follow("a/")) as events:
        await _listed(events)
        await etcd.put("a/1", b"1")
        await _changed(events)


async def test_wiped_etcd_is_another_cluster(events: Events, etcd: Etcd, server: EtcdServer) -> None:
    await etcd.put("a/1", b"1")
    before = await _listed(events)
    waiting = asyncio.create_task(_listed(events))
    await server.wipe()
    after = await waiting
    assert _values(after) == {}
    assert after.cluster_id != before.cluster_id


async def test_wiped_etcd_under_its_old_id_is_behind(events: Events, etcd: Etcd, server: EtcdServer) -> None:
    await etcd.put("a/1", b"1")
    before = await _listed(events)
    waiting = asyncio.create_task(_listed(events))
    await server.wipe(new_cluster=False)
    after = await waiting
    assert _values(after) == {}
    assert after.cluster_id == before.cluster_id
    assert after.revision < before.revision


async def test_wiped_etcd_that_has_caught_up_is_younger(
    events: Events, etcd: Etcd, proxy: TcpProxy, server: EtcdServer
) -> None:
    await server.restart()
    await etcd.put("a/1", b"1")
    before = await _listed(events)
    waiting = asyncio.create_task(_listed(events))
    await proxy.cut()
    await server.wipe(new_cluster=False)
    await etcd.get("a/2")
    for _ in range(before.revision):
        last = await etcd.put("a/2", b"2")
    assert last > before.revision
    await proxy.mend()
    after = await waiting
    assert _values(after) == {"a/2": b"2"}
    assert after.cluster_id == before.cluster_id


async def test_cancelled_follower_ends_at_once_and_harms_no_other(etcd: Etcd) -> None:
    async def consume() -> None:
        async with aclosing(etcd.follow("a/")) as events:
            await anext(events)
            listed.set()
            await anext(events)

    async with aclosing(etcd.follow("a/")) as others:
        await _listed(others)
        listed = asyncio.Event()
        consumer = asyncio.create_task(consume())
        await listed.wait()
        consumer.cancel()
        with pytest.raises(asyncio.CancelledError):
            await consumer
        await etcd.put("a/1", b"1")
        assert _values(await _changed(others)) == {"a/1": b"1"}


async def test_cancelled_while_backing_off() -> None:
    config = EtcdConfig(endpoints=(f"127.0.0.1:{free_port()}",), timeout=0.05)
    async with Etcd(config) as etcd, aclosing(etcd.follow("a/")) as events:
        before = _reconnects()
        waiting = asyncio.create_task(anext(events))
        await eventually(lambda: _reconnects() > before)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
