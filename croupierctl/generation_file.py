"""A shard map as a JSON file, for people to edit: `shards show --json`, change, `shards set FILE`."""

from __future__ import annotations

from typing import Annotated, TypeAlias

import msgspec

from croupier.errors import InvalidRequest
from sharding.generation import Generation, Override, Seat, Share, Size


class InvalidFile(InvalidRequest):
    """A file that is no shard map. The operator's."""


# As far as they go on the wire; what deals no hand is refused by who deals.
_Size: TypeAlias = Annotated[int, msgspec.Meta(le=2**32 - 1)]
_Number: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]


class _Seat(msgspec.Struct, forbid_unknown_fields=True):
    cell: str
    zone: str
    weight: float = 1.0
    draining: bool = False
    dedicated: str = ""


class _Share(msgspec.Struct, forbid_unknown_fields=True):
    percent: _Size
    min: _Size = 1


class _Override(msgspec.Struct, forbid_unknown_fields=True):
    pins: tuple[str, ...] = ()
    excludes: tuple[str, ...] = ()
    hand_size: _Size | _Share = 0
    isolation_group: str = ""


class _File(msgspec.Struct, forbid_unknown_fields=True):
    seats: tuple[_Seat, ...]
    hand_size: _Size | _Share | None = None
    seed: int | None = None
    overrides: dict[str, _Override] | None = None
    # The generation that the file was made from, and so the one that it changes.
    number: _Number = 0
    # Who makes the generation and what for: of the one that stands, this would say nothing.
    author: str = ""
    reason: str = ""


def parse(data: bytes, active: Generation) -> Generation:
    """The generation that a file describes; what it leaves out is as in `active`.

    Its number is that of the generation which the file changes; 0 if it does not say.

    Raises:
        InvalidFile: not JSON, or not of this form.
    """
    try:
        file = msgspec.json.decode(data, type=_File)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidFile(f"the file is not a shard map: {error}") from error
    return Generation(
        number=file.number,
        seed=active.seed if file.seed is None else file.seed,
        hand_size=active.hand_size if file.hand_size is None else _size(file.hand_size),
        seats=tuple(
            Seat(seat.cell, seat.zone, seat.weight, seat.draining, seat.dedicated) for seat in file.seats
        ),
        overrides={
            tenant: Override(found.pins, found.excludes, _size(found.hand_size), found.isolation_group)
            for tenant, found in file.overrides.items()
        }
        if file.overrides is not None
        else active.overrides,
        author=file.author,
        reason=file.reason,
    )


def _size(said: int | _Share) -> Size:
    return Share(said.percent, said.min) if isinstance(said, _Share) else said


def render(generation: Generation) -> dict[str, object]:
    """What `parse` reads, as values for JSON."""
    builtins: dict[str, object] = msgspec.to_builtins(generation)
    # Follow from the number.
    del builtins["seed_since"], builtins["at"]
    return builtins
