"""How a release lies in etcd, and those that were served before it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Self

from msgspec import Meta, Struct, field

from croupier.names import MAX_VERSION, check_name
from sharding.generation import MAX_WORDS
from version_manager.map import schema
from version_manager.map.forms import Form
from version_manager.map.keys import ReleaseKey
from version_manager.model.release import MAX_RANGES, WHOLE, Range, Release, Split

_Number = Annotated[int, Meta(ge=1, le=MAX_VERSION)]


class _Split(Struct, frozen=True, forbid_unknown_fields=True):
    version: _Number
    basis_points: Annotated[int, Meta(ge=1, le=WHOLE)]


class _Range(Struct, frozen=True, forbid_unknown_fields=True):
    end: Annotated[int, Meta(ge=1, le=WHOLE)]
    version: _Number


class ReleaseForm(Form, frozen=True, forbid_unknown_fields=True):
    number: _Number
    splits: tuple[_Split, ...]
    labels: dict[str, _Number] = field(default_factory=dict)
    salt: Annotated[str, Meta(max_length=32, extra={schema.SINCE: 7})] = ""
    ranges: Annotated[tuple[_Range, ...], Meta(max_length=MAX_RANGES, extra={schema.SINCE: 7})] = ()
    author: Annotated[str, Meta(max_length=MAX_WORDS, extra={schema.SINCE: 7})] = ""
    reason: Annotated[str, Meta(max_length=MAX_WORDS, extra={schema.SINCE: 7})] = ""
    at: Annotated[float, Meta(ge=0, extra={schema.SINCE: 7})] = 0.0
    restores: Annotated[int, Meta(ge=0, le=MAX_VERSION, extra={schema.SINCE: 7})] = 0

    @classmethod
    def of(cls, record: Release) -> Self:
        return cls(
            record.number,
            tuple(_Split(split.version, split.basis_points) for split in record.splits),
            dict(record.labels),
            record.salt,
            tuple(_Range(one.end, one.version) for one in record.ranges),
            record.author,
            record.reason,
            record.at,
            record.restores,
        )

    def record(self, key: ReleaseKey) -> Release:
        check_labels(self.labels)
        return Release(
            self.number,
            tuple(Split(split.version, split.basis_points) for split in self.splits),
            self.labels,
            self.salt,
            tuple(Range(one.end, one.version) for one in self.ranges),
            self.author,
            self.reason,
            self.at,
            self.restores,
        )


def check_labels(labels: Mapping[str, int]) -> None:
    """Raises InvalidName for a label that is no name."""
    for label in labels:
        check_name(label, "labels")
