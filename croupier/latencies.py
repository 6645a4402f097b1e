"""Latencies as counts in buckets, the same in every process, so that what many counted adds up.

Four buckets an octave, from an eighth of a millisecond to half a minute, and one below and one above: one is
at most a quarter wider than where it begins, so its middle is within an eighth of what fell into it.
`router/tallies.pyx` finds a bucket natively.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import ceil, frexp

PER_OCTAVE = 4
FIRST_OCTAVE = -13
OCTAVES = 18
BUCKETS = OCTAVES * PER_OCTAVE + 2

# Where each bucket but the first begins, in seconds.
BOUNDS = tuple(
    2.0 ** (FIRST_OCTAVE + place // PER_OCTAVE) * (1 + place % PER_OCTAVE / PER_OCTAVE)
    for place in range(BUCKETS - 1)
)
# What a bucket stands for; the first and the last have one bound only.
MIDDLES = (
    BOUNDS[0],
    *((begin + end) / 2 for begin, end in pairwise(BOUNDS)),
    BOUNDS[-1],
)


def bucket_of(seconds: float) -> int:
    """The bucket of a latency."""
    if seconds < BOUNDS[0]:
        return 0
    if seconds >= BOUNDS[-1]:
        return BUCKETS - 1
    # From a half to one, times a power of two.
    mantissa, exponent = frexp(seconds)
    return 1 + (exponent - 1 - FIRST_OCTAVE) * PER_OCTAVE + int((2 * mantissa - 1) * PER_OCTAVE)


def packed(counts: Sequence[int]) -> tuple[int, list[int]]:
    """Counts without the empty buckets at either end: the first of those that are left, and they."""
    first = next((place for place, count in enumerate(counts) if count), 0)
    last = max((place for place, count in enumerate(counts) if count), default=-1)
    return first, list(counts[first : last + 1])


def unpacked(first: int, counts: Sequence[int]) -> list[int]:
    """The counts of all buckets, of what `packed` made of them; what is in no bucket of ours is left out."""
    known = list(counts[: max(BUCKETS - first, 0)])
    before = [0] * min(first, BUCKETS)
    return [*before, *known, *[0] * (BUCKETS - len(before) - len(known))]


def quantile(counts: Sequence[int], share: float) -> float | None:
    """What `share` of those counted took at most, in seconds; None if there are none."""
    place = ceil(share * sum(counts))
    below = 0
    for count, middle in zip(counts, MIDDLES, strict=False):
        below += count
        if count and below >= place:
            return middle
    return None
