import asyncio
import gc
import socket
import time
import weakref
from collections.abc import Callable
from functools import partial
from math import inf

import pytest
import uvloop
from hypothesis import given
from hypothesis import strategies as st

from router.wheel import Item, Wheel, drive

TICK = 0.01


class Alarm:
    """An item that notes when it expired."""

    slot: set[Item] | None = None

    def __init__(self) -> None:
        self.rang: list[float] = []

    def expire(self, now: float) -> None:
        assert self.slot is None
        self.rang.append(now)


@pytest.fixture
def wheel() -> Wheel:
    return Wheel(TICK)


def test_an_item_expires_at_its_moment_and_once(wheel: Wheel) -> None:
    alarm = Alarm()
    wheel.add(alarm, 1.0)
    wheel.advance(0.999)
    assert (alarm.rang, len(wheel)) == ([], 1)
    wheel.advance(1.0 + TICK)
    wheel.advance(2.0)
    assert (alarm.rang, len(wheel)) == ([1.0 + TICK], 0)


@given(st.lists(st.tuples(st.floats(0.0, 5.0), st.floats(0.0, 5.0)), max_size=30), st.floats(0.001, 0.5))
def test_nothing_expires_early_or_more_than_a_tick_late(
    moments: list[tuple[float, float]], step: float
) -> None:
    wheel, now, alarms = Wheel(TICK), 100.0, []
    for after, at in moments:
        alarm = Alarm()
        wheel.add(alarm, now + after + at)
        alarms.append((alarm, now + after + at))
    while now < 112.0:
        now += step
        wheel.advance(now)
        for alarm, at in alarms:
            if now >= at + TICK + 1e-9:
                assert len(alarm.rang) == 1
            if alarm.rang:
                assert alarm.rang[0] >= at
    assert len(wheel) == 0


def test_a_moment_that_has_passed_is_the_next_turns(wheel: Wheel) -> None:
    wheel.advance(10.0)
    alarm = Alarm()
    wheel.add(alarm, 3.0)
    assert alarm.rang == []
    wheel.advance(10.0 + TICK)
    assert alarm.rang == [10.0 + TICK]


def test_infinity_never_comes(wheel: Wheel) -> None:
    alarm = Alarm()
    wheel.add(alarm, inf)
    assert (len(wheel), alarm.slot) == (0, None)


def test_a_removed_item_does_not_expire_and_may_come_back(wheel: Wheel) -> None:
    alarm = Alarm()
    wheel.remove(alarm)
    wheel.add(alarm, 1.0)
    wheel.remove(alarm)
    wheel.remove(alarm)
    assert len(wheel) == 0
    wheel.advance(2.0)
    assert alarm.rang == []
    wheel.add(alarm, 3.0)
    wheel.advance(3.0 + TICK)
    assert alarm.rang == [3.0 + TICK]


def test_adding_again_moves_an_item(wheel: Wheel) -> None:
    alarm = Alarm()
    wheel.add(alarm, 1.0)
    wheel.add(alarm, 2.0)
    assert len(wheel) == 1
    wheel.advance(1.5)
    assert alarm.rang == []
    wheel.add(alarm, inf)
    assert len(wheel) == 0


def test_nothing_is_kept_alive_by_a_wheel_that_it_left(wheel: Wheel) -> None:
    gc.disable()
    try:
        alarm, other = Alarm(), Alarm()
        wheel.add(alarm, 1.0)
        wheel.add(other, 1.0)
        gone = weakref.ref(alarm)
        wheel.remove(alarm)
        del alarm
        assert gone() is None
    finally:
        gc.enable()


def test_an_item_may_wait_again_as_it_expires(wheel: Wheel) -> None:
    class Again(Alarm):
        def expire(self, now: float) -> None:
            super().expire(now)
            wheel.add(self, now)

    again = Again()
    wheel.add(again, 1.0)
    for now in (1.1, 1.2, 1.3):
        wheel.advance(now)
    # Once a turn, however late it is.
    assert again.rang == [1.1, 1.2, 1.3]


def test_an_item_may_take_another_one_out_as_it_expires(wheel: Wheel) -> None:
    class Pair(Alarm):
        other: "Pair"

        def expire(self, now: float) -> None:
            super().expire(now)
            wheel.remove(self.other)

    one, two = Pair(), Pair()
    one.other, two.other = two, one
    wheel.add(one, 1.0)
    wheel.add(two, 1.0)
    wheel.advance(2.0)
    assert len(one.rang) + len(two.rang) == 1
    assert len(wheel) == 0


def test_a_raise_keeps_no_other_item_from_expiring(wheel: Wheel) -> None:
    class Broken(Alarm):
        def expire(self, now: float) -> None:
            super().expire(now)
            raise ZeroDivisionError

    alarms = [Broken(), Alarm(), Broken(), Alarm()]
    for alarm in alarms:
        wheel.add(alarm, 1.0)
    for now in (1.1, 1.2):
        with pytest.raises(ZeroDivisionError):
            wheel.advance(now)
    wheel.advance(1.3)
    assert [len(alarm.rang) for alarm in alarms] == [1] * 4
    assert len(wheel) == 0


class Loop:
    """An event loop's timers, run by hand; what is called soon is called before the next of them."""

    def __init__(self) -> None:
        self.now = 50.0
        self.timers: list[tuple[float, Callable[[], None]]] = []
        self.soon: list[Callable[[], None]] = []
        self.set = 0

    def time(self) -> float:
        return self.now

    def call_later(self, delay: float, callback: Callable[..., None], *args: object) -> object:
        self.set += 1
        self.timers.append((self.now + delay, partial(callback, *args)))
        return partial(callback, *args)

    def call_soon(self, callback: Callable[..., None], *args: object) -> None:
        self.soon.append(partial(callback, *args))

    def run_until(self, now: float) -> None:
        while self.timers and self.timers[0][0] <= now:
            self.now, callback = self.timers.pop(0)
            callback()
            while self.soon:
                self.soon.pop(0)()
        self.now = now


def test_a_driven_wheel_has_one_timer_and_none_while_it_is_empty(wheel: Wheel) -> None:
    loop = Loop()
    drive(wheel, loop)  # type: ignore[arg-type]
    assert loop.timers == []
    alarms = [Alarm() for _ in range(100)]
    for number, alarm in enumerate(alarms):
        wheel.add(alarm, 51.0 + number / 1000)
        assert len(loop.timers) == 1
    loop.run_until(52.0)
    assert all(len(alarm.rang) == 1 for alarm in alarms)
    assert loop.timers == []


def test_a_wheel_that_is_filled_and_emptied_all_the_time_sets_one_timer_a_tick(wheel: Wheel) -> None:
    loop, alarm = Loop(), Alarm()
    drive(wheel, loop)  # type: ignore[arg-type]
    for _ in range(1000):
        wheel.add(alarm, 60.0)
        wheel.remove(alarm)
    assert loop.set == 1
    loop.run_until(51.0)
    assert loop.timers == []


def test_a_raise_does_not_stop_a_driven_wheel(wheel: Wheel) -> None:
    class Broken(Alarm):
        def expire(self, now: float) -> None:
            raise ZeroDivisionError

    loop, alarm = Loop(), Alarm()
    drive(wheel, loop)  # type: ignore[arg-type]
    wheel.add(Broken(), 50.1)
    wheel.add(alarm, 50.2)
    with pytest.raises(ZeroDivisionError):
        loop.run_until(51.0)
    loop.run_until(51.0)
    assert len(alarm.rang) == 1


async def test_it_turns_on_a_real_loop() -> None:
    loop = asyncio.get_running_loop()
    wheel, rang = Wheel(0.001), loop.create_future()

    class Bell(Alarm):
        def expire(self, now: float) -> None:
            rang.set_result(now)

    drive(wheel, loop)
    at = loop.time() + 0.02
    wheel.add(Bell(), at)
    assert await asyncio.wait_for(rang, 5.0) >= at


@pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_what_came_while_the_loop_had_much_to_do_is_read_first(
    new_loop: Callable[[], asyncio.AbstractEventLoop],
) -> None:
    """As answers do, it takes its item out of the wheel."""
    wheel, answered, silent = Wheel(TICK), Alarm(), Alarm()

    async def serve() -> None:
        loop = asyncio.get_running_loop()
        drive(wheel, loop)
        reads, peer = socket.socketpair()
        busy, trigger = socket.socketpair()
        with reads, peer, busy, trigger:

            def work() -> None:
                busy.recv(1)
                until = time.monotonic() + 3 * TICK
                while time.monotonic() < until:
                    pass
                peer.send(b"a")

            def read() -> None:
                reads.recv(1)
                wheel.remove(answered)

            loop.add_reader(busy, work)
            loop.add_reader(reads, read)
            wheel.add(answered, loop.time())
            wheel.add(silent, loop.time())
            trigger.send(b"t")
            while not silent.rang:
                await asyncio.sleep(0)
            loop.remove_reader(busy)
            loop.remove_reader(reads)

    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(serve())
    assert answered.rang == []
