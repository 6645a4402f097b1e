"""The process that asks a store: what it says on its socket, to whoever reads it or does not."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from support.cells import MemoryStore, digest
from support.waiting import eventually

from cell.loading.fetcher import FAILURES, FOUND, HELLO, NUMBER_BYTES, _Fetcher, send
from croupier.errors import CroupierError, DataLoss, InternalError, NotFound, Unavailable
from croupier.settings import InvalidSettings
from croupier.stores.objects import open_store
from croupier.stores.refused import StoreRefused

ONE, TWO = (number.to_bytes(NUMBER_BYTES, "little") for number in (1, 2))
DATA = b"data" * 1000


def pair() -> tuple[socket.socket, socket.socket]:
    sockets = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    for each in sockets:
        each.setblocking(False)
    return sockets


async def readable(channel: socket.socket) -> None:
    came = asyncio.Event()
    asyncio.get_running_loop().add_reader(channel, came.set)
    try:
        await came.wait()
    finally:
        asyncio.get_running_loop().remove_reader(channel)


async def heard(channel: socket.socket) -> tuple[bytes, int, bytes]:
    """One answer: its number, its code, and the file's bytes or the text."""
    while True:
        try:
            message, files, _, _ = socket.recv_fds(channel, 4096, 4)
        except BlockingIOError:
            await readable(channel)
            continue
        break
    number, code, text = message[:NUMBER_BYTES], message[NUMBER_BYTES], message[NUMBER_BYTES + 1 :]
    assert len(files) == (code == FOUND and number != HELLO)
    for file in files:
        with os.fdopen(file, "rb") as stream:
            text += stream.read()
    return number, code, text


@asynccontextmanager
async def serving(store: MemoryStore) -> AsyncIterator[socket.socket]:
    """The cell's end of a fetcher's channel."""
    ours, theirs = pair()
    with theirs:
        running = asyncio.create_task(_Fetcher(store, theirs).run())  # type: ignore[arg-type]
        with ours:
            yield ours
        await asyncio.wait_for(running, 10)


async def test_answers_come_in_any_order_under_the_numbers_of_their_requests() -> None:
    store = MemoryStore()
    key = await store.put(DATA)
    store.gate.clear()
    async with serving(store) as channel:
        channel.send(ONE + key)
        await eventually(lambda: store.gets == [key], "the first is asked")
        channel.send(TWO + digest("absent"))
        await eventually(lambda: len(store.gets) == 2, "the second is asked meanwhile")
        store.gate.set()
        found = {number: (code, text) for number, code, text in [await heard(channel) for _ in range(2)]}
    assert found[ONE] == (FOUND, DATA)
    assert found[TWO][0] == FAILURES.index(NotFound) + 1


@pytest.mark.parametrize(
    ("failure", "kind"),
    [
        (NotFound("gone"), NotFound),
        (DataLoss("damaged"), DataLoss),
        (Unavailable("away"), Unavailable),
        (StoreRefused("closed"), StoreRefused),
        (InvalidSettings("wrong"), InvalidSettings),
    ],
)
async def test_what_failed_is_told_as_what_it_is(failure: CroupierError, kind: type[CroupierError]) -> None:
    store = MemoryStore()
    store.failure = failure
    async with serving(store) as channel:
        channel.send(ONE + digest("a"))
        number, code, text = await heard(channel)
    assert (number, FAILURES[code - 1]) == (ONE, kind)
    assert text == str(failure).encode()


@pytest.mark.parametrize("failure", [RuntimeError("secret"), InternalError("secret"), MemoryError("secret")])
async def test_what_nobody_expected_is_passing_and_says_no_more_than_its_kind(failure: Exception) -> None:
    store = MemoryStore()
    store.failure = failure
    async with serving(store) as channel:
        channel.send(ONE + digest("a"))
        _, code, text = await heard(channel)
    assert FAILURES[code - 1] is Unavailable
    assert text.decode() == f"the object store's process failed: {type(failure).__name__}"


async def test_a_long_text_fits_one_message() -> None:
    store = MemoryStore()
    store.failure = DataLoss("x" * 100_000)
    async with serving(store) as channel:
        channel.send(ONE + digest("a"))
        _, _, text = await heard(channel)
    assert text == b"x" * 1000


async def test_who_does_not_read_is_waited_for_and_misses_nothing() -> None:
    ours, theirs = pair()
    with ours, theirs:
        sending = asyncio.create_task(_send_all(theirs, 2_000))
        # Far more than the socket takes at once.
        for _ in range(50):
            await asyncio.sleep(0)
        assert not sending.done()
        for number in range(2_000):
            assert await heard(ours) == (number.to_bytes(NUMBER_BYTES, "little"), 1, b"x" * 1000)
        await sending


async def _send_all(channel: socket.socket, count: int) -> None:
    for number in range(count):
        await send(channel, number.to_bytes(NUMBER_BYTES, "little") + b"\x01" + b"x" * 1000)


async def test_a_cell_that_is_gone_ends_it_and_leaves_no_file_open() -> None:
    store = MemoryStore()
    key = await store.put(DATA)
    before = len(os.listdir("/proc/self/fd"))
    async with serving(store) as channel:
        for _ in range(5):
            channel.send(ONE + key)
    await eventually(lambda: len(os.listdir("/proc/self/fd")) <= before, "all are closed")


def start(url: str) -> tuple[subprocess.Popen[bytes], socket.socket]:
    ours, theirs = pair()
    with theirs:
        argv = [sys.executable, "-m", "cell.loading.fetcher", url, str(theirs.fileno())]
        return subprocess.Popen(argv, pass_fds=[theirs.fileno()]), ours


async def test_as_a_process_it_says_hello_serves_and_ends_with_its_socket(tmp_path: Path) -> None:
    async with open_store(f"file://{tmp_path}") as store:
        key = await store.put(DATA)
    child, channel = start(f"file://{tmp_path}")
    with channel:
        assert await heard(channel) == (HELLO, FOUND, b"")
        for number in (signal.SIGINT, signal.SIGTERM):
            child.send_signal(number)
        channel.send(ONE + key)
        assert await heard(channel) == (ONE, FOUND, DATA)
    assert await asyncio.to_thread(child.wait, 30) == 0


async def test_as_a_process_it_says_why_it_cannot_begin(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    child, channel = start(f"file://{tmp_path}/file/objects")
    with channel:
        number, code, text = await heard(channel)
    assert (number, FAILURES[code - 1]) == (HELLO, InvalidSettings)
    assert b"cannot be made" in text
    assert await asyncio.to_thread(child.wait, 30) == 0
