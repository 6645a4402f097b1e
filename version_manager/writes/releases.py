"""Changes releases: what is served of a model. Cells load what is new before anybody is sent to it.

As in `publisher`, every write compares what it read, and is tried again or refused.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

import msgspec

from croupier.errors import Conflict
from croupier.stores.etcd import Put
from version_manager.cells.warming import NotWarm
from version_manager.map.audit import Actor, Audit
from version_manager.map.keys import Keys
from version_manager.map.records import check_labels, encode
from version_manager.map.stored import Stored
from version_manager.model.release import WHOLE, InvalidRelease, Release, Split, Version, check_release
from version_manager.writes.stored_models import StoredModels, check_names
from version_manager.writes.writer import Writer

# etcd takes 128 compares a transaction.
MAX_NAMED_VERSIONS = 100


class StaleRelease(Conflict):
    """The release was changed since the caller read it. The operator's: read it again."""

    reason = "STALE_RELEASE"


class Releases:
    """`warm` has a tenant's cells load versions; without it nobody waits for them."""

    def __init__(
        self,
        models: StoredModels,
        writer: Writer,
        keys: Keys,
        audit: Audit,
        *,
        warm: Callable[[str, Sequence[Version]], Awaitable[None]] | None = None,
    ) -> None:
        self._models = models
        self._writer = writer
        self._keys = keys
        self._audit = audit
        self._warm = warm

    async def set(
        self,
        tenant: str,
        name: str,
        wanted: Release,
        expected: int,
        actor: Actor,
        *,
        skip_warming: bool = False,
    ) -> Release:
        """Serve `wanted`, whose number is replaced by the next one, instead of release `expected`.

        `expected` 0 stands for whatever is served. The tenant's cells load what is new in it first.

        Raises:
            UnknownModel: there is no such model.
            InvalidRequest: the release does not add up, or names versions that are not there.
            StaleRelease: another release than `expected` is served.
            NotWarm: cells have not loaded what is new.
        """
        check_names(tenant, name)
        check_labels(wanted.labels)
        if len(wanted.versions()) > MAX_NAMED_VERSIONS:
            raise InvalidRelease(f"a release names at most {MAX_NAMED_VERSIONS} versions", field="splits")
        if self._warm is not None and not skip_warming:
            await self._warm(tenant, await self._new_versions(tenant, name, wanted, expected))
        return await self._writer.settle(lambda: self._set(tenant, name, wanted, expected, actor))

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

    async def _new_versions(self, tenant: str, name: str, wanted: Release, expected: int) -> list[Version]:
        """What `wanted` names and the release that is served does not; nothing if it will be refused."""
        stored = await self._models.read(tenant, name)
        served = self._models.effective_release(tenant, name, stored)
        if expected and expected != (served.number if served else 0):
            return []
        new = wanted.versions() - (served.versions() if served else set())
        return [stored.versions[number] for number in sorted(new) if number in stored.versions]

    async def _set(
        self, tenant: str, name: str, wanted: Release, expected: int, actor: Actor
    ) -> Release | None:
        stored = await self._models.read_known(tenant, name)
        current = self._models.effective_release(tenant, name, stored)
        number = current.number if current else 0
        if expected and expected != number:
            stale = StaleRelease(
                f"release {number} of model {name} is served, not {expected}", current=str(number)
            )
            key = self._keys.release(tenant, name)
            raise await self._writer.refusal(key, stored.revisions.get(key, 0), stale)
        following = max(number, stored.highest.release) + 1
        release = Release(following, wanted.splits, wanted.labels)
        return release if await self._commit(tenant, name, stored, release, number, actor) else None

    async def _set_first(self, tenant: str, name: str, version: Version, actor: Actor) -> bool | None:
        stored = await self._models.read(tenant, name)
        if _has_release(stored):
            # Somebody was faster, and knew better what to release.
            return True
        first = Release(stored.highest.release + 1, (Split(version.number, WHOLE),))
        return await self._commit(tenant, name, stored, first, 0, actor) or None

    async def _commit(
        self, tenant: str, name: str, stored: Stored, release: Release, replaces: int, actor: Actor
    ) -> bool:
        check_release(release, stored.versions)
        key = self._keys.release(tenant, name)
        named = [self._keys.version(tenant, name, version) for version in sorted(release.versions())]
        value = encode(release)
        entry = self._audit.entry(
            actor, "set release", f"{tenant}/{name}", release=msgspec.Raw(value), replaces=replaces
        )
        return await self._writer.commit(stored.unchanged([key, *named]), [Put(key, value)], entry)


def _has_release(stored: Stored) -> bool:
    """Whether something is released, or was: garbage may hide what is served."""
    return stored.release is not None or stored.is_release_bad
