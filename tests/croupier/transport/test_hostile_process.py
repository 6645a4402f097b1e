"""A server in a process of its own, and what attacks do to its memory as the kernel counts it. The bounds are
wide: what is kept besides counts too, and what an allocator does not give back."""

from __future__ import annotations

import asyncio
import gzip
import os
import struct
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from support import victim_server
from support.hostile import repeating_entry, streams, with_entry
from support.http2_peer import (
    ACK,
    PREFACE,
    SETTINGS,
    Neighbour,
    RawPeer,
    data,
    frame,
    headers,
    message,
    request_fields,
    settings,
    window_update,
)
from support.victim_server import ECHO, LARGE, STREAM

import croupier

MIB = 2**20
MOST_MIB = 256
CONNECTIONS = 16
FIRST = PREFACE + settings((4, 2**31 - 1)) + frame(SETTINGS, flags=ACK) + window_update(0, 2**30)
CLAIM = struct.pack(">BI", 0, 2**24)

Script = Callable[[], Iterator[bytes]]


def opened(stream: int, path: str, **changed: str | None) -> bytes:
    return headers(stream, request_fields(path, **changed))


def endless_streams() -> Iterator[bytes]:
    yield b"".join(opened(stream, ECHO) + data(stream, CLAIM, 0) for stream in streams(100))
    for _ in range(10):
        yield b"".join(data(stream, bytes(16_000), 0) for stream in streams(100))


def claims() -> Iterator[bytes]:
    yield b"".join(opened(stream, ECHO) + data(stream, CLAIM + b"x", 0) for stream in streams(4_000))


def open_streams() -> Iterator[bytes]:
    yield b"".join(opened(stream, STREAM) for stream in streams(4_000))


def header_lists() -> Iterator[bytes]:
    fields = [*request_fields(ECHO), *((f"x-{number}", "x" * 5_000) for number in range(3))]
    yield b"".join(headers(stream, fields) for stream in streams(1_000))


def repeated_entries() -> Iterator[bytes]:
    yield with_entry(1) + b"".join(repeating_entry(stream, 3) for stream in streams(4_000, 3))


def tiny_messages() -> Iterator[bytes]:
    # A window's worth in each stream, sent back to who does not read.
    for stream in streams(8):
        yield opened(stream, STREAM) + 64 * data(stream, 3_276 * message(), 0)


def answers_never_read() -> Iterator[bytes]:
    yield b"".join(opened(stream, LARGE) + data(stream, message(b"x")) for stream in streams(300))


def closed_windows() -> Iterator[bytes]:
    yield settings((4, 0)) + b"".join(answers_never_read())


def bombs() -> Iterator[bytes]:
    body = message(gzip.compress(bytes(2**24 - 1)), 1)
    yield b"".join(opened(stream, ECHO, grpc_encoding="gzip") + data(stream, body) for stream in streams(20))


SCRIPTS: Sequence[Script] = (
    endless_streams,
    claims,
    open_streams,
    header_lists,
    repeated_entries,
    tiny_messages,
    answers_never_read,
    closed_windows,
    bombs,
)


class Process:
    def __init__(self, child: subprocess.Popen[str]) -> None:
        assert child.stdout is not None
        self._status = Path(f"/proc/{child.pid}/status")
        self.address = child.stdout.readline().strip()

    @property
    def mib(self) -> float:
        """Resident memory (proc(5))."""
        line = next(line for line in self._status.read_text().splitlines() if line.startswith("VmRSS:"))
        return int(line.split()[1]) / 1024


@pytest.fixture
def process() -> Iterator[Process]:
    argv = [sys.executable, victim_server.__file__]
    # The package that is tested here, whatever else is installed.
    environment = {**os.environ, "PYTHONPATH": str(Path(croupier.__file__).parents[1])}
    with subprocess.Popen(
        argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as child:
        yield Process(child)
        assert child.stdin is not None
        child.stdin.close()
        assert child.wait(10) == 0


@pytest.fixture
async def neighbour(process: Process) -> AsyncIterator[Neighbour]:
    async with Neighbour.connect(process.address) as neighbour:
        assert await neighbour.call(ECHO, b"before") == ("0", b"before")
        yield neighbour
        assert await neighbour.call(ECHO, b"after") == ("0", b"after")


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="resident memory is read from /proc")
@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.__name__)
async def test_memory_is_bounded(process: Process, neighbour: Neighbour, script: Script) -> None:
    before, parts = process.mib, list(script())
    async with AsyncExitStack() as stack:
        peers = [
            await stack.enter_async_context(RawPeer.connect(process.address, FIRST))
            for _ in range(CONNECTIONS)
        ]
        # In rounds, so that they are all there when the memory is short. Nobody reads anything.
        for part in parts:
            await asyncio.gather(*(_send(peer, part) for peer in peers))
            assert await neighbour.call(ECHO, b"meanwhile") == ("0", b"meanwhile")
        assert await _peak(process, neighbour) - before < MOST_MIB
        assert await neighbour.call(ECHO, 5 * b"large") == ("0", 5 * b"large")


async def _peak(process: Process, neighbour: Neighbour) -> float:
    """The memory once it grows no more: between calls of the neighbour, the others have their turns."""
    seen, now = 0.0, process.mib
    while now > seen:
        seen = now
        for _ in range(200):
            assert await neighbour.call(ECHO, b"meanwhile") == ("0", b"meanwhile")
        now = process.mib
    return seen


async def _send(peer: RawPeer, part: bytes) -> None:
    """Until the server has read it, or has ended the connection, or reads no more of it."""
    peer.send(part)
    try:
        async with asyncio.timeout(5):
            await peer._writer.drain()
    except (TimeoutError, ConnectionError):
        pass
