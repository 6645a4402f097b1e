"""What changed lately, so that a router that was away for a moment needs no whole catalog."""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from dataclasses import dataclass

from sharding.generation import Generation
from version_manager.catalog import Delta
from version_manager.fleet import Cell
from version_manager.release import Model


@dataclass(frozen=True, slots=True)
class Change:
    """Everything that one step of the map changed, up to `revision`."""

    revision: int
    models: tuple[Model, ...] = ()
    removed: tuple[tuple[str, str], ...] = ()
    cells: tuple[Cell, ...] = ()
    removed_cells: tuple[str, ...] = ()
    # Active first, then previous; empty when neither changed.
    generations: tuple[Generation, ...] = ()

    @property
    def delta(self) -> Delta:
        return Delta(self.revision, self.models, self.removed)

    @property
    def size(self) -> int:
        """How many things changed."""
        return sum(map(len, (self.models, self.removed, self.cells, self.removed_cells, self.generations)))


class History:
    """The latest changes after `begin`, as many as hold `limit` things together.

    A change beyond the limit is not kept, and with it goes everything before: readers that need
    it are better served with a snapshot.
    """

    def __init__(self, begin: int, limit: int) -> None:
        self._begin = begin
        self._limit = limit
        self._size = 0
        self._changes: deque[Change] = deque()
        self.revision = begin

    def append(self, change: Change) -> None:
        self.revision = change.revision
        if not change.size:
            return
        self._changes.append(change)
        self._size += change.size
        while self._size > self._limit:
            oldest = self._changes.popleft()
            self._size -= oldest.size
            self._begin = oldest.revision

    def since(self, revision: int) -> tuple[Change, ...] | None:
        """The changes after `revision`, oldest first; None if some of them are not known here."""
        if not self._begin <= revision <= self.revision:
            return None
        if not self._changes or revision >= self._changes[-1].revision:
            return ()
        first = bisect_right(self._changes, revision, key=lambda change: change.revision)
        return tuple(self._changes[index] for index in range(first, len(self._changes)))
