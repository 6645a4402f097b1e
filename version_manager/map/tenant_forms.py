"""How what operators want of a tenant lies in etcd: what its cells keep, and what it may take."""

from __future__ import annotations

from typing import Annotated, Literal, Self, TypeAlias

from msgspec import Meta

from croupier.names import MAX_VERSION
from version_manager.map import schema
from version_manager.map.forms import Form
from version_manager.map.keys import LimitsKey, ResidencyKey
from version_manager.model.limits import UNLIMITED, Limits, check_limits
from version_manager.model.residency import ResidencyRule, check_residency

_NONE: Literal["none"] = "none"
_Limit: TypeAlias = float | Literal["none"] | None
_Later: TypeAlias = Annotated[_Limit, Meta(extra={schema.SINCE: 5})]


class ResidencyForm(Form, frozen=True, forbid_unknown_fields=True):
    floor_bytes: Annotated[int, Meta(ge=0, le=MAX_VERSION)]
    pinned: tuple[str, ...]

    @classmethod
    def of(cls, record: ResidencyRule) -> Self:
        return cls(record.floor_bytes, record.pinned)

    def record(self, key: ResidencyKey) -> ResidencyRule:
        return check_residency(ResidencyRule(self.floor_bytes, self.pinned))


class LimitsForm(Form, frozen=True, forbid_unknown_fields=True):
    """What is not there is not said: the default holds. "none" is said: nothing limits it.

    All of it came with one schema, so that nobody writes it whom a part does not follow yet.
    """

    rate: _Later = None
    in_flight: _Later = None
    cold_loads: _Later = None
    rows: _Later = None
    bytes: _Later = None

    @classmethod
    def of(cls, record: Limits) -> Self:
        return cls(*map(_limit_of, record.said()))

    def record(self, key: LimitsKey) -> Limits:
        told = (self.rate, self.in_flight, self.cold_loads, self.rows, self.bytes)
        return check_limits(Limits(*map(_limit, told)))


def _limit_of(value: float | None) -> _Limit:
    """`value` as it lies in etcd: whole numbers as people write them."""
    if value is None:
        return None
    if value == UNLIMITED:
        return _NONE
    return int(value) if value == int(value) else value


def _limit(told: _Limit) -> float | None:
    return UNLIMITED if isinstance(told, str) else told
