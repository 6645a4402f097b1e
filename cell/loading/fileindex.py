"""Which artifacts lie on the local disk: their sizes in order of use, and how a scan found them. Pure.

An artifact takes some 250 bytes here. Only names and sizes are kept, as objects that Python's garbage
collector does not walk: half a million of them cost it nothing.
"""

from __future__ import annotations

from array import array
from collections import OrderedDict
from collections.abc import Iterator
from typing import Any, TypeAlias

import numpy as np

Order: TypeAlias = np.ndarray[Any, np.dtype[np.int64]]


class FileIndex:
    """Digests and sizes, least recently used first; `bound` is how many bytes there may be."""

    def __init__(self, bound: int) -> None:
        self.bound = bound
        self.used = 0
        self._sizes: OrderedDict[bytes, int] = OrderedDict()

    def __contains__(self, digest: bytes) -> bool:
        return digest in self._sizes

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._sizes)

    def __len__(self) -> int:
        return len(self._sizes)

    def touch(self, digest: bytes) -> bool:
        """Make `digest` the most recently used; False when it is not here."""
        if digest not in self._sizes:
            return False
        self._sizes.move_to_end(digest)
        return True

    def add(self, digest: bytes, size: int) -> None:
        """Take `digest` in, as the most recently used."""
        self.remove(digest)
        self._sizes[digest] = size
        self.used += size

    def remove(self, digest: bytes) -> None:
        self.used -= self._sizes.pop(digest, 0)

    def shrink(self) -> list[bytes]:
        """Let go of the least recently used until the bound holds; returns who went."""
        victims = []
        while self.used > self.bound:
            victim, size = self._sizes.popitem(last=False)
            self.used -= size
            victims.append(victim)
        return victims

    def take_over(self, newer: FileIndex) -> None:
        """Put what `newer` has behind everything here, in its order."""
        for digest, size in newer._sizes.items():
            self.add(digest, size)


class Found:
    """Files of a folder as a scan finds them, in no order: columns, which cost little to sort."""

    def __init__(self) -> None:
        self._digests: list[bytes] = []
        self._sizes = array("q")
        self._times = array("q")

    def add(self, digest: bytes, size: int, modified: int) -> None:
        """`modified` is the file's modification time in any unit."""
        self._digests.append(digest)
        self._sizes.append(size)
        self._times.append(modified)

    def order(self) -> Order:
        """The places of what was found, oldest first. NumPy sorts without the interpreter lock."""
        return np.argsort(np.frombuffer(self._times, np.int64), kind="stable")

    def move(self, places: Order, index: FileIndex) -> None:
        """Add what stands at `places` to `index`."""
        for place in places.tolist():
            index.add(self._digests[place], self._sizes[place])
