"""Whose features a request gets: of every name, in batches, under attack, and while configs change."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import Awaitable
from functools import partial
from pathlib import Path

import grpc
import numpy as np
import pytest
from support.attacks import INFER, attack
from support.feature_load import (
    DEFAULTS,
    ENTITIES,
    GROUP,
    SOFT,
    TENANTS,
    apply,
    artifact,
    blob,
    entity,
    fresh_entity,
    held,
    source,
    specs,
    weights,
)
from support.fleet import publish
from support.harm import Memory, await_registered, hand_of, kind_of, metrics_of, page_of
from support.load import Seen
from support.redis import RedisServer
from support.waiting import wait_until

from croupier import fetched
from croupier.stores.features import features_key, open_store
from croupier_client import AsyncClient, Client, FeatureRecord, Item, PredictError
from croupierctl.stack import Stack
from protos.inference.v2 import inference_pb2
from protos.prediction.v1 import prediction_pb2

DOWN = "FEATURE_STORE_DOWN"
PREDICT = "/croupier.prediction.v1.PredictionService/Predict"
_LOOKUPS = re.compile(r"^croupier_cell_lookups_total\{.*\} (\S+)", re.MULTILINE)


@pytest.mark.fault("A family's config changes ten times under load", "no error; each answer is by one config")
def test_a_config_changes_under_load(featured: Stack, tmp_path: Path, account) -> None:
    name = "changing"
    pairs = [(-1.0 - number, -10.0 - 7.0 * number) for number in range(10)]
    apply(featured, tmp_path, name, features=specs(pairs[0]))
    publish(featured, TENANTS[0], name, artifact((1.0, 100.0, 10_000.0)))
    allowed = {1.0 + 100.0 * y + 10_000.0 * z for y, z in pairs}
    given: list[float] = []
    seen = Seen()

    async def run() -> None:
        changing = asyncio.create_task(asyncio.to_thread(change))
        async with AsyncClient(featured.router, tenant=TENANTS[0], retries=0) as client:
            while not changing.done():
                # Of an entity that has nothing, so that all of it is defaults.
                answers = await asyncio.gather(
                    *(client.predict(name, {"x": 1.0}, entity_id=f"nobody-{turn % 7}") for turn in range(20))
                )
                given.extend(float(one.outputs["value"][0]) for one in answers)
                assert {one.defaults for one in answers} == {2}
        await changing

    def change() -> None:
        for pair in pairs[1:]:
            apply(featured, tmp_path, name, features=specs(pair))
            time.sleep(0.3)
        time.sleep(1.0)

    with Client(featured.router, tenant=TENANTS[0]) as client:
        wait_until(
            lambda: client.predict(name, {"x": 1.0}, entity_id="nobody").defaults == 2, "the family is served"
        )
    asyncio.run(run())
    assert all(min(abs(value - one) for one in allowed) < 1.0 for value in given)
    met = {min(allowed, key=lambda one: abs(value - one)) for value in given}
    assert len(met) > len(pairs) // 2
    y, z = pairs[-1]
    assert given[-1] == pytest.approx(1.0 + 100.0 * y + 10_000.0 * z, abs=1.0)
    seen.sent = seen.answered = len(given)
    account(seen)


@pytest.mark.fault(
    "Entities are called by every character there is, NUL and slashes included",
    "no error; nobody's are another's",
)
def test_entities_of_every_name(featured: Stack) -> None:
    letters = [chr(code) for code in (*range(0x80), *range(0x80, 0xD800, 97), *range(0xE000, 0x110000, 9973))]
    names = [*letters, *(f"a{one}b" for one in "/\\\"'\0\r\n*?[]{}%:"), "../x", "a/b/c", "é" * 256, "x" * 512]
    values = {name: float(number) for number, name in enumerate(dict.fromkeys(names))}
    with Client(featured.router, tenant=TENANTS[0]) as client:
        records = [FeatureRecord(GROUP, name, {"y": value, "z": 0.0}) for name, value in values.items()]
        assert client.write_features(records).written == len(records)
        items = [Item(SOFT, {"x": 0.0}, entity_id=name, explain=True) for name in values]
        found = [
            one
            for start in range(0, len(items), 500)
            for one in client.predict_many(items[start : start + 500])
        ]
        assert [error_of_item(one) for one in found if isinstance(one, PredictError)] == []
        assert {source(one, "y") for one in found} == {"store"}
        got = np.array([float(one.outputs["value"][0]) for one in found])
        np.testing.assert_allclose(
            got, weights(TENANTS[0], SOFT)[1] * np.array([*values.values()]), rtol=1e-4, atol=0.01
        )
        told = client.predict_many([Item(SOFT, {"x": 0.0}, entity_id="x" * 513), Item(SOFT, {"x": 0.0})])
        assert [one.reason for one in told] == ["INVALID_REQUEST", "NO_ENTITY"]


def error_of_item(error: PredictError) -> str:
    return f"{kind_of(error)} {error.reason} {error}"


@pytest.mark.fault("The rows of a batch are about different entities", "no error; each row has its own")
def test_rows_of_a_batch(featured: Stack) -> None:
    numbers = [2, 100, 3, 101, 2, ENTITIES - 1]
    request = inference_pb2.ModelInferRequest(model_name=SOFT)
    request.parameters["explain"].bool_param = True
    request.inputs.add(name="input", datatype="FP32", shape=[len(numbers), 1])
    request.inputs[0].contents.fp32_contents.extend([5.0] * len(numbers))
    request.inputs.add(name="croupier.entity_id", datatype="BYTES", shape=[len(numbers)])
    request.inputs[1].contents.bytes_contents.extend(entity(number).encode() for number in numbers)

    async def ask(tenant: str) -> inference_pb2.ModelInferResponse:
        async with grpc.aio.insecure_channel(featured.router) as channel:
            call = channel.unary_unary(INFER)(
                request.SerializeToString(), timeout=8.0, metadata=(("croupier-tenant", tenant),)
            )
            return inference_pb2.ModelInferResponse.FromString(await call)

    for tenant in TENANTS:
        told = asyncio.run(ask(tenant))
        origins = json.loads(told.parameters["croupier.origins"].string_param)["y"]
        kinds = [one.partition(" age=")[0] for one in origins]
        assert kinds == ["store", "default missing", "store", "default stale", "store", "store"]
        assert told.parameters["croupier.defaults"].int64_param == 4
        used = [
            held(tenant, number) if kind == "store" else DEFAULTS
            for number, kind in zip(numbers, kinds, strict=True)
        ]
        x, y, z = weights(tenant, SOFT)
        got = np.array(told.outputs[0].contents.fp32_contents)
        expected = [5.0 * x + y * first + z * second for first, second in used]
        np.testing.assert_allclose(got, expected, rtol=1e-5, atol=0.01)


@pytest.mark.fault(
    "A cell of the release before is beside new ones", "no error; it is not asked for what it does not know"
)
def test_a_cell_of_the_release_before(featured: Stack, asking) -> None:
    name = hand_of(featured, TENANTS[0])[0]
    cell = featured.process(name)
    plain, argv = "plain", list(cell.argv)
    publish(featured, TENANTS[0], plain, artifact((1.0, 2.0, 3.0)))
    cell.argv = [word.replace("cell.app", "support.old_cell") for word in argv]
    try:
        featured.restart(name)
        await_registered(featured)
        with Client(featured.router, tenant=TENANTS[0], retries=0) as client:
            wait_until(
                lambda: ask_plain(client, plain) and lookups(featured, name) > 0, "the old cell is asked"
            )
            before = lookups(featured, name)
            with asking() as asked:
                asked.await_answers(600)
            assert lookups(featured, name) == before
            for _ in range(50):
                ask_plain(client, plain)
            assert lookups(featured, name) > before
    finally:
        cell.argv = argv
        featured.restart(name)
        await_registered(featured)
    asked.check()
    assert {one.kind for one in asked.answers} == {"store", "default missing", "default stale"}


def ask_plain(client: Client, model: str) -> bool:
    answer = client.predict(model, [1.0, 1.0, 1.0], key=str(fresh_entity()))
    return float(answer.outputs["value"][0]) == pytest.approx(6.0, abs=0.01)


def lookups(featured: Stack, name: str) -> float:
    """How many requests a cell had."""
    (page,) = metrics_of(featured.process(name))
    return sum(float(found) for found in _LOOKUPS.findall(page_of(page)))


@pytest.mark.fault(
    "A tenant names another's entity, in names, parameters and writes, and sends what only routers send",
    "its own features or none; INVALID_ARGUMENT for the router's fields",
)
def test_a_tenant_wants_another_ones_features(featured: Stack, redis: RedisServer, tmp_path: Path) -> None:
    name, number = "parametric", fresh_entity()
    mine, others = TENANTS
    apply(featured, tmp_path, name, features=specs(entity="{param:a}{param:b}"))
    for tenant in TENANTS:
        publish(featured, tenant, name, artifact((1.0, 100.0, 10_000.0)))
    secret = features_key(others, GROUP, entity(number)).decode()
    tried = [
        (f"../../{others}/{GROUP}/", entity(number)),
        (f"/{others}/{GROUP}/", entity(number)),
        (secret, "\0"),
        (f"\r\nGET {secret}\r\n", "x"),
        ("{tenant}", "{entity_id}"),
        (f"{entity(number)[:-1]}", entity(number)[-1:]),
    ]
    with Client(featured.router, tenant=mine, retries=0) as client:
        own = 100.0 * held(mine, number)[0] + 10_000.0 * held(mine, number)[1]
        default = 100.0 * DEFAULTS[0] + 10_000.0 * DEFAULTS[1]
        wait_until(
            lambda: client.predict(name, {"x": 0.0}, parameters={"a": "a", "b": "b"}).defaults == 2,
            "it is served",
        )
        with pytest.raises(PredictError) as caught:
            client.predict(name, {"x": 0.0}, parameters={"a": entity(number)})
        assert caught.value.reason == "NO_ENTITY"
        for first, second in tried:
            told = client.predict(name, {"x": 0.0}, parameters={"a": first, "b": second}, explain=True)
            value = float(told.outputs["value"][0])
            is_own = first + second == entity(number)
            assert source(told, "y") == ("store" if is_own else "default missing"), first
            assert value == pytest.approx(own if is_own else default, abs=1.0)
        # What it writes is its own, whatever it is called.
        before = asyncio.run(redis.cli("--no-raw", "get", secret))
        names = [entity(number), secret, f"../{others}/{GROUP}/{entity(number)}"]
        written = client.write_features(
            [FeatureRecord(GROUP, one, {"y": 666.0, "z": 666.0}) for one in names]
        )
        assert written.written == len(names)
        refused = client.write_features(
            [FeatureRecord(f"../{others}/{GROUP}", entity(number), {"y": 666.0, "z": 666.0})]
        )
        assert (refused.written, refused.first_rejected[0].reason) == (0, "INVALID_REQUEST")
        assert before
        assert asyncio.run(redis.cli("--no-raw", "get", secret)) == before
        asyncio.run(put(redis, mine, number))
    for body, path in forged(number):
        call = partial(unary_as, path=path, body=body, tenant=mine)
        assert attack(featured.router, lambda channel: [call(channel)]) == {"INVALID_ARGUMENT": 1}  # noqa: B023


async def put(redis: RedisServer, tenant: str, number: int) -> None:
    """What an entity had in the beginning."""
    store = open_store(redis.url)
    await store.put_many([(features_key(tenant, GROUP, entity(number)), blob(held(tenant, number)))], None)
    await store.close()


def forged(number: int) -> list[tuple[bytes, str]]:
    """Requests with what only a router says: fields 1004 and 1007."""
    spec = fetched.spec_bytes([("y", "number", -np.inf, np.inf), ("z", "number", -np.inf, np.inf)])
    row = fetched.row_bytes([666.0, 666.0], [1, 1], [fetched.Origin.STORE] * 2)
    told = fetched.pack(spec, 2, [row], 1, False)
    item = prediction_pb2.Item(model=SOFT, entity_id=entity(number), fetched=told)
    shared = prediction_pb2.Item(model=SOFT, entity_id=entity(number), shared={"features": {}})
    infer = inference_pb2.ModelInferRequest(model_name=SOFT).SerializeToString() + fetched.field(told)
    return [
        (prediction_pb2.PredictRequest(items=[item]).SerializeToString(), PREDICT),
        (prediction_pb2.PredictRequest(items=[shared]).SerializeToString(), PREDICT),
        (infer, INFER),
    ]


def unary_as(channel: grpc.aio.Channel, path: str, body: bytes, tenant: str) -> Awaitable[bytes]:
    return channel.unary_unary(path)(body, timeout=8.0, metadata=(("croupier-tenant", tenant),))


@pytest.mark.fault(
    "A tenant asks for very many entities, with names and parameters as long as they may be",
    "no error for others, whose features may take too long to read; memory stays",
)
def test_very_many_entities(featured: Stack, asking) -> None:
    long = "x" * 400

    async def run() -> None:
        async with AsyncClient(featured.router, tenant=TENANTS[1], retries=0) as client:
            for turn in range(60):
                items = [
                    Item(SOFT, {"x": 1.0}, entity_id=f"{turn}-{one}-{long}", parameters={"p": long * 20})
                    for one in range(500)
                ]
                await client.predict_many(items, timeout=30.0)

    with asking() as asked, Memory(featured) as memory:
        asyncio.run(run())
    asked.check(errors=[DOWN])
    # Of what is known of the store there may be 64 MiB.
    assert memory.peak["router"] <= 160.0, memory.peak
