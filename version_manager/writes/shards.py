"""Changes the shard map: a new generation becomes active, the active one becomes the previous.

It deals to all tenants at once, or takes over from that one as a ramp rises (`ramping`), and while that runs
there is no third, unless an operator forces it or goes back.

The generation and the pointer to it are written in one transaction that compares the pointer, so
of two operators who start from the same generation one is refused. Generations are immutable: going
back means giving an old one's content a new number. The seed stays, whoever asks: only `reseed` changes it,
since with another one every tenant is dealt a new hand.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import Callable
from dataclasses import replace

from croupier.errors import CroupierError, InvalidRequest, TooLarge
from croupier.stores.etcd import Compare, Delete, Etcd, Put
from sharding.changes import changes
from sharding.generation import MAX_WORDS, Generation, InvalidGeneration, check_generation
from sharding.ramp import WHOLE
from version_manager.map.audit import MANAGER, Actor, Audit
from version_manager.map.chunks import MAX_BYTES
from version_manager.map.forms import MAX_ERAS
from version_manager.map.keys import Keys
from version_manager.map.mirror import Mirror
from version_manager.map.records import Active, encode
from version_manager.map.seed import Era, Seed
from version_manager.writes.chunks import Chunks, Loose
from version_manager.writes.pointer import (
    AT_ONCE,
    How,
    Pointer,
    Pointers,
    UnknownGeneration,
    damaged,
    ramp_running,
)
from version_manager.writes.ramping import SWITCH_SECONDS
from version_manager.writes.writer import Writer

_log = logging.getLogger(__name__)

KEPT_GENERATIONS = 32
# Of those that lie in chunks, all together.
_KEPT_BYTES = 2**26
# Fits a JSON number: a tool that rounded it while somebody edits the map would deal every tenant anew.
_SEED_BITS = 53
# A manager that could not write the seed tries again after so many seconds.
_AGAIN_SECONDS = 5.0
# Lines about a new generation that its entry of the audit has.
_MOST_CHANGES = 100
_MOST_OF_A_CHANGE = 200
# etcd takes 1.5 MiB a request; the rest is for the keys and the audit. What is larger is written in chunks.
_MOST_IN_ONE = 2**20


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
        clock: Callable[[], int] = time.time_ns,
        draw: Callable[[], int] = lambda: secrets.randbits(_SEED_BITS),
    ) -> None:
        self._pointers = Pointers(etcd, mirror, writer, keys)
        self._chunks = Chunks(etcd, mirror, writer, keys, audit)
        self._clock = clock
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
            raise damaged(served.archive)
        raise UnknownGeneration("no generation is active")

    async def set(self, wanted: Generation, expected: int, actor: Actor, how: How = AT_ONCE) -> Generation:
        """Make `wanted`, whose number is replaced by the next one, active instead of `expected` (0: none).

        If that deals as `wanted` does, it stays, with the one before it.

        Raises:
            InvalidGeneration: it cannot deal, or has another seed than the deployment.
            InvalidRequest: `how` says what cannot be.
            StaleGeneration: another generation than `expected` is active.
            RampRunning: that one has not taken over yet.
            UnknownGeneration: what is to be rolled back to is not there any more.
            ShardMapDamaged: none is active, and there were some.
            NotUnderstood: a ramp, and a part that has joined knows of none.
            TooLarge: it does not fit into etcd.
        """
        how.check()
        if how.rollback_to:
            if wanted.seats:
                raise InvalidRequest(
                    "a rollback has the content of an old generation, and no other", field="rollback_to"
                )
        else:
            check_generation(wanted)
        return await self._writer.settle(lambda: self._set(wanted, expected, actor, how))

    async def _set(self, wanted: Generation, expected: int, actor: Actor, how: How) -> Generation | None:
        pointer = await self._pointers.at(expected)
        seed = self._seed_for(wanted, pointer)
        if how.rollback_to:
            wanted = self._former(how.rollback_to, seed)
        if self._deals_already(wanted, pointer):
            return self.get(pointer.active)
        how.check_ramp(pointer.record)
        number = self._next_number(pointer)
        generation = self._told(
            replace(
                wanted,
                number=number,
                # The first one since the seed was made may not know it.
                seed=seed.current.seed,
                seed_since=seed.current.since,
                author=actor.name or how.author or wanted.author,
                reason=how.reason or wanted.reason,
                at=self._now(),
            )
        )
        seconds = self._ramp_seconds(how, pointer.record)
        ramp = WHOLE
        if seconds:
            # A ramp waits at 0 for cells to load (`ramper`).
            ramp = 1 if how.cold else 0
        active = Active(
            number,
            self._lookback(generation, pointer.record),
            ramp,
            seconds,
            author=generation.author,
            reason=generation.reason,
            at=generation.at,
        )
        told = {name: getattr(how, name) for name in ("force", "rollback_to", "ramp_seconds")}
        entry = self._audit.entry(
            *(actor, "set generation", str(number)),
            replaces=pointer.active,
            seats=len(generation.seats),
            changes=self._changes(pointer.active, generation),
            reason=generation.reason,
            **{name: value for name, value in told.items() if value},
        )
        return await self._make(generation, seed, pointer, active, entry)

    def _ramp_seconds(self, how: How, pointer: Active | None) -> float:
        """How long it takes to take over from what `pointer` says; 0: it deals to all at once."""
        if pointer is None:
            return 0.0
        may_wait = how.warm and not pointer.is_ramping and self._writer.understands(4)
        return how.ramp_seconds or (SWITCH_SECONDS if may_wait else 0.0)

    def _former(self, number: int, seed: Seed) -> Generation:
        """What generation `number` dealt, to be dealt again. Raises UnknownGeneration, InvalidGeneration."""
        found = self.get(number)
        if found.seed != seed.current.seed:
            raise InvalidGeneration(
                f"generation {number} dealt under another seed, so its content would not deal its hands",
                field="rollback_to",
            )
        return replace(found, author="", reason=f"rollback to generation {number}")

    def _lookback(self, generation: Generation, pointer: Active | None) -> int:
        """Where models are looked for behind `generation`; 0: nowhere.

        That is what deals now. If a ramp ends where it is, two do: then the one whose hands `generation` does
        not deal itself, and else the one that deals to more tenants.
        """
        if pointer is None or not pointer.is_ramping:
            return pointer.active if pointer else 0
        before = self._mirror.map.archive.get(pointer.previous)
        if before is not None and _content(before) == _content(generation):
            return pointer.active
        return pointer.active if pointer.ramp * 2 >= WHOLE else pointer.previous

    def _told(self, generation: Generation) -> Generation:
        """`generation` with as much of who made it as every part that has joined understands."""
        if not self._writer.understands(3):
            generation = replace(generation, author="", reason="")
        return generation if self._writer.understands(4) else replace(generation, at=0.0)

    def _now(self) -> float:
        return round(self._clock() / 1e9, 3)

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
        pointer = await self._pointers.at(expected)
        active, known = self.get(expected), self._mirror.map.seed
        if pointer.record is not None and pointer.record.is_ramping:
            raise ramp_running(pointer.record, "let it come to an end before all are dealt anew")
        assert known is not None, "a generation deals, so it has a seed"
        if len(known.eras) >= MAX_ERAS:
            raise TooLarge(f"a deployment is dealt anew {MAX_ERAS - 1} times at most")
        number = self._next_number(pointer)
        seed = known.changed(self._draw(), number)
        # What was said of the active one, and by whom, is not about this.
        generation = self._told(
            replace(
                active,
                number=number,
                seed=seed.current.seed,
                seed_since=number,
                author=actor.name,
                reason=reason[:MAX_WORDS],
                at=self._now(),
            )
        )
        record = Active(
            *(number, pointer.active), author=actor.name, reason=generation.reason, at=generation.at
        )
        entry = self._audit.entry(actor, "reseed", str(number), replaces=pointer.active, reason=reason)
        return await self._make(generation, seed, pointer, record, entry)

    async def _make(
        self, generation: Generation, seed: Seed, pointer: Pointer, active: Active, entry: Put
    ) -> Generation | None:
        """Write `generation` and have it deal as `active` says; None: something changed meanwhile."""
        value = encode(generation)
        if len(value) <= _MOST_IN_ONE:
            put = Put(self._keys.generation(generation.number), value)
            return generation if await self._commit(put, generation, seed, pointer, active, entry) else None
        value = await self._chunks.carried_over(pointer.active, generation.number, value)
        if len(value) > MAX_BYTES:
            raise TooLarge(
                f"the shard map takes {len(value)} bytes, and may take {MAX_BYTES}: have fewer overrides"
            )
        async with self._chunks.loose(generation.number, value) as whole:
            if whole is None:
                return None
            done = await self._commit(whole.head, generation, seed, pointer, active, entry, whole)
            return generation if done else None

    async def _commit(
        self,
        put: Put,
        generation: Generation,
        seed: Seed,
        pointer: Pointer,
        active: Active,
        entry: Put,
        whole: Loose | None = None,
    ) -> bool:
        """`put` is under the generation's key, `whole` what follows on it."""
        if not active.is_ramping and not self._writer.understands(4):
            active = active.bare()
        ops: list[Put | Delete] = [
            put,
            *(whole.kept if whole else ()),
            Put(self._keys.active, encode(active)),
            *self._prune(pointer.active, active.previous),
        ]
        compares = [Compare(self._keys.active, pointer.mod_revision), Compare(put.key, 0)]
        compares += whole.compares if whole else ()
        if seed != self._mirror.map.seed or not self._mirror.mod_revision(self._keys.seed):
            ops.append(Put(self._keys.seed, encode(seed)))
            compares.append(Compare(self._keys.seed, self._mirror.mod_revision(self._keys.seed)))
        follows = {} if whole else {put.key: self._keys.generation(pointer.active)}
        return await self._writer.commit(compares, ops, entry, follows)

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

    def _deals_already(self, wanted: Generation, pointer: Pointer) -> bool:
        """Whether `wanted` is the active generation, and that is whole in etcd: then the lookback is kept."""
        served = self._mirror.map.generations
        if not served or served[0].number != pointer.active:
            return False
        keys = (self._keys.active, self._keys.generation(pointer.active))
        if any(key in self._mirror.bad_keys or not self._mirror.mod_revision(key) for key in keys):
            return False
        return _content(wanted) == _content(served[0])

    def _next_number(self, pointer: Pointer) -> int:
        number = max(pointer.active, *self._mirror.map.archive, 0) + 1
        while self._is_spoilt(number):
            number += 1
        return number

    def _is_spoilt(self, number: int) -> bool:
        """Whether somebody wrote something below that number which makes no sense, or is not finished."""
        key, chunks = self._keys.generation(number), self._keys.chunks(number)
        if any(bad == key or bad.startswith(chunks) for bad in self._mirror.bad_keys):
            return True
        return bool(self._mirror.mod_revision(self._keys.chunk(number, 1)))

    def _prune(self, *kept: int) -> list[Delete]:
        """The oldest generations beyond those that are kept, a few at a time."""
        served = self._mirror.map
        numbers, room = sorted(served.archive, reverse=True), _KEPT_BYTES
        old = numbers[KEPT_GENERATIONS:]
        for number in numbers:
            room -= served.chunked[number].head.size if number in served.chunked else 0
            if room < 0 and number not in old:
                old.append(number)
        ops = []
        for number in [number for number in sorted(old) if number not in kept][:8]:
            ops.append(Delete(self._keys.generation(number)))
            if number in served.chunked:
                ops.append(Delete(self._keys.chunks(number), prefix=True))
        return ops

    def _seed_for(self, wanted: Generation, pointer: Pointer) -> Seed:
        """The deployment's seed, which `wanted` has, or makes. Raises InvalidGeneration, ShardMapDamaged."""
        served = self._mirror.map
        if not pointer.active:
            if served.archive:
                raise damaged(served.archive)
            return served.seed or Seed((Era(wanted.seed),))
        assert served.seed is not None, "a generation deals, so it has a seed"
        if wanted.seats and wanted.seed != served.seed.current.seed:
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
