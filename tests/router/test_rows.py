import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.fields import loose_fields

from croupier.fetched import ENTITY_INPUT
from croupier.fields import MalformedMessage
from protos.inference.v2 import inference_pb2
from router.rows import rows_of

Request = inference_pb2.ModelInferRequest
numbers = st.one_of(st.integers(-(2**63), 2**63 - 1), st.integers(0, 64))
names = st.text(max_size=4) | st.just(ENTITY_INPUT)
tensors = st.builds(Request.InferInputTensor, name=names, shape=st.lists(numbers, max_size=3))


def twin(data: bytes) -> int:
    """What protobuf's library reads."""
    inputs = Request.FromString(data).inputs
    seen = [one for one in inputs if one.name != ENTITY_INPUT] or inputs[-1:]
    rows = seen[0].shape[0] if seen and seen[0].shape else 1
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


@pytest.mark.parametrize("is_named_last", [False, True])
def test_who_says_whose_rows_they_are_pays_for_all_of_them(is_named_last: bool) -> None:
    """No cell looks at the shape of what no model sees."""
    name, shape = Request.InferInputTensor(name=ENTITY_INPUT), Request.InferInputTensor(shape=[1])
    parts = (shape, name) if is_named_last else (name, shape)
    entities = b"".join(part.SerializeToString() for part in parts)
    first = b"\x2a" + bytes([len(entities)]) + entities
    rows = Request(
        inputs=[Request.InferInputTensor(name="x", shape=[99, 3])], raw_input_contents=[bytes(100)]
    )
    assert rows_of(first + rows.SerializeToString()) == 99
