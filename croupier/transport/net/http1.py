"""An answer for who speaks HTTP/1.1 to a port of ours, so that people at a terminal read what it is.

On a port with TLS, who speaks HTTP in the clear is known by the first bytes, before the handshake.
"""

from __future__ import annotations

import asyncio
import re
import socket
from contextlib import suppress

# Of "GET / HTTP/1.1"; HTTP/2 begins with "PRI * HTTP/2.0".
_METHOD = re.compile(rb"(?!PRI )[A-Z]{3,7} ")
# As long as a method can be.
_BEGINNING = 8
# What a peer may go on to say before the connection is closed under its answer.
_MOST_IGNORED = 1 << 16


def _answer(status: bytes, text: bytes) -> bytes:
    return b"HTTP/1.1 %b\r\nContent-Type: text/plain\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%b" % (
        status,
        len(text),
        text,
    )


ANSWER = _answer(
    b"505 HTTP Version Not Supported", b"This port speaks gRPC, which is HTTP/2; this request was HTTP/1.1.\n"
)
TLS_ANSWER = _answer(
    b"400 Bad Request", b"This port speaks gRPC over TLS; this request was HTTP/1.1 without TLS.\n"
)


def is_http1(data: bytes) -> bool:
    """Whether a connection whose first bytes are these speaks HTTP/1.1."""
    return _METHOD.match(data) is not None


async def is_plain(connection: socket.socket) -> bool:
    """Whether a connection, of which a handshake is expected, begins with HTTP/1.1; takes no byte of it.

    It waits for the first bytes, for as long as the caller lets it.
    """
    await _readable(connection)
    try:
        return is_http1(connection.recv(_BEGINNING, socket.MSG_PEEK))
    except OSError:
        return False


async def send_answer(connection: socket.socket) -> None:
    """Send `TLS_ANSWER`, and let the peer read it before the connection is closed."""
    with suppress(OSError):
        connection.send(TLS_ANSWER)
        connection.shutdown(socket.SHUT_WR)
        ignored = 0
        # Closing with bytes unread would reset the connection, and take the answer with it.
        while ignored < _MOST_IGNORED:
            await _readable(connection)
            part = connection.recv(_MOST_IGNORED)
            if not part:
                return
            ignored += len(part)


async def _readable(connection: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()
    loop.add_reader(connection, ready.set)
    try:
        await ready.wait()
    finally:
        loop.remove_reader(connection)
