"""How long calls took, as the server and as the client count it, by code."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator

import pytest
from prometheus_client import REGISTRY
from support.serving import serving, start
from support.waiting import eventually

from croupier.codes import Code
from croupier.errors import NotFound
from croupier.telemetry.durations import Durations, Series
from croupier.transport.client import Channel
from croupier.transport.context import Context
from croupier.transport.http2.server_call import ServerCall
from croupier.transport.serving import Server

BATCH, UNARY, STREAM = (f"/test.Durations/{name}" for name in ("Batch", "Unary", "Stream"))


class Seen:
    """Durations of a client, by the code's name."""

    def __init__(self) -> None:
        self.series: dict[str, Series] = {}
        self.durations = Durations(self._series)

    def _series(self, code: str) -> Series:
        self.series[code] = Series((0.02, 100.0))
        return self.series[code]

    @property
    def counts(self) -> Counter[str]:
        return Counter({code: sum(series.counts) for code, series in self.series.items()})


def served(path: str) -> Counter[str]:
    """How many calls of the method the server has counted in this process, by code."""
    name = "rpc_server_call_duration_seconds_count"
    samples = [sample for metric in REGISTRY.collect() for sample in metric.samples if sample.name == name]
    return Counter(
        {
            sample.labels["rpc_response_status_code"]: int(sample.value)
            for sample in samples
            if sample.labels["rpc_method"] == path.removeprefix("/")
        }
    )


@pytest.fixture
async def held() -> list[ServerCall]:
    return []


@pytest.fixture
async def address(held: list[ServerCall]) -> AsyncIterator[str]:
    def batch(calls: list[ServerCall]) -> None:
        for call in calls:
            if call.message == b"hold":
                held.append(call)
            elif call.message == b"fail":
                call.fail(Code.NOT_FOUND, "nothing")
            else:
                call.reply(call.message)

    async def unary(message: bytes, context: Context) -> bytes:
        if message == b"fail":
            raise NotFound("nothing")
        if message == b"hold":
            await asyncio.Event().wait()
        return message

    async def stream(messages: AsyncIterator[bytes], context: Context) -> AsyncIterator[bytes]:
        async for message in messages:
            yield await unary(message, context)

    server = Server()
    server.add_batch([BATCH], batch)
    server.add_unary(UNARY, unary)
    server.add_stream(STREAM, stream)
    async with serving(server) as address:
        yield address


@pytest.mark.parametrize("path", [BATCH, UNARY, STREAM])
async def test_each_end_is_counted_once_on_both_sides(address: str, path: str) -> None:
    before, seen = served(path), Seen()
    channel = Channel(address, durations=seen.durations)
    try:
        for message in (b"good", b"good", b"fail"):
            await start(channel, path, message)
    finally:
        await channel.close()
    assert seen.counts == served(path) - before == {"OK": 2, "NOT_FOUND": 1}


async def test_a_call_that_is_given_up_counts_for_as_long_as_it_took(
    address: str, held: list[ServerCall]
) -> None:
    before, seen = served(BATCH), Seen()
    channel = Channel(address, durations=seen.durations)
    try:
        future = start(channel, BATCH, b"hold")
        await eventually(lambda: len(held) == 1)
        future.call.cancel()  # type: ignore[attr-defined]
        future.call.cancel()  # type: ignore[attr-defined]
        await eventually(lambda: not held[0].is_open)
        held[0].reply(b"to nobody")
        assert seen.counts == served(BATCH) - before == {"CANCELLED": 1}
    finally:
        await channel.close()


async def test_a_lost_connection_counts_as_what_the_caller_is_told(
    address: str, held: list[ServerCall]
) -> None:
    before, seen = served(BATCH), Seen()
    channel = Channel(address, durations=seen.durations)
    ended = start(channel, BATCH, b"hold")
    await eventually(lambda: len(held) == 1)
    await channel.close()
    assert (await ended).code == Code.UNAVAILABLE
    await eventually(lambda: not held[0].is_open)
    assert seen.counts == {"UNAVAILABLE": 1}
    assert served(BATCH) - before == {"CANCELLED": 1}


async def test_it_counts_from_when_its_caller_began_and_to_when_the_answer_came(address: str) -> None:
    seen = Seen()
    channel = Channel(address, durations=seen.durations)
    began = time.monotonic() - 50.0
    try:
        for message in (b"good", b"fail"):
            ended = asyncio.get_running_loop().create_future()
            channel.start(BATCH.encode(), message, 10.0, ended.set_result, (), began)
            await ended
    finally:
        await channel.close()
    now = time.monotonic()
    assert {code: series.counts for code, series in seen.series.items()} == {
        "OK": [0, 1, 0],
        "NOT_FOUND": [0, 1, 0],
    }
    assert all(50.0 < series.sum <= now - began for series in seen.series.values())


async def test_nobody_is_there() -> None:
    seen = Seen()
    channel = Channel("127.0.0.1:1", durations=seen.durations)
    try:
        assert (await start(channel, BATCH, b"good")).code == Code.UNAVAILABLE
        assert seen.counts == {"UNAVAILABLE": 1}
    finally:
        await channel.close()


async def test_what_no_route_serves_makes_no_series(address: str) -> None:
    before = len(list(REGISTRY.collect())), served("/test.Durations/Nothing")
    channel = Channel(address)
    try:
        assert (await start(channel, "/test.Durations/Nothing", b"")).code == Code.UNIMPLEMENTED
    finally:
        await channel.close()
    assert (len(list(REGISTRY.collect())), served("/test.Durations/Nothing")) == before
