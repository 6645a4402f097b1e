"""Moves the ramp by which a generation takes over from the one before: what `shards/active` says of it.

    rising ──step──▶ rising … ──step──▶ whole ──settled──▶ ended: the one before is looked back to no more
      │  ▲             │ finish ▲
      ▼  └─resume─┐    └────────┘
    held ─────────┘

Operators hold it, go on with it and end it; `ramper` does what is due, on any number of managers: the pointer
is compared, so that of those who take a step one does.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from enum import Enum

from croupier.errors import FailedPrecondition, InvalidRequest
from croupier.stores.etcd import Compare, Etcd, Put
from sharding.generation import MAX_WORDS
from sharding.ramp import WHOLE
from version_manager.map.audit import MANAGER, Actor, Audit
from version_manager.map.keys import Keys
from version_manager.map.mirror import Mirror
from version_manager.map.records import Active, encode
from version_manager.writes.pointer import Pointer, Pointers
from version_manager.writes.writer import Writer

# A ramp takes so many steps, but none within a second of the one before.
STEPS = 100
LEAST_STEP_SECONDS = 1.0
# A ramp that takes no longer has one step, which waits for nothing but cells that load (`ramper`). A manager
# of the release before takes it after a step's time.
SWITCH_SECONDS = 1.0


class NoRamp(FailedPrecondition):
    """The active generation deals to all. The operator's."""

    reason = "NO_RAMP"


class Move(Enum):
    """What an operator may have a ramp do."""

    RESUME = "resume"
    PAUSE = "pause"
    FINISH = "finish"


def step_seconds(pointer: Active) -> float:
    """How long a step of its ramp takes."""
    return max(LEAST_STEP_SECONDS, pointer.seconds / STEPS)


def stepped(pointer: Active) -> Active:
    """`pointer` a step of its ramp further on. One that is to take no time is whole with one step."""
    share = step_seconds(pointer) / pointer.seconds if pointer.seconds else 1.0
    return replace(pointer, ramp=min(WHOLE, pointer.ramp + round(WHOLE * share)))


class Ramping:
    """`clock` gives nanoseconds since 1970, which are for people: nothing is decided by them."""

    def __init__(
        self,
        etcd: Etcd,
        mirror: Mirror,
        writer: Writer,
        keys: Keys,
        audit: Audit,
        *,
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        self._pointers = Pointers(etcd, mirror, writer, keys)
        self._writer = writer
        self._keys = keys
        self._audit = audit
        self._clock = clock

    async def move(self, move: Move, expected: int, reason: str, author: str, actor: Actor) -> Active:
        """Have an operator's word on the ramp of generation `expected`; returns what stands after it.

        Raises:
            StaleGeneration: another generation is active.
            NoRamp: it deals to all, and is to be held or gone on with.
        """
        for name, words in (("reason", reason), ("author", author)):
            if len(words) > MAX_WORDS:
                raise InvalidRequest(f"the {name} has more than {MAX_WORDS} characters", field=name)
        return await self._writer.settle(lambda: self._move(move, expected, reason, author, actor))

    async def _move(self, move: Move, expected: int, reason: str, author: str, actor: Actor) -> Active | None:
        pointer = await self._pointers.at(expected)
        if pointer.record is None:
            raise NoRamp("no generation is active")
        who = actor.name or author
        after = _moved(pointer.record, move, reason or f"to {move.value} it was asked for")
        if after == pointer.record:
            return after
        after = replace(after, author=who, reason=reason or pointer.record.reason)
        return await self._write(pointer, after, actor, f"{move.value} ramp", reason)

    async def step(self, seen: Active, mod_revision: int) -> bool:
        """Take a step of the ramp that was `seen`; returns whether it was this manager that did."""
        return await self._by_itself(seen, mod_revision, stepped(seen), "ramp")

    async def hold(self, seen: Active, mod_revision: int, why: str) -> bool:
        """Hold the ramp that was `seen`."""
        after = replace(seen, paused=why[:MAX_WORDS], author=MANAGER.name)
        return await self._by_itself(seen, mod_revision, after, "pause ramp")

    async def end(self, seen: Active, mod_revision: int) -> bool:
        """Look back no more from the generation that has taken over."""
        after = replace(seen, previous=0, seconds=0.0)
        return await self._by_itself(seen, mod_revision, after, "end ramp")

    async def _by_itself(self, seen: Active, mod_revision: int, after: Active, what: str) -> bool:
        pointer = Pointer(seen, mod_revision)
        return await self._write(pointer, after, MANAGER, what, after.paused) is not None

    async def _write(
        self, pointer: Pointer, after: Active, actor: Actor, what: str, reason: str
    ) -> Active | None:
        """None: somebody else was first."""
        after = replace(after, at=round(self._clock() / 1e9, 3))
        if not after.is_ramping and not self._writer.understands(4):
            after = after.bare()
        entry = self._audit.entry(
            *(actor, what, str(after.active)), ramp=after.ramp, replaces=after.previous, reason=reason
        )
        compare = Compare(self._keys.active, pointer.mod_revision)
        done = await self._writer.commit([compare], [Put(self._keys.active, encode(after))], entry)
        return after if done else None


def _moved(record: Active, move: Move, words: str) -> Active:
    """Raises NoRamp."""
    if not record.is_ramping:
        if move is Move.FINISH:
            return record
        raise NoRamp(f"generation {record.active} deals to all: there is no ramp to {move.value}")
    match move:
        case Move.RESUME:
            return replace(record, paused="")
        case Move.PAUSE:
            return replace(record, paused=words)
        case Move.FINISH:
            return replace(record, ramp=WHOLE, paused="")
