"""An answer for who speaks HTTP/1.1 to a port of ours, so that people at a terminal read what it is."""

from __future__ import annotations

import re

# Of "GET / HTTP/1.1"; HTTP/2 begins with "PRI * HTTP/2.0".
_METHOD = re.compile(rb"(?!PRI )[A-Z]{3,7} ")
_TEXT = b"This port speaks gRPC, which is HTTP/2; this request was HTTP/1.1.\n"
ANSWER = (
    b"HTTP/1.1 505 HTTP Version Not Supported\r\nContent-Type: text/plain\r\n"
    b"Content-Length: %d\r\nConnection: close\r\n\r\n%b" % (len(_TEXT), _TEXT)
)


def is_http1(data: bytes) -> bool:
    """Whether a connection whose first bytes are these speaks HTTP/1.1."""
    return _METHOD.match(data) is not None
