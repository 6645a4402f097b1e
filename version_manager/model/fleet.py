"""The cells as they registered: who they are, where they serve, how full they are."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from croupier.protocol import FIRST


class CellState(StrEnum):
    """One that is `WARMING` has come back, and loads what was hot: it is asked last, as one that drains.

    A part of the release before knows no such state: for it, and in etcd, that is a cell that drains.
    """

    ACTIVE = "active"
    WARMING = "warming"
    DRAINING = "draining"
    DRAINED = "drained"


@dataclass(frozen=True, slots=True)
class Quarantined:
    """An artifact (SHA-256) that a cell refuses: since when (seconds since 1970), for what, at what work."""

    artifact: bytes
    since: float
    why: str
    phase: str


@dataclass(frozen=True, slots=True)
class Load:
    """A cell's load report: bytes, counts of models, seconds since its least recent model was used.

    `quarantined` are the latest of `quarantined_total`.
    """

    capacity_bytes: int = 0
    used_bytes: int = 0
    resident: int = 0
    loading: int = 0
    oldest_seconds: float = 0.0
    requests: int = 0
    hits: int = 0
    quarantined: tuple[Quarantined, ...] = ()
    quarantined_total: int = 0


@dataclass(frozen=True, slots=True)
class Cell:
    """One worker process. `address` is host:port of its data plane; `weight` its share of tenants.

    `protocol` is what it understands of what a router may send: see `croupier.protocol`.
    """

    id: str
    zone: str
    address: str
    weight: float = 1.0
    state: CellState = CellState.ACTIVE
    load: Load = field(default=Load())
    protocol: int = FIRST
