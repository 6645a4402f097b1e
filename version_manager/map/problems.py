"""What is wrong with values in etcd: named by key, field and fault, and told once. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from version_manager.map.keys import (
    ActiveKey,
    CellKey,
    ChunkKey,
    ConfigKey,
    GenerationKey,
    Key,
    LimitsKey,
    ManagerKey,
    OldConfigKey,
    ProtocolKey,
    ReleaseKey,
    ResidencyKey,
    SeedKey,
    SpentKey,
    ThawKey,
    VersionKey,
)

# What a key is of.
KINDS: dict[type[Key], str] = {
    VersionKey: "version",
    ReleaseKey: "release",
    SpentKey: "spent",
    GenerationKey: "generation",
    ChunkKey: "chunk",
    ActiveKey: "active",
    SeedKey: "seed",
    CellKey: "cell",
    ProtocolKey: "cell",
    ThawKey: "thaw",
    ManagerKey: "manager",
    ResidencyKey: "residency",
    LimitsKey: "limits",
    ConfigKey: "family",
    OldConfigKey: "family",
}

# What is kept of the words about a bad record.
MOST_WORDS = 300


@dataclass(frozen=True, slots=True)
class Problem:
    """`kind`: a value of KINDS, or unknown.

    `field` is what is wrong within the record; empty: all of it, or that is not known.
    """

    key: str
    kind: str
    message: str
    field: str = ""


class Misfits:
    """What is wrong with the records that decode and do not fit the others, by key."""

    def __init__(self) -> None:
        self.by_key: dict[str, Problem] = {}

    def blame(self, problem: Problem, problems: list[Problem]) -> None:
        """Report it, once for as long as it does not fit."""
        if problem.key not in self.by_key:
            problems.append(problem)
        self.by_key[problem.key] = problem

    def clear(self, key: str, field: str | None = None) -> None:
        """It fits; with `field`, that of it."""
        if field is None or (key in self.by_key and self.by_key[key].field == field):
            self.by_key.pop(key, None)
