"""Recomputable models: every sum is exact, versions always differ, and who answers what can be told."""

from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from croupier_bench.classes import RequestClass
from croupier_bench.models import Models, distinct_rows, drawn, key_of

FEATURES = [1, 2, 3, 20, 63, 64, 65, 500, 4_096, 32_768]


def models(features: int = 20, seed: int = 1, **told: object) -> Models:
    return Models(RequestClass("a", features=features, models=100, **told), seed)  # type: ignore[arg-type]


@pytest.mark.parametrize("features", FEATURES)
def test_sums_are_exact_in_any_order_and_in_float32(features: int) -> None:
    made = models(features)
    weights, row = made.weights(3), made.rows[1]
    products = [int(weight * value) for weight, value in zip(weights, row, strict=True)]
    exact = int(made.intercept(3, 1)) + sum(products)
    assert float(made.answers(3, 1)[1]) == exact
    for seed in range(3):
        shuffled = [made.intercept(3, 1), *products]
        Random(seed).shuffle(shuffled)
        narrow = np.float32(0)
        for each in shuffled:
            narrow += np.float32(each)
        assert float(narrow) == exact


@pytest.mark.parametrize("features", FEATURES)
def test_no_sum_can_be_too_large_for_that(features: int) -> None:
    """Whatever is drawn: the largest of each."""
    made = models(features)
    weight, value = 2**made._weight_bits, 2**made._row_bits - 1
    assert features * weight * value + 2**23 < 2**24
    assert (np.abs(made.weights(0)) <= weight).all()
    assert made.rows.min() >= 0
    assert made.rows.max() <= value


def test_numbers_are_spread() -> None:
    made = models(500)
    weights = np.concatenate([made.weights(index) for index in range(20)])
    largest = 2**made._weight_bits
    assert abs(weights.mean()) < largest / 20
    assert weights.std() == pytest.approx(largest / 3**0.5, rel=0.05)
    assert len(np.unique(made.rows, axis=0)) == len(made.rows)


@settings(max_examples=50)
@given(st.integers(0, 99), st.integers(1, 2**63 - 1), st.integers(1, 2**20))
def test_versions_differ_in_every_answer(model: int, version: int, apart: int) -> None:
    made = models(3)
    assert (made.answers(model, version) != made.answers(model, version + apart)).all()


def test_models_tenants_and_seeds_differ() -> None:
    one, other = models(20, tenants=10), models(20, seed=2, tenants=10)
    answers = {one.answers(index, 1).tobytes() for index in range(100)}
    answers |= {other.answers(index, 1).tobytes() for index in range(100)}
    assert len(answers) == 200


def test_the_same_again() -> None:
    assert models().answers(7, 3).tobytes() == models().answers(7, 3).tobytes()
    # As they were when the first results were verified by them.
    assert models().intercept(7, 3) == models().intercept(7, 3)
    assert key_of(1, "a", "b") != key_of(1, "ab", "")


def test_whose_answer_it_is() -> None:
    made = models(20, tenants=10)
    for index, version in ((0, 1), (57, 1), (99, 4)):
        value = float(made.answers(index, version)[5])
        assert made.whose(made.rows[5], value, [1, 4], 1000) == [(index, version)]
        assert made.whose(made.rows[5], value, [1, 4], index) == []
        assert made.whose(made.rows[5], value + 0.5, [1, 4], 1000) == []
    assert made.whose(made.rows[5], float("nan"), [1], 1000) == []


def test_rows_are_fewer_where_they_are_large() -> None:
    assert distinct_rows(RequestClass("a")) == 256
    assert distinct_rows(RequestClass("a", rows=1_000, features=1_000)) == 4
    assert distinct_rows(RequestClass("a", rows=1, features=32_768)) == 128


def test_splitmix_is_as_published() -> None:
    """The first numbers of SplitMix64 of the seed 1234567, as its reference gives them."""
    assert drawn(1234567, 3).tolist() == [6457827717110365317, 3203168211198807973, 9817491932198370423]
    columns = drawn(np.array([[1234567], [7]], np.uint64), 3)
    assert columns[0].tolist() == drawn(1234567, 3).tolist()
    assert columns[1].tolist() == drawn(7, 3).tolist()
