"""Which models are resident, by measured bytes: who comes, who goes for it, and never one in use.

Pure bookkeeping: no clock, no input or output, no asyncio, no dice. The host asks and acts.

    find     a hit: the model, counted as used
    plan     who would have to go for `size` more bytes; evicts nobody, or says why there is no room
    reserve  those go, and the room is held for a model that is loading
    admit    the loaded model takes its place with its measured size
    abandon  the load failed: the room is free again

In which order models go is the policy's (`policies`), which of them may not is up to leases, pins and
floors (`floors`). Victims are planned before any of them goes, so a load that cannot fit evicts nobody.
Between `plan` and `reserve` nothing else may run: the caller does both without awaiting. A model with a
lease is never a victim, and a lease is held until scoring has ended, so `used + reserved` never exceeds
the capacity while models that are being scored are counted in it.

A cell that is too small for what is asked of it would spend its time on loading. So a load is refused
when room can only be had from models that were used within ten times the load's own duration (the churn
guard). Bulk loads are aged: they come in as the next victims, so they push out each other and not
who is live, and their first use makes them ordinary.
"""

from __future__ import annotations

import sys
from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from itertools import chain, islice
from types import TracebackType
from typing import Generic, Self, TypeVar

from cell.residency.entries import Entry, take_back, use
from cell.residency.floors import Floors
from cell.residency.policies import Policy, S3Fifo
from cell.residency.walk import pages
from croupier.errors import FailedPrecondition, NotFound, Unavailable

Model = TypeVar("Model")

# When all room is leased the next scoring call ends within milliseconds.
_RETRY_AFTER = 0.05
_MOST_RETRY_AFTER = 10.0
# Uses are told apart no finer: entries of one stamp share one float, which is 24 bytes less for each.
_STAMP_SECONDS = 1 / 16
_GUARD = 10.0
_KEPT_SHARE = 0.5
# Entries of one page, where nothing happens between two.
_WALKED = 1024


class ModelTooLarge(FailedPrecondition):
    """A model that would not fit into an empty cell. The operator's."""

    reason = "MODEL_TOO_LARGE"


class NoRoom(Unavailable):
    """Everything resident is in use, kept or loading. Ours, passing."""

    reason = "NO_ROOM"


class Churning(Unavailable):
    """Whoever would go was in use a moment ago: this cell is too small for what is asked. Ours, passing."""

    reason = "CHURNING"


class Lease(Generic[Model]):
    """One caller's hold on a resident model; leaving its `with` block, or `release`, ends it."""

    __slots__ = ("_entry", "digest", "model")

    def __init__(self, entry: Entry) -> None:
        entry.leases += 1
        self.digest = entry.digest
        self.model: Model = entry.model
        self._entry: Entry | None = entry

    def share(self) -> Lease[Model]:
        """Another hold on the same model, to be released on its own. Not after `release`."""
        if self._entry is None:
            raise ValueError("this lease was released")
        return Lease(self._entry)

    def release(self) -> None:
        """End the hold; a second call does nothing."""
        entry, self._entry = self._entry, None
        if entry is not None:
            entry.leases -= 1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.release()


@dataclass(frozen=True, slots=True)
class Plan:
    """`victims` are the digests that go when `size` bytes are reserved, in the policy's order."""

    size: int
    victims: tuple[bytes, ...]


class Residency(Generic[Model]):
    """The resident models of one cell, of at most `capacity` bytes together.

    `guard` times a load's duration is how long models are safe from it after a use; pins and floors
    may keep `kept_share` of the capacity.
    """

    def __init__(
        self,
        capacity: int,
        policy: Policy | None = None,
        *,
        guard: float = _GUARD,
        kept_share: float = _KEPT_SHARE,
    ) -> None:
        self.capacity = capacity
        # Bytes of the resident models, and those held for models that are loading.
        self.used = 0
        self.reserved = 0
        self._policy = policy or S3Fifo()
        self._policy.resize(capacity)
        self._touch = self._policy.touch
        self._guard = guard
        self._floors = Floors(kept_share)
        self._entries: dict[bytes, Entry] = {}
        self._reservations: dict[bytes, int] = {}
        # What uses are dated with, and when the next stamp begins.
        self._stamp = 0.0
        self._next_stamp = float("-inf")

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, digest: bytes) -> bool:
        return digest in self._entries

    def hottest(self, count: int = sys.maxsize) -> list[bytes]:
        """At most `count` of the resident models, about in the order in which they should be kept longest.

        Kept ones first; then by the policy's queues, of each the newest first; bulk loads that were never
        used last.
        """
        every = chain.from_iterable(self.hot(_WALKED))
        return [entry.digest for entry in islice(every, count)]

    def hot(self, at_once: int) -> Iterator[list[Entry]]:
        """The resident models in the order of `hottest`, at most `at_once` at a time: see `walk`."""
        bulk, *queues = self._policy.queues()
        kept = (*self._floors.queues(), *reversed(queues))
        return pages(kept, at_once, len(self._entries), oldest_first=[bulk])

    def oldest_seconds(self, now: float) -> float:
        """Seconds since the least recently used model was asked for; 0 when none is resident.

        Exact for LRU. Other policies do not sort by use: it is the oldest use among the oldest of each of
        their queues, and a lower bound so. Models that only pins or floors keep do not count.
        """
        ends = [queue.end.newer for queue in self._policy.queues() if queue.count]
        return max((max(0.0, now - entry.used_at) for entry in ends), default=0.0)

    def find(self, digest: bytes, now: float) -> Model | None:
        """A resident model, which counts as used; None when it is not resident.

        It has no lease: whoever gets it is done with it before anything else may evict.
        """
        entry = self._entries.get(digest)
        if entry is None:
            return None
        if now >= self._next_stamp:
            self._renew_stamp(now)
        self._touch(entry)
        model: Model = use(entry, self._stamp)
        return model

    def take_back(self, digest: bytes) -> None:
        """That the model was found was no use of it: who found it comes for a lease."""
        entry = self._entries.get(digest)
        if entry is not None:
            take_back(entry)

    def uses(self, digest: bytes, now: float) -> tuple[int, float] | None:
        """How often a resident model was used since it was admitted, and how many seconds ago last."""
        entry = self._entries.get(digest)
        return None if entry is None else (entry.uses, max(0.0, now - entry.used_at))

    def lease(self, digest: bytes, now: float) -> Lease[Model] | None:
        """A lease on a resident model, which counts as used; None when it is not resident."""
        if self.find(digest, now) is None:
            return None
        return Lease(self._entries[digest])

    def plan(self, size: int, *, now: float = 0.0, load_seconds: float = 0.0, bulk: bool = False) -> Plan:
        """Who has to go for `size` more bytes, for a load that takes `load_seconds`.

        A bulk load takes nothing at all from models that were used within the guard's time.

        Raises:
            ModelTooLarge: `size` is more than the whole capacity.
            NoRoom: the models that may go are not enough.
            Churning: they were used too lately.
        """
        if size > self.capacity:
            raise ModelTooLarge(f"the model needs {size} bytes and this cell has {self.capacity}")
        missing = self.used + self.reserved + size - self.capacity
        if missing <= 0:
            return Plan(size, ())
        victims, missing = self._search(missing)
        if missing > 0:
            raise NoRoom("every model of this cell is in use or kept", retry_after=_RETRY_AFTER)
        self._check_churn(victims if bulk else victims[:1], now, self._guard * load_seconds, bulk)
        return Plan(size, tuple(entry.digest for entry in victims))

    def reserve(self, digest: bytes, plan: Plan) -> list[Model]:
        """Hold the planned room for `digest`; returns the models that went, for the caller to close.

        Raises:
            ValueError: `digest` is resident or loading already, or a victim has come into use.
        """
        if digest in self._entries or digest in self._reservations:
            raise ValueError("this model has a place already")
        evicted = self._evict(plan)
        self._reservations[digest] = plan.size
        self.reserved += plan.size
        return evicted

    def admit(
        self,
        digest: bytes,
        model: Model,
        size: int,
        now: float,
        *,
        aged: bool = False,
        proven: bool = False,
        group: Hashable | None = None,
        owner: int = 0,
    ) -> tuple[Lease[Model], list[Model]]:
        """Give a loaded model its place, with `size` as measured; returns a lease and who went for it.

        More than was reserved may mean more victims. One that is `aged` goes before all others until it
        is used, and one that is `proven` stays as if it had been used. `group` is whose floor it counts for,
        `owner` who had it loaded.

        Raises:
            ModelTooLarge, NoRoom: as `plan`; the reservation is gone then.
            KeyError: there was no reservation.
        """
        self._unreserve(digest)
        evicted = self._evict(self.plan(size))
        if now >= self._next_stamp:
            self._renew_stamp(now)
        counted = None if group is None else self._floors.group(group)
        entry = Entry(digest, model, size, self._stamp, counted, owner)
        self._entries[digest] = entry
        self.used += size
        self._floors.came(entry)
        if aged:
            self._set_aside(entry)
        elif proven:
            self._policy.add_proven(entry)
        else:
            self._policy.add(entry)
        return Lease(entry), evicted

    def abandon(self, digest: bytes) -> None:
        """Free the room held for `digest`, if there is any."""
        if digest in self._reservations:
            self._unreserve(digest)

    def resize(self, capacity: int) -> list[Model]:
        """Have another capacity from now on; returns the models that went for it.

        Where leases, pins and floors keep more than that, more than that stays, and nothing is loaded.
        """
        self.capacity = capacity
        self._policy.resize(capacity)
        victims, _ = self._search(self.used + self.reserved - capacity)
        return self._go(victims)

    def pin(self, digest: bytes) -> None:
        """Keep a resident model until `unpin`.

        Raises:
            NotFound: it is not resident.
            KeptTooMuch: pins and floors would take more than their share of the capacity.
        """
        entry = self._entries.get(digest)
        if entry is None:
            raise NotFound("this model is not resident", reason="NOT_RESIDENT")
        self._floors.pin(entry, self.capacity)

    def unpin(self, digest: bytes) -> None:
        """Let the policy have the model again, if it is resident and pinned."""
        entry = self._entries.get(digest)
        if entry is not None and self._floors.unpin(entry):
            self._free(entry)

    def enlist(self, digest: bytes, group: Hashable) -> None:
        """Count a resident model for the floor of `group`, unless it counts for one already."""
        entry = self._entries.get(digest)
        if entry is not None and entry.group is None:
            entry.group = self._floors.group(group)
            self._floors.came(entry)

    def set_floor(self, group: Hashable, floor: int) -> None:
        """Keep at least `floor` bytes of what `group` has resident; 0 takes the floor away.

        Raises:
            KeptTooMuch: pins and floors would take more than their share of the capacity.
        """
        self._floors.set_floor(group, floor, self.capacity)

    def _renew_stamp(self, now: float) -> None:
        self._stamp = now
        self._next_stamp = now + _STAMP_SECONDS

    def _search(self, missing: int) -> tuple[list[Entry], int]:
        """Victims of at least `missing` bytes, and what is missing still."""
        for entry in self._floors.freed():
            self._free(entry)
        # Chosen ones, in order; a policy may name one twice.
        victims: dict[Entry, None] = {}
        going: dict[Hashable, int] = {}
        if missing <= 0:
            return [], missing
        for entry in self._policy.victims():
            if entry.leases or entry in victims:
                continue
            parking = self._floors.parking(entry)
            if parking is not None:
                self._policy.remove(entry)
                parking.push(entry)
                continue
            group = entry.group
            if group is not None:
                gone = going.get(group.name, 0) + entry.size
                if group.used - gone < group.floor:
                    continue
                going[group.name] = gone
            victims[entry] = None
            missing -= entry.size
            if missing <= 0:
                break
        return list(victims), missing

    def _check_churn(self, victims: list[Entry], now: float, safe: float, bulk: bool) -> None:
        if safe <= 0:
            return
        # Those that go before all others were never used here, or are past their time.
        used_at = [entry.used_at for entry in victims if entry.queue is not self._policy.first]
        age = now - max(used_at, default=now - safe)
        if age < safe and not bulk:
            # A policy may give up a young model in a cell that has idle ones: that is no churn.
            age = max(age, self.oldest_seconds(now))
        if age < safe:
            wait = min(max(safe - age, _RETRY_AFTER), _MOST_RETRY_AFTER)
            raise Churning("this cell would evict models that are in use", retry_after=wait)

    def _set_aside(self, entry: Entry) -> None:
        """A bulk load's: no search need meet it to find that it may not go."""
        parking = self._floors.parking(entry)
        if parking is None:
            self._policy.add_first(entry)
        else:
            parking.push(entry)

    def _free(self, entry: Entry) -> None:
        entry.queue.remove(entry)
        self._policy.add_first(entry)

    def _unreserve(self, digest: bytes) -> None:
        self.reserved -= self._reservations.pop(digest)

    def _evict(self, plan: Plan) -> list[Model]:
        victims = [self._entries[victim] for victim in plan.victims]
        if any(entry.leases for entry in victims):
            raise ValueError("a planned victim has come into use")
        return self._go(victims)

    def _go(self, victims: list[Entry]) -> list[Model]:
        for entry in victims:
            self._policy.evict(entry)
            self._forget(entry)
        return [entry.model for entry in victims]

    def _forget(self, entry: Entry) -> None:
        del self._entries[entry.digest]
        self.used -= entry.size
        self._floors.went(entry)
