"""The golden vectors: what this code deals, and what one deals who knows the manual alone.

`Plain` is a second dealer, made from docs/sharding.md and the JSON of a map: nothing of `sharding` is in it.
"""

import json
import math
from pathlib import Path
from typing import Any

import pytest
from support.golden import describe
from xxhash import xxh3_64_intdigest

GOLDEN: dict[str, Any] = json.loads((Path(__file__).parent / "golden.json").read_text())


def test_nothing_has_changed() -> None:
    """If this fails, every tenant would be dealt other cells by the next release."""
    assert json.loads(json.dumps(describe())) == GOLDEN


def hashed(parts: list[str], seed: int) -> int:
    return xxh3_64_intdigest("\0".join(parts).encode(), seed)


def paired(left: int, right: int) -> int:
    return xxh3_64_intdigest(left.to_bytes(8, "big") + right.to_bytes(8, "big"))


def scored(h: int, weight: float) -> float:
    return -math.log(((h >> 12) + 0.5) / 2**52) / weight


def sized(size: Any, cells: int) -> int:
    if isinstance(size, int):
        return size
    return min(cells, max(size["min"], math.ceil(cells * size["percent"] / 100)))


class Plain:
    def __init__(self, map: dict[str, Any]) -> None:
        self.map = map
        self.active = [seat for seat in map["seats"] if not seat["draining"]]
        self.owners = {seat.get("dedicated", "") for seat in map["seats"]} - {""}

    def hand(self, tenant: str) -> list[str]:
        rule = self.map["overrides"].get(tenant, {})
        name = tenant if tenant in self.owners else rule.get("isolation_group") or tenant
        owner = name if name in self.owners else ""
        pool = [seat for seat in self.active if seat.get("dedicated", "") == owner]
        pins = rule.get("pins", [])
        if pins:
            size = len(pins)
        elif rule.get("hand_size"):
            size = sized(rule["hand_size"], len(pool))
        else:
            size = len(pool) if owner else sized(self.map["hand_size"], len(pool))
        hand = [pin for pin in pins if pin in [seat["cell"] for seat in self.active]]
        free = [seat for seat in pool if seat["cell"] not in [*hand, *rule.get("excludes", [])]]
        return (hand + self.rounds(name, free))[:size]

    def rounds(self, name: str, seats: list[dict[str, Any]]) -> list[str]:
        seed = self.map["seed"]
        key = hashed(["tenant", name], seed)
        zones: dict[str, list[tuple[float, str]]] = {}
        for seat in seats:
            h = paired(key, hashed(["cell", seat["cell"]], seed))
            zones.setdefault(seat["zone"], []).append((scored(h, seat["weight"]), seat["cell"]))
        ranked = [sorted(zone) for zone in zones.values()]
        dealt = []
        for rank in range(len(seats)):
            dealt += [cell for _, cell in sorted(zone[rank] for zone in ranked if rank < len(zone))]
        return dealt


def ordered(hand: list[str], tenant: str, model: str, seed: int) -> list[str]:
    key = hashed(["model", tenant, model], seed).to_bytes(8, "big")
    return sorted(hand, key=lambda cell: (xxh3_64_intdigest(key + cell.encode()), cell))


@pytest.mark.parametrize("one", GOLDEN["maps"], ids=lambda one: one["about"])
def test_hands(one: dict[str, Any]) -> None:
    plain = Plain(one["map"])
    assert {tenant: plain.hand(tenant) for tenant in one["hands"]} == one["hands"]


def test_hashes_and_scores() -> None:
    for one in GOLDEN["hashes"]:
        assert f"{hashed(one['parts'], int(one['seed'])):016x}" == one["hash"]
    for one in GOLDEN["pairs"]:
        assert f"{paired(int(one['left'], 16), int(one['right'], 16)):016x}" == one["hash"]
    for one in GOLDEN["scores"]:
        assert scored(int(one["hash"], 16), one["weight"]) == pytest.approx(one["score"], rel=1e-12)


def test_sizes_orders_and_ramps() -> None:
    for one in GOLDEN["sizes"]:
        assert sized(one, one["cells"]) == one["size"]
    for one in GOLDEN["orders"]:
        assert ordered(one["hand"], one["tenant"], one["model"], int(one["seed"])) == one["order"]
    for one in GOLDEN["ramps"]:
        h = hashed(["ramp", one["tenant"], str(one["generation"])], int(one["seed"]))
        assert h % 10_000 == one["point"]


def test_lookbacks() -> None:
    maps = {one["about"]: Plain(one["map"]) for one in GOLDEN["maps"]}
    active, previous = maps["dedicated seats and shares"], maps["an even fleet"]
    points = {one["tenant"]: one["point"] for one in GOLDEN["ramps"] if one["generation"] == 5}
    for one in GOLDEN["lookbacks"]:
        tenant, model = one["tenant"], one["model"]
        is_taken = points[tenant] < one["ramp"]
        dealer, other = (active, previous) if is_taken else (previous, active)
        assert one["deals"] == (5 if is_taken else 2)
        hand, seed = dealer.hand(tenant), dealer.map["seed"]
        rest = [cell for cell in other.hand(tenant) if cell not in hand]
        assert ordered(hand, tenant, model, seed) + ordered(rest, tenant, model, seed) == one["cells"]
