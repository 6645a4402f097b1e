"""A release: what is served for a model now, and how a request's version is chosen from it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate, pairwise

from croupier.artifacts.comparison import Comparison
from croupier.errors import InvalidRequest, NotFound
from sharding.hashing import hash64

WHOLE = 10_000
# More of a release's ranges are refused: so many come of many changes between three versions and more.
MAX_RANGES = 64
_SALT = re.compile(r"[!-~]{0,32}", re.ASCII)


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
class Range:
    """The points of the traffic that `version` gets, from the end of the range before up to `end`."""

    end: int
    version: int


@dataclass(frozen=True, slots=True)
class Release:
    """Numbered and immutable; `number` counts up by one with every change.

    Keys fall on points by a hash, which `salt` changes. `ranges` say who gets which points where `splits`,
    one after the other, would not: see `ranges.py`. `author`, `reason` and `at` (seconds since 1970) tell who
    made it, what for and when; `restores` is the release that it makes serve again, 0 for none.
    """

    number: int
    splits: tuple[Split, ...]
    labels: Mapping[str, int] = field(default_factory=dict)
    salt: str = ""
    ranges: tuple[Range, ...] = ()
    author: str = ""
    reason: str = ""
    at: float = 0.0
    restores: int = 0

    def versions(self) -> frozenset[int]:
        """Every version that a split or a label names."""
        return frozenset(split.version for split in self.splits) | frozenset(self.labels.values())

    def choose(self, point: int) -> int:
        """The version at `point` (0 to 9,999) of the traffic."""
        for one in self.spans():
            if point < one.end:
                return one.version
        raise AssertionError(f"point {point} is beyond the splits of release {self.number}")

    def spans(self) -> tuple[Range, ...]:
        """Who gets which points."""
        return self.ranges or in_order(self.splits)

    def bare(self) -> Release:
        """Without what says who made it, as the release of this software before knows one."""
        return replace(self, author="", reason="", at=0.0, restores=0)


def in_order(splits: Sequence[Split]) -> tuple[Range, ...]:
    """The points of each of `splits`, one after the other."""
    ends = accumulate(split.basis_points for split in splits)
    return tuple(Range(end, split.version) for end, split in zip(ends, splits, strict=True))


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


def split_point(tenant: str, name: str, key: str, salt: str = "") -> int:
    """Where `key` falls on a model's traffic, 0 to 9,999: with one salt, always on the same point."""
    return (hash64(tenant, name, key, salt) if salt else hash64(tenant, name, key)) % WHOLE


def check_release(release: Release, versions: Mapping[int, Version]) -> Release:
    """Return `release` if it can be served.

    Raises:
        InvalidRelease: the splits do not add up to 10,000, repeat a version, or a version is unknown; the
            ranges say other shares than they do, or the salt is none.
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
    _check_ranges(release)
    if not _SALT.fullmatch(release.salt):
        raise InvalidRelease(
            "a salt is at most 32 printable characters of ASCII without spaces", field="salt"
        )
    return release


def _check_ranges(release: Release) -> None:
    if not release.ranges:
        return
    if len(release.ranges) > MAX_RANGES:
        raise InvalidRelease(f"a release has at most {MAX_RANGES} ranges", field="ranges")
    ends = [0, *(one.end for one in release.ranges)]
    if ends[-1] != WHOLE or any(before >= end for before, end in pairwise(ends)):
        raise InvalidRelease("the ranges do not follow each other up to 10,000", field="ranges")
    if shares(release.ranges) != {split.version: split.basis_points for split in release.splits}:
        raise InvalidRelease("the ranges have other shares than the splits", field="ranges")


def shares(ranges: Sequence[Range]) -> dict[int, int]:
    """The points that each version has of `ranges`."""
    found: dict[int, int] = {}
    begin = 0
    for one in ranges:
        found[one.version] = found.get(one.version, 0) + one.end - begin
        begin = one.end
    return found
