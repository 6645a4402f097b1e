"""Keys and transactions of a real etcd, whole and behind a network that fails."""

import asyncio
from operator import attrgetter
from typing import Any

import pytest
from support.etcd import EtcdServer, value_of
from support.ports import free_port
from support.proxy import TcpProxy
from support.waiting import eventually

from croupier.errors import InvalidRequest, NotFound, TooLarge, Unavailable
from croupier.stores.etcd import Compare, Delete, Etcd, EtcdConfig, Put, Span
from protos.etcd.v3 import rpc_pb2 as pb

pytestmark = pytest.mark.system


async def test_put_get_delete(etcd: Etcd) -> None:
    assert await etcd.get("a") is None
    created = await etcd.put("a", b"1")
    changed = await etcd.put("a", b"2")
    assert created + 1 == changed
    pair = await etcd.get("a")
    assert pair is not None
    assert ("a", b"2", changed, created, 0) == (
        pair.key,
        pair.value,
        pair.mod_revision,
        pair.create_revision,
        pair.lease,
    )
    assert changed + 1 == await etcd.delete("a")
    assert await etcd.get("a") is None


async def test_delete_prefix(etcd: Etcd) -> None:
    for key in ("a/1", "a/2", "a0", "b"):
        await etcd.put(key, b"")
    await etcd.delete("a/", prefix=True)
    assert [pair.key for pair in (await etcd.range("")).items] == ["a0", "b"]


async def test_range_in_pages(etcd: Etcd) -> None:
    keys = [f"a/{number:03}" for number in range(25)]
    for key in [*keys, "a", "a0"]:
        revision = await etcd.put(key, key.encode())
    for page in (1, 5, 24, 25, 26, 1000):
        listing = await etcd.range("a/", page=page)
        assert [(key, key.encode()) for key in keys] == [(pair.key, pair.value) for pair in listing.items]
        assert revision == listing.revision
        assert listing.cluster_id != 0


async def test_range_of_nothing(etcd: Etcd) -> None:
    listing = await etcd.range("a/")
    assert (listing.items, listing.revision) == ((), 1)


async def test_range_is_at_one_revision_while_keys_change(etcd: Etcd) -> None:
    async def change(stop: asyncio.Event) -> None:
        number = 0
        while not stop.is_set():
            number += 1
            await etcd.transact([], [Put(f"a/{key:02}", str(number).encode()) for key in range(30)])

    stop = asyncio.Event()
    await etcd.transact([], [Put(f"a/{key:02}", b"0") for key in range(30)])
    changing = asyncio.create_task(change(stop))
    for _ in range(5):
        listing = await etcd.range("a/", page=3)
        assert len(listing.items) == 30
        assert len({pair.value for pair in listing.items}) == 1
        assert all(pair.mod_revision <= listing.revision for pair in listing.items)
    stop.set()
    await changing


async def test_range_begins_again_when_its_revision_is_compacted(
    etcd: Etcd, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(4):
        await etcd.put(f"a/{number}", b"old")
    connection = etcd._connection
    call = connection.call
    compacted = False

    async def compacting_call(method: Any, request: Any, **options: Any) -> Any:
        nonlocal compacted
        response = await call(method, request, **options)
        if not compacted:
            compacted = True
            now = await etcd.put("a/3", b"new")
            await call(attrgetter("kv.Compact"), pb.CompactionRequest(revision=now))
        return response

    monkeypatch.setattr(connection, "call", compacting_call)
    listing = await etcd.range("a/", page=2)
    assert [pair.value for pair in listing.items] == [b"old", b"old", b"old", b"new"]


async def test_key_that_is_not_text(etcd: Etcd, server: EtcdServer) -> None:
    await server.etcdctl("put", b"bad/\xff".decode(errors="surrogateescape"), "v")
    (pair,) = (await etcd.range("bad/")).items
    assert pair.key.encode(errors="surrogateescape") == b"bad/\xff"
    await etcd.delete(pair.key)
    assert (await etcd.range("")).items == ()


async def test_transaction_happens_whole_or_not_at_all(etcd: Etcd) -> None:
    created = await etcd.transact([Compare("a", 0)], [Put("a", b"1"), Put("b", b"1")])
    assert created.succeeded
    again = await etcd.transact([Compare("a", 0)], [Put("a", b"2"), Put("c", b"2")])
    assert (False, created.revision) == (again.succeeded, again.revision)

    both = [Compare("a", created.revision), Compare("b", created.revision)]
    moved = await etcd.transact(both, [Delete("a"), Delete("b", prefix=True), Put("c", b"3")])
    assert (True, created.revision + 1) == (moved.succeeded, moved.revision)
    stale = await etcd.transact(both, [Put("c", b"4")])
    assert not stale.succeeded
    assert [(pair.key, pair.value) for pair in (await etcd.range("")).items] == [("c", b"3")]


async def test_transaction_sizes(etcd: Etcd) -> None:
    puts = [Put(f"a/{number}", b"") for number in range(129)]
    assert (await etcd.transact([], puts[:128])).succeeded
    for compares, ops in (([], puts), ([Compare(put.key, 0) for put in puts], [])):
        with pytest.raises(InvalidRequest, match="at most 128"):
            await etcd.transact(compares, ops)
    with pytest.raises(InvalidRequest, match="duplicate key"):
        await etcd.transact([], [Put("a", b"1"), Put("a", b"2")])


async def test_value_over_the_limit(etcd: Etcd) -> None:
    for size in (1_700_000, 8_000_000):
        with pytest.raises(TooLarge):
            await etcd.put("a", bytes(size))


async def test_put_with_a_lease_that_does_not_exist(etcd: Etcd) -> None:
    with pytest.raises(NotFound, match="lease not found"):
        await etcd.put("a", b"", lease=12345)


async def test_nobody_there() -> None:
    config = EtcdConfig(endpoints=(f"127.0.0.1:{free_port()}", f"127.0.0.1:{free_port()}"), timeout=0.2)
    async with Etcd(config) as etcd:
        with pytest.raises(Unavailable, match="no connection") as caught:
            await etcd.get("a")
    assert caught.value.retry_after > 0


async def test_use_after_closing() -> None:
    etcd = Etcd(EtcdConfig(endpoints=("127.0.0.1:1",)))
    with pytest.raises(Unavailable, match="closed"):
        await etcd.get("a")


async def test_write_waits_for_a_restart(etcd: Etcd, server: EtcdServer) -> None:
    await etcd.put("a", b"1")
    await server.kill()
    writing = asyncio.create_task(etcd.put("a", b"2"))
    await server.start()
    try:
        await writing
    except Unavailable:
        # The connection broke under it before anyone knew: a write is not sent twice.
        await etcd.put("a", b"2")
    pair = await etcd.get("a")
    assert pair is not None
    assert pair.value == b"2"


async def test_dead_endpoint_is_passed_over(server: EtcdServer) -> None:
    dead = f"127.0.0.1:{free_port()}"
    async with Etcd(EtcdConfig(endpoints=(dead, server.endpoint))) as etcd:
        await etcd.put("a", b"1")
        assert await value_of(etcd, "a") == b"1"


async def test_moves_to_another_endpoint_and_back(server: EtcdServer) -> None:
    async with (
        TcpProxy(server.endpoint) as left,
        TcpProxy(server.endpoint) as right,
        Etcd(EtcdConfig(endpoints=(left.endpoint, right.endpoint))) as etcd,
    ):
        await etcd.put("a", b"1")
        expected = b"1"
        for dying, living in ((left, right), (right, left), (left, right)):
            await living.mend()
            await dying.cut()
            assert await value_of(etcd, "a") == expected
            expected += b"2"
            await etcd.put("a", expected)


async def test_read_leaves_a_hanging_endpoint(server: EtcdServer) -> None:
    async with TcpProxy(server.endpoint) as left, TcpProxy(server.endpoint) as right:
        config = EtcdConfig(endpoints=(left.endpoint, right.endpoint), timeout=1.0)
        async with Etcd(config) as etcd:
            await etcd.put("a", b"1")
            left.hang()
            assert await value_of(etcd, "a") == b"1"


async def test_write_to_a_hanging_endpoint_is_not_sent_twice(server: EtcdServer) -> None:
    async with TcpProxy(server.endpoint) as left, TcpProxy(server.endpoint) as right:
        config = EtcdConfig(endpoints=(left.endpoint, right.endpoint), timeout=0.5)
        async with Etcd(config) as etcd:
            before = await etcd.put("a", b"1")
            left.hang()
            with pytest.raises(Unavailable):
                await etcd.put("a", b"2")
            assert before + 1 == await etcd.put("b", b"3")


async def test_write_that_loses_its_connection_is_not_sent_twice(server: EtcdServer) -> None:
    async with (
        TcpProxy(server.endpoint) as left,
        TcpProxy(server.endpoint) as right,
        Etcd(EtcdConfig(endpoints=(left.endpoint, right.endpoint))) as etcd,
    ):
        before = await etcd.put("a", b"1")
        left.hang()
        writing = asyncio.create_task(etcd.put("a", b"2"))
        await eventually(lambda: left.held > 0)
        await left.cut()
        with pytest.raises(Unavailable):
            await writing
        assert before + 1 == await etcd.put("b", b"3")


async def test_cancelled_call_ends_at_once_and_harms_no_other(etcd: Etcd, server: EtcdServer) -> None:
    await etcd.put("a", b"1")
    server.sigstop()
    reading, cancelled = (asyncio.create_task(etcd.get("a")) for _ in range(2))
    await asyncio.wait({reading, cancelled}, timeout=0.05)
    cancelled.cancel()
    with pytest.raises(asyncio.CancelledError):
        await cancelled
    assert not reading.done()
    server.sigcont()
    found = await reading
    assert found is not None
    assert found.value == b"1"


async def test_many_spans_are_read_at_one_revision(etcd: Etcd) -> None:
    for key in ("m/a/config", "m/a/release", "m/a/versions/1", "m/b/release", "spent/a", "spent/ab"):
        revision = await etcd.put(key, key.encode())
    spans = [Span("m/a/release", "m/a/"), Span("m/b/release", "m/b/"), Span("m/c/release", "m/c/")]
    found = await etcd.list_many([*spans, Span("spent/a"), Span("spent/b")], 10)
    keys = [None if items is None else [pair.key for pair in items] for items in found]
    assert keys == [["m/a/release", "m/a/versions/1"], ["m/b/release"], [], ["spent/a"], []]
    assert found[3] is not None
    assert (b"spent/a", revision - 1) == (found[3][0].value, found[3][0].mod_revision)
    # What has more than is taken is to be read by itself.
    assert [
        None if items is None else [pair.key for pair in items]
        for items in await etcd.list_many(spans[:2], 1)
    ] == [None, ["m/b/release"]]
    with pytest.raises(InvalidRequest, match="128"):
        await etcd.list_many([Span("a")] * 129, 1)
