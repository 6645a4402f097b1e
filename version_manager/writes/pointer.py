"""What `shards/active` says now, for whoever is about to change it, and how: what that is refused for."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass

from croupier.errors import Conflict, FailedPrecondition, InvalidRequest, NotFound
from croupier.stores.etcd import Etcd
from sharding.generation import MAX_WORDS, Generation
from version_manager.map.keys import ActiveKey, BadRecord, GenerationKey, Keys
from version_manager.map.mirror import Mirror
from version_manager.map.records import MAX_RAMP_SECONDS, Active, decode
from version_manager.writes.writer import Writer


class StaleGeneration(Conflict):
    """The shard map was changed since the caller read it. The operator's: read it again."""

    reason = "STALE_GENERATION"


class UnknownGeneration(NotFound):
    """There is no such generation, or none at all. The operator's."""


class ShardMapDamaged(FailedPrecondition):
    """No generation is active although there were some. The operator's: repair the shard map."""

    reason = "SHARD_MAP_DAMAGED"


class RampRunning(FailedPrecondition):
    """A generation takes over from another, and has not yet from a third. The operator's: finish or wait."""

    reason = "RAMP_RUNNING"


def damaged(archive: Mapping[int, Generation]) -> ShardMapDamaged:
    return ShardMapDamaged(f"no generation is active, although etcd has {len(archive)}")


def ramp_running(record: Active, hint: str) -> RampRunning:
    share = f"{record.ramp / 100:g} %"
    return RampRunning(
        f"generation {record.active} takes over from {record.previous} and deals to {share} of the tenants "
        f"so far: {hint}",
        active=str(record.active),
        previous=str(record.previous),
        basis_points=str(record.ramp),
    )


@dataclass(frozen=True, slots=True)
class How:
    """How a generation comes to deal, and what is told of it.

    `author` is who says so where no certificate does. With `ramp_seconds` it takes over tenant by tenant,
    once cells hold what they will be asked for, unless it is `cold`; without, it deals to all, and waits for
    that only if it is to be `warm`.
    `force` says why it is made although another one does; `rollback_to` is the generation whose content it
    has, 0: none.
    """

    reason: str = ""
    author: str = ""
    ramp_seconds: float = 0.0
    force: str = ""
    rollback_to: int = 0
    warm: bool = False
    cold: bool = False

    def check(self) -> None:
        """Raises InvalidRequest."""
        for name in ("reason", "author", "force"):
            if len(getattr(self, name)) > MAX_WORDS:
                raise InvalidRequest(f"the {name} has more than {MAX_WORDS} characters", field=name)
        # Not a number is no number of seconds either.
        if not 0 <= self.ramp_seconds <= MAX_RAMP_SECONDS:
            raise InvalidRequest(f"a ramp takes from 0 to {MAX_RAMP_SECONDS:g} seconds", field="ramp_seconds")

    def check_ramp(self, pointer: Active | None) -> None:
        """Raises RampRunning: a tenant is dealt by one of two generations, and not by one of three."""
        if pointer is None or not pointer.is_ramping:
            return
        if not (self.force or self.rollback_to):
            raise ramp_running(pointer, "wait for it, finish it, roll it back, or say by force why not")
        if self.ramp_seconds:
            raise ramp_running(pointer, "what takes its place comes to all tenants at once")


AT_ONCE = How()


@dataclass(frozen=True, slots=True)
class Pointer:
    """`shards/active` as etcd has it; where that is garbage, gone or points nowhere, what is served instead.

    `record` is None before the first generation.
    """

    record: Active | None
    mod_revision: int

    @property
    def active(self) -> int:
        """The generation that deals; 0: none."""
        return self.record.active if self.record else 0


class Pointers:
    """Reads it from etcd, since the map may lag."""

    def __init__(self, etcd: Etcd, mirror: Mirror, writer: Writer, keys: Keys) -> None:
        self._etcd = etcd
        self._mirror = mirror
        self._writer = writer
        self._keys = keys

    async def at(self, expected: int) -> Pointer:
        """The pointer, if it is at generation `expected`. Raises StaleGeneration."""
        pointer = await self._read()
        if pointer.active != expected:
            stale = StaleGeneration(
                f"generation {pointer.active} is active, not {expected}", current=str(pointer.active)
            )
            raise await self._writer.refusal(self._keys.active, pointer.mod_revision, stale)
        return pointer

    async def _read(self) -> Pointer:
        pair = await self._etcd.get(self._keys.active)
        with suppress(BadRecord):
            record = decode(ActiveKey(), pair.value) if pair else None
            if pair is not None and isinstance(record, Active) and await self._is_there(record.active):
                return Pointer(record, pair.mod_revision)
        return Pointer(self._mirror.map.pointer, pair.mod_revision if pair else 0)

    async def _is_there(self, number: int) -> bool:
        """Whether etcd has generation `number`; one that cannot be read is not there. Raises BadRecord."""
        if number in self._mirror.map.archive:
            return True
        key, chunks = self._keys.generation(number), self._keys.chunks(number)
        if any(bad == key or bad.startswith(chunks) for bad in self._mirror.bad_keys):
            return False
        pair = await self._etcd.get(key)
        return pair is not None and bool(decode(GenerationKey(number), pair.value))
