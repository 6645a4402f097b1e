"""Publishes and deletes models. Every write compares, and is tried again or refused.

    read the model from etcd ──▶ decide (raises if it must not be) ──▶ one transaction:
            ▲                                                          compares · puts · audit entry
            └── a compare failed: somebody else wrote; a few times ◀───┘

No lock decides correctness, so any number of managers may work at once. A call returns once this
manager's own map has reached what was written, so whoever asks next sees it.

A number is given out once, for a version as for a release. What deletes something writes the highest
numbers of the model to its `spent` key, which stays when the model goes, and everything compares it.

An artifact goes to the object store before its record goes to etcd: a record never names an
artifact that is not there. Deleting a version leaves its artifact, which others may have too.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace

from croupier.artifacts.checked import checked_of
from croupier.artifacts.comparison import UNCHECKED, Comparison
from croupier.artifacts.format import digest_of, view
from croupier.errors import AlreadyExists, CroupierError, DataLoss, FailedPrecondition
from croupier.names import MAX_VERSION, InvalidName, check_digest
from croupier.priority import step_back
from croupier.stores.etcd import Delete, Put
from croupier.stores.objects import ObjectStore
from croupier.transport.steps import step
from version_manager.map.audit import Actor, Audit
from version_manager.map.keys import Keys
from version_manager.map.mirror import Mirror
from version_manager.map.records import encode
from version_manager.map.stored import Stored
from version_manager.model.catalog import UnknownModel
from version_manager.model.release import (
    UnknownVersion,
    Version,
)
from version_manager.writes.releases import Releases
from version_manager.writes.stored_models import StoredModels, check_names
from version_manager.writes.writer import Writer

# etcd takes 128 operations a transaction.
_DELETES_A_TRANSACTION, _OLD_A_TRANSACTION = 100, 24


class VersionInUse(FailedPrecondition):
    """The release names the version. The operator's: release something else first."""

    reason = "VERSION_IN_USE"


class VersionSpent(AlreadyExists):
    """The number is not above one whose version was deleted. The publisher's: take the next one."""

    reason = "VERSION_SPENT"


class DigestMismatch(DataLoss):
    """The bytes that arrived are not those that were sent. The publisher's: send them again."""

    reason = "DIGEST_MISMATCH"


class ComparisonDemanded(FailedPrecondition):
    """An artifact that was not compared, in a deployment that takes no others. The publisher's."""

    reason = "COMPARISON_DEMANDED"


@dataclass(frozen=True, slots=True)
class Upload:
    """What a publisher sends. `digest` is the SHA-256 (32 bytes) of the artifact as the publisher
    has it, `version` 0 the next free number.
    """

    tenant: str
    name: str
    version: int
    digest: bytes
    data: bytes
    release_if_first: bool = False


@dataclass(frozen=True, slots=True)
class Checked:
    """What an artifact says: who scores it, and what it was compared with."""

    engine: str
    comparison: Comparison


class Publisher:
    """Writes models. `clock` gives nanoseconds since 1970.

    `demands_comparison`: an artifact is refused that does not say what it was compared with.
    """

    def __init__(
        self,
        models: StoredModels,
        releases: Releases,
        store: ObjectStore,
        mirror: Mirror,
        writer: Writer,
        keys: Keys,
        audit: Audit,
        *,
        clock: Callable[[], int],
        demands_comparison: bool = False,
    ) -> None:
        self._models = models
        self._releases = releases
        self._store = store
        self._mirror = mirror
        self._writer = writer
        self._keys = keys
        self._audit = audit
        self._clock = clock
        self._demands_comparison = demands_comparison
        # Of one processor at most, what nobody else needs: an artifact takes up to a second.
        self._digesting = ThreadPoolExecutor(1, thread_name_prefix="digest", initializer=step_back)

    async def publish(self, upload: Upload, actor: Actor) -> Version:
        """Make `upload` a version of its model; the version that has these bytes already, if one does.

        Raises:
            InvalidRequest: a name, a number or the artifact is wrong.
            DigestMismatch: the bytes have another digest than the publisher's.
            AlreadyExists: the version has other bytes, or its number was given out before.
            NoNumberLeft: the highest version has the highest number.
            ComparisonDemanded: comparisons are demanded, and this artifact says nothing of one.
            NotWarm: it is published, and not released: cells have not loaded it.
        """
        check_upload(upload)
        with step("check", {"croupier.bytes": len(upload.data)}):
            checked = await self._check(upload)
        self._mirror.check_writable()
        with step("store", {"croupier.bytes": len(upload.data)}):
            await self._store.put(upload.data)
        version = await self._writer.settle(lambda: self._record(upload, checked, actor))
        if upload.release_if_first:
            await self._releases.set_first(upload.tenant, upload.name, version, actor)
        return version

    def revision(self, tenant: str, name: str, number: int = 0) -> str:
        """The catalog and revision that have the model's release, and version `number`, as they are now.

        It is what requests carry as `croupier-min-revision`. Empty when the served map has neither yet.
        """
        keys = [self._keys.release(tenant, name)]
        if number:
            keys.append(self._keys.version(tenant, name, number))
        last = max(map(self._mirror.mod_revision, keys))
        return f"{self._mirror.map.catalog.name}:{last}" if last else ""

    async def delete_version(self, tenant: str, name: str, number: int, actor: Actor) -> None:
        """Take a version away; its artifact stays in the object store.

        Raises:
            UnknownModel, UnknownVersion: there is no such thing.
            VersionInUse: the release names it.
        """
        check_names(tenant, name)
        await self._writer.settle(lambda: self._delete_version(tenant, name, number, actor))

    async def delete_model(self, tenant: str, name: str, actor: Actor) -> None:
        """Take a model away: its release first, then its versions, a hundred at a time.

        Raises:
            UnknownModel: there is no such model.
        """
        check_names(tenant, name)
        remaining = await self._writer.settle(lambda: self._delete_some(tenant, name, actor))
        with suppress(UnknownModel):
            while remaining:
                remaining = await self._writer.settle(lambda: self._delete_some(tenant, name, actor))

    async def check_many(self, uploads: Sequence[Upload]) -> list[Checked | CroupierError]:
        """What `publish` looks at first, of each of `uploads`; an error stands in its place."""

        def each() -> list[Checked | CroupierError]:
            return [self._looked_at(upload) for upload in uploads]

        return await asyncio.get_running_loop().run_in_executor(self._digesting, each)

    def _looked_at(self, upload: Upload) -> Checked | CroupierError:
        try:
            self._check_digest(upload, digest_of(upload.data))
            return self._read(upload.data)
        except CroupierError as error:
            return error.without_frames()

    async def _check(self, upload: Upload) -> Checked:
        """The engine of what was uploaded, and what that was compared with. Raises as `publish`."""
        # Before anything reads the bytes: what was damaged on the way is nobody's artifact.
        loop = asyncio.get_running_loop()
        self._check_digest(upload, await loop.run_in_executor(self._digesting, digest_of, upload.data))
        return self._read(upload.data)

    def _check_digest(self, upload: Upload, digest: bytes) -> None:
        if digest != upload.digest:
            raise DigestMismatch(f"{len(upload.data)} bytes arrived with another digest than the publisher's")

    def _read(self, data: bytes) -> Checked:
        artifact = view(data)
        # Whoever says nothing has not compared.
        checked = checked_of(artifact) or UNCHECKED
        if self._demands_comparison and not checked.was_made:
            raise ComparisonDemanded(
                "this deployment takes no artifact that was not compared with its library: publish what "
                "pack(model, sample) makes, or the model's file by croupierctl models publish"
            )
        return Checked(artifact.engine, checked)

    async def _record(self, upload: Upload, checked: Checked, actor: Actor) -> Version | None:
        tenant, name = upload.tenant, upload.name
        stored = await self._models.read(tenant, name)
        if (known := known_version(upload, stored)) is not None:
            return known
        version, value = self.draft(upload, checked, stored)
        entry = self._audit.entry(
            actor,
            "publish",
            f"{tenant}/{name}/{version.number}",
            artifact=version.artifact.hex(),
            size=version.size,
        )
        key = self._keys.version(tenant, name, version.number)
        committed = await self._writer.commit(stored.unchanged([key]), [Put(key, value)], entry)
        return version if committed else None

    def draft(self, upload: Upload, checked: Checked, stored: Stored) -> tuple[Version, bytes]:
        """The version that `upload` makes, and its record. Raises VersionSpent and NoNumberLeft."""
        number, created = _number_for(upload, stored), self._clock() / 1e9
        told = checked.engine, created, checked.comparison
        version = Version(number, upload.digest, len(upload.data), *told)
        value = encode(version)
        if not self._writer.is_understood(value):
            # While parts of the release before run, it stands in the artifact alone.
            version = replace(version, checked=None)
            value = encode(version)
        return version, value

    async def _delete_version(self, tenant: str, name: str, number: int, actor: Actor) -> bool | None:
        stored = await self._models.read_known(tenant, name)
        if number not in stored.numbers:
            raise UnknownVersion(f"model {name} has no version {number}")
        release = self._models.effective_release(tenant, name, stored)
        if release is not None and number in release.versions():
            raise VersionInUse(
                f"release {release.number} of model {name} names version {number}: release another one first"
            )
        key = self._keys.version(tenant, name, number)
        compares = stored.unchanged([key, self._keys.release(tenant, name)])
        entry = self._audit.entry(actor, "delete version", f"{tenant}/{name}/{number}")
        ops: list[Put | Delete] = [Delete(key), self._models.spend(tenant, name, stored, release)]
        return await self._writer.commit(compares, ops, entry) or None

    async def _delete_some(self, tenant: str, name: str, actor: Actor) -> int | None:
        """How many keys of the model are left; None: try again."""
        stored = await self._models.read_known(tenant, name)
        release = self._keys.release(tenant, name)
        keys = sorted(stored.revisions, key=lambda key: key != release)
        going = keys[:_DELETES_A_TRANSACTION]
        old = await self._models.old_releases(tenant, name)
        entry = self._audit.entry(actor, "delete model", f"{tenant}/{name}", keys=len(going))
        served = self._models.effective_release(tenant, name, stored)
        ops: list[Put | Delete] = [*map(Delete, going), self._models.spend(tenant, name, stored, served)]
        ops += [Delete(pair.key) for pair in old[:_OLD_A_TRANSACTION]]
        if not await self._writer.commit(stored.unchanged(going), ops, entry):
            return None
        return len(keys) - len(going)


def check_upload(upload: Upload) -> None:
    """Raises InvalidRequest: something may not be so, whatever its data are."""
    check_names(upload.tenant, upload.name)
    if upload.version > MAX_VERSION:
        raise InvalidName("version is not a version number", field="version")
    check_digest(upload.digest)


def known_version(upload: Upload, stored: Stored) -> Version | None:
    """The version that `upload` would make again.

    Raises:
        AlreadyExists: its number is taken by other bytes.
    """
    if not upload.version:
        same = [one for one in stored.versions.values() if one.artifact == upload.digest]
        return max(same, key=lambda one: one.number, default=None)
    if upload.version not in stored.numbers:
        return None
    known = stored.versions.get(upload.version)
    if known is None or known.artifact != upload.digest:
        raise AlreadyExists(f"model {upload.name} has a version {upload.version} with other bytes")
    return known


def _number_for(upload: Upload, stored: Stored) -> int:
    """The number of a new version. Raises VersionSpent and NoNumberLeft."""
    if not upload.version:
        return stored.next_number()
    if upload.version <= stored.spent.version:
        raise VersionSpent(
            f"model {upload.name} had versions up to {stored.spent.version} when one was deleted: "
            "no number up to it is given out again"
        )
    return upload.version
