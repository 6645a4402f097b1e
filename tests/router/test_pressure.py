"""What a router lets in by how late its loop is: a simulated loop, and the beats that it would see."""

from __future__ import annotations

from statistics import median

import pytest

from router.pressure import INTERVAL, LEAST, TARGET, Pressure

MOST = 4096
BEAT = 0.01


def beats(pressure: Pressure, lates: list[float], in_flight: int, now: float) -> float:
    for late in lates:
        now += BEAT + late
        pressure.beat(late, in_flight, now)
    return now


def test_one_long_turn_is_no_pressure() -> None:
    pressure, now = Pressure(MOST), 100.0
    for _ in range(50):
        now = beats(pressure, [1.0, 0.0, 0.0, TARGET, 10 * TARGET, 0.001], 1000, now)
    assert pressure.limit == MOST


def test_a_loop_that_is_late_for_a_while_lets_in_less_until_it_is_not() -> None:
    pressure = Pressure(MOST)
    now = beats(pressure, [2 * TARGET] * 6, 1000, 100.0)
    assert pressure.limit == 700
    now = beats(pressure, [2 * TARGET] * 100, 300, now)
    assert pressure.limit == LEAST
    now = beats(pressure, [0.0] * round(INTERVAL / BEAT), 300, now)
    assert LEAST < pressure.limit < 2 * LEAST
    beats(pressure, [0.0] * 3000, 300, now)
    assert pressure.limit == MOST


@pytest.mark.parametrize("rate", [2.0, 5.0])
def test_a_router_that_is_asked_for_too_much_answers_what_it_can_in_time(rate: float) -> None:
    """A request takes its loop a millisecond, half of it at each end, and a refusal a twentieth; cells 20."""
    pressure, now, answered = Pressure(MOST), 0.0, 0
    waiting: list[float] = []
    turns = [BEAT]
    for _ in range(2000):
        began, took = now, 0.0
        for _ in range(round(rate * 1000 * turns[-1])):
            if len(waiting) < pressure.limit:
                waiting.append(now + 0.02)
                took += 0.0005
            else:
                took += 0.00005
        done = [one for one in waiting if one <= now]
        waiting = [one for one in waiting if one > now]
        took += 0.0005 * len(done)
        answered += len(done)
        now += max(BEAT, took)
        turns.append(now - began)
        pressure.beat(max(0.0, took - BEAT), len(waiting), now)
    assert median(turns[1000:]) < 2 * TARGET
    assert answered / now > 500


def test_a_router_with_a_small_limit_of_its_own_has_no_higher_one() -> None:
    pressure = Pressure(10)
    beats(pressure, [2 * TARGET] * 100, 10, 0.0)
    assert pressure.limit == 10
