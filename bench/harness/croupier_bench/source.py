"""What a worker sends: which requests are due when, piece by piece, and their bytes.

A source is made once for a run and given to each worker, which takes its part. Nearly all of a usual run is
drawn before it begins; of a long one the rest is drawn while it goes on, in pieces that take a fraction of a
millisecond, so that its memory does not grow with its length.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from croupier_bench import arrivals
from croupier_bench.mix import Mix
from croupier_bench.requests import Prepared
from croupier_bench.scenario import Scenario

# Requests at a time.
PIECE = 4096
# So many are drawn before a run begins.
AHEAD = 4_000_000
# Of a closed loop, which nothing holds up: it sends when it is answered.
AHEAD_CLOSED = 16 * PIECE


@dataclass(frozen=True, slots=True)
class Part:
    """Requests in the order in which they are due, in seconds from where the warm-up begins."""

    due: NDArray[np.float64]
    class_index: NDArray[np.int16]
    model_index: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.due)


class Asking(Protocol):
    """The bytes of requests; `requests.Prepared` is one."""

    def message(self, class_index: int, model_index: int, number: int) -> bytes: ...
    def metadata(self, class_index: int, model_index: int) -> tuple[tuple[bytes, bytes], ...]: ...
    def path(self, class_index: int) -> bytes: ...


class Source(Protocol):
    """What is played; it can be pickled."""

    def parts(self, worker: int, workers: int) -> Iterator[Part]:
        """The part of one of `workers`, in consecutive pieces.

        A closed loop takes as many as it needs, and no moments count.
        """
        ...

    def prepared(self) -> Asking: ...


@dataclass(frozen=True, slots=True)
class OfScenario:
    """What a scenario's arrivals and mix say."""

    scenario: Scenario

    def parts(self, worker: int, workers: int) -> Iterator[Part]:
        scenario = self.scenario
        mix = Mix(scenario.classes, scenario.seed, worker, workers)
        for due in self._due(worker, workers):
            for begin in range(0, len(due), PIECE):
                piece = due[begin : begin + PIECE]
                yield Part(piece, *mix.draw(len(piece), piece))

    def _due(self, worker: int, workers: int) -> Iterator[NDArray[np.float64]]:
        load = self.scenario.load
        if load.mode == "open":
            yield from arrivals.windows(load, self.scenario.seed, worker, workers)
            return
        # When a closed loop asks shows as it does; the mix goes by what time it is.
        began = time.monotonic()
        while True:
            yield np.full(PIECE, time.monotonic() - began)

    def prepared(self) -> Asking:
        return Prepared(self.scenario)


class Ahead:
    """`parts`, of which enough are drawn ahead: the first at once, and one whenever one is taken."""

    def __init__(self, parts: Iterator[Part], enough: int = AHEAD) -> None:
        self._parts = parts
        self._drawn: deque[Part] = deque()
        drawn = 0
        while drawn < enough and self._draw():
            drawn += len(self._drawn[-1])

    def take(self) -> Part | None:
        """The next piece that has any requests; None after the last one."""
        while True:
            self._draw()
            if not self._drawn:
                return None
            if len(part := self._drawn.popleft()):
                return part

    def _draw(self) -> bool:
        part = next(self._parts, None)
        if part is not None:
            self._drawn.append(part)
        return part is not None
