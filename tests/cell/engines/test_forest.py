"""Forests' sections: float64 rows against a plain twin, float32 rows against the library; hostile ones."""

import struct
from random import Random

import lightgbm
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.forests import Array, data, scored
from support.irregular_forests import irregular, rows_near
from support.natives import scored_by
from support.reference.forest import ForestReference

from cell.engines import ArtifactRefused
from cell.engines.forest import Forest
from croupier.artifacts.packers.forest import pack_forest

ZERO_IS_MISSING, CATEGORICAL, WIDE, REMAINDERS = 2, 4, 8, 16


@pytest.mark.parametrize("kind", [0, WIDE, WIDE | REMAINDERS])
@pytest.mark.parametrize("other", [0, ZERO_IS_MISSING, CATEGORICAL, ZERO_IS_MISSING | CATEGORICAL])
def test_any_forest_compares_as_the_real_numbers_do(kind: int, other: int) -> None:
    random = Random(kind + other)
    for _ in range(40):
        section = irregular(random, kind | other)
        forest, twin = Forest(section), ForestReference(section)
        rows = rows_near(random, 12)
        with np.errstate(over="ignore"):
            expected = np.array([twin.sums_of(row) for row in rows]).astype(np.float32)
        np.testing.assert_array_equal(scored_by(forest, rows), expected)


@pytest.mark.parametrize("flags", [0, WIDE, WIDE | CATEGORICAL, WIDE | ZERO_IS_MISSING | CATEGORICAL])
def test_float32_rows_are_answered_the_same_when_they_come_as_float64(flags: int) -> None:
    random = Random(flags)
    for _ in range(20):
        forest = Forest(irregular(random, flags))
        rows = rows_near(random, 12).astype(np.float32)
        np.testing.assert_array_equal(scored_by(forest, rows.astype(np.float64)), scored_by(forest, rows))


def with_remainder(remainder: int) -> bytes:
    """A section of which the first remainder is another."""
    section = bytearray(irregular(Random(3), WIDE | REMAINDERS))
    trees, nodes = struct.unpack_from("<2I", section, 16)
    assert nodes > trees
    at = len(section) - (2 * (nodes - trees) + 7) // 8 * 8
    struct.pack_into("<I", section, at, remainder)
    return bytes(section)


@pytest.mark.parametrize(
    ("section", "says"),
    [
        (irregular(Random(1), REMAINDERS), "compared as float32"),
        (irregular(Random(1), 64), "unknown flags"),
        (with_remainder(2**29), "more than a step"),
        (irregular(Random(3), WIDE | REMAINDERS) + bytes(4), "do not fill"),
        (irregular(Random(3), WIDE | REMAINDERS)[:-4], "do not fill"),
    ],
    ids=["narrow", "unknown", "remainder", "long", "short"],
)
def test_flags_and_remainders_that_cannot_be(section: bytes, says: str) -> None:
    with pytest.raises(ArtifactRefused, match=says):
        Forest(section)


def test_the_largest_remainder_is_one() -> None:
    assert Forest(with_remainder(2**29 - 1)).wide


def forest(nodes: list[tuple[float, int, int]], roots: tuple[int, ...] = (), features: int = 2) -> bytes:
    """A section by hand, of one group of trees; `roots` without the first and the last."""
    bounds = [0, *roots, len(nodes)]
    header = struct.pack(
        "<HBB9I2dQ", 1, 0, 0, 0, features, 1, len(bounds) - 1, len(nodes), 0, 0, 0, 0, 1.0, 1.0, 0
    )
    parts = [struct.pack(f"<{len(bounds)}I", *bounds), struct.pack("<2I", 0, len(bounds) - 1)]
    body = struct.pack("<d", 0.5) + b"".join(part + bytes(-len(part) % 8) for part in parts)
    return header + body + b"".join(struct.pack("<fHH", *node) for node in nodes)


def test_a_section_written_by_hand_from_the_documentation() -> None:
    native = Forest(forest([(1.0, 1 | 0x8000, 1), (10.0, 0, 0), (20.0, 0, 0), (3.0, 0, 0)], roots=(3,)))
    rows = np.array([[0, 1], [0, 1.5], [0, np.nan]], np.float32)
    out = np.empty((3, 1), np.float32)
    native.score_into(rows, out)
    assert out[:, 0].tolist() == [13.5, 23.5, 23.5]


@pytest.mark.parametrize(
    ("section", "says"),
    [
        (forest([(1.0, 0, 1), (1.0, 0, 0)]), "child outside"),
        (forest([(1.0, 0, 2), (1.0, 0, 0), (1.0, 0, 0)], roots=(1,)), "child outside"),
        (forest([(1.0, 2, 0)]), "feature that is none"),
        (forest([(float("nan"), 0, 1), (1.0, 0, 0), (1.0, 0, 0)]), "not a number"),
        (forest([(1.0, 0, 0)], roots=(1,)), "out of order"),
        (forest([(1.0, 0, 0)], features=0), "impossible number"),
    ],
)
def test_a_forest_that_would_read_elsewhere(section: bytes, says: str) -> None:
    with pytest.raises(ArtifactRefused, match=says):
        Forest(section)


@settings(max_examples=25)
@given(st.integers(0, 2**32 - 1), st.integers(2, 40), st.integers(1, 8), st.booleans())
def test_any_trained_forest_answers_as_its_library(seed: int, leaves: int, rounds: int, zeros: bool) -> None:
    random = np.random.default_rng(seed)
    trained = data(seed, rows=120, zeros=0.2, missing=0.1)
    options = {"num_leaves": leaves, "min_data_in_leaf": 1, "verbose": -1, "num_threads": 1}
    options |= {"zero_as_missing": zeros, "objective": "poisson" if seed % 2 else "regression"}
    sets = lightgbm.Dataset(trained, np.abs(random.normal(size=120)), params={"verbose": -1})
    booster = lightgbm.train(options, sets, rounds)
    rows: Array = data(seed + 1, rows=100, zeros=0.2, missing=0.2)
    found = scored(pack_forest(booster), rows)["value"][:, 0]
    np.testing.assert_allclose(found, booster.predict(rows, num_threads=1), rtol=1e-6, atol=1e-6)
