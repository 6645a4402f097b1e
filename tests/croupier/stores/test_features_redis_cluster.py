"""Features in a Redis Cluster, of one node that has all slots: keys of one read are still of many slots."""

import asyncio

import pytest
from support.ports import free_port
from support.redis import RedisServer
from support.waiting import eventually

from croupier.stores.features import StoreDown, open_store

KEYS = [b"croupier/f/acme/profile/%d" % number for number in range(40)]


@pytest.fixture
async def server(tmp_path):
    async with RedisServer(
        tmp_path, flags=["--cluster-enabled", "yes", "--cluster-port", str(free_port())]
    ) as server:
        await server.cli("cluster", "addslotsrange", "0", "16383")
        await eventually(lambda: is_whole(server), "the cluster has all its slots")
        yield server


async def is_whole(server):
    return "cluster_state:ok" in await server.cli("cluster", "info")


@pytest.fixture
async def store(server):
    store = open_store(f"redis+cluster://127.0.0.1:{server.port}?timeout=10&connections=4")
    yield store
    await store.close()


async def test_a_cluster_holds_what_one_server_does(store, server):
    await store.put_many([(key, b"of " + key) for key in KEYS], 1000.0)
    assert await store.get_many([*KEYS, b"none"]) == [*(b"of " + key for key in KEYS), None]
    assert await server.cli("ttl", KEYS[0].decode()) == "1000"
    assert {key async for key in store.scan(b"croupier/f/acme/")} == set(KEYS)
    assert await store.types([KEYS[0], b"none"]) == ["string", "none"]
    assert await store.change_many([(KEYS[0], b"of " + KEYS[0], b"less"), (KEYS[1], b"", b"less")]) == 1
    assert await store.change_many([(KEYS[0], b"less", b"of " + KEYS[0])]) == 1
    assert await store.delete_many(KEYS[1:]) == len(KEYS) - 1
    assert await store.get_many(KEYS[:2]) == [b"of " + KEYS[0], None]
    assert (await store.get_many([]), await store.delete_many([])) == ((), 0)

    # More readers than connections wait for one.
    await store.put_many([(key, key) for key in KEYS], None)
    assert await asyncio.gather(*(store.get_many(KEYS) for _ in range(30))) == [KEYS] * 30


async def test_a_cancelled_read_leaves_its_replies_to_nobody_and_a_killed_cluster_is_down(store, server):
    await store.put_many([(key, b"of " + key) for key in KEYS], None)
    for number in range(12):
        server.sigstop()
        cancelled = asyncio.create_task(store.get_many(KEYS[:20]))
        for _ in range(number):
            await asyncio.sleep(0)
        cancelled.cancel()
        with pytest.raises(asyncio.CancelledError):
            await cancelled
        server.sigcont()
        assert await store.get_many(KEYS[20:]) == [b"of " + key for key in KEYS[20:]]

    # And killed, it is down.
    await server.kill()
    for _ in range(3):
        with pytest.raises(StoreDown):
            await store.get_many(KEYS)
    with pytest.raises(StoreDown):
        await store.put_many([(KEYS[0], b"")], None)
