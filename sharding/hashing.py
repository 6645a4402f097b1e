"""The one hash of all placement: keyed, 64 bits wide, the same in every process and on every machine.

Everything that deals or orders cells goes through `hash64`, so that a router, the command line and
a test agree on a hand without a word between them. xxh3 was taken for its speed on short keys and
its quality: it is not cryptographic, and needs not be, since whoever could choose tenant names to
aim at a hand would also need the deployment's seed.

A change of anything in this file deals every tenant a new hand at once, which reloads the whole
fleet. `tests/sharding/test_hashing.py` holds golden values against that.
"""

from __future__ import annotations

import math

from xxhash import xxh3_64_digest, xxh3_64_intdigest

_SEPARATOR = "\0"
_UNIT = 2.0**-52


def hash64(*parts: str, seed: int = 0) -> int:
    """An unsigned 64-bit number for `parts` under `seed`.

    The parts are joined by NUL, which no name contains (`croupier.names`), so that ("ab", "c") and
    ("a", "bc") differ.
    """
    return xxh3_64_intdigest(_SEPARATOR.join(parts).encode(), seed)


def key64(*parts: str, seed: int = 0) -> bytes:
    """`hash64` as 8 big-endian bytes: half of what `pair64` takes."""
    return xxh3_64_digest(_SEPARATOR.join(parts).encode(), seed)


def pair64(left: bytes, right: bytes) -> int:
    """An unsigned 64-bit number for two keys: the hash of 16 bytes.

    Names are hashed once into keys and then combined, because one such hash a pair is what dealing
    costs most, and an integer mixer of the same quality in Python takes longer.
    """
    return xxh3_64_intdigest(left + right)


def score(h: int, weight: float) -> float:
    """The rendezvous score of a 64-bit hash: -ln(u) / weight, with u in (0, 1); the smallest wins.

    For a uniform u this is an exponential variate of rate `weight`, so a cell wins with a chance in
    proportion to its weight, and a change of one weight moves slots to or from that cell only
    (weighted rendezvous hashing: Schindelhauer and Schomaker, 2005).
    """
    # The upper 52 bits and a half are exact in a double and never reach 0 or 1.
    return -math.log(((h >> 12) + 0.5) * _UNIT) / weight
