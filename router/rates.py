"""What version managers are told of this router's busiest tenants and models.

Counts are cumulative, under a number of this process's life. A manager is told of those rows that changed
since the last report that it took, each whole: what it misses costs it nothing but time. A message is made in
slices, between which the loop turns: what a router has to answer meanwhile waits for one of them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from random import Random
from typing import TypeAlias

from protos.versions.v1 import versions_pb2 as pb
from router.busiest import Busiest
from router.tallies import Table, Tallies

# For each name its admission, and how many requests were counted: what a manager knows.
Known: TypeAlias = dict[str, tuple[int, int]]
# As the fields of the message of that name, in their order.
_Counts: TypeAlias = tuple[int, int, int, int, int, int, int, list[int]]

_SECONDS = 1.0
# Rows that are looked at between two turns of the loop, and how many of those one takes that is told.
_SLICE, _TOLD = 50, 12


class Rates:
    """The `top` busiest tenants and as many versions are counted.

    `clock` is monotonic, in seconds; `incarnation` is larger than that of any earlier life of this router.
    """

    def __init__(
        self, top: int, *, slow_seconds: float, clock: Callable[[], float], rng: Random, incarnation: int
    ) -> None:
        tables = [Table(top, clock, seed=rng.getrandbits(64)) for _ in range(2)]
        self.tallies = Tallies(*tables, slow_seconds=slow_seconds)
        self._busiest = [Busiest(table, now=clock()) for table in tables]
        self._clock = clock
        self._began = clock()
        self._incarnation = incarnation

    async def run(self, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep) -> None:
        """Keep those in the tables who ask for most, until cancelled."""
        while True:
            await sleep(_SECONDS)
            for busiest in self._busiest:
                busiest.settle(self._clock())

    def close(self) -> None:
        for busiest in self._busiest:
            busiest.close()

    async def tell(self, message: pb.Rates, known: Known) -> Known:
        """Put into `message` what has changed for a manager; what it knows once it has taken that."""
        message.incarnation = self._incarnation
        message.age = self._clock() - self._began
        _fill(message.total, self.tallies.all)
        now_known: Known = {}
        done = 0
        for table, place in self._rows():
            if done >= _SLICE:
                done = 0
                await asyncio.sleep(0)
            name, state = table.names[place], table.state(place)
            now_known[name] = state
            done += 1
            if known.get(name) != state:
                self._add(message, table, place, name, state[0])
                done += _TOLD
        return now_known

    def _rows(self) -> Iterator[tuple[Table, int]]:
        for table in (self.tallies.tenants, self.tallies.versions):
            for place in range(len(table)):
                yield table, place

    def _add(self, message: pb.Rates, table: Table, place: int, name: str, admission: int) -> None:
        # In place: a message that is put into another is copied, and that takes as long as to make it.
        tenant, _, version = name.partition("/")
        model, _, number = version.partition("/")
        key = message.keys.add(
            tenant=tenant,
            model=model,
            version=int(number or 0),
            admission=admission,
            age=self._clock() - table.since(place),
        )
        _fill(key.counts, table.counts(place))


def _fill(counts: pb.Counts, row: _Counts) -> None:
    (
        counts.requests,
        counts.refused,
        counts.failed,
        counts.cold,
        counts.retried,
        counts.slow,
        first,
        buckets,
    ) = row
    counts.first_bucket = first
    counts.buckets.extend(buckets)
