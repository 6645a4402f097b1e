"""What one call that publishes many may do, and how much is held for it; real ones: `test_bulk_fleet`."""

import asyncio
from collections import deque

import pytest

from croupier.access import OtherTenant
from croupier.errors import InvalidRequest
from protos.versions.v1 import versions_pb2 as pb
from version_manager import bulk_call
from version_manager.bulk_call import BulkCalls, BulkLimits, Room
from version_manager.map.audit import Actor
from version_manager.model.release import Version
from version_manager.uploads import UploadsFull, UploadTooSlow
from version_manager.writes.bulk import Pending, Published

ACTOR = Actor("tester", "here")
SIZE = 100
OPTIONS = pb.PublishManyRequest(options=pb.PublishManyRequest.Options(release=True, reason="why"))


class FakeBulk:
    """Publishes by hand: `gate` holds it up, and `known` are digests that need not be sent."""

    def __init__(self):
        self.gate = asyncio.Event()
        self.gate.set()
        self.known = set()
        self.orders = set()
        self.published = []

    def revision(self):
        return "catalog:5"

    async def look(self, order, uploads):
        self.orders.add(order)
        return [Pending(upload, upload.digest not in self.known) for upload in uploads]

    async def publish(self, order, pending):
        await self.gate.wait()
        uploads = [one.upload for one in pending]
        self.published.append([upload.name for upload in uploads])
        return [
            Published(Version(1, one.digest, len(one.data), "onnx"), is_known=not one.data, release=3)
            for one in uploads
        ]


def offer(number, **told):
    fields = {
        "tenant": "acme",
        "name": f"model-{number}",
        "artifact": bytes([number % 256]) * 32,
        "size": SIZE,
    }
    return pb.PublishManyRequest(offers=[pb.PublishManyRequest.Offer(id=number, **fields | told)])


def chunk(number, size=SIZE):
    return pb.PublishManyRequest(chunks=[pb.PublishManyRequest.Chunk(id=number, data=bytes(size))])


class Caller:
    """A caller by hand: what it says waits in `said`, and it hears what `hear` returns."""

    def __init__(self, calls, tenants=frozenset()):
        self._requests = asyncio.Queue()
        self.answers = calls.answers(self._sent(), ACTOR, frozenset(tenants))
        self.outcomes = {}
        self.wanted = deque()

    async def _sent(self):
        while (request := await self._requests.get()) is not None:
            yield request

    def say(self, *requests):
        for request in requests:
            self._requests.put_nowait(request)

    async def hear(self):
        answer = await anext(self.answers)
        self.wanted.extend(answer.wanted)
        self.outcomes |= {one.id: one for one in answer.outcomes}
        return answer

    async def until(self, *, wanted=0, outcomes=0):
        async with asyncio.timeout(10):
            while len(self.wanted) < wanted or len(self.outcomes) < outcomes:
                await self.hear()

    async def end(self):
        self.say(None)
        async with asyncio.timeout(10):
            return [answer async for answer in self.answers]


@pytest.fixture
def fake():
    return FakeBulk()


def calls_of(fake, **limits):
    return BulkCalls(fake, BulkLimits(**{"max_bytes": 1000, "total_bytes": 1000, **limits}))


async def test_what_is_wanted_is_sent_and_published(fake):
    calls = calls_of(fake)
    caller = Caller(calls)
    caller.say(OPTIONS, offer(1), offer(2))
    first = await caller.hear()
    assert (first.most_offers, first.most_bytes) == (2048, 1000)
    await caller.until(wanted=2)
    assert calls.room.free == 1000 - 2 * SIZE
    caller.say(chunk(2), chunk(1, 40), chunk(1, 60))
    await caller.until(outcomes=2)
    assert caller.outcomes[1].version.size == SIZE
    assert (caller.outcomes[1].known, caller.outcomes[1].release) == (False, 3)
    assert calls.room.free == 1000
    assert await caller.end() == []
    assert calls.count == 0
    (order,) = fake.orders
    assert (order.release, order.why.reason, order.actor) == (True, "why", ACTOR)


async def test_what_is_known_is_not_wanted(fake):
    fake.known = {bytes([1]) * 32}
    caller = Caller(calls_of(fake))
    caller.say(OPTIONS, offer(1))
    await caller.until(outcomes=1)
    assert caller.outcomes[1].known
    assert not caller.wanted
    await caller.end()


@pytest.mark.parametrize(
    ("told", "reason"),
    [
        ({"tenant": ""}, "INVALID_REQUEST"),
        ({"name": "../etc"}, "INVALID_REQUEST"),
        ({"name": "a\0b"}, "INVALID_REQUEST"),
        ({"name": "x" * 129}, "INVALID_REQUEST"),
        ({"tenant": "e\u0301"}, "INVALID_REQUEST"),
        ({"artifact": b"short"}, "INVALID_REQUEST"),
        ({"version": 2**63}, "INVALID_REQUEST"),
        ({"size": 1001}, "TOO_LARGE"),
        ({"size": 5}, "INVALID_ARTIFACT"),
        ({"tenant": "globex"}, "TENANT_NOT_ALLOWED"),
        ({"tenant": "ACME"}, "TENANT_NOT_ALLOWED"),
    ],
)
async def test_what_may_not_be_is_told_of_that_one_and_nothing_is_asked(fake, told, reason):
    caller = Caller(calls_of(fake), tenants={"acme", "", "e\u0301"})
    caller.say(OPTIONS, offer(1, **told), offer(2))
    await caller.until(wanted=1, outcomes=1)
    failure = caller.outcomes[1].failure
    assert failure.reason == reason
    assert failure.message
    assert list(caller.wanted) == [2]
    caller.say(chunk(2))
    await caller.until(outcomes=2)
    await caller.end()


async def test_a_publisher_of_some_tenants_publishes_for_all_of_these(fake):
    caller = Caller(calls_of(fake), tenants={"acme", "globex"})
    caller.say(OPTIONS, offer(1), offer(2, tenant="globex"), offer(3, tenant="initech"))
    await caller.until(wanted=2, outcomes=1)
    assert caller.outcomes[3].failure.reason == OtherTenant.reason
    caller.say(chunk(1), chunk(2))
    await caller.until(outcomes=3)
    await caller.end()


async def test_one_model_at_a_time_is_under_way(fake):
    caller = Caller(calls_of(fake))
    caller.say(OPTIONS, offer(1), offer(2, name="model-1"))
    await caller.until(wanted=1, outcomes=1)
    assert caller.outcomes[2].failure.reason == "INVALID_REQUEST"
    caller.say(chunk(1))
    await caller.until(outcomes=2)
    # Its id and its model may be used again.
    caller.say(offer(1))
    await caller.until(wanted=2)
    caller.say(chunk(1))
    caller.outcomes.clear()
    await caller.until(outcomes=1)
    await caller.end()


@pytest.mark.parametrize(
    "said",
    [
        [pb.PublishManyRequest()],
        [offer(1)],
        [pb.PublishManyRequest(options=OPTIONS.options, offers=offer(1).offers)],
        [OPTIONS, OPTIONS],
        [OPTIONS, chunk(1)],
        [OPTIONS, offer(1), offer(1)],
        [OPTIONS, *map(offer, range(9))],
        [None],
        [OPTIONS, offer(1), None],
        [pb.PublishManyRequest(options=pb.PublishManyRequest.Options(reason="x" * 10_000))],
    ],
    ids=[
        "no options",
        "an offer first",
        "both",
        "options again",
        "not wanted",
        "an id twice",
        "too many",
        "nothing",
        "ended early",
        "a long reason",
    ],
)
async def test_what_no_publisher_sends_ends_the_call(fake, said):
    calls = calls_of(fake, offers=8)
    caller = Caller(calls)
    caller.say(*said)
    with pytest.raises(InvalidRequest):  # noqa: PT012
        async with asyncio.timeout(10):
            while True:
                await caller.hear()
    assert (calls.count, calls.room.free) == (0, 1000)


async def test_more_bytes_than_were_announced_end_the_call(fake):
    calls = calls_of(fake)
    caller = Caller(calls)
    caller.say(OPTIONS, offer(1))
    await caller.until(wanted=1)
    caller.say(chunk(1, SIZE + 1))
    with pytest.raises(InvalidRequest, match="more bytes"):
        await caller.hear()
    assert (calls.count, calls.room.free) == (0, 1000)


async def test_offers_without_an_outcome_that_was_taken_are_bounded(fake):
    """Whoever does not read what became of its offers cannot have more and more of them kept."""
    fake.known = {bytes([number]) * 32 for number in range(256)}
    caller = Caller(calls_of(fake, offers=8))
    caller.say(OPTIONS)
    await caller.hear()
    caller.say(*map(offer, range(8)))
    await caller.hear()
    caller.say(*map(offer, range(100, 109)))
    with pytest.raises(InvalidRequest, match="more offers"):  # noqa: PT012
        while True:
            await caller.hear()


async def test_bytes_under_way_are_bounded_over_all_calls(fake):
    calls = calls_of(fake, total_bytes=2 * SIZE)
    first, second = Caller(calls), Caller(calls)
    for caller in (first, second):
        caller.say(OPTIONS, offer(1), offer(2))
        await caller.hear()
        if caller is first:
            await first.until(wanted=2)
    assert calls.room.free == 0
    hearing = asyncio.create_task(second.until(wanted=1))
    await asyncio.sleep(0)
    first.say(chunk(1))
    await first.until(outcomes=1)
    await hearing
    assert list(second.wanted) == [1]
    second.say(chunk(1))
    await second.until(wanted=2, outcomes=1)
    first.say(chunk(2))
    second.say(chunk(2))
    await first.until(outcomes=2)
    await second.until(outcomes=2)
    for caller in (first, second):
        await caller.end()
    assert calls.room.free == 2 * SIZE


async def test_calls_are_bounded(fake):
    calls = calls_of(fake, calls=1)
    first = Caller(calls)
    first.say(OPTIONS)
    await first.hear()
    with pytest.raises(UploadsFull) as refused:
        await Caller(calls).hear()
    assert refused.value.retry_after > 0
    await first.end()
    again = Caller(calls)
    again.say(OPTIONS)
    await again.hear()
    await again.end()


@pytest.mark.parametrize("said", [[], [OPTIONS], [OPTIONS, offer(1)], [OPTIONS, offer(1), chunk(1, 5)]])
async def test_who_says_nothing_more_is_told_off(fake, said):
    calls = calls_of(fake, idle_seconds=0.05)
    caller = Caller(calls)
    caller.say(*said[:2])
    with pytest.raises(UploadTooSlow):  # noqa: PT012
        async with asyncio.timeout(10):
            while True:
                await caller.hear()
                if caller.wanted:
                    caller.say(*said[2:])
                    said = []
    assert (calls.count, calls.room.free) == (0, 1000)


async def test_a_sign_of_life_does_not_hold_what_is_wanted_for_ever(fake):
    calls = calls_of(fake, artifact_seconds=0.05)
    caller = Caller(calls)
    caller.say(OPTIONS, offer(1))
    await caller.until(wanted=1)

    async def live():
        while True:
            caller.say(pb.PublishManyRequest())
            await asyncio.sleep(0.005)

    living = asyncio.create_task(live())
    with pytest.raises(UploadTooSlow):
        await caller.hear()
    living.cancel()
    assert calls.room.free == 1000


async def test_a_caller_that_goes_gives_back_what_it_had(fake):
    calls = calls_of(fake)
    fake.gate.clear()
    caller = Caller(calls)
    caller.say(OPTIONS, offer(1), offer(2))
    await caller.until(wanted=2)
    caller.say(chunk(1))
    hearing = asyncio.create_task(caller.hear())
    await asyncio.sleep(0.01)
    hearing.cancel()
    await asyncio.wait([hearing])
    await caller.answers.aclose()
    assert (calls.count, calls.room.free) == (0, 1000)


async def test_what_arrives_while_others_are_stored_is_stored_together(fake):
    caller = Caller(calls_of(fake))
    fake.gate.clear()
    caller.say(OPTIONS, *map(offer, range(1, 9)))
    await caller.until(wanted=8)
    caller.say(*map(chunk, range(1, 9)))
    await asyncio.sleep(0.01)
    fake.gate.set()
    await caller.until(outcomes=8)
    assert sum(map(len, fake.published)) == 8
    assert len(fake.published) <= bulk_call._PUBLISHING + 1
    await caller.end()


async def test_a_fault_of_ours_ends_the_call(fake):
    async def publish(order, uploads):
        raise ZeroDivisionError

    fake.publish = publish
    caller = Caller(calls_of(fake))
    caller.say(OPTIONS, offer(1))
    await caller.until(wanted=1)
    caller.say(chunk(1))
    with pytest.raises(ZeroDivisionError):
        await caller.hear()


async def test_room_is_given_in_the_order_of_asking():
    room = Room(10)
    given = []

    async def ask(name, size):
        await room.take(size)
        given.append(name)

    await ask("a", 6)
    tasks = [asyncio.create_task(ask(name, size)) for name, size in (("b", 8), ("c", 1), ("d", 1))]
    await asyncio.sleep(0)
    # The little ones wait behind the large one that came first.
    assert given == ["a"]
    tasks[0].cancel()
    await asyncio.wait(tasks)
    assert given == ["a", "c", "d"]
    room.give(8)
    assert room.free == 10


async def test_room_that_came_too_late_is_given_back():
    room = Room(10)
    await room.take(10)
    task = asyncio.create_task(room.take(4))
    await asyncio.sleep(0)
    room.give(10)
    task.cancel()
    await asyncio.wait([task])
    assert room.free == 10
