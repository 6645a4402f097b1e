"""What was learned meets rows, and no row another: as NumPy and ONNX Runtime multiply, in whatever place."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.rowwise_rules import LEARNED, Array, named, rows, shown

from croupier.artifacts.packers.rowwise import products
from croupier.artifacts.packers.rowwise.node import Node
from croupier.artifacts.packers.rowwise.values import BATCH, Dependent, Fixed, Rows, Sizes


def weights(*shape: int) -> Array:
    return np.random.default_rng(1).normal(size=shape).astype(np.float32)


@settings(max_examples=50)
@given(
    st.lists(st.sampled_from([2, 3]), min_size=1, max_size=3),
    st.integers(0, 2),
    st.integers(1, 3),
    st.booleans(),
)
def test_a_product_has_its_rows_where_they_are_said_to_be(
    dims: list[int], batch: int, rank: int, from_left: bool
) -> None:
    """Of rows of any rank and a matrix, a vector or a stack from either side: said, or refused."""
    at = batch % len(dims)
    value = rows(*(None if place == at else size for place, size in enumerate(dims)))
    summed = max(len(dims) - 2, 0) if from_left else len(dims) - 1
    size = dims[summed]
    other = weights(*((2, 4, 4)[3 - rank :]))
    shape = list(other.shape)
    shape[-1 if from_left else -min(2, rank)] = size
    if rank == 3 and len(dims) == 3 and at != 0:
        shape[0] = dims[0]
    other = weights(*shape)
    given = (other, value) if from_left else (value, other)
    if at == summed:
        with pytest.raises(Dependent, match=r"sums along axis \d, the batch"):
            shown("MatMul", *given)
    elif at == 0 and len(dims) == 3 and rank == 3:
        with pytest.raises(Dependent, match="another value for each place"):
            shown("MatMul", *given)
    else:
        (found,) = shown("MatMul", *given)
        assert isinstance(found, Rows)


@pytest.mark.parametrize(
    ("operator", "given", "options", "axis", "rank"),
    [
        ("MatMul", [rows(None, 2, 3), rows(None, 3, 4)], {}, 0, 3),
        ("Gemm", [rows(None, 3), weights(3, 2), weights(2)], {}, 0, 2),
        ("Gemm", [rows(None, 3), weights(2, 3)], {"transB": 1, "alpha": 0.5}, 0, 2),
        ("Gemm", [rows(3, None), weights(3, 2), rows(None, 1)], {"transA": 1}, 0, 2),
        ("Gemm", [weights(2, 3), rows(None, 3)], {"transB": 1}, 1, 2),
        ("CDist", [rows(None, 3), weights(4, 3)], {"domain": "com.microsoft"}, 0, 2),
        ("Conv", [rows(None, 2, 5), weights(4, 2, 3)], {}, 0, 3),
        ("ConvTranspose", [rows(None, 2, 5), weights(2, 1, 3)], {}, 0, 3),
        ("AveragePool", [rows(None, 2, 5)], {"kernel_shape": [2]}, 0, 3),
        ("GlobalMaxPool", [rows(None, 2, 5, 3)], {}, 0, 4),
        (
            "LinearRegressor",
            [rows(None, 3)],
            {"coefficients": [1.0] * 6, "targets": 2, "domain": LEARNED},
            0,
            2,
        ),
    ],
    ids=named,
)
def test_rows_stay_apart(
    operator: str, given: list[Any], options: dict[str, Any], axis: int, rank: int
) -> None:
    (found,) = shown(operator, *given, **options)
    assert isinstance(found, Rows)
    assert (found.axis, found.rank) == (axis, rank)


@pytest.mark.parametrize(
    ("operator", "hidden"), [("LSTM", 4), ("GRU", 3), ("RNN", 1)], ids=["LSTM", "GRU", "RNN"]
)
@pytest.mark.parametrize("has_state", [False, True])
def test_a_sequence_for_each_row(operator: str, hidden: int, has_state: bool) -> None:
    given = [rows(4, None, 3), weights(1, 2 * hidden, 3), weights(1, 2 * hidden, 2)]
    state = [None, None, rows(1, None, 2)] if has_state else []
    outputs = shown(operator, *given, *state, hidden_size=2, outputs=2)
    assert [(each.axis, each.rank) for each in outputs if isinstance(each, Rows)] == [(2, 4), (1, 3)]


def test_a_sequence_has_a_length_and_a_state_for_each_row() -> None:
    def begun(place: int, axis: int) -> None:
        dims = (2, 2, 2)[: axis + 1]
        given = [rows(4, None, 3), Fixed(None), Fixed(None), None, None, None, None]
        given[place] = Rows(axis, dims)
        products.recurrent(Node("LSTM", 17, tuple(given)))

    for place, axis in ((4, 0), (5, 1), (6, 1)):
        begun(place, axis)
        with pytest.raises(Dependent, match="not the rows' own"):
            begun(place, 1 - axis)


def test_a_classifier_gives_a_label_and_scores_for_each_row() -> None:
    options: dict[str, Any] = {
        "coefficients": [1.0, 2.0, -1.0, 0.5],
        "intercepts": [0.0, 0.1],
        "classlabels_ints": [4, 9],
        "multi_class": 0,
        "post_transform": "SOFTMAX",
    }
    label, scores = shown("LinearClassifier", rows(None, 2), domain=LEARNED, outputs=2, **options)
    assert label == Rows(0, (None,))
    assert scores == Rows(0, (None, None))


@pytest.mark.parametrize(
    ("operator", "given", "options", "says"),
    [
        ("MatMul", [rows(None), weights(2)], {}, "sums along axis 1, the batch"),
        ("MatMul", [rows(None, 3), rows(3, None)], {}, "along another dimension"),
        ("MatMul", [rows(None, 3), weights()], {}, "no matrix"),
        ("Gemm", [rows(None, 3), weights(3, 2), weights(3, 2)], {}, "another value for each place"),
        ("Gemm", [rows(None, 3), weights(3, 2)], {"transA": 1}, "sums along axis 1, the batch"),
        ("Gemm", [rows(None), weights(3, 2)], {"transA": 1}, "no matrix"),
        ("CDist", [rows(None, 3), rows(None, 3)], {"domain": "com.microsoft"}, "from the request"),
        ("Conv", [rows(2, None, 5), weights(4, 2, 3)], {}, "not given a batch"),
        ("Conv", [rows(None, 2, 5), rows(None, 2, 3)], {}, "from the request"),
        ("GlobalMaxPool", [rows(2, 3, None)], {}, "not given a batch"),
        ("LSTM", [rows(None, 4, 3), weights(1, 8, 3), weights(1, 8, 2)], {}, "in another place"),
        ("LSTM", [rows(4, None, 3), weights(1, 8, 3), weights(1, 8, 2)], {"layout": 1}, "in another place"),
        (
            "LSTM",
            [rows(4, None, 3), weights(1, 8, 3), weights(1, 8, 2), None, None, weights(1, 1, 2)],
            {},
            "not the rows' own",
        ),
        ("LinearRegressor", [rows(3, None)], {"domain": LEARNED}, "a row for each place"),
        ("TreeEnsembleClassifier", [rows(None)], {"domain": LEARNED}, "a row for each place"),
    ],
    ids=named,
)
def test_what_would_mix_rows_is_refused(
    operator: str, given: list[Any], options: dict[str, Any], says: str
) -> None:
    with pytest.raises(Dependent, match=says):
        shown(operator, *given, **options)


def test_matrices_of_which_nothing_is_known() -> None:
    value = rows(None, 3)
    for other, says in (
        (Fixed(None), "unknown shape"),
        (Sizes(np.array([BATCH], object)), "computes with the number of rows"),
    ):
        with pytest.raises(Dependent, match=says):
            products.matmul(Node("MatMul", 17, (value, other)))
    assert products.matmul(Node("MatMul", 17, (Fixed((2, 2)), Fixed((2, 2))))) == [Fixed(None)]


def test_places_that_a_pool_found_count_through_the_whole_tensor() -> None:
    """So its second output has no rule."""
    assert len(products.convolution(Node("MaxPool", 17, (rows(None, 2, 5),), outputs=2))) == 1
