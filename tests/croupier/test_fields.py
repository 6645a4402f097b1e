"""The first field of messages, joined; what is weighed and refused field by field: `test_weight`."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from croupier.errors import InvalidRequest
from croupier.fields import MAX_FIELDS, MalformedMessage, TooManyFields, join_first
from protos.prediction.v1 import prediction_pb2

# About where the length of a field takes another byte (protobuf's varints).
EDGES = [bytes(size) for size in (0, 1, 127, 128, 2**14 - 1, 2**14, 2**21)]


def by_protobuf(parts: list[bytes]) -> list[bytes]:
    """What protobuf's library reads of the joined message, whose first field it knows as messages."""
    joined = prediction_pb2.PredictResponse.FromString(join_first(parts))
    return [result.SerializeToString() for result in joined.results]


@given(st.lists(st.integers(0, 2**64 - 1), max_size=20))
def test_protobuf_reads_what_was_joined(versions: list[int]) -> None:
    parts = [prediction_pb2.Result(version=version).SerializeToString() for version in versions]
    assert by_protobuf(parts) == parts


@pytest.mark.parametrize("part", EDGES, ids=len)
def test_lengths_where_another_byte_is_needed(part: bytes) -> None:
    joined = join_first([part, b"", part])
    length = (max(len(part).bit_length(), 1) + 6) // 7
    assert len(joined) == 2 * (1 + length + len(part)) + 2
    assert joined[1 + length :].startswith(part)


def test_nothing_is_nothing() -> None:
    assert join_first([]) == b""


@pytest.mark.parametrize("parts", [None, [None], ["text"], [b"x", bytearray(b"x")], [b"x", None]])
def test_what_is_no_bytes_is_a_type_error(parts: object) -> None:
    with pytest.raises(TypeError):
        join_first(parts)  # type: ignore[arg-type]


def test_errors_are_the_callers_and_say_the_bound() -> None:
    many, bad = TooManyFields(7), MalformedMessage()
    assert isinstance(many, InvalidRequest)
    assert isinstance(bad, InvalidRequest)
    assert (many.message, many.reason) == ("the request has more than 7 fields", "TOO_MANY_FIELDS")
    assert f"{MAX_FIELDS:,}" in TooManyFields().message
    assert bad.reason == "MALFORMED_MESSAGE"
