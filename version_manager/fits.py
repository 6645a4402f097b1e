"""What a config and the models that it is for say of each other, before it is applied.

A version's record does not have the names of its features, so artifacts are read: of the models of that name,
what is released, the same artifact once however many tenants have it, and those first that most have. So
many, so many bytes and so many seconds at most; the answer says how many models that came to.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from croupier.artifacts.format import view
from croupier.bounded import Bounded
from croupier.errors import CroupierError
from croupier.stores.objects import ObjectStore
from protos.versions.v1 import versions_pb2 as pb
from version_manager.model.catalog import Catalog
from version_manager.model.family import NUMBER, TEXT, Family, FeatureSpec
from version_manager.model.release import Model

_log = logging.getLogger(__name__)

MOST_ARTIFACTS = 100
MOST_BYTES = 256 * 2**20
MOST_SECONDS = 20.0
# Told of each, and of all.
_TENANTS = 3
_FINDINGS = 1000
_REMEMBERED = 1000

_INFORMATION, _WARNING, _ERROR = pb.Finding.INFORMATION, pb.Finding.WARNING, pb.Finding.ERROR
Said = tuple["pb.Finding.Level", str, str]


@dataclass(frozen=True, slots=True)
class Signature:
    """What an artifact is fed with: names of features (or else of its inputs) with their dtypes."""

    dtypes: Mapping[str, str]
    accepts_missing: bool
    names_features: bool


@dataclass(slots=True)
class _Group:
    """Of the models that were released with one artifact."""

    size: int
    models: int = 0
    tenants: list[str] = field(default_factory=list)


def signature(data: bytes) -> Signature:
    """Of a packed artifact. Raises InvalidArtifact."""
    found = view(data)
    by_name = {one.name: TEXT if one.datatype == "BYTES" else NUMBER for one in found.inputs}
    if found.features:
        only = next(iter(by_name.values()))
        dtypes = {name: by_name.get(name, only) for name in found.features}
        return Signature(dtypes, found.accepts_missing, names_features=True)
    return Signature(by_name, found.accepts_missing, names_features=len(found.inputs) > 1)


def said(family: Family, one: Signature) -> Iterator[Said]:
    """What `family` and a model say of each other."""
    named = {feature.name: feature for feature in family.features}
    if not one.names_features:
        if named:
            yield _WARNING, "", "the model names no features: nothing of the config is filled in"
        return
    for feature in named.values():
        dtype = one.dtypes.get(feature.name)
        if dtype is None:
            yield _WARNING, feature.name, "the model has no such feature: it is passed over"
        else:
            yield from _said_of(feature, dtype, one)
    for name in one.dtypes:
        if name not in named:
            yield _INFORMATION, name, "the config does not name it: it must be sent"


def _said_of(feature: FeatureSpec, dtype: str, one: Signature) -> Iterator[Said]:
    if dtype != feature.dtype:
        yield _ERROR, feature.name, f"it is a {feature.dtype} here, and a {dtype} in the model"
    elif feature.default is math.nan and not one.accepts_missing:
        yield _ERROR, feature.name, "its default is NaN, and the model takes no missing values"


class Fits:
    """Looks at the artifacts in `store` of the models in `catalog()`; `clock` is monotonic, in seconds."""

    def __init__(
        self, store: ObjectStore, catalog: Callable[[], Catalog], clock: Callable[[], float]
    ) -> None:
        self._store = store
        self._catalog = catalog
        self._clock = clock
        self._known: Bounded[bytes, Signature] = Bounded(_REMEMBERED)

    async def look(self, family: Family) -> tuple[list[pb.Finding], pb.Sample]:
        """What there is to say, the worst first, and of which models."""
        # In a thread: there may be hundreds of thousands of models.
        groups = await asyncio.to_thread(_groups, self._catalog(), family)
        sample = pb.Sample(models_total=sum(group.models for group in groups.values()))
        found: dict[Said, _Group] = {}
        until, room = self._clock() + MOST_SECONDS, MOST_BYTES
        for digest, group in groups.items():
            if sample.artifacts + sample.failed == MOST_ARTIFACTS or self._clock() > until:
                break
            if digest not in self._known and (room := room - group.size) < 0:
                break
            one = await self._signature(digest)
            if one is None:
                sample.failed += 1
                continue
            sample.artifacts += 1
            sample.models += group.models
            for finding in said(family, one):
                seen = found.setdefault(finding, _Group(0))
                seen.models += group.models
                seen.tenants += group.tenants[: _TENANTS - len(seen.tenants)]
        return _findings(found), sample

    async def _signature(self, digest: bytes) -> Signature | None:
        if digest not in self._known:
            try:
                self._known[digest] = signature(await self._store.get(digest))
            except CroupierError as error:
                _log.warning("artifact %s is not compared with a config: %s", digest.hex(), error)
                return None
        return self._known[digest]


def _groups(catalog: Catalog, family: Family) -> dict[bytes, _Group]:
    """By artifact, those first that most models have."""
    found: dict[bytes, _Group] = {}
    for tenant, name in catalog.names(family.tenant):
        if name == family.name:
            for digest, size in _released(catalog.get(tenant, name)):
                group = found.setdefault(digest, _Group(size))
                group.models += 1
                if len(group.tenants) < _TENANTS:
                    group.tenants.append(tenant)
    return dict(sorted(found.items(), key=lambda item: -item[1].models))


def _released(model: Model) -> Sequence[tuple[bytes, int]]:
    """The artifact, with its size, of what most of a model's traffic is released to; none: nothing is."""
    if model.release is None or not model.release.splits:
        return ()
    split = max(model.release.splits, key=lambda split: split.basis_points)
    version = model.versions[split.version]
    return ((version.artifact, version.size),)


def _findings(found: Mapping[Said, _Group]) -> list[pb.Finding]:
    told = sorted(found.items(), key=lambda item: (-item[0][0], -item[1].models, item[0][1]))
    return [
        pb.Finding(level=level, feature=feature, message=words, models=group.models, tenants=group.tenants)
        for (level, feature, words), group in told[:_FINDINGS]
    ]
