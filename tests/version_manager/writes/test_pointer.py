"""What a change takes for active: etcd's word where that is one, else what is served."""

from types import SimpleNamespace

import pytest
from support.records import KEYS, generation

from croupier.stores.etcd import KeyValue
from version_manager.map.records import Active, encode
from version_manager.writes.pointer import Pointer, Pointers, StaleGeneration, ramp_running

SERVED = Active(2, 1)


class Etcd:
    def __init__(self, **content: bytes) -> None:
        self.content = content

    async def get(self, key: str) -> KeyValue | None:
        value = self.content.get(key.rpartition("/")[2])
        return None if value is None else KeyValue(key, value, 9, 9, 0)


class Writer:
    async def refusal(self, key, revision, stale):
        return stale


def pointers(etcd: Etcd, *bad: str, pointer: Active | None = SERVED) -> Pointers:
    served = SimpleNamespace(archive={1: None, 2: None}, pointer=pointer)
    mirror = SimpleNamespace(map=served, bad_keys=frozenset(bad))
    return Pointers(etcd, mirror, Writer(), KEYS)


async def test_it_is_what_etcd_says():
    ramp = Active(2, 1, 500, 60.0)
    assert await pointers(Etcd(active=encode(ramp))).at(2) == Pointer(ramp, 9)


@pytest.mark.parametrize("value", [b"?", encode(Active(3))])
async def test_where_it_is_garbage_or_points_nowhere_it_is_what_is_served(value):
    assert await pointers(Etcd(active=value)).at(2) == Pointer(SERVED, 9)


async def test_where_it_is_gone_it_is_what_is_served():
    assert await pointers(Etcd()).at(2) == Pointer(SERVED, 0)
    assert await pointers(Etcd(), pointer=None).at(0) == Pointer(None, 0)


async def test_a_generation_that_the_map_has_not_got_yet_is_there():
    content = {"active": encode(Active(3, 2)), "3": encode(generation(3))}
    assert (await pointers(Etcd(**content)).at(3)).active == 3
    # One whose content is passed over is not.
    assert (await pointers(Etcd(**content), KEYS.generation(3)).at(2)).active == 2


async def test_a_change_against_another_one_is_stale():
    with pytest.raises(StaleGeneration) as refused:
        await pointers(Etcd(active=encode(SERVED))).at(1)
    assert refused.value.metadata == {"current": "2"}


def test_a_ramp_that_runs_is_told_with_its_numbers():
    error = ramp_running(Active(2, 1, 250, 60.0), "wait")
    assert error.message == "generation 2 takes over from 1 and deals to 2.5 % of the tenants so far: wait"
