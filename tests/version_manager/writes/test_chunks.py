"""Chunks under a lease, and what has to hold for them to stay."""

from contextlib import asynccontextmanager
from types import SimpleNamespace

from support.records import KEYS, generation

from croupier.stores.etcd import Compare, KeyValue
from version_manager.map.chunks import CHUNK_BYTES, cut
from version_manager.map.keys import GenerationKey
from version_manager.map.records import decode, encode
from version_manager.map.schema import CURRENT
from version_manager.writes.chunks import Chunks

VALUE = b"x" * (2 * CHUNK_BYTES + 1)


class Etcd:
    """Also the map, the writer and the audit."""

    def __init__(self, **taken: int) -> None:
        self.mods = {KEYS.chunk(7, int(place)): revision for place, revision in taken.items()}
        self.map = SimpleNamespace(chunked={})
        self.leases = []
        self.pair = None

    @asynccontextmanager
    async def lease(self, seconds):
        self.leases.append("held")
        yield SimpleNamespace(id=5)
        self.leases.append("over")

    async def get(self, key):
        return self.pair

    async def commit(self, compares, ops, entry):
        ((compare,), (put,)) = compares, ops
        assert (compare, put.lease) == (Compare(put.key, 0), 5)
        if put.key in self.mods:
            return False
        self.mods[put.key] = 40 + len(self.mods)
        return True

    def mod_revision(self, key):
        return self.mods.get(key, 0)

    def entry(self, actor, what, target):
        return what, target


def chunks(etcd: Etcd) -> Chunks:
    return Chunks(etcd, etcd, etcd, KEYS, etcd)


async def test_they_stay_if_nobody_touched_them():
    etcd = Etcd()
    async with chunks(etcd).loose(7, VALUE) as loose:
        assert etcd.leases == ["held"]
        assert loose.compares == tuple(Compare(KEYS.chunk(7, place), 39 + place) for place in (1, 2, 3))
        assert [(put.key, put.keeps_value, put.lease) for put in loose.kept] == [
            (KEYS.chunk(7, place), True, 0) for place in (1, 2, 3)
        ]
        assert decode(GenerationKey(7), loose.head.value) == cut(VALUE).head
    assert etcd.leases == ["held", "over"]


async def test_who_finds_another_at_the_same_number_writes_no_further():
    etcd = Etcd(**{"2": 30})
    async with chunks(etcd).loose(7, VALUE) as loose:
        assert loose is None
    assert (sorted(etcd.mods), etcd.leases) == ([KEYS.chunk(7, 1), KEYS.chunk(7, 2)], ["held", "over"])


async def test_what_a_newer_release_wrote_is_carried_over():
    etcd, value = Etcd(), encode(generation(7))
    assert await chunks(etcd).carried_over(6, 7, value) == value
    newer = b'{"schema":%d,"later":1,' % (CURRENT + 1) + value.removeprefix(b"{")
    etcd.pair = KeyValue("", newer, 1, 1, 0)
    assert b'"later":1' in await chunks(etcd).carried_over(6, 7, value)
    etcd.pair, etcd.map.chunked = None, {6: cut(newer)}
    assert b'"later":1' in await chunks(etcd).carried_over(6, 7, value)
