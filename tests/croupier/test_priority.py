"""Threads give way alone: what one says of itself is no other's."""

import os
from concurrent.futures import ThreadPoolExecutor

import pytest
from support.slices import slice_microseconds

from croupier.priority import (
    LONG_SLICE_MICROSECONDS,
    NICE,
    SLICE_MICROSECONDS,
    step_back,
    take_long_slices,
    take_short_slices,
)


def priority() -> int:
    return os.getpriority(os.PRIO_PROCESS, 0)


def test_a_thread_steps_back_and_its_process_does_not() -> None:
    before = priority()
    with ThreadPoolExecutor(1, initializer=step_back) as pool:
        assert pool.submit(priority).result() == min(19, before + NICE)
    assert priority() == before


def test_short_slices_change_no_priority() -> None:
    def shortened() -> tuple[int, int]:
        take_short_slices()
        return priority(), os.sched_getscheduler(0)

    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(shortened).result() == (priority(), os.sched_getscheduler(0))


def test_a_thread_inherits_short_slices_unless_it_takes_long_ones() -> None:
    def started() -> list[int]:
        take_short_slices()
        found = [slice_microseconds()]
        for initializer in (None, take_long_slices):
            with ThreadPoolExecutor(1, initializer=initializer) as pool:
                found.append(pool.submit(slice_microseconds).result())
        return [*found, priority()]

    with ThreadPoolExecutor(1) as pool:
        short, inherited, long, same = pool.submit(started).result()
    if not short:
        pytest.skip("this kernel has no slices of threads")
    assert (short, inherited, long) == (SLICE_MICROSECONDS, SLICE_MICROSECONDS, LONG_SLICE_MICROSECONDS)
    assert same == priority()
