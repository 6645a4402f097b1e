"""The eviction policies once more, as plainly as can be: lists, whole scans, one victim at a time."""

from __future__ import annotations

from bench.eviction import Sketch


class Naive:
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

    def hit(self, key: bytes) -> None:
        raise NotImplementedError

    def enter(self, key: bytes) -> None:
        raise NotImplementedError

    def victim(self) -> bytes:
        """Leaves every list."""
        raise NotImplementedError


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


class NaiveSieve(Naive):
    def __init__(self, capacity: int) -> None:
        super().__init__(capacity)
        # Oldest first.
        self.order: list[bytes] = []
        self.visited: set[bytes] = set()
        self.hand = 0

    def hit(self, key: bytes) -> None:
        self.visited.add(key)

    def enter(self, key: bytes) -> None:
        self.order.append(key)

    def victim(self) -> bytes:
        while self.order[self.hand] in self.visited:
            self.visited.discard(self.order[self.hand])
            self.hand = (self.hand + 1) % len(self.order)
        key = self.order.pop(self.hand)
        # Beyond the newest it begins at the oldest, whoever comes in meanwhile.
        if self.hand == len(self.order):
            self.hand = 0
        return key


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


class NaiveWTinyLfu(Naive):
    def __init__(self, capacity: int) -> None:
        super().__init__(capacity)
        self.window: list[bytes] = []
        self.probation: list[bytes] = []
        self.protected: list[bytes] = []
        self.lost: list[bytes] = []
        self.sketch = Sketch()

    def hit(self, key: bytes) -> None:
        self.sketch.add(key)
        for segment in (self.window, self.protected):
            if key in segment:
                segment.remove(key)
                segment.append(key)
                return
        if key in self.lost:
            self.lost.remove(key)
            self.probation.append(key)
            return
        self.probation.remove(key)
        self.protected.append(key)
        limit = int((self.capacity - self.capacity // 100) * 0.8)
        while self.total(self.protected) > limit and len(self.protected) > 1:
            self.probation.append(self.protected.pop(0))

    def enter(self, key: bytes) -> None:
        self.sketch.add(key)
        self.window.append(key)
        while self.total(self.window) > self.capacity // 100:
            candidate = self.window.pop(0)
            if self.probation and self.sketch.count(candidate) <= self.sketch.count(self.probation[0]):
                self.lost.append(candidate)
            else:
                self.probation.append(candidate)

    def victim(self) -> bytes:
        for segment in (self.lost, self.probation, self.protected, self.window):
            if segment:
                return segment.pop(0)
        raise AssertionError("nobody is resident")
