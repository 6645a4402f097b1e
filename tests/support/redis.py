"""A real Redis for tests, on a free port, that keeps nothing on the disk.

async with RedisServer(tmp_path) as server:
    store = open_store(server.url)
    await server.restart()
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from support.ports import free_port
from support.waiting import eventually

_START_ATTEMPTS = 5


class RedisExited(Exception):
    """It ended instead of starting; its log is in the message."""


class RedisServer:
    """`flags` are added to its command line, `leading` stand before; `tls_flags` make it speak TLS alone."""

    def __init__(
        self,
        folder: Path,
        *,
        flags: Sequence[str] = (),
        leading: Sequence[str] = (),
        tls_flags: Sequence[str] = (),
    ) -> None:
        self._folder = folder
        self._leading = tuple(leading)
        self._flags = tuple(flags)
        self._tls_flags = tuple(tls_flags)
        self._process: subprocess.Popen[bytes] | None = None
        self.port = free_port()

    async def __aenter__(self) -> Self:
        # Somebody else may take a free port before it does: then try others.
        for _ in range(_START_ATTEMPTS - 1):
            try:
                await self.start()
            except RedisExited:
                self.port = free_port()
            else:
                return self
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.kill()

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}"

    async def start(self) -> None:
        ports = ("--port", str(self.port))
        if self._tls_flags:
            ports = ("--port", "0", "--tls-port", str(self.port))
        self._folder.mkdir(parents=True, exist_ok=True)
        with (self._folder / "redis.log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    "redis-server",
                    *self._leading,
                    *("--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", str(self._folder)),
                    *(*ports, *self._tls_flags, *self._flags),
                ],
                stdout=log,
                stderr=log,
            )
        try:
            await eventually(self._accepts, "redis answers", timeout=20.0)
        except BaseException:
            await self.kill()
            raise

    async def kill(self) -> None:
        """SIGKILL, and wait until it has ended."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            await asyncio.to_thread(process.wait)

    async def restart(self) -> None:
        """Kill it and start it again on the same port, empty."""
        await self.kill()
        await self.start()

    def sigstop(self) -> None:
        """Freeze it: connections stay open and nothing answers."""
        assert self._process is not None
        os.kill(self._process.pid, signal.SIGSTOP)
        os.waitid(os.P_PID, self._process.pid, os.WSTOPPED)

    def sigcont(self) -> None:
        assert self._process is not None
        os.kill(self._process.pid, signal.SIGCONT)

    async def cli(self, *words: str) -> str:
        """What `redis-cli` prints."""
        done = await asyncio.to_thread(
            subprocess.run,
            ["redis-cli", "-p", str(self.port), *words],
            check=True,
            capture_output=True,
            timeout=20,
        )
        return done.stdout.decode().strip()

    async def _accepts(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            raise RedisExited((self._folder / "redis.log").read_text()[-2000:])
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", self.port)
        except OSError:
            return False
        writer.close()
        return True
