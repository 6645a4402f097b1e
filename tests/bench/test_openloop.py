from __future__ import annotations

import asyncio
from collections.abc import Callable

import numpy as np
import pytest

from bench import openloop
from bench.calling import Done
from bench.catalog import Load

LOAD = Load(b"/a/B", [(b"acme", b"one"), (b"globex", b"two"), (b"acme", b"three")], b"!", expected=b"right")


class FakeCaller:
    """Answers in the next tick of the loop: rightly, wrongly or never, as `answer` says of a number."""

    def __init__(self, answer: Callable[[int], bool | None] = lambda number: True) -> None:
        self.answer = answer
        self.sent: list[int] = []
        self.under_way = self.most_under_way = 0

    def start(self, load: Load, number: int, done: Done) -> None:
        self.sent.append(number)
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        answer = self.answer(number)

        def end(is_right: bool) -> None:
            self.under_way -= 1
            done(number, is_right)

        if answer is not None:
            asyncio.get_running_loop().call_soon(end, answer)


def test_arrivals_are_a_poisson_process() -> None:
    due = openloop.arrivals(rate=1000.0, seconds=100.0, seed=1)
    gaps = np.diff(due)
    assert len(due) == 100_000
    assert (gaps >= 0).all()
    # Mean and deviation of an exponential gap are the same: 1 ms, within 5 σ of so many draws.
    assert abs(gaps.mean() - 1e-3) < 5e-3 / np.sqrt(len(gaps))
    assert gaps.std() == pytest.approx(1e-3, rel=0.05)


def test_arrivals_follow_from_their_seed() -> None:
    first, again, other = (openloop.arrivals(100.0, 1.0, seed) for seed in (1, 1, 2))
    assert first.tolist() == again.tolist()
    assert first.tolist() != other.tolist()


async def test_an_open_loop_sends_over_all_callers_in_turn() -> None:
    callers = [FakeCaller(), FakeCaller()]
    sample = await openloop.open_loop(callers, LOAD, rate=1000.0, seconds=0.06, seed=1, warm_up=0.0)
    assert (sample.requests, sample.failures, len(sample.latencies)) == (60, 0, 60)
    assert [caller.sent for caller in callers] == [[*range(0, 60, 2)], [*range(1, 60, 2)]]


class Clock:
    """In place of `time`. A reading takes a microsecond, so that who looks until it is late gets there."""

    def __init__(self) -> None:
        self.now = 1000.0

    def perf_counter(self) -> float:
        self.now += 1e-6
        return self.now


async def test_a_latency_counts_from_when_the_request_was_due(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    monkeypatch.setattr(openloop, "time", clock)

    def late(number: int) -> bool:
        # A sender that is held up is late for whatever was due meanwhile.
        if number == 0:
            clock.now += 0.05
        return True

    sample = await openloop.open_loop(
        [FakeCaller(late)], LOAD, rate=1000.0, seconds=0.03, seed=1, warm_up=0.0
    )
    due = openloop.arrivals(rate=1000.0, seconds=0.03, seed=1)
    assert due[-1] < 0.05
    assert sample.latencies[1:] == pytest.approx(due[0] + 0.05 - due[1:], abs=1e-3)
    assert (sample.latencies >= sample.lateness).all()


async def test_turns_of_the_sender_that_took_long_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    monkeypatch.setattr(openloop, "time", clock)

    def held_up(number: int) -> bool:
        if number == 3:
            clock.now += 0.05
        return True

    moments = await openloop.open_loop_of_moments(
        [FakeCaller(held_up)], LOAD, rate=1000.0, seconds=0.03, seed=1, sleeps=False
    )
    [(ended, length)] = moments.gaps.tolist()
    assert length == pytest.approx(0.05, abs=1e-3)
    assert ended - length == pytest.approx(moments.due[3], abs=1e-3)


async def test_wrong_answers_are_failures_and_have_no_latency() -> None:
    caller = FakeCaller(lambda number: number not in (1, 3))
    sample = await openloop.open_loop([caller], LOAD, rate=1000.0, seconds=0.02, seed=1, warm_up=0.0)
    assert (sample.requests, sample.failures, len(sample.latencies)) == (20, 2, 18)


async def test_the_warm_up_is_not_counted() -> None:
    caller = FakeCaller(lambda number: number != 0)
    sample = await openloop.open_loop([caller], LOAD, rate=1000.0, seconds=0.02, seed=1, warm_up=0.02)
    assert sample.requests < len(caller.sent) == 40
    assert sample.failures == 0


def lose_the_third(number: int) -> bool | None:
    return None if number == 2 else True


async def test_a_lost_answer_is_a_failure_and_ends_the_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openloop, "TIMEOUT", 0.05)
    caller = FakeCaller(lose_the_third)
    sample = await openloop.open_loop([caller], LOAD, rate=1000.0, seconds=0.01, seed=1, warm_up=0.0)
    assert (sample.requests, sample.failures) == (10, 1)
    loaded = await openloop.closed_loop([FakeCaller(lose_the_third)], LOAD, 10, streams=3)
    assert (loaded.requests, loaded.failures) == (10, 1)


async def test_a_closed_loop_keeps_so_many_under_way() -> None:
    callers = [FakeCaller(lambda number: number != 5) for _ in range(2)]
    loaded = await openloop.closed_loop(callers, LOAD, 100, streams=4)
    assert (loaded.requests, loaded.failures) == (100, 1)
    assert sorted(callers[0].sent + callers[1].sent) == [*range(100)]
    assert [caller.most_under_way for caller in callers] == [4, 4]
    assert loaded.rps > 0


async def test_a_closed_loop_smaller_than_its_width() -> None:
    caller = FakeCaller()
    assert (await openloop.closed_loop([caller], LOAD, 2, streams=32)).failures == 0
    assert caller.sent == [0, 1]


def test_quantiles_are_in_milliseconds() -> None:
    seconds = np.arange(1, 1001) / 1000
    sample = openloop.Sample(1000, 0, seconds, seconds * 2)
    assert sample.quantile_ms(0.5) == pytest.approx(500.5)
    assert sample.late_ms(0.5) == pytest.approx(1001.0)
    assert np.isnan(openloop.Sample(0, 0, seconds[:0], seconds[:0]).quantile_ms(0.5))


async def test_moments_say_of_each_request_when_it_was_due_and_what_it_took() -> None:
    caller = FakeCaller(lambda number: number != 1)
    moments = await openloop.open_loop_of_moments([caller], LOAD, rate=1000.0, seconds=0.02, seed=1)
    assert caller.sent == [*range(20)]
    assert (np.diff(moments.due) >= 0).all()
    assert np.flatnonzero(np.isinf(moments.latencies)).tolist() == [1]
    assert (moments.lateness >= 0).all()


async def test_an_open_loop_that_is_stopped_sends_no_more_and_waits_for_its_answers() -> None:
    stopped = asyncio.Event()

    def stop_at_ten(number: int) -> bool:
        if number == 9:
            stopped.set()
        return True

    caller = FakeCaller(stop_at_ten)
    moments = await openloop.open_loop_of_moments(
        [caller], LOAD, rate=100.0, seconds=3600.0, seed=1, stopped=stopped
    )
    # What was due together with the last one had been sent.
    assert 10 <= len(caller.sent) == len(moments.due) == len(moments.latencies) == len(moments.lateness)
    assert np.isfinite(moments.latencies).all()


async def test_a_closed_loop_for_a_time_ends_with_its_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    now = iter(range(10_000))
    monkeypatch.setattr(openloop.time, "perf_counter", lambda: next(now) / 1000)
    callers = [FakeCaller(lambda number: number != 5) for _ in range(2)]
    moments = await openloop.closed_loop_of_moments(callers, LOAD, seconds=1.0, streams=4)
    assert len(moments.due) == len(callers[0].sent) + len(callers[1].sent) > 100
    assert np.flatnonzero(np.isinf(moments.latencies)).tolist() == [5]
    assert moments.due.max() < 1.001
    assert callers[0].under_way == callers[1].under_way == 0


async def test_a_closed_loop_for_a_time_gives_a_lost_answer_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openloop, "TIMEOUT", 0.05)
    moments = await openloop.closed_loop_of_moments(
        [FakeCaller(lose_the_third)], LOAD, seconds=0.01, streams=3
    )
    assert np.isinf(moments.latencies).sum() == 1
