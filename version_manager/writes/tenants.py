"""Changes what a tenant's cells keep in memory: one record a tenant, compared by its revision in etcd.

The record is what is wanted; `pinning` has the cells do it. A record that wants nothing is kept all the
same: with it, a version manager that starts anew knows whose cells to tell so.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress

import msgspec

from croupier.errors import Conflict
from croupier.names import check_name
from croupier.stores.etcd import Compare, Etcd, KeyValue, Put
from version_manager.map.audit import Actor, Audit
from version_manager.map.keys import BadRecord, Keys, ResidencyKey
from version_manager.map.mirror import Mirror
from version_manager.map.records import decode, encode
from version_manager.model.catalog import UnknownModel
from version_manager.model.residency import ResidencyRule, check_residency
from version_manager.writes.writer import Writer


class StaleResidency(Conflict):
    """The record was changed since the caller read it. The operator's: read it again."""

    reason = "STALE_RESIDENCY"


class Tenants:
    """Reads and writes the records of tenants."""

    def __init__(self, etcd: Etcd, mirror: Mirror, writer: Writer, keys: Keys, audit: Audit) -> None:
        self._etcd = etcd
        self._mirror = mirror
        self._writer = writer
        self._keys = keys
        self._audit = audit

    def residency(self, tenant: str) -> tuple[ResidencyRule, int]:
        """What holds for `tenant`, and the revision of the record; 0: there is none."""
        check_name(tenant, "tenant")
        found = self._mirror.map.residencies.get(tenant, ResidencyRule())
        return found, self._mirror.mod_revision(self._keys.residency(tenant))

    async def set_residency(
        self, tenant: str, wanted: ResidencyRule, expected: int | None, actor: Actor
    ) -> tuple[ResidencyRule, int]:
        """Have `wanted` hold instead of the record of revision `expected` (0: none; None: whatever stands).

        Raises:
            InvalidRequest, TooLarge: as `check_residency`.
            UnknownModel: a model is pinned that is not there, and was not pinned before.
            StaleResidency: another record stands than `expected`.
        """
        check_name(tenant, "tenant")
        check_residency(wanted)
        await self._writer.settle(lambda: self._set(tenant, wanted, expected, actor))
        return self.residency(tenant)

    async def _set(
        self, tenant: str, wanted: ResidencyRule, expected: int | None, actor: Actor
    ) -> bool | None:
        key = self._keys.residency(tenant)
        pair = await self._etcd.get(key)
        revision = pair.mod_revision if pair else 0
        if expected is not None and expected != revision:
            stale = StaleResidency(
                f"the residency of {tenant} was changed: it has revision {revision}, not {expected}",
                current=str(revision),
            )
            raise await self._writer.refusal(key, revision, stale)
        # A model that was deleted after it was pinned is in nobody's way.
        self._check_models(tenant, set(wanted.pinned) - set(self._standing(tenant, pair).pinned))
        value = encode(wanted)
        entry = self._audit.entry(actor, "set residency", tenant, residency=msgspec.Raw(value))
        return await self._writer.commit([Compare(key, revision)], [Put(key, value)], entry) or None

    def _standing(self, tenant: str, pair: KeyValue | None) -> ResidencyRule:
        if pair is not None:
            with suppress(BadRecord):
                record = decode(ResidencyKey(tenant), pair.value)
                assert isinstance(record, ResidencyRule)
                return record
        return self._mirror.map.residencies.get(tenant, ResidencyRule())

    def _check_models(self, tenant: str, names: Iterable[str]) -> None:
        unknown = sorted(name for name in names if self._mirror.map.catalog.find(tenant, name) is None)
        if unknown:
            raise UnknownModel(f"tenant {tenant} has no model {', '.join(unknown[:10])}")
