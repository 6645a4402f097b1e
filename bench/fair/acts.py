"""What an offender does with its requests, for so many seconds, in a process of its own.

Each act takes a router's address, a load and seconds, and says what came of it. All of them can be sent to
another process, with their arguments bound.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field

from bench import calling, openloop
from bench.calling import TIMEOUT, Done, Requests
from bench.catalog import PREDICT_STREAM, Load
from bench.fair.noting import Notes, callers, name_of
from bench.h2load import CLIENTS
from croupier.codes import Code
from croupier.transport.client import Channel
from croupier.transport.status import RpcError
from croupier.transport.stream import Stream
from protos.prediction.v1 import prediction_pb2 as pb

# A pause in which what is cancelled may have been sent.
_AT_ONCE_SECONDS = 0.001
# Its digest takes about as long as a run of the slow model.
_BURNED = bytes(8 * 2**20)


@dataclass(frozen=True, slots=True)
class Account:
    """Requests `asked`, by the names of the codes how they ended (`codes`), and what was said of failures."""

    asked: int = 0
    codes: Counter[str] = field(default_factory=Counter)
    words: Counter[str] = field(default_factory=Counter)

    def with_(self, other: Account) -> Account:
        return Account(self.asked + other.asked, self.codes + other.codes, self.words + other.words)

    @property
    def served(self) -> int:
        return self.codes[Code.OK.name]

    @property
    def refused(self) -> int:
        """By a limit, and told so."""
        return self.codes[Code.RESOURCE_EXHAUSTED.name]


Act = Callable[[str, Load, float], Awaitable[Account]]


async def open_loop(
    router: str,
    load: Load,
    seconds: float,
    *,
    rate: float,
    connections: int = CLIENTS,
    timeout: float = TIMEOUT,
) -> Account:
    """So many requests a second, whatever is answered."""
    notes = Notes()
    async with calling.channels(router, count=connections) as channels:
        moments = await openloop.open_loop_of_moments(
            callers(channels, notes, timeout), load, rate=rate, seconds=seconds, seed=1
        )
    return _account(len(moments.due), notes)


async def closed_loop(
    router: str,
    load: Load,
    seconds: float,
    *,
    streams: int,
    connections: int = CLIENTS,
    heeds: bool = False,
) -> Account:
    """So many requests under way on each connection; one that `heeds` waits as long as it is told to."""
    notes = Notes()
    async with calling.channels(router, count=connections) as channels:
        moments = await openloop.closed_loop_of_moments(
            callers(channels, notes, heeds=heeds), load, seconds=seconds, streams=streams
        )
    return _account(len(moments.due), notes)


async def cancelled(router: str, load: Load, seconds: float, *, rate: float) -> Account:
    """As `open_loop`, and each request is cancelled a millisecond later."""
    async with calling.channels(router) as channels:
        moments = await openloop.open_loop_of_moments(
            [_Canceller(channel) for channel in channels], load, rate=rate, seconds=seconds, seed=1
        )
    return Account(len(moments.due))


class _Canceller:
    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._loop = asyncio.get_running_loop()

    def start(self, load: Requests, number: int, done: Done) -> None:
        tenant = (b"croupier-tenant", load.tenant(number))
        call = self._channel.start(load.path, load.message(number), TIMEOUT, lambda call: None, (tenant,))

        def cancel() -> None:
            call.cancel()
            done(number, False)

        self._loop.call_later(_AT_ONCE_SECONDS, cancel)


async def messages(router: str, load: Load, seconds: float, *, rate: float) -> Account:
    """As `open_loop`, of messages on one stream for each connection; a stream that ends is opened anew."""
    notes, asked = Notes(), 0
    give_up = time.monotonic() + seconds
    async with calling.channels(router) as channels:
        every = len(channels) / rate

        async def talk(channel: Channel) -> None:
            nonlocal asked
            while time.monotonic() < give_up:
                async with channel.stream(PREDICT_STREAM, metadata=_metadata(load)) as stream:
                    sent = await _talk(stream, load, notes, give_up, every)
                asked += sent

        await asyncio.gather(*map(talk, channels))
    return _account(asked, notes)


async def _talk(stream: Stream, load: Load, notes: Notes, give_up: float, every: float) -> int:
    """How many messages were sent before the stream ended."""
    sent = 0

    async def speak() -> None:
        nonlocal sent
        due = time.monotonic()
        while time.monotonic() < give_up:
            await stream.send(_streamed(load.message(sent), sent))
            sent += 1
            due += every
            await asyncio.sleep(due - time.monotonic())
        stream.end()

    speaking = asyncio.create_task(speak())
    try:
        async for answer in stream:
            response = pb.PredictStreamResponse.FromString(answer)
            _note_outcome(notes, response)
    except RpcError as error:
        notes.note(len(notes.codes), error.code, error.message)
    finally:
        speaking.cancel()
        with suppress(asyncio.CancelledError):
            await speaking
    return sent


def _note_outcome(notes: Notes, response: pb.PredictStreamResponse) -> None:
    number = len(notes.codes)
    if response.HasField("status"):
        notes.note(number, response.status.code, response.status.message)
        return
    (result, *_) = response.response.results
    if result.HasField("status"):
        notes.note(number, result.status.code, result.status.message)
    else:
        notes.note(number, Code.OK)


async def streams(router: str, load: Load, seconds: float, *, count: int) -> Account:
    """Open so many streams, ask once on each, and keep all open until the time is over."""
    notes, over = Notes(), asyncio.Event()
    async with calling.channels(router, count=1 + count // 1_000) as channels:

        async def hold(number: int) -> None:
            channel = channels[number % len(channels)]
            try:
                async with channel.stream(PREDICT_STREAM, metadata=_metadata(load)) as stream:
                    await stream.send(_streamed(load.message(number), number))
                    answer = await stream.receive()
                    if answer is None:
                        notes.note(number, Code.UNKNOWN, "the stream ended")
                        return
                    _note_outcome(notes, pb.PredictStreamResponse.FromString(answer))
                    await over.wait()
                    stream.end()
                    await stream.receive()
            except RpcError as error:
                notes.codes.setdefault(number, error.code)
                notes.words[f"{name_of(error.code)}: {error.message}"] += 1
            except ConnectionError as error:
                notes.note(number, Code.UNAVAILABLE, str(error))

        holding = [asyncio.create_task(hold(number)) for number in range(count)]
        await asyncio.wait(holding, timeout=seconds)
        over.set()
        await asyncio.wait(holding, timeout=TIMEOUT)
        for one in holding:
            one.cancel()
        await asyncio.gather(*holding, return_exceptions=True)
    return _account(count, notes)


async def burned(router: str, load: Load, seconds: float, *, share: float, threads: int = 2) -> Account:
    """Ask for nothing: take `share` of a processor in each of so many threads, milliseconds at a time."""
    give_up = time.monotonic() + seconds

    def burn() -> int:
        began, runs = time.monotonic(), 0
        while (now := time.monotonic()) < give_up:
            # A digest holds no interpreter's lock.
            hashlib.sha256(_BURNED)
            runs += 1
            time.sleep(max(0.0, time.thread_time() / share - (now - began)))
        return runs

    with ThreadPoolExecutor(threads) as pool:
        burning = [asyncio.wrap_future(pool.submit(burn)) for _ in range(threads)]
        runs = sum(await asyncio.gather(*burning))
    return Account(runs, Counter({Code.OK.name: runs}))


def _metadata(load: Load) -> list[tuple[str, str]]:
    return [("croupier-tenant", load.tenant(0).decode())]


def _streamed(request: bytes, number: int) -> bytes:
    """A PredictRequest as a message of a stream."""
    parsed = pb.PredictRequest.FromString(request)
    return pb.PredictStreamRequest(id=number, request=parsed).SerializeToString()


def _account(asked: int, notes: Notes) -> Account:
    return Account(asked, Counter(map(name_of, notes.codes.values())), notes.words)
