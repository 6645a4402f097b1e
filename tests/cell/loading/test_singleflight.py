"""Loads under way, by themselves: whoever begins one here ends it by hand."""

from collections.abc import Callable

import pytest
from support.cells import Clock, digest, ticks

from cell.loading.singleflight import Load, LoadQueueFull, LoadTooSlow, Outcome, SingleFlight
from croupier.deadline import NEVER, Deadline
from croupier.errors import NotFound, Unavailable

A, B, C = map(digest, "abc")


class Bench:
    def __init__(self, slots: int = 1, most: int = 10, seconds: float = 1.0) -> None:
        self.clock = Clock()
        self.begun: list[Load] = []
        self.cancelled: list[bytes] = []
        self.failed: list[Exception | None] = []
        self.told: list[tuple[str, Outcome]] = []
        self.loads = SingleFlight(
            self._begin,
            lambda digest: seconds,
            lambda load, failure: self.failed.append(failure),
            clock=self.clock,
            slots=slots,
            most=most,
        )

    def _begin(self, load: Load) -> Callable[[], None]:
        self.begun.append(load)
        return lambda: self.cancelled.append(load.digest)

    def join(self, name: str, digest: bytes, deadline: Deadline = NEVER, priority: int = 0) -> object:
        def ended(outcome: Outcome) -> None:
            self.told.append((name, outcome))

        return self.loads.join(digest, deadline, 0, ended, priority)

    @property
    def digests(self) -> list[bytes]:
        return [load.digest for load in self.begun]


async def test_one_load_serves_all_who_join_it() -> None:
    bench = Bench()
    for name in ("first", "second"):
        bench.join(name, A)
    assert (bench.digests, len(bench.loads), A in bench.loads) == ([A], 1, True)
    error = NotFound("gone")
    bench.loads.end(bench.begun[0], error)
    assert bench.told == [("first", error), ("second", error)]
    assert (bench.failed, len(bench.loads)) == ([error], 0)


async def test_an_end_is_told_once() -> None:
    bench = Bench()
    bench.join("first", A)
    load = bench.begun[0]
    bench.loads.end(load, NotFound("gone"))
    bench.loads.end(load, NotFound("gone"))
    assert len(bench.told) == len(bench.failed) == 1


async def test_the_next_begins_when_a_slot_is_free() -> None:
    bench = Bench(slots=2)
    for name, wanted in (("a", A), ("b", B), ("c", C)):
        bench.join(name, wanted)
    assert bench.digests == [A, B]
    bench.loads.end(bench.begun[1], NotFound("gone"))
    assert bench.digests == [A, B, C]


async def test_what_nobody_wants_any_more_is_given_up_if_it_has_not_begun() -> None:
    bench = Bench()
    begun, queued = bench.join("begun", A), bench.join("queued", B)
    begun.cancel()
    queued.cancel()
    queued.cancel()
    assert (A in bench.loads, B in bench.loads) == (True, False)
    bench.loads.end(bench.begun[0], NotFound("gone"))
    assert (bench.told, bench.digests) == ([], [A])


async def test_only_so_many_wait() -> None:
    bench = Bench(most=2)
    waiter = bench.join("first", A)
    bench.join("second", A)
    with pytest.raises(LoadQueueFull) as caught:
        bench.join("third", B)
    assert 0.05 <= caught.value.retry_after <= 5.0
    waiter.cancel()
    bench.join("third", B)


async def test_the_newest_of_the_lowest_priority_gives_up_its_place() -> None:
    bench = Bench(most=4)
    bench.join("live", A)
    for name, key, priority in (("shadow", B, 2), ("batch 1", B, 4), ("batch 2", C, 4)):
        bench.join(name, key, priority=priority)
    with pytest.raises(LoadQueueFull):
        bench.join("batch 3", C, priority=4)
    for priority in (0, 3, 1):
        bench.join("another", A, priority=priority)
    # What waits for them alone is given up, and B is waited for.
    assert bench.digests == [A]
    assert (B in bench.loads, C in bench.loads) == (True, False)
    assert [name for name, _ in bench.told] == ["batch 2", "batch 1", "another"]
    assert all(isinstance(outcome, LoadQueueFull) for _, outcome in bench.told)
    with pytest.raises(LoadQueueFull):
        bench.join("another", A, priority=2)


async def test_one_that_cannot_be_here_in_time_is_told_so_and_loads_all_the_same() -> None:
    bench = Bench(seconds=2.0)
    with pytest.raises(LoadTooSlow, match=r"2\.000 s"):
        bench.join("first", A, Deadline(bench.clock() + 1.0))
    assert bench.digests == [A]
    bench.loads.end(bench.begun[0], NotFound("gone"))
    assert bench.told == []


async def test_what_is_ahead_counts() -> None:
    bench = Bench(seconds=2.0)
    bench.join("first", A)
    with pytest.raises(LoadTooSlow, match=r"4\.000 s"):
        bench.join("second", B, Deadline(bench.clock() + 3.0))


async def test_one_that_fails_to_hear_of_it_is_nobody_elses_matter(caplog: pytest.LogCaptureFixture) -> None:
    bench = Bench()

    def fails(outcome: Outcome) -> None:
        raise ValueError("a bug")

    bench.loads.join(A, NEVER, 0, fails)
    bench.join("second", A)
    bench.loads.end(bench.begun[0], NotFound("gone"))
    assert [name for name, _ in bench.told] == ["second"]
    assert "whoever waited for a model failed" in caplog.text


async def test_closing_gives_all_up_and_begins_no_more() -> None:
    bench = Bench()
    bench.join("begun", A)
    bench.join("queued", B)
    bench.loads.close()
    assert bench.cancelled == [A]
    assert [(name, type(outcome)) for name, outcome in bench.told] == [
        ("begun", Unavailable),
        ("queued", Unavailable),
    ]
    with pytest.raises(Unavailable, match="stopping"):
        bench.join("late", C)
    await ticks()
    assert bench.digests == [A]


async def test_it_says_how_long_a_request_has_waited() -> None:
    bench = Bench()
    assert bench.loads.longest_wait() == 0.0
    first = bench.join("first", A)
    bench.clock.advance(2.0)
    bench.join("second", B)
    bench.clock.advance(1.0)
    assert bench.loads.longest_wait() == 3.0
    # A load that goes on with nobody waiting for it keeps nobody waiting, until somebody comes again.
    first.cancel()
    assert bench.loads.longest_wait() == 1.0
    bench.join("again", A)
    assert bench.loads.longest_wait() == 1.0
    bench.loads.end(bench.begun[0], NotFound("gone"))
    bench.loads.end(bench.begun[1], NotFound("gone"))
    assert bench.loads.longest_wait() == 0.0
