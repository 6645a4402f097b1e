"""All keys of a group are read, and what is wrong with them is said in a word."""

import pytest
from support.feature_stores import MemoryFeatures

from croupier.stores.feature_blob import Schema, encode
from croupier.stores.feature_schemas import Schemas
from croupier.stores.features import features_key
from croupierctl.feature_scan import found_in

AGE = Schema([("age", "number")])
OTHER = Schema([("other", "number")])


class Odd(MemoryFeatures):
    """Some keys are of another type."""

    async def types(self, keys):
        return ["list" if key.endswith(b"odd") else "none" for key in keys]


@pytest.fixture
async def store():
    store = Odd()
    await Schemas(store, float).put("g", AGE)
    for number in range(2500):
        store.held[features_key(f"t{number % 2}", "g", str(number))] = encode(
            AGE, {"age": number}, number + 1
        )
    store.held[features_key("t0", "other", "1")] = b"x"
    return store


async def found(store, tenant=""):
    return [one async for one in found_in(store, Schemas(store, float), "g", tenant)]


async def test_every_key_of_the_group(store):
    everything = await found(store)
    assert sorted(one.values["age"] for one in everything) == list(range(2500))
    assert {one.problem for one in everything} == {""}
    assert {one.schema for one in everything} == {AGE}
    assert len(await found(store, "t1")) == 1250


async def test_what_is_wrong(store):
    store.held = {key: value for key, value in store.held.items() if key.startswith(b"croupier/s/")}
    store.held[features_key("t", "g", "bad")] = b"x" * 30
    store.held[features_key("t", "g", "unknown")] = encode(OTHER, {"other": 1.0}, 7)
    store.held[features_key("t", "g", "odd")] = None
    store.held[features_key("t", "g", "gone")] = None
    told = {one.key.rpartition(b"/")[2]: (one.problem, one.event_ms) for one in await found(store)}
    assert told == {b"bad": ("bad blob", 0), b"unknown": ("unknown schema", 7), b"odd": ("wrong type", 0)}
