"""Which messages travel compressed: the flags that our server and our client put on the wire."""

from __future__ import annotations

import struct

import pytest
from interop import client, server
from interop import testing_pb2 as pb
from interop.messages import CLIENT_STREAM, SERVER_STREAM, UNARY, Method, flag, noise, wanted, zeros
from support.http2_peer import RawPeer, RawServer, data, headers, message, request_fields

from croupier.transport.compression import decompress

ACCEPTED = "identity, deflate,gzip"
SIZE = 1000


def flags(body: bytes) -> list[int]:
    """The flag of every message in `body`, which holds whole messages and nothing else."""
    found = []
    while body:
        compressed, size = struct.unpack_from(">BI", body)
        assert size <= len(body) - 5
        found.append(compressed)
        body = body[5 + size :]
    return found


UNARY_YES = pb.SimpleRequest(response_size=SIZE, response_compressed=flag(True))
UNARY_NO = pb.SimpleRequest(response_size=SIZE, response_compressed=flag(False))
STREAMED = pb.StreamingOutputCallRequest(response_parameters=[wanted(SIZE, True), wanted(SIZE, False)])
STREAMED_LATE = pb.StreamingOutputCallRequest(response_parameters=[wanted(SIZE, False), wanted(SIZE, True)])


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
@pytest.mark.parametrize(
    ("method", "request_message", "accepted", "expected", "is_announced"),
    [
        (UNARY, UNARY_YES, ACCEPTED, [1], True),
        (UNARY, UNARY_NO, ACCEPTED, [0], False),
        (UNARY, UNARY_YES, None, [0], False),
        (UNARY, UNARY_YES, "identity", [0], False),
        (SERVER_STREAM, STREAMED, ACCEPTED, [1, 0], True),
        # The encoding stands in headers that have left already.
        (SERVER_STREAM, STREAMED_LATE, ACCEPTED, [0, 0], False),
        (SERVER_STREAM, STREAMED, None, [0, 0], False),
    ],
    ids=["unary", "not", "unasked", "unaccepted", "stream", "late", "stream unasked"],
)
async def test_the_servers_flags(
    method: Method,
    request_message: pb.SimpleRequest,
    accepted: str | None,
    expected: list[int],
    is_announced: bool,
    encoding: str,
) -> None:
    fields = request_fields(method.path, grpc_accept_encoding=accepted)
    async with server.serve("127.0.0.1:0", compression=encoding) as address, RawPeer.connect(address) as peer:
        peer.send(headers(1, fields), data(1, message(request_message.SerializeToString())))
        heard = await peer.heard(1)
    assert heard.status == ("200", "0")
    assert expected == flags(heard.body)
    assert (encoding if is_announced else None) == heard.lists[0].get("grpc-encoding")


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
async def test_the_clients_flags(encoding: str) -> None:
    async with RawServer.listen() as raw, client.call(raw.address, compression=encoding) as caller:
        conversation = caller.open(CLIENT_STREAM, compress=True)
        sent = pb.StreamingInputCallRequest(payload=zeros(SIZE))
        await conversation.send(sent)
        await conversation.send(sent, compress=False)
        await conversation.send(pb.StreamingInputCallRequest(payload=noise(SIZE)))
        await conversation.end()
        peer = await raw.accept()
        heard = await peer.heard(1)
    assert flags(heard.body) == [1, 0, 1]
    assert encoding == heard.lists[0]["grpc-encoding"]
    assert heard.lists[0]["grpc-accept-encoding"] == "identity,deflate,gzip"
    size = struct.unpack_from(">BI", heard.body)[1]
    assert sent.SerializeToString() == decompress(encoding, heard.body[5 : 5 + size], 2 * SIZE)


async def test_a_client_without_compression_announces_none() -> None:
    async with RawServer.listen() as raw, client.call(raw.address) as caller:
        conversation = caller.open(CLIENT_STREAM)
        await conversation.send(pb.StreamingInputCallRequest(payload=zeros(SIZE)))
        await conversation.end()
        peer = await raw.accept()
        heard = await peer.heard(1)
    assert flags(heard.body) == [0]
    assert "grpc-encoding" not in heard.lists[0]
