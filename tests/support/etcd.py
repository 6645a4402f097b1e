"""A real etcd for tests: one member, data in a temporary folder, ports that stay the same.

    async with EtcdServer(tmp_path) as server:
        config = EtcdConfig(endpoints=(server.endpoint,))
        await server.restart()

Health is asked over a plain HTTP port of its own, so it answers with TLS and authentication too.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from support.ports import free_port
from support.waiting import eventually

from croupier.stores.etcd import Etcd

_START_ATTEMPTS = 5


class EtcdServer:
    """An etcd process. `flags` are added to its command line, `scheme` is `https` with TLS."""

    def __init__(
        self, folder: Path, *, flags: Sequence[str] = (), scheme: str = "http", name: str = "test"
    ) -> None:
        self._folder = folder / "etcd"
        self._name = name
        self._flags = tuple(flags)
        self._scheme = scheme
        self._token = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._pick_ports()

    async def __aenter__(self) -> Self:
        # Somebody else may take a free port before etcd does: then try others.
        for _ in range(_START_ATTEMPTS - 1):
            try:
                await self.start()
            except EtcdExited:
                self._pick_ports()
            else:
                return self
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.kill()

    @property
    def endpoint(self) -> str:
        """`127.0.0.1:port`; the same over restarts."""
        return f"127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        assert self._process is not None, "etcd is not running"
        return self._process.pid

    async def start(self) -> None:
        """Start etcd and wait until it answers. Raises EtcdExited if it ends instead."""
        assert self._process is None, "etcd is running already"
        self._folder.mkdir(parents=True, exist_ok=True)
        # stdout and stderr go to a file: a pipe that nobody reads would stop etcd when full.
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(self._command(), stdout=log, stderr=log, env=_environ())
        try:
            await eventually(self._is_healthy, "etcd answers", timeout=20.0)
        except BaseException:
            await self.kill()
            raise

    async def stop(self) -> None:
        """SIGTERM, and wait until it has ended."""
        await self._end(signal.SIGTERM)

    async def kill(self) -> None:
        """SIGKILL, and wait until it has ended."""
        await self._end(signal.SIGKILL)

    async def restart(self) -> None:
        """Kill it and start it again on the same port and data."""
        await self.kill()
        await self.start()

    def sigstop(self) -> None:
        """Freeze it: connections stay open and nothing answers."""
        os.kill(self.pid, signal.SIGSTOP)
        # Its threads run on for a moment; the kernel reports the stop once the last one stands.
        os.waitid(os.P_PID, self.pid, os.WSTOPPED)

    def sigcont(self) -> None:
        os.kill(self.pid, signal.SIGCONT)

    async def wipe(self, *, new_cluster: bool = True) -> None:
        """Kill it, remove its data and start it empty.

        The cluster id is a hash of the member's URLs and the cluster token, so a wiped etcd has
        its old id again unless `new_cluster` gives it another token.
        """
        await self.kill()
        shutil.rmtree(self._folder)
        self._token += new_cluster
        await self.start()

    async def etcdctl(self, *arguments: str) -> str:
        """Run `etcdctl` against this server; returns what it prints. Raises CalledProcessError."""
        command = ["etcdctl", f"--endpoints={self._scheme}://{self.endpoint}", *arguments]
        done = await asyncio.to_thread(
            subprocess.run,
            command,
            check=True,
            capture_output=True,
            timeout=20,
            env=_environ(ETCDCTL_API="3"),
        )
        return done.stdout.decode()

    async def _end(self, number: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(number)
        if number is signal.SIGTERM:
            process.send_signal(signal.SIGCONT)
        await asyncio.to_thread(process.wait, 20)

    def join(self, members: Sequence[EtcdServer]) -> None:
        """Be one of `members`, all of which must start together, instead of alone."""
        everyone = ",".join(f"{member._name}={member._peer_url}" for member in members)
        # Among several, a busy machine must not be taken for a dead leader.
        self._flags += (f"--initial-cluster={everyone}", "--heartbeat-interval=50", "--election-timeout=500")

    @property
    def _peer_url(self) -> str:
        return f"http://127.0.0.1:{self._peer_port}"

    def _pick_ports(self) -> None:
        self.port = free_port()
        self._peer_port = free_port()
        self._health_port = free_port()

    def _command(self) -> list[str]:
        peer = self._peer_url
        client = f"{self._scheme}://{self.endpoint}"
        return [
            "etcd",
            f"--name={self._name}",
            f"--data-dir={self._folder / 'data'}",
            f"--listen-client-urls={client}",
            f"--advertise-client-urls={client}",
            f"--listen-peer-urls={peer}",
            f"--initial-advertise-peer-urls={peer}",
            f"--initial-cluster={self._name}={peer}",
            f"--initial-cluster-token=test-{self._token}",
            f"--listen-metrics-urls=http://127.0.0.1:{self._health_port}",
            "--logger=zap",
            "--log-level=error",
            # A lone member elects itself after the election timeout; the shortest lease is
            # 1.5 times that, rounded up to seconds: 1 s with these, 2 s with the defaults.
            "--heartbeat-interval=10",
            "--election-timeout=50",
            *self._flags,
        ]

    async def _is_healthy(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            log = (self._folder / "log").read_text(errors="replace")
            raise EtcdExited(f"etcd ended with {self._process.returncode}: {log[-2000:]}")
        try:
            async with asyncio.timeout(1.0):
                return await _http_health(self._health_port)
        except (OSError, TimeoutError, ValueError):
            return False


class EtcdCluster:
    """Three members that elect a leader among them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.servers: list[EtcdServer] = []

    async def __aenter__(self) -> Self:
        for attempt in range(_START_ATTEMPTS - 1):
            try:
                await self._start(self._folder / str(attempt))
            except EtcdExited:
                await self._kill()
            else:
                return self
        await self._start(self._folder / "last")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._kill()

    @property
    def endpoints(self) -> tuple[str, ...]:
        return tuple(server.endpoint for server in self.servers)

    async def _start(self, folder: Path) -> None:
        self.servers = [EtcdServer(folder / name, name=name) for name in ("one", "two", "three")]
        for server in self.servers:
            server.join(self.servers)
        starting = [asyncio.create_task(server.start()) for server in self.servers]
        try:
            await asyncio.gather(*starting)
        finally:
            for start in starting:
                start.cancel()
            await asyncio.gather(*starting, return_exceptions=True)

    async def _kill(self) -> None:
        for server in self.servers:
            await server.kill()


class EtcdExited(Exception):
    """etcd ended while it was being started; the message has the end of its log."""


async def value_of(etcd: Etcd, key: str) -> bytes | None:
    """What lies under `key`; None if nothing does."""
    found = await etcd.get(key)
    return found.value if found else None


async def _http_health(port: int) -> bool:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(b"GET /health HTTP/1.0\r\n\r\n")
        body = (await reader.read()).partition(b"\r\n\r\n")[2]
        return bool(json.loads(body)["health"] == "true")
    finally:
        writer.close()
        await writer.wait_closed()


def _environ(**more: str) -> dict[str, str]:
    # Settings of some other etcd in the developer's shell must not reach this one.
    mine = {name: value for name, value in os.environ.items() if not name.startswith(("ETCD_", "ETCDCTL_"))}
    return mine | more
