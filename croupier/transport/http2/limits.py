"""Every bound of a session and of a server, in one value that checks itself.

The defaults are for a peer that may be anybody. Sizes are in bytes, times in seconds, rates per second.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

MAX_MESSAGE_BYTES = 16 * 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one connection, and all connections of a server together, may take."""

    # One message, compressed and decompressed; names and values of one header list, as HTTP/2 counts them.
    max_message_bytes: int = MAX_MESSAGE_BYTES
    max_header_bytes: int = 16 * 2**10
    # Calls that one connection may have open.
    max_concurrent_streams: int = 1024
    # Flow control: what a peer may send ahead of what was taken. A request begins with the first window, and
    # has the whole one once three quarters of that were taken: what is refused by its first bytes, or for the
    # number of its fields, is sent no further.
    first_window: int = 3 * 2**16
    stream_window: int = 2**20
    connection_window: int = 2**24
    # What one stream may have queued before its writer waits.
    stream_queue: int = 64 * 2**10
    # Bytes held for one connection: its open calls, requests until they are answered, and replies until
    # they are sent. Large messages leave a quarter of it. Above `floor_bytes` it gets no more than is left
    # of `total_bytes`. The floors of very many shrink, so that all connections together hold twice
    # `total_bytes` at the worst.
    floor_bytes: int = 2**18
    connection_bytes: int = 48 * 2**20
    total_bytes: int = 96 * 2**20
    # Calls that a peer may reset within their first second: so many at once, and so many a second.
    reset_burst: int = 1000
    reset_rate: int = 200
    # Frames that carry no request and no data (PING, SETTINGS, WINDOW_UPDATE, PRIORITY, empty DATA). Each
    # request, and each DATA frame that is sent, allows a few more, and so does each call while it is open.
    control_burst: int = 1000
    control_rate: int = 100
    # Bytes by which compressed messages of all connections may grow beyond 16 times their size: at once, and
    # a second. Those that need more are refused.
    growth_burst: int = 2**22
    growth_rate: int = 2**21
    # Frames that go on with one list of headers, and entries of one SETTINGS. nghttp2 counts a frame again
    # for each read that brings a part of its head.
    max_continuations: int = 16
    max_settings: int = 32
    # How long a peer may take for TLS, for its first frame, and for a request of its own without a deadline.
    handshake_seconds: float = 10.0
    request_seconds: float = 60.0
    # A peer that was silent so long is asked by a PING, and is gone when that is not answered.
    keepalive_seconds: float = 30.0
    keepalive_timeout: float = 20.0
    # Age at which a server asks a client to connect anew, give or take a tenth.
    max_age_seconds: float = math.inf
    # Of one server, those in their handshake included.
    max_connections: int = 10_000

    def __post_init__(self) -> None:
        for name in ("max_message_bytes", "max_header_bytes", "max_concurrent_streams", "max_connections"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be above 0")
        for name in ("first_window", "stream_window", "connection_window"):
            if not 2**16 <= getattr(self, name) < 2**31:
                raise ValueError(f"{name} must be from 65,536 to 2,147,483,647")
        if self.floor_bytes > self.connection_bytes:
            raise ValueError("floor_bytes is above connection_bytes")
