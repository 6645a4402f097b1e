"""Dealing hands: microseconds a hand, how even the cells come out, what one lost cell moves.

And which cell of a hand gets a request: `balance.py`.
"""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from bench import balance, report
from sharding.dealer import Dealer
from sharding.generation import Generation, Seat

_ZONES = 4
_HAND = 4


@dataclass(frozen=True, slots=True)
class Result:
    """`moved` is the share of all slots that changed when one of `cells` cells left: 1 / cells is ideal."""

    cells: int
    tenants: int
    us_per_hand: float
    max_over_mean: float
    moved: float
    ideal_moved: float


def run(*, cells: int, tenants: int, requests: int, json: Path | None) -> Result:
    seats = tuple(Seat(f"cell-{number}", f"zone-{number % _ZONES}") for number in range(cells))
    generation = Generation(number=1, seed=1, hand_size=_HAND, seats=seats)
    names = [f"tenant-{number}" for number in range(tenants)]
    before = Dealer(generation)
    began = time.process_time()
    hands = [before.hand(name) for name in names]
    seconds = time.process_time() - began
    after = Dealer(replace(generation, number=2, seats=seats[1:]))
    moved = sum(len(set(hand) - set(after.hand(name))) for name, hand in zip(names, hands, strict=True))
    slots = np.array(list(Counter(cell for hand in hands for cell in hand).values()))
    result = Result(
        cells=cells,
        tenants=tenants,
        us_per_hand=seconds / tenants * 1e6,
        max_over_mean=float(slots.max() / slots.mean()),
        moved=moved / (tenants * _HAND),
        ideal_moved=1 / cells,
    )
    rows = [(name, f"{value:.4g}") for name, value in asdict(result).items()]
    report.table("placement", rows)
    found = balance.compare(cells=cells, tenants=tenants // 5, models=2 * tenants, requests=requests)
    head = ["placed", "find their model", "busiest cell to the mean", "hot models"]
    shown = [
        [one.placed, f"{one.hit_rate:.1%}", f"{one.max_over_mean:.3g}", str(one.hot_models)] for one in found
    ]
    report.grid(f"{requests:,} requests", head, shown)
    report.write_json(json, asdict(result) | {"balance": [asdict(one) for one in found]})
    return result
