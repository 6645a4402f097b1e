"""Threads give way alone: what one says of itself is no other's."""

import os
from concurrent.futures import ThreadPoolExecutor

from croupier.priority import NICE, step_back, take_short_slices


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
