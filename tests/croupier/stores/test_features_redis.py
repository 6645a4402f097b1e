"""Features in a real Redis: what is read and written, and what is said when it is killed, slow or full."""

import asyncio
import time
from contextlib import suppress

import pytest
from support.certificates import Authority
from support.ports import free_port
from support.redis import RedisServer
from support.waiting import eventually

from croupier.errors import FailedPrecondition, Unavailable
from croupier.stores.features import StoreDown, StoreFull, open_store
from croupier.stores.refused import StoreRefused

KEY = b"croupier/f/acme/profile/u1"


@pytest.fixture
async def server(tmp_path):
    async with RedisServer(tmp_path) as server:
        yield server


@pytest.fixture
async def store(server):
    store = open_store(f"{server.url}?timeout=10")
    yield store
    await store.close()


async def scanned(store, prefix):
    return {key async for key in store.scan(prefix)}


async def test_what_was_written_is_read(store):
    odd = KEY + bytes(range(256))
    await store.put_many([(KEY, b"blob"), (odd, b"\r\n$3\r\n")], None)
    assert await store.get_many([KEY, b"missing", odd]) == [b"blob", None, b"\r\n$3\r\n"]
    assert await store.get_many([]) == ()
    assert await store.types([KEY, b"missing"]) == ["string", "none"]
    assert await store.delete_many([KEY, b"missing"]) == 1
    assert await store.delete_many([]) == 0
    assert await store.get_many([KEY]) == [None]


async def test_a_write_of_many_keys_is_read_in_their_order(store):
    items = [(b"%d" % number, b"value %d" % number) for number in range(2500)]
    await store.put_many(items, None)
    assert await store.get_many([key for key, _ in items]) == [value for _, value in items]


async def test_every_write_keeps_its_keys_for_as_long_again(store, server):
    await store.put_many([(KEY, b"blob")], 1000.0)
    assert await server.cli("ttl", KEY.decode()) == "1000"
    await server.cli("expire", KEY.decode(), "5")
    await store.put_many([(KEY, b"blob")], 1000.0)
    assert await server.cli("ttl", KEY.decode()) == "1000"
    await store.put_many([(KEY, b"blob")], None)
    assert await server.cli("ttl", KEY.decode()) == "-1"
    await store.put_many([(KEY, b"blob")], 0.001)
    await eventually(lambda: is_gone(store), "the key is forgotten")


async def is_gone(store):
    return await store.get_many([KEY]) == [None]


async def test_what_changed_meanwhile_is_left_alone(store, server):
    await store.put_many([(b"odd\r\n", b"old\r\n"), (KEY, b"old"), (b"gone", b"old")], 1000.0)
    await store.put_many([(KEY, b"new")], None)
    changes = [(b"odd\r\n", b"old\r\n", b"less"), (KEY, b"old", b"less"), (b"gone", b"old", None)]
    assert await store.change_many([*changes, (b"x", b"", b"y")]) == 2
    assert await store.get_many([b"odd\r\n", KEY, b"gone", b"x"]) == [b"less", b"new", None, None]
    assert await server.cli("ttl", "odd\r\n") == "1000"


async def test_a_scan_takes_its_prefix_literally(store):
    keys = {b"a[b]*?\\/%d" % number for number in range(1500)}
    await store.put_many([(key, b"") for key in keys], None)
    await store.put_many([(b"ab/1", b""), (b"a[b]xx\\/1", b"")], None)
    assert await scanned(store, b"a[b]*?\\/") == keys
    assert await scanned(store, b"none") == set()


async def test_a_key_of_another_type_reads_as_missing_and_is_told(store, server):
    await server.cli("lpush", KEY.decode(), "one")
    assert await store.get_many([KEY]) == [None]
    assert await store.types([KEY]) == ["list"]
    await store.put_many([(KEY, b"blob")], None)
    assert await store.get_many([KEY]) == [b"blob"]


async def test_a_cancelled_command_leaves_its_connection_to_nobody(store, server):
    """Each answer is the one that was asked for, whenever the ones before were cancelled."""
    await store.put_many([(b"%d" % number, b"value %d" % number) for number in range(100)], None)
    for number in range(60):
        if number % 3 == 0:
            server.sigstop()
        cancelled = asyncio.create_task(store.get_many([b"%d" % number]))
        for _ in range(number % 7):
            await asyncio.sleep(0)
        cancelled.cancel()
        with suppress(asyncio.CancelledError):
            await cancelled
        if number % 3 == 0:
            server.sigcont()
        others = await asyncio.gather(*(store.get_many([b"%d" % other]) for other in range(90, 96)))
        assert others == [[b"value %d" % other] for other in range(90, 96)]


async def test_a_command_that_is_under_way_closes_its_connection_when_cancelled(store, server):
    await store.put_many([(KEY, b"blob")], None)
    (kept,) = store._idle
    server.sigstop()
    asked = asyncio.create_task(store.get_many([KEY]))
    await eventually(lambda: not store._idle, "it is sent")
    await asyncio.sleep(0)
    asked.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asked
    server.sigcont()
    assert not kept.is_connected
    assert kept not in store._idle
    assert await store.get_many([KEY]) == [b"blob"]
    assert store._idle
    assert kept not in store._idle


async def test_connections_are_bounded_and_wait_for_one_another(server):
    store = open_store(f"{server.url}?connections=2&timeout=10")
    await store.put_many([(KEY, b"blob")], None)
    assert await asyncio.gather(*(store.get_many([KEY]) for _ in range(50))) == [[b"blob"]] * 50
    assert len(store._idle) <= 2
    await store.close()


async def test_a_refused_write_leaves_no_reply_behind(store, server):
    await server.cli("config", "set", "maxmemory", "1mb")
    items = [(b"%d" % number, bytes(10_000)) for number in range(500)]
    with pytest.raises(StoreFull, match="out of memory") as caught:
        await store.put_many(items, None)
    assert isinstance(caught.value, FailedPrecondition)
    await server.cli("config", "set", "maxmemory", "0")
    await store.put_many(items, 100.0)
    assert await store.get_many([b"499", b"none"]) == [bytes(10_000), None]
    assert len(store._idle) == 1


async def test_a_server_that_was_started_again_is_asked_again(store, server):
    await asyncio.gather(*(store.put_many([(KEY, b"blob")], None) for _ in range(5)))
    assert len(store._idle) > 1
    await server.restart()
    assert await store.get_many([KEY]) == [None]
    assert len(store._idle) == 1
    await store.put_many([(KEY, b"other")], None)
    assert await store.get_many([KEY]) == [b"other"]


async def test_a_killed_server_is_down_and_back_when_it_is(store, server):
    await store.put_many([(KEY, b"blob")], None)
    await server.kill()
    for _ in range(20):
        with pytest.raises(StoreDown, match=f"127.0.0.1:{server.port}") as caught:
            await store.get_many([KEY])
    assert isinstance(caught.value, Unavailable)
    with pytest.raises(StoreDown):
        await store.put_many([(KEY, b"blob")], None)
    with pytest.raises(StoreDown):
        await scanned(store, b"")
    await server.start()
    assert await store.get_many([KEY]) == [None]


async def test_a_server_that_stands_still_is_down_within_the_timeout(server):
    store = open_store(f"{server.url}?timeout=0.2&connections=1")
    await store.put_many([(KEY, b"blob")], None)
    server.sigstop()
    begun = time.monotonic()
    results = await asyncio.gather(*(store.get_many([KEY]) for _ in range(5)), return_exceptions=True)
    assert time.monotonic() - begun < 5.0
    assert [type(result) for result in results] == [StoreDown] * 5
    assert "within 0.2 s" in str(results[0])
    server.sigcont()
    assert await eventually(lambda: answered(store), "it answers again") == [b"blob"]
    await store.close()


async def answered(store):
    try:
        return await store.get_many([KEY])
    except StoreDown:
        return None


async def test_nobody_there_is_down():
    with pytest.raises(StoreDown):
        await open_store(f"redis://127.0.0.1:{free_port()}").get_many([KEY])


async def test_what_the_acl_denies_is_the_operators(server):
    await server.cli(
        *("acl", "setuser", "reader", "on", ">s:e/c@ret", "resetkeys", "~croupier/*", "-@all", "+mget")
    )
    login = "s%3Ae%2Fc%40ret"
    store = open_store(f"redis://reader:{login}@127.0.0.1:{server.port}")
    assert await store.get_many([KEY]) == [None]
    (kept,) = store._idle
    for refused in (store.put_many([(KEY, b"")], None), store.get_many([b"other"]), scanned(store, b"")):
        with pytest.raises(StoreRefused, match="denies access to reader") as caught:
            await refused
        assert not isinstance(caught.value, Unavailable)
    assert await store.get_many([KEY]) == [None]
    assert store._idle == [kept]
    await store.close()


async def test_no_error_and_no_name_tells_the_password(server, tmp_path):
    await server.cli("acl", "setuser", "default", "resetpass", ">right")
    url = f"redis://default:wr0ngpass@127.0.0.1:{server.port}"
    for wrong in (url, server.url):
        with pytest.raises(StoreRefused, match="denies access") as caught:
            await open_store(wrong).get_many([KEY])
        assert "wr0ngpass" not in f"{caught.value!r} {caught.value.__cause__!r} {caught.value}"
    (tmp_path / "password").write_text("right\n")
    store = open_store(f"{server.url}?password_file={tmp_path}/password")
    assert await store.get_many([KEY]) == [None]
    assert "right" not in f"{store!r} {store._place!r} {store._place}"
    await store.close()


async def test_a_replica_is_down_for_writers(store, server):
    await store.put_many([(KEY, b"blob")], None)
    await server.cli("replicaof", "127.0.0.1", "1")
    with pytest.raises(StoreDown, match="replica"):
        await store.put_many([(KEY, b"blob")], None)
    assert store._idle == []


async def test_over_tls_both_sides_are_known(tmp_path):
    authority, other = Authority(tmp_path), Authority(tmp_path, "other")
    ours, theirs = authority.issue("redis"), authority.issue("router")
    flags = ["--tls-cert-file", str(ours.certificate), "--tls-key-file", str(ours.key)]
    flags += ["--tls-ca-cert-file", str(authority.certificate)]
    async with RedisServer(tmp_path / "redis", tls_flags=flags) as server:
        place = f"rediss://127.0.0.1:{server.port}?timeout=10&ca="
        shown = f"&certificate={theirs.certificate}&key={theirs.key}"
        store = open_store(f"{place}{authority.certificate}{shown}")
        await store.put_many([(KEY, b"blob")], None)
        assert await store.get_many([KEY]) == [b"blob"]
        await store.close()
        with pytest.raises(StoreRefused, match="TLS"):
            await open_store(f"{place}{other.certificate}{shown}").get_many([KEY])
        with pytest.raises((StoreRefused, StoreDown)):
            await open_store(f"{place}{authority.certificate}").get_many([KEY])
        with pytest.raises(StoreDown):
            await open_store(f"redis://127.0.0.1:{server.port}").get_many([KEY])


async def test_sentinel_says_where_the_master_is(server, tmp_path):
    settings = tmp_path / "sentinel.conf"
    settings.write_text(f"sentinel monitor features 127.0.0.1 {server.port} 1\n")
    async with RedisServer(tmp_path / "sentinel", leading=[str(settings), "--sentinel"]) as sentinel:
        store = open_store(f"redis+sentinel://127.0.0.1:{sentinel.port}/features?timeout=10")
        await store.put_many([(KEY, b"blob")], None)
        assert await store.get_many([KEY]) == [b"blob"]
        assert await server.cli("get", KEY.decode()) == "blob"
        await store.close()
        other = open_store(f"redis+sentinel://127.0.0.1:{sentinel.port}/other")
        with pytest.raises(StoreDown):
            await other.get_many([KEY])
        await other.close()
