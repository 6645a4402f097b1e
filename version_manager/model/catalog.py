"""The catalog: every model with its release, as one immutable snapshot at a revision.

A reader holds a `Catalog` and never sees it change; `apply` returns the next one. Models lie in
buckets by the hash of their tenant, so that a delta copies a 4,096th of the catalog, not all of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from croupier.errors import NotFound
from version_manager.model.release import Model

_BUCKETS = 4096

_Bucket = dict[tuple[str, str], Model]


class UnknownModel(NotFound):
    """The tenant has no such model. The caller's."""


@dataclass(frozen=True, slots=True)
class Delta:
    """What changed up to `revision`: models set, and `(tenant, name)` of models removed."""

    revision: int
    models: tuple[Model, ...] = ()
    removed: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Catalog:
    """`name` tells catalogs of different etcd clusters apart; revisions compare within one only."""

    name: str
    revision: int
    size: int
    _buckets: tuple[_Bucket, ...]

    @classmethod
    def build(cls, name: str = "", revision: int = 0, models: Iterable[Model] = ()) -> Catalog:
        buckets: list[_Bucket] = [{} for _ in range(_BUCKETS)]
        for model in models:
            buckets[_bucket_of(model.tenant)][model.tenant, model.name] = model
        return cls(name, revision, sum(map(len, buckets)), tuple(buckets))

    def get(self, tenant: str, name: str) -> Model:
        """Raises UnknownModel."""
        model = self.find(tenant, name)
        if model is None:
            raise UnknownModel(f"tenant {tenant} has no model {name}")
        return model

    def find(self, tenant: str, name: str) -> Model | None:
        """The model, None without it."""
        return self._buckets[_bucket_of(tenant)].get((tenant, name))

    def of_tenant(self, tenant: str) -> Iterator[Model]:
        """The models of one tenant."""
        bucket = self._buckets[_bucket_of(tenant)]
        return (model for (owner, _), model in bucket.items() if owner == tenant)

    def count(self, tenant: str) -> int:
        """How many models the tenant has."""
        return sum(owner == tenant for owner, _ in self._buckets[_bucket_of(tenant)])

    def apply(self, delta: Delta) -> Catalog:
        """The catalog after `delta`; itself if the delta is not newer."""
        if delta.revision <= self.revision:
            return self
        buckets = list(self._buckets)
        copied: set[int] = set()

        def writable(tenant: str) -> _Bucket:
            index = _bucket_of(tenant)
            if index not in copied:
                buckets[index] = dict(buckets[index])
                copied.add(index)
            return buckets[index]

        size = self.size
        for model in delta.models:
            bucket = writable(model.tenant)
            size += (model.tenant, model.name) not in bucket
            bucket[model.tenant, model.name] = model
        for key in delta.removed:
            size -= writable(key[0]).pop(key, None) is not None
        return replace(self, revision=delta.revision, size=size, _buckets=tuple(buckets))

    def __iter__(self) -> Iterator[Model]:
        for bucket in self._buckets:
            yield from bucket.values()

    def buckets(self) -> Iterator[Iterable[Model]]:
        """All models, those of a tenant together with those of a few others."""
        return (bucket.values() for bucket in self._buckets)

    def __len__(self) -> int:
        return self.size


def _bucket_of(tenant: str) -> int:
    return hash(tenant) % _BUCKETS
