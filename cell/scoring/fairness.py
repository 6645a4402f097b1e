"""Whose turn it is: that owner's, of all who wait, who has been served least.

Start-time fair queueing (Goyal, Vin and Cheng, SIGCOMM 1996), by cost: everybody who waits all the time gets
the same share, and who comes back after a pause neither pays for it nor has saved anything up: it begins
where those are who wait. So a request of somebody who asks little waits for what is being done, and for
nothing that others have queued.

An owner is a number that a router made of a tenant; requests without one have the same, 0. Pure.
"""

from __future__ import annotations

from collections.abc import Callable
from heapq import heapify, heappop, heappush

# Owners who do not wait are kept while they are ahead of those who do; more than so many are not.
_MOST_KEPT = 10_000


def anybody(owner: int) -> bool:
    return True


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

    def __contains__(self, owner: int) -> bool:
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

    def next(self, may: Callable[[int], bool] = anybody) -> int | None:
        """Whose turn it is, of those who wait and `may` have it; None if there is nobody."""
        passed = []
        found = None
        while self._order:
            entry = self._order[0]
            served, _, owner = entry
            if owner not in self._waiting or served != self._served[owner]:
                heappop(self._order)
            elif may(owner):
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
