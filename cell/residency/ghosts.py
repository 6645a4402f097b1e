"""A small memory of which models went lately.

One flat array that grows with the number of resident models. It takes a model by its digest: a SHA-256, whose
bytes are as good as any hash.
"""

from __future__ import annotations

import struct
from array import array

_HASH = struct.Struct("<Q")
_WAYS = 8


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
