"""The models of a cell: the one that a request needs, resident or loaded for it.

    find      a hit: one look-up, no lease, for whoever is done before the event loop goes on
    lease     for whoever has to wait: for a thread that scores, or for a load that all who want it share
    warm      loaded before anybody asks, behind every request
    warm_now  the same, at once, if it waits for nothing: what was hot before a restart

What loads, in which order and for how long anybody waits is in `singleflight.py`; who makes room for it is in
`residency.py`. A digest whose load failed for good is refused at once for a while (`refusals.py`).
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping, ValuesView
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Protocol

from cell.engines import Scorer
from cell.loading.loader import Done, MakeRoom
from cell.loading.refusals import Refusals
from cell.loading.singleflight import (
    FAILED,
    LOADED,
    LOADS,
    TURNED_AWAY,
    Ended,
    Load,
    Outcome,
    SingleFlight,
    Waiter,
)
from cell.residency.residency import Lease, Residency
from croupier.deadline import Deadline
from croupier.errors import CroupierError
from croupier.telemetry.metrics import LoopCounter, LoopGauge
from croupier.telemetry.stalls import section

_HIT, _MISS = ("hit",), ("miss",)
_LOOKUPS = LoopCounter(
    "croupier_cell_lookups_total", "Requests by whether their model was resident", ["outcome"], [_HIT, _MISS]
)
_EVICTIONS = LoopCounter("croupier_cell_evictions_total", "Models that went to make room")
_RESIDENT = LoopGauge("croupier_cell_resident_models", "Models in memory")
_USED = LoopGauge("croupier_cell_used_bytes", "Bytes of the models in memory")


# With so many models or more the dictionary takes over a millisecond when it grows, a few times in a life.
# In buckets it would not, and each request would look for its bucket first.
_MANY = 40_000
# Requests that waited and then hung up leave something behind here.
_MOST_COUNTED = 1024


class Loads(Protocol):
    """The part of `Loader` that a host uses."""

    def expected_seconds(self, digest: bytes) -> float: ...

    def begin(
        self, digest: bytes, make_room: MakeRoom, done: Done, mark: Callable[[str], None]
    ) -> Callable[[], None]: ...

    def load_now(self, digest: bytes, make_room: MakeRoom) -> Scorer | None: ...


@dataclass(frozen=True, slots=True)
class HostReport:
    """What the registry gets to know of a cell; bytes, counts and seconds."""

    capacity_bytes: int
    used_bytes: int
    resident: int
    loading: int
    oldest_seconds: float
    requests: int
    hits: int


class Host:
    """The models of one cell.

    `slots` loads run at a time and `max_waiting` requests may wait for loads; a failed digest is refused for
    `refusal_seconds` (see `Refusals`). `check_loadable` raises for a digest that must not be loaded now,
    whoever asks: quarantine and memory are looked at.
    """

    def __init__(
        self,
        residency: Residency[Scorer],
        loader: Loads,
        *,
        clock: Callable[[], float],
        rng: random.Random,
        slots: int = 16,
        max_waiting: int = 16_384,
        refusal_seconds: float = 900.0,
        check_loadable: Callable[[bytes], None] = lambda digest: None,
    ) -> None:
        self._residency = residency
        # The model of a digest if it is resident, at a time: used, not counted as a request (`count_hits`).
        # No lease: what is returned is valid until control goes back to the event loop.
        self.find = residency.find
        self.take_back = residency.take_back
        self.hottest, self.hot = residency.hottest, residency.hot
        self.unpin, self.set_floor = residency.unpin, residency.set_floor
        self._loader = loader
        self._clock = clock
        self._check_loadable = check_loadable
        self._refusals = Refusals(refusal_seconds, rng.uniform)
        self._loads = SingleFlight(
            self._load, self._expected, self._ended, clock=clock, slots=slots, most=max_waiting
        )
        self._requests = 0
        self._hits = 0
        # Models whose next lease is of a request that was counted when it waited for them.
        self._counted: set[bytes] = set()

    def count_hits(self, count: int) -> None:
        """So many requests were served by models that `find` gave them."""
        self._requests += count
        self._hits += count
        _LOOKUPS.values[_HIT] += count

    def has(self, digest: bytes) -> bool:
        """Whether the model of `digest` is resident; that is no use of it."""
        return digest in self._residency

    async def lease(
        self, digest: bytes, deadline: Deadline, owner: int = 0, priority: int = 0
    ) -> Lease[Scorer]:
        """A lease on the model of `digest`, loaded if need be; the caller releases it.

        `owner` is an opaque number of whoever asks: owners share the load slots fairly, within a `priority`.
        0 is nobody known.

        Raises:
            Quarantined: the model crashed this cell.
            And what `SingleFlight.join`, the load and `Residency.plan` raise.
        """
        lease = self._residency.lease(digest, self._clock())
        if lease is not None:
            if digest in self._counted:
                self._counted.discard(digest)
            else:
                self.count_hits(1)
            return lease
        self._requests += 1
        _LOOKUPS.values[_MISS] += 1
        self._check(digest)
        return await self._loads.lease(digest, deadline, owner, priority)

    def wait(
        self, digest: bytes, deadline: Deadline, owner: int, ended: Ended, priority: int = 0
    ) -> Waiter | None:
        """As `lease`, for who has no task: `ended` is told a lease, or what failed.

        None if it was told at once.

        Raises:
            As `lease`, but for what the load itself raises.
        """
        lease = self._residency.lease(digest, self._clock())
        self._requests += 1
        _LOOKUPS.values[_MISS] += 1
        if lease is not None:
            # Somebody else had it loaded since it was looked for.
            ended(lease)
            return None
        self._check(digest)
        return self._loads.join(digest, deadline, owner, ended, priority)

    def was_counted(self, digest: bytes) -> None:
        """A request that has waited for this model goes the general way: its lease is not counted again."""
        if len(self._counted) == _MOST_COUNTED:
            self._counted.clear()
        self._counted.add(digest)

    @property
    def is_loading(self) -> bool:
        """Whether any model is loading or waits to."""
        return len(self._loads) > 0

    @property
    def loads(self) -> ValuesView[Load]:
        """As `SingleFlight.all`."""
        return self._loads.all

    @property
    def refused(self) -> Mapping[bytes, tuple[float, CroupierError]]:
        """As `Refusals.kept`."""
        return self._refusals.kept

    async def warm(
        self,
        digest: bytes,
        *,
        group: str | None = None,
        aged: bool = False,
        proven: bool = False,
        pin: bool = False,
    ) -> None:
        """Have the model of `digest` resident, loaded when no request waits.

        `group` is whose floor it counts for; `aged` ones go before all others until they are used, `proven`
        ones stay as if they had been, and with `pin` it stays until `unpin`. The caller bounds how many it
        asks for at a time.

        Raises:
            What `Loader.begin` says, and `Residency.plan` and `Residency.pin` raise.
        """
        if digest not in self._residency:
            self._check(digest)
            await self._loads.warm(digest, group=group, aged=aged, proven=proven)
        if group is not None:
            # It came for a request, so for nobody's floor.
            self._residency.enlist(digest, group)
        if pin:
            self._residency.pin(digest)

    def load_now(self, digest: bytes, owner: int = 0) -> Scorer | None:
        """The model of `digest`, which is not resident, if loading it waits for nothing: a miss, counted.

        `owner` is who wants it.

        None says only that `lease` may have it, or says why not. Valid as what `find` returns.
        """
        if digest in self._loads:
            return None
        try:
            self._check(digest)
            scorer = self._at_once(digest, owner, self._expected(digest), bulk=False)
        except CroupierError:
            return None
        if scorer is not None:
            self._requests += 1
            _LOOKUPS.values[_MISS] += 1
        return scorer

    def warm_now(self, digest: bytes) -> bool:
        """Load the model of `digest`, aged, if that waits for nothing; whether it is resident.

        Raises:
            What `Loader.load_now` and `Residency.plan` raise.
        """
        if digest in self._residency or digest in self._loads:
            return digest in self._residency
        self._check(digest)
        return self._at_once(digest, 0, 0.0, bulk=True) is not None

    def _at_once(self, digest: bytes, owner: int, seconds: float, *, bulk: bool) -> Scorer | None:
        def make_room(size: int) -> None:
            self._reserve(digest, size, seconds=seconds, bulk=bulk)

        try:
            scorer = self._loader.load_now(digest, make_room)
            if scorer is not None:
                self._admit(digest, scorer, aged=bulk, owner=owner).release()
                LOADS.values[LOADED] += 1
        finally:
            self._residency.abandon(digest)
        self._tell()
        return scorer

    def fullness(self) -> float:
        """Which part of the capacity is taken, or held for what is loading."""
        residency = self._residency
        return (residency.used + residency.reserved) / max(1, residency.capacity)

    def uses(self, digest: bytes) -> tuple[int, float] | None:
        """As `Residency.uses`."""
        return self._residency.uses(digest, self._clock())

    @property
    def used(self) -> int:
        """Bytes of the resident models by the books."""
        return self._residency.used

    def resize(self, capacity: int) -> int:
        """Have room for `capacity` bytes of models from now on; how many went for it."""
        evicted = self._residency.resize(capacity)
        _evict(evicted)
        return len(evicted)

    def report(self) -> HostReport:
        """How full and how busy this cell is now."""
        residency = self._residency
        return HostReport(
            residency.capacity,
            residency.used,
            len(residency),
            len(self._loads),
            residency.oldest_seconds(self._clock()),
            self._requests,
            self._hits,
        )

    def counts(self) -> tuple[int, int, int, int]:
        """Since this process began: evictions, loads that were done and that failed, requests turned away."""
        turned_away = sum(TURNED_AWAY.values.values())
        return _EVICTIONS.values[()], LOADS.values[LOADED], LOADS.values[FAILED], turned_away

    def longest_wait(self) -> float:
        """As `SingleFlight.longest_wait`."""
        return self._loads.longest_wait()

    async def close(self) -> None:
        """Give up all loads; their callers get Unavailable."""
        self._loads.close()

    def _check(self, digest: bytes) -> None:
        """Raises when this model is not to be loaded."""
        self._check_loadable(digest)
        self._refusals.check(digest, self._clock())

    def _expected(self, digest: bytes) -> float:
        return self._loader.expected_seconds(digest)

    def _load(self, load: Load) -> Callable[[], None]:
        """Begin a load; returns how to cancel it."""
        digest = load.digest

        def make_room(size: int) -> None:
            # What nobody waits for pushes out nobody who is in use.
            self._reserve(digest, size, seconds=load.seconds, bulk=not load.waiters)

        def done(result: Scorer | Exception) -> None:
            outcome: Outcome
            try:
                if isinstance(result, Exception):
                    outcome = result
                else:
                    outcome = self._admit(
                        digest,
                        result,
                        aged=load.is_aged and not load.waiters,
                        proven=load.is_proven,
                        group=load.group,
                        owner=load.owner,
                    )
            except CroupierError as error:
                outcome = error
            finally:
                self._residency.abandon(digest)
            self._loads.end(load, outcome)

        cancel = self._loader.begin(digest, make_room, done, load.mark)

        def give_up() -> None:
            cancel()
            self._residency.abandon(digest)

        return give_up

    def _reserve(self, digest: bytes, size: int, *, seconds: float = 0.0, bulk: bool = False) -> None:
        plan = self._residency.plan(size, now=self._clock(), load_seconds=seconds, bulk=bulk)
        _evict(self._residency.reserve(digest, plan))

    def _admit(
        self,
        digest: bytes,
        scorer: Scorer,
        *,
        aged: bool,
        proven: bool = False,
        group: str | None = None,
        owner: int = 0,
    ) -> Lease[Scorer]:
        grows = section("dictionary growth") if len(self._residency) >= _MANY else nullcontext()
        try:
            with grows:
                lease, evicted = self._residency.admit(
                    *(digest, scorer, scorer.resident_bytes, self._clock()),
                    aged=aged,
                    proven=proven,
                    group=group,
                    owner=owner,
                )
        except CroupierError:
            scorer.close()
            raise
        _evict(evicted)
        return lease

    def _ended(self, load: Load, error: Exception | None) -> None:
        if error is not None:
            self._refusals.note(load.digest, error, self._clock(), was_wanted=bool(load.waiters))
        self._tell()

    def _tell(self) -> None:
        _RESIDENT.value = len(self._residency)
        _USED.value = self._residency.used


def _evict(scorers: Iterable[Scorer]) -> None:
    """Close models that went."""
    for scorer in scorers:
        _EVICTIONS.values[()] += 1
        scorer.close()
