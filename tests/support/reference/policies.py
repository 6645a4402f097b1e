"""The eviction policies once more, as plainly as can be: lists, whole scans, one victim at a time."""

from __future__ import annotations

from abc import ABC, abstractmethod


class Naive(ABC):
    """`sizes` of who is resident; a subclass names the next victim."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.sizes: dict[bytes, int] = {}

    def ask(self, key: bytes, size: int) -> bool:
        """Whether it was a hit; it is resident afterwards, unless it is too large."""
        if key in self.sizes:
            self.hit(key)
            return True
        if size > self.capacity:
            return False
        while self.total(self.sizes) + size > self.capacity:
            del self.sizes[self.victim()]
        self.sizes[key] = size
        self.enter(key)
        return False

    def total(self, keys: dict[bytes, int] | list[bytes]) -> int:
        return sum(self.sizes[key] for key in keys)

    @abstractmethod
    def hit(self, key: bytes) -> None: ...

    @abstractmethod
    def enter(self, key: bytes) -> None: ...

    @abstractmethod
    def victim(self) -> bytes:
        """Leaves every list."""


class NaiveLru(Naive):
    def __init__(self, capacity: int) -> None:
        super().__init__(capacity)
        self.order: list[bytes] = []

    def hit(self, key: bytes) -> None:
        self.order.remove(key)
        self.order.append(key)

    def enter(self, key: bytes) -> None:
        self.order.append(key)

    def victim(self) -> bytes:
        return self.order.pop(0)


class NaiveS3Fifo(Naive):
    def __init__(self, capacity: int) -> None:
        super().__init__(capacity)
        self.small: list[bytes] = []
        self.main: list[bytes] = []
        # As many as the real one remembers of fewer than 16 models.
        self.ghosts: list[bytes] = []
        self.uses: dict[bytes, int] = {}

    def hit(self, key: bytes) -> None:
        self.uses[key] = min(3, self.uses[key] + 1)

    def enter(self, key: bytes) -> None:
        self.uses[key] = 0
        if key in self.ghosts:
            self.ghosts.remove(key)
            self.main.append(key)
        else:
            self.small.append(key)

    def victim(self) -> bytes:
        while True:
            if self.small and (self.total(self.small) > self.capacity // 10 or not self.main):
                key = self.small.pop(0)
                if not self.uses[key]:
                    self.ghosts = [*self.ghosts, key][-8:]
                    return key
                self.uses[key] = 0
                self.main.append(key)
            else:
                key = self.main.pop(0)
                if not self.uses[key]:
                    return key
                self.uses[key] -= 1
                self.main.append(key)
