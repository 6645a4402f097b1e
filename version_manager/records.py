"""The values in etcd: JSON that an operator can read and write, checked to the last field.

Decoding is strict: an unknown field, a number as text or out of range, a name that is none, all are
`BadRecord`, and so is any text that is not JSON. What a record means together with others (a
release and its versions, say) is the matter of `image`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated, TypeVar

import msgspec
from msgspec import Meta, Struct

from croupier.errors import InvalidRequest, TooLarge
from croupier.names import MAX_VERSION, check_name
from croupier.protocol import FIRST
from sharding.generation import Generation, Override, Seat, check_generation
from version_manager.fleet import Cell, CellState
from version_manager.keys import (
    ActiveKey,
    BadRecord,
    CellKey,
    GenerationKey,
    Key,
    ProtocolKey,
    ReleaseKey,
    ResidencyKey,
    SeedKey,
    SpentKey,
    VersionKey,
)
from version_manager.release import WHOLE, Release, Split, Version
from version_manager.residency import Residency, check_residency
from version_manager.seed import Era, Seed

_Number = Annotated[int, Meta(ge=1, le=MAX_VERSION)]
_Count = Annotated[int, Meta(ge=0, le=MAX_VERSION)]
# msgspec knows bounds of 63 bits only: `_seed` looks at the upper one.
_Count64 = Annotated[int, Meta(ge=0)]
_HandSize = Annotated[int, Meta(ge=0, le=2**31 - 1)]
_Digest = Annotated[str, Meta(pattern=r"\A[0-9a-f]{64}\Z")]
_Engine = Annotated[str, Meta(pattern=r"\A[a-z][a-z0-9_]{0,31}\Z")]
_Seconds = Annotated[float, Meta(ge=0)]

# How often a deployment may be dealt anew.
MAX_ERAS = 64

_ADDRESS = re.compile(r"(?:unix:[!-~]{1,250}|[!-~]{1,250}:(\d{1,5}))", re.ASCII)


@dataclass(frozen=True, slots=True)
class Active:
    """The generation that deals, and the one before it; 0: none."""

    active: int
    previous: int = 0


@dataclass(frozen=True, slots=True)
class Spoken:
    """What a cell speaks: see `croupier.protocol`.

    It has a key of its own, for a manager of the release before passes over a `cells/<id>` with a field
    that it does not know, and would lose the cell.
    """

    protocol: int


@dataclass(frozen=True, slots=True)
class Spent:
    """The highest numbers that a model gave out before something of it was deleted; 0: none.

    They and all below are never given to anything else, so that a number in a log, a pinned request
    or a half-made change means one thing for ever.
    """

    version: int = 0
    release: int = 0


class _Version(Struct, frozen=True, forbid_unknown_fields=True):
    artifact: _Digest
    size: _Count
    engine: _Engine
    created: _Seconds = 0.0


class _Split(Struct, frozen=True, forbid_unknown_fields=True):
    version: _Number
    basis_points: Annotated[int, Meta(ge=1, le=WHOLE)]


class _Release(Struct, frozen=True, forbid_unknown_fields=True):
    number: _Number
    splits: tuple[_Split, ...]
    labels: dict[str, _Number] = {}


class _Spent(Struct, frozen=True, forbid_unknown_fields=True):
    version: _Count
    release: _Count = 0


class _Seat(Struct, frozen=True, forbid_unknown_fields=True):
    cell: str
    zone: str
    weight: float = 1.0
    draining: bool = False


class _Override(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    pins: tuple[str, ...] = ()
    excludes: tuple[str, ...] = ()
    hand_size: _HandSize = 0
    isolation_group: str = ""


class _Generation(Struct, frozen=True, forbid_unknown_fields=True):
    seed: int
    hand_size: _HandSize
    seats: tuple[_Seat, ...]
    overrides: dict[str, _Override] = {}


class _Active(Struct, frozen=True, forbid_unknown_fields=True):
    active: _Number
    previous: _Count = 0


class _Era(Struct, frozen=True, forbid_unknown_fields=True):
    seed: _Count64
    since: _Count


class _Seed(Struct, frozen=True, forbid_unknown_fields=True):
    seed: _Count64
    since: _Count = 0
    former: Annotated[tuple[_Era, ...], Meta(max_length=MAX_ERAS - 1)] = ()


class _Cell(Struct, frozen=True, forbid_unknown_fields=True):
    zone: str
    address: str
    weight: float = 1.0
    state: CellState = CellState.ACTIVE


class _Spoken(Struct, frozen=True, forbid_unknown_fields=True):
    protocol: Annotated[int, Meta(ge=FIRST, lt=2**32)]


class _Residency(Struct, frozen=True, forbid_unknown_fields=True):
    floor_bytes: _Count
    pinned: tuple[str, ...]


Record = Version | Release | Spent | Generation | Active | Seed | Cell | Spoken | Residency

_T = TypeVar("_T", bound=Struct)


def encode(record: Record) -> bytes:
    """The value under which etcd keeps `record`; what the key says (a number, an id) is left out."""
    return msgspec.json.encode(_to_struct(record))


def decode(key: Key, value: bytes) -> Record:
    """The record that `value` under `key` holds.

    Raises:
        BadRecord: saying what is wrong with it.
    """
    try:
        match key:
            case VersionKey():
                return _version(key.number, _read(value, _Version))
            case ReleaseKey():
                return _release(_read(value, _Release))
            case SpentKey():
                spent = _read(value, _Spent)
                return Spent(spent.version, spent.release)
            case GenerationKey() | ActiveKey() | SeedKey():
                return _of_shards(key, value)
            case CellKey():
                cell = _read(value, _Cell)
                return check_cell(Cell(key.id, cell.zone, cell.address, cell.weight, cell.state))
            case ProtocolKey():
                return Spoken(_read(value, _Spoken).protocol)
            case ResidencyKey():
                residency = _read(value, _Residency)
                return check_residency(Residency(residency.floor_bytes, residency.pinned))
    except (InvalidRequest, TooLarge) as error:
        raise BadRecord(error.message) from error


def check_cell(cell: Cell) -> Cell:
    """Return `cell` if it can be registered.

    Raises:
        InvalidRequest: a name, the address or the weight is wrong.
    """
    check_name(cell.id, "id")
    check_name(cell.zone, "zone")
    matched = _ADDRESS.fullmatch(cell.address)
    if matched is None or not 0 < int(matched[1] or 1) < 65_536:
        raise InvalidRequest("the address is not host:port", field="address")
    if not (cell.weight > 0 and math.isfinite(cell.weight)):
        raise InvalidRequest("the weight is not above 0", field="weight")
    return cell


def check_labels(labels: Mapping[str, int]) -> None:
    """Raises InvalidName for a label that is no name."""
    for label in labels:
        check_name(label, "labels")


def _read(value: bytes, kind: type[_T]) -> _T:
    try:
        return msgspec.json.decode(value, type=kind)
    except (ValueError, RecursionError) as error:
        raise BadRecord(f"not a {kind.__name__[1:].lower()}: {error}") from error


def _version(number: int, record: _Version) -> Version:
    return Version(number, bytes.fromhex(record.artifact), record.size, record.engine, record.created)


def _release(record: _Release) -> Release:
    check_labels(record.labels)
    splits = tuple(Split(split.version, split.basis_points) for split in record.splits)
    return Release(record.number, splits, record.labels)


def _of_shards(key: GenerationKey | ActiveKey | SeedKey, value: bytes) -> Generation | Active | Seed:
    match key:
        case GenerationKey():
            return _generation(key.number, _read(value, _Generation))
        case ActiveKey():
            active = _read(value, _Active)
            return Active(active.active, active.previous)
        case SeedKey():
            return _seed(_read(value, _Seed))


def _generation(number: int, record: _Generation) -> Generation:
    seats = tuple(Seat(seat.cell, seat.zone, seat.weight, seat.draining) for seat in record.seats)
    overrides = {
        tenant: Override(one.pins, one.excludes, one.hand_size, one.isolation_group)
        for tenant, one in record.overrides.items()
    }
    return check_generation(Generation(number, record.seed, record.hand_size, seats, overrides))


def _seed(record: _Seed) -> Seed:
    eras = (*(Era(one.seed, one.since) for one in record.former), Era(record.seed, record.since))
    if any(era.seed >= 2**64 for era in eras):
        raise BadRecord("the seed is not an unsigned 64-bit number")
    if any(before.since >= after.since for before, after in pairwise(eras)):
        raise BadRecord("the seeds do not follow each other")
    return Seed(eras)


def _to_struct(record: Record) -> Struct:
    match record:
        case Version():
            return _Version(record.artifact.hex(), record.size, record.engine, record.created)
        case Release():
            splits = tuple(_Split(split.version, split.basis_points) for split in record.splits)
            return _Release(record.number, splits, dict(record.labels))
        case Spent():
            return _Spent(record.version, record.release)
        case Generation():
            seats = tuple(_Seat(seat.cell, seat.zone, seat.weight, seat.draining) for seat in record.seats)
            overrides = {
                tenant: _Override(one.pins, one.excludes, one.hand_size, one.isolation_group)
                for tenant, one in record.overrides.items()
            }
            return _Generation(record.seed, record.hand_size, seats, overrides)
        case Active():
            return _Active(record.active, record.previous)
        case Seed():
            former = tuple(_Era(era.seed, era.since) for era in record.eras[:-1])
            return _Seed(record.current.seed, record.current.since, former)
        case Cell():
            return _Cell(record.zone, record.address, record.weight, record.state)
        case Spoken():
            return _Spoken(record.protocol)
        case Residency():
            return _Residency(record.floor_bytes, record.pinned)
