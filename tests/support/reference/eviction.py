"""The eviction policies of the benches as plainly as can be, as `policies` has those of the cell."""

from __future__ import annotations

from support.reference.policies import Naive

from bench.eviction import Sketch


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
