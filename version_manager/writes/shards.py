"""Changes the shard map: a new generation becomes active, the active one becomes the previous.

The generation and the pointer to it are written in one transaction that compares the pointer, so
of two operators who start from the same generation one is refused. Generations are immutable: going
back means giving an old one's content a new number. The seed stays, whoever asks: only `reseed` changes it,
since with another one every tenant is dealt a new hand.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace

from croupier.errors import Conflict, CroupierError, FailedPrecondition, InvalidRequest, NotFound, TooLarge
from croupier.stores.etcd import Compare, Delete, Etcd, Put
from sharding.changes import changes
from sharding.generation import Generation, InvalidGeneration, check_generation
from version_manager.map.audit import MANAGER, Actor, Audit
from version_manager.map.keys import ActiveKey, BadRecord, GenerationKey, Keys
from version_manager.map.mirror import Mirror
from version_manager.map.records import MAX_ERAS, Active, decode, encode
from version_manager.map.seed import Era, Seed
from version_manager.writes.writer import Writer

_log = logging.getLogger(__name__)

KEPT_GENERATIONS = 32
# Fits a JSON number: a tool that rounded it while somebody edits the map would deal every tenant anew.
_SEED_BITS = 53
# A manager that could not write the seed tries again after so many seconds.
_AGAIN_SECONDS = 5.0
# Lines about a new generation that its entry of the audit has.
_MOST_CHANGES = 100
_MOST_OF_A_CHANGE = 200
# etcd takes 1.5 MiB a request; the rest is for the keys and the audit.
MAX_GENERATION_BYTES = 2**20


class StaleGeneration(Conflict):
    """The shard map was changed since the caller read it. The operator's: read it again."""

    reason = "STALE_GENERATION"


class UnknownGeneration(NotFound):
    """There is no such generation, or none at all. The operator's."""


@dataclass(frozen=True, slots=True)
class _Pointer:
    """`shards/active` as etcd has it; where that is garbage, gone or points nowhere, what is served
    instead.
    """

    active: int
    mod_revision: int


class ShardMapDamaged(FailedPrecondition):
    """No generation is active although there were some. The operator's: repair the shard map."""

    reason = "SHARD_MAP_DAMAGED"


class Shards:
    """Writes and reads generations; `draw` gives a new seed."""

    def __init__(
        self,
        etcd: Etcd,
        mirror: Mirror,
        writer: Writer,
        keys: Keys,
        audit: Audit,
        *,
        draw: Callable[[], int] = lambda: secrets.randbits(_SEED_BITS),
    ) -> None:
        self._etcd = etcd
        self._mirror = mirror
        self._writer = writer
        self._keys = keys
        self._audit = audit
        self._draw = draw

    def previous(self, number: int) -> int:
        """Which generation dealt before `number`, if that is the active one and any did; else 0."""
        match self._mirror.map.generations:
            case (active, before) if active.number == number:
                return before.number
            case _:
                return 0

    def get(self, number: int) -> Generation:
        """Generation `number`, or the active one for 0. Raises UnknownGeneration, ShardMapDamaged."""
        served = self._mirror.map
        for generation in served.generations:
            if number in {0, generation.number}:
                return generation
        if number in served.archive:
            return served.archive[number]
        if number:
            raise UnknownGeneration(f"there is no generation {number}")
        if served.archive:
            raise _damaged(served.archive)
        raise UnknownGeneration("no generation is active")

    async def set(self, wanted: Generation, expected: int, actor: Actor) -> Generation:
        """Make `wanted`, whose number is replaced by the next one, active instead of `expected` (0: none).

        If that deals as `wanted` does, it stays, with the one before it.

        Raises:
            InvalidGeneration: it cannot deal, or has another seed than the deployment.
            StaleGeneration: another generation than `expected` is active.
            ShardMapDamaged: none is, and there were some.
            TooLarge: it does not fit into etcd.
        """
        check_generation(wanted)
        return await self._writer.settle(lambda: self._set(wanted, expected, actor))

    async def _set(self, wanted: Generation, expected: int, actor: Actor) -> Generation | None:
        pointer = await self._pointer_at(expected)
        seed = self._seed_for(wanted, pointer)
        if self._deals_already(wanted, pointer):
            return self.get(pointer.active)
        number = self._next_number(pointer)
        # The first one since the seed was made may not know it.
        generation = replace(wanted, number=number, seed=seed.current.seed, seed_since=seed.current.since)
        entry = self._audit.entry(
            *(actor, "set generation", str(number)),
            replaces=pointer.active,
            seats=len(generation.seats),
            changes=self._changes(pointer.active, generation),
        )
        return await self._make(generation, seed, pointer, entry)

    def _changes(self, active: int, generation: Generation) -> list[str]:
        """What `generation` changes in that number `active`, for the audit."""
        before = self._mirror.map.archive.get(active)
        lines = changes(before, generation)[:_MOST_CHANGES] if before else []
        return [line[:_MOST_OF_A_CHANGE] for line in lines]

    async def reseed(self, expected: int, reason: str, actor: Actor) -> Generation:
        """Deal every tenant a new hand: make the active generation, `expected`, active under a new seed.

        Raises:
            InvalidRequest: no reason is given.
            StaleGeneration: another generation than `expected` is active.
            UnknownGeneration: none is.
        """
        if not reason.strip():
            raise InvalidRequest("say why every tenant is to be dealt a new hand", field="reason")
        return await self._writer.settle(lambda: self._reseed(expected, reason, actor))

    async def _reseed(self, expected: int, reason: str, actor: Actor) -> Generation | None:
        pointer = await self._pointer_at(expected)
        active, known = self.get(expected), self._mirror.map.seed
        assert known is not None, "a generation deals, so it has a seed"
        if len(known.eras) >= MAX_ERAS:
            raise TooLarge(f"a deployment is dealt anew {MAX_ERAS - 1} times at most")
        number = self._next_number(pointer)
        seed = known.changed(self._draw(), number)
        # What was said of the active one, and by whom, is not about this; the audit has what is.
        generation = replace(
            active, number=number, seed=seed.current.seed, seed_since=number, author="", reason=""
        )
        entry = self._audit.entry(actor, "reseed", str(number), replaces=pointer.active, reason=reason)
        return await self._make(generation, seed, pointer, entry)

    async def _make(
        self, generation: Generation, seed: Seed, pointer: _Pointer, entry: Put
    ) -> Generation | None:
        """Write `generation` and have it deal; None: something changed meanwhile."""
        number, value = generation.number, encode(generation)
        if len(value) > MAX_GENERATION_BYTES:
            raise TooLarge(
                f"the generation takes {len(value)} bytes, and etcd {MAX_GENERATION_BYTES}: "
                "have fewer overrides"
            )
        key = self._keys.generation(number)
        ops: list[Put | Delete] = [
            Put(key, value),
            Put(self._keys.active, encode(Active(number, pointer.active))),
            *self._prune(pointer),
        ]
        compares = [Compare(self._keys.active, pointer.mod_revision), Compare(key, 0)]
        if seed != self._mirror.map.seed or not self._mirror.mod_revision(self._keys.seed):
            ops.append(Put(self._keys.seed, encode(seed)))
            compares.append(Compare(self._keys.seed, self._mirror.mod_revision(self._keys.seed)))
        follows = {key: self._keys.generation(pointer.active)}
        return generation if await self._writer.commit(compares, ops, entry, follows) else None

    async def keep_seed(self) -> None:
        """Have etcd hold the deployment's seed, the active generation's if it held none yet, for ever."""
        while True:
            moved = self._mirror.next_move()
            try:
                await self._adopt_seed()
            except CroupierError as error:
                _log.warning("the seed is not written to etcd yet: %s", error)
                await asyncio.sleep(_AGAIN_SECONDS)
                continue
            await moved.wait()

    async def _adopt_seed(self) -> None:
        seed = self._mirror.map.seed
        if seed is None or self._mirror.is_frozen or self._mirror.mod_revision(self._keys.seed):
            return
        entry = self._audit.entry(MANAGER, "adopt seed", str(seed.current.seed))
        await self._writer.commit([Compare(self._keys.seed, 0)], [Put(self._keys.seed, encode(seed))], entry)

    async def _pointer_at(self, expected: int) -> _Pointer:
        """The pointer, if it is at `expected`. Raises StaleGeneration."""
        pointer = await self._pointer()
        if pointer.active != expected:
            stale = StaleGeneration(
                f"generation {pointer.active} is active, not {expected}", current=str(pointer.active)
            )
            raise await self._writer.refusal(self._keys.active, pointer.mod_revision, stale)
        return pointer

    async def _pointer(self) -> _Pointer:
        served = self._mirror.map.generations
        pair = await self._etcd.get(self._keys.active)
        with suppress(BadRecord):
            record = decode(ActiveKey(), pair.value) if pair else None
            if pair is not None and isinstance(record, Active) and await self._is_there(record.active):
                return _Pointer(record.active, pair.mod_revision)
        return _Pointer(served[0].number if served else 0, pair.mod_revision if pair else 0)

    async def _is_there(self, number: int) -> bool:
        """Whether etcd has generation `number`; one that cannot be read is not there. Raises BadRecord."""
        if number in self._mirror.map.archive:
            return True
        if self._keys.generation(number) in self._mirror.bad_keys:
            return False
        pair = await self._etcd.get(self._keys.generation(number))
        return pair is not None and bool(decode(GenerationKey(number), pair.value))

    def _deals_already(self, wanted: Generation, pointer: _Pointer) -> bool:
        """Whether `wanted` is the active generation, and that is whole in etcd: then the lookback is kept."""
        served = self._mirror.map.generations
        if not served or served[0].number != pointer.active:
            return False
        keys = (self._keys.active, self._keys.generation(pointer.active))
        if any(key in self._mirror.bad_keys or not self._mirror.mod_revision(key) for key in keys):
            return False
        return _content(wanted) == _content(served[0])

    def _next_number(self, pointer: _Pointer) -> int:
        number = max(pointer.active, *self._mirror.map.archive, 0) + 1
        while self._keys.generation(number) in self._mirror.bad_keys:
            number += 1
        return number

    def _prune(self, pointer: _Pointer) -> list[Delete]:
        """The oldest generations beyond those that are kept, a few at a time."""
        old = sorted(self._mirror.map.archive)[:-KEPT_GENERATIONS]
        return [Delete(self._keys.generation(number)) for number in old[:8] if number != pointer.active]

    def _seed_for(self, wanted: Generation, pointer: _Pointer) -> Seed:
        """The deployment's seed, which `wanted` has, or makes. Raises InvalidGeneration, ShardMapDamaged."""
        served = self._mirror.map
        if not pointer.active:
            if served.archive:
                raise _damaged(served.archive)
            return served.seed or Seed((Era(wanted.seed),))
        assert served.seed is not None, "a generation deals, so it has a seed"
        if wanted.seed != served.seed.current.seed:
            raise InvalidGeneration(
                f"the seed is {served.seed.current.seed} in this deployment: "
                "another one would deal every tenant a new hand",
                field="seed",
            )
        return served.seed


def _content(generation: Generation) -> tuple[object, ...]:
    """What hands follow from, beside the seed."""
    seats = sorted(generation.seats, key=lambda seat: seat.cell)
    return generation.hand_size, seats, dict(generation.overrides)


def _damaged(archive: Mapping[int, Generation]) -> ShardMapDamaged:
    return ShardMapDamaged(f"no generation is active, although etcd has {len(archive)}")
