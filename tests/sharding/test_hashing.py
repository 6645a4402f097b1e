"""Golden values: a hash that changes deals every tenant a new hand, so no change may slip through."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sharding.dealer import Dealer
from sharding.generation import Generation, Seat
from sharding.hashing import hash64, key64, pair64, score
from sharding.placement import order

u64 = st.integers(0, 2**64 - 1)


@pytest.mark.parametrize(
    ("parts", "seed", "golden"),
    [
        (("acme",), 0, 0x44AD98655D8858E1),
        (("acme",), 7, 0xEF1717656A72B1C8),
        (("ab", "c"), 0, 0x6E8E5EA3E8F78B4D),
        (("a", "bc"), 0, 0xFB326F94D972279F),
        (("Zürich", "模型"), 2**64 - 1, 0xDD715414EA7D9A68),
    ],
)
def test_golden_hashes(parts: tuple[str, ...], seed: int, golden: int) -> None:
    assert golden == hash64(*parts, seed=seed)
    assert golden == int.from_bytes(key64(*parts, seed=seed), "big")


def test_golden_pair() -> None:
    assert pair64(key64("tenant", "acme", seed=7), key64("cell", "cell-00", seed=7)) == 0x7E8CE1E98D284240


@pytest.mark.parametrize(
    ("tenant", "hand", "ordered"),
    [
        ("acme", "07 01 04 10 13 15", "10 04 01 07 15 13"),
        ("globex", "11 02 12 13 15 06", "15 13 12 02 06 11"),
        ("Zürich", "15 08 01 14 13 12", "14 01 13 12 08 15"),
    ],
)
def test_golden_hands(tenant: str, hand: str, ordered: str) -> None:
    seats = tuple(Seat(f"cell-{i:02}", f"zone-{i % 4}", 2.0 if i % 5 == 0 else 1.0) for i in range(16))
    dealer = Dealer(Generation(1, 7, 6, seats))
    assert tuple(f"cell-{n}" for n in hand.split()) == dealer.hand(tenant)
    assert tuple(f"cell-{n}" for n in ordered.split()) == order(dealer.hand(tenant), tenant, "churn", 7)


@pytest.mark.parametrize(
    ("h", "weight", "golden"),
    [
        (0, 1.0, 53 * math.log(2)),
        (2**63, 1.0, math.log(2)),
        (2**64 - 1, 1.0, 2.0**-53),
        (0x123456789ABCDEF0, 2.5, 1.057404671985856),
    ],
)
def test_golden_scores(h: int, weight: float, golden: float) -> None:
    assert score(h, weight) == pytest.approx(golden, rel=1e-12)


@given(u64, st.floats(0.001, 1000))
def test_a_score_is_positive_and_falls_with_the_weight(h: int, weight: float) -> None:
    assert math.isfinite(score(h, weight))
    assert score(h, weight) > score(h, weight * 2) > 0


@given(u64, u64)
def test_a_larger_hash_never_scores_worse(one: int, other: int) -> None:
    low, high = sorted((one, other))
    assert score(high, 1.0) <= score(low, 1.0)


plain = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))


@given(st.lists(plain, min_size=1), st.lists(plain, min_size=1))
def test_different_parts_are_never_joined_alike(one: list[str], other: list[str]) -> None:
    assert (one == other) == (hash64(*one) == hash64(*other))


def test_hashes_fill_the_range_evenly() -> None:
    count = 20_000
    bits = [0] * 64
    for i in range(count):
        h = pair64(key64("tenant", str(i)), key64("cell", "a"))
        for bit in range(64):
            bits[bit] += h >> bit & 1
    sigma = math.sqrt(count) / 2
    assert max(abs(n - count / 2) for n in bits) < 5 * sigma
