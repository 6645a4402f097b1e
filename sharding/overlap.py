"""How much two tenants share: the exact chances that two hands have j cells in common.

The product of shuffle sharding is a small overlap, so it is computed, not estimated: what one
tenant breaks, it breaks for those whose whole hand lies inside its own. All functions are for
cells of equal weight and return exact fractions; index j is P(two hands share exactly j cells).

Without zones, a hand is any k of N cells:
    P(j) = C(k, j) · C(N−k, k−j) / C(N, k)                         (hypergeometric)
With zones, a hand takes about k/Z cells in each of Z zones, and the shared cells of the zones add up:
the distributions of the zones are convolved. Zoned hands are fewer, hence the whole hand is shared
a little more often (2^-16 against 2^-19.3 for 64 cells in 4 zones), and so is nothing at all.

Zones of different sizes, and hands of different sizes, are the matter of `shared_with`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from fractions import Fraction
from functools import reduce
from itertools import zip_longest
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


def shared_with(held: Sequence[int], zones: Sequence[int], size: int) -> Distribution:
    """What a hand of `size` dealt over `zones` of so many cells shares with a given set of cells, of which
    `held` lie in each zone: min(number of them, `size`) + 1 chances.

    The last round of a deal goes to the zones whose next cell scores best. Scores of cells of equal
    weight are independent exponential variates, so the next cell overall is any of those not yet
    dealt with the same chance, whatever came before; which cell of a zone it is has no part in that.

    Raises:
        ValueError: a hand that the cells cannot fill, or more cells held than a zone has.
    """
    if not 0 <= size <= sum(zones) or len(held) != len(zones):
        raise ValueError(f"no hand of {size} out of zones of {', '.join(map(str, zones))} cells")
    if any(not 0 <= count <= cells for count, cells in zip(held, zones, strict=True)):
        raise ValueError("more cells are held in a zone than it has")
    longest = min(sum(held), size)
    total = [Fraction(0)] * (longest + 1)
    rounds = _full_rounds(zones, size)
    if len({cells for cells in zones if cells > rounds}) <= 1:
        for j, p in enumerate(_evenly(held, zones, size, rounds)[: longest + 1]):
            total[j] += p
        return tuple(total)
    for taken, chance in _deals(zones, size):
        parts = [_hypergeometric(*zone) for zone in zip(zones, held, taken, strict=True)]
        for j, p in enumerate(_convolved(parts)):
            total[j] += chance * p
    return tuple(total)


def _full_rounds(zones: Sequence[int], size: int) -> int:
    rounds = 0
    while sum(min(cells, rounds + 1) for cells in zones) <= size and rounds < max(zones, default=0):
        rounds += 1
    return rounds


def _evenly(held: Sequence[int], zones: Sequence[int], size: int, rounds: int) -> Distribution:
    """`shared_with` where the zones that are left for the last round are of one size.

    It reaches any set of so many of them with the same chance, so what is shared adds up zone by zone:
    by how many were reached so far.
    """
    reached = size - sum(min(cells, rounds) for cells in zones)
    table: list[Distribution] = [(Fraction(1),), *[()] * reached]
    for cells, count in zip(zones, held, strict=True):
        stays = _hypergeometric(cells, count, min(cells, rounds))
        goes = _hypergeometric(cells, count, rounds + 1) if cells > rounds else ()
        table = [
            _added(_convolve(table[r], stays), _convolve(table[r - 1], goes) if r else ())
            for r in range(reached + 1)
        ]
    ways = comb(sum(cells > rounds for cells in zones), reached)
    return tuple(p / ways for p in table[reached])


def _added(left: Distribution, right: Distribution) -> Distribution:
    return tuple(p + q for p, q in zip_longest(left, right, fillvalue=Fraction(0)))


def _deals(zones: Sequence[int], size: int) -> Iterator[tuple[tuple[int, ...], Fraction]]:
    """How many cells a hand of `size` takes of each zone, with the chance of that."""
    rounds = _full_rounds(zones, size)
    full = tuple(min(cells, rounds) for cells in zones)
    # How many scores of each zone are passed, until as many zones as the last round reaches have passed
    # more than `rounds`: the states of a walk, each with its chance.
    walk: dict[tuple[int, ...], Fraction] = {(0,) * len(zones): Fraction(1)}
    for _ in range(size - sum(full)):
        walk = _reach_next(walk, zones, rounds)
    deals: defaultdict[tuple[int, ...], Fraction] = defaultdict(Fraction)
    for passed, chance in walk.items():
        deals[tuple(f + (p > rounds) for f, p in zip(full, passed, strict=True))] += chance
    yield from deals.items()


def _reach_next(
    walk: dict[tuple[int, ...], Fraction], zones: Sequence[int], rounds: int
) -> dict[tuple[int, ...], Fraction]:
    """Walk on until one more zone has passed more than `rounds` scores."""
    reached: defaultdict[tuple[int, ...], Fraction] = defaultdict(Fraction)
    while walk:
        going: defaultdict[tuple[int, ...], Fraction] = defaultdict(Fraction)
        for passed, chance in walk.items():
            # Zones that are too small for the round or have been reached have no say any more.
            left = [
                cells - count if cells > rounds and count <= rounds else 0
                for cells, count in zip(zones, passed, strict=True)
            ]
            for zone, weight in enumerate(left):
                if weight:
                    state = (*passed[:zone], passed[zone] + 1, *passed[zone + 1 :])
                    into = reached if state[zone] > rounds else going
                    into[state] += chance * Fraction(weight, sum(left))
        walk = going
    return reached


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
    if not left or not right:
        return ()
    out = [Fraction(0)] * (len(left) + len(right) - 1)
    for i, p in enumerate(left):
        for j, q in enumerate(right):
            out[i + j] += p * q
    return tuple(out)
