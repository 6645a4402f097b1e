"""One mutation in etcd: its compares, its operations and its audit entry, in one transaction.

What takes the place of a record keeps what a newer release wrote into it, and nothing is written that a
part which has joined does not understand yet: see `schema` and `announcements`.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import TypeVar

from croupier.errors import Conflict, CroupierError, FailedPrecondition, Unavailable
from croupier.stores.etcd import Compare, Delete, Etcd, Put
from croupier.transport.steps import step
from version_manager.map.keys import Keys
from version_manager.map.mirror import Mirror
from version_manager.map.records import carry_over
from version_manager.map.schema import schema_of

_log = logging.getLogger(__name__)

_ATTEMPTS = 5

T = TypeVar("T")


class TooManyWriters(Conflict):
    """Others changed the same thing over and over in the meantime. The operator's: try again."""


class NotUnderstood(FailedPrecondition):
    """A part that has joined is of a release that does not know what would be written. The operator's:
    upgrade it first.
    """

    reason = "NOT_UNDERSTOOD"


class MapBehind(Unavailable):
    """etcd has a change that this manager's map has not: it looked stale, and was not. Passing."""

    reason = "MAP_BEHIND"


class Writer:
    """Commits to etcd and waits until `mirror` shows it, for at most `patience` seconds.

    `understood` tells the highest schema that every part which has joined understands.

    A commit that the mirror does not show in time is a commit nevertheless: it is logged, and the
    caller is told that it happened.
    """

    def __init__(
        self,
        etcd: Etcd,
        mirror: Mirror,
        keys: Keys,
        understood: Callable[[], int],
        *,
        patience: float = 5.0,
    ) -> None:
        self._etcd = etcd
        self._mirror = mirror
        self._keys = keys
        self._understood = understood
        self._patience = patience

    async def commit(
        self,
        compares: Sequence[Compare],
        ops: Sequence[Put | Delete],
        entry: Put,
        follows: Mapping[str, str] = MappingProxyType({}),
        known: Mapping[str, bytes] = MappingProxyType({}),
    ) -> bool:
        """Do `ops` if all of `compares` hold; returns whether they did.

        A put takes the place of what its compare names, or follows on what stands under another key,
        which `follows` gives: it keeps what a newer release wrote there. That is read, unless it is `known`:
        values by keys, as they were when the compares were made.

        Raises:
            MapFrozen: nothing is written while the map is frozen.
            NotUnderstood: not everybody is of a release that knows it.
            NewerRecord: a record that would be replaced is of a release that is two ahead.
            Unavailable: etcd did not answer; it may have happened nevertheless.
        """
        with step("commit", {"croupier.operations": len(ops)}) as span:
            done = await self._commit(compares, ops, entry, follows, known)
            if span is not None:
                span.note("croupier.committed", done)
            return done

    async def _commit(
        self,
        compares: Sequence[Compare],
        ops: Sequence[Put | Delete],
        entry: Put,
        follows: Mapping[str, str],
        known: Mapping[str, bytes],
    ) -> bool:
        self._mirror.check_writable()
        before = {compare.key: compare.key for compare in compares if compare.mod_revision} | {**follows}
        ready = [await self._kept(op, before.get(op.key), known) if isinstance(op, Put) else op for op in ops]
        outcome = await self._etcd.transact(compares, [*ready, entry])
        if outcome.succeeded and not await self._reached(outcome.revision):
            _log.warning("revision %d is written and not in the map yet", outcome.revision)
        return outcome.succeeded

    async def _reached(self, revision: int) -> bool:
        with step("follow"):
            return await self._mirror.reached(revision, self._patience)

    def understands(self, schema: int) -> bool:
        """Whether everybody who has joined does."""
        return schema <= self._understood()

    def is_understood(self, value: bytes) -> bool:
        """Whether everybody who has joined understands a record's schema."""
        return self.understands(schema_of(value))

    def check_understood(self, value: bytes) -> None:
        """Raises NotUnderstood."""
        if not self.is_understood(value):
            schema = schema_of(value)
            raise NotUnderstood(f"a part that has joined is of a release that does not know schema {schema}")

    async def _kept(self, put: Put, before: str | None, known: Mapping[str, bytes]) -> Put:
        """`put` with what a newer release wrote under the key `before`, which nobody here can read."""
        if put.keeps_value:
            return put
        # Nobody follows what lies beside the prefix.
        if put.key.startswith(self._keys.prefix):
            self.check_understood(put.value)
        if before is None:
            return put
        value = known.get(before)
        if value is None and (pair := await self._etcd.get(before)) is not None:
            value = pair.value
        if value is None:
            return put
        # What is written there from now on fails the compare.
        return replace(put, value=carry_over(self._keys.parse(before), value, put.value))

    async def refusal(self, key: str, revision: int, stale: Conflict) -> CroupierError:
        """Why a change is refused that was not made against `key` at `revision`, as it stands in etcd: it is
        `stale`, unless the map that the caller read is what lags behind.
        """
        known = self._mirror.mod_revision(key) >= revision
        if known or await self._mirror.reached(revision, self._patience):
            return stale
        return MapBehind(f"the map has not got as far as etcd: {stale.message}")

    async def settle(self, attempt: Callable[[], Awaitable[T | None]]) -> T:
        """The result of `attempt`, which reads, decides and commits; None from it: try again.

        Raises:
            MapFrozen: before anything is read: what etcd lacks then is not what is not there.
            TooManyWriters: none of five attempts was committed.
        """
        for _ in range(_ATTEMPTS):
            self._mirror.check_writable()
            result = await attempt()
            if result is not None:
                return result
        raise TooManyWriters("it is being changed by others again and again")
