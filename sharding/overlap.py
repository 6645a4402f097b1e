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
from itertools import pairwise, product, zip_longest
from math import comb

Distribution = tuple[Fraction, ...]


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
    by_size: defaultdict[int, list[int]] = defaultdict(list)
    done = []
    for cells, count in zip(zones, held, strict=True):
        if cells > rounds:
            by_size[cells].append(count)
        else:
            done.append(_hypergeometric(cells, count, cells))
    tables = [_zone_by_zone(counts, [cells] * len(counts), rounds) for cells, counts in by_size.items()]
    sizes = [(cells, len(counts)) for cells, counts in by_size.items()]
    partial = size - sum(min(cells, rounds) for cells in zones)
    for reached, chance in _reached(sizes, rounds, partial):
        parts = [table[count] for table, count in zip(tables, reached, strict=True)]
        for j, p in enumerate(_convolved([*done, *parts])[: longest + 1]):
            total[j] += chance * p
    return tuple(total)


def _full_rounds(zones: Sequence[int], size: int) -> int:
    rounds = 0
    while sum(min(cells, rounds + 1) for cells in zones) <= size and rounds < max(zones, default=0):
        rounds += 1
    return rounds


def _zone_by_zone(held: Sequence[int], zones: Sequence[int], rounds: int) -> list[Distribution]:
    """By how many zones one more round reaches, any of them alike: what is shared with all of them."""
    table: list[Distribution] = [(Fraction(1),)]
    for cells, count in zip(zones, held, strict=True):
        stays = _hypergeometric(cells, count, min(cells, rounds))
        goes = _hypergeometric(cells, count, rounds + 1) if cells > rounds else ()
        before = [(), *table, ()]
        table = [_added(_convolve(b, stays), _convolve(a, goes)) for a, b in pairwise(before)]
    return [tuple(p / comb(len(zones), r) for p in row) for r, row in enumerate(table)]


def _reached(
    sizes: Sequence[tuple[int, int]], rounds: int, partial: int
) -> Iterator[tuple[tuple[int, ...], Fraction]]:
    """How many zones of each size the last round reaches, `partial` in all, with the chance of that.

    `sizes` are (cells of a zone, zones). A zone is reached when one more of its cells than there were rounds
    has come in a random order of all. Where the last zone is reached by the cell after the first q, those q
    are any set of so many of which each zone has enough, or not enough yet: counted by polynomials, whose
    power is q.
    """
    every = sum(cells * zones for cells, zones in sizes)
    for reached in product(*(range(min(zones, partial) + 1) for _, zones in sizes)):
        if sum(reached) != partial:
            continue
        chance = Fraction(not partial)
        for last, (cells, _) in enumerate(sizes):
            if not reached[last]:
                continue
            ways = [0] * rounds + [comb(cells, rounds) * (cells - rounds) * reached[last]]
            for index, (size, zones) in enumerate(sizes):
                binomial = [comb(size, c) for c in range(size + 1)]
                stays, goes = binomial[: rounds + 1], [0] * (rounds + 1) + binomial[rounds + 1 :]
                ahead = reached[index] - (index == last)
                for factor in (*[stays] * (zones - reached[index]), *[goes] * ahead):
                    ways = _multiply(ways, factor)
                ways = [way * comb(zones, reached[index]) for way in ways]
            chance += sum(Fraction(way, comb(every, q) * (every - q)) for q, way in enumerate(ways) if way)
        yield reached, chance


def _multiply(left: list[int], right: list[int]) -> list[int]:
    out = [0] * (len(left) + len(right) - 1)
    for i, p in enumerate(left):
        if p:
            for j, q in enumerate(right):
                out[i + j] += p * q
    return out


def _added(left: Distribution, right: Distribution) -> Distribution:
    return tuple(p + q for p, q in zip_longest(left, right, fillvalue=Fraction(0)))


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
