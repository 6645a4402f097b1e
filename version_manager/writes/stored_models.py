"""Models as etcd has them, read to be changed; and what counts where etcd says garbage."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from croupier.names import check_name
from croupier.stores.etcd import Compare, Etcd, KeyValue, Put, Span
from version_manager.map.keys import BadRecord, Keys, SpentKey
from version_manager.map.mirror import Mirror
from version_manager.map.records import Spent, decode, encode
from version_manager.map.stored import Stored, read_stored
from version_manager.model.catalog import UnknownModel
from version_manager.model.release import Release

# One question reads so many models, and of each so many keys: who has more is asked for alone.
_READ_AT_ONCE, _FEW = 64, 100


@dataclass(frozen=True, slots=True)
class Read:
    """A model, and the value that its release has, if it was read with it."""

    stored: Stored
    values: Mapping[str, bytes]


class StoredModels:
    """Reads from `etcd`; where that says garbage, the last good word of the `mirror` counts."""

    def __init__(self, etcd: Etcd, mirror: Mirror, keys: Keys) -> None:
        self._etcd = etcd
        self._mirror = mirror
        self._keys = keys

    async def read(self, tenant: str, name: str) -> Stored:
        listing = await self._etcd.range(self._keys.model(tenant, name))
        spent = await self._etcd.get(self._keys.spent(tenant, name))
        fence = Compare(self._keys.spent(tenant, name), spent.mod_revision if spent else 0)
        return read_stored(self._keys, listing.items, self._spent(tenant, name, spent), fence)

    async def read_many(self, models: Sequence[tuple[str, str]]) -> list[Read | BadRecord]:
        """As `read` each of `models`, by one question for every sixty-four; an error stands in its place."""
        found: list[Read | BadRecord] = []
        for at in range(0, len(models), _READ_AT_ONCE):
            found += await self._read_some(models[at : at + _READ_AT_ONCE])
        return found

    async def _read_some(self, models: Sequence[tuple[str, str]]) -> list[Read | BadRecord]:
        spans = [Span(self._keys.release(*model), self._keys.model(*model)) for model in models]
        spents = [Span(self._keys.spent(*model)) for model in models]
        listed = await self._etcd.list_many([*spans, *spents], _FEW)
        pairs = zip(models, listed[: len(models)], listed[len(models) :], strict=True)
        return [await self._made(model, items, spent or ()) for model, items, spent in pairs]

    async def _made(
        self, model: tuple[str, str], items: Sequence[KeyValue] | None, spent: Sequence[KeyValue]
    ) -> Read | BadRecord:
        pair = spent[0] if spent else None
        fence = Compare(self._keys.spent(*model), pair.mod_revision if pair else 0)
        try:
            if items is None:
                return Read(await self.read(*model), {})
            stored = read_stored(self._keys, items, self._spent(*model, pair), fence)
        except BadRecord as error:
            return error
        release = self._keys.release(*model)
        return Read(stored, {one.key: one.value for one in items if one.key == release})

    async def read_known(self, tenant: str, name: str) -> Stored:
        """The same of a model that exists.

        Raises:
            UnknownModel: there is no such model.
        """
        stored = await self.read(tenant, name)
        if not stored.revisions:
            raise UnknownModel(f"tenant {tenant} has no model {name}")
        return stored

    async def old_releases(self, tenant: str, name: str) -> Sequence[KeyValue]:
        """What is kept of those that were served before."""
        return (await self._etcd.range(self._keys.old_releases(tenant, name))).items

    def effective_release(self, tenant: str, name: str, stored: Stored) -> Release | None:
        """The release in etcd or, where that makes no sense, the last good one, which is still served."""
        if not stored.is_release_bad:
            return stored.release
        served = self._mirror.map.catalog.find(tenant, name)
        return served.release if served else None

    def spend(self, tenant: str, name: str, stored: Stored, served: Release | None) -> Put:
        """The operation that keeps the numbers of `stored` from being given out again."""
        release = max(stored.highest.release, served.number if served else 0)
        spent = Spent(stored.highest.version, release)
        return Put(self._keys.spent(tenant, name), encode(spent))

    def _spent(self, tenant: str, name: str, pair: KeyValue | None) -> Spent:
        """What `pair` says or, where that is garbage, what it said before.

        Raises:
            BadRecord: it is garbage, and this manager never saw anything else there.
        """
        if pair is None:
            return Spent()
        try:
            record = decode(SpentKey(tenant, name), pair.value)
        except BadRecord as error:
            known = self._mirror.spent(tenant, name)
            if known is None:
                raise BadRecord(f"{pair.key} in etcd does not tell which numbers were given out") from error
            return known
        assert isinstance(record, Spent)
        return record


def check_names(tenant: str, name: str) -> None:
    """Raises InvalidRequest, saying which may not be one."""
    check_name(tenant, "tenant")
    check_name(name, "name")
