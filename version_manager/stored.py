"""A model as etcd has it at one moment, with what a transaction compares to find it unchanged."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from croupier.names import MAX_VERSION
from croupier.stores.etcd import Compare, KeyValue
from version_manager.keys import BadRecord, Keys, ReleaseKey, VersionKey
from version_manager.records import decode
from version_manager.release import Release, Version


@dataclass(frozen=True, slots=True)
class Stored:
    """`revisions` has the mod_revision of every key of the model, also of those that do not decode.

    `numbers` are taken by a key, whatever its value; `versions` are those that decode. `release`
    is None, and `is_release_bad` set, when the release's value does not decode.
    """

    revisions: Mapping[str, int]
    numbers: frozenset[int]
    versions: Mapping[int, Version]
    release: Release | None
    is_release_bad: bool

    def unchanged(self, keys: Iterable[str]) -> list[Compare]:
        """Compares that hold while `keys` are as they were: of the same revision, or still absent."""
        return [Compare(key, self.revisions.get(key, 0)) for key in keys]

    def next_number(self) -> int:
        """The number after the highest that is taken or named by the release."""
        named = self.release.versions() if self.release else frozenset()
        return min(max(self.numbers | named, default=0) + 1, MAX_VERSION)


def read_stored(keys: Keys, items: Iterable[KeyValue]) -> Stored:
    """Make sense of all the `items` under a model's prefix."""
    numbers: set[int] = set()
    versions: dict[int, Version] = {}
    release: Release | None = None
    revisions: dict[str, int] = {}
    is_release_bad = False
    for pair in items:
        revisions[pair.key] = pair.mod_revision
        try:
            key = keys.parse(pair.key)
            if isinstance(key, VersionKey):
                numbers.add(key.number)
            if isinstance(key, ReleaseKey):
                is_release_bad = True
            record = decode(key, pair.value)
        except BadRecord:
            continue
        if isinstance(record, Version):
            versions[record.number] = record
        elif isinstance(record, Release):
            release, is_release_bad = record, False
    return Stored(revisions, frozenset(numbers), versions, release, is_release_bad)
