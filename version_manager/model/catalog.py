"""The catalog: every model with its release, as one immutable snapshot at a revision.

A reader holds a `Catalog` and never sees it change; `apply` returns the next one.

A model lies there as its record, the bytes that a watcher is sent (`encoded`), below one string, and is read
when somebody asks for it: a third of a kilobyte for one of two versions, and nothing that the collector of
garbage looks at. Records lie in buckets by the hash of their tenant, so that a delta copies a 4,096th of the
catalog, not all of it. See decision 80.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from croupier.errors import NotFound
from version_manager.model.decode import read_model
from version_manager.model.encode import write_model
from version_manager.model.encoded import bucket_of, put_all
from version_manager.model.release import Model

_BUCKETS = 4096

# Records by `tenant/name`.
_Bucket = dict[str, bytes]


class UnknownModel(NotFound):
    """The tenant has no such model. The caller's."""


@dataclass(frozen=True, slots=True)
class Delta:
    """What changed up to `revision`: records of models set, and `(tenant, name)` of models removed."""

    revision: int
    records: tuple[bytes, ...] = ()
    removed: tuple[tuple[str, str], ...] = ()

    @classmethod
    def of(
        cls, revision: int, models: Iterable[Model] = (), removed: tuple[tuple[str, str], ...] = ()
    ) -> Delta:
        return cls(revision, tuple(map(write_model, models)), removed)


@dataclass(frozen=True, slots=True, weakref_slot=True)
class Catalog:
    """`name` tells catalogs of different etcd clusters apart; revisions compare within one only."""

    name: str
    revision: int
    size: int
    _buckets: tuple[_Bucket, ...]

    @classmethod
    def build(cls, name: str = "", revision: int = 0, models: Iterable[Model] = ()) -> Catalog:
        builder = Builder()
        builder.add(list(map(write_model, models)))
        return builder.built(name, revision)

    def get(self, tenant: str, name: str) -> Model:
        """Raises UnknownModel."""
        return read_model(self.record(tenant, name))

    def find(self, tenant: str, name: str) -> Model | None:
        """The model, None without it."""
        record = self.find_record(tenant, name)
        return None if record is None else read_model(record)

    def record(self, tenant: str, name: str) -> bytes:
        """The model's record: the same bytes say the same model. Raises UnknownModel."""
        record = self.find_record(tenant, name)
        if record is None:
            raise UnknownModel(f"tenant {tenant} has no model {name}")
        return record

    def find_record(self, tenant: str, name: str) -> bytes | None:
        """The model's record, None without it."""
        return self._buckets[bucket_of(tenant, _BUCKETS)].get(f"{tenant}/{name}")

    def of_tenant(self, tenant: str) -> Iterator[Model]:
        """The models of one tenant."""
        bucket, own = self._buckets[bucket_of(tenant, _BUCKETS)], f"{tenant}/"
        return (read_model(record) for key, record in bucket.items() if key.startswith(own))

    def names(self, tenant: str = "") -> Iterator[tuple[str, str]]:
        """Tenant and name of every model of `tenant`; empty: of all."""
        own = f"{tenant}/" if tenant else ""
        for bucket in (self._buckets[bucket_of(tenant, _BUCKETS)],) if tenant else self._buckets:
            for key in bucket:
                if key.startswith(own):
                    owner, _, name = key.partition("/")
                    yield owner, name

    def count(self, tenant: str) -> int:
        """How many models the tenant has."""
        return sum(1 for _ in self.names(tenant))

    def apply(self, delta: Delta) -> Catalog:
        """The catalog after `delta`; itself if the delta is not newer."""
        if delta.revision <= self.revision:
            return self
        builder = Builder(self._buckets, self.size)
        builder.add(list(delta.records))
        for key in delta.removed:
            builder.remove(*key)
        return builder.built(self.name, delta.revision)

    def __iter__(self) -> Iterator[Model]:
        return map(read_model, self.records())

    def records(self) -> Iterator[bytes]:
        """The record of every model."""
        for bucket in self._buckets:
            yield from bucket.values()

    def buckets(self) -> Iterator[Iterable[Model]]:
        """All models, those of a tenant together with those of a few others."""
        return ([read_model(record) for record in bucket.values()] for bucket in self._buckets)

    def parts(self) -> list[object]:
        """What takes the time when a catalog is freed, for whoever does it bit by bit."""
        return list(self._buckets)

    def __len__(self) -> int:
        return self.size


class Builder:
    """Makes a catalog bit by bit, of nothing or of the buckets of one that has `size` and stays as it is."""

    def __init__(self, buckets: Sequence[_Bucket] = (), size: int = 0) -> None:
        self._buckets: list[_Bucket] = list(buckets) or [{} for _ in range(_BUCKETS)]
        # The buckets that are nobody else's.
        self._own = set() if buckets else set(range(_BUCKETS))
        self._size = size

    def add(self, records: list[bytes]) -> None:
        """Raises MalformedMessage: one is none; some of the others were added."""
        self._size += put_all(self._buckets, self._own, records)

    def remove(self, tenant: str, name: str) -> None:
        number = bucket_of(tenant, _BUCKETS)
        if number not in self._own:
            self._buckets[number] = dict(self._buckets[number])
            self._own.add(number)
        self._size -= self._buckets[number].pop(f"{tenant}/{name}", None) is not None

    def built(self, name: str, revision: int) -> Catalog:
        """The catalog, which is all that the builder was for."""
        return Catalog(name, revision, self._size, tuple(self._buckets))
