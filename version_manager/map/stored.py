"""A model as etcd has it at one moment, with what a transaction compares to find it unchanged."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from croupier.errors import FailedPrecondition
from croupier.names import MAX_VERSION
from croupier.stores.etcd import Compare, KeyValue
from version_manager.map.keys import BadRecord, Keys, ReleaseKey, VersionKey
from version_manager.map.records import Spent, decode
from version_manager.model.release import InvalidRelease, Release, Version, check_release

_NOTHING_SPENT = Spent()


class NoNumberLeft(FailedPrecondition):
    """The model's highest version has the highest number that there is. The operator's."""

    reason = "NO_NUMBER_LEFT"


@dataclass(frozen=True, slots=True)
class Stored:
    """`revisions` has the mod_revision of every key of the model, also of those that do not decode.

    `numbers` are taken by a key, whatever its value; `versions` are those that decode. `release`
    is None, and `is_release_bad` set, when the release's value does not decode or does not fit the
    versions. `spent` is what the model's `spent` key says, `fence` a compare that holds while it does,
    and `highest` are the highest numbers that were ever given out.
    """

    revisions: Mapping[str, int]
    numbers: frozenset[int]
    versions: Mapping[int, Version]
    release: Release | None
    is_release_bad: bool
    spent: Spent
    fence: Compare | None
    highest: Spent

    def unchanged(self, keys: Iterable[str]) -> list[Compare]:
        """Compares that hold while `keys` are as they were (of the same revision, or still absent) and
        no number was spent since.
        """
        compares = [Compare(key, self.revisions.get(key, 0)) for key in keys]
        return [*compares, self.fence] if self.fence else compares

    def next_number(self) -> int:
        """The number after the highest that was given out or is named by the release.

        Raises:
            NoNumberLeft: there is none.
        """
        if self.highest.version >= MAX_VERSION:
            raise NoNumberLeft(f"version {MAX_VERSION} was given out, and no number is left after it")
        return self.highest.version + 1


def read_stored(
    keys: Keys, items: Iterable[KeyValue], spent: Spent = _NOTHING_SPENT, fence: Compare | None = None
) -> Stored:
    """Make sense of all the `items` under a model's prefix; see `Stored` for the others.

    Its config is none of the model's own things: it may be there before the model, and stays when that goes.
    """
    numbers: set[int] = set()
    versions: dict[int, Version] = {}
    release: Release | None = None
    revisions: dict[str, int] = {}
    is_release_bad = False
    for pair in items:
        if keys.is_config(pair.key):
            continue
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
    named = release.versions() if release else frozenset()
    highest = Spent(max(spent.version, *numbers, *named, 0), spent.release)
    if release is not None and not _fits(release, versions):
        release, is_release_bad = None, True
    elif release is not None:
        highest = Spent(highest.version, max(highest.release, release.number))
    return Stored(revisions, frozenset(numbers), versions, release, is_release_bad, spent, fence, highest)


def _fits(release: Release, versions: Mapping[int, Version]) -> bool:
    try:
        check_release(release, versions)
    except InvalidRelease:
        return False
    return True
