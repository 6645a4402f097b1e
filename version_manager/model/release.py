"""A release: what is served for a model now, and how a request's version is chosen from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from croupier.artifacts.comparison import Comparison
from croupier.errors import InvalidRequest, NotFound
from sharding.hashing import hash64

WHOLE = 10_000


class InvalidRelease(InvalidRequest):
    """A release that does not add up, or names versions that do not exist. The operator's."""


class UnknownVersion(NotFound):
    """The model has no such version, label or release. The caller's."""


@dataclass(frozen=True, slots=True)
class Split:
    """A version and its share of the traffic in basis points (of 10,000)."""

    version: int
    basis_points: int


@dataclass(frozen=True, slots=True)
class Release:
    """Numbered and immutable; `number` counts up by one with every change."""

    number: int
    splits: tuple[Split, ...]
    labels: Mapping[str, int] = field(default_factory=dict)

    def versions(self) -> frozenset[int]:
        """Every version that a split or a label names."""
        return frozenset(split.version for split in self.splits) | frozenset(self.labels.values())

    def choose(self, point: int) -> int:
        """The version at `point` (0 to 9,999) of the traffic."""
        for split in self.splits:
            if point < split.basis_points:
                return split.version
            point -= split.basis_points
        raise AssertionError(f"point {point} is beyond the splits of release {self.number}")


@dataclass(frozen=True, slots=True)
class Version:
    """One immutable artifact of a model. `artifact` is its SHA-256 (32 bytes), `size` in bytes; `checked` is
    what it was compared with before it was published, None if nobody said.
    """

    number: int
    artifact: bytes
    size: int
    engine: str
    created: float = 0.0
    checked: Comparison | None = None


@dataclass(frozen=True, slots=True)
class Model:
    """A model's versions and its release; a model that was never released serves exact versions only."""

    tenant: str
    name: str
    versions: Mapping[int, Version]
    release: Release | None = None

    def select(self, *, version: int = 0, label: str = "", point: int = 0) -> Version:
        """The version that a request gets: an exact one, a label's, or the split's at `point`.

        Raises:
            InvalidRequest: both a version and a label were asked for.
            UnknownVersion: the model does not have what was asked for.
        """
        if version and label:
            raise InvalidRequest("ask for a version or a label, not both", field="label")
        if not version:
            version = self._released(label, point)
        found = self.versions.get(version)
        if found is None:
            raise UnknownVersion(f"model {self.name} has no version {version}")
        return found

    def _released(self, label: str, point: int) -> int:
        if self.release is None:
            raise UnknownVersion(f"model {self.name} has no release")
        if not label:
            return self.release.choose(point)
        if label not in self.release.labels:
            raise UnknownVersion(f"model {self.name} has no label {label}")
        return self.release.labels[label]


def split_point(tenant: str, name: str, key: str) -> int:
    """Where `key` falls on a model's traffic, 0 to 9,999: the same key always gets the same point."""
    return hash64(tenant, name, key) % WHOLE


def check_release(release: Release, versions: Mapping[int, Version]) -> Release:
    """Return `release` if it can be served.

    Raises:
        InvalidRelease: the splits do not add up to 10,000, repeat a version, or a version is unknown.
    """
    if sum(split.basis_points for split in release.splits) != WHOLE:
        raise InvalidRelease("the splits do not add up to 10,000 basis points", field="splits")
    if any(split.basis_points <= 0 for split in release.splits):
        raise InvalidRelease("a split has no traffic", field="splits")
    if len({split.version for split in release.splits}) != len(release.splits):
        raise InvalidRelease("a version is split twice", field="splits")
    unknown = sorted(release.versions() - versions.keys())
    if unknown:
        raise InvalidRelease(f"no such version: {', '.join(map(str, unknown))}", field="splits")
    return release
