"""Work is done at a low priority, unless it is late."""

import asyncio
import os
import sys
import threading
from collections.abc import Iterator

import pytest

from logger.threads import NICE, Threads

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="a priority is a process's there")


@pytest.fixture
def threads() -> Iterator[Threads]:
    threads = Threads()
    yield threads
    threads.close()


def priority() -> int:
    return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())


async def test_it_gives_way_until_it_is_late_and_again_when_it_is_not(threads: Threads) -> None:
    own = priority()
    threads.hurry(False)
    assert await asyncio.to_thread(priority) == max(own, NICE)
    threads.hurry(True)
    assert await asyncio.to_thread(priority) == own
    threads.hurry(False)
    assert await asyncio.to_thread(priority) == max(own, NICE)
    assert priority() == own


async def test_whoever_was_started_lower_stays_there(
    threads: Threads, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[int] = []
    monkeypatch.setattr(os, "getpriority", lambda *_: 15)
    monkeypatch.setattr(os, "setpriority", lambda kind, thread, nice: told.append(nice))
    threads.hurry(False)
    await asyncio.to_thread(int)
    assert told == [15]


async def test_a_host_that_lets_nobody_change_it_is_none_to_fail_on(
    threads: Threads, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: int) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "setpriority", refused)
    threads.hurry(False)
    assert await asyncio.to_thread(int) == 0
