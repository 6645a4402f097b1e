"""A TCP proxy that fails on demand: what a network does to a connection, without a network.

async with TcpProxy("127.0.0.1:2379") as proxy:
    connect_to(proxy.endpoint)
    await proxy.cut()        # connections break, new ones are refused
    await proxy.mend()
    proxy.hang()             # connections stay and carry nothing any more
    proxy.strand()           # the same for those that stand; new ones are carried
"""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Self

from support.ports import free_port


class TcpProxy:
    """Forwards every connection to `endpoint` to the target, as long as it is told to."""

    def __init__(self, target: str) -> None:
        host, _, port = target.rpartition(":")
        self._target = (host, int(port))
        self._port = free_port()
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()
        self._flowing = asyncio.Event()
        # Chunks that hung connections hold back.
        self.held = 0

    async def __aenter__(self) -> Self:
        await self.mend()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.cut()

    @property
    def endpoint(self) -> str:
        return f"127.0.0.1:{self._port}"

    async def cut(self) -> None:
        """Break every connection and refuse new ones."""
        server, self._server = self._server, None
        if server is not None:
            server.close()
        connections = list(self._connections)
        for connection in connections:
            connection.cancel()
        await asyncio.gather(*connections, return_exceptions=True)

    async def mend(self) -> None:
        """Accept connections, and carry what hung connections hold back."""
        self._flowing.set()
        if self._server is None:
            self._server = await asyncio.start_server(self._accept, "127.0.0.1", self._port)

    def hang(self) -> None:
        """Keep and accept connections, and carry nothing."""
        self._flowing.clear()

    def strand(self) -> None:
        """Keep the connections that stand, and carry nothing on them any more; new ones are carried."""
        self._flowing.clear()
        self._flowing = asyncio.Event()
        self._flowing.set()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = asyncio.create_task(self._serve(reader, writer))
        self._connections.add(connection)
        connection.add_done_callback(self._connections.discard)
        # One that is cut before it began, too.
        connection.add_done_callback(lambda _: writer.transport.abort())

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            far_reader, far_writer = await asyncio.open_connection(*self._target)
        except OSError:
            return
        ways = [
            asyncio.create_task(self._carry(reader, far_writer)),
            asyncio.create_task(self._carry(far_reader, writer)),
        ]
        try:
            # Either side's end is the end of both.
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            # First of all: what is cut meanwhile does not come back from waiting.
            far_writer.transport.abort()
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        flowing = self._flowing
        while data := await reader.read(65536):
            self.held += 1
            await flowing.wait()
            self.held -= 1
            writer.write(data)
            await writer.drain()
