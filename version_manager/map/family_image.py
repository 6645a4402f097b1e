"""Configs of families and of single models, after what etcd says now: a part of `image`. Pure.

No version manager ever deletes the config that holds: that there is none any more is a config too. So one
whose key is gone was deleted by nobody of ours, and holds on, as one does whose value makes no sense.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from version_manager.map.keys import ConfigKey, Key, Keys, OldConfigKey
from version_manager.map.problems import Misfits, Problem
from version_manager.map.records import Record
from version_manager.model.family import Config, Families, Family, FamilyKey

OldKey = tuple[str, str, int]

_GONE = "it is gone, and the last good one holds: repair it, or say by a config that there is none any more"


@dataclass(frozen=True, slots=True)
class Configs:
    """`held` has the last good one of each, and `old` those before it that are kept, by number too."""

    held: Mapping[FamilyKey, Config] = field(default_factory=dict)
    old: Mapping[OldKey, Config] = field(default_factory=dict)
    # What `held` comes to.
    families: Families = field(default_factory=Families)

    def history(self, key: FamilyKey) -> list[Config]:
        """All that are known of one, the latest first."""
        held = self.held.get(key)
        found = {one.number: one for (*of, _), one in self.old.items() if tuple(of) == key}
        if held is not None:
            found[held.number] = held
        return [found[number] for number in sorted(found, reverse=True)]

    def regresses(self, key: Key, record: Record) -> bool:
        """Whether `record` says less than what holds, or another thing by the same number."""
        if not isinstance(key, ConfigKey) or not isinstance(record, Config):
            return False
        held = self.held.get((key.tenant, key.name))
        return held is not None and held != record and record.number <= held.number


def configs_after(
    before: Configs,
    said: Mapping[Key, Record | None],
    keys: Keys,
    misfits: Misfits,
    problems: list[Problem],
) -> tuple[Configs, tuple[tuple[FamilyKey, Family | None], ...]]:
    """All configs, and what of the families changed; None: there is none any more."""
    held: dict[FamilyKey, Config] = {}
    old: dict[OldKey, Config | None] = {}
    for key, record in said.items():
        if isinstance(key, OldConfigKey):
            old[key.tenant, key.name, key.number] = record if isinstance(record, Config) else None
        elif isinstance(key, ConfigKey) and isinstance(record, Config):
            held[key.tenant, key.name] = record
            misfits.clear(keys.config(key.tenant, key.name))
        elif isinstance(key, ConfigKey) and (key.tenant, key.name) in before.held:
            misfits.blame(Problem(keys.config(key.tenant, key.name), "family", _GONE), problems)
    if not held and not old:
        return before, ()
    families = before.families.after({key: one.family for key, one in held.items()})
    kept = {key: one for key, one in {**before.old, **old}.items() if one is not None} if old else before.old
    after = Configs({**before.held, **held} if held else before.held, kept, families)
    return after, tuple(before.families.changed_to(families, held).items())
