"""Features that services write: kept, for their own tenant, or said not to be."""

import math
from contextlib import asynccontextmanager

import pytest
from support.feature_stores import MemoryFeatures
from support.serving import calling, serving
from support.waiting import eventually
from support.worlds import world

from croupier.codes import Code
from croupier.stores.feature_blob import Schema, decode
from croupier.stores.feature_schemas import Schemas
from croupier.stores.features import StoreDown, StoreFull, features_key, open_store, schema_key
from croupier.stores.refused import StoreRefused
from croupier.transport.serving import Server
from croupier.transport.status import RpcError
from protos.features.v1 import features_pb2 as pb
from router.admission import Admission
from router.feature_ingest import FEATURES, MOST_RECORDS, FeatureIngest
from router.identity import HeaderIdentity

WRITE = f"/{FEATURES}/Write"
NOW_MS = 1_700_000_000_000


class Clock:
    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def store():
    return MemoryFeatures()


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def admission(clock):
    return Admission(100, 2, clock=clock, random=lambda: 0.0)


@pytest.fixture
async def channel(store, admission, clock):
    server = Server()
    ingest = FeatureIngest(store, HeaderIdentity(), admission, clock=clock, now_ms=lambda: NOW_MS)
    assert ingest.add_to(server) == "croupier.features.v1.FeatureService"
    async with serving(server) as address, calling(address) as channel:
        yield channel


def record(entity, group="g", event_ms=0, keep=0.0, **values):
    return pb.Record(
        group=group,
        entity_id=entity,
        event_ms=event_ms,
        keep_seconds=keep,
        values=[
            pb.Value(name=name, text=value) if isinstance(value, str) else pb.Value(name=name, number=value)
            for name, value in values.items()
        ],
    )


@asynccontextmanager
async def opened(channel, tenant="acme"):
    async with channel.stream(WRITE, timeout=20.0, metadata=[("croupier-tenant", tenant)]) as stream:
        yield stream


async def write(channel, *messages, tenant="acme"):
    """The answer to messages, each of so many records."""
    async with opened(channel, tenant) as stream:
        for records in messages:
            await stream.send(pb.WriteRequest(records=records).SerializeToString())
        stream.end()
        return pb.WriteResponse.FromString(await stream.receive_only())


async def stored(store, tenant, entity, group="g"):
    (found,) = await store.get_many([features_key(tenant, group, entity)])
    known = await Schemas(store, float).of_group(group)
    return decode(found, known[int.from_bytes(found[4:12], "little")])


async def test_records_of_several_messages_are_kept_and_counted(channel, store):
    answer = await write(
        channel,
        [record("1", age=41, city="Köln"), record("ü/2", city="Bonn", age=7, event_ms=123, keep=60.5)],
        [],
        [record("3", other=1.5)],
    )
    assert (answer.written, answer.rejected, list(answer.first_rejected)) == (3, 0, [])
    assert await stored(store, "acme", "1") == (NOW_MS, {"age": 41.0, "city": "Köln"})
    assert await stored(store, "acme", "ü/2") == (123, {"age": 7.0, "city": "Bonn"})
    assert await stored(store, "acme", "3") == (NOW_MS, {"other": 1.5})
    assert store.kept[features_key("acme", "g", "ü/2")] == 60.5
    assert store.kept[features_key("acme", "g", "1")] is None
    assert sum(key.startswith(b"croupier/s/") for key in store.held) == 2


async def test_a_tenant_writes_its_own_alone(channel, store):
    await write(channel, [record("1", age=1)], tenant="globex")
    assert [key for key in store.held if key.startswith(b"croupier/f/")] == [features_key("globex", "g", "1")]
    with pytest.raises(RpcError) as caught:
        await write(channel, [record("1", age=1)], tenant="a/b")
    assert caught.value.code == Code.INVALID_ARGUMENT


async def test_a_record_that_cannot_be_kept_is_named_and_the_others_are(channel, store):
    nothing = pb.Record(group="g", entity_id="1", values=[pb.Value(name="age")])
    twice = pb.Record(group="g", entity_id="1", values=[pb.Value(name="age", number=1)] * 2)
    wrong = [
        record("", age=1),
        record("x" * 513, age=1),
        record("1", group="a/b", age=1),
        record("1"),
        record("1", age=math.nan),
        record("1", age=1, keep=-1.0),
        record("1", age=1, keep=math.nan),
        record("1", age=1, keep=math.inf),
        record("1", age=1, event_ms=-5),
        record("1", age=1, event_ms=2**62),
        record("1", **{"a/b": 1}),
        nothing,
        twice,
    ]
    answer = await write(channel, [record("first", age=1)], [*wrong, record("last", age=2)])
    assert (answer.written, answer.rejected) == (2, len(wrong))
    assert [one.index for one in answer.first_rejected] == list(range(1, len(wrong) + 1))
    assert all(one.message and one.reason for one in answer.first_rejected)
    assert await stored(store, "acme", "last") == (NOW_MS, {"age": 2.0})
    assert sum(key.startswith(b"croupier/f/") for key in store.held) == 2


async def test_so_many_are_named_and_all_are_counted(channel):
    answer = await write(channel, [record("", age=1)] * 450)
    assert (answer.rejected, len(answer.first_rejected)) == (450, 100)


async def test_of_several_records_of_an_entity_the_last_stays(channel, store):
    answer = await write(channel, [record("1", age=1), record("1", age=2, keep=5.0), record("1", age=3)])
    assert answer.written == 3
    assert await stored(store, "acme", "1") == (NOW_MS, {"age": 3.0})


async def test_messages_are_bounded(channel, store):
    for messages in ([record("1", age=1)] * (MOST_RECORDS + 1), [record("1", text="x" * 2**20)]):
        with pytest.raises(RpcError) as caught:
            await write(channel, messages)
        assert caught.value.code in (Code.INVALID_ARGUMENT, Code.RESOURCE_EXHAUSTED)
    assert store.held == {}


async def test_what_is_no_message_is_the_callers_fault(channel):
    async with opened(channel) as stream:
        await stream.send(b"\xff\xff")
        with pytest.raises(RpcError) as caught:
            await stream.receive_only()
    assert caught.value.code == Code.INVALID_ARGUMENT


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (StoreDown("redis://secret-host is not there"), Code.UNAVAILABLE),
        (StoreFull("redis://secret-host is out of memory"), Code.FAILED_PRECONDITION),
        (StoreRefused("redis://secret-host denies access"), Code.FAILED_PRECONDITION),
    ],
)
async def test_a_store_that_takes_nothing_ends_the_call(channel, store, error, code):
    async def fails(items, keep_seconds):
        raise error

    put, store.put_many = store.put_many, fails
    with pytest.raises(RpcError) as caught:
        await write(channel, [record("1", age=1)])
    assert caught.value.code == code
    assert "secret-host" not in str(caught.value)
    store.put_many = put
    assert (await write(channel, [record("1", age=1)])).written == 1
    assert await stored(store, "acme", "1") == (NOW_MS, {"age": 1.0})


async def test_a_schema_is_put_once_and_again_if_it_is_gone(channel, store, clock):
    name = schema_key("g", Schema([("age", "number")]).fingerprint)
    await write(channel, [record("1", age=1)])
    await write(channel, [record("2", age=1)])
    assert store.reads == [[name]]
    del store.held[name]
    clock.now += 60.0
    await write(channel, [record("3", age=1)])
    assert name in store.held


async def test_a_schema_that_stands_there_is_never_replaced(channel, store):
    name = schema_key("g", Schema([("age", "number")]).fingerprint)
    store.held[name] = b"another one"
    answer = await write(channel, [record("1", age=1), record("2", other=1)])
    assert (answer.written, answer.rejected) == (1, 1)
    (told,) = answer.first_rejected
    assert (told.index, told.reason) == (0, "SCHEMA_TAKEN")
    assert store.held[name] == b"another one"
    assert features_key("acme", "g", "1") not in store.held


async def test_a_tenant_has_a_bounded_number_in_flight(channel, store, admission):
    store.gate.clear()
    async with opened(channel) as one, opened(channel) as two:
        for stream in (one, two):
            await stream.send(pb.WriteRequest(records=[record("1", age=1)]).SerializeToString())
            stream.end()
        await eventually(lambda: len(store.reads) == 2, "both wait for the store")
        assert admission.in_flight == 2
        with pytest.raises(RpcError) as caught:
            await write(channel, [record("1", age=1)])
        assert caught.value.code == Code.RESOURCE_EXHAUSTED
        assert (await write_when_open(channel, store)).written == 1
        for stream in (one, two):
            assert pb.WriteResponse.FromString(await stream.receive_only()).written == 1
    assert admission.in_flight == 0
    assert admission.streams("acme") == 0


async def write_when_open(channel, store):
    store.gate.set()
    return await write(channel, [record("1", age=1)], tenant="globex")


async def test_a_router_with_a_store_serves_it(tmp_path):
    url = f"lmdb:{tmp_path}/features"
    async with (
        world(cells=1, hand_size=1, features_store=url) as stage,
        calling(stage.router.address) as channel,
    ):
        assert (await write(channel, [record("1", age=1)])).written == 1
    store = open_store(url)
    event, values = await stored(store, "acme", "1")
    assert event > NOW_MS
    assert values == {"age": 1.0}
    await store.close()


async def test_a_router_without_a_store_has_no_such_method():
    async with world(cells=1, hand_size=1) as stage, calling(stage.router.address) as channel:
        with pytest.raises(RpcError) as caught:
            await write(channel, [record("1", age=1)])
        assert caught.value.code == Code.UNIMPLEMENTED
