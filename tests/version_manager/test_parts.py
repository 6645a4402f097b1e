"""The small parts that the API tests only pass through: audit, stored, writer, and the edge."""

import json
import random

import pytest
from support.records import KEYS, FakeEtcd, model_keys, version, whole

from croupier.errors import InternalError
from croupier.stores.etcd import Compare, KeyValue, Outcome, Put
from croupier.stores.etcd_errors import EtcdPermissionDenied, EtcdUnauthenticated
from version_manager.map.audit import Actor, Audit
from version_manager.map.records import Active, Spent, encode
from version_manager.map.schema import CURRENT, NewerRecord
from version_manager.map.stored import read_stored
from version_manager.server import _own_faults
from version_manager.writes.writer import NotUnderstood, TooManyWriters, Writer


def test_entries_of_one_moment_have_keys_of_their_own():
    audit = Audit(KEYS, lambda: 5, random.Random(1))
    entries = [audit.entry(Actor("", "peer"), "publish", "acme/churn/1", size=3) for _ in range(100)]
    assert len({entry.key for entry in entries}) == 100
    assert all(entry.key.startswith("croupier-audit/00000000000000000005-") for entry in entries)
    assert json.loads(entries[0].value) == {
        "at": "1970-01-01T00:00:00.000+00:00",
        "who": "",
        "peer": "peer",
        "what": "publish",
        "target": "acme/churn/1",
        "size": 3,
    }


def stored(content: dict[str, bytes]):
    return read_stored(KEYS, FakeEtcd(content).listed().items)


def test_a_model_is_read_with_its_revisions():
    found = stored(model_keys("acme", "churn"))
    assert (found.versions, found.release) == ({1: version()}, whole(1))
    keys = [KEYS.release("acme", "churn"), KEYS.version("acme", "churn", 2)]
    assert found.unchanged(keys) == [Compare(keys[0], 10), Compare(keys[1], 0)]
    assert found.next_number() == 2


def test_garbage_is_there_and_is_nothing():
    found = stored({KEYS.version("acme", "churn", 4): b"?", KEYS.release("acme", "churn"): b"?"})
    assert (found.versions, found.release, found.is_release_bad) == ({}, None, True)
    assert found.next_number() == 5
    assert len(found.revisions) == 2


def test_what_was_spent_counts_and_is_compared():
    fence = Compare(KEYS.spent("acme", "churn"), 3)
    pairs = FakeEtcd(model_keys("acme", "churn")).listed().items
    found = read_stored(KEYS, pairs, Spent(version=7, release=4), fence)
    assert (found.next_number(), found.highest) == (8, Spent(7, 4))
    assert found.unchanged([]) == [fence]


def test_a_number_that_the_release_names_is_not_given_again():
    assert stored({KEYS.release("acme", "churn"): encode(whole(7))}).next_number() == 8


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


@pytest.mark.parametrize("error", [EtcdUnauthenticated, EtcdPermissionDenied])
def test_that_etcd_refuses_the_manager_is_not_the_callers_fault(error):
    with pytest.raises(InternalError), _own_faults():
        raise error("no")
