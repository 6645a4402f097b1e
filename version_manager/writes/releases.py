"""Changes releases: what is served of a model. Cells load what is new before anybody is sent to it.

    set, rollback ──▶ cells load ──▶ the next release, and the one before it beside the others, at once

As in `publisher`, every write compares what it read, and is tried again or refused. A change of shares moves
no key that it need not (`ranges`). Nothing is ever set back: what served before becomes the next release.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence, Set
from contextlib import suppress
from dataclasses import dataclass, replace

import msgspec

from croupier.errors import Conflict, FailedPrecondition, NotFound
from croupier.stores.etcd import Compare, Delete, Put
from version_manager.cells.warming import NotWarm
from version_manager.map.audit import Actor, Audit
from version_manager.map.keys import BadRecord, Keys, ReleaseKey
from version_manager.map.records import decode, encode
from version_manager.map.release_forms import check_labels
from version_manager.map.stored import Stored
from version_manager.model.ranges import following
from version_manager.model.release import (
    WHOLE,
    InvalidRelease,
    Range,
    Release,
    Split,
    Version,
    check_release,
)
from version_manager.writes.limits import Why
from version_manager.writes.stored_models import StoredModels, check_names
from version_manager.writes.writer import Writer

# etcd takes 128 compares a transaction.
MAX_NAMED_VERSIONS = 100
# Those before the one that is served.
KEPT = 20
_NO_REASON = Why()


class StaleRelease(Conflict):
    """The release was changed since the caller read it. The operator's: read it again."""

    reason = "STALE_RELEASE"


class UnknownRelease(NotFound):
    """The model never had that release, or it is not kept any more. The operator's."""

    reason = "UNKNOWN_RELEASE"


class VersionGone(FailedPrecondition):
    """An earlier release names versions that were deleted since. The operator's: publish them again."""

    reason = "VERSION_GONE"


@dataclass(frozen=True, slots=True)
class Change:
    """What is wanted of a model's next release, instead of release `expected`, 0 for whatever is served.

    `salt` None: that of the release which is served. `restores`: whose content it is.
    """

    splits: tuple[Split, ...]
    labels: Mapping[str, int]
    expected: int = 0
    salt: str | None = None
    restores: int = 0
    # Who got which points, of what it restores.
    ranges: tuple[Range, ...] | None = None

    def release(self, number: int, served: Release | None) -> Release:
        """The release after `served`. Raises InvalidRelease."""
        salt = self.salt if self.salt is not None else served.salt if served else ""
        found = Release(number, self.splits, self.labels, salt, self.ranges or (), restores=self.restores)
        return following(served, found) if self.ranges is None else found


@dataclass(frozen=True, slots=True)
class Draft:
    """A release as it would be written, in one transaction with what goes with it: see `Writer.commit`."""

    release: Release
    value: bytes
    compares: Sequence[Compare]
    ops: Sequence[Put | Delete]
    follows: Mapping[str, str]


class Releases:
    """`warm` has a tenant's cells load versions; without it nobody waits for them.

    `clock` gives seconds since 1970.
    """

    def __init__(
        self,
        models: StoredModels,
        writer: Writer,
        keys: Keys,
        audit: Audit,
        *,
        clock: Callable[[], float],
        warm: Callable[[str, Sequence[Version]], Awaitable[None]] | None = None,
    ) -> None:
        self._clock = clock
        self._models = models
        self._writer = writer
        self._keys = keys
        self._audit = audit
        self._warm = warm

    async def set(
        self,
        tenant: str,
        name: str,
        change: Change,
        actor: Actor,
        why: Why = _NO_REASON,
        *,
        skip_warming: bool = False,
    ) -> Release:
        """Serve what `change` wants, as the next release. The tenant's cells load what is new in it first.

        Raises:
            UnknownModel: there is no such model.
            InvalidRequest: the release does not add up, or names versions that are not there.
            StaleRelease: another release than expected is served.
            NotWarm: cells have not loaded what is new.
            NotUnderstood: a part has joined that does not know what the release would say.
        """
        check_names(tenant, name)
        check_labels(change.labels)
        why.check()
        wanted = Release(0, change.splits, change.labels).versions()
        if len(wanted) > MAX_NAMED_VERSIONS:
            raise InvalidRelease(f"a release names at most {MAX_NAMED_VERSIONS} versions", field="splits")
        if self._warm is not None and not skip_warming:
            await self._warm(tenant, await self._new_versions(tenant, name, wanted, change.expected))
        return await self._writer.settle(lambda: self._set(tenant, name, change, actor, why))

    async def rollback(
        self,
        tenant: str,
        name: str,
        number: int,
        expected: int,
        actor: Actor,
        why: Why = _NO_REASON,
        *,
        skip_warming: bool = False,
    ) -> Release:
        """Serve what release `number` did (0: the one before), as the next release.

        Raises:
            UnknownRelease: it is not kept.
            VersionGone: it names what is not there any more.
            UnknownModel, StaleRelease, NotWarm: as `set`.
        """
        served, *before = await self.history(tenant, name)
        target = _pick(name, served, before, number)
        stored = await self._models.read_known(tenant, name)
        if gone := sorted(target.versions() - stored.versions.keys()):
            raise VersionGone(
                f"release {target.number} of model {name} names version {gone[0]}, which was deleted"
            )
        change = Change(
            target.splits,
            target.labels,
            expected or served.number,
            target.salt,
            restores=target.restores or target.number,
            ranges=target.ranges,
        )
        why = replace(why, reason=why.reason or f"roll back to release {target.number}")
        return await self.set(tenant, name, change, actor, why, skip_warming=skip_warming)

    async def history(self, tenant: str, name: str) -> list[Release]:
        """The release that is served, and those before it that are kept, the latest first.

        Raises:
            UnknownModel: there is no such model.
            UnknownRelease: nothing of it was ever released.
        """
        check_names(tenant, name)
        stored = await self._models.read_known(tenant, name)
        served = self._models.effective_release(tenant, name, stored)
        if served is None:
            raise UnknownRelease(f"nothing of model {name} was ever released")
        found: dict[int, Release] = {}
        for pair in await self._models.old_releases(tenant, name):
            with suppress(BadRecord):
                record = decode(ReleaseKey(tenant, name), pair.value)
                assert isinstance(record, Release)
                found[record.number] = record
        found[served.number] = served
        numbers = sorted((number for number in found if number <= served.number), reverse=True)
        return [found[number] for number in numbers[: 1 + KEPT]]

    async def set_first(self, tenant: str, name: str, version: Version, actor: Actor) -> None:
        """Move all traffic to `version` if the model has no release, once its cells have loaded it.

        Raises:
            NotWarm: they have not.
        """
        stored = await self._models.read(tenant, name)
        if _has_release(stored):
            return
        if self._warm is not None:
            try:
                await self._warm(tenant, [version])
            except NotWarm as error:
                words = f"version {version.number} is published, but not released: {error.message}"
                raise NotWarm(words, **error.metadata) from error
        await self._writer.settle(lambda: self._set_first(tenant, name, version, actor))

    async def _new_versions(self, tenant: str, name: str, wanted: Set[int], expected: int) -> list[Version]:
        """What is `wanted` and not named by the release that is served; nothing if it will be refused."""
        stored = await self._models.read(tenant, name)
        served = self._models.effective_release(tenant, name, stored)
        if expected and expected != (served.number if served else 0):
            return []
        new = wanted - (served.versions() if served else set())
        return [stored.versions[number] for number in sorted(new) if number in stored.versions]

    async def _set(self, tenant: str, name: str, change: Change, actor: Actor, why: Why) -> Release | None:
        stored = await self._models.read_known(tenant, name)
        served = self._models.effective_release(tenant, name, stored)
        number = served.number if served else 0
        if change.expected and change.expected != number:
            stale = StaleRelease(
                f"release {number} of model {name} is served, not {change.expected}", current=str(number)
            )
            key = self._keys.release(tenant, name)
            raise await self._writer.refusal(key, stored.revisions.get(key, 0), stale)
        check_release(Release(1, change.splits, change.labels), stored.versions)
        release = change.release(max(number, stored.highest.release) + 1, served)
        return await self._commit(tenant, name, stored, release, served, actor, why)

    async def _set_first(self, tenant: str, name: str, version: Version, actor: Actor) -> bool | None:
        stored = await self._models.read(tenant, name)
        if _has_release(stored):
            # Somebody was faster, and knew better what to release.
            return True
        first = Release(stored.highest.release + 1, (Split(version.number, WHOLE),))
        made = await self._commit(tenant, name, stored, first, None, actor, _NO_REASON)
        return True if made else None

    async def _commit(
        self,
        tenant: str,
        name: str,
        stored: Stored,
        release: Release,
        served: Release | None,
        actor: Actor,
        why: Why,
    ) -> Release | None:
        """`release` as it was written in place of what is `served`; None: try again."""
        draft = self._draft(tenant, name, stored, check_release(release, stored.versions), served, actor, why)
        entry = self._audit.entry(
            actor,
            "roll back release" if release.restores else "set release",
            f"{tenant}/{name}",
            release=msgspec.Raw(draft.value),
            replaces=served.number if served else 0,
            **why.told(actor),
        )
        done = await self._writer.commit(draft.compares, draft.ops, entry, draft.follows)
        return draft.release if done else None

    def draft_whole(
        self, tenant: str, name: str, stored: Stored, version: Version, actor: Actor, why: Why
    ) -> Draft | Release:
        """All traffic for `version`, which may be new, labels where they are; what is served, if that has it.

        Raises:
            InvalidRelease: the next release would name what is not there.
        """
        served = self._models.effective_release(tenant, name, stored)
        change = Change((Split(version.number, WHOLE),), served.labels if served else {})
        if served is not None and served.splits == change.splits:
            return served
        number = max(served.number if served else 0, stored.highest.release) + 1
        release = check_release(change.release(number, served), {**stored.versions, version.number: version})
        return self._draft(tenant, name, stored, release, served, actor, why)

    def _draft(
        self,
        tenant: str,
        name: str,
        stored: Stored,
        release: Release,
        served: Release | None,
        actor: Actor,
        why: Why,
    ) -> Draft:
        key = self._keys.release(tenant, name)
        named = [self._keys.version(tenant, name, version) for version in sorted(release.versions())]
        told = replace(release, author=actor.name or why.author, reason=why.reason, at=self._clock())
        value = encode(told)
        if not self._writer.is_understood(value):
            # While parts of the release before run, the audit alone says it.
            told = release.bare()
            value = encode(told)
        ops, follows = [Put(key, value)], dict[str, str]()
        if served is not None:
            beside = self._keys.old_release(tenant, name, served.number)
            ops.append(Put(beside, encode(served)))
            if not stored.is_release_bad:
                # What a newer release of this software wrote into it stays in it.
                follows[beside] = key
        oldest = release.number - KEPT - 1
        gone = [Delete(self._keys.old_release(tenant, name, oldest))] if oldest > 0 else []
        return Draft(told, value, stored.unchanged([key, *named]), [*ops, *gone], follows)


def _pick(name: str, served: Release, before: Sequence[Release], number: int) -> Release:
    """The release of `number`, 0 for the one before `served`. Raises UnknownRelease."""
    if not number and not before:
        raise UnknownRelease(f"no release of model {name} is kept from before {served.number}")
    for one in [served, *before]:
        if one.number == (number or before[0].number):
            return one
    raise UnknownRelease(f"release {number} of model {name} is not kept; see its history")


def _has_release(stored: Stored) -> bool:
    """Whether something is released, or was: garbage may hide what is served."""
    return stored.release is not None or stored.is_release_bad
