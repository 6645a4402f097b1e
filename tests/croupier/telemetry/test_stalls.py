"""What stalls a loop is told by its kind, once."""

from __future__ import annotations

import asyncio
import gc
import signal
import threading
from collections.abc import AsyncIterator, Callable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.admin import told

from croupier.telemetry import stalls
from croupier.telemetry.stalls import BEAT, SAMPLE_AFTER, TIMER, Books, Stalls, Used, kind_of, section

DUE = BEAT + TIMER


class Ledger:
    """The kernel's books, as the test writes them."""

    def __init__(self) -> None:
        self.used = Used(0.0, 0.0, 0.0, 0.0)

    def __call__(self) -> Used:
        return self.used

    def spend(self, clock: float, *, thread: float = 0.0, others: float = 0.0, waited: float = 0.0) -> None:
        used = self.used
        self.used = Used(
            used.clock + clock,
            used.thread + thread,
            used.process + thread + others,
            used.waited + waited,
        )


class Counts:
    def __init__(self) -> None:
        self.seen: list[tuple[str, float]] = []

    def __call__(self, kind: str) -> Counts.Kind:
        return Counts.Kind(self, kind)

    class Kind:
        def __init__(self, counts: Counts, kind: str) -> None:
            self._counts, self._kind = counts, kind

        def observe(self, value: float) -> None:
            self._counts.seen.append((self._kind, round(value, 6)))


class Loop:
    """A recorder whose beats come when the test says so."""

    def __init__(self) -> None:
        self.ledger, self.counts = Ledger(), Counts()
        # Its timer never comes; from its first beat on, the beats are as a busy loop's.
        self.lates: list[float] = []
        self.stalls = Stalls(
            self.counts,
            books=self.ledger,
            beat=3600.0,
            idle_beat=3600.0,
            on_beat=lambda late, now: self.lates.append(round(late, 6)),
        )
        self.stalls.start()
        self.stalls._beat = self.stalls._busy_beat = self.stalls._idle_beat = BEAT

    def turn(self, clock: float = DUE, **spent: float) -> list[tuple[str, float]]:
        """Beat, `clock` seconds later; the stalls that were counted since."""
        self.ledger.spend(clock, **spent)
        assert self.stalls._timer is not None
        self.stalls._timer.cancel()
        self.stalls._turn()
        seen, self.counts.seen = self.counts.seen, []
        return seen


@pytest.fixture
async def loop() -> AsyncIterator[Loop]:
    made = Loop()
    yield made
    made.stalls.close()
    assert stalls._recorder is None


@pytest.fixture
def free_signal() -> Iterator[None]:
    """The signal as a process of ours has it: pytest's timeouts have it here."""
    handler, (left, _) = signal.getsignal(signal.SIGALRM), signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    yield
    assert signal.getsignal(signal.SIGALRM) is signal.SIG_DFL
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
    signal.signal(signal.SIGALRM, handler)
    signal.setitimer(signal.ITIMER_REAL, left)


async def test_a_beat_in_time_is_no_stall(loop: Loop) -> None:
    assert loop.turn() == loop.turn(DUE + 0.0009, thread=0.0109) == []


async def test_a_late_beat_is_told_by_what_became_of_the_time(loop: Loop) -> None:
    assert loop.turn(DUE + 0.004, thread=0.004) == [("loop", 0.004)]
    assert loop.turn(DUE + 0.004, thread=0.001, waited=0.003) == [("scheduler", 0.004)]
    assert loop.turn(DUE + 0.004, thread=0.001, others=0.012) == [("threads", 0.004)]
    assert loop.turn(DUE + 0.004, thread=0.001) == [("blocked", 0.004)]
    # One that had work all the time did not sleep too long, whatever others did beside it.
    assert loop.turn(DUE + 0.004, thread=0.0135, others=0.014) == [("loop", 0.004)]


async def test_a_loop_without_work_beats_rarely(loop: Loop) -> None:
    loop.stalls._idle_beat = 10 * BEAT
    assert loop.turn(DUE) == loop.turn(10 * BEAT + TIMER) == []
    assert loop.turn(10 * BEAT + TIMER + 0.05, thread=0.05) == [("loop", 0.05)]
    assert loop.turn(DUE, thread=0.01) == loop.turn(DUE) == []


async def test_a_section_is_told_whole_and_explains_the_beat(loop: Loop) -> None:
    with section("swap"):
        loop.ledger.spend(0.005, thread=0.005)
    assert loop.turn(0.008, thread=0.001) == [("swap", 0.005)]
    with section("swap"):
        loop.ledger.spend(0.005, thread=0.001, waited=0.004)
    assert loop.turn(DUE, waited=0.001) == [("scheduler", 0.005)]
    # Nor does it explain what is much longer than itself.
    with section("swap"):
        loop.ledger.spend(0.002, thread=0.002)
    assert loop.turn(DUE + 0.02, thread=0.02) == [("swap", 0.002), ("loop", 0.022)]
    with section("short"):
        loop.ledger.spend(0.0009)
    assert loop.turn(0.009) == []


async def test_a_section_that_raises_is_timed_all_the_same(loop: Loop) -> None:
    def fail() -> None:
        with section("bad"):
            loop.ledger.spend(0.002, thread=0.002)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert loop.turn() == [("bad", 0.002)]


async def test_work_of_another_thread_is_no_stall_but_may_be_its_cause(loop: Loop) -> None:
    def work() -> None:
        with section("snapshot"):
            loop.ledger.spend(0.02, others=0.02)

    def go_on() -> None:
        with section("page"):
            began.set()
            ends.wait()

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert loop.turn(0.0) == [("threads", 0.009)]
    assert loop.stalls.ours[0].where == "snapshot"
    assert loop.turn(DUE + 0.004, others=0.02) == [("threads", 0.004)]
    assert loop.stalls.ours[0].where == ""
    began, ends = threading.Event(), threading.Event()
    thread = threading.Thread(target=go_on)
    thread.start()
    began.wait()
    # It has the interpreter's lock, perhaps, and is not let run itself.
    assert loop.turn(DUE + 0.004) == [("threads", 0.004)]
    assert loop.stalls.ours[0].where == "page"
    ends.set()
    thread.join()
    loop.turn()
    assert loop.turn(DUE + 0.004) == [("blocked", 0.004)]


async def test_a_collection_tells_of_itself(loop: Loop) -> None:
    def during(phase: str, _: dict[str, int]) -> None:
        if phase == "start":
            loop.ledger.spend(0.003, thread=0.003)

    gc.callbacks.append(during)
    try:
        gc.collect(1)
    finally:
        gc.callbacks.remove(during)
    assert loop.turn() == [("collection", 0.003)]
    assert loop.stalls.ours[0].where == "collection of generation 1"


async def test_the_last_ones_are_kept_and_all_are_counted(loop: Loop) -> None:
    for number in range(60):
        loop.turn(DUE + 0.001 * (number + 2), thread=1.0)
        loop.turn(DUE + 1.0, waited=1.0)
    view = await told(loop.stalls.views, "stalls")
    assert (view["count"], len(view["ours"]["entries"]), len(view["scheduler"]["entries"])) == (120, 50, 50)
    assert view["ours"]["entries"][0]["seconds"] == pytest.approx(0.061)
    assert {stall["kind"] for stall in view["scheduler"]["entries"]} == {"scheduler"}


async def test_without_a_recorder_a_section_is_nothing() -> None:
    with section("swap"):
        assert stalls._recorder is None


@pytest.mark.usefixtures("free_signal")
async def test_a_real_loop_that_is_held_shows_the_line_that_holds_it() -> None:
    counts = Counts()
    recorder = Stalls(counts)
    recorder.start()
    try:
        assert signal.getitimer(signal.ITIMER_REAL)[0] > 0
        _hold_until(lambda: bool(recorder._sampled))
        while not counts.seen:
            await asyncio.sleep(BEAT)
    finally:
        recorder.close()
    # Of a busy machine's scheduler, too.
    stall = next(stall for stall in [*recorder.ours, *recorder.schedulers] if stall.where)
    assert stall.seconds >= SAMPLE_AFTER - TIMER
    assert "croupier/telemetry/test_stalls.py:" in stall.where
    assert " _hold_until < " in stall.where


def _hold_until(is_over: Callable[[], bool]) -> None:
    while not is_over():
        sum(range(1_000))


async def test_a_signal_that_somebody_has_is_left_to_him() -> None:
    theirs = signal.getsignal(signal.SIGALRM)
    recorder = Stalls(Counts())
    recorder.start()
    recorder.close()
    assert signal.getsignal(signal.SIGALRM) is theirs is not signal.SIG_DFL


async def test_whoever_asks_is_told_how_late_each_beat_was(loop: Loop) -> None:
    loop.turn(DUE - 0.001)
    loop.turn(DUE + 0.25)
    assert loop.lates == [0.0, 0.25]


def test_the_kernels_books_go_up() -> None:
    books = Books()
    first = books()
    sum(range(100_000))
    used = books().since(first)
    assert min(used.clock, used.process, used.thread) > 0
    assert used.waited >= 0
    books.close()
    books.close()


@given(st.floats(0.001, 1), *[st.floats(0, 1)] * 3)
def test_every_late_beat_has_one_kind(late: float, thread: float, others: float, waited: float) -> None:
    used = Used(late + BEAT, thread, thread + others, waited)
    kind = kind_of(late, used, beat=BEAT)
    assert kind in {"scheduler", "threads", "blocked", "loop"}
    if waited >= late:
        assert kind == "scheduler"
    if thread > 0.51 * late and not waited:
        assert kind == "loop"
    assert kind_of(late, used, beat=BEAT, is_beside=True) in {kind, "threads"}
