"""Our client as an interop caller, and the program that drives any server with it.

python -m tests.interop.client --host 127.0.0.1 --port 8080 --test_case all

One line a case; the exit code is 1 if one failed.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from croupier.settings import ClientTls
from croupier.transport.client import Channel
from croupier.transport.metadata import Pairs
from croupier.transport.stream import Stream

from .cases import CASES, SERVER_COMPRESSES
from .messages import LIMITS, Method

_GIVE_UP_SECONDS = 60.0
_ALL = CASES | SERVER_COMPRESSES


@asynccontextmanager
async def call(target: str, tls: ClientTls | None = None) -> AsyncIterator[OurCaller]:
    """Our client to `target`."""
    channel = Channel(target, tls=tls, limits=LIMITS)
    try:
        yield OurCaller(channel)
    finally:
        await channel.close()


class OurCaller:
    def __init__(self, channel: Channel) -> None:
        self._channel = channel

    async def unary(self, method: Method, request: Any) -> Any:
        return method.response.FromString(await self._channel.unary(method.path, request.SerializeToString()))

    def open(self, method: Method, *, metadata: Pairs = (), timeout: float | None = None) -> _Conversation:
        return _Conversation(self._channel.stream(method.path, timeout=timeout, metadata=metadata), method)


class _Conversation:
    def __init__(self, stream: Stream, method: Method) -> None:
        self._stream = stream
        self._method = method

    async def send(self, request: Any) -> None:
        await self._stream.send(request.SerializeToString())

    async def end(self) -> None:
        self._stream.end()

    async def receive(self) -> Any:
        message = await self._stream.receive()
        return None if message is None else self._method.response.FromString(message)

    async def initial_metadata(self) -> Pairs:
        return await self._stream.initial_metadata()

    async def trailing_metadata(self) -> Pairs:
        return self._stream.trailing_metadata

    def cancel(self) -> None:
        self._stream.cancel()


async def _run(target: str, tls: ClientTls | None, names: list[str]) -> bool:
    """Run the cases; whether all went well."""
    failures = 0
    async with call(target, tls) as caller:
        for name in names:
            try:
                await asyncio.wait_for(_ALL[name](caller), _GIVE_UP_SECONDS)
            except Exception as error:  # noqa: BLE001 - whatever it is, it is the case's result
                failures += 1
                sys.stdout.write(f"{name}: failed: {type(error).__name__}: {error}\n")
            else:
                sys.stdout.write(f"{name}: passed\n")
            sys.stdout.flush()
    return failures == 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--test_case", choices=["all", *_ALL], default="all")
    parser.add_argument("--tls-ca", type=Path, help="PEM file of the authority; without it, plaintext")
    parser.add_argument("--tls-certificate", type=Path, help="PEM file of this client's certificate")
    parser.add_argument("--tls-key", type=Path)
    return parser.parse_args()


def main() -> int:
    arguments = _arguments()
    tls = None
    if arguments.tls_ca is not None:
        tls = ClientTls(arguments.tls_ca, arguments.tls_certificate, arguments.tls_key)
    names = list(_ALL) if arguments.test_case == "all" else [arguments.test_case]
    return 0 if asyncio.run(_run(f"{arguments.host}:{arguments.port}", tls, names)) else 1


if __name__ == "__main__":
    sys.exit(main())
