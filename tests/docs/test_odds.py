import pytest
from blocks.odds import MAPS, ZONES, odds
from support.odds import zoned_hands

from sharding.overlap import zoned_overlap


def test_the_readme_s_odds_are_those_of_the_formula() -> None:
    lines = odds().splitlines()
    assert len(lines) == 2 + len(MAPS)
    assert lines[3] == "| 16 | 3 | 52.7% | 46.9% | 1 in 256 | 391 |"


@pytest.mark.parametrize(("cells", "hand"), MAPS)
def test_the_readme_s_short_formulas_hold(cells: int, hand: int) -> None:
    """For hands of at most a cell a zone: all with 1 / (C(Z, k) nᵏ), k² / N on average, and one cell more."""
    zones = [cells // ZONES] * ZONES
    chances = zoned_overlap(zones, hand)
    assert chances[hand] * zoned_hands(zones, hand) == 1
    assert sum(shared * chance for shared, chance in enumerate(chances)) * cells == hand * hand
    if hand < ZONES:
        more = zoned_hands(zones, hand + 1) / zoned_hands(zones, hand)
        assert more == pytest.approx(cells / ZONES * (ZONES - hand) / (hand + 1))
