"""The message encodings of gRPC: identity, gzip and deflate.

`deflate` is the zlib format (RFC 1950), as HTTP means it. Every message is a stream of its own. What
a compressed message grows to is bounded while it is inflated: a kilobyte from a hostile peer can
stand for a megabyte, and is never allowed to become more than the limit. Anything after the end of
the compressed stream is refused, so that a message has one reading.
"""

from __future__ import annotations

import zlib

from croupier.errors import InvalidRequest, TooLarge, Unimplemented

IDENTITY = "identity"
ACCEPTED = b"identity,deflate,gzip"
_WINDOW_BITS = {"deflate": zlib.MAX_WBITS, "gzip": zlib.MAX_WBITS | 16}


def compress(encoding: str, data: bytes) -> bytes:
    """`data` in `encoding`.

    Raises:
        ValueError: we cannot write that encoding.
    """
    if encoding == IDENTITY:
        return data
    if encoding not in _WINDOW_BITS:
        raise ValueError(f"no such compression: {encoding!r}")
    return zlib.compress(data, wbits=_WINDOW_BITS[encoding])


def decompress(encoding: str, data: bytes, limit: int) -> bytes:
    """What `data` stands for in `encoding`, of at most `limit` bytes.

    Raises:
        TooLarge: it is longer than `limit`.
        InvalidRequest: it is not one whole stream of that encoding.
        Unimplemented: we cannot read that encoding.
    """
    if encoding == IDENTITY:
        return _within(data, limit)
    if encoding not in _WINDOW_BITS:
        raise Unimplemented(f"the message encoding {encoding[:32]!r} is none of {ACCEPTED.decode()}")
    inflater = zlib.decompressobj(wbits=_WINDOW_BITS[encoding])
    try:
        # One byte more tells a message that is too long from one that just fits; 0 would mean no limit.
        message = _within(inflater.decompress(data, limit + 1), limit)
    except zlib.error as error:
        raise InvalidRequest(f"the message is not valid {encoding}") from error
    if not inflater.eof:
        raise InvalidRequest(f"the message is cut short: its {encoding} stream does not end")
    if inflater.unused_data:
        raise InvalidRequest(f"the message goes on after the end of its {encoding} stream")
    return message


def _within(message: bytes, limit: int) -> bytes:
    if len(message) > limit:
        raise TooLarge(f"the message is larger than {limit} bytes")
    return message
