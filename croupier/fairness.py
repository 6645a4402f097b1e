"""Whose turn it is: that owner's, of all who wait, who has been served least; what is shed first comes last.

Start-time fair queueing (Goyal, Vin and Cheng, SIGCOMM 1996), by cost: everybody who waits all the time gets
the same share, and who comes back after a pause neither pays for it nor has saved anything up: it begins
where those are who wait. So a request of somebody who asks little waits for what is being done, and for
nothing that others have queued.

An owner is a number that a router made of a tenant; requests without one have the same, 0.

**Priorities** (`priorities.py`) come one after the other (`Ranks`): what is lower has its turn when nothing
higher waits, and after every `PATIENCE` turns in which it was passed over, so that it does not starve. Within
one, owners share.

Pure; compiled with the types of `fairness.pxd`, since every call that waits for a turn takes these steps:
uncompiled, a put-off request of many rows costs a cell a twentieth more (`python -m bench cell`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from heapq import heapify, heappop, heappush
from typing import TypeAlias

from croupier.priorities import PRIORITIES

# Turns of what is higher after which what is lower has one.
PATIENCE = 20
# Owners who do not wait are kept while they are ahead of those who do; more than so many are not.
_MOST_KEPT = 10_000
# The same as C's, for what every turn asks.
_priorities, _patience = PRIORITIES, PATIENCE

# What waits in a cell, by its priority and whose it is.
Who: TypeAlias = tuple[int, int]


class Shares:
    """Costs are in any unit; every step takes the logarithm of how many wait."""

    def __init__(self) -> None:
        # Where the owner is, in what it has cost: of those who wait, and those who are ahead of them.
        self._served: dict[int, float] = {}
        self._waiting: set[int] = set()
        # (served, when it came, owner); entries that say another figure than `_served` are passed over.
        self._order: list[tuple[float, int, int]] = []
        self._entries = 0
        # Where the last one was whose turn it was.
        self._now = 0.0

    def __len__(self) -> int:
        return len(self._waiting)

    def __contains__(self, owner: object) -> bool:
        return owner in self._waiting

    def join(self, owner: int) -> None:
        """The owner has something that waits; again does nothing."""
        if owner not in self._waiting:
            self._waiting.add(owner)
            self._served[owner] = max(self._now, self._served.get(owner, 0.0))
            self._push(owner)

    def leave(self, owner: int) -> None:
        """Nothing of the owner waits any more."""
        self._waiting.discard(owner)
        if self._served.get(owner, self._now) <= self._now:
            self._served.pop(owner, None)
        if not self._waiting:
            self._order.clear()
        if len(self._served) > _MOST_KEPT + len(self._waiting):
            self._served = {one: self._served[one] for one in self._waiting}

    def charge(self, owner: int, cost: float) -> None:
        """The owner was served; below 0 to take back what was charged too much."""
        if owner not in self._served:
            self._served[owner] = self._now
        self._served[owner] += cost
        if owner in self._waiting:
            self._push(owner)

    def next(self, may: Callable[[int], bool] | None = None) -> int | None:
        """Whose turn it is, of those who wait and, where that is asked, `may` have it; None for nobody."""
        passed = []
        found = None
        while self._order:
            entry = self._order[0]
            served, _, owner = entry
            if owner not in self._waiting or served != self._served[owner]:
                heappop(self._order)
            elif may is None or may(owner):
                self._now = max(self._now, served)
                found = owner
                break
            else:
                passed.append(heappop(self._order))
        for entry in passed:
            heappush(self._order, entry)
        return found

    def _push(self, owner: int) -> None:
        self._entries += 1
        heappush(self._order, (self._served[owner], self._entries, owner))
        if len(self._order) > 2 * len(self._waiting) + 64:
            newest = {
                one: (self._served[one], place, one) for _, place, one in self._order if one in self._waiting
            }
            self._order = [*newest.values()]
            heapify(self._order)


class Patience:
    """Which priority is next: the highest, or one that was passed over for long enough."""

    def __init__(self) -> None:
        # Turns since each had one, while it waited.
        self._passed = [0] * PRIORITIES

    def order(self, waiting: Sequence[object]) -> list[int]:
        """The priorities of which anything is `waiting`, the next one first, and so on."""
        all_ = [priority for priority in range(_priorities) if waiting[priority]]
        return [priority for priority in all_ if priority and self._passed[priority] >= _patience] + all_

    def turn(self, taken: int, waiting: Sequence[object]) -> None:
        """A turn went to `taken`."""
        for priority in range(taken + 1, _priorities):
            self._passed[priority] = self._passed[priority] + 1 if waiting[priority] else 0
        self._passed[taken] = 0


class Ranks:
    """Shares for each priority, and which one is next."""

    def __init__(self) -> None:
        self._shares: list[Shares] = [Shares() for _ in range(PRIORITIES)]
        self._patience = Patience()

    def __len__(self) -> int:
        """How many wait; of more than one priority, an owner counts with each."""
        return sum(map(len, self._shares))

    def count(self, priority: int) -> int:
        """How many wait with this priority."""
        return len(self._shares[priority])

    def join(self, priority: int, owner: int) -> None:
        shares = self._shares[priority]
        shares.join(owner)

    def leave(self, priority: int, owner: int) -> None:
        shares = self._shares[priority]
        shares.leave(owner)

    def charge(self, priority: int, owner: int, cost: float) -> None:
        """As `Shares.charge`."""
        shares = self._shares[priority]
        shares.charge(owner, cost)

    def next(self, may: Callable[[int], bool] | None = None) -> Who | None:
        """Whose turn it is; whoever takes it says so with `turn`."""
        for priority in self._patience.order(self._shares):
            shares = self._shares[priority]
            owner = shares.next(may)
            if owner is not None:
                return priority, owner
        return None

    def turn(self, priority: int) -> None:
        """Something of this priority was taken."""
        self._patience.turn(priority, self._shares)
