import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.fields import loose_fields

from croupier.fields import MalformedMessage
from protos.inference.v2 import inference_pb2
from router.rows import rows_of

Request = inference_pb2.ModelInferRequest
numbers = st.one_of(st.integers(-(2**63), 2**63 - 1), st.integers(0, 64))
tensors = st.builds(Request.InferInputTensor, name=st.text(max_size=4), shape=st.lists(numbers, max_size=3))


def twin(data: bytes) -> int:
    """What protobuf's library reads."""
    inputs = Request.FromString(data).inputs
    rows = inputs[0].shape[0] if inputs and inputs[0].shape else 1
    return max(1, min(rows, len(data)))


@given(st.lists(tensors, max_size=3), st.binary(max_size=100))
def test_it_is_the_first_number_of_the_first_shape(
    inputs: list[Request.InferInputTensor], raw: bytes
) -> None:
    data = Request(model_name="churn", inputs=inputs, raw_input_contents=[raw]).SerializeToString()
    assert rows_of(data) == twin(data)


def test_a_shape_may_come_in_parts_packed_and_not() -> None:
    packed = lambda *numbers: bytes([0x1A, len(numbers), *numbers])  # noqa: E731
    for shape in (packed(7, 3), packed() + packed(7), b"\x18\x07", packed() + b"\x18\x07" + packed(3)):
        tensor = b"\x0a\x01x" + shape
        data = b"\x2a" + bytes([len(tensor)]) + tensor + b"\x3a\x10" + bytes(16)
        assert rows_of(data) == twin(data) == 7


@pytest.mark.parametrize("rows", [-(2**63), -1, 0, 2**62])
def test_none_has_more_rows_than_bytes_whatever_it_says(rows: int) -> None:
    data = Request(inputs=[Request.InferInputTensor(shape=[rows])]).SerializeToString()
    assert rows_of(data) == (1 if rows < 1 else len(data))


@given(loose_fields())
def test_of_whatever_bytes_it_reads_what_protobuf_does(data: bytes) -> None:
    try:
        found = rows_of(data)
    except MalformedMessage:
        return
    try:
        expected = twin(data)
    except Exception:  # noqa: BLE001 - it looks at what stands behind, too
        return
    assert found == expected
