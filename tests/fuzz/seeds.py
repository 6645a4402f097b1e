"""Where the search begins: what well-behaved peers send, and the odd ends of HTTP/2 and gRPC.

Every seed is made of frames written out by hand, so that it stays the same whatever the session does.
"""

from __future__ import annotations

import itertools

from fuzz.roles import BATCH, STREAM, UNARY
from support.http2_peer import (
    ACK,
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    HEADERS,
    PADDED,
    PING,
    PREFACE,
    PRIORITIZED,
    PRIORITY,
    PUSH_PROMISE,
    SETTINGS,
    Fields,
    block,
    data,
    frame,
    go_away,
    headers,
    message,
    request_fields,
    reset,
    settings,
    window_update,
)

_CLIENT, _RAW, _TINY, _LATE, _ANNOUNCE, _GO_AWAY, _CANCEL, _GONE = (1 << bit for bit in range(8))
# b"rows" in each compression, spelled out because libraries differ in the last byte.
GZIP = bytes.fromhex("1f8b08000000000000032bca2f2f0600a1f48b0a04000000")
DEFLATE = bytes.fromhex("789c2bca2f2f0600047a01cc")
_ALL = END_HEADERS | END_STREAM


def request(stream: int, path: str, *bodies: bytes, **changed: str | None) -> bytes:
    return headers(stream, request_fields(path, **changed)) + data(stream, b"".join(map(message, bodies)))


def answer(stream: int, *bodies: bytes, status: str = "0", **changed: str) -> bytes:
    more = [(name.replace("_", "-"), value) for name, value in changed.items()]
    return (
        headers(stream, [(":status", "200"), ("content-type", "application/grpc")])
        + data(stream, b"".join(map(message, bodies)), 0)
        + headers(stream, [("grpc-status", status), *more], _ALL)
    )


def trailers_only(stream: int, *fields: tuple[str, str], http: str = "200") -> bytes:
    return headers(stream, [(":status", http), ("content-type", "application/grpc"), *fields], _ALL)


def indexed(fields: Fields) -> bytes:
    """A header block whose fields enter HPACK's table (RFC 7541, 6.2.1)."""
    literals = (block([field]) for field in fields)
    return b"".join(b"\x40" + literal[1:] for literal in literals)


def _server() -> dict[str, bytes]:
    fields = request_fields(BATCH, ("a-bin", "AAE"), ("croupier-tenant", "acme"), grpc_timeout="1S")
    parts = block(fields)
    again = bytes(0x80 | index for index in range(61 + len(fields), 61, -1))
    long = message(bytes(20_000))
    return {
        "batch": b"".join(request(stream, BATCH, b"x" * stream) for stream in (1, 3, 5, 7, 9)),
        "unary": request(1, UNARY, b"a", grpc_timeout="100m") + request(3, UNARY, b""),
        "stream": request(1, STREAM, b"a", b"", b"c" * 300) + request(3, STREAM),
        "interleaved": headers(1, request_fields(STREAM))
        + headers(3, request_fields(BATCH))
        + data(1, message(b"one")[:3], 0)
        + data(3, message(b"two"))
        + data(1, message(b"one")[3:], 0)
        + data(1),
        "continued": frame(HEADERS, 1, parts[:20])
        + frame(CONTINUATION, 1, parts[20:50])
        + frame(CONTINUATION, 1, parts[50:], END_HEADERS)
        + data(1, message(b"a")),
        "padded": frame(
            HEADERS, 1, b"\3" + b"\0\0\0\0\x10" + parts + bytes(3), END_HEADERS | PADDED | PRIORITIZED
        )
        + frame(DATA, 1, b"\5" + message(b"a") + bytes(5), PADDED | END_STREAM),
        "indexed": frame(HEADERS, 1, indexed(fields), END_HEADERS)
        + data(1, message(b"a"))
        + frame(HEADERS, 3, b"\x3f\xe1\x1f" + again, END_HEADERS)
        + data(3, message(b"b")),
        "gzip": headers(1, request_fields(STREAM, grpc_encoding="gzip"))
        + data(1, message(GZIP, 1) + message(b"plain") + message(GZIP[:-1], 1)),
        "deflate": headers(1, request_fields(BATCH, grpc_encoding="deflate")) + data(1, message(DEFLATE, 1)),
        "long": headers(1, request_fields(BATCH)) + data(1, long[:16_000], 0) + data(1, long[16_000:]),
        "reset": headers(1, request_fields(STREAM))
        + data(1, message(b"a"), 0)
        + reset(1)
        + request(3, UNARY, b""),
        "trailers": headers(1, request_fields(BATCH))
        + data(1, message(b"a"), 0)
        + headers(1, [("x", "y")], _ALL),
        "refused": headers(1, request_fields(BATCH, method="GET"), _ALL)
        + request(3, BATCH, b"", content_type="text/html")
        + request(5, BATCH, b"", te=None)
        + request(7, BATCH, b"", grpc_timeout="soon")
        + request(9, "/no.Such/Method", b"")
        + request(11, BATCH, b"", grpc_encoding="snappy")
        + request(13, BATCH, b"", b"")
        + request(15, BATCH)
        + headers(17, request_fields(BATCH), _ALL)
        + headers(19, request_fields(BATCH))
        + data(19, message(b"abc")[:6])
        + headers(21, request_fields(BATCH))
        + data(21, b"\2\0\0\0\0")
        + headers(23, request_fields(BATCH))
        + data(23, b"\0\xff\xff\xff\xff"),
        "metadata": headers(1, request_fields(BATCH, *((f"k{n}", "v" * 100) for n in range(8))))
        + data(1, message(b"a")),
        "frames": settings((1, 0), (4, 0), (3, 1))
        + frame(PING, 0, b"12345678")
        + frame(PING, 0, b"12345678", ACK)
        + frame(SETTINGS, 0, b"", ACK)
        + window_update(0, 100)
        + request(1, STREAM, b"a")
        + window_update(1, 100)
        + settings((4, 100), (5, 20_000))
        + frame(PRIORITY, 3, b"\0\0\0\1\x10")
        + frame(0xBE, 1, b"unknown")
        + go_away(0),
        "closed window": settings((4, 0))
        + request(1, STREAM, b"a")
        + request(3, BATCH, b"b")
        + window_update(1, 7),
        "bad": headers(1, request_fields(BATCH)) + frame(DATA, 0, b"x"),
    }


def _client() -> dict[str, bytes]:
    """Streams 1 and 3 are streaming calls, 5, 7 and 9 unary ones."""
    return {
        "answers": b"".join(answer(stream, b"x" * stream) for stream in (5, 7, 9))
        + answer(1, b"a", b"b", b"")
        + answer(3),
        "statuses": trailers_only(1, ("grpc-status", "5"), ("grpc-message", "no%20such"))
        + trailers_only(3, ("grpc-status", "99"))
        + trailers_only(5, ("grpc-status", "16"), ("grpc-status-details-bin", "CAUSAm5v"))
        + trailers_only(7, http="503")
        + trailers_only(9),
        "not grpc": headers(5, [(":status", "200"), ("content-type", "text/html")])
        + data(5, b"<html>")
        + headers(7, [(":status", "100")])
        + answer(7, b"late")
        + answer(9)
        + answer(1, b"a", status="14"),
        "broken": headers(
            5, [(":status", "200"), ("content-type", "application/grpc"), ("grpc-encoding", "gzip")]
        )
        + data(5, message(GZIP, 1), 0)
        + headers(5, [("grpc-status", "0")], _ALL)
        + answer(7, b"one", b"two")
        + headers(9, [(":status", "200"), ("content-type", "application/grpc")])
        + data(9, message(b"abc")[:6], 0)
        + headers(9, [("grpc-status", "0")], _ALL),
        "resets": reset(1, 0) + reset(3, 7) + reset(5, 7) + reset(7, 8) + reset(9, 11),
        "going away": go_away(3, 0) + answer(1, b"a") + answer(3, b"b"),
        "few streams": settings((3, 2))
        + answer(1, b"a")
        + answer(3, b"b")
        + settings((3, 100))
        + answer(5, b"c"),
        "closed window": settings((4, 0)) + window_update(1, 3) + answer(1, b"a") + window_update(5, 100),
        "promise": frame(PUSH_PROMISE, 1, b"\0\0\0\2" + block(request_fields(BATCH)), END_HEADERS),
        "metadata": headers(
            5, [(":status", "200"), ("content-type", "application/grpc"), ("a-bin", "AA"), ("b", "c" * 500)]
        )
        + data(5, message(b"a"), 0)
        + headers(5, [("grpc-status", "0"), ("t", "u")], _ALL),
    }


def inputs() -> dict[str, bytes]:
    """Every seed as an input, by name; the options go round so that each one is among them."""
    found: dict[str, bytes] = {}
    ways = itertools.cycle((0, _LATE, _TINY, _ANNOUNCE, _CANCEL, _GO_AWAY, _TINY | _LATE, _GONE))
    for name, sent in _server().items():
        found[f"server {name}".replace(" ", "-")] = bytes((next(ways), len(found) % 3)) + sent
    for name, sent in _client().items():
        found[f"client {name}".replace(" ", "-")] = bytes((_CLIENT | next(ways), len(found) % 3)) + sent
    found["server-raw"] = bytes((_RAW, 1)) + PREFACE + settings() + request(1, BATCH, b"a")
    found["server-http1"] = bytes((_RAW, 0)) + b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
    found["client-raw"] = bytes((_CLIENT | _RAW, 0)) + settings((3, 1)) + answer(1, b"a")
    return found
