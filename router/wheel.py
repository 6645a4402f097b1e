"""A timer wheel: very many moments, nearly all of them removed before they come.

A deadline or a retry moment stands beside every request, and almost no request lives to see it. So
moments are rounded up to ticks, and whatever is due in one tick lies in one set: adding and removing
are one set operation each, less than `call_later` and `cancel` take on uvloop, and
a thousand requests a tick cost the event loop one timer, not a thousand.

`Wheel` is pure: the time is an argument, in seconds on a monotonic clock. `drive` turns it on an asyncio
loop, and holds no timer while there is nothing to wait for. A loop that comes late, since its process stood
still or had much to do, has not read yet what came meanwhile. So the wheel turns only once it has: or all
that was in flight would be overdue at once, with its answers in the sockets.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from heapq import heappop, heappush
from math import inf
from typing import Protocol


class Item(Protocol):
    """What waits in a wheel. `slot` is the wheel's own, and None in the beginning."""

    slot: set[Item] | None

    def expire(self, now: float) -> None:
        """The moment has come; the item is no longer in the wheel, and may be added again."""


class Wheel:
    """Items and their moments; no item expires before its moment, or more than a `tick` after it.

    `on_first` is called when something is added to an empty wheel.
    """

    def __init__(self, tick: float = 0.005) -> None:
        self.tick = tick
        self.on_first: Callable[[], None] | None = None
        self._per_second = 1.0 / tick
        # Ticks count from the clock's zero. `_ticks` is a heap of the keys of `_slots`.
        self._slots: dict[int, set[Item]] = {}
        self._ticks: list[int] = []
        self._turned = 0
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, item: Item, at: float) -> None:
        """Let `item` expire at `at`; infinity never comes. An item that waits already is moved."""
        if item.slot is not None:
            self.remove(item)
        if at == inf:
            return
        tick = int(at * self._per_second) + 1
        if tick <= self._turned:
            # Late already: it waits for the next turn, since nothing expires inside `add`.
            tick = self._turned + 1
        slot = self._slots.get(tick)
        if slot is None:
            slot = self._slots[tick] = set()
            heappush(self._ticks, tick)
        slot.add(item)
        item.slot = slot
        self._count += 1
        if self._count == 1 and self.on_first is not None:
            self.on_first()

    def remove(self, item: Item) -> None:
        """Forget `item`, at once and wholly; nothing if it does not wait here."""
        slot = item.slot
        if slot is not None:
            slot.remove(item)
            item.slot = None
            self._count -= 1

    def advance(self, now: float) -> None:
        """Expire everything that is due; what `expire` adds waits for the next turn."""
        self._turned = max(self._turned, int(now * self._per_second))
        # A raise in `expire` leaves the rest of its slot in place, for the next turn.
        while self._ticks and self._ticks[0] <= self._turned:
            slot = self._slots[self._ticks[0]]
            while slot:
                item = slot.pop()
                item.slot = None
                self._count -= 1
                item.expire(now)
            del self._slots[heappop(self._ticks)]
        if not self._count:
            self._slots.clear()
            self._ticks.clear()


def drive(wheel: Wheel, loop: asyncio.AbstractEventLoop) -> None:
    """Turn `wheel` by the time of `loop`: one timer a tick while anything waits, none otherwise."""
    timer: asyncio.TimerHandle | None = None

    def arm() -> None:
        nonlocal timer
        # The last timer may still run, for a wheel that was emptied since.
        if timer is None:
            timer = loop.call_later(wheel.tick, read_first, 2)

    def read_first(turns: int) -> None:
        # Timers, sockets and what is called soon have another order in each loop, and two turns are enough.
        if turns:
            loop.call_soon(read_first, turns - 1)
        else:
            turn()

    def turn() -> None:
        nonlocal timer
        timer = None
        try:
            wheel.advance(loop.time())
        finally:
            if len(wheel):
                arm()

    wheel.on_first = arm
