"""Linear models' sections: what is scored, against plain Python, and what is refused."""

import math
import struct
from random import Random

import numpy as np
import pytest
from support.natives import scored_by
from support.reference.linear import LinearReference, random_linear

from cell.engines import ArtifactRefused
from cell.engines.linear import Linear


def magnitude(reference: LinearReference, row: list[float]) -> float:
    """What is added, all of it as if above 0: the bound of what rounding can do is a share of that."""
    terms = [*reference.intercept]
    terms += [
        value * each for value, by_sum in zip(row, reference.coefficients, strict=True) for each in by_sum
    ]
    terms += [each for table in reference.categories.values() for _, added in table for each in added]
    return sum(map(abs, terms))


@pytest.mark.parametrize("seed", range(40))
def test_any_model_gives_the_sums_of_plain_python(seed: int) -> None:
    random = Random(seed)
    written = random_linear(random)
    section = written.pack()
    reference, model = LinearReference.read(section), Linear(section)
    assert reference == written
    assert (model.features, model.columns) == (len(written.coefficients), len(written.intercept))
    pool = [value / 8 for value in range(-17, 18)] + [0.1, -0.0, 1e-30, 3.75e7]
    rows = [[random.choice(pool) for _ in range(model.features)] for _ in range(20)]
    for dtype in (np.float64, np.float32):
        given = np.array(rows, dtype)
        for row, found in zip(given.tolist(), scored_by(model, given).tolist(), strict=True):
            expected = [float(each) for each in reference.sums_of(row)]
            # Of float64 sums to the nearest float32.
            bound = 1e-14 * magnitude(reference, row)
            assert found == pytest.approx(expected, rel=2**-24, abs=bound + 2**-149)


def test_it_computes_in_float64_from_float64_rows() -> None:
    # As float32 the two are the same.
    rows = np.array([[123456789.0], [123456788.0]])
    model = Linear(LinearReference([0.25], [[1.0]], {}).pack())
    assert scored_by(model, rows - 123456000).ravel().tolist() == [789.25, 788.25]
    np.testing.assert_array_equal(scored_by(model, rows)[:, 0], (rows[:, 0] + 0.25).astype(np.float32))
    assert model.wide


def test_categories_are_float32_and_the_rows_need_not_be() -> None:
    model = Linear(LinearReference([0.25], [[1.0]], {0: [(0.1, [10.0]), (0.5, [11.0])]}).pack())
    rows = np.array([[0.1], [np.float32(0.1)], [0.5], [np.nan]])
    expected = rows[:, 0] + 0.25 + [0, 10, 11, 0]
    np.testing.assert_array_equal(scored_by(model, rows)[:, 0], expected.astype(np.float32))
    np.testing.assert_array_equal(scored_by(model, rows[1:]), scored_by(model, rows[1:].astype(np.float32)))


def test_labels_are_the_first_of_the_greatest_sums() -> None:
    several = Linear(LinearReference([0.0, 0.0, 0.0], [[1.0, 1.0, -1.0]], {}).pack())
    one = Linear(LinearReference([0.0], [[1.0]], {}).pack())
    rows = np.array([[2.0], [-2.0], [0.0], [np.nan]], np.float32)
    for model, expected in ((several, [0, 2, 0, 0]), (one, [1, 0, 0, 0])):
        labels = np.full(4, -1)
        model.score_into(rows, np.empty((4, model.columns), np.float32), labels)
        assert labels.tolist() == expected


def test_values_that_are_no_numbers_are_no_category_and_stay_in_their_row() -> None:
    model = Linear(LinearReference([1.0], [[1.0], [1.0]], {1: [(-math.inf, [5.0]), (2.0, [7.0])]}).pack())
    rows = np.array([[0, np.nan], [np.inf, 2.0], [0, -np.inf], [0, 2.0]], np.float32)
    np.testing.assert_array_equal(scored_by(model, rows)[:, 0], np.float32([np.nan, np.inf, -np.inf, 10.0]))


HEADER = ["version", "transformation", "zero", "flags", "features", "sums", "encoded", "categories", "p"]


def section(**header: int) -> bytes:
    """Two features, the second with three categories; its header says other than what follows."""
    categories = [(float(value), [1.0]) for value in range(3)]
    whole = LinearReference([0.0], [[1.0], [2.0]], {1: categories}).pack()
    told = dict(zip(HEADER, struct.unpack_from("<HBB5Id", whole), strict=True)) | header
    return struct.pack("<HBB5Id", *told.values()) + whole[32:]


def with_place(index: int, feature: int, first: int) -> bytes:
    whole = bytearray(section())
    # Behind the header, an intercept, two coefficients and three contributions.
    struct.pack_into("<2I", whole, 32 + 8 * 6 + 8 * index, feature, first)
    return bytes(whole)


@pytest.mark.parametrize(
    ("section", "says"),
    [
        (b"", "too short"),
        (section()[:31], "too short"),
        (section(version=2), "unknown version"),
        (section(flags=2), "unknown flags"),
        (section(zero=1), "unknown flags"),
        (section(transformation=10), "unknown transformation"),
        (section(features=0), "impossible number"),
        (section(features=32_769), "impossible number"),
        (section(sums=0), "impossible number"),
        (section(sums=65_536), "impossible number"),
        (section(flags=1, sums=2), "pair of outputs has one sum"),
        (section(categories=2**32 - 1), "do not fill"),
        (section(encoded=2**32 - 1), "do not fill"),
        (section(features=32_768, sums=65_535, encoded=2**32 - 1, categories=2**32 - 1), "do not fill"),
        (section()[:-1], "do not fill"),
        (section() + bytes(4), "do not fill"),
        (section(flags=4), "transform"),
        (with_place(0, 2, 0), "a feature that is none"),
        (with_place(0, 1, 1), "do not fill its categories"),
        (with_place(1, 0, 2), "do not fill its categories"),
        (with_place(1, 0, 2**32 - 1), "do not fill its categories"),
    ],
)
def test_a_section_that_would_read_elsewhere_is_refused(section: bytes, says: str) -> None:
    with pytest.raises(ArtifactRefused, match=says):
        Linear(section)


def test_encoded_features_out_of_order_are_refused() -> None:
    whole = bytearray(LinearReference([0.0], [[1.0]] * 2, {0: [(1.0, [1.0])], 1: [(2.0, [1.0])]}).pack())
    struct.pack_into("<2I", whole, 32 + 8 * 5 + 8, 1, 3)
    with pytest.raises(ArtifactRefused, match="out of order"):
        Linear(bytes(whole))


def test_categories_in_any_order_are_searched_within_their_bounds() -> None:
    """A search among values that do not ascend finds some or none, and reads nothing else."""
    for values in ([3.0, 1.0, 2.0], [math.nan] * 3, [1.0, 1.0, 1.0], [math.inf, math.nan, -math.inf]):
        model = Linear(LinearReference([0.0], [[0.0]], {0: [(value, [1.0]) for value in values]}).pack())
        rows = np.array([[1.0], [2.0], [3.0], [9.0]])
        assert set(scored_by(model, rows)[:, 0].tolist()) <= {0.0, 1.0}
