import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from random import Random

import pytest
from support.fakes import FakeManager, delta_event, generation, heartbeat, metric, model, view
from support.waiting import eventually

from croupier.backoff import Backoff
from croupier.grpcio.manager import VersionManagerClient
from protos.versions.v1 import versions_pb2 as pb
from router.events import events_of
from router.feeds import Timing, ViewFeed
from router.view import EMPTY, View, ViewChange
from version_manager.model.catalog import Delta
from version_manager.model.fleet import Cell

MAP = generation(["a", "b"])
FLEET = [Cell("a", "zone-0", "a:1"), Cell("b", "zone-1", "b:1")]
MODELS = [model(name=f"m{n}") for n in range(30)]
FIRST = view(MODELS, (MAP,), FLEET, revision=10)
FAST = Timing(silence=5.0, backoff=Backoff(0.001, 0.01), refused=0.01)
FROZEN = "croupier_router_view_frozen"
BROKEN = "croupier_router_watch_broken_total"


@asynccontextmanager
async def following(
    manager: FakeManager, *, held: View | None = None, timing: Timing = FAST
) -> AsyncIterator[tuple[ViewFeed, list[View]]]:
    """A feed that follows `manager`, and every view that it swapped in."""
    swapped: list[View] = []
    async with VersionManagerClient(manager.address) as client:
        feed = ViewFeed(
            client.watch, on_swap=swapped.append, clock=time.monotonic, rng=Random(1), timing=timing
        )
        if held is not None:
            await feed.load(held)
        running = asyncio.create_task(feed.run())
        try:
            yield feed, swapped
        finally:
            running.cancel()
            with pytest.raises(asyncio.CancelledError):
                await running


async def reached(feed: ViewFeed, revision: int) -> View:
    await eventually(lambda: feed.view.catalog.revision == revision, f"revision {revision}")
    return feed.view


async def connected(manager: FakeManager, times: int = 1) -> None:
    await eventually(lambda: len(manager.asked) >= times and manager.watching, f"watch {times}")


async def test_a_snapshot_and_its_deltas_become_views() -> None:
    async with FakeManager(FIRST) as manager, following(manager) as (feed, swapped):
        await feed.loaded()
        assert (feed.view.catalog, dict(feed.view.cells)) == (FIRST.catalog, dict(FIRST.cells))
        await connected(manager)
        manager.send(delta_event(ViewChange(Delta.of(11, (model(name="new"),)))))
        found = await reached(feed, 11)
        assert found.catalog.get("acme", "new").name == "new"
        assert [found.catalog.revision for found in swapped] == [10, 11]
        assert (metric("croupier_router_view_revision"), metric("croupier_router_view_models")) == (11, 31)


def silent() -> ViewFeed:
    async def nothing(revision: int, catalog: str) -> AsyncIterator[pb.WatchEvent]:
        raise AssertionError
        yield

    return ViewFeed(nothing, on_swap=lambda view: None, clock=time.monotonic, rng=Random(1))


async def test_the_loop_turns_while_many_models_are_taken() -> None:
    feed = silent()
    loop, turns = asyncio.get_running_loop(), 0

    def turn() -> None:
        nonlocal turns
        turns += 1
        loop.call_soon(turn)

    loop.call_soon(turn)
    for event in events_of(view([model(name=f"m{n}") for n in range(500)], (MAP,), FLEET)):
        before = turns
        await feed._take(event)
        if event.HasField("chunk") and event.chunk.models:
            assert turns - before >= 25
    assert feed.view.catalog.size == 500
    before = turns
    await feed._take(delta_event(ViewChange(Delta.of(2, [model("globex", f"m{n}") for n in range(200)]))))
    assert turns - before >= 10
    assert feed.view.catalog.size == 700


async def test_a_large_catalog_that_another_one_replaces_is_let_go_of_in_turns() -> None:
    feed = silent()
    models = [model(f"t{n}") for n in range(1_001)]
    for revision in (1, 2):
        for event in events_of(view(models, (MAP,), FLEET, revision=revision)):
            await feed._take(event)
    assert len(feed._retired) == 1
    # It is the older one: nobody has it any more.
    await eventually(lambda: not len(feed._retired), "the end")
    assert (feed.view.catalog.revision, feed.view.catalog.size) == (2, 1_001)


async def test_a_broken_watch_goes_on_where_it_was() -> None:
    async with FakeManager(FIRST) as manager, following(manager) as (feed, swapped):
        await connected(manager)
        manager.greeting = lambda request: [delta_event(ViewChange(Delta.of(12, (model(name="new"),))))]
        manager.hang_up()
        await reached(feed, 12)
        first, second = manager.asked
        assert (first.revision, first.catalog) == (0, "")
        assert (second.revision, second.catalog) == (10, "cluster-1")
        assert len(swapped) == 2


async def test_a_view_from_disk_is_where_it_goes_on() -> None:
    async with (
        FakeManager(lambda request: [heartbeat(10)]) as manager,
        following(manager, held=FIRST) as (feed, _),
    ):
        assert feed.is_loaded
        await connected(manager)
        assert (manager.asked[0].revision, manager.asked[0].catalog) == (10, "cluster-1")


async def test_it_is_known_when_a_version_manager_has_said_what_is_new_since_the_disk() -> None:
    async with (
        FakeManager(FIRST) as manager,
        following(manager, held=view(MODELS[:5], (MAP,), FLEET)) as (feed, _),
    ):
        assert feed.is_loaded
        await feed.told(60.0)
        assert feed.view.catalog.revision == 10


async def test_one_that_says_nothing_is_not_waited_for() -> None:
    async def nothing(revision: int, catalog: str) -> AsyncIterator[pb.WatchEvent]:
        raise AssertionError
        yield

    feed = ViewFeed(nothing, on_swap=lambda view: None, clock=time.monotonic, rng=Random(1))
    await feed.load(FIRST)
    await feed.told(0.0)
    assert not feed.has_heard


async def test_a_version_manager_that_is_gone_changes_nothing_and_is_found_again() -> None:
    async with FakeManager(FIRST) as manager, following(manager) as (feed, swapped):
        await connected(manager)
        before = metric(BROKEN)
        await manager.stop()
        await eventually(lambda: metric(BROKEN) >= before + 3, "some attempts")
        assert feed.view is swapped[-1]
        assert len(swapped) == 1
        manager.greeting = lambda request: [delta_event(ViewChange(Delta.of(11, (model(name="new"),))))]
        await manager.start()
        await reached(feed, 11)


async def test_silence_is_a_broken_watch_and_heartbeats_are_not_silence() -> None:
    timing = Timing(silence=0.5, backoff=Backoff(0.001, 0.01))
    async with FakeManager(FIRST) as manager, following(manager, timing=timing) as (feed, _):
        await connected(manager)
        began = heard = time.monotonic()
        while heard - began < 0.75:
            manager.send(heartbeat(10))
            await eventually(lambda heard=heard: feed._heard > heard, "the heartbeat")
            heard = feed._heard
        assert len(manager.asked) == 1
        await connected(manager, 2)
        assert time.monotonic() - heard >= 0.45
        assert feed.view.catalog.revision == 10


@pytest.mark.parametrize(
    "lost",
    [
        view(revision=1, catalog="wiped"),
        view([], (MAP,), revision=11),
        view(MODELS[:3], (MAP,), FLEET, revision=11),
        view(MODELS, (MAP,), FLEET, revision=9),
        view(MODELS, (), FLEET, revision=11),
    ],
    ids=["wiped", "empty", "shrunken", "older", "no map"],
)
async def test_a_catalog_that_lost_too_much_is_refused_and_alarmed(lost: View) -> None:
    async with FakeManager(FIRST) as manager, following(manager) as (feed, swapped):
        await connected(manager)
        manager.greeting = lost
        manager.hang_up()
        await eventually(lambda: metric(FROZEN) == 1, "the alarm")
        await connected(manager, 4)
        assert feed.view is swapped[-1]
        assert feed.view.catalog == FIRST.catalog
        manager.greeting = view(MODELS[:25], (MAP,), FLEET, revision=12)
        manager.hang_up()
        await reached(feed, 12)
        assert metric(FROZEN) == 0


@pytest.mark.parametrize(
    "lost",
    [
        view([], (), [Cell("a", "zone-0", "a:2")], revision=1, catalog="wiped"),
        view(MODELS[:3], (MAP,), [Cell("a", "zone-0", "a:2")], revision=11),
    ],
    ids=["wiped", "shrunken"],
)
async def test_cells_of_a_refused_catalog_are_taken(lost: View) -> None:
    slow = Timing(silence=5.0, backoff=Backoff(0.001, 0.01), refused=60.0)
    async with FakeManager(FIRST) as manager, following(manager, timing=slow) as (feed, _):
        await feed.loaded()
        await connected(manager)
        manager.greeting = lost
        manager.hang_up()
        await eventually(lambda: feed.view.cells["a"].cell.address == "a:2", "the first cell's new address")
        assert (feed.view.catalog, feed.view.generations) == (FIRST.catalog, FIRST.generations)
        # Its other cells are lost with it, and asked all the same; they come back in the watch that stands.
        assert feed.view.cells["b"].departed
        gone = tuple(("acme", f"m{n}") for n in range(30))
        came = (Cell("b", "zone-1", "b:2"),)
        manager.send(delta_event(ViewChange(Delta.of(12, (), gone), cells=came)))
        await eventually(lambda: not feed.view.cells["b"].departed, "the second cell")
        assert feed.view.cells["b"].cell.address == "b:2"
        assert feed.view.catalog == FIRST.catalog
        assert metric(FROZEN) == 1
        assert len(manager.asked) == 2


async def test_cells_of_a_refused_delta_are_taken() -> None:
    gone = tuple(("acme", f"m{n}") for n in range(25))
    async with FakeManager(FIRST) as manager, following(manager) as (feed, _):
        await feed.loaded()
        await connected(manager)
        moved = (Cell("a", "zone-0", "a:2"),)
        manager.send(delta_event(ViewChange(Delta.of(11, (), gone), cells=moved)))
        await eventually(lambda: feed.view.cells["a"].cell.address == "a:2", "the cell's new address")
        assert feed.view.catalog == FIRST.catalog


async def test_a_delta_that_removes_most_is_refused() -> None:
    removed = tuple(("acme", f"m{n}") for n in range(25))
    async with FakeManager(FIRST) as manager, following(manager) as (feed, _):
        await connected(manager)
        manager.greeting = lambda request: []
        manager.send(delta_event(ViewChange(Delta.of(11, (), removed))))
        await eventually(lambda: metric(FROZEN) == 1, "the alarm")
        await connected(manager, 2)
        assert feed.view.catalog.size == 30
        manager.send(delta_event(ViewChange(Delta.of(12, (), removed[:3]))))
        assert (await reached(feed, 12)).catalog.size == 27


async def test_cells_that_a_later_snapshot_lacks_are_kept_as_departed() -> None:
    async with FakeManager(FIRST) as manager, following(manager) as (feed, _):
        await connected(manager)
        manager.greeting = view(MODELS, (MAP,), FLEET[1:], revision=11)
        manager.hang_up()
        found = await reached(feed, 11)
        assert (found.cells["a"].departed, found.cells["a"].cell.address) == (True, "a:1")
        assert not found.cells["b"].departed


def _without_begin(request: pb.WatchRequest) -> list[pb.WatchEvent]:
    return list(events_of(FIRST))[1:]


def _without_a_chunk(request: pb.WatchRequest) -> list[pb.WatchEvent]:
    begin, fleet, _, end = events_of(FIRST)
    return [begin, fleet, end]


@pytest.mark.parametrize("greeting", [_without_begin, _without_a_chunk])
async def test_a_snapshot_that_makes_no_sense_is_asked_for_again(
    greeting: Callable[[pb.WatchRequest], list[pb.WatchEvent]],
) -> None:
    async with FakeManager(greeting) as manager, following(manager) as (feed, swapped):
        await eventually(lambda: len(manager.asked) > 3, "more attempts")
        assert (feed.is_loaded, feed.view, swapped) == (False, EMPTY, [])
        manager.greeting = FIRST
        await feed.loaded()


async def test_a_snapshot_that_breaks_off_is_never_seen() -> None:
    async with (
        FakeManager(lambda request: list(events_of(FIRST))[:-1]) as manager,
        following(manager) as (feed, swapped),
    ):
        await eventually(lambda: feed._assembly and feed._assembly._received, "the last chunk")
        assert (feed.is_loaded, feed.view, swapped) == (False, EMPTY, [])
        await connected(manager)
        manager.greeting = FIRST
        manager.hang_up()
        await feed.loaded()
        assert feed.view.catalog == FIRST.catalog


async def test_whoever_waits_for_a_change_sees_the_latest_view() -> None:
    async with FakeManager(FIRST) as manager, following(manager) as (feed, _):
        first = await feed.changed_from(None)
        waiting = asyncio.create_task(feed.changed_from(first))
        await connected(manager)
        manager.send(delta_event(ViewChange(Delta.of(11, (model(name="new"),)))))
        assert (await waiting).catalog.revision == 11
        cancelled = asyncio.create_task(feed.changed_from(feed.view))
        await eventually(lambda: len(feed._changed._waiters) == 1, "the waiter")  # type: ignore[attr-defined]
        cancelled.cancel()
        with pytest.raises(asyncio.CancelledError):
            await cancelled


async def test_a_cancelled_feed_hangs_up() -> None:
    async with FakeManager(FIRST) as manager:
        async with following(manager):
            await connected(manager)
        await eventually(lambda: manager.watching == 0, "the end of the watch")


async def test_a_later_catalog_that_somebody_knows_of_is_looked_for_at_once() -> None:
    """The watch is silent, and not long enough to be taken for broken."""
    timing = Timing(silence=600.0, backoff=Backoff(600.0, 600.0), look=0.0)
    async with FakeManager(FIRST) as manager, following(manager, timing=timing) as (feed, _):
        await connected(manager)
        manager.greeting = lambda request: [delta_event(ViewChange(Delta.of(12, (model(name="new"),))))]
        await reached(feed, 10)
        await eventually(lambda: feed._patience is not None, "it waits for an event")
        feed.look_again()
        await reached(feed, 12)
        assert [request.revision for request in manager.asked] == [0, 10]


async def test_a_young_watch_is_not_given_up_for_another() -> None:
    timing = Timing(silence=600.0, look=600.0)
    async with FakeManager(FIRST) as manager, following(manager, timing=timing) as (feed, _):
        await connected(manager)
        await reached(feed, 10)
        await eventually(lambda: feed._patience is not None, "it waits for an event")
        feed.look_again()
        manager.send(delta_event(ViewChange(Delta.of(11, (model(name="new"),)))))
        await reached(feed, 11)
        assert len(manager.asked) == 1
