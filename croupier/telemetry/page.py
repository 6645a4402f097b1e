"""The page of metrics over HTTP/1.1, from an event loop in a thread of its own.

Whoever reaches the port may ask, so a connection gets one answer within its time, or none: a request has a
bounded head, and of too many connections the oldest gives way. One that is slow, or says nothing, holds up
nobody, and a scrape takes milliseconds.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import threading

from prometheus_client import REGISTRY
from prometheus_client.exposition import choose_encoder

_log = logging.getLogger(__name__)

MAX_CONNECTIONS = 32
MAX_HEAD_BYTES = 8 * 2**10
SECONDS = 5.0
_PATHS = ("/", "/metrics")


def serve(listening: socket.socket, *, seconds: float = SECONDS) -> None:
    """Serve what is registered on `listening`, which is bound, for as long as the process lives."""
    page = _Page(seconds)
    threading.Thread(target=lambda: asyncio.run(page.run(listening)), name="metrics", daemon=True).start()


class _Page:
    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        # In the order that they came.
        self._connections: dict[asyncio.Task[None], asyncio.StreamWriter] = {}

    async def run(self, listening: socket.socket) -> None:
        server = await asyncio.start_server(self._take, sock=listening, limit=MAX_HEAD_BYTES)
        await server.serve_forever()

    def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._connections) >= MAX_CONNECTIONS:
            oldest = next(iter(self._connections))
            # Its socket goes now, whatever its task still waits for.
            self._connections.pop(oldest).transport.abort()
            oldest.cancel()
        task = asyncio.create_task(self._answer(reader, writer))
        self._connections[task] = writer
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        writer = self._connections.pop(task, None)
        if writer is not None:
            writer.transport.abort()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(self._seconds):
                try:
                    head = await reader.readuntil(b"\r\n\r\n")
                except asyncio.LimitOverrunError:
                    writer.write(_response("431 Request Header Fields Too Large"))
                else:
                    writer.write(_response_to(head.decode("latin-1")))
                await writer.drain()
                writer.write_eof()
                # Until the peer has it all: closing at once could drop it.
                await reader.read(1)
        except (OSError, asyncio.IncompleteReadError, TimeoutError):
            pass
        except Exception:  # noqa: BLE001 - it ends this connection alone
            _log.exception("the metrics could not be told")


def _response_to(head: str) -> bytes:
    request, *lines = head.split("\r\n")
    method, _, rest = request.partition(" ")
    path = rest.partition(" ")[0].partition("?")[0]
    if method != "GET":
        return _response("405 Method Not Allowed")
    if path not in _PATHS:
        return _response("404 Not Found", b"see /metrics\n")
    headers = {
        name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)
    }
    encode, content_type = choose_encoder(headers.get("accept", ""))
    return _response("200 OK", encode(REGISTRY), content_type)


def _response(status: str, body: bytes = b"", content_type: str = "text/plain") -> bytes:
    head = f"HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\nContent-Length: {len(body)}\r\n"
    return f"{head}Connection: close\r\n\r\n".encode() + body
