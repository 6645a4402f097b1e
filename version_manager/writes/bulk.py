"""Publishes many models at a time: artifacts are put together, and a transaction has several models' records.

    look       which of them are there already, artifact and all: those are not sent again
    publish    check ──▶ store, together ──▶ transactions of some dozens of models, with their releases

A transaction compares all that it was made from, and has one audit entry. Where somebody changed something
meanwhile, those models are each tried again alone, as `publisher` does, and the others once more together. So
no model holds up others, and what becomes of one does not hang on them.

A release moves at once: nobody has cells load a hundred thousand models of which few are asked for tonight.

What another tenant published is no reason not to send it: whoever could name a digest could have its model.

The caller checks uploads first (`check_upload`), and has no model twice in one call of `publish`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from croupier.errors import Conflict, CroupierError, Unavailable
from croupier.stores.etcd import MAX_TRANSACTION, Compare, Delete, Put
from croupier.stores.etcd_errors import EtcdPermissionDenied, EtcdUnauthenticated
from croupier.stores.objects import ManyObjects
from version_manager.map.audit import Actor, Audit
from version_manager.map.keys import BadRecord, Keys
from version_manager.map.mirror import MapFrozen, Mirror
from version_manager.model.release import Release, Version
from version_manager.writes.limits import Why
from version_manager.writes.publisher import Checked, Publisher, Upload, known_version
from version_manager.writes.releases import Releases
from version_manager.writes.stored_models import Read, StoredModels
from version_manager.writes.writer import Writer

T = TypeVar("T")

# Of a transaction, one operation is the entry of the audit; and etcd takes three times as many bytes.
_MOST_OPS, _MOST_BYTES = MAX_TRANSACTION - 1, 512 * 1024
# Of a model, so much is kept while its artifact is on its way; of others it is read again.
_FEW_VERSIONS, _FEW_BYTES = 16, 4096
# Planned before others have a turn.
_AT_A_TIME = 32
# Transactions under way: etcd flushes them together.
_COMMITTING = 8
# Not the fault of one model: nothing can be written at all.
_FOR_ALL = (MapFrozen, EtcdUnauthenticated, EtcdPermissionDenied)


class VersionVanished(Conflict):
    """A version that was there was deleted while it was to be released. The publisher's: publish it again."""

    reason = "VERSION_VANISHED"


@dataclass(frozen=True, slots=True)
class Pending:
    """An upload that is not done: it `is_wanted`, or it is there and not released. `read` is its model as it
    was seen; None, if that is too much to be kept.
    """

    upload: Upload
    is_wanted: bool
    read: Read | None = None


@dataclass(frozen=True, slots=True)
class Order:
    """What is wanted of all that somebody publishes in one go, and what for."""

    actor: Actor
    why: Why = field(default_factory=Why)
    release: bool = False


@dataclass(frozen=True, slots=True)
class Published:
    """A version, `is_known` if it was there before, and the release that sends all traffic to it: 0 if none
    was wanted.
    """

    version: Version
    is_known: bool
    release: int = 0


Outcome = Published | CroupierError


@dataclass(frozen=True, slots=True)
class _Item:
    """`checked` None: its artifact is known."""

    upload: Upload
    checked: Checked | None
    read: Read | None

    @property
    def model(self) -> tuple[str, str]:
        return self.upload.tenant, self.upload.name


@dataclass(frozen=True, slots=True)
class _Plan:
    """What is written of one model, if all of `compares`, by key, hold; see `Writer.commit`."""

    item: _Item
    outcome: Published
    compares: Mapping[str, Compare]
    ops: Sequence[Put | Delete]
    follows: Mapping[str, str]
    known: Mapping[str, bytes]

    @property
    def size(self) -> int:
        return sum(len(op.value) for op in self.ops if isinstance(op, Put))

    def told(self) -> dict[str, str | int]:
        """For the audit."""
        made, upload = self.outcome, self.item.upload
        model = f"{upload.tenant}/{upload.name}"
        if made.is_known:
            return {"model": model, "version": made.version.number, "release": made.release}
        told: dict[str, str | int] = {"model": model, "version": made.version.number}
        told["artifact"] = upload.digest.hex()
        return {**told, **({"release": made.release} if made.release else {})}


class BulkPublisher:
    """Writes what `publisher` and `releases` would, many at a time."""

    def __init__(
        self,
        models: StoredModels,
        publisher: Publisher,
        releases: Releases,
        store: ManyObjects,
        mirror: Mirror,
        writer: Writer,
        keys: Keys,
        audit: Audit,
    ) -> None:
        self._models = models
        self._publisher = publisher
        self._releases = releases
        self._store = store
        self._mirror = mirror
        self._writer = writer
        self._keys = keys
        self._audit = audit
        self._committing = asyncio.Semaphore(_COMMITTING)

    def revision(self) -> str:
        """The catalog, and a revision of it that has all that was published until now."""
        catalog = self._mirror.map.catalog
        return f"{catalog.name}:{catalog.revision}"

    async def look(self, order: Order, uploads: Sequence[Upload]) -> list[Outcome | Pending]:
        """What has to be done for each of `uploads`, whose data are to come; what became of it, if nothing.

        Raises:
            MapFrozen: nothing can be written.
            Unavailable: etcd or the object store does not answer.
        """
        self._mirror.check_writable()
        reads = await self._models.read_many([(upload.tenant, upload.name) for upload in uploads])
        known = [_known(upload, read) for upload, read in zip(uploads, reads, strict=True)]
        digests = {one.artifact for one in known if isinstance(one, Version)}
        # Publishing again is the cure where the store has lost one.
        absent = await self._store.absent(digests) if digests else set[bytes]()
        found: list[Outcome | Pending] = []
        for upload, read, one in zip(uploads, reads, known, strict=True):
            if isinstance(one, CroupierError):
                found.append(one)
            elif one is None or one.artifact in absent:
                found.append(Pending(upload, True, _kept(read)))
            elif order.release:
                found.append(Pending(upload, False, _kept(read)))
            else:
                found.append(Published(one, is_known=True))
        return found

    async def publish(self, order: Order, pending: Sequence[Pending]) -> list[Outcome]:
        """What became of each of `pending`, which has its data by now if it was wanted.

        Raises:
            MapFrozen: nothing can be written.
        """
        found: dict[int, Outcome] = {}
        checked: dict[int, Checked] = {}
        sent = [at for at, one in enumerate(pending) if one.is_wanted]
        checks = await self._publisher.check_many([pending[at].upload for at in sent])
        for at, check in zip(sent, checks, strict=True):
            if isinstance(check, Checked):
                checked[at] = check
            else:
                found[at] = check
        self._mirror.check_writable()
        try:
            await self._store.put_many([pending[at].upload.data for at in checked])
        except CroupierError as error:
            found |= dict.fromkeys(checked, error.without_frames())
        left = [at for at in range(len(pending)) if at not in found]
        items = [_Item(pending[at].upload, checked.get(at), pending[at].read) for at in left]
        found |= zip(left, await self._record(order, items), strict=True)
        return [found[at] for at in range(len(pending))]

    async def _record(self, order: Order, items: Sequence[_Item]) -> list[Outcome]:
        """Write the records of `items`, whose artifacts are there."""
        try:
            plans, found = await self._planned(order, items)
        except _FOR_ALL:
            raise
        except CroupierError as error:
            return [error.without_frames() for _ in items]
        groups = [self._write(order, group) for group in _groups(plans)]
        for written in await _all(groups):
            found |= written
        return [found[item.model] for item in items]

    async def _planned(
        self, order: Order, items: Sequence[_Item], *, anew: bool = False
    ) -> tuple[list[_Plan], dict[tuple[str, str], Outcome]]:
        """What is to be written of `items`, as they stood when they were looked at or stand now; and of which
        of them nothing is.
        """
        unread = [item.model for item in items if anew or item.read is None]
        fresh = dict(zip(unread, await self._models.read_many(unread), strict=True))
        plans: list[_Plan] = []
        found: dict[tuple[str, str], Outcome] = {}
        for at, item in enumerate(items):
            if at % _AT_A_TIME == _AT_A_TIME - 1:
                # Hundreds of them take long: everybody else of this manager has a turn.
                await asyncio.sleep(0)
            try:
                plan = self._plan(order, item, fresh.get(item.model) or item.read)
            except CroupierError as error:
                found[item.model] = error.without_frames()
                continue
            if plan.ops:
                plans.append(plan)
            else:
                found[item.model] = plan.outcome
        return plans, found

    def _plan(self, order: Order, item: _Item, read: Read | BadRecord | None) -> _Plan:
        assert read is not None, "it was read, now or before"
        if isinstance(read, BadRecord):
            raise read
        upload, stored = item.upload, read.stored
        known = known_version(upload, stored)
        ops: list[Put | Delete] = []
        if known is not None:
            version, key = known, self._keys.version(*item.model, known.number)
        elif item.checked is not None:
            version, value = self._publisher.draft(upload, item.checked, stored)
            key = self._keys.version(*item.model, version.number)
            ops.append(Put(key, value))
        else:
            raise VersionVanished(f"model {upload.name} does not have its version any more: publish it again")
        compares = stored.unchanged([key])
        follows: Mapping[str, str] = {}
        number = 0
        if order.release:
            draft = self._releases.draft_whole(*item.model, stored, version, order.actor, order.why)
            if isinstance(draft, Release):
                number = draft.number
            else:
                compares, ops, follows = [*compares, *draft.compares], [*ops, *draft.ops], draft.follows
                number = draft.release.number
        outcome = Published(version, known is not None, number)
        return _Plan(item, outcome, {one.key: one for one in compares}, ops, follows, read.values)

    async def _write(self, order: Order, plans: Sequence[_Plan]) -> dict[tuple[str, str], Outcome]:
        """What became of `plans`, which fit into one transaction."""
        try:
            if await self._commit(order, plans):
                return {plan.item.model: plan.outcome for plan in plans}
            before = {plan.item.model: plan.compares for plan in plans}
            fresh, found = await self._planned(order, [plan.item for plan in plans], anew=True)
            same = [plan for plan in fresh if plan.compares == before[plan.item.model]]
            if len(same) < len(plans) and same and await self._commit(order, same):
                found |= {plan.item.model: plan.outcome for plan in same}
        except _FOR_ALL:
            raise
        except Unavailable as error:
            # It may have happened nevertheless; who asks again is told that it is known.
            return {plan.item.model: error.without_frames() for plan in plans}
        alone = [plan.item for plan in fresh if plan.item.model not in found]
        return found | dict(await _all([self._alone(order, item) for item in alone]))

    async def _alone(self, order: Order, item: _Item) -> tuple[tuple[str, str], Outcome]:
        async def attempt() -> Outcome | None:
            plans, found = await self._planned(order, [item], anew=True)
            if not plans:
                return found[item.model]
            return plans[0].outcome if await self._transact(order, plans) else None

        try:
            return item.model, await self._writer.settle(attempt)
        except _FOR_ALL:
            raise
        except CroupierError as error:
            return item.model, error.without_frames()

    async def _commit(self, order: Order, plans: Sequence[_Plan]) -> bool:
        """Whether all of `plans` are written. One that cannot be is told of when it is tried alone."""
        try:
            return await self._transact(order, plans)
        except (*_FOR_ALL, Unavailable):
            raise
        except CroupierError:
            return False

    async def _transact(self, order: Order, plans: Sequence[_Plan]) -> bool:
        entry = self._audit.entry(
            order.actor,
            "publish many",
            f"{len(plans)} models",
            models=[plan.told() for plan in plans],
            **order.why.told(order.actor),
        )
        compares = [compare for plan in plans for compare in plan.compares.values()]
        ops = [op for plan in plans for op in plan.ops]
        follows = {key: before for plan in plans for key, before in plan.follows.items()}
        known = {key: value for plan in plans for key, value in plan.known.items()}
        async with self._committing:
            return await self._writer.commit(compares, ops, entry, follows, known)


def _known(upload: Upload, read: Read | BadRecord) -> Version | CroupierError | None:
    """The version that `upload` would make again, or what is wrong with it."""
    if isinstance(read, BadRecord):
        return read
    try:
        return known_version(upload, read.stored)
    except CroupierError as error:
        return error.without_frames()


def _kept(read: Read | BadRecord) -> Read | None:
    """What is kept while the artifact comes."""
    assert isinstance(read, Read), "what could not be read is done with"
    is_small = len(read.stored.numbers) <= _FEW_VERSIONS and sum(map(len, read.values.values())) <= _FEW_BYTES
    return read if is_small else None


def _groups(plans: Sequence[_Plan]) -> Iterator[list[_Plan]]:
    """`plans` in their order, as many at a time as one transaction takes."""
    group: list[_Plan] = []
    ops = compares = size = 0
    for plan in plans:
        ops, compares, size = ops + len(plan.ops), compares + len(plan.compares), size + plan.size
        if group and (ops > _MOST_OPS or compares > MAX_TRANSACTION or size > _MOST_BYTES):
            yield group
            group, ops, compares, size = [], len(plan.ops), len(plan.compares), plan.size
        group.append(plan)
    if group:
        yield group


async def _all(work: Sequence[Coroutine[Any, Any, T]]) -> list[T]:
    """What all of `work` gives, done at once. Raises the first error, when all have ended."""
    found = await asyncio.gather(*work, return_exceptions=True)
    for one in found:
        if isinstance(one, BaseException):
            raise one
    return [one for one in found if not isinstance(one, BaseException)]
