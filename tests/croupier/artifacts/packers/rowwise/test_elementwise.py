"""Entry by entry: the batch stays where it is, and nothing else in the row's place differs by place."""

from typing import Any

import numpy as np
import pytest
from support.rowwise_rules import LEARNED, named, rows, shown

from croupier.artifacts.packers.rowwise import elementwise
from croupier.artifacts.packers.rowwise.node import Node
from croupier.artifacts.packers.rowwise.values import BATCH, Dependent, Drawn, Fixed, Rows, Sizes

WHOLE, FLOAT = 7, 1
row = np.arange(3, dtype=np.float32)
two = np.ones((2, 3), np.float32)
scale, zero = np.full(3, 0.5, np.float32), np.zeros(3, np.uint8)
one_scale, one_zero = np.float32(0.5), np.uint8(3)
no, yes = np.array(False), np.array(True)


@pytest.mark.parametrize(
    ("operator", "given", "options", "axis", "rank"),
    [
        ("Sigmoid", [rows(None, 3)], {}, 0, 2),
        ("Celu", [rows(2, None)], {}, 1, 2),
        ("Add", [rows(None, 3), row], {}, 0, 2),
        ("Sub", [row, rows(None, 3)], {}, 0, 2),
        ("Mul", [rows(None, 3), rows(None, 1)], {}, 0, 2),
        # Its batch is the second dimension from the right, and so it stays behind one more.
        ("Add", [rows(None, 3), np.ones((2, 1, 3), np.float32)], {}, 1, 3),
        ("Max", [rows(None, 3), row, np.float32(1)], {}, 0, 2),
        ("PRelu", [rows(None, 3), row], {}, 0, 2),
        ("Identity", [rows(None, 3)], {}, 0, 2),
        ("Cast", [rows(None, 3)], {"to": WHOLE}, 0, 2),
        ("Clip", [rows(None, 3), np.float32(-1), np.float32(1)], {}, 0, 2),
        ("Clip", [rows(None, 3), None, np.float32(1)], {}, 0, 2),
        ("Dropout", [rows(None, 3)], {"outputs": 2}, 0, 2),
        ("Dropout", [rows(None, 3), np.float32(0.9), no], {}, 0, 2),
        ("QuantizeLinear", [rows(None, 3), one_scale, one_zero], {}, 0, 2),
        ("QuantizeLinear", [rows(None, 3), scale, zero], {"axis": -1}, 0, 2),
        ("QuantizeLinear", [rows(3, None), scale, zero], {"axis": 0}, 1, 2),
        ("Binarizer", [rows(None, 3)], {"threshold": 0.1, "domain": LEARNED}, 0, 2),
        (
            "LabelEncoder",
            [rows(None, 3)],
            {"keys_int64s": [0, 1], "values_int64s": [7, 9], "domain": LEARNED, "whole": True},
            0,
            2,
        ),
    ],
    ids=named,
)
def test_rows_stay_where_they_are(
    operator: str, given: list[Any], options: dict[str, Any], axis: int, rank: int
) -> None:
    for found in shown(operator, *given, **options):
        assert isinstance(found, Rows)
        assert (found.axis, found.rank) == (axis, rank)


@pytest.mark.parametrize(
    ("operator", "given", "options", "says"),
    [
        ("Add", [rows(None, 3), two], {}, "another value for each place"),
        ("Add", [rows(None, 3), rows(3, None)], {}, "along another dimension"),
        ("Add", [rows(None), rows(None, 3)], {}, "along another dimension"),
        ("Clip", [rows(None, 3), rows(None)], {}, "from the request"),
        ("Dropout", [rows(None, 3), np.float32(0.5), yes], {}, "at random"),
        ("QuantizeLinear", [rows(3, None), scale, zero], {"axis": 1}, "for each place in the batch"),
        ("QuantizeLinear", [rows(3, None), scale, zero], {}, "for each place in the batch"),
        ("QuantizeLinear", [rows(None, 3), rows(None), zero], {}, "from the request"),
        ("QuantizeLinear", [rows(None, 3), two, zero], {"block_size": 2}, "by block"),
        ("Neg", [], {}, "has no input 0"),
    ],
    ids=named,
)
def test_what_differs_by_place_is_refused(
    operator: str, given: list[Any], options: dict[str, Any], says: str
) -> None:
    with pytest.raises(Dependent, match=says):
        shown(operator, *given, **options)


def test_whether_a_dropout_trains_has_to_be_known() -> None:
    for training in (Fixed(()), Rows(0, (None,)), Fixed.of(yes)):
        with pytest.raises(Drawn):
            elementwise.dropout(Node("Dropout", 13, (rows(None, 3), None, training)))


def test_the_number_of_rows_stays_a_whole_number() -> None:
    sizes = Sizes(np.array([BATCH], object))
    assert elementwise.cast(Node("Cast", 17, (sizes,), {"to": WHOLE})) == [sizes]
    assert elementwise.same(Node("Identity", 17, (sizes,))) == [sizes]
    for rule in (elementwise.cast, elementwise.unary, elementwise.binary, elementwise.clip):
        with pytest.raises(Dependent, match="computes with the number of rows"):
            rule(Node("Cast", 17, (sizes,), {"to": FLOAT}))


@pytest.mark.parametrize(
    ("given", "to", "kept"),
    [
        (np.array([3, -1], np.int32), WHOLE, [3, -1]),
        (np.array([3, -1], np.int64), FLOAT, None),
        # What a fraction becomes is the runtime's to say.
        (np.array([3.7], np.float32), WHOLE, None),
    ],
    ids=named,
)
def test_whole_numbers_that_are_fixed_stay_known(given: Any, to: int, kept: Any) -> None:
    (found,) = elementwise.cast(Node("Cast", 17, (Fixed.of(given),), {"to": to}))
    assert isinstance(found, Fixed)
    assert (None if found.value is None else found.value.tolist()) == kept
    assert found.dims == given.shape
