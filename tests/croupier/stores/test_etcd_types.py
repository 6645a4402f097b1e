import pytest
from hypothesis import given
from hypothesis import strategies as st

from croupier.errors import InvalidRequest
from croupier.stores.etcd_types import (
    Compare,
    Delete,
    KeyValue,
    Put,
    decode_key,
    decode_pair,
    encode_compare,
    encode_key,
    encode_op,
    prefix_range,
)
from protos.etcd.v3 import rpc_pb2 as pb

# Few different bytes, so that prefixes hit and their upper ends carry.
_bytes = st.lists(st.sampled_from([0x00, 0x01, 0x61, 0x62, 0xFE, 0xFF]), max_size=6).map(bytes)


def _is_in_range(key: bytes, start: bytes, end: bytes) -> bool:
    """What etcd's API says of `key` and `range_end`."""
    return key >= start and (end == b"\0" or key < end)


@given(prefix=_bytes, key=_bytes.filter(len))
def test_range_holds_exactly_the_keys_with_the_prefix(prefix: bytes, key: bytes) -> None:
    assert key.startswith(prefix) == _is_in_range(key, *prefix_range(prefix))


@given(prefix=_bytes, rest=_bytes)
def test_range_holds_every_key_below_the_prefix(prefix: bytes, rest: bytes) -> None:
    if key := prefix + rest:
        assert _is_in_range(key, *prefix_range(prefix))


@pytest.mark.parametrize(
    ("prefix", "expected"),
    [
        (b"models/", (b"models/", b"models0")),
        (b"a\xff", (b"a\xff", b"b")),
        (b"\xff\xff", (b"\xff\xff", b"\0")),
        (b"", (b"\0", b"\0")),
    ],
)
def test_range_of_a_prefix(prefix: bytes, expected: tuple[bytes, bytes]) -> None:
    assert expected == prefix_range(prefix)


@given(st.binary(min_size=1))
def test_any_key_survives_being_text(key: bytes) -> None:
    assert key == encode_key(decode_key(key))


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
def test_any_text_survives_being_a_key(text: str) -> None:
    assert text == decode_key(encode_key(text))


def test_pair() -> None:
    pair = pb.KeyValue(key=b"a", value=b"v", mod_revision=7, create_revision=3, lease=9)
    assert KeyValue("a", b"v", mod_revision=7, create_revision=3, lease=9) == decode_pair(pair)


def test_operations() -> None:
    put = encode_op(Put("a", b"v", lease=9)).request_put
    assert (put.key, put.value, put.lease) == (b"a", b"v", 9)
    delete = encode_op(Delete("a")).request_delete_range
    assert (delete.key, delete.range_end) == (b"a", b"")
    below = encode_op(Delete("a/", prefix=True)).request_delete_range
    assert (below.key, below.range_end) == (b"a/", b"a0")


def test_compare() -> None:
    compare = encode_compare(Compare("a", 7))
    assert (
        compare.key,
        compare.target,
        compare.result,
        compare.mod_revision,
    ) == (b"a", pb.Compare.MOD, pb.Compare.EQUAL, 7)


@pytest.mark.parametrize("op", [Put("", b""), Delete(""), Delete("", prefix=True)])
def test_no_operation_on_the_empty_key(op: Put | Delete) -> None:
    with pytest.raises(InvalidRequest, match="cannot be empty"):
        encode_op(op)
