"""How many hands there are, for what is compared with the chances of `sharding.overlap`."""

from collections.abc import Sequence
from math import comb, prod


def zoned_hands(zones: Sequence[int], size: int) -> int:
    """Over zones of so many cells, all alike if the last round does not reach every one."""
    rounds, partial = divmod(size, len(zones))
    if not partial:
        return prod(comb(cells, rounds) for cells in zones)
    cells, count = zones[0], len(zones)
    inside = comb(cells, rounds + 1) ** partial * comb(cells, rounds) ** (count - partial)
    return comb(count, partial) * inside
