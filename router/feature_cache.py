"""What was read of the feature store lately, for a while and within a bound of bytes.

What is not there is remembered too: an entity without features is asked for as often as one with them.
Entries leave in the order that they came, which is nearly that in which they expire. Pure: the time is an
argument.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Generic, TypeVar

T = TypeVar("T")

# Beside what an entry holds: its key, its place in the dictionary and the tuple around it.
_OVERHEAD_BYTES = 300


class Recent(Generic[T]):
    """Values by key until their moment, of at most `most_bytes` as whoever puts them counts them."""

    def __init__(self, most_bytes: int) -> None:
        # With the moment until when it holds, and its size.
        self._held: dict[Hashable, tuple[T, float, int]] = {}
        self._most = most_bytes
        self.size = 0

    def __len__(self) -> int:
        return len(self._held)

    def get(self, key: Hashable, now: float) -> T | None:
        """The value, if it is there and holds; what may be None lies in something else."""
        held = self._held.get(key)
        return None if held is None or held[1] <= now else held[0]

    def put(self, key: Hashable, value: T, until: float, size: int) -> None:
        """Hold `value`, which has about `size` bytes, until `until`."""
        size += _OVERHEAD_BYTES
        self._drop(key)
        if size > self._most:
            return
        while self.size + size > self._most:
            self._drop(next(iter(self._held)))
        self._held[key] = value, until, size
        self.size += size

    def _drop(self, key: Hashable) -> None:
        held = self._held.pop(key, None)
        if held is not None:
            self.size -= held[2]
