"""Who stays in memory whatever the policy says: pinned models, and groups with a floor.

A group is whatever its name's giver means by it (a cell knows no tenants). While a group is at its
floor, none of its models may go; neither may a pinned one. Victims that may not go are parked: taken out
of the policy's queues, so that the next search does not meet them again. They come back as soon as
they may go, in front of all others, since they were the next victims when they were parked.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import NamedTuple

from cell.residency.entries import Entry, Queue
from croupier.errors import FailedPrecondition


class KeptTooMuch(FailedPrecondition):
    """Pins and floors would leave too little for everybody else. The operator's."""

    reason = "KEPT_TOO_MUCH"


class Group:
    """Models that share a floor: how many are resident, of how many bytes, and who of them is parked."""

    __slots__ = ("floor", "members", "name", "parked", "used")

    def __init__(self, name: Hashable) -> None:
        self.name = name
        self.floor = 0
        self.members = 0
        self.used = 0
        self.parked = Queue()

    def is_loose(self) -> bool:
        """Whether the first of the parked may go by now."""
        first = self.parked.end.newer
        return first is not self.parked.end and self.used - first.size >= self.floor


class Kept(NamedTuple):
    """Bytes that pins and floors keep."""

    pinned: int
    floors: int


class Floors:
    """The pins and groups of one cell.

    Pinned bytes and floors together may take `share` of the capacity.
    """

    def __init__(self, share: float) -> None:
        self.share = share
        self._groups: dict[Hashable, Group] = {}
        self._pinned: set[bytes] = set()
        self._pinned_bytes = 0
        self._floor_bytes = 0
        self._parked = Queue()
        # Groups that have grown, or whose floor has sunk, while some of their models are parked.
        self._changed: dict[Hashable, Group] = {}

    @property
    def kept(self) -> Kept:
        return Kept(self._pinned_bytes, self._floor_bytes)

    def pin(self, entry: Entry, capacity: int) -> None:
        """Raises KeptTooMuch; a second pin does nothing."""
        if entry.digest not in self._pinned:
            self._check(entry.size, capacity)
            self._pinned.add(entry.digest)
            self._pinned_bytes += entry.size

    def unpin(self, entry: Entry) -> bool:
        """The model may go again; whether it stands parked for its pin."""
        return self._forget_pin(entry) and entry.queue is self._parked

    def set_floor(self, name: Hashable, floor: int, capacity: int) -> None:
        """Raises KeptTooMuch; 0 takes the floor away."""
        if floor < 0:
            raise ValueError("a floor cannot be below 0")
        group = self._groups.get(name) or Group(name)
        if floor > group.floor:
            self._check(floor - group.floor, capacity)
        self._floor_bytes += floor - group.floor
        group.floor = floor
        self._groups[name] = group
        self._settle(group)

    def group(self, name: Hashable) -> Group:
        """The group of a model that is about to come in."""
        group = self._groups.get(name)
        if group is None:
            group = self._groups[name] = Group(name)
        return group

    def came(self, entry: Entry) -> None:
        """An entry has been admitted."""
        group: Group | None = entry.group
        if group is not None:
            group.members += 1
            group.used += entry.size
            self._settle(group)

    def went(self, entry: Entry) -> None:
        """An entry has been evicted."""
        self._forget_pin(entry)
        group: Group | None = entry.group
        if group is not None:
            group.members -= 1
            group.used -= entry.size
            self._settle(group)

    def parking(self, entry: Entry) -> Queue | None:
        """Where an entry is parked that may not go; None when it may."""
        if entry.digest in self._pinned:
            return self._parked
        group: Group | None = entry.group
        if group is not None and group.used - entry.size < group.floor:
            return group.parked
        return None

    def queues(self) -> tuple[Queue, ...]:
        """Where entries are parked now."""
        return (self._parked, *(group.parked for group in self._groups.values() if group.parked.count))

    def freed(self) -> list[Entry]:
        """Parked models that may go by now, still standing where they are parked."""
        found = []
        for group in self._changed.values():
            spare = group.used - group.floor
            for entry in group.parked:
                spare -= entry.size
                if spare < 0:
                    break
                found.append(entry)
        self._changed.clear()
        return found

    def _settle(self, group: Group) -> None:
        if not group.members and not group.floor:
            self._groups.pop(group.name, None)
            self._changed.pop(group.name, None)
        elif group.is_loose():
            self._changed[group.name] = group

    def _forget_pin(self, entry: Entry) -> bool:
        if entry.digest not in self._pinned:
            return False
        self._pinned.discard(entry.digest)
        self._pinned_bytes -= entry.size
        return True

    def _check(self, more: int, capacity: int) -> None:
        kept = self._pinned_bytes + self._floor_bytes + more
        if kept > self.share * capacity:
            raise KeptTooMuch(
                f"pins and floors would keep {kept} bytes; at most {self.share:.0%} of {capacity} may be kept"
            )
