"""gRPC's message encodings, with Python's own gzip as the referee."""

from __future__ import annotations

import contextlib
import gzip
import tracemalloc
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.http2_peer import packed

from croupier.errors import InvalidRequest, TooLarge, Unimplemented
from croupier.transport.compression import ACCEPTED, Inflater

COMPRESSED = ["deflate", "gzip"]


def decompress(encoding: str, data: bytes, limit: int, part: int = 2**20) -> bytes:
    """What `data`, which comes in pieces of `part` bytes, stands for."""
    inflater = Inflater(encoding)
    for at in range(0, len(data), part):
        inflater.feed(data[at : at + part], limit)
    return inflater.finish()


def test_what_is_accepted_is_what_peers_are_told() -> None:
    assert ACCEPTED.decode().split(",") == ["identity", *COMPRESSED]


@given(st.sampled_from(COMPRESSED), st.binary(max_size=5_000), st.integers(1, 300))
def test_what_others_write_is_read_however_it_comes(encoding: str, data: bytes, part: int) -> None:
    assert decompress(encoding, packed(encoding, data), len(data), part) == data


@pytest.mark.parametrize("encoding", COMPRESSED)
@pytest.mark.parametrize("limit", [0, 1, 100, 70_000])
def test_the_limit_is_exact(encoding: str, limit: int) -> None:
    assert decompress(encoding, packed(encoding, b"a" * limit), limit) == b"a" * limit
    with pytest.raises(TooLarge, match=f"larger than {limit} bytes"):
        decompress(encoding, packed(encoding, b"a" * (limit + 1)), limit)


@pytest.mark.parametrize("encoding", COMPRESSED)
def test_a_bomb_takes_no_more_memory_than_the_limit(encoding: str) -> None:
    bomb = packed(encoding, bytes(200 * 2**20))
    tracemalloc.start()
    try:
        with pytest.raises(TooLarge):
            decompress(encoding, bomb, 2**20)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 3 * 2**20


@pytest.mark.parametrize("encoding", COMPRESSED)
def test_every_cut_is_refused(encoding: str) -> None:
    whole = packed(encoding, b"some rows of a message")
    for end in range(len(whole)):
        with pytest.raises(InvalidRequest, match="cut short"):
            decompress(encoding, whole[:end], 100)


@pytest.mark.parametrize("encoding", COMPRESSED)
@pytest.mark.parametrize(
    "more", [b"\0", b"garbage", gzip.compress(b"another member")], ids=["a byte", "garbage", "a member"]
)
def test_what_follows_the_end_is_refused(encoding: str, more: bytes) -> None:
    with pytest.raises(InvalidRequest, match="goes on"):
        decompress(encoding, packed(encoding, b"rows") + more, 100)


@pytest.mark.parametrize("encoding", COMPRESSED)
def test_a_wrong_checksum(encoding: str) -> None:
    whole = bytearray(packed(encoding, b"rows"))
    whole[-5 if encoding == "gzip" else -1] ^= 1
    with pytest.raises(InvalidRequest, match=f"not valid {encoding}"):
        decompress(encoding, bytes(whole), 100)


def test_deflate_is_the_zlib_format_and_gzip_is_gzip() -> None:
    raw = zlib.compress(b"rows", wbits=-15)
    for encoding, data in (
        ("deflate", raw),
        ("gzip", zlib.compress(b"rows")),
        ("deflate", gzip.compress(b"rows")),
    ):
        with pytest.raises(InvalidRequest):
            decompress(encoding, data, 100)


@given(st.sampled_from(COMPRESSED), st.binary(max_size=200))
def test_any_bytes_are_a_message_or_refused(encoding: str, data: bytes) -> None:
    with contextlib.suppress(InvalidRequest, TooLarge):
        assert len(decompress(encoding, data, 50)) <= 50


def test_an_unknown_encoding() -> None:
    with pytest.raises(Unimplemented, match="'snappy' is none of identity,deflate,gzip"):
        decompress("snappy", b"", 100)
