"""What changed lately, so that a router that was away for a moment needs no whole catalog."""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from dataclasses import dataclass, fields
from itertools import islice
from operator import itemgetter

from sharding.generation import Generation
from version_manager.model.catalog import Delta
from version_manager.model.family import Family, FamilyKey
from version_manager.model.fleet import Cell
from version_manager.model.limits import Limits


@dataclass(frozen=True, slots=True)
class Change:
    """Everything that one step of the map changed, up to `revision`."""

    # First; whatever else is here are things, which `size` counts.
    revision: int
    # Records of models, as a catalog has them.
    records: tuple[bytes, ...] = ()
    removed: tuple[tuple[str, str], ...] = ()
    cells: tuple[Cell, ...] = ()
    removed_cells: tuple[str, ...] = ()
    # Active first, then previous; empty when neither changed.
    generations: tuple[Generation, ...] = ()
    # To how many of 10,000 tenants the active one deals; None when that did not change.
    ramp: int | None = None
    # Tenants' own; NO_LIMITS: none any more. And the default; None when that did not change.
    limits: tuple[tuple[str, Limits], ...] = ()
    default_limits: Limits | None = None
    # Of families and models; None: there is none any more.
    families: tuple[tuple[FamilyKey, Family | None], ...] = ()

    @property
    def delta(self) -> Delta:
        return Delta(self.revision, self.records, self.removed)

    @property
    def size(self) -> int:
        """How many things changed."""
        found = (getattr(self, field.name) for field in fields(self)[1:])
        return sum(len(one) if isinstance(one, tuple) else one is not None for one in found)


class History:
    """The latest changes after `begin`, as many as hold `limit` things together.

    A change beyond the limit is not kept, and with it goes everything before: readers that need
    it are better served with a snapshot.

    A reader comes with a revision, once, and goes on by positions: while the map is frozen its revision
    stands, and cells change nevertheless (`append_standing`). Who comes with that revision gets all of those,
    some perhaps again, which changes nothing.
    """

    def __init__(self, begin: int, limit: int) -> None:
        # A change sorts by its revision, behind the one that led to it if the revision stood.
        self._begin = (begin, False)
        self._limit = limit
        self._size = 0
        self._changes: deque[tuple[tuple[int, bool], Change]] = deque()
        self._dropped = 0
        self.revision = begin

    @property
    def position(self) -> int:
        """Behind the latest change."""
        return self._dropped + len(self._changes)

    @property
    def told(self) -> int:
        """The revision of the latest change that is kept or was: what a reader has that has all."""
        return self._changes[-1][0][0] if self._changes else self._begin[0]

    def append(self, change: Change) -> None:
        """`change` led to its revision."""
        self.revision = change.revision
        self._keep((change.revision, False), change)

    def append_standing(self, change: Change) -> None:
        """`change` came while the revision stood."""
        self._keep((self.revision, True), change)

    def position_of(self, revision: int) -> int | None:
        """Where a reader that has everything up to `revision` goes on; None if that is not known here."""
        at = (revision, False)
        if not self._begin <= at <= (self.revision, False):
            return None
        if not self._changes or at >= self._changes[-1][0]:
            return self.position
        return self._dropped + bisect_right(self._changes, at, key=itemgetter(0))

    def after(self, position: int) -> tuple[Change, ...] | None:
        """The changes behind `position`, oldest first; None if some of them are not kept any more."""
        if position < self._dropped:
            return None
        return tuple(change for _, change in islice(self._changes, position - self._dropped, None))

    def _keep(self, key: tuple[int, bool], change: Change) -> None:
        if not change.size:
            return
        self._changes.append((key, change))
        self._size += change.size
        while self._size > self._limit:
            self._begin, oldest = self._changes.popleft()
            self._size -= oldest.size
            self._dropped += 1
