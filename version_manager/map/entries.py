"""What etcd says of one model, as far as it decodes. Kept only while it is not served as it says."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Self

from version_manager.map.keys import ModelKey, ReleaseKey, VersionKey
from version_manager.map.records import Record
from version_manager.model.release import Model, Release, Version


@dataclass(slots=True)
class Entry:
    versions: dict[int, Version] = field(default_factory=dict)
    release: Release | None = None

    @classmethod
    def of(cls, served: Model | None) -> Self:
        """Of a model that is served as etcd says; None: etcd says nothing."""
        return cls() if served is None else cls(dict(served.versions), served.release)

    def enter(self, key: ModelKey, record: Record | None) -> None:
        """Take what is said below `key`; None: nothing any more."""
        match key, record:
            case VersionKey(), Version():
                self.versions[key.number] = record
            case VersionKey(), _:
                self.versions.pop(key.number, None)
            case ReleaseKey(), Release():
                self.release = record
            case _:
                self.release = None

    def is_served_by(self, model: Model | None) -> bool:
        """Whether `model` says all of this and nothing else."""
        if model is None:
            return not self.versions and self.release is None
        return model.versions == self.versions and model.release == self.release
