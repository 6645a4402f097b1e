"""Field 1004 as a router writes it for requests that are to be changed, or nearly so.

Of each model few specs are made, so that what a cell remembers of them is met again.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from random import Random
from typing import TypeAlias

from fuzz.messages_mutator import damage

from croupier.fetched import FIELD, Origin, Value, pack, row_bytes, spec_bytes

__all__ = ["FIELD", "covered", "field", "listed"]

# Name, kind, lowest and highest value.
Listed: TypeAlias = list[tuple[str, str, float, float]]

_RANGES = ((-math.inf, math.inf),) * 4 + ((-2.0, 2.0), (0.0, math.inf))
_ORIGINS = (Origin.STORE,) * 8 + (Origin.MISSING, Origin.STALE, Origin.DOWN, Origin.RANGE)
_PLAIN = (0.0, 1.5, -2.5, 0.1, 1e6)
_STRANGE = (math.nan, math.inf, -math.inf, 1e300, 3.5e38, 1e-320)
_TEXTS = ("", "a", "ab", "red", "K\u00f6ln", "none")
_SPECS = 6


def listed(rng: Random, names: Sequence[str], texts: Sequence[str]) -> Listed:
    """Some of the features, and now and then one that the model lacks."""
    own = Random(f"{names}{rng.randrange(_SPECS)}")
    found = own.sample(names, own.randint(1, len(names)))
    if own.random() < 0.3:
        found.insert(own.randrange(len(found) + 1), "other")
    kinds = ["text" if (name in texts) != (own.random() < 0.03) else "number" for name in found]
    return [(name, kind, *own.choice(_RANGES)) for name, kind in zip(found, kinds, strict=True)]


def covered(features: Listed, names: Sequence[str]) -> list[int]:
    """The places of those that the model has."""
    found = {name for name, *_ in features}
    return [place for place, name in enumerate(names) if name in found]


def field(rng: Random, features: Listed, rows: int) -> bytes:
    """The field's value for a request of so many rows, or nearly so many."""
    count = rng.choice((1, 1, rows, rows, rows, rows + (rng.random() < 0.1)))
    packed = [_row(rng, features) for _ in range(max(1, count))]
    data = pack(spec_bytes(features), len(features), packed, 1_700_000_000_000, rng.random() < 0.5)
    if rng.random() < 0.08:
        return damage(data, rng)
    return _altered(data, rng) if rng.random() < 0.08 else data


def _altered(data: bytes, rng: Random) -> bytes:
    """Of the same length, in the header or in the last row's origins."""
    changed = bytearray(data)
    at = rng.randrange(20) if rng.random() < 0.5 else len(data) - rng.randint(1, 4)
    changed[at] = rng.choice((0, 1, 2, 5, 6, 255))
    return bytes(changed)


def _row(rng: Random, features: Listed) -> bytes:
    origins = [rng.choice(_ORIGINS) if rng.random() < 0.97 else Origin.ABSENT for _ in features]
    values: list[Value] = []
    for (_, kind, _, _), origin in zip(features, origins, strict=True):
        if origin is Origin.ABSENT:
            values.append(None)
        elif kind == "text":
            values.append(rng.choice(_TEXTS))
        else:
            values.append(rng.choice(_PLAIN) if rng.random() < 0.97 else rng.choice(_STRANGE))
    events = [rng.choice((0, 1_699_999_990_000, 1_700_000_100_000)) for _ in features]
    return row_bytes(values, events, origins)
