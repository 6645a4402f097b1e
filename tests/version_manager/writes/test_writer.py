"""What a writer puts into one transaction, what it refuses, and when it gives up."""

import asyncio
import json

import pytest
from support.records import KEYS, FakeEtcd, cell, shard_keys

from croupier.stores.etcd import Compare, KeyValue, Outcome, Put
from version_manager.map.mirror import Mirror
from version_manager.map.records import Active, encode
from version_manager.map.schema import CURRENT, NewerRecord
from version_manager.writes.pointer import StaleGeneration
from version_manager.writes.writer import MapBehind, NotUnderstood, TooManyWriters, Writer

STALE = StaleGeneration("generation 3 is active, not 2")


def writer_of(mirror: Mirror, patience: float) -> Writer:
    return Writer(None, mirror, KEYS, lambda: 1, patience=patience)


async def test_a_change_against_an_older_record_is_stale():
    etcd, mirror = FakeEtcd(shard_keys(2, 1)), Mirror(None, KEYS)
    mirror.take(etcd.listed())
    assert await writer_of(mirror, 0).refusal(KEYS.active, 10, STALE) is STALE


async def test_nobody_changed_anything_where_the_map_lags_behind():
    etcd, mirror = FakeEtcd(shard_keys(2, 1)), Mirror(None, KEYS)
    mirror.take(etcd.listed())
    refused = await writer_of(mirror, 0.001).refusal(KEYS.active, 12, STALE)
    assert isinstance(refused, MapBehind)
    assert refused.message == "the map has not got as far as etcd: generation 3 is active, not 2"


async def test_a_map_that_catches_up_says_what_is_stale():
    etcd, mirror = FakeEtcd(shard_keys(2, 1)), Mirror(None, KEYS)
    mirror.take(etcd.listed())
    asking = asyncio.create_task(writer_of(mirror, 10).refusal(KEYS.active, 11, STALE))
    await asyncio.sleep(0)
    mirror.take(etcd.put(shard_keys(3, 2) | {KEYS.cell("cell-1"): encode(cell())}))
    assert await asking is STALE


class OneAnswer:
    def __init__(self, succeeded: bool) -> None:
        self.succeeded = succeeded
        self.asked = []

    async def get(self, key):
        return KeyValue(key, b"{}", 1, 1, 0)

    async def transact(self, compares, ops):
        self.asked.append((compares, ops))
        return Outcome(self.succeeded, 5)


class SlowMirror:
    def check_writable(self):
        pass

    async def reached(self, revision, timeout):
        assert (revision, timeout) == (5, 5.0)
        return False


def writer(etcd, understood: int = 1) -> Writer:
    return Writer(etcd, SlowMirror(), KEYS, lambda: understood)


@pytest.mark.parametrize("succeeded", [True, False])
async def test_the_entry_is_part_of_the_transaction(succeeded, caplog):
    etcd = OneAnswer(succeeded)
    compare, put, entry = Compare(KEYS.active, 1), Put(KEYS.active, b"{}"), Put("audit", b"2")
    assert await writer(etcd).commit([compare], [put], entry) is succeeded
    assert etcd.asked == [([compare], [put, entry])]
    # A write that the map does not show yet has happened nevertheless.
    assert ("not in the map yet" in caplog.text) is succeeded


NEXT = b'{"schema": %d, "active": 1, "planner": "greedy"}' % (CURRENT + 1)


class Holding(OneAnswer):
    """An etcd that has `value`, written at revision 1, under every key."""

    def __init__(self, value: bytes) -> None:
        super().__init__(succeeded=True)
        self.value = value

    async def get(self, key):
        return KeyValue(key, self.value, 1, 1, 0)


async def test_what_a_newer_release_wrote_stands_after_a_write():
    etcd = Holding(NEXT)
    put = Put(KEYS.active, encode(Active(2, 1)), 7)
    assert await writer(etcd).commit([Compare(KEYS.active, 1)], [put], Put("audit", b"2"))
    ((_, (written, _)),) = etcd.asked
    assert json.loads(written.value) == {
        "schema": CURRENT + 1,
        "active": 2,
        "previous": 1,
        "planner": "greedy",
    }
    assert (written.key, written.lease) == (KEYS.active, 7)


async def test_a_record_of_a_release_two_ahead_is_not_replaced():
    etcd = Holding(b'{"schema": %d, "active": 1}' % (CURRENT + 2))
    with pytest.raises(NewerRecord):
        await writer(etcd).commit(
            [Compare(KEYS.active, 1)], [Put(KEYS.active, encode(Active(2)))], Put("audit", b"2")
        )
    assert not etcd.asked


async def test_nothing_is_written_that_a_part_does_not_understand():
    etcd = OneAnswer(True)
    compares, ops, entry = [Compare(KEYS.active, 0)], [Put(KEYS.active, NEXT)], Put("audit", b"2")
    with pytest.raises(NotUnderstood, match=f"schema {CURRENT + 1}"):
        await writer(etcd, understood=CURRENT).commit(compares, ops, entry)
    assert not etcd.asked
    assert await writer(etcd, understood=CURRENT + 1).commit(compares, ops, entry)


async def test_attempts_end():
    attempts = []

    async def attempt() -> None:
        attempts.append(1)

    with pytest.raises(TooManyWriters):
        await writer(OneAnswer(True)).settle(attempt)
    assert len(attempts) == 5


async def test_what_is_known_is_not_read_again():
    etcd = Holding(b"?")
    etcd.get = None
    compares, put = [Compare(KEYS.active, 1)], Put(KEYS.active, encode(Active(2, 1)))
    assert await writer(etcd).commit(compares, [put], Put("audit", b"2"), known={KEYS.active: NEXT})
    ((_, (written, _)),) = etcd.asked
    assert json.loads(written.value)["planner"] == "greedy"
