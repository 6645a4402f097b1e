"""Who speaks HTTP/1.1 to a port of ours reads what it is."""

from __future__ import annotations

import asyncio
import urllib.error
import urllib.request

import pytest
from support.echo import UNARY, serving
from support.http2_peer import PREFACE, settings
from support.serving import LOOPS, calling

from croupier.transport.net.http1 import is_http1

LOOP_FACTORIES = LOOPS


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"GET / HTTP/1.1\r\n", True),
        (b"OPTIONS * HTTP/1.1\r\n", True),
        (PREFACE + settings(), False),
        (PREFACE[:4], False),
        (b"\x16\x03\x01\x02\x00", False),
        (b"", False),
    ],
)
def test_what_it_looks_like(data: bytes, expected: bool) -> None:
    assert is_http1(data) is expected


def _get(address: str, data: bytes | None) -> tuple[int, bytes]:
    try:
        urllib.request.urlopen(f"http://{address}/metrics", data, timeout=10)
    except urllib.error.HTTPError as error:
        return error.code, error.read()
    raise AssertionError("it was answered")


@pytest.mark.parametrize("data", [None, bytes(10_000)], ids=["GET", "POST"])
async def test_it_is_told(data: bytes | None) -> None:
    async with serving() as address, calling(address) as channel:
        status, text = await asyncio.to_thread(_get, address, data)
        assert (status, b"gRPC" in text) == (505, True)
        # Others are not touched.
        assert await channel.unary(UNARY, b"request") == b"request"
