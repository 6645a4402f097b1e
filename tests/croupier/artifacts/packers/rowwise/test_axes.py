"""Along any dimension but the batch: what each rule says is what ONNX Runtime does, or it refuses."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.rowwise_rules import LEARNED, Array, named, rows, shown

from croupier.artifacts.packers.rowwise import axes
from croupier.artifacts.packers.rowwise.node import Node
from croupier.artifacts.packers.rowwise.values import BATCH, Dependent, Fixed, Rows, Sizes

NONE = np.array([], np.int64)


def numbers(*given: int) -> Array:
    return np.array(given, np.int64)


ones = np.ones(3, np.float32)


@settings(max_examples=40)
@given(st.integers(0, 2), st.lists(st.integers(-3, 2), max_size=2), st.booleans(), st.booleans())
def test_a_reduction_is_what_it_is_said_to_be_or_takes_the_batch_in(
    batch: int, chosen: list[int], keeps: bool, does_nothing: bool
) -> None:
    value = rows(*(None if at == batch else at + 2 for at in range(3)))
    options = {"keepdims": int(keeps), "noop_with_empty_axes": int(does_nothing)}
    along = {axis % 3 for axis in chosen} or ({} if does_nothing else {0, 1, 2})
    if len({axis % 3 for axis in chosen}) < len(chosen):
        return
    if batch in along:
        with pytest.raises(Dependent, match="the batch"):
            shown("ReduceSum", value, numbers(*chosen), **options)
    else:
        shown("ReduceSum", value, numbers(*chosen), **options)


@pytest.mark.parametrize(
    ("operator", "given", "options", "dims"),
    [
        ("ReduceMax", [rows(None, 3)], {"axes": [-1]}, (None, 1)),
        ("ReduceMean", [rows(2, None, 3)], {"axes": [0, 2], "keepdims": 0}, (None,)),
        ("ReduceL2", [rows(2, None)], {"axes": [0], "keepdims": 0, "opset": 7}, (None,)),
        ("ArgMax", [rows(2, None)], {"keepdims": 0}, (None,)),
        ("ArgMin", [rows(None, 2)], {"axis": -1}, (None, 1)),
        ("Softmax", [rows(3, None)], {"axis": 0}, (3, None)),
        ("LogSoftmax", [rows(None, 2, 3)], {"axis": 1, "opset": 11}, (None, 2, 3)),
        ("Hardmax", [rows(None, 2, 3)], {"axis": 1, "opset": 13}, (None, 2, 3)),
        ("LpNormalization", [rows(None, 3)], {}, (None, 3)),
        ("CumSum", [rows(3, None), numbers(-2)], {}, (3, None)),
        ("LayerNormalization", [rows(None, 2, 3), ones], {}, (None, 2, 3)),
        ("BatchNormalization", [rows(None, 3), *[ones] * 4], {}, (None, 3)),
        ("InstanceNormalization", [rows(None, 3, 4), ones, ones], {}, (None, 3, 4)),
        ("LRN", [rows(None, 3, 2, 2)], {"size": 3}, (None, 3, 2, 2)),
        ("TopK", [rows(None, 3), numbers(2)], {"outputs": 2}, (None, 2)),
        ("TopK", [rows(3, None), numbers(1)], {"axis": 0, "outputs": 2}, (1, None)),
        ("Scaler", [rows(None, 3)], {"offset": [1.0] * 3, "scale": [2.0] * 3, "domain": LEARNED}, (None, 3)),
        ("Normalizer", [rows(None, 3)], {"norm": "L1", "domain": LEARNED}, (None, 3)),
        ("Imputer", [rows(None, 3)], {"imputed_value_floats": [1.0] * 3, "domain": LEARNED}, (None, 3)),
    ],
    ids=named,
)
def test_what_is_said_is_what_is_done(
    operator: str, given: list[Any], options: dict[str, Any], dims: tuple[int | None, ...]
) -> None:
    found = shown(operator, *given, **options)[0]
    assert isinstance(found, Rows)
    assert tuple(None if at == found.axis else size for at, size in enumerate(found.dims)) == dims


def test_tokens_of_a_row_are_counted_for_it_alone() -> None:
    options: dict[str, Any] = {
        "mode": "TF",
        "min_gram_length": 1,
        "max_gram_length": 1,
        "max_skip_count": 0,
        "ngram_counts": [0],
        "ngram_indexes": [0, 1],
        "pool_int64s": [0, 1],
    }
    assert shown("TfIdfVectorizer", rows(None, 4), whole=True, **options) == [Rows(0, (None, None))]
    with pytest.raises(Dependent, match="a row for each place"):
        shown("TfIdfVectorizer", rows(None), whole=True, **options)


@pytest.mark.parametrize(
    ("operator", "given", "options", "says"),
    [
        ("ReduceMax", [rows(None, 3)], {}, "all axes"),
        ("ReduceMax", [rows(None, 3), NONE], {"opset": 18}, "all axes"),
        ("ReduceMax", [rows(None, 3), rows(None)], {"opset": 18, "whole": True}, "computes its axes"),
        ("ReduceMax", [rows(None, 3)], {"axes": [-2]}, "axis 0, the batch"),
        ("ReduceMax", [rows(None, 3)], {"axes": [2]}, "no axis 2"),
        ("ArgMax", [rows(None, 3)], {}, "axis 0, the batch"),
        ("Softmax", [rows(3, None)], {}, "axis 1, the batch"),
        # Of old it flattens what comes behind.
        ("Softmax", [rows(2, None, 3)], {"axis": 1, "opset": 11}, "axis 1, the batch"),
        ("Softmax", [rows(2, 3, None)], {"axis": 1, "opset": 12}, "axis 2, the batch"),
        ("LpNormalization", [rows(3, None)], {}, "axis 1, the batch"),
        ("CumSum", [rows(None, 3), numbers(-2)], {}, "axis 0, the batch"),
        ("CumSum", [rows(None, 3)], {}, "does not say its axis"),
        ("LayerNormalization", [rows(None, 3), ones], {"axis": 0}, "axis 0, the batch"),
        ("LayerNormalization", [rows(2, None, 3), ones], {"axis": 1}, "axis 1, the batch"),
        ("LayerNormalization", [rows(2, 3, None), ones], {"axis": 1}, "axis 2, the batch"),
        ("LayerNormalization", [rows(None, 3), np.ones((2, 3), np.float32)], {}, "another scale"),
        ("LayerNormalization", [rows(None, 3), rows(None, 3)], {}, "from the request"),
        ("BatchNormalization", [rows(3, None), *[ones] * 4], {}, "no batch of channels|not given a batch"),
        ("BatchNormalization", [rows(None, 3), *[ones] * 4], {"training_mode": 1}, "of the batch"),
        ("BatchNormalization", [rows(None, 3), *[ones] * 4], {"outputs": 3}, "of the batch"),
        ("BatchNormalization", [rows(None, 3), ones, ones, rows(None), ones], {}, "from the request"),
        ("InstanceNormalization", [rows(3, None, 4), ones, ones], {}, "along the batch"),
        ("LRN", [rows(None, 3)], {"size": 3}, "along the batch"),
        ("TopK", [rows(None, 3), numbers(1)], {"axis": -2}, "axis 0, the batch"),
        ("TopK", [rows(None, 3), rows(None)], {"whole": True}, "computes its k"),
        ("Normalizer", [rows(None)], {"domain": LEARNED}, "a row for each place"),
        ("Scaler", [rows(3, None)], {"domain": LEARNED}, "a row for each place"),
    ],
    ids=named,
)
def test_what_would_mix_rows_is_refused(
    operator: str, given: list[Any], options: dict[str, Any], says: str
) -> None:
    with pytest.raises(Dependent, match=says):
        shown(operator, *given, **options)


def test_the_number_of_rows_is_not_reduced() -> None:
    sizes = Sizes(np.array([BATCH, 3], object))
    for rule in (axes.reduction, axes.arg, axes.softmax):
        with pytest.raises(Dependent, match="computes with the number of rows"):
            rule(Node("ReduceSum", 18, (sizes, Fixed.of(numbers(0)))))
        assert rule(Node("ReduceSum", 18, (Fixed.of(ones),)))[0] == Fixed(None)
