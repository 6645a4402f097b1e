"""What an operator wants a tenant's cells to keep in memory, whatever else they are asked for."""

from __future__ import annotations

from dataclasses import dataclass

from croupier.errors import InvalidRequest, TooLarge
from croupier.names import MAX_VERSION, check_name

MAX_PINNED = 1000


@dataclass(frozen=True, slots=True)
class ResidencyRule:
    """Each of a tenant's cells keeps `floor_bytes` of its models, and all that is released of `pinned`."""

    floor_bytes: int = 0
    pinned: tuple[str, ...] = ()


def check_residency(residency: ResidencyRule) -> ResidencyRule:
    """Return `residency` if it can be kept.

    Raises:
        InvalidRequest: the floor is negative, a name is none or stands there twice.
        TooLarge: too many models are pinned.
    """
    if not 0 <= residency.floor_bytes <= MAX_VERSION:
        raise InvalidRequest("the floor is a number of bytes, not below 0", field="floor_bytes")
    if len(residency.pinned) > MAX_PINNED:
        raise TooLarge(f"{len(residency.pinned)} models are pinned; a tenant may have {MAX_PINNED}")
    for name in residency.pinned:
        check_name(name, "pinned")
    if len(set(residency.pinned)) != len(residency.pinned):
        raise InvalidRequest("a model is pinned twice", field="pinned")
    return residency
