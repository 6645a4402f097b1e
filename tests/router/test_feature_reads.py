"""Reads of the feature store, over one that is told when to answer."""

import asyncio

import pytest
from support.features import BLOB, SCHEMA, SCHEMA_KEY, STORED, Clock, Store, key

from croupier.stores.feature_blob import encode
from croupier.stores.features import StoreDown
from router.feature_plan import DOWN, Found
from router.feature_reads import WAITS, FeatureReads


class Waiter:
    def __init__(self) -> None:
        self.found: dict[bytes, Found] = {}

    def take(self, key: bytes, found: Found) -> None:
        assert key not in self.found
        self.found[key] = found


class Front:
    def __init__(self, timeout: float = 5.0, most_bytes: int = 2**20) -> None:
        self.clock, self.store = Clock(), Store()
        self.reads = FeatureReads(
            self.store, clock=self.clock, timeout=timeout, known_seconds=2.0, most_bytes=most_bytes
        )

    def want(self, *entities: str, waiter: Waiter | None = None) -> list[Found | object]:
        waiter = waiter or Waiter()
        return [self.reads.want(key(one), "person", waiter, self.clock.now) for one in entities]

    async def get(self, *entities: str) -> list[Found]:
        """What is found, waiting for it."""
        waiter = Waiter()
        known = dict(zip(entities, self.want(*entities, waiter=waiter), strict=True))
        await self.settle()
        return [waiter.found[key(one)] if found is WAITS else found for one, found in known.items()]

    async def settle(self) -> None:
        while self.reads._waiting and self.store.gate.is_set():
            await asyncio.sleep(0)

    @property
    def blobs_read(self) -> list[list[bytes]]:
        return [read for read in self.store.reads if SCHEMA_KEY not in read]


async def test_what_is_there_is_decoded_by_its_schema_and_known_for_a_while() -> None:
    front = Front()
    front.store.held[key("1")] = BLOB
    assert await front.get("1", "2") == [STORED, None]
    assert front.store.reads == [[key("1"), key("2")], [SCHEMA_KEY]]
    assert await front.get("1", "2") == [STORED, None]
    assert len(front.store.reads) == 2
    front.clock.now += 2.1
    front.store.held[key("2")] = BLOB
    assert await front.get("1", "2") == [STORED, STORED]
    assert front.blobs_read[1:] == [[key("1"), key("2")]]


async def test_the_requests_of_a_turn_are_one_read_and_of_one_key_there_is_one() -> None:
    front = Front()
    front.store.held[key("1")] = BLOB
    front.store.gate.clear()
    waiters = [Waiter() for _ in range(10_000)]
    for number, waiter in enumerate(waiters):
        assert front.want("1", waiter=waiter) == [WAITS]
        if number == 5000:
            await asyncio.sleep(0)
            await asyncio.sleep(0)
    front.store.gate.set()
    await front.settle()
    assert front.blobs_read == [[key("1")]]
    assert all(waiter.found == {key("1"): STORED} for waiter in waiters)


async def test_few_reads_are_under_way_and_what_comes_meanwhile_shares_the_next_one() -> None:
    front = Front()
    front.store.gate.clear()
    for number in range(20):
        front.want(str(number))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    assert front.store.most == 4
    front.store.gate.set()
    await front.settle()
    assert [len(read) for read in front.store.reads] == [1, 1, 1, 1, 16]


async def test_a_store_that_fails_is_left_alone_for_a_moment_and_then_asked_once() -> None:
    front = Front()
    front.store.error = StoreDown("gone")
    assert await front.get("1") == [DOWN]
    assert front.reads.why_down == "gone"
    # Nobody asks, so nobody knows.
    front.clock.now += 20.0
    assert front.reads.why_down == ""
    front.clock.now -= 20.0
    assert await front.get("1", "2") == [DOWN, DOWN]
    assert len(front.store.reads) == 1
    front.clock.now += 0.3
    assert await front.get("1", "2") == [DOWN, DOWN]
    assert front.store.reads[1:] == [[key("1")]]
    front.clock.now += 0.3
    front.store.error = None
    assert await front.get("1") == [None]
    assert front.reads.why_down == ""
    assert await front.get("2") == [None]


async def test_a_store_that_is_slow_is_one_that_fails() -> None:
    front = Front(timeout=0.01)
    front.store.gate.clear()
    waiter = Waiter()
    assert front.want("1", waiter=waiter) == [WAITS]
    while not waiter.found:
        await asyncio.sleep(0.001)
    assert waiter.found == {key("1"): DOWN}
    assert front.store.under_way == 0
    assert front.want("1") == [DOWN]


async def test_of_a_store_that_fails_those_behind_are_told_at_once() -> None:
    front = Front()
    front.store.gate.clear()
    front.store.error = StoreDown("gone")
    waiters = [Waiter() for _ in range(20)]
    for number, waiter in enumerate(waiters):
        front.want(str(number), waiter=waiter)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    front.store.gate.set()
    await front.settle()
    assert all(waiter.found == {key(str(number)): DOWN} for number, waiter in enumerate(waiters))
    assert len(front.store.reads) == 4


async def test_each_cause_of_a_failure_is_logged_once_and_its_end(caplog: pytest.LogCaptureFixture) -> None:
    front = Front()
    for why in ("gone", "gone", "denies access", None, None):
        front.store.error = None if why is None else StoreDown(why)
        await front.get("1")
        front.clock.now += 3.0
    words = ["does not answer: gone", "does not answer: denies access", "answers again"]
    assert [record.getMessage() for record in caplog.records] == [f"the feature store {one}" for one in words]


async def test_a_blob_is_counted_as_what_it_is_read_to_be() -> None:
    front = Front()
    front.store.held[key("1")] = encode(SCHEMA, {"word": "a" * 100_000}, 1000, compress=True)
    assert len(front.store.held[key("1")]) < 1000
    await front.get("1")
    assert front.reads.size > 100_000


async def test_a_bug_in_a_store_leaves_nobody_waiting(caplog: pytest.LogCaptureFixture) -> None:
    front = Front()
    front.store.error = ZeroDivisionError()
    assert await front.get("1") == [DOWN]
    assert "a bug in a read of features" in caplog.text


@pytest.mark.parametrize("blob", [b"", b"no blob", BLOB[:-1], BLOB + b"?"])
async def test_a_blob_that_cannot_be_read_is_missing(blob: bytes, caplog: pytest.LogCaptureFixture) -> None:
    front = Front()
    front.store.held |= {key("1"): blob, key("2"): BLOB}
    assert await front.get("1", "2") == [None, STORED]
    assert "taken as missing" in caplog.text


async def test_a_blob_whose_schema_nobody_put_is_missing_until_somebody_does() -> None:
    front = Front()
    front.store.held = {key("1"): BLOB}
    assert await front.get("1") == [None]
    front.store.held[SCHEMA_KEY] = SCHEMA.json
    front.clock.now += 10.0
    assert await front.get("1") == [STORED]


async def test_without_room_everything_is_read_anew() -> None:
    front = Front(most_bytes=0)
    front.store.held[key("1")] = BLOB
    assert await front.get("1") == [STORED]
    assert await front.get("1") == [STORED]
    assert front.reads.size == 0
    assert len(front.blobs_read) == 2


async def test_closing_gives_up_what_is_under_way() -> None:
    front = Front()
    front.store.gate.clear()
    waiter = Waiter()
    front.want("1", waiter=waiter)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    await front.reads.close()
    assert front.store.under_way == 0
    assert front.store.is_closed
    assert waiter.found == {}


async def test_a_bug_of_one_who_waits_leaves_nobody_else_waiting(caplog: pytest.LogCaptureFixture) -> None:
    class Bad(Waiter):
        def take(self, key: bytes, found: Found) -> None:
            raise ValueError

    front, waiter = Front(), Waiter()
    front.want("1", waiter=Bad())
    front.want("1", "2", waiter=waiter)
    for _ in range(10):
        await asyncio.sleep(0)
    assert waiter.found == {key("1"): None, key("2"): None}
    assert "a bug" in caplog.text
