"""Counts of many keys that only grow, with what they were some seconds ago: rates are the differences.

A row a key, in one matrix; every few seconds it is copied, and a window is the difference to the copy that is
just older. Of so many keys at most, that which changed longest ago makes room for a new one, so that memory
is bounded whatever is counted: a word for each column of a key, and half a word in each copy.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

STEP = 5.0
# Seconds of the windows; they are up to a step longer.
WINDOWS = (10.0, 60.0)
_COPIES = int(WINDOWS[-1] / STEP) + 2
_FIRST_ROWS = 64

Matrix: TypeAlias = NDArray[np.uint64]


class Key(NamedTuple):
    """A tenant, or with `model` one of its versions."""

    tenant: str
    model: str = ""
    version: int = 0


class Window(NamedTuple):
    """What was added in the last `seconds`, in the order of the table's keys."""

    seconds: float
    counts: Matrix


class RateTable:
    """At most `most` keys with `columns` counts each; `clock` is monotonic, in seconds."""

    def __init__(self, columns: int, most: int, clock: Callable[[], float]) -> None:
        self._most = most
        self._clock = clock
        self._began = clock()
        self._steps = 0
        # That which changed longest ago first.
        self._rows: OrderedDict[Key, int] = OrderedDict()
        self._counts: Matrix = np.zeros((min(most, _FIRST_ROWS), columns), np.uint64)
        self._since = np.full(len(self._counts), self._began)
        # What the counts were, and when; without those rows that came later. Several may be the same copy.
        self._copies: deque[tuple[float, NDArray[np.uint32]]] = deque(maxlen=_COPIES)
        self._copies.append((self._began, np.zeros((0, columns), np.uint32)))

    @property
    def keys(self) -> list[Key]:
        return list(self._rows)

    @property
    def nbytes(self) -> int:
        """The memory of the counts."""
        copies = {id(copy): copy.nbytes for _, copy in self._copies}
        return self._counts.nbytes + self._since.nbytes + sum(copies.values())

    def add(self, keys: Sequence[Key], counts: Matrix) -> None:
        """Add a row of `counts` to each of `keys`, which are different ones, and no more than `most`."""
        self._advance()
        for key in keys:
            if key in self._rows:
                self._rows.move_to_end(key)
        rows = [self._row(key) for key in keys]
        self._counts[rows] += counts

    def windows(self) -> list[Window]:
        """What was added lately, for each of `WINDOWS`."""
        self._advance()
        now, rows = self._clock(), list(self._rows.values())
        found = []
        for seconds in WINDOWS:
            at, copy = self._copies[0]
            for at_next, copy_next in self._copies:
                if at_next <= now - seconds:
                    at, copy = at_next, copy_next
            # Modulo 2^32: what is added in a minute is less.
            grown = self._counts.astype(np.uint32)
            grown[: len(copy)] -= copy
            found.append(Window(now - at, grown[rows].astype(np.uint64)))
        return found

    def total(self) -> tuple[NDArray[np.float64], Matrix]:
        """For how many seconds each key has been known, and all that was added to it."""
        rows = list(self._rows.values())
        return self._clock() - self._since[rows], self._counts[rows]

    def _row(self, key: Key) -> int:
        row = self._rows.get(key)
        if row is not None:
            return row
        if len(self._rows) < self._most:
            row = len(self._rows)
            if row == len(self._counts):
                self._grow()
        else:
            _, row = self._rows.popitem(last=False)
            self._counts[row] = 0
            for _, copy in self._copies:
                copy[row : row + 1] = 0
        self._since[row] = self._clock()
        self._rows[key] = row
        return row

    def _grow(self) -> None:
        more = min(len(self._counts), self._most - len(self._counts))
        self._counts = np.pad(self._counts, ((0, more), (0, 0)))
        self._since = np.pad(self._since, (0, more))

    def _advance(self) -> None:
        """Copy the counts for the steps that have passed: nothing was added since the first of them."""
        passed = int((self._clock() - self._began) / STEP)
        if passed == self._steps:
            return
        copy = self._counts[: len(self._rows)].astype(np.uint32)
        for step in range(max(self._steps, passed - _COPIES) + 1, passed + 1):
            self._copies.append((self._began + step * STEP, copy))
        self._steps = passed
