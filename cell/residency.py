"""Which models are resident: least recently used goes first, by bytes, and never one in use.

Pure bookkeeping: no clock, no input or output, no asyncio. The host asks and acts.

    plan     who would have to go for `size` more bytes; changes nothing, or says why there is no room
    reserve  those go, and the room is held for a model that is loading
    admit    the loaded model takes its place with its measured size
    abandon  the load failed: the room is free again

Victims are planned before any of them goes, so a load that cannot fit evicts nobody. Between `plan`
and `reserve` nothing else may run: the caller does both without awaiting. A model with a lease is
never a victim, and a lease is held until scoring has ended, so `used + reserved` never exceeds the
capacity while models that are being scored are counted in it.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Generic, Self, TypeVar

from croupier.errors import FailedPrecondition, Unavailable

Model = TypeVar("Model")

# When all room is leased the next scoring call ends within milliseconds.
_RETRY_AFTER = 0.05


class ModelTooLarge(FailedPrecondition):
    """A model that would not fit into an empty cell. The operator's."""

    reason = "MODEL_TOO_LARGE"


class NoRoom(Unavailable):
    """Everything resident is in use or loading. Ours, passing."""

    reason = "NO_ROOM"


class _Entry(Generic[Model]):
    __slots__ = ("digest", "leases", "model", "size", "used_at")

    def __init__(self, digest: bytes, model: Model, size: int, now: float) -> None:
        self.digest = digest
        self.model = model
        self.size = size
        self.used_at = now
        # How many callers hold it; above 0 it cannot be a victim.
        self.leases = 0


class Lease(Generic[Model]):
    """One caller's hold on a resident model; leaving its `with` block, or `release`, ends it."""

    __slots__ = ("_entry", "digest", "model")

    def __init__(self, entry: _Entry[Model]) -> None:
        entry.leases += 1
        self.digest = entry.digest
        self.model = entry.model
        self._entry: _Entry[Model] | None = entry

    def share(self) -> Lease[Model]:
        """Another hold on the same model, to be released on its own. Not after `release`."""
        if self._entry is None:
            raise ValueError("this lease was released")
        return Lease(self._entry)

    def release(self) -> None:
        """End the hold; a second call does nothing."""
        if self._entry is not None:
            self._entry.leases -= 1
            self._entry = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.release()


@dataclass(frozen=True, slots=True)
class Plan:
    """`victims` are the digests that go when `size` bytes are reserved, least recent first."""

    size: int
    victims: tuple[bytes, ...]


class Residency(Generic[Model]):
    """The resident models of one cell, of at most `capacity` bytes together."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        # Bytes of the resident models, and bytes held for models that are loading.
        self.used = 0
        self.reserved = 0
        # Least recently used first.
        self._entries: OrderedDict[bytes, _Entry[Model]] = OrderedDict()
        self._reservations: dict[bytes, int] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, digest: bytes) -> bool:
        return digest in self._entries

    def digests(self) -> Iterator[bytes]:
        """The resident models, least recently used first."""
        return iter(self._entries)

    def oldest_seconds(self, now: float) -> float:
        """Seconds since the least recently used model was asked for; 0 when none is resident."""
        for entry in self._entries.values():
            return max(0.0, now - entry.used_at)
        return 0.0

    def lease(self, digest: bytes, now: float) -> Lease[Model] | None:
        """A lease on a resident model, which becomes the most recently used; None when it is not resident."""
        entry = self._entries.get(digest)
        if entry is None:
            return None
        self._entries.move_to_end(digest)
        entry.used_at = now
        return Lease(entry)

    def plan(self, size: int) -> Plan:
        """Who has to go for `size` more bytes.

        Raises:
            ModelTooLarge: `size` is more than the whole capacity.
            NoRoom: the models that are not in use are not enough.
        """
        if size > self.capacity:
            raise ModelTooLarge(f"the model needs {size} bytes and this cell has {self.capacity}")
        missing = self.used + self.reserved + size - self.capacity
        victims = []
        for entry in self._entries.values():
            if missing <= 0:
                break
            if entry.leases == 0:
                victims.append(entry.digest)
                missing -= entry.size
        if missing > 0:
            raise NoRoom("every model of this cell is in use", retry_after=_RETRY_AFTER)
        return Plan(size, tuple(victims))

    def reserve(self, digest: bytes, plan: Plan) -> list[Model]:
        """Hold the planned room for `digest`; returns the models that went, for the caller to drop.

        Raises:
            ValueError: `digest` is resident or loading already, or a victim has come into use.
        """
        if digest in self._entries or digest in self._reservations:
            raise ValueError("this model has a place already")
        evicted = self._evict(plan)
        self._reservations[digest] = plan.size
        self.reserved += plan.size
        return evicted

    def admit(self, digest: bytes, model: Model, size: int, now: float) -> tuple[Lease[Model], list[Model]]:
        """Give a loaded model its place, with `size` as measured; returns a lease and who went for it.

        More than was reserved may mean more victims.

        Raises:
            ModelTooLarge, NoRoom: as `plan`; the reservation is gone then.
            KeyError: there was no reservation.
        """
        self._unreserve(digest)
        evicted = self._evict(self.plan(size))
        entry = _Entry(digest, model, size, now)
        self._entries[digest] = entry
        self.used += size
        return Lease(entry), evicted

    def abandon(self, digest: bytes) -> None:
        """Free the room held for `digest`, if there is any."""
        if digest in self._reservations:
            self._unreserve(digest)

    def _unreserve(self, digest: bytes) -> None:
        self.reserved -= self._reservations.pop(digest)

    def _evict(self, plan: Plan) -> list[Model]:
        if any(self._entries[victim].leases for victim in plan.victims):
            raise ValueError("a planned victim has come into use")
        entries = [self._entries.pop(victim) for victim in plan.victims]
        self.used -= sum(entry.size for entry in entries)
        return [entry.model for entry in entries]
