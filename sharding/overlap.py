"""How much two tenants share: the exact chances that two hands have j cells in common.

The product of shuffle sharding is a small overlap, so it is computed, not estimated: what one
tenant breaks, it breaks for those whose whole hand lies inside its own. All functions are for
cells of equal weight and return exact fractions; index j is P(two hands share exactly j cells).

Without zones, a hand is any k of N cells:
    P(j) = C(k, j) · C(N−k, k−j) / C(N, k)                         (hypergeometric)
With zones, a hand takes about k/Z cells in each of Z zones, and the shared cells of the zones add up:
the distributions of the zones are convolved. Zoned hands are fewer, hence the whole hand is shared
a little more often (2^-16 against 2^-19.3 for 64 cells in 4 zones), and so is nothing at all.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from functools import reduce
from math import comb, prod

Distribution = tuple[Fraction, ...]


def hands(cells: int, size: int) -> int:
    """How many different hands there are without zones."""
    return comb(cells, size)


def zoned_hands(zones: Sequence[int], size: int) -> int:
    """How many different hands there are over zones of so many cells.

    Raises:
        ValueError: as `zoned_overlap`.
    """
    rounds, partial = _rounds(zones, size)
    if not partial:
        return prod(comb(cells, rounds) for cells in zones)
    cells, spare = zones[0], len(zones) - partial
    inside = [comb(cells, rounds + 1)] * partial + [comb(cells, rounds)] * spare
    return comb(len(zones), partial) * prod(inside)


def overlap(cells: int, size: int) -> Distribution:
    """The overlap of two hands of `size` out of `cells`: `size` + 1 chances.

    Raises:
        ValueError: a hand that the cells cannot fill.
    """
    if not 0 <= size <= cells:
        raise ValueError(f"no hand of {size} out of {cells} cells")
    return _hypergeometric(cells, size, size)


def zoned_overlap(zones: Sequence[int], size: int) -> Distribution:
    """The overlap of two hands of `size` over zones of so many cells: `size` + 1 chances.

    Raises:
        ValueError: a zone has fewer cells than its rounds take, or the hand ends inside a round and
            the zones are of different sizes: no closed form.
    """
    rounds, partial = _rounds(zones, size)
    if not partial:
        return _convolved([_hypergeometric(cells, rounds, rounds) for cells in zones])
    cells, count = zones[0], len(zones)
    both = _hypergeometric(cells, rounds + 1, rounds + 1)
    one = _hypergeometric(cells, rounds + 1, rounds)
    neither = _hypergeometric(cells, rounds, rounds)
    total = [Fraction(0)] * (size + 1)
    # Each hand's last round reaches `partial` zones at random: the two reach `shared` of them in common.
    for shared, chance in enumerate(_hypergeometric(count, partial, partial)):
        if chance:
            alone = 2 * (partial - shared)
            parts = [both] * shared + [one] * alone + [neither] * (count - shared - alone)
            for j, p in enumerate(_convolved(parts)):
                total[j] += chance * p
    return tuple(total)


def _rounds(zones: Sequence[int], size: int) -> tuple[int, int]:
    """Full rounds, and the zones that the last, partial round reaches."""
    if not zones or size < 0:
        raise ValueError("a hand needs zones and a size")
    rounds, partial = divmod(size, len(zones))
    if rounds + bool(partial) > min(zones):
        raise ValueError(f"a zone has fewer cells than a hand of {size} takes from it")
    if partial and len(set(zones)) > 1:
        raise ValueError(f"a hand of {size} ends inside a round over zones of different sizes")
    return rounds, partial


def _hypergeometric(cells: int, left: int, right: int) -> Distribution:
    """The chances that sets of `left` and `right` out of `cells` share 0, 1, … min(left, right)."""
    total = comb(cells, right)
    return tuple(
        Fraction(comb(left, j) * comb(cells - left, right - j), total) for j in range(min(left, right) + 1)
    )


def _convolved(parts: Sequence[Distribution]) -> Distribution:
    return reduce(_convolve, parts, (Fraction(1),))


def _convolve(left: Distribution, right: Distribution) -> Distribution:
    out = [Fraction(0)] * (len(left) + len(right) - 1)
    for i, p in enumerate(left):
        for j, q in enumerate(right):
            out[i + j] += p * q
    return tuple(out)
