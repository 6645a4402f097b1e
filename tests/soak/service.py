"""The server of the cancel soak: it replies, fails, is slow or never answers, as each request tells it.

It is a process of its own, which prints its address and ends when its input does.
"""

from __future__ import annotations

import asyncio
import ctypes
import gc
import json
import logging
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

from croupier.codes import Code
from croupier.errors import Unavailable
from croupier.transport.context import Context
from croupier.transport.http2.limits import Limits
from croupier.transport.http2.server_call import ServerCall
from croupier.transport.serving import Server
from croupier.transport.status import RpcError

SERVICE = "soak.Cancels"
BATCH, UNARY, STREAM, STATS = (f"/{SERVICE}/{name}" for name in ("Batch", "Unary", "Stream", "Stats"))

# Resets are what this is about: the limits that guard against a flood of them would end the connection.
LIMITS = Limits(reset_burst=10**9, reset_rate=10**9)

# The first byte of a request says what becomes of it.
REPLY, FAIL, BREAK, LATER, NEVER, MANY = b"r", b"f", b"x", b"l", b"n", b"m"
LATER_SECONDS = 0.002
_LIBC = ctypes.CDLL(None)
MANY_MESSAGES, MANY_BYTES = 20, 10_000


def rss_bytes() -> int:
    """The resident memory of this process, once what nobody uses has been given back."""
    gc.collect()
    if hasattr(_LIBC, "malloc_trim"):
        # glibc keeps what was freed, and how much of it is chance.
        _LIBC.malloc_trim(0)
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


class Service:
    def __init__(self, server: Server) -> None:
        self._server = server
        # Calls of the batch method that wait for ever.
        self._held: set[ServerCall] = set()
        server.add_batch([BATCH], self._batch)
        server.add_unary(UNARY, self._unary)
        server.add_stream(STREAM, self._stream)
        server.add_unary(STATS, self._stats)

    def _batch(self, calls: list[ServerCall]) -> None:
        for call in calls:
            match call.message[:1]:
                case b"f" | b"x":
                    call.fail(Code.NOT_FOUND, "as told", b"details")
                case b"l":
                    asyncio.get_running_loop().call_later(LATER_SECONDS, call.reply, call.message)
                case b"n":
                    self._held.add(call)
                    call.on_cancel = lambda call=call: self._held.discard(call)
                case _:
                    call.reply(call.message)

    async def _unary(self, message: bytes, context: Context) -> bytes:
        await _obey(message, context)
        return message

    async def _stream(self, messages: AsyncIterator[bytes], context: Context) -> AsyncIterator[bytes]:
        async for message in messages:
            await _obey(message, context)
            if message[:1] == MANY:
                for _ in range(MANY_MESSAGES):
                    yield bytes(MANY_BYTES)
            else:
                yield message

    async def _stats(self, message: bytes, context: Context) -> bytes:
        """What is left of the calls before, and the memory that this process has."""
        server = self._server
        stats = {
            "rss": rss_bytes(),
            "waiting": len(self._held),
            "tasks": len(server._tasks),
            "calls": sum(each.session.open_calls for each in server._connections),
            "bytes": server._budget.used,
        }
        return json.dumps(stats).encode()


async def _obey(message: bytes, context: Context) -> None:
    match message[:1]:
        case b"f":
            raise RpcError(
                Code.FAILED_PRECONDITION, "as told", b"details", (("x-why", "told"), ("x-why-bin", b"\1"))
            )
        case b"x":
            raise Unavailable("as told", retry_after=1.0) if len(message) % 2 else RuntimeError("as told")
        case b"l":
            await asyncio.sleep(LATER_SECONDS)
        case b"n":
            await asyncio.Event().wait()
        case b"m":
            context.send_initial_metadata((("x-many", str(MANY_MESSAGES)),))


async def _serve() -> None:
    # A handler's failure is logged with its traceback: half of what this server does.
    logging.disable()
    server = Server(limits=LIMITS)
    Service(server)
    address = await server.start("127.0.0.1:0", [SERVICE])
    sys.stdout.write(f"{address}\n")
    sys.stdout.flush()
    await _end_of_input()
    await server.stop(0)


async def _end_of_input() -> None:
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_reader(sys.stdin, ended.set)
    await ended.wait()
    loop.remove_reader(sys.stdin)


def run(main: Callable[[], Awaitable[int | None]], loop: str) -> int | None:
    """Run `main` on asyncio's own loop or on uvloop."""
    if loop == "uvloop":
        import uvloop

        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(_call(main))
    return asyncio.run(_call(main))


async def _call(main: Callable[[], Awaitable[int | None]]) -> int | None:
    return await main()


if __name__ == "__main__":
    run(_serve, sys.argv[1])
