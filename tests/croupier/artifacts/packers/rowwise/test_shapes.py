"""What moves entries: one row stays one row, in the dimension that is said, as ONNX Runtime moves them."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnxruntime.capi.onnxruntime_pybind11_state import Fail, RuntimeException
from support.rowwise_rules import LEARNED, Array, named, rows, shown

from croupier.artifacts.packers.rowwise import shapes
from croupier.artifacts.packers.rowwise.node import Node
from croupier.artifacts.packers.rowwise.operators import RULES
from croupier.artifacts.packers.rowwise.values import BATCH, Dependent, Fixed, Rows, Sizes, Value

NONE = np.array([], np.int64)


def numbers(*given: int) -> Array:
    return np.array(given, np.int64)


def sizes(*given: Any) -> Sizes:
    return Sizes(np.array(given, object))


table = np.arange(12, dtype=np.float32).reshape(4, 3)


@settings(max_examples=40)
@given(st.permutations(range(3)), st.integers(0, 2))
def test_turned_any_way(order: list[int], batch: int) -> None:
    value = rows(*(None if at == batch else at + 2 for at in range(3)))
    (found,) = shown("Transpose", value, perm=order)
    assert isinstance(found, Rows)
    assert order[found.axis] == batch


@settings(max_examples=60)
@given(st.lists(st.sampled_from([-1, 0, 1, 2, 3, 6]), min_size=1, max_size=4), st.integers(0, 2))
def test_a_reshape_is_what_it_is_said_to_be_or_refused(target: list[int], batch: int) -> None:
    dims = [2, 3]
    dims.insert(batch, None)  # type: ignore[arg-type]
    try:
        shown("Reshape", rows(*dims), numbers(*target))
    except Dependent:
        # Rows that lie one after another, and what keeps them so, are understood.
        assert batch or target not in ([0, -1], [-1, 6], [0, 6], [-1, 2, 3], [0, 0, 0], [1, -1, 6])
    except (Fail, RuntimeException):
        # With any number of rows, so none are mixed.
        assert target not in ([0, -1], [-1, 6], [0, 6])


@settings(max_examples=40)
@given(st.integers(-4, 4), st.integers(-4, 4), st.sampled_from([-2, -1, 1, 2]), st.sampled_from([0, 1, -1]))
def test_a_part_is_as_long_as_it_is_said_to_be(start: int, end: int, step: int, axis: int) -> None:
    given = rows(None, 4), numbers(start), numbers(end), numbers(axis), numbers(step)
    if axis == 0:
        with pytest.raises(Dependent, match="the batch"):
            shown("Slice", *given)
    else:
        (found,) = shown("Slice", *given)
        assert isinstance(found, Rows)
        assert found.dims[1] == len(range(4)[start:end:step])


@settings(max_examples=40)
@given(st.integers(0, 2), st.integers(-3, 3))
def test_flattened_before_any_axis(batch: int, axis: int) -> None:
    dims = [1, 3]
    dims.insert(batch, None)  # type: ignore[arg-type]
    try:
        (found,) = shown("Flatten", rows(*dims), axis=axis)
    except Dependent as error:
        assert "mixes the batch" in str(error)  # noqa: PT017 (it may also be understood)
    else:
        assert isinstance(found, Rows)


BESIDE, CODES = {"inputdimensions": [2, 1]}, {"cats_int64s": [0, 1, 5]}
KEPT: list[tuple[str, list[Any], dict[str, Any], tuple[int | None, ...]]] = [
    ("Squeeze", [rows(1, None, 1, 3), numbers(0, -2)], {}, (None, 3)),
    ("Squeeze", [rows(1, None)], {"axes": [0], "opset": 11}, (None,)),
    ("Unsqueeze", [rows(3, None), numbers(0, -1)], {}, (1, 3, None, 1)),
    ("Unsqueeze", [rows(3, None)], {"axes": [1], "opset": 11}, (3, 1, None)),
    ("Concat", [rows(None, 3), rows(None, 2)], {"axis": -1}, (None, 5)),
    ("Concat", [rows(2, None), rows(1, None)], {"axis": 0}, (3, None)),
    ("Split", [rows(None, 5), numbers(2, 3)], {"axis": 1, "outputs": 2}, (None, 2)),
    ("Split", [rows(4, None)], {"axis": 0, "outputs": 2}, (None, None)),
    ("Slice", [rows(None, 3), numbers(0), numbers(2**63 - 1), numbers(1)], {}, (None, 3)),
    ("Gather", [rows(None, 3), numbers(2, 0)], {"axis": 1}, (None, 2)),
    ("Gather", [rows(3, None), np.array(1)], {"axis": 0}, (None,)),
    ("Gather", [rows(3, None), np.array([[0], [2]])], {"axis": 0}, (2, 1, None)),
    ("Gather", [table, rows(None, 2)], {"axis": 0, "whole": True}, (None, 2, 3)),
    ("Gather", [table, rows(None)], {"axis": 1, "whole": True}, (4, None)),
    ("GatherElements", [rows(None, 2), rows(None, 3)], {"axis": 1, "whole": True}, (None, 3)),
    ("ArrayFeatureExtractor", [rows(None, 3), numbers(2, 0)], {"domain": LEARNED}, (None, 2)),
    ("ArrayFeatureExtractor", [table[0], rows(None, 1)], {"domain": LEARNED, "whole": True}, (1, None)),
    ("Expand", [rows(None, 1), numbers(2, 1, 3)], {}, (2, None, 3)),
    ("Tile", [rows(None, 3), numbers(1, 2)], {}, (None, 6)),
    ("Pad", [rows(None, 3), numbers(0, 1, 0, 2)], {}, (None, 6)),
    ("Pad", [rows(None, 3), numbers(0, -1, 0, 0)], {"mode": "edge"}, (None, 2)),
    ("Pad", [rows(None, 3), numbers(2, 0), None, numbers(-1)], {"opset": 18, "mode": "reflect"}, (None, 5)),
    ("OneHot", [rows(None), numbers(3), numbers(0, 1)], {"whole": True}, (None, None)),
    ("OneHot", [rows(None), numbers(3), numbers(0, 1)], {"axis": 0, "whole": True}, (None, None)),
    ("OneHotEncoder", [rows(None, 2)], {**CODES, "domain": LEARNED, "whole": True}, (None, 2, None)),
    ("FeatureVectorizer", [rows(None, 2), rows(None, 1)], {**BESIDE, "domain": LEARNED}, (None, None)),
    ("SpaceToDepth", [rows(None, 1, 2, 4)], {"blocksize": 2}, (None, None, None, None)),
]  # fmt: skip


@pytest.mark.parametrize(("operator", "given", "options", "dims"), KEPT, ids=named)
def test_what_is_said_is_what_is_done(
    operator: str, given: list[Any], options: dict[str, Any], dims: tuple[int | None, ...]
) -> None:
    found = shown(operator, *given, **options)[0]
    assert isinstance(found, Rows)
    assert tuple(None if at == found.axis else size for at, size in enumerate(found.dims)) == dims


MIXED: list[tuple[str, list[Any], dict[str, Any], str]] = [
    ("Squeeze", [rows(None, 1)], {}, "where it is one row"),
    # ONNX Runtime drops all that is 1, as if there were no axes at all.
    ("Squeeze", [rows(None, 1, 3), NONE], {}, "where it is one row"),
    ("Squeeze", [rows(None, 1), numbers(0)], {}, "the batch"),
    ("Concat", [rows(None, 3), rows(None, 3)], {"axis": 0}, "the batch"),
    ("Concat", [rows(None, 3), table], {"axis": 1}, "what is none of them"),
    ("Concat", [rows(None, 3), rows(3, None)], {"axis": 1}, "what is none of them"),
    ("Split", [rows(None, 3)], {"outputs": 2}, "the batch"),
    ("Slice", [rows(None, 3), rows(None), numbers(1)], {}, "computes its starts"),
    ("Slice", [rows(None, 3), numbers(0, 0), numbers(1, 1)], {}, "the batch"),
    ("Gather", [rows(None, 3), numbers(0)], {}, "the batch"),
    ("Gather", [rows(None, 3), rows(None)], {"axis": 1}, "other rows"),
    ("GatherElements", [rows(None, 3), rows(None, 3)], {"axis": 0}, "the batch"),
    ("GatherElements", [rows(None, 3), rows(3, None)], {"axis": 1}, "other rows"),
    ("ArrayFeatureExtractor", [rows(None), numbers(0)], {"domain": LEARNED}, "the batch"),
    ("ArrayFeatureExtractor", [table[0], rows(None, 2)], {"domain": LEARNED}, "other rows"),
    ("Expand", [rows(None, 1), numbers(2, 3)], {}, "another value for each place"),
    ("Tile", [rows(None, 3), numbers(2, 1)], {}, "repeats rows"),
    ("Tile", [rows(None, 3), rows(None)], {}, "how often"),
    ("Pad", [rows(None, 3), numbers(1, 0, 0, 0)], {}, "the batch"),
    ("Pad", [rows(None, 3), numbers(0, 0, -1, 0)], {}, "the batch"),
    ("Pad", [rows(None, 3), numbers(1, 1)], {}, "how much"),
    ("OneHot", [rows(None), rows(None), numbers(0, 1)], {}, "from the request"),
    ("FeatureVectorizer", [rows(None, 2), rows(2, None)], {"domain": LEARNED}, "a row for each place"),
    ("DepthToSpace", [rows(4, None, 2, 2)], {"blocksize": 2}, "a batch of pictures"),
    ("Transpose", [table], {}, "takes no rows"),
]  # fmt: skip


@pytest.mark.parametrize(("operator", "given", "options", "says"), MIXED, ids=named)
def test_what_would_mix_rows_is_refused(
    operator: str, given: list[Any], options: dict[str, Any], says: str
) -> None:
    with pytest.raises(Dependent, match=says):
        shown(operator, *given, **options)


@pytest.mark.parametrize("end", [None, 0, 1, 2, 5, -1])
@pytest.mark.parametrize("start", [None, 0, 1, 2, -1, -5])
def test_a_part_of_a_shape(start: int | None, end: int | None) -> None:
    """Of rows, of what is fixed, and of a shape itself, which is told by the same rule."""
    options = {name: value for name, value in (("start", start), ("end", end)) if value is not None}
    shown("Shape", rows(None, 3), **options)
    (fixed,) = shown("Shape", table, **options)
    assert isinstance(fixed, Fixed)
    assert fixed.value is not None
    assert fixed.value.tolist() == list((4, 3)[start if start is not None else 0 : end])
    (found,) = shapes.shape(Node("Shape", 17, (sizes(BATCH, 3),), options))
    assert isinstance(found, Fixed)
    assert found.value is not None
    assert found.value.tolist() == [2][start if start is not None else 0 : end]


def value_of(operator: str, *given: Value, **attributes: Any) -> Value:
    (found,) = RULES["", operator](Node(operator, 17, given, attributes))
    return found


def entries(value: Value) -> list[Any]:
    assert isinstance(value, Sizes)
    return list(value.entries.ravel())


def test_the_number_of_rows_goes_into_shapes_and_nowhere_else() -> None:
    own = sizes(BATCH, 3)
    zero, three = Fixed.of(numbers(0)), Fixed.of(numbers(3))
    assert entries(value_of("Gather", own, zero)) == [BATCH]
    assert value_of("Gather", own, Fixed.of(numbers(1))) == Fixed.of(numbers(3))
    assert entries(value_of("Concat", sizes(BATCH), three, axis=0)) == [BATCH, 3]
    assert entries(value_of("Slice", own, zero, Fixed.of(numbers(1)))) == [BATCH]
    assert entries(value_of("Squeeze", sizes(BATCH), zero)) == [BATCH]
    assert entries(value_of("Unsqueeze", value_of("Squeeze", sizes(BATCH), zero), zero)) == [BATCH]
    assert entries(value_of("Reshape", sizes(BATCH), Fixed.of(numbers(1, 1)))) == [BATCH]
    assert value_of("Reshape", rows(None, 6), sizes(BATCH, 2, -1)) == Rows(0, (None, 2, 3))
    assert value_of("Expand", Fixed((1, 3)), own) == Rows(0, (None, 3))
    assert value_of("ConstantOfShape", own) == Rows(0, (None, 3))
    assert value_of("ConstantOfShape", three) == Fixed((3,))
    assert value_of("Tile", Fixed((1, 3)), sizes(BATCH, 2)) == Rows(0, (None, 6))


@pytest.mark.parametrize(
    ("operator", "given", "options", "says"),
    [
        ("Reshape", [Fixed.of(table), sizes(BATCH, 1)], {}, "no row of its own"),
        ("Reshape", [rows(None, 3), sizes(None, 3)], {}, "mixes the batch"),
        ("Reshape", [rows(None, 3), sizes(BATCH, BATCH)], {}, "mixes the batch"),
        ("Reshape", [rows(None, 3), sizes(3, BATCH)], {}, "mixes the batch"),
        ("Reshape", [rows(3, None), sizes(BATCH, 3)], {}, "before the batch"),
        ("Reshape", [sizes(BATCH), sizes(BATCH)], {}, "the number of rows"),
        ("Reshape", [rows(None, 3), Fixed((2,))], {}, "computes the shape"),
        ("Expand", [Fixed.of(table), sizes(BATCH, 3)], {}, "another value for each place"),
        ("Expand", [rows(None, 3), sizes(BATCH, 1, 3)], {}, "along another dimension"),
        ("Expand", [sizes(BATCH), Fixed.of(numbers(3))], {}, "computes the shape"),
        ("ConstantOfShape", [Fixed((2,))], {}, "computes the shape"),
        ("ConstantOfShape", [sizes(BATCH, BATCH)], {}, "along another dimension"),
        ("Tile", [Fixed((2, 3)), sizes(BATCH, 1)], {}, "another value for each place"),
        ("Concat", [sizes(BATCH), Fixed(None)], {"axis": 0}, "the number of rows"),
        ("Gather", [Fixed.of(table), sizes(BATCH)], {}, "the number of rows"),
        ("Slice", [rows(None, 3), sizes(BATCH), Fixed.of(numbers(3))], {}, "computes its starts"),
    ],
    ids=named,
)  # fmt: skip
def test_shapes_that_mix_rows_are_refused(
    operator: str, given: list[Value], options: dict[str, Any], says: str
) -> None:
    with pytest.raises(Dependent, match=says):
        value_of(operator, *given, **options)
