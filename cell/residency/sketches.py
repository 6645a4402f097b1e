"""Small memories of what was asked for: which models went lately, and how often each is wanted.

Both are one flat array that grows with the number of resident models, and both take a model by its
digest: a SHA-256, whose bytes are as good as any hash.
"""

from __future__ import annotations

import struct
from array import array

_HASH = struct.Struct("<Q")
_FOUR = struct.Struct("<4I")
_WAYS = 8
_MOST = 15
_HALVED = bytes(count >> 1 for count in range(256))


class Ghosts:
    """Digests of models that went, as 8-byte hashes; the oldest are forgotten.

    The table is cut into sets of eight hashes, newest first; a digest belongs to one of them. So what is
    forgotten is the oldest of its set, about the oldest of all. It has room for half to all of as many
    hashes as there are resident models.
    """

    __slots__ = ("_mask", "_table")

    def __init__(self) -> None:
        self._mask = 0
        self._table = array("Q", bytes(8 * _WAYS))

    def __len__(self) -> int:
        return len(self._table)

    def fit(self, models: int) -> None:
        """Grow for so many resident models."""
        while len(self._table) * 2 <= models:
            self._grow()

    def add(self, digest: bytes) -> None:
        """Remember a model that goes."""
        (known,) = _HASH.unpack_from(digest)
        at = (known & self._mask) * _WAYS
        self._table[at : at + _WAYS] = array("Q", (known, *self._table[at : at + _WAYS - 1]))

    def take(self, digest: bytes) -> bool:
        """Whether the model is remembered; it is not any more then."""
        (known,) = _HASH.unpack_from(digest)
        start = (known & self._mask) * _WAYS
        ways = self._table[start : start + _WAYS]
        if known not in ways:
            return False
        ways.remove(known)
        ways.append(0)
        self._table[start : start + _WAYS] = ways
        return True

    def _grow(self) -> None:
        old = self._table
        self._mask = self._mask * 2 + 1
        self._table = array("Q", bytes(16 * len(old)))
        # Oldest first, so that each set is in order again.
        for start in range(0, len(old), _WAYS):
            for known in reversed(old[start : start + _WAYS]):
                if known:
                    self.add(_HASH.pack(known))


class Sketch:
    """About how often each model was asked for lately: a count-min sketch with ageing.

    Four counters a model, up to 15, of which the smallest counts and alone is raised (conservative
    update). All are halved after ten requests for each counted model, so old fame fades. Eight counters,
    a byte each, for every resident model. Source: Einziger, Friedman and Manes, "TinyLFU: A Highly
    Efficient Cache Admission Policy", 2017.
    """

    __slots__ = ("_counters", "_left", "_mask")

    def __init__(self) -> None:
        self._counters = bytearray(64)
        self._mask = len(self._counters) - 1
        self._left = self._period()

    def __len__(self) -> int:
        return len(self._counters)

    def fit(self, models: int) -> None:
        """Grow for so many resident models."""
        while len(self._counters) < models * 8:
            # Each counter twice: a digest finds the same value at its new place.
            self._counters *= 2
            self._mask = len(self._counters) - 1
            self._left = self._period()

    def add(self, digest: bytes) -> None:
        """One more request for a model."""
        counters, mask = self._counters, self._mask
        a, b, c, d = _FOUR.unpack_from(digest)
        places = (a & mask, b & mask, c & mask, d & mask)
        least = min([counters[place] for place in places])
        if least < _MOST:
            for place in places:
                if counters[place] == least:
                    counters[place] = least + 1
        self._left -= 1
        if self._left <= 0:
            self._age()

    def count(self, digest: bytes) -> int:
        """About how often it was asked for, never too little but for ageing."""
        counters, mask = self._counters, self._mask
        places: tuple[int, ...] = _FOUR.unpack_from(digest)
        return min([counters[place & mask] for place in places])

    def _age(self) -> None:
        self._counters = self._counters.translate(_HALVED)
        self._left = self._period()

    def _period(self) -> int:
        return 10 * len(self._counters) // 8
