"""How a shard map lies in etcd, and what the forms of all records have in common.

A form is a record without what its key says (a number, an id). Its fields, their bounds and the schema that
they came with stand in its types, which `schema` reads and writes by; what they mean together is checked by
the record itself.
"""

from __future__ import annotations

from abc import abstractmethod
from itertools import pairwise
from typing import Annotated, Any, Self

from msgspec import Meta, Struct

from croupier.names import MAX_VERSION
from sharding.generation import Generation, Override, Seat, Share, Size, check_generation
from version_manager.map import schema
from version_manager.map.keys import BadRecord, GenerationKey, SeedKey
from version_manager.map.seed import Era, Seed

# How often a deployment may be dealt anew.
MAX_ERAS = 64

_Count = Annotated[int, Meta(ge=0, le=MAX_VERSION)]
# msgspec knows bounds of 63 bits only: `SeedForm` looks at the upper one.
_Count64 = Annotated[int, Meta(ge=0)]
_HandSize = Annotated[int, Meta(ge=0, le=2**31 - 1)]


class Form(Struct, frozen=True, forbid_unknown_fields=True):
    """How a record lies in etcd.

    A Struct has a metaclass of its own: that both methods are there, mypy sees alone.
    """

    @classmethod
    @abstractmethod
    def of(cls, record: Any) -> Self: ...

    @abstractmethod
    def record(self, key: Any) -> Any:
        """The record under `key`. Raises InvalidRequest, TooLarge."""


class _Seat(Struct, frozen=True, forbid_unknown_fields=True):
    cell: str
    zone: str
    weight: float = 1.0
    draining: bool = False
    dedicated: Annotated[str, Meta(extra={schema.SINCE: 3})] = ""


class _Share(Struct, frozen=True, forbid_unknown_fields=True):
    percent: Annotated[_HandSize, Meta(extra={schema.SINCE: 3})]
    min: _HandSize = 1


class _Override(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    pins: tuple[str, ...] = ()
    excludes: tuple[str, ...] = ()
    hand_size: _HandSize | _Share = 0
    isolation_group: str = ""


class GenerationForm(Form, frozen=True, forbid_unknown_fields=True):
    seed: int
    hand_size: _HandSize | _Share
    seats: tuple[_Seat, ...]
    overrides: dict[str, _Override] = {}
    author: Annotated[str, Meta(extra={schema.SINCE: 3})] = ""
    reason: Annotated[str, Meta(extra={schema.SINCE: 3})] = ""
    at: Annotated[float, Meta(ge=0, extra={schema.SINCE: 4})] = 0.0

    @classmethod
    def of(cls, record: Generation) -> Self:
        seats = tuple(
            _Seat(seat.cell, seat.zone, seat.weight, seat.draining, seat.dedicated) for seat in record.seats
        )
        overrides = {
            tenant: _Override(one.pins, one.excludes, _size_of(one.hand_size), one.isolation_group)
            for tenant, one in record.overrides.items()
        }
        size = _size_of(record.hand_size)
        return cls(record.seed, size, seats, overrides, record.author, record.reason, record.at)

    def record(self, key: GenerationKey) -> Generation:
        seats = tuple(
            Seat(seat.cell, seat.zone, seat.weight, seat.draining, seat.dedicated) for seat in self.seats
        )
        overrides = {
            tenant: Override(one.pins, one.excludes, _size(one.hand_size), one.isolation_group)
            for tenant, one in self.overrides.items()
        }
        size, author, reason = _size(self.hand_size), self.author, self.reason
        return check_generation(
            Generation(
                key.number, self.seed, size, seats, overrides, author=author, reason=reason, at=self.at
            )
        )


def _size_of(size: Size) -> int | _Share:
    return _Share(size.percent, size.min) if isinstance(size, Share) else size


def _size(form: int | _Share) -> Size:
    return Share(form.percent, form.min) if isinstance(form, _Share) else form


class _Era(Struct, frozen=True, forbid_unknown_fields=True):
    seed: _Count64
    since: _Count


class SeedForm(Form, frozen=True, forbid_unknown_fields=True):
    seed: _Count64
    since: _Count = 0
    former: Annotated[tuple[_Era, ...], Meta(max_length=MAX_ERAS - 1)] = ()

    @classmethod
    def of(cls, record: Seed) -> Self:
        former = tuple(_Era(era.seed, era.since) for era in record.eras[:-1])
        return cls(record.current.seed, record.current.since, former)

    def record(self, key: SeedKey) -> Seed:
        eras = (*(Era(one.seed, one.since) for one in self.former), Era(self.seed, self.since))
        if any(era.seed >= 2**64 for era in eras):
            raise BadRecord("the seed is not an unsigned 64-bit number", field="seed")
        if any(before.since >= after.since for before, after in pairwise(eras)):
            raise BadRecord("the seeds do not follow each other", field="former")
        return Seed(eras)
