"""The values in etcd: JSON that an operator can read and write, checked to the last field.

Decoding is strict: an unknown field, a number as text or out of range, a name that is none, all are
`BadRecord`, and so is any text that is not JSON. What another release added, and says so, is the matter of
`schema`; what a record means together with others (a release and its versions, say) that of `image`.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Annotated, Self

from msgspec import Meta

from croupier.artifacts.comparison import from_told
from croupier.errors import InvalidRequest, TooLarge
from croupier.names import MAX_VERSION, check_name
from croupier.protocol import FIRST
from sharding.generation import MAX_WORDS, Generation
from version_manager.map import schema
from version_manager.map.chunks import Chunk, ChunkForm, Head, HeadForm, is_head
from version_manager.map.family_forms import ConfigForm
from version_manager.map.forms import Form, GenerationForm, SeedForm
from version_manager.map.keys import (
    ActiveKey,
    BadRecord,
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
from version_manager.map.release_forms import ReleaseForm
from version_manager.map.seed import Seed
from version_manager.map.tenant_forms import LimitsForm, ResidencyForm
from version_manager.model.family import Config
from version_manager.model.fleet import Cell, CellState
from version_manager.model.limits import Limits
from version_manager.model.release import WHOLE, Release, Version
from version_manager.model.residency import ResidencyRule

_Number = Annotated[int, Meta(ge=1, le=MAX_VERSION)]
_Count = Annotated[int, Meta(ge=0, le=MAX_VERSION)]
_Digest = Annotated[str, Meta(pattern=r"\A[0-9a-f]{64}\Z")]
_Engine = Annotated[str, Meta(pattern=r"\A[a-z][a-z0-9_]{0,31}\Z")]
_Protocol = Annotated[int, Meta(ge=FIRST, lt=2**32)]
_Seconds = Annotated[float, Meta(ge=0)]

# How long a generation may take over from another.
MAX_RAMP_SECONDS = 30 * 86_400.0

_ADDRESS = re.compile(r"(?:unix:[!-~]{1,250}|[!-~]{1,250}:(\d{1,5}))", re.ASCII)


@dataclass(frozen=True, slots=True)
class Active:
    """The generation that deals, and the one before it; 0: none.

    While it takes over from that one, it deals to `ramp` of 10,000 tenants, which grows to all of them within
    `seconds`; `paused` says why it does not. `author`, `reason` and `at` (seconds since 1970) tell of who
    wrote this last.
    """

    active: int
    previous: int = 0
    ramp: int = WHOLE
    seconds: float = 0.0
    paused: str = ""
    author: str = ""
    reason: str = ""
    at: float = 0.0

    @property
    def is_ramping(self) -> bool:
        """Whether the previous generation still deals to some tenants."""
        return self.ramp < WHOLE

    def bare(self) -> Active:
        """As the release before knows it, of one that deals to all."""
        return Active(self.active, self.previous)


@dataclass(frozen=True, slots=True)
class Spoken:
    """What a cell speaks: see `croupier.protocol`.

    It has a key of its own, for a manager of the release before passes over a `cells/<id>` with a field
    that it does not know, and would lose the cell.
    """

    protocol: int


@dataclass(frozen=True, slots=True)
class Announced:
    """A version manager that runs: what it speaks, and the least that any router speaks that watches it."""

    protocol: int
    watchers: int


@dataclass(frozen=True, slots=True)
class Thaw:
    """That what etcd's cluster has at `revision` is right, whatever was lost or is older than it was served.

    `number` counts up from one thaw to the next, over restored backups too: it is a time in milliseconds
    since 1970.
    """

    number: int
    cluster_id: int
    revision: int
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Spent:
    """The highest numbers that a model gave out before something of it was deleted; 0: none.

    They and all below are never given to anything else, so that a number in a log, a pinned request
    or a half-made change means one thing for ever.
    """

    version: int = 0
    release: int = 0


Record = (
    Version
    | Release
    | Spent
    | Generation
    | Head
    | Chunk
    | Active
    | Seed
    | Thaw
    | Cell
    | Spoken
    | Announced
    | ResidencyRule
    | Limits
    | Config
)


class _Version(Form, frozen=True, forbid_unknown_fields=True):
    artifact: _Digest
    size: _Count
    engine: _Engine
    created: _Seconds = 0.0
    checked: Annotated[dict[str, str | int | float | bool] | None, Meta(extra={schema.SINCE: 2})] = None

    @classmethod
    def of(cls, record: Version) -> Self:
        told = record.checked.told() if record.checked else None
        return cls(record.artifact.hex(), record.size, record.engine, record.created, told)

    def record(self, key: VersionKey) -> Version:
        checked = None if self.checked is None else from_told(self.checked)
        return Version(
            key.number, bytes.fromhex(self.artifact), self.size, self.engine, self.created, checked
        )


class _Spent(Form, frozen=True, forbid_unknown_fields=True):
    version: _Count
    release: _Count = 0

    @classmethod
    def of(cls, record: Spent) -> Self:
        return cls(record.version, record.release)

    def record(self, key: SpentKey) -> Spent:
        return Spent(self.version, self.release)


class _Active(Form, frozen=True, forbid_unknown_fields=True):
    active: _Number
    previous: _Count = 0
    ramp: Annotated[int, Meta(ge=0, le=WHOLE, extra={schema.SINCE: 4})] = WHOLE
    seconds: Annotated[float, Meta(ge=0, le=MAX_RAMP_SECONDS, extra={schema.SINCE: 4})] = 0.0
    paused: Annotated[str, Meta(max_length=MAX_WORDS, extra={schema.SINCE: 4})] = ""
    author: Annotated[str, Meta(max_length=MAX_WORDS, extra={schema.SINCE: 4})] = ""
    reason: Annotated[str, Meta(max_length=MAX_WORDS, extra={schema.SINCE: 4})] = ""
    at: Annotated[float, Meta(ge=0, extra={schema.SINCE: 4})] = 0.0

    @classmethod
    def of(cls, record: Active) -> Self:
        return cls(
            record.active,
            record.previous,
            record.ramp,
            record.seconds,
            record.paused,
            record.author,
            record.reason,
            record.at,
        )

    def record(self, key: ActiveKey) -> Active:
        if self.previous == self.active:
            raise BadRecord(f"generation {self.active} is not the one before itself", field="previous")
        if self.ramp < WHOLE and not self.previous:
            raise BadRecord("there is no generation to take over from, so it deals to all", field="ramp")
        return Active(
            self.active,
            self.previous,
            self.ramp,
            self.seconds,
            self.paused,
            self.author,
            self.reason,
            self.at,
        )


class _Cell(Form, frozen=True, forbid_unknown_fields=True):
    zone: str
    address: str
    weight: float = 1.0
    state: CellState = CellState.ACTIVE

    @classmethod
    def of(cls, record: Cell) -> Self:
        state = CellState.DRAINING if record.state is CellState.WARMING else record.state
        return cls(record.zone, record.address, record.weight, state)

    def record(self, key: CellKey) -> Cell:
        return check_cell(Cell(key.id, self.zone, self.address, self.weight, self.state))


class _Spoken(Form, frozen=True, forbid_unknown_fields=True):
    protocol: _Protocol

    @classmethod
    def of(cls, record: Spoken) -> Self:
        return cls(record.protocol)

    def record(self, key: ProtocolKey) -> Spoken:
        return Spoken(self.protocol)


class _Announced(Form, frozen=True, forbid_unknown_fields=True):
    protocol: _Protocol
    watchers: _Protocol

    @classmethod
    def of(cls, record: Announced) -> Self:
        return cls(record.protocol, record.watchers)

    def record(self, key: ManagerKey) -> Announced:
        return Announced(self.protocol, self.watchers)


class _Thaw(Form, frozen=True, forbid_unknown_fields=True):
    number: _Number
    cluster: Annotated[str, Meta(pattern=r"\A[0-9a-f]{16}\Z")]
    revision: _Count
    reason: str = ""

    @classmethod
    def of(cls, record: Thaw) -> Self:
        return cls(record.number, f"{record.cluster_id:016x}", record.revision, record.reason)

    def record(self, key: ThawKey) -> Thaw:
        return Thaw(self.number, int(self.cluster, 16), self.revision, self.reason)


_BY_KEY: dict[type[Key], type[Form]] = {
    VersionKey: _Version,
    ReleaseKey: ReleaseForm,
    SpentKey: _Spent,
    # Or a head.
    GenerationKey: GenerationForm,
    ChunkKey: ChunkForm,
    ActiveKey: _Active,
    SeedKey: SeedForm,
    CellKey: _Cell,
    ProtocolKey: _Spoken,
    ThawKey: _Thaw,
    ManagerKey: _Announced,
    ResidencyKey: ResidencyForm,
    LimitsKey: LimitsForm,
    ConfigKey: ConfigForm,
    OldConfigKey: ConfigForm,
}
_BY_RECORD: dict[type[Record], type[Form]] = {
    Version: _Version,
    Release: ReleaseForm,
    Spent: _Spent,
    Generation: GenerationForm,
    Head: HeadForm,
    Chunk: ChunkForm,
    Active: _Active,
    Seed: SeedForm,
    Cell: _Cell,
    Spoken: _Spoken,
    Thaw: _Thaw,
    Announced: _Announced,
    ResidencyRule: ResidencyForm,
    Limits: LimitsForm,
    Config: ConfigForm,
}


def encode(record: Record) -> bytes:
    """The value under which etcd keeps `record`."""
    return schema.write(_BY_RECORD[type(record)].of(record))


def decode(key: Key, value: bytes) -> Record:
    """The record that `value` under `key` holds.

    Raises:
        BadRecord: saying what is wrong with it.
    """
    try:
        record: Record = schema.read(value, _form(key, value)).record(key)
    except (InvalidRequest, TooLarge) as error:
        raise BadRecord(error.message, field=getattr(error, "field", "")) from error
    return record


def carry_over(key: Key, before: bytes, after: bytes) -> bytes:
    """`after`, with what a newer release wrote into `before`, whose place it takes: see `schema`.

    Raises:
        NewerRecord: `before` is of a release that is two ahead.
    """
    return schema.carry_over(before, after, _form(key, after))


def _form(key: Key, value: bytes) -> type[Form]:
    return HeadForm if isinstance(key, GenerationKey) and is_head(value) else _BY_KEY[type(key)]


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
