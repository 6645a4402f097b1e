"""Float64 rows in the native engines: against a plain twin, and in one call with float32 rows."""

import struct
from random import Random
from typing import Any

import numpy as np
import pytest
from support.forests import Array
from support.irregular_forests import FEATURES, irregular, value_near
from support.reference.forest import ForestReference

from cell.engines import ArtifactRefused
from cell.engines.forest import Forest
from cell.engines.linear import Linear
from cell.engines.native import Native, score_joined

ZERO_IS_MISSING, CATEGORICAL, WIDE, REMAINDERS = 2, 4, 8, 16


def scored(model: Native, rows: Array) -> Array:
    out = np.empty((len(rows), model.columns), np.float32)
    model.score_into(np.ascontiguousarray(rows), out)
    return out


def near(random: Random, count: int) -> Array:
    return np.array([[value_near(random) for _ in range(FEATURES)] for _ in range(count)])


@pytest.mark.parametrize("kind", [0, WIDE, WIDE | REMAINDERS])
@pytest.mark.parametrize("other", [0, ZERO_IS_MISSING, CATEGORICAL, ZERO_IS_MISSING | CATEGORICAL])
def test_any_forest_compares_as_the_real_numbers_do(kind: int, other: int) -> None:
    random = Random(kind + other)
    for _ in range(40):
        section = irregular(random, kind | other)
        forest, twin = Forest(section), ForestReference(section)
        rows = near(random, 12)
        with np.errstate(over="ignore"):
            expected = np.array([twin.sums_of(row) for row in rows]).astype(np.float32)
        np.testing.assert_array_equal(scored(forest, rows), expected)


@pytest.mark.parametrize("flags", [0, WIDE, WIDE | CATEGORICAL, WIDE | ZERO_IS_MISSING | CATEGORICAL])
def test_float32_rows_are_answered_the_same_when_they_come_as_float64(flags: int) -> None:
    random = Random(flags)
    for _ in range(20):
        forest = Forest(irregular(random, flags))
        rows = near(random, 12).astype(np.float32)
        np.testing.assert_array_equal(scored(forest, rows.astype(np.float64)), scored(forest, rows))


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


def linear(categories: list[float]) -> bytes:
    """Of one feature: 0.25, plus its value, plus 10 and more for the categories."""
    head = struct.pack("<HBB 5I d", 1, 0, 0, 0, 1, 1, 1, len(categories), 1.0)
    numbers = [0.25, 1.0, *(10.0 + place for place in range(len(categories)))]
    head += struct.pack(f"<{len(numbers)}d", *numbers) + struct.pack("<4I", 0, 0, 0, len(categories))
    return head + struct.pack(f"<{len(categories)}f", *categories)


def test_a_linear_model_computes_in_float64_from_float64_rows() -> None:
    # As float32 the two are the same.
    rows = np.array([[123456789.0], [123456788.0]])
    model = Linear(linear([]))
    assert scored(model, rows - 123456000).ravel().tolist() == [789.25, 788.25]
    np.testing.assert_array_equal(scored(model, rows)[:, 0], (rows[:, 0] + 0.25).astype(np.float32))
    assert model.wide


def test_categories_of_a_linear_model_are_float32_and_the_rows_need_not_be() -> None:
    model = Linear(linear([np.float32(0.1), 0.5]))
    rows = np.array([[0.1], [np.float32(0.1)], [0.5], [np.nan]])
    expected = rows[:, 0] + 0.25 + [0, 10, 11, 0]
    np.testing.assert_array_equal(scored(model, rows)[:, 0], expected.astype(np.float32))
    np.testing.assert_array_equal(scored(model, rows[1:]), scored(model, rows[1:].astype(np.float32)))


def test_one_call_scores_float64_and_float32_rows() -> None:
    """Rows of either kind; those of float64 begin at a multiple of 8 bytes."""
    random = Random(5)
    models: list[Any] = [
        Forest(irregular(random, flags)) for flags in (0, WIDE, WIDE | REMAINDERS) for _ in range(6)
    ]
    models += [Linear(linear([0.5]))] * 2
    random.shuffle(models)
    wide = [random.random() < 0.5 for _ in models]
    counts = [random.randrange(4) for _ in models]
    rows, expected = bytearray(), []
    for model, is_wide, count in zip(models, wide, counts, strict=True):
        each = near(random, count).reshape(count, FEATURES)[:, : model.features]
        each = np.ascontiguousarray(each, np.float64 if is_wide else np.float32)
        rows += bytes(-len(rows) % 8 if is_wide else 0) + each.tobytes()
        expected += scored(model, each).ravel().tolist()
    out, labels = np.empty(len(expected), np.float32), np.full(sum(counts), -1)
    score_joined(models, counts, np.frombuffer(rows, np.uint8), out, labels, wide)
    np.testing.assert_array_equal(out, np.array(expected, np.float32))
    assert set(labels.tolist()) == {0, 1}
    whole = memoryview(b"1234567" + rows)[7:]
    bad: list[tuple[Any, ...]] = [
        (rows, wide[1:]),
        (rows, [not each for each in wide]),
        (rows + bytes(8), wide),
        (rows[:-4], wide),
    ]
    if np.frombuffer(whole, np.uint8).ctypes.data % 8:
        bad.append((whole, wide))
    for buffer, flags in bad:
        with pytest.raises(ValueError, match=r"rows|widths|buffers|bytes"):
            score_joined(models, counts, buffer, out, labels, flags)


def test_any_array_of_float64_is_scored_as_such() -> None:
    """Also one that lies where no float64 lies, or in another order; other numbers are narrowed."""
    forest = Forest(irregular(Random(8), WIDE | REMAINDERS))
    rows = near(Random(1), 40)
    expected = scored(forest, rows)
    shifted = np.frombuffer(b"1" + rows.tobytes(), np.uint8)[1:].view(np.float64).reshape(rows.shape)
    for same in (rows, shifted, np.asfortranarray(rows), rows.astype(">f8"), rows[::-1][::-1]):
        np.testing.assert_array_equal(forest.score({"input": same}, ["value"])["value"], expected)
    narrow = rows.astype(np.float32)
    assert (scored(forest, narrow) != expected).any()
    for same in (narrow, np.asfortranarray(narrow)):
        np.testing.assert_array_equal(
            forest.score({"input": same}, ["value"])["value"], scored(forest, narrow)
        )
