"""Changes what tenants may take: a record a tenant and one for everybody, compared by its revision in etcd.

A record that says nothing is kept all the same, as `tenants` keeps one: a change against it is told by its
revision, and a key that is gone was deleted by nobody of ours.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import msgspec

from croupier.errors import Conflict, InvalidRequest
from croupier.names import check_name
from croupier.stores.etcd import Compare, Etcd, KeyValue, Put
from sharding.generation import MAX_WORDS
from version_manager.map.audit import Actor, Audit
from version_manager.map.keys import BadRecord, Keys, LimitsKey
from version_manager.map.mirror import Mirror
from version_manager.map.records import decode, encode
from version_manager.model.limits import NO_LIMITS, Limits, check_limits
from version_manager.writes.writer import Writer


class StaleLimits(Conflict):
    """The record was changed since the caller read it. The operator's: read it again."""

    reason = "STALE_LIMITS"


@dataclass(frozen=True, slots=True)
class Why:
    """What a change is for, and by whom, where no certificate says that; `dry_run`: it is not made."""

    reason: str = ""
    author: str = ""
    dry_run: bool = False

    def check(self) -> None:
        for name, words in (("reason", self.reason), ("author", self.author)):
            if len(words) > MAX_WORDS:
                raise InvalidRequest(f"the {name} has more than {MAX_WORDS} characters", field=name)

    def told(self, actor: Actor) -> dict[str, str]:
        """What an entry of the audit says of it, beside who did it."""
        author = "" if actor.name else self.author
        return {**({"reason": self.reason} if self.reason else {}), **({"author": author} if author else {})}


class LimitRecords:
    """Reads and writes them. No tenant ("") is the default."""

    def __init__(self, etcd: Etcd, mirror: Mirror, writer: Writer, keys: Keys, audit: Audit) -> None:
        self._etcd = etcd
        self._mirror = mirror
        self._writer = writer
        self._keys = keys
        self._audit = audit

    def get(self, tenant: str) -> tuple[Limits, int]:
        """What `tenant` has of its own, and the revision of the record; 0: there is none."""
        _check_tenant(tenant)
        return self._served(tenant), self._mirror.mod_revision(self._keys.limits(tenant))

    async def set(
        self, tenant: str, wanted: Limits, expected: int | None, actor: Actor, why: Why
    ) -> tuple[Limits, int]:
        """Have `wanted` hold instead of the record of revision `expected` (0: none; None: whatever stands).

        Raises:
            InvalidRequest: as `check_limits`.
            StaleLimits: another record stands than `expected`.
            NotUnderstood: a part has joined that keeps no limits.
        """
        _check_tenant(tenant)
        check_limits(wanted)
        why.check()
        await self._writer.settle(lambda: self._set(tenant, wanted, expected, actor, why))
        found, revision = self.get(tenant)
        return (wanted if why.dry_run else found), revision

    async def _set(
        self, tenant: str, wanted: Limits, expected: int | None, actor: Actor, why: Why
    ) -> bool | None:
        key = self._keys.limits(tenant)
        pair = await self._etcd.get(key)
        revision = pair.mod_revision if pair else 0
        if expected is not None and expected != revision:
            stale = StaleLimits(
                f"the limits of {tenant or 'everybody'} were changed: they have revision {revision}, not"
                f" {expected}",
                current=str(revision),
            )
            raise await self._writer.refusal(key, revision, stale)
        before, value = _standing(tenant, pair), encode(wanted)
        self._writer.check_understood(value)
        if before == wanted or why.dry_run:
            return True
        # Where no certificate says who it is.
        author = {} if actor.name else {"author": why.author}
        details: dict[str, Any] = {
            "limits": msgspec.Raw(value),
            "before": None if before is None else msgspec.Raw(encode(before)),
            "reason": why.reason,
            **author,
        }
        entry = self._audit.entry(actor, "set limits", tenant or "everybody", **details)
        return await self._writer.commit([Compare(key, revision)], [Put(key, value)], entry) or None

    def _served(self, tenant: str) -> Limits:
        limits = self._mirror.map.limits
        return limits.tenants.get(tenant, NO_LIMITS) if tenant else limits.default


def _standing(tenant: str, pair: KeyValue | None) -> Limits | None:
    """What etcd says itself; None: nothing that makes sense."""
    if pair is None:
        return NO_LIMITS
    with suppress(BadRecord):
        record = decode(LimitsKey(tenant), pair.value)
        assert isinstance(record, Limits)
        return record
    return None


def _check_tenant(tenant: str) -> None:
    if tenant:
        check_name(tenant, "tenant")
