"""A feature store that dies, hangs, fills up, forbids or is not what it should be.

A real Redis behind two routers, which are asked in turn. Of two families with the same features one is
answered with defaults while the store is down, and the other is not answered. Every answer says where its
features come from, and is compared with what the model gives on those.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from support.certificates import Authority
from support.feature_load import (
    ENTITIES,
    GROUP,
    HARD,
    SECOND,
    SOFT,
    TENANTS,
    Answer,
    Asking,
    entity,
    fresh_entity,
    source,
)
from support.harm import kind_of
from support.redis import RedisServer
from support.waiting import wait_until

from croupier.stores.features import features_key
from croupier_client import AsyncClient, Client, FeatureRecord, Item, PredictError
from croupierctl.stack import Stack

DOWN = "FEATURE_STORE_DOWN"
# Within a second, where these processes have processors to themselves.
_BACK = 5.0
# What was read before is known for so long.
_KNOWN = 2.0

_log = logging.getLogger(__name__)


def said(asking: Asking, begin: float, end: float, what: str) -> dict[str, float]:
    """What callers met in the time between: counts, and the 99th percentile in ms of either family."""
    figures: dict[str, float] = {}
    for model in (SOFT, HARD):
        found = asking.between(begin, end, model)
        figures |= {
            f"{model} asked": len(found),
            f"{model} degraded": sum(one.degraded for one in found),
            f"{model} refused": sum(one.error == DOWN for one in found),
            f"{model} whole": sum(not one.degraded and not one.error for one in found),
            f"{model} p99 ms": round(float(np.percentile([one.took for one in found], 99)) * 1e3, 1),
        }
    _log.warning("%s: %s", what, figures)
    return figures


def backs(asking: Asking, moment: float) -> float:
    """How long it took from then until either family was answered with stored values by either router."""
    took = {
        f"{model} by {number}": round(asking.back_after(moment, model, router), 3)
        for model in (SOFT, HARD)
        for number, router in enumerate(asking.routers)
    }
    _log.warning("seconds until it was as before: %s", took)
    return max(took.values())


def all_lack(answers: list[Answer]) -> bool:
    """Whether each was marked, or refused where its family wants that."""
    return all(one.degraded if one.model == SOFT else one.error == DOWN for one in answers)


@contextmanager
def lacking(asking: Asking, what: str) -> Iterator[None]:
    """In the block the store is of no use; it is of use again as it ends."""
    began = time.monotonic()
    yield
    ended = time.monotonic()
    # What was read just before is good for a while.
    assert all_lack(asking.between(began + _KNOWN, ended))
    said(asking, began, ended, what)
    asking.await_answers(200)
    assert backs(asking, ended) <= _BACK


def log_of(stack: Stack, name: str = "router") -> str:
    return stack.process(name).log.read_text(errors="replace")


def stored(client: Client, model: str, number: int) -> str:
    """Where the feature `y` of an entity came from, or the reason of the error."""
    try:
        return source(client.predict(model, {"x": 1.0}, entity_id=entity(number), explain=True), "y")
    except PredictError as error:
        return error.reason


@pytest.mark.fault(
    "Redis is killed, and comes back",
    "a family that degrades: no error, all marked; one that fails: UNAVAILABLE at once",
)
def test_redis_is_killed(asking, redis: RedisServer, pytestconfig: pytest.Config) -> None:
    seconds = pytestconfig.getoption("--redis-seconds")
    with asking() as asked:
        asyncio.run(redis.kill())
        with lacking(asked, f"Redis is dead for {seconds:g} s"):
            time.sleep(seconds)
            asyncio.run(redis.start())
    asked.check(errors=[DOWN])


@pytest.mark.fault(
    "Redis hangs for three seconds (SIGSTOP)",
    "a family that degrades: no error, all marked; one that fails: UNAVAILABLE",
)
def test_redis_hangs(asking, redis: RedisServer) -> None:
    with asking() as asked:
        redis.sigstop()
        with lacking(asked, "Redis hangs"):
            time.sleep(3.0)
            redis.sigcont()
    asked.check(errors=[DOWN])


@pytest.mark.fault(
    "Redis is out of memory", "no error: it is read as before; who writes is told that it is full"
)
def test_redis_is_full(featured: Stack, asking, redis: RedisServer) -> None:
    record = FeatureRecord(GROUP, "somebody", {"y": 1.0, "z": 2.0})
    with asking() as asked, Client(featured.router, tenant=TENANTS[0], retries=0) as client:
        asyncio.run(redis.cli("config", "set", "maxmemory", "1mb"))
        try:
            with pytest.raises(PredictError) as caught:
                client.write_features([record])
            asked.await_answers(400)
        finally:
            asyncio.run(redis.cli("config", "set", "maxmemory", "0"))
        assert client.write_features([record]).written == 1
    assert (kind_of(caught.value), caught.value.reason) == ("FailedPrecondition", "FEATURE_STORE_FULL")
    assert not any(one.degraded for one in asked.answers)
    asked.check()


@pytest.mark.fault(
    "Under a key is a list, and under another bytes that are no features", "no error: they are missing"
)
def test_what_is_stored_is_of_another_kind(featured: Stack, asking, redis: RedisServer) -> None:
    numbers = ENTITIES + 2, ENTITIES + 3
    listed, junk = (features_key(TENANTS[0], GROUP, entity(number)).decode() for number in numbers)
    with asking() as asked:
        asyncio.run(redis.cli("rpush", listed, "1"))
        asyncio.run(redis.cli("set", junk, "no features at all, but bytes"))
        with Client(featured.router, tenant=TENANTS[0]) as client:
            for model in (SOFT, HARD):
                assert {stored(client, model, number) for number in numbers} == {"default missing"}
    assert "features that cannot be read are taken as missing" in log_of(featured)
    asked.check()


@pytest.mark.fault(
    "Redis denies the routers their command (ACL)",
    "as if it were dead; each router's log says why",
)
def test_redis_denies_access(featured: Stack, asking, redis: RedisServer) -> None:
    with asking() as asked:
        asyncio.run(redis.cli("acl", "setuser", "default", "-mget"))
        with lacking(asked, "Redis denies access"):
            time.sleep(_KNOWN + 1.0)
            asyncio.run(redis.cli("acl", "setuser", "default", "+mget"))
    for name in ("router", SECOND):
        assert "denies access to the default user" in log_of(featured, name)
    asked.check(errors=[DOWN])


@pytest.mark.fault(
    "Redis shows a certificate of another authority",
    "as if it were dead; the router's log says why",
)
def test_redis_has_a_wrong_certificate(featured: Stack, tmp_path: Path) -> None:
    ours = Authority(tmp_path, "ours")
    pair = Authority(tmp_path, "theirs").issue("redis")
    flags = ["--tls-cert-file", str(pair.certificate), "--tls-key-file", str(pair.key)]
    server = RedisServer(
        tmp_path / "redis",
        tls_flags=[*flags, "--tls-ca-cert-file", str(ours.certificate), "--tls-auth-clients", "no"],
    )
    url = f"rediss://127.0.0.1:{server.port}?ca={ours.certificate}"
    asyncio.run(server.__aenter__())
    usual, featured.features_store = featured.features_store, url
    router = featured.start_router("router-of-tls", tmp_path / "snapshot")
    featured.features_store = usual
    try:
        with Client(router.address, tenant=TENANTS[0], retries=0) as client:
            wait_until(lambda: stored(client, SOFT, 2) == "default down", "it is answered")
            assert stored(client, HARD, 2) == DOWN
        assert "do not agree on TLS" in router.log.read_text()
    finally:
        router.stop()
        del featured.processes["router-of-tls"]
        asyncio.run(server.kill())


@pytest.mark.fault(
    "Redis takes longer than callers have time",
    "a family that degrades: answers in time, marked; one that fails: UNAVAILABLE, and not too late",
)
def test_redis_is_slower_than_the_deadline(featured: Stack, redis: RedisServer) -> None:
    async def ask(client: AsyncClient, model: str) -> str:
        number = fresh_entity()
        try:
            answer = await client.predict(
                model, {"x": 1.0}, entity_id=entity(number), explain=True, timeout=1.0
            )
        except PredictError as error:
            return error.reason or kind_of(error)
        assert answer.degraded
        return source(answer, "y")

    async def run() -> tuple[set[str], set[str]]:
        async with AsyncClient(featured.router, tenant=TENANTS[0], retries=0) as client:
            await redis.cli("client", "pause", "3000", "all")
            soft = [await ask(client, SOFT) for _ in range(5)]
            return set(soft), {await ask(client, HARD) for _ in range(5)}

    assert asyncio.run(run()) == ({"default down"}, {DOWN})
    with Client(featured.router, tenant=TENANTS[0]) as client:
        wait_until(lambda: stored(client, HARD, fresh_entity()) == "store", "it is read again")


@pytest.mark.fault(
    "Callers hang up while their features are read", "no error for others; nobody's features are another's"
)
def test_callers_hang_up_while_redis_is_read(featured: Stack, asking, redis: RedisServer) -> None:
    async def run() -> None:
        async with AsyncClient(featured.router, tenant=TENANTS[0], retries=0) as client:
            for _ in range(10):
                await redis.cli("client", "pause", "60", "all")
                calls = [
                    asyncio.create_task(client.predict(HARD, {"x": 1.0}, entity_id=entity(fresh_entity())))
                    for _ in range(50)
                ]
                await asyncio.sleep(0.02)
                for call in calls:
                    call.cancel()
                await asyncio.gather(*calls, return_exceptions=True)

    with asking() as asked:
        asyncio.run(run())
    # While it is paused it may well be too slow.
    asked.check(errors=[DOWN])
    assert (
        int(asyncio.run(redis.cli("info", "clients")).split("connected_clients:")[1].split()[0]) <= 2 * 8 + 2
    )
    with Client(featured.router, tenant=TENANTS[0]) as client:
        wait_until(lambda: stored(client, HARD, fresh_entity()) == "store", "it is read as before")


def gets(redis: RedisServer) -> int:
    for line in asyncio.run(redis.cli("info", "commandstats")).splitlines():
        if line.startswith("cmdstat_mget:calls="):
            return int(line.split("=")[1].split(",")[0])
    return 0


@pytest.mark.fault("10,000 requests at once are about one entity", "no error; Redis is asked a few times")
def test_a_stampede_for_one_entity(featured: Stack, redis: RedisServer) -> None:
    number = fresh_entity()

    async def run() -> list[str]:
        async with AsyncClient(featured.router, tenant=TENANTS[0]) as client:
            items = [Item(SOFT, {"x": 1.0}, entity_id=entity(number), explain=True)] * 500
            answers = await asyncio.gather(*(client.predict_many(items, timeout=30.0) for _ in range(20)))
            return [source(one, "y") for answer in answers for one in answer]

    before, began = gets(redis), time.monotonic()
    assert asyncio.run(run()) == ["store"] * 10_000
    # What was read is known for two seconds, of which a row that is made of it has one.
    assert gets(redis) - before <= 1 + (time.monotonic() - began)
