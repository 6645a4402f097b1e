"""What the deal comes to, as text: for whoever deals in another language, and against a change of any hand.

`python tests/support/golden.py`, run from the repository's root, records an addition in
tests/sharding/golden.json. A value that changes means that every tenant is dealt anew by the next release:
none ever may.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from sharding.dealer import Dealer
from sharding.generation import Generation, Override, Seat, Share
from sharding.hashing import hash64, key64, pair64, score
from sharding.placement import cells_for, order
from sharding.ramp import point, which
from version_manager.map.records import encode

TENANTS = ("acme", "globex", "Zürich", "initech", "banks", "x")

# As long as there are golden hands, they were of this one.
FIRST = Generation(
    1, 7, 6, tuple(Seat(f"cell-{i:02}", f"zone-{i % 4}", 2.0 if i % 5 == 0 else 1.0) for i in range(16))
)
EVEN = Generation(2, 2**53 - 1, 4, tuple(Seat(f"cell-{i:03}", f"zone-{i % 4}") for i in range(64)))


def _uneven() -> Generation:
    zones = ["a"] * 5 + ["b"] * 3 + ["c"]
    seats = [Seat(f"c{i}", zone, 0.5 + i / 3) for i, zone in enumerate(zones)]
    return Generation(3, 0, 7, tuple(seats))


def _dedicated() -> Generation:
    owners = {3: "acme", 17: "acme", 21: "acme", 22: "banks", 40: "banks"}
    seats = tuple(replace(seat, dedicated=owners.get(i, "")) for i, seat in enumerate(EVEN.seats))
    rules = {
        "globex": Override(isolation_group="banks"),
        "initech": Override(isolation_group="banks", hand_size=1),
        "x": Override(hand_size=Share(10, 2)),
    }
    return replace(EVEN, number=5, seats=seats, overrides=rules, hand_size=Share(5, 2))


MAPS = {
    "zones and weights, a hand that ends inside a round": FIRST,
    "an even fleet": EVEN,
    "zones of different sizes, of which two run out": _uneven(),
    "draining seats, pins, excludes, sizes and groups": replace(
        FIRST,
        number=4,
        seats=tuple(replace(seat, draining=seat.cell in ("cell-01", "cell-07")) for seat in FIRST.seats),
        overrides={
            "acme": Override(pins=("cell-09", "cell-01", "cell-02")),
            "globex": Override(excludes=("cell-11", "cell-02"), hand_size=3),
            "Zürich": Override(isolation_group="banks"),
            "initech": Override(isolation_group="banks", hand_size=2),
            "x": Override(hand_size=Share(50)),
        },
    ),
    "dedicated seats and shares": _dedicated(),
}


def describe() -> dict[str, Any]:
    return {
        "hashes": [
            {"parts": parts, "seed": str(seed), "hash": f"{hash64(*parts, seed=seed):016x}"}
            for parts, seed in (
                (["acme"], 0),
                (["acme"], 7),
                (["ab", "c"], 0),
                (["a", "bc"], 0),
                (["Zürich", "模型"], 2**64 - 1),
                (["tenant", "acme"], 7),
                (["cell", "cell-00"], 7),
                (["x" * 128] * 3, 2**53 - 1),
            )
        ],
        "pairs": [
            {"left": left.hex(), "right": right.hex(), "hash": f"{pair64(left, right):016x}"}
            for left, right in (
                (key64("tenant", "acme", seed=7), key64("cell", "cell-00", seed=7)),
                (key64("tenant", "globex", seed=7), key64("cell", "cell-15", seed=7)),
                (bytes(8), bytes(8)),
                (b"\xff" * 8, b"\xff" * 8),
            )
        ],
        "scores": [
            {"hash": f"{h:016x}", "weight": weight, "score": score(h, weight)}
            for h, weight in (
                (0, 1.0),
                (2**63, 1.0),
                (2**64 - 1, 1.0),
                (0x123456789ABCDEF0, 2.5),
                (0x7E8CE1E98D284240, 2.0),
            )
        ],
        "sizes": [
            {"percent": percent, "min": least, "cells": cells, "size": Share(percent, least).of(cells)}
            for percent, least, cells in (
                (20, 4, 3),
                (20, 4, 20),
                (20, 4, 21),
                (5, 2, 59),
                (1, 1, 1),
                (100, 1, 9),
            )
        ],
        "maps": [_map(about, generation) for about, generation in MAPS.items()],
        "orders": [
            {
                "seed": str(7),
                "tenant": tenant,
                "model": model,
                "hand": hand,
                "order": order(hand, tenant, model, 7),
            }
            for tenant, model in (("acme", "churn"), ("globex", "churn"), ("Zürich", "模型"))
            for hand in [Dealer(FIRST).hand(tenant)]
        ],
        "ramps": [
            {"seed": str(EVEN.seed), "generation": number, "tenant": tenant, "point": point(active, tenant)}
            for number in (2, 5, 1_000)
            for active in [replace(EVEN, number=number)]
            for tenant in TENANTS
        ],
        "lookbacks": [_lookback(tenant, ramp) for tenant in TENANTS for ramp in (0, 5_000, 10_000)],
    }


def _map(about: str, generation: Generation) -> dict[str, Any]:
    dealer = Dealer(generation)
    return {
        "about": about,
        "map": json.loads(encode(generation)),
        "hands": {tenant: dealer.hand(tenant) for tenant in TENANTS},
    }


def _lookback(tenant: str, ramp: int) -> dict[str, Any]:
    """From the map of dedicated seats, generation 5, to the even one before it."""
    active, previous = Dealer(_dedicated()), Dealer(EVEN)
    return {
        "tenant": tenant,
        "model": "churn",
        "ramp": ramp,
        "deals": which(active, previous, ramp, tenant).generation.number,
        "cells": cells_for(active, previous, tenant, "churn", ramp),
    }


if __name__ == "__main__":
    text = json.dumps(describe(), indent=1, ensure_ascii=False) + "\n"
    (Path(__file__).parents[1] / "sharding/golden.json").write_text(text)
