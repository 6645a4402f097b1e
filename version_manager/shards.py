"""Changes the shard map: a new generation becomes active, the active one becomes the previous.

The generation and the pointer to it are written in one transaction that compares the pointer, so
of two operators who start from the same generation one is refused. Generations are immutable: going
back means giving an old one's content a new number.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace

from croupier.errors import Conflict, NotFound, TooLarge
from croupier.stores.etcd import Compare, Delete, Etcd, Put
from sharding.generation import Generation, InvalidGeneration, check_generation
from version_manager.audit import Actor, Audit
from version_manager.keys import ActiveKey, BadRecord, GenerationKey, Keys
from version_manager.mirror import Mirror
from version_manager.records import Active, decode, encode
from version_manager.writer import Writer

KEPT_GENERATIONS = 32
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


class Shards:
    """Writes and reads generations."""

    def __init__(self, etcd: Etcd, mirror: Mirror, writer: Writer, keys: Keys, audit: Audit) -> None:
        self._etcd = etcd
        self._mirror = mirror
        self._writer = writer
        self._keys = keys
        self._audit = audit

    def previous(self, number: int) -> int:
        """Which generation dealt before `number`, if that is the active one and any did; else 0."""
        match self._mirror.map.generations:
            case (active, before) if active.number == number:
                return before.number
            case _:
                return 0

    def get(self, number: int) -> Generation:
        """Generation `number`, or the active one for 0. Raises UnknownGeneration."""
        served = self._mirror.map
        for generation in served.generations:
            if number in {0, generation.number}:
                return generation
        if number not in served.archive:
            raise UnknownGeneration(
                f"there is no generation {number}" if number else "no generation is active"
            )
        return served.archive[number]

    async def set(self, wanted: Generation, expected: int, actor: Actor) -> Generation:
        """Make `wanted`, whose number is replaced by the next one, active instead of `expected` (0: none).

        Raises:
            InvalidGeneration: it cannot deal, or has another seed than the active one.
            StaleGeneration: another generation than `expected` is active.
            TooLarge: it does not fit into etcd.
        """
        check_generation(wanted)
        return await self._writer.settle(lambda: self._set(wanted, expected, actor))

    async def _set(self, wanted: Generation, expected: int, actor: Actor) -> Generation | None:
        pointer = await self._pointer()
        if pointer.active != expected:
            raise StaleGeneration(
                f"generation {pointer.active} is active, not {expected}", current=str(pointer.active)
            )
        self._check_seed(wanted)
        number = self._next_number(pointer)
        generation = replace(wanted, number=number)
        value = encode(generation)
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
        entry = self._audit.entry(
            actor, "set generation", str(number), replaces=pointer.active, seats=len(generation.seats)
        )
        return generation if await self._writer.commit(compares, ops, entry) else None

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
        pair = await self._etcd.get(self._keys.generation(number))
        return pair is not None and bool(decode(GenerationKey(number), pair.value))

    def _next_number(self, pointer: _Pointer) -> int:
        number = max(pointer.active, *self._mirror.map.archive, 0) + 1
        while self._keys.generation(number) in self._mirror.bad_keys:
            number += 1
        return number

    def _prune(self, pointer: _Pointer) -> list[Delete]:
        """The oldest generations beyond those that are kept, a few at a time."""
        old = sorted(self._mirror.map.archive)[:-KEPT_GENERATIONS]
        return [Delete(self._keys.generation(number)) for number in old[:8] if number != pointer.active]

    def _check_seed(self, wanted: Generation) -> None:
        for served in self._mirror.map.generations[:1]:
            if wanted.seed != served.seed:
                raise InvalidGeneration(
                    f"the seed is {served.seed} in this deployment: "
                    "another one would deal every tenant a new hand",
                    field="seed",
                )
