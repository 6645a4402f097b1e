"""The way out of a freeze when the loss is meant: an operator's word, for every manager and router.

It is a key in etcd (`records.Thaw`), written with the audit in one transaction, that names the cluster and
the revision at which an operator looked at what would be lost. Each manager accepts its held batch up to
there (`guard.Batch.accept`) and calls its catalog by the thaw's number from then on; routers get that number
with the whole catalog, and take it whatever it lacks. A thaw loses neither the shard map nor the seed
(`shard_image`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from typing import TypeVar

from croupier.errors import Conflict, FailedPrecondition, InvalidRequest
from croupier.stores.etcd import Compare, Etcd, Put
from version_manager.map.audit import Actor, Audit
from version_manager.map.keys import BadRecord, Keys, ThawKey
from version_manager.map.mirror import Mirror
from version_manager.map.mods import ModelId
from version_manager.map.records import Thaw, decode, encode

T = TypeVar("T")

# Of what is lost, so many are named.
_NAMED = 100
_PATIENCE = 5.0


class NotFrozen(FailedPrecondition):
    """There is nothing to thaw. The operator's."""

    reason = "NOT_FROZEN"


class StaleFreeze(Conflict):
    """etcd is another one than the operator looked at. The operator's: look again."""

    reason = "STALE_FREEZE"


@dataclass(frozen=True, slots=True)
class Freeze:
    """Why the map stands, empty if it moves, and what it would lose otherwise.

    `counts` are of the models, of the keys that are missing and of those that are older than served; the
    first of each are named.
    """

    why: str
    cluster_id: int
    revision: int
    counts: tuple[int, int, int] = (0, 0, 0)
    models: Sequence[ModelId] = ()
    missing: Sequence[str] = ()
    older: Sequence[str] = ()


class Thawing:
    """`clock` gives nanoseconds since 1970."""

    def __init__(
        self, etcd: Etcd, mirror: Mirror, keys: Keys, audit: Audit, *, clock: Callable[[], int]
    ) -> None:
        self._etcd = etcd
        self._mirror = mirror
        self._keys = keys
        self._audit = audit
        self._clock = clock

    def freeze(self) -> Freeze:
        mirror, held = self._mirror, self._mirror.held
        if held is None:
            return Freeze(mirror.frozen_for, mirror.seen_cluster_id, mirror.seen_revision)
        return Freeze(
            held.describe(),
            mirror.seen_cluster_id,
            mirror.seen_revision,
            (len(held.lost), len(held.missing), len(held.regressed)),
            _first(held.lost),
            _first(held.missing),
            _first(held.regressed),
        )

    async def thaw(self, reason: str, cluster_id: int, revision: int, actor: Actor) -> Freeze:
        """Have everybody take what etcd's cluster has at `revision`; returns what is frozen after it.

        Raises:
            InvalidRequest: no reason is given.
            NotFrozen: the map moves.
            StaleFreeze: etcd is another cluster by now, or somebody else thaws.
        """
        if not reason.strip():
            raise InvalidRequest("say why the loss is meant", field="reason")
        seen = self.freeze()
        if not seen.why:
            raise NotFrozen("the map is not frozen: there is nothing to thaw")
        if cluster_id != seen.cluster_id:
            raise StaleFreeze(f"etcd is cluster {seen.cluster_id:016x}, and not {cluster_id:016x}")
        # What nobody has seen is not accepted in advance.
        accepted = Thaw(0, cluster_id, min(revision, seen.revision), reason)
        lost, missing, older = seen.counts
        entry = self._audit.entry(
            actor,
            "thaw",
            f"{cluster_id:016x}@{accepted.revision}",
            reason=reason,
            why=seen.why,
            lost_models=lost,
            missing_keys=missing,
            older_keys=older,
            models=["/".join(model) for model in seen.models],
        )
        written = await self._write(accepted, entry)
        await self._taken(written)
        return self.freeze()

    async def _write(self, accepted: Thaw, entry: Put) -> int:
        """Write it under the next number; returns the revision."""
        pair = await self._etcd.get(self._keys.thaw)
        known = self._mirror.map.thaw
        before = known.number if known else 0
        with suppress(BadRecord):
            record = decode(ThawKey(), pair.value) if pair else None
            before = max(before, record.number if isinstance(record, Thaw) else 0)
        number = max(self._clock() // 1_000_000, before + 1)
        value = encode(Thaw(number, accepted.cluster_id, accepted.revision, accepted.reason))
        compare = Compare(self._keys.thaw, pair.mod_revision if pair else 0)
        outcome = await self._etcd.transact([compare], [Put(self._keys.thaw, value), entry])
        if not outcome.succeeded:
            raise StaleFreeze("somebody else thaws the map in this moment")
        return outcome.revision

    async def _taken(self, revision: int) -> None:
        """Wait, for a while, until the mirror has heard of `revision`."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_PATIENCE):
                while self._mirror.seen_revision < revision:
                    await self._mirror.next_move().wait()


def _first(found: Iterable[T]) -> list[T]:
    return list(islice(found, _NAMED))
