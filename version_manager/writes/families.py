"""Changes configs of families and of single models: each is numbered, and compared by its number.

A change writes the next config and puts the one that held beside it, in one transaction; of those that are
kept beside it, the oldest goes. Nothing is ever deleted but these: that there is none any more is a config.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace

from croupier.errors import Conflict, FailedPrecondition, NotFound, TooLarge
from croupier.names import check_name
from croupier.stores.etcd import Compare, Delete, Etcd, KeyValue, Put
from version_manager.map.audit import Actor, Audit
from version_manager.map.family_image import Configs
from version_manager.map.keys import BadRecord, ConfigKey, Keys
from version_manager.map.mirror import Mirror
from version_manager.map.records import decode, encode
from version_manager.model.family import (
    MAX_FAMILIES,
    MAX_OWN,
    Config,
    Family,
    FamilyKey,
    changed_parts,
    check_family,
)
from version_manager.writes.limits import Why
from version_manager.writes.writer import Writer

# Those before the one that holds.
KEPT = 50
# Of a record, of which two are in a transaction, and both have to fit into what etcd takes at once.
_MOST_BYTES = 600 * 1024


class StaleFamily(Conflict):
    """The config was changed since the caller read it. The operator's: read it again."""

    reason = "STALE_FAMILY"


class UnknownFamily(NotFound):
    """There is no such config, or it is not kept any more. The caller's."""

    reason = "UNKNOWN_FAMILY"


class TooManyFamilies(FailedPrecondition):
    """There are as many configs as there may be. The operator's."""

    reason = "TOO_MANY_FAMILIES"


@dataclass(frozen=True, slots=True)
class _Standing:
    """What holds, and what etcd says itself: None where that makes no sense, or is not there."""

    config: Config | None
    in_etcd: Config | None
    revision: int

    @property
    def number(self) -> int:
        return self.config.number if self.config else 0


class FamilyRecords:
    """Reads and writes them; a key without a tenant is a family's. `clock` gives seconds since 1970."""

    def __init__(
        self,
        etcd: Etcd,
        mirror: Mirror,
        writer: Writer,
        keys: Keys,
        audit: Audit,
        *,
        clock: Callable[[], float],
    ) -> None:
        self._etcd = etcd
        self._mirror = mirror
        self._writer = writer
        self._keys = keys
        self._audit = audit
        self._clock = clock

    def get(self, key: FamilyKey, number: int = 0) -> Config:
        """The config that holds, or the one of `number`; it may say that there is none any more.

        Raises:
            UnknownFamily: there never was one, or that one is not kept.
        """
        found = self.history(key)
        if not number and key in self._configs.held:
            return self._configs.held[key]
        for one in found:
            if one.number == number:
                return one
        raise UnknownFamily(f"config {number} of {_named(key)} is not kept; the latest is {found[0].number}")

    def history(self, key: FamilyKey) -> list[Config]:
        """All that are kept, the latest first. Raises UnknownFamily."""
        _check_key(key)
        found = self._configs.history(key)
        if not found:
            raise UnknownFamily(f"there is no config of {_named(key)}")
        return found

    async def apply(
        self, key: FamilyKey, wanted: Family | None, expected: int | None, actor: Actor, why: Why
    ) -> Config:
        """Have `wanted` hold instead of the config of number `expected` (0: none; None: whatever stands).

        Its number is not read. `wanted` None: that there is none any more.

        Raises:
            InvalidRequest, TooLarge: as `check_family`.
            UnknownFamily: there is none to take away.
            StaleFamily: another config stands than `expected`.
            NotUnderstood: a part has joined that knows of no families.
            TooManyFamilies: there are as many as may be.
        """
        _check_key(key)
        why.check()
        if wanted is not None:
            check_family(replace(wanted, number=1))
        return await self._writer.settle(lambda: self._apply(key, wanted, expected, actor, why))

    async def rollback(
        self, key: FamilyKey, number: int, expected: int | None, actor: Actor, why: Why
    ) -> Config:
        """Make the config of `number` (0: the one before that which holds) the next one.

        Raises:
            UnknownFamily: it is not kept.
            StaleFamily, NotUnderstood: as `apply`.
        """
        held, *before = self.history(key)
        if not number and not before:
            raise UnknownFamily(f"{_named(key)} had no config before {held.number}")
        target = self.get(key, number or before[0].number)
        why = replace(why, reason=why.reason or f"roll back to {target.number}")
        return await self.apply(key, target.family, held.number if expected is None else expected, actor, why)

    async def _apply(
        self, key: FamilyKey, wanted: Family | None, expected: int | None, actor: Actor, why: Why
    ) -> Config | None:
        standing = self._standing(key, await self._etcd.get(self._keys.config(*key)))
        where = self._keys.config(*key)
        if expected is not None and expected != standing.number:
            stale = StaleFamily(
                f"the config of {_named(key)} was changed: it is {standing.number}, not {expected}",
                current=str(standing.number),
            )
            raise await self._writer.refusal(where, standing.revision, stale)
        if wanted is None and standing.config is None:
            raise UnknownFamily(f"there is no config of {_named(key)}")
        made = self._next(key, wanted, standing, actor, why)
        value = encode(made)
        if len(value) > _MOST_BYTES:
            raise TooLarge(f"the config takes {len(value)} bytes in etcd, and {_MOST_BYTES} are the most")
        self._writer.check_understood(value)
        self._check_room(key)
        if why.dry_run or _is_same(standing, made):
            return made if why.dry_run else standing.config
        return await self._commit(key, standing, made, actor, why)

    def _next(
        self, key: FamilyKey, wanted: Family | None, standing: _Standing, actor: Actor, why: Why
    ) -> Config:
        number = max((standing.number, *(one.number for one in self._configs.history(key)))) + 1
        tenant, name = key
        family = replace(wanted, tenant=tenant, name=name, number=number) if wanted else None
        author = actor.name or why.author
        return Config(number, family, author, why.reason, self._clock())

    async def _commit(
        self, key: FamilyKey, standing: _Standing, made: Config, actor: Actor, why: Why
    ) -> Config | None:
        where, ops = self._keys.config(*key), list[Put | Delete]()
        ops.append(Put(where, encode(made)))
        follows = {}
        if standing.config is not None:
            beside = self._keys.old_config(*key, standing.number)
            ops.append(Put(beside, encode(standing.config)))
            if standing.revision:
                # What a newer release wrote into the one that held stays in it.
                follows[beside] = where
        ops += map(Delete, self._too_old(key, standing))
        before = standing.config.family if standing.config else None
        entry = self._audit.entry(
            actor,
            "apply family" if made.family else "remove family",
            _named(key),
            number=made.number,
            before=standing.number,
            changed=changed_parts(before, made.family),
            reason=why.reason,
            # Where no certificate says who it is.
            **({} if actor.name else {"author": why.author}),
        )
        done = await self._writer.commit([Compare(where, standing.revision)], ops, entry, follows)
        return made if done else None

    def _too_old(self, key: FamilyKey, standing: _Standing) -> list[str]:
        """The keys of those that go: the one that held is kept from now on too."""
        numbers = [number for *of, number in self._configs.old if tuple(of) == key]
        kept = sorted({*numbers, standing.number}, reverse=True)[:KEPT]
        return [self._keys.old_config(*key, number) for number in sorted(numbers) if number not in kept]

    def _standing(self, key: FamilyKey, pair: KeyValue | None) -> _Standing:
        held, revision = self._configs.held.get(key), pair.mod_revision if pair else 0
        if pair is not None:
            with suppress(BadRecord):
                record = decode(ConfigKey(*key), pair.value)
                assert isinstance(record, Config)
                return _Standing(record, record, revision)
        return _Standing(held, None, revision)

    def _check_room(self, key: FamilyKey) -> None:
        held = self._configs.held
        if key in held:
            return
        most = MAX_OWN if key[0] else MAX_FAMILIES
        if sum(bool(tenant) == bool(key[0]) for tenant, _ in held) >= most:
            raise TooManyFamilies(
                f"{most} {'models have a config of their own' if key[0] else 'families'} are the most"
            )

    @property
    def _configs(self) -> Configs:
        return self._mirror.map.configs


def _is_same(standing: _Standing, made: Config) -> bool:
    """Whether etcd itself says this already."""
    found = standing.in_etcd
    if found is None or found.family is None or made.family is None:
        return found is not None and found.family is made.family
    return replace(found.family, number=made.number) == made.family


def _named(key: FamilyKey) -> str:
    tenant, name = key
    return f"model {tenant}/{name}" if tenant else f"family {name}"


def _check_key(key: FamilyKey) -> None:
    if key[0]:
        check_name(key[0], "tenant")
    check_name(key[1], "name")
