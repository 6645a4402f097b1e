"""The admin port: metrics, health and what a process believes, over HTTP/1.1, from a thread of its own.

Whoever reaches the port may ask, so a connection gets one answer within its time, or none: a request has a
bounded head, and of too many connections the oldest gives way. One that is slow, or says nothing, holds up
nobody, and a scrape takes milliseconds. It answers, too, where the loop that serves does not (`admin.py`).
"""

from __future__ import annotations

import asyncio
import logging
import socket
import threading
import time
from collections.abc import Iterator

from prometheus_client import REGISTRY, Metric
from prometheus_client.exposition import choose_encoder

from croupier.settings import InvalidSettings
from croupier.telemetry.admin import Admin
from croupier.telemetry.stalls import section

_log = logging.getLogger(__name__)

MAX_CONNECTIONS = 32
MAX_HEAD_BYTES = 8 * 2**10
SECONDS = 5.0
_PAUSE = 50e-6
_METRICS = ("/", "/metrics")


def serve(listen: str, admin: Admin | None = None, *, seconds: float = SECONDS) -> int:
    """Serve metrics, and what `admin` says, on `host:port` for as long as the process lives.

    Returns the port, 0 for none. A connection has `seconds`.

    Raises:
        InvalidSettings: the address cannot be bound.
    """
    if not listen:
        return 0
    host, _, port = listen.rpartition(":")
    try:
        if not 0 <= int(port) < 2**16:
            raise ValueError("there is no such port")
        family = socket.AF_INET6 if host.startswith("[") else socket.AF_INET
        listening = socket.create_server((host.strip("[]"), int(port)), family=family)
    except (OSError, ValueError) as error:
        raise InvalidSettings(f"cannot serve metrics on {listen}: {error}") from error
    page = _Page(admin, seconds)
    threading.Thread(target=lambda: asyncio.run(page.run(listening)), name="metrics", daemon=True).start()
    bound = int(listening.getsockname()[1])
    _log.info("metrics on http://%s:%d/metrics", host, bound)
    return bound


class _Page:
    def __init__(self, admin: Admin | None, seconds: float) -> None:
        self._admin = admin
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
                    writer.write(await self._response_to(head.decode("latin-1")))
                await writer.drain()
                writer.write_eof()
                # Until the peer has it all: closing at once could drop it.
                await reader.read(1)
        except (OSError, asyncio.IncompleteReadError, TimeoutError):
            pass
        except Exception:  # noqa: BLE001 - it ends this connection alone
            _log.exception("a page of the admin port could not be told")

    async def _response_to(self, head: str) -> bytes:
        request, *lines = head.split("\r\n")
        method, _, rest = request.partition(" ")
        path, _, query = rest.partition(" ")[0].partition("?")
        if method != "GET":
            return _response("405 Method Not Allowed")
        if path in _METRICS:
            return _metrics(lines)
        answer = await self._admin.answer(path, query) if self._admin is not None else None
        if answer is None:
            return _response("404 Not Found", b"see /metrics, /healthz, /readyz, /debug/\n")
        return _response(answer.status, answer.body, answer.content_type)


def _metrics(lines: list[str]) -> bytes:
    headers = {
        name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)
    }
    encode, content_type = choose_encoder(headers.get("accept", ""))
    with section("metrics page"):
        return _response("200 OK", encode(_Piecewise()), content_type)


class _Piecewise:
    """What is registered, a family at a time: in between, the loop that serves may have the lock of Python.

    It would else wait for the whole page, or for as long as a thread may keep the lock.
    """

    def collect(self) -> Iterator[Metric]:
        for family in REGISTRY.collect():
            yield family
            # Above 0: a thread that only lets go of the lock mostly has it again before another one wakes.
            time.sleep(_PAUSE)


def _response(status: str, body: bytes = b"", content_type: str = "text/plain") -> bytes:
    head = f"HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\nContent-Length: {len(body)}\r\n"
    return f"{head}X-Content-Type-Options: nosniff\r\nConnection: close\r\n\r\n".encode() + body
