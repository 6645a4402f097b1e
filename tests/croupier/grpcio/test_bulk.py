"""The client's side of calls that publish many, against an in-memory manager on a real port."""

import asyncio
from contextlib import aclosing

import pytest
from support.version_manager_fake import FakeManager

from croupier import errors
from croupier.backoff import Backoff
from croupier.grpcio import bulk
from croupier.grpcio.bulk import BulkItem
from croupier.grpcio.manager import VersionManagerClient


@pytest.fixture
def fake():
    with FakeManager() as started:
        yield started


@pytest.fixture
async def manager(fake):
    async with VersionManagerClient(fake.target) as client:
        yield client


@pytest.fixture(autouse=True)
def _at_once(monkeypatch):
    monkeypatch.setattr(bulk, "_BACKOFF", Backoff(0.001, 0.001))


def items(count, tenant="acme"):
    return [BulkItem(tenant, f"model-{number}", f"artifact {number}".encode()) for number in range(count)]


async def outcomes(manager, of, **options):
    async with aclosing(manager.publish_many(of, **options)) as found:
        return {one.item.name: one async for one in found}


async def test_all_are_published_and_what_is_known_is_not_sent(fake, manager):
    found = await outcomes(manager, items(250))
    assert {(one.version.number, one.known, one.release) for one in found.values()} == {(1, False, 0)}
    assert len(found) == fake.sent == 250
    again = await outcomes(manager, items(251))
    assert sum(one.known for one in again.values()) == 250
    assert fake.sent == 251
    assert {one.revision for one in again.values()} == {"fake:7"}


async def test_what_it_is_for_goes_with_the_call(fake, manager):
    found = await outcomes(manager, items(1), release=True, reason="retrained", author="nightly")
    (told,) = fake.bulk_options
    assert (told.release, told.reason, told.author) == (True, "retrained", "nightly")
    assert found["model-0"].release == 1


async def test_nothing_is_published_by_a_call_of_nothing(fake, manager):
    assert await outcomes(manager, []) == {}


async def test_large_artifacts_come_in_pieces_and_small_ones_together(fake, manager):
    many = [BulkItem("acme", "large", bytes(1_500_000)), *items(50)]
    found = await outcomes(manager, many)
    assert found["large"].version.size == 1_500_000
    assert fake.sent == 51


async def test_a_call_that_breaks_is_made_again_for_what_is_left(fake, manager):
    fake.breaks = [0, 10, 30]
    found = await outcomes(manager, items(200))
    assert len(found) == 200
    assert not any(one.error for one in found.values())
    # What was published when the call broke was known to the next one.
    assert fake.sent == 200
    assert len(fake.bulk_options) == 4


async def test_it_gives_up_when_no_call_gets_anywhere(fake, manager):
    fake.breaks = [0] * 20
    with pytest.raises(errors.Unavailable, match="is gone"):
        await outcomes(manager, items(3))
    assert len(fake.bulk_options) == bulk._ATTEMPTS


async def test_one_that_fails_holds_up_no_other(fake, manager):
    fake.wrong["acme", "model-3"] = [errors.AlreadyExists("version 1 has other bytes")]
    found = await outcomes(manager, items(10))
    assert isinstance(found["model-3"].error, errors.AlreadyExists)
    assert found["model-3"].version is None
    assert sum(one.error is None for one in found.values()) == 9


async def test_what_passes_is_offered_again(fake, manager):
    fake.wrong["acme", "model-3"] = [errors.Unavailable("etcd"), errors.Unavailable("etcd")]
    found = await outcomes(manager, items(10))
    assert not any(one.error for one in found.values())


async def test_what_does_not_pass_is_told_in_the_end(fake, manager):
    fake.wrong["acme", "model-3"] = [errors.Unavailable("etcd")] * 99
    found = await outcomes(manager, items(10))
    assert isinstance(found["model-3"].error, errors.Unavailable)
    assert sum(one.error is None for one in found.values()) == 9


async def test_what_is_held_is_bounded(fake, manager, monkeypatch):
    """By items and by bytes, while nothing is answered; one that is larger than all may have goes alone."""
    monkeypatch.setattr(bulk, "_MOST_ITEMS", 10)
    monkeypatch.setattr(bulk, "_MOST_BYTES", 1000)
    taken = 0

    def source():
        nonlocal taken
        for number in range(100):
            taken += 1
            yield BulkItem("acme", f"model-{number}", bytes(300 if number else 5000))

    found = 0
    async with aclosing(manager.publish_many(source())) as answers:
        async for _ in answers:
            found += 1
            assert taken - found <= 5
    assert found == 100


async def test_a_manager_that_takes_few_offers_at_a_time(fake, manager):
    fake.most_offers = 3
    assert len(await outcomes(manager, items(20))) == 20


async def test_what_the_source_raises_is_raised_after_what_it_gave(fake, manager):
    async def source():
        for item in items(5):
            yield item
        raise ValueError("the list ends here")

    found = []
    with pytest.raises(ValueError, match="ends here"):  # noqa: PT012
        async for one in manager.publish_many(source()):
            found.append(one)  # noqa: PERF401
    assert len(found) == 5


async def test_who_waits_for_the_source_says_that_it_is_there(fake, manager, monkeypatch):
    """The fake answers nothing to an empty message; the call goes on."""
    monkeypatch.setattr(bulk, "_ALIVE_SECONDS", 0.01)
    goes_on = asyncio.Event()

    async def source():
        yield items(1)[0]
        await goes_on.wait()
        yield items(2)[1]

    answers = manager.publish_many(source())
    await anext(answers)
    asyncio.get_running_loop().call_later(0.1, goes_on.set)
    assert (await anext(answers)).item.name == "model-1"
    await answers.aclose()


async def test_it_can_be_ended_early(fake, manager):
    async with aclosing(manager.publish_many(items(500))) as answers:
        await anext(answers)
    assert (await outcomes(manager, items(500))).keys() == {f"model-{number}" for number in range(500)}
