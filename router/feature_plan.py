"""What a family's config says of features, taken apart once: what to read, what comes of what was read.

Whether a value holds is decided here: one that is missing, too old or out of its range gives way to the
default, and the reason stands beside it for the cell (`croupier/fetched.py`). Pure: the time is an argument.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, TypeAlias

from croupier import fetched
from croupier.errors import InvalidRequest
from croupier.fetched import Origin
from croupier.stores.features import features_key
from version_manager.model.family import FAIL, NUMBER, STORE, Family, FeatureSpec, Template


class Stored(NamedTuple):
    """What the store has of one entity: values by feature, and when they held, in ms since 1970."""

    values: Mapping[str, float | str]
    event_ms: int


class _Down:
    """In place of what is stored: the store did not say."""


DOWN: Final = _Down()
# None: the store has nothing.
Found: TypeAlias = Stored | _Down | None


class NoEntity(InvalidRequest):
    """The request does not say whose features to read. The caller's."""

    reason = "NO_ENTITY"


class Row(NamedTuple):
    """A row of field 1004, which holds until a moment in ms since 1970.

    `lacks`: the store did not say all of it.
    """

    packed: bytes
    until_ms: float
    lacks: bool


@dataclass(frozen=True, slots=True)
class _Feature:
    """`place` is where it stands in a row; `max_age_ms` is infinite for one that is never too old."""

    name: str
    place: int
    is_text: bool
    max_age_ms: float
    low: float
    high: float
    is_required: bool


@dataclass(frozen=True, slots=True)
class Read:
    """One entity's blob of one group. `must_be_named`: a request has to say which entity it is."""

    group: str
    template: Template
    features: tuple[_Feature, ...]
    must_be_named: bool

    def entity(self, tenant: str, entity: bytes, parameters: Mapping[bytes, bytes]) -> bytes:
        """Whose features to read; b"" where a request does not say it, and need not.

        Raises:
            NoEntity
        """
        parts = []
        for kind, text in self.template.parts:
            if kind == "text":
                parts.append(text.encode())
            elif kind == "tenant":
                parts.append(tenant.encode())
            elif kind == "entity_id" and entity:
                parts.append(entity)
            elif kind == "param" and (value := parameters.get(text.encode())):
                parts.append(value)
            elif self.must_be_named:
                what = "entity_id" if kind == "entity_id" else f"the parameter {text}"
                words = f"features of group {self.group} are read by {what}, which the request does not say"
                raise NoEntity(words, field=text or kind)
            else:
                return b""
        return b"".join(parts)


class FeaturePlan:
    """How the features of a family's requests are completed.

    `spec` and `count` are what cells are told of them, `reads` what is read for each row: nothing, if all
    that they can be given is their defaults, which are the `constant` row then. `fails`: without the store
    nothing is answered.
    """

    __slots__ = (
        "_events",
        "_origins",
        "_values",
        "constant",
        "count",
        "fails",
        "parameters",
        "reads",
        "spec",
    )

    def __init__(self, family: Family, listed: Sequence[FeatureSpec]) -> None:
        self.spec = fetched.spec_bytes(
            (one.name, one.dtype, _bound(one.low, -math.inf), _bound(one.high, math.inf)) for one in listed
        )
        self.count = len(listed)
        self.fails = family.store_failure == FAIL
        self.reads = _reads(listed)
        # Which parameters say what is read.
        self.parameters = tuple(
            sorted({name.encode() for read in self.reads for name in read.template.params})
        )
        self._values = [one.default for one in listed]
        self._events = [0] * len(listed)
        self._origins = [Origin.ABSENT if one.default is None else Origin.MISSING for one in listed]
        row = fetched.row_bytes(self._values, self._events, self._origins)
        self.constant = None if self.reads else row

    @classmethod
    def of(cls, family: Family) -> FeaturePlan | None:
        """None where callers send all features, and any value will do."""
        listed = [one for one in family.features if _is_listed(one)]
        return cls(family, listed) if listed else None

    def keys(self, tenant: str, entity: bytes, parameters: Mapping[bytes, bytes]) -> list[bytes]:
        """Where what belongs to a row lies, for each read; b"" for what cannot be read.

        Raises:
            NoEntity, InvalidName: an entity that has no features for certain.
        """
        keys = []
        for read in self.reads:
            name = read.entity(tenant, entity, parameters)
            keys.append(features_key(tenant, read.group, name) if name else b"")
        return keys

    def row(self, found: Sequence[Found], now_ms: int) -> Row:
        """The row of what was `found`, in the order of `reads`."""
        values, events, origins = self._values.copy(), self._events.copy(), self._origins.copy()
        until, lacks = math.inf, False
        for read, stored in zip(self.reads, found, strict=True):
            if isinstance(stored, Stored):
                until = min(until, _take(stored, read.features, now_ms, values, events, origins))
            elif stored is DOWN:
                lacks = True
                for feature in read.features:
                    if not feature.is_required:
                        origins[feature.place] = Origin.DOWN
        return Row(fetched.row_bytes(values, events, origins), until, lacks)

    def field(self, rows: Sequence[bytes], now_ms: int, *, is_degraded: bool) -> bytes:
        """What goes to the cell with a request."""
        return fetched.field(fetched.pack(self.spec, self.count, rows, now_ms, is_degraded))


def _take(
    stored: Stored,
    features: tuple[_Feature, ...],
    now_ms: int,
    values: list[float | str | None],
    events: list[int],
    origins: list[Origin],
) -> float:
    """Put what holds of one blob into a row; returns until when that is so."""
    known, event = stored
    until = math.inf
    for feature in features:
        value = known.get(feature.name)
        if value is None or isinstance(value, str) != feature.is_text:
            continue
        place = feature.place
        good_until = event + feature.max_age_ms
        if now_ms > good_until:
            if not feature.is_required:
                origins[place] = Origin.STALE
        elif isinstance(value, str) or feature.low <= value <= feature.high:
            values[place], events[place], origins[place] = value, event, Origin.STORE
            until = min(until, good_until)
        elif not feature.is_required:
            origins[place] = Origin.RANGE
    return until


def _is_listed(feature: FeatureSpec) -> bool:
    return (
        feature.is_stored
        or feature.default is not None
        or feature.low is not None
        or feature.high is not None
    )


def _bound(value: float | None, none: float) -> float:
    return none if value is None else value


def _reads(listed: Sequence[FeatureSpec]) -> tuple[Read, ...]:
    """Those of one group and entity lie in one blob."""
    places: dict[tuple[str, str], list[int]] = {}
    for place, feature in enumerate(listed):
        if feature.is_stored:
            places.setdefault((feature.group, feature.entity), []).append(place)
    return tuple(
        Read(
            group,
            Template.of(entity),
            tuple(_feature(listed[place], place) for place in found),
            any(listed[place].source == STORE for place in found),
        )
        for (group, entity), found in places.items()
    )


def _feature(one: FeatureSpec, place: int) -> _Feature:
    return _Feature(
        one.name,
        place,
        one.dtype != NUMBER,
        math.inf if one.max_age is None else one.max_age * 1e3,
        _bound(one.low, -math.inf),
        _bound(one.high, math.inf),
        one.default is None,
    )
