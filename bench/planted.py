"""Features of entities as a store is to have them, some missing, some stale; what replies then used. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from protos.prediction.v1 import prediction_pb2 as pb
from version_manager.model.family import REQUEST, STORE, Family, FeatureSpec

Floats = NDArray[np.float64]
Sources = NDArray[np.int64]

MAX_AGE = 3600.0
FRESH_SECONDS, STALE_SECONDS = 60, 7200


class Held(NamedTuple):
    """What the store has of one entity in one group, and since how many seconds."""

    group: str
    entity: int
    values: dict[str, float]
    age: int


@dataclass(frozen=True, slots=True)
class Planted:
    """Of each entity (row) and feature (column): its value, and where a reply is to say that it came from.

    `groups` of the features: empty for one that callers send. In place of one that is missing or stale there
    is `default`.
    """

    names: Sequence[str]
    groups: Sequence[str]
    values: Floats
    sources: Sources
    default: float

    @classmethod
    def draw(
        cls,
        names: Sequence[str],
        groups: Sequence[str],
        values: Floats,
        random: Generator,
        *,
        default: float,
        missing: float,
        stale: float,
    ) -> Planted:
        """Shares of the stored values that are missing, half of them with their whole group, or stale."""
        sources: Sources = np.full(values.shape, pb.Origin.STORE)
        columns = np.array(groups)
        for group in dict.fromkeys(groups):
            own, entities = columns == group, len(values)
            sources[np.ix_(random.random(entities) < stale, own)] = pb.Origin.DEFAULT_STALE
            sources[np.ix_(random.random(entities) < missing / 2, own)] = pb.Origin.DEFAULT_MISSING
        sources[random.random(values.shape) < missing / 2] = pb.Origin.DEFAULT_MISSING
        sources[:, columns == ""] = pb.Origin.REQUEST
        return cls(names, groups, values, sources, default)

    @property
    def sent(self) -> NDArray[np.bool_]:
        """Which features callers send."""
        return np.array([not group for group in self.groups])

    def family(self, name: str) -> Family:
        """What says so of the models of that name."""
        features = tuple(
            FeatureSpec(feature, source=STORE, group=group, default=self.default, max_age=MAX_AGE)
            if group
            else FeatureSpec(feature, source=REQUEST)
            for feature, group in zip(self.names, self.groups, strict=True)
        )
        return Family(name, 0, features=features)

    def held(self) -> Iterator[Held]:
        """What is to be put into the store; nothing of a group of which all is missing."""
        columns = np.array(self.groups)
        for group in filter(None, dict.fromkeys(self.groups)):
            own = np.flatnonzero(columns == group)
            for entity, sources in enumerate(self.sources):
                there = own[sources[own] != pb.Origin.DEFAULT_MISSING]
                is_stale = (sources[there] == pb.Origin.DEFAULT_STALE).any()
                if len(there):
                    values = {self.names[column]: float(self.values[entity, column]) for column in there}
                    yield Held(group, entity, values, STALE_SECONDS if is_stale else FRESH_SECONDS)

    def said(self, sources: Mapping[str, int]) -> Sources:
        """A reply's origins in the model's order; UNSPECIFIED where it has none."""
        return np.array([sources.get(name, pb.Origin.UNSPECIFIED) for name in self.names])

    def used(self, entity: int, said: Sources) -> Floats:
        """The row that a model was given, if a reply's origins are true; NaN where they cannot be."""
        there = (self.sources[entity] != pb.Origin.DEFAULT_MISSING) & (said != pb.Origin.UNSPECIFIED)
        row = np.where(there, self.values[entity], np.nan)
        return np.where(said >= pb.Origin.DEFAULT_MISSING, self.default, row)

    def is_as_planted(self, entity: int, said: Sources) -> bool:
        """Whether a reply says what it should; a store that was down or slow may stand for any stored one."""
        is_down = said == pb.Origin.DEFAULT_DOWN
        return bool(((said == self.sources[entity]) | (is_down & ~self.sent)).all())
