from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from cell.codec.contents import from_raw, from_typed, has_typed_form, to_raw, to_typed
from croupier.artifacts.datatypes import DATATYPES
from croupier.errors import InvalidRequest
from protos.inference.v2 import inference_pb2 as pb


@st.composite
def tensors(draw: st.DrawFn) -> tuple[str, Any]:
    datatype = draw(st.sampled_from(sorted(DATATYPES)))
    count = draw(st.integers(0, 8))
    if datatype == "BYTES":
        elements = draw(st.lists(st.text(max_size=5), min_size=count, max_size=count))
        array = np.empty(count, dtype=np.object_)
        array[:] = elements
        return datatype, array
    return datatype, draw(hnp.arrays(DATATYPES[datatype], count))


@given(tensors())
def test_raw_there_and_back(tensor: tuple[str, Any]) -> None:
    datatype, array = tensor
    again = from_raw(to_raw(array, datatype), datatype, len(array), "f")
    np.testing.assert_array_equal(array, again)
    assert again.dtype == array.dtype


@given(tensors().filter(lambda tensor: has_typed_form(tensor[0])))
def test_typed_there_and_back(tensor: tuple[str, Any]) -> None:
    datatype, array = tensor
    again = from_typed(to_typed(array, datatype), datatype, len(array), "f")
    np.testing.assert_array_equal(array, again)
    assert again.dtype == array.dtype


@given(st.binary(max_size=40), st.sampled_from(sorted(DATATYPES)), st.integers(0, 10))
def test_any_bytes_give_elements_or_an_invalid_request(data: bytes, datatype: str, count: int) -> None:
    with suppress(InvalidRequest):
        assert from_raw(data, datatype, count, "f").shape == (count,)


def test_bytes_have_their_length_in_four_little_endian_bytes() -> None:
    array = np.array(["ab", "é"], dtype=np.object_)
    assert to_raw(array, "BYTES") == b"\x02\0\0\0ab\x02\0\0\0\xc3\xa9"


def test_bytes_elements_may_be_bytes() -> None:
    assert to_raw(np.array([b"\xff"], dtype=np.object_), "BYTES") == b"\x01\0\0\0\xff"


@pytest.mark.parametrize(
    ("data", "count"),
    [
        (b"\x02\0\0\0ab", 2),
        (b"\x02\0\0\0ab\0", 1),
        (b"\x05\0\0\0ab", 1),
        (b"\xff\xff\xff\xffab", 1),
        (b"\x04\0\0\0abcd\0\0", 2),
        (b"\x01\0\0\0\xff", 1),
        (b"", 1_000_000_000),
    ],
)
def test_bytes_that_lie(data: bytes, count: int) -> None:
    with pytest.raises(InvalidRequest):
        from_raw(data, "BYTES", count, "f")


def test_a_raw_boolean_is_true_for_any_byte_but_zero() -> None:
    assert from_raw(b"\0\x01\x07", "BOOL", 3, "f").tolist() == [False, True, True]


def test_the_wrong_typed_field() -> None:
    contents = pb.InferTensorContents(fp64_contents=[1.0])
    with pytest.raises(InvalidRequest, match="fp32_contents, not fp64_contents"):
        from_typed(contents, "FP32", 1, "f")


def test_too_few_typed_elements() -> None:
    with pytest.raises(InvalidRequest, match="has 1 elements; the shape says 2"):
        from_typed(pb.InferTensorContents(fp32_contents=[1.0]), "FP32", 2, "f")


def test_fp16_has_no_typed_form() -> None:
    with pytest.raises(InvalidRequest, match="raw_input_contents only"):
        from_typed(pb.InferTensorContents(), "FP16", 0, "f")


@pytest.mark.parametrize(("datatype", "value"), [("INT8", 128), ("INT16", -32769), ("INT8", -129)])
def test_small_integers_out_of_range(datatype: str, value: int) -> None:
    with pytest.raises(InvalidRequest, match="does not fit"):
        from_typed(pb.InferTensorContents(int_contents=[value]), datatype, 1, "f")


def test_text_that_is_no_text() -> None:
    with pytest.raises(InvalidRequest, match="UTF-8"):
        from_typed(pb.InferTensorContents(bytes_contents=[b"\xff"]), "BYTES", 1, "f")
