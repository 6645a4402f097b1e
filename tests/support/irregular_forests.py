"""Forest sections that no packer writes but every cell takes: shared children, random numbers."""

from __future__ import annotations

import struct
from random import Random
from typing import Any

import numpy as np

FEATURES = 3

_LARGEST = float(np.finfo(np.float32).max)
_THRESHOLDS = (
    0.0,
    -0.0,
    1.0,
    0.5,
    -1.0,
    3.7,
    1e-35,
    -1e-35,
    _LARGEST,
    -_LARGEST,
    float("inf"),
    -float("inf"),
)
# Around the least normal float32, and the least of all.
_THRESHOLDS += (2.0**-126, -(2.0**-126), 2.0**-127, 2.0**-149, -(2.0**-149))
_VALUES = (
    *_THRESHOLDS,
    float("nan"),
    31.0,
    32.0,
    33.0,
    0.3,
    5.0,
    2.0 - 2.0**-52,
    -0.5,
    2.0**-53 - 1,
    2.0**24,
    4e9,
)
_SPLITS, _WORDS = 3, 4
_CATEGORICAL, _ZERO_IS_MISSING, _REMAINDERS = 4, 2, 16


def irregular(random: Random, flags: int) -> bytes:
    """A section of one sum with these flags; without PAIR."""
    nodes, roots = [], [0]
    for _ in range(random.randrange(12)):
        nodes += _tree(random, 2 * random.randrange(20) + 1, flags)
        roots.append(len(nodes))
    trees = len(roots) - 1
    remainders = [
        random.choice((0, 1, 2**28, 2**29 - 1, random.getrandbits(29)))
        for _ in range((len(nodes) - trees) // 2)
    ]
    counts = (flags, FEATURES, 1, trees, len(nodes), 0, _SPLITS, _WORDS, 0)
    parts = [
        struct.pack("<HBB 9I 2d Q", 1, 0, random.randrange(3), *counts, 1.0, 1.0, 0),
        struct.pack("<d", 0.25),
        *(
            struct.pack("<II", random.randrange(_WORDS), random.randrange(2) | random.choice((0, 1 << 31)))
            for _ in range(_SPLITS)
        ),
        struct.pack(f"<{trees + 1}I", *roots),
        struct.pack("<2I", 0, trees),
        random.randbytes(4 * _WORDS),
        struct.pack("<I", 0b101) if flags & _ZERO_IS_MISSING else b"",
        b"".join(nodes),
        struct.pack(f"<{len(remainders)}I", *remainders) if flags & _REMAINDERS else b"",
        b"",
    ]
    joined = b""
    for part in parts:
        joined += bytes(-len(joined) % 8) + part
    return joined


def _tree(random: Random, size: int, flags: int) -> list[bytes]:
    return [_node(random, size - place, flags) for place in range(size)]


def _node(random: Random, left: int, flags: int) -> bytes:
    """One of which `left` nodes of the tree are left, with itself."""
    if left < 3 or random.random() < 0.3:
        return struct.pack("<fHH", random.random() * random.choice((1, 100, 1e4)), 0, 0)
    if flags & _CATEGORICAL and random.random() < 0.3:
        value = struct.pack("<I", 0x7FC00000 | random.randrange(_SPLITS))
    else:
        value = struct.pack("<f", random.choice(_THRESHOLDS))
    feature = random.randrange(FEATURES) | random.choice((0, 0x8000))
    return value + struct.pack("<HH", feature, random.randrange(1, left - 1))


def value_near(random: Random) -> float:
    """A float64 within float32's range, or infinite or NaN: a threshold, or a step beside one."""
    value = random.choice(_VALUES)
    side = random.choice((-np.inf, np.inf))
    with np.errstate(all="ignore"):
        match random.randrange(5):
            case 0:
                value = float(np.nextafter(value, side))
            case 1:
                value = float(np.nextafter(np.float32(value), np.float32(side)))
            case 2:
                value += (
                    random.getrandbits(29)
                    * 2.0 ** random.choice((-52, -53, -178, -181, -200))
                    * np.sign(side)
                )
            case 3:
                value *= random.random() * 2.0 ** -random.randrange(300)
    return value if not np.isfinite(value) else float(np.clip(value, -_LARGEST, _LARGEST))


def rows_near(random: Random, count: int) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Rows of such values."""
    return np.array([[value_near(random) for _ in range(FEATURES)] for _ in range(count)]).reshape(
        count, FEATURES
    )
