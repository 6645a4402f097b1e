"""Schemas are read once, a missing one again after a while, and a damaged one is none."""

import pytest
from support.feature_stores import MemoryFeatures

from croupier.stores.feature_blob import Schema
from croupier.stores.feature_schemas import Schemas
from croupier.stores.features import StoreDown, schema_key

AGE = Schema([("age", "number")])
CITY = Schema([("city", "text")])


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def store():
    return MemoryFeatures()


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def schemas(store, clock):
    return Schemas(store, clock)


async def test_a_schema_is_read_once(store, schemas):
    await Schemas(store, float).put("g", AGE)
    assert schemas.known("g", AGE.fingerprint) is None
    assert schemas.is_to_be_read("g", AGE.fingerprint)
    await schemas.read([("g", AGE.fingerprint), ("g", AGE.fingerprint)])
    assert schemas.known("g", AGE.fingerprint) == AGE
    await schemas.read([("g", AGE.fingerprint)])
    assert store.reads == [[schema_key("g", AGE.fingerprint)]]


async def test_what_is_put_is_known_and_kept_without_an_end(store, schemas):
    await schemas.put("g", AGE)
    assert schemas.known("g", AGE.fingerprint) == AGE
    assert store.held == {schema_key("g", AGE.fingerprint): AGE.json}
    assert store.kept == {schema_key("g", AGE.fingerprint): None}
    assert store.reads == []


async def test_a_missing_schema_is_asked_for_again_after_a_while(store, schemas, clock):
    wanted = [("g", AGE.fingerprint), ("h", AGE.fingerprint)]
    await schemas.read(wanted)
    assert not schemas.is_to_be_read(*wanted[0])
    await Schemas(store, float).put("g", AGE)
    await schemas.read(wanted)
    assert len(store.reads) == 1
    clock.now += 5.0
    await schemas.read(wanted)
    assert schemas.known(*wanted[0]) == AGE
    assert schemas.known(*wanted[1]) is None


async def test_a_schema_of_another_fingerprint_is_none(store, schemas):
    store.held[schema_key("g", AGE.fingerprint)] = CITY.json
    store.held[schema_key("g", 1)] = b"damaged"
    await schemas.read([("g", AGE.fingerprint), ("g", 1)])
    assert schemas.known("g", AGE.fingerprint) is None
    assert schemas.known("g", 1) is None


async def test_a_read_that_fails_leaves_it_to_be_read(store, schemas):
    store.is_down = True
    with pytest.raises(StoreDown):
        await schemas.read([("g", AGE.fingerprint)])
    assert schemas.is_to_be_read("g", AGE.fingerprint)


async def test_all_of_a_group(store, schemas):
    await schemas.put("g", AGE)
    await schemas.put("other", CITY)
    store.held[schema_key("g", 7)] = b"damaged"
    store.held[b"croupier/s/g/short"] = CITY.json
    store.held[b"croupier/s/g/+00000000000000a"] = CITY.json
    assert await schemas.of_group("g") == {AGE.fingerprint: AGE, 7: None}
    assert await schemas.of_group("none") == {}
