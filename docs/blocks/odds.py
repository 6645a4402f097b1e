"""The README's odds: how much of a broken hand another tenant shares, by the code's own formula."""

from __future__ import annotations

from blocks.results import number, share, table
from sharding.overlap import zoned_overlap

ZONES = 4
MAPS = ((8, 3), (16, 3), (16, 4), (64, 3), (64, 4), (64, 6), (256, 3), (256, 4))
OTHERS = 100_000


def odds() -> str:
    """A row for each number of cells and size of a hand."""
    head = [
        *("cells", "k", "shares none", "shares some", "shares all: P(all)"),
        f"of {OTHERS:,} others, share all",
    ]
    return table(head, (_row(cells, hand) for cells, hand in MAPS), texts=0)


def _row(cells: int, hand: int) -> list[str]:
    zones = [cells // ZONES] * ZONES
    chances = zoned_overlap(zones, hand)
    none, every = chances[0], chances[hand]
    return [
        f"{cells:,}",
        f"{hand}",
        share(float(none)),
        share(float(1 - none - every)),
        f"1 in {round(1 / every):,}",
        number(float(OTHERS * every)),
    ]
