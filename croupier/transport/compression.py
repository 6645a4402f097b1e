"""The message encodings of gRPC that are read here: identity, gzip and deflate. None is written.

`deflate` is the zlib format (RFC 1950), as HTTP means it. Every message is a stream of its own. What
a compressed message grows to is bounded while it is inflated: a kilobyte from a hostile peer can
stand for a megabyte, and is never allowed to become more than the limit. Anything after the end of
the compressed stream is refused, so that a message has one reading.
"""

from __future__ import annotations

import zlib

from croupier.errors import InvalidRequest, TooLarge, Unimplemented

ACCEPTED = b"identity,deflate,gzip"
_WINDOW_BITS = {"deflate": zlib.MAX_WBITS, "gzip": zlib.MAX_WBITS | 16}


class Inflater:
    """One compressed message that comes in pieces.

    Raises:
        Unimplemented: we cannot read `encoding`.
    """

    def __init__(self, encoding: str) -> None:
        if encoding not in _WINDOW_BITS:
            raise Unimplemented(f"the message encoding {encoding[:32]!r} is none of {ACCEPTED.decode()}")
        self.size = 0
        self._encoding = encoding
        self._parts: list[bytes] = []
        self._inflater = zlib.decompressobj(wbits=_WINDOW_BITS[encoding])

    def feed(self, data: bytes, limit: int) -> None:
        """Take in a piece; `size` is what all pieces stand for, and may come to `limit`.

        Raises:
            TooLarge: it is longer than `limit`.
            InvalidRequest: it is no stream of that encoding, or goes on after its end.
        """
        try:
            # One byte more tells a message that is too long from one that just fits; 0 would mean no limit.
            part = self._inflater.decompress(data, limit + 1 - self.size)
        except zlib.error as error:
            raise InvalidRequest(f"the message is not valid {self._encoding}") from error
        self.size += len(part)
        if self.size > limit:
            raise TooLarge(f"the message is larger than {limit} bytes")
        if self._inflater.unused_data:
            raise InvalidRequest(f"the message goes on after the end of its {self._encoding} stream")
        self._parts.append(part)

    def finish(self) -> bytes:
        """The message; raises InvalidRequest when the stream has not ended."""
        if not self._inflater.eof:
            raise InvalidRequest(f"the message is cut short: its {self._encoding} stream does not end")
        return b"".join(self._parts)
