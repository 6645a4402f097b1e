"""What the native reader takes from the router's own fields; protobuf is the judge."""

from __future__ import annotations

from typing import Any

import pytest
from google.protobuf.descriptor import FieldDescriptor
from hypothesis import given
from hypothesis import strategies as st

from cell.codec.fence import Fence
from cell.codec.plain import STALE, Plain, read_infer, read_items, who_at_end
from protos.inference.v2 import inference_pb2
from protos.prediction.v1 import prediction_pb2
from router import envelope

OWNERS = st.integers(0, 2**64 - 1)


def infer(owner: int = 0) -> inference_pb2.ModelInferRequest:
    request = inference_pb2.ModelInferRequest(artifact=bytes(32), owner=owner)
    request.inputs.add(name="x", datatype="FP32", shape=[1, 1]).contents.fp32_contents.append(1.0)
    return request


def item(owner: int = 0) -> prediction_pb2.Item:
    return prediction_pb2.Item(artifact=bytes(32), owner=owner, row=prediction_pb2.Row(values=[1.0]))


@given(OWNERS)
def test_the_owner_is_read(owner: int) -> None:
    plain = read_infer(infer(owner).SerializeToString())
    assert plain is not None
    assert plain.owner == owner
    (read,) = read_items(prediction_pb2.PredictRequest(items=[item(owner)]).SerializeToString(), 1) or []
    assert isinstance(read, Plain)
    assert read.owner == owner


@given(OWNERS, OWNERS)
def test_the_last_owner_wins(claimed: int, written: int) -> None:
    """A router writes behind whatever a caller sent."""
    suffix = inference_pb2.ModelInferRequest(owner=written).SerializeToString()
    sent = infer(claimed).SerializeToString() + suffix
    plain = read_infer(sent)
    assert plain is not None
    assert plain.owner == inference_pb2.ModelInferRequest.FromString(sent).owner


@pytest.mark.parametrize("tag", [b"\xc8\x3e\x01", b"\xca\x3e\x081234567\n", b"\xcd\x3e1234"])
def test_an_owner_in_another_form_is_left_to_protobuf(tag: bytes) -> None:
    """A varint, bytes and four bytes of field 1001: no owner, by the standard."""
    sent = infer(5).SerializeToString() + tag
    assert inference_pb2.ModelInferRequest.FromString(sent).owner == 5
    assert read_infer(sent) is None


VALUES: dict[int, Any] = {
    FieldDescriptor.TYPE_STRING: "x",
    FieldDescriptor.TYPE_BYTES: bytes(32),
    FieldDescriptor.TYPE_FIXED64: 5,
    FieldDescriptor.TYPE_UINT32: 1,
    FieldDescriptor.TYPE_UINT64: 1,
    FieldDescriptor.TYPE_BOOL: True,
}


@pytest.mark.parametrize("sent", [infer(), item()], ids=lambda sent: sent.DESCRIPTOR.name)
def test_a_request_with_all_that_an_encoder_writes_is_plain(sent: Any) -> None:
    """Each field of one value. One that is not known here would take the slow way, with the same answer."""
    for field in sent.DESCRIPTOR.fields:
        if field.message_type is None and not field.is_repeated:
            setattr(sent, field.name, VALUES[field.type])
            assert isinstance(read(sent), Plain), f"{field.name} is not read natively"


def read(sent: Any) -> Any:
    if isinstance(sent, inference_pb2.ModelInferRequest):
        return read_infer(sent.SerializeToString())
    [found] = read_items(prediction_pb2.PredictRequest(items=[sent]).SerializeToString(), 1) or [None]
    return found


@pytest.mark.parametrize("sent", [infer(7), prediction_pb2.PredictRequest(items=[item(5), item(7)])])
def test_the_owner_of_the_whole_message_is_its_last_field(sent: Any) -> None:
    message = sent.SerializeToString()
    assert who_at_end(message) == (0, 7)
    for other in (b"", message[-9:], message[:-1], message + b"\x1a\x00", message[:-10]):
        assert who_at_end(other) != (0, 7)


def test_the_generation_stands_behind_the_owner() -> None:
    one = infer(7)
    one.generation = 9
    many = prediction_pb2.PredictRequest(items=[item(5), item(7)])
    many.items[1].generation = 9
    for sent in (one, many):
        message: bytes = sent.SerializeToString()
        assert who_at_end(message) == who_at_end(message[:-10]) == (0, 7)
        for other in (message[-19:], message[-10:], message[:-1], message + b"\x1a\x00"):
            assert who_at_end(other) == (0, 0)


@pytest.mark.parametrize("resident_only", [False, True])
@pytest.mark.parametrize("generation", [0, 9])
@pytest.mark.parametrize("priority", range(5))
@given(OWNERS)
def test_marks_stand_behind_the_owner_and_the_generation(
    priority: int, generation: int, resident_only: bool, owner: int
) -> None:
    """Whatever the owner's own bytes look like, which may be as a mark does."""
    marks = envelope.marks(priority, resident_only)
    suffix = envelope.owner_field(owner) + envelope.generation_field(generation) + marks
    one = infer().SerializeToString() + suffix
    other = prediction_pb2.PredictRequest(items=[item(5)]).SerializeToString()
    for message in (one, other + _record(1, item().SerializeToString() + suffix)):
        assert who_at_end(message) == (priority, owner)
    plain = read_infer(one)
    assert plain is not None
    assert (plain.owner, plain.priority, plain.resident_only) == (owner, priority, resident_only)


@pytest.mark.parametrize("later", [5, 127])
def test_a_priority_that_a_later_release_has_is_the_lowest_known(later: int) -> None:
    suffix = envelope.owner_field(7) + b"\xe8\x3e" + bytes([later])
    assert who_at_end(infer().SerializeToString() + suffix) == (4, 7)


@pytest.mark.parametrize("ending", [b"\xe8\x3e\x04", b"\xf0\x3e\x01", b"\xd9\x3e\x04"])
def test_an_owner_that_ends_as_a_mark_does_is_one(ending: bytes) -> None:
    owner = int.from_bytes(b"12345"[: 8 - len(ending)] + ending, "little")
    message = infer(owner).SerializeToString()
    assert who_at_end(message) == (0, owner)


@pytest.mark.parametrize("tail", [b"", b"\xe8\x3e\x04", b"\xf0\x3e\x01", b"\xe8\x3e\x04\xf0\x3e\x01"])
def test_marks_without_an_owner_say_nothing(tail: bytes) -> None:
    for message in (tail, b"\x1a\x00" + tail):
        assert who_at_end(message) == (0, 0)


@given(st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1))
def test_numbers_of_any_size_are_read_as_protobuf_reads_them(priority: int, flag: int) -> None:
    suffix = b"\xe8\x3e" + _varint(priority) + b"\xf0\x3e" + _varint(flag)
    sent = inference_pb2.ModelInferRequest.FromString(infer().SerializeToString() + suffix)
    plain = read_infer(infer().SerializeToString() + suffix)
    [one] = read_items(_record(1, item().SerializeToString() + suffix), 1) or []
    for read in (plain, one):
        assert isinstance(read, Plain)
        assert (read.priority, read.resident_only) == (sent.priority, sent.resident_only)


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])


@given(OWNERS, OWNERS, OWNERS)
def test_what_the_fence_keeps_out_is_not_plain(claimed: int, written: int, floor: int) -> None:
    """The last number counts, as protobuf reads it: a router writes behind whatever a caller sent."""
    fence = Fence()
    fence.hear("manager", floor, 0)
    suffix = inference_pb2.ModelInferRequest(generation=written).SerializeToString()
    sent = inference_pb2.ModelInferRequest(generation=claimed).SerializeToString()
    message = infer().SerializeToString() + sent + suffix
    number = inference_pb2.ModelInferRequest.FromString(message).generation
    plain = read_infer(message, fence)
    assert plain is not None
    assert (plain is STALE) == fence.refuses(number) == (0 < number < floor)
    assert plain is STALE or plain.generation == number

    one = item().SerializeToString() + sent + suffix
    assert prediction_pb2.Item.FromString(one).generation == number
    [read] = read_items(_record(1, one), 1, fence) or []
    assert isinstance(read, bytes) == fence.refuses(number)
    assert isinstance(read, bytes) or read.generation == number


def _record(number: int, value: bytes) -> bytes:
    """A field with up to 16,383 bytes."""
    return bytes([number << 3 | 2, len(value) & 0x7F | 0x80, len(value) >> 7]) + value


@pytest.mark.parametrize("inside", [5, 4])
def test_a_part_of_very_many_fields_is_left_to_protobuf(inside: int) -> None:
    """Those of a request that are no more than an encoder writes are read; no more are looked at."""
    for count, is_plain in ((400, True), (520, False)):
        sent = infer().SerializeToString()
        names = b"".join(_record(1, b"x") for _ in range(count))
        if inside == 5:
            contents = infer().inputs[0].SerializeToString()
            sent = inference_pb2.ModelInferRequest(artifact=bytes(32)).SerializeToString()
            sent += _record(5, names + contents)
        else:
            sent += _record(4, names)
        assert inference_pb2.ModelInferRequest.FromString(sent).inputs[0].name == "x"
        assert (read_infer(sent) is not None) is is_plain


def test_an_item_of_very_many_fields_is_left_to_protobuf() -> None:
    many = item().SerializeToString() + b"\x1a\x00" * 512
    sent = _record(1, many) + prediction_pb2.PredictRequest(items=[item()]).SerializeToString()
    first, second = read_items(sent, 2) or []
    assert first == many
    assert isinstance(second, Plain)
