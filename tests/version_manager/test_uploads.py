from __future__ import annotations

import asyncio
import tracemalloc
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest

from croupier.artifacts.format import HEADER_SIZE, InvalidArtifact, Tensor, pack
from croupier.errors import InvalidRequest, TooLarge
from protos.versions.v1 import versions_pb2 as pb
from version_manager.uploads import UploadLimits, Uploads, UploadsFull, UploadTooSlow

LIMITS = UploadLimits(max_bytes=100, total_bytes=150, at_once=2)


def header(size: int) -> pb.PublishRequest:
    about = pb.PublishRequest.Header(tenant="acme", name="wine", artifact=bytes(32), size=size)
    return pb.PublishRequest(header=about)


def packed(size: int = 0) -> bytes:
    """An artifact with so many bytes in its section."""
    tensor = Tensor("x", "FP32", (-1, 1))
    return pack(engine="linear", inputs=[tensor], outputs=[tensor], sections={"weights": bytes(size)})


def chunk(data: bytes) -> pb.PublishRequest:
    return pb.PublishRequest(chunk=data)


async def sent(*parts: pb.PublishRequest, hangs: bool = False) -> AsyncIterator[pb.PublishRequest]:
    for part in parts:
        yield part
    if hangs:
        await asyncio.Event().wait()


async def test_one_is_counted_until_it_is_published() -> None:
    uploads = Uploads(LIMITS)
    async with uploads.receive(sent(header(5), chunk(b"abc"), chunk(b"de"))) as upload:
        assert (upload.tenant, upload.name, upload.data) == ("acme", "wine", b"abcde")
        assert (uploads.count, uploads.held) == (1, 5)
    assert (uploads.count, uploads.held) == (0, 0)


async def test_one_takes_what_it_announces_and_little_more() -> None:
    artifact = packed(2**24)
    pieces = [chunk(artifact[at : at + 2**18]) for at in range(0, len(artifact), 2**18)]
    uploads = Uploads(UploadLimits(max_bytes=len(artifact)))
    tracemalloc.start()
    try:
        async with uploads.receive(sent(header(len(artifact)), *pieces)) as upload:
            assert upload.data == artifact
            _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 1.3 * len(artifact)


@pytest.mark.parametrize("pieces", [1, 2, HEADER_SIZE])
@pytest.mark.parametrize(
    ("begin", "announced"),
    [(packed()[:HEADER_SIZE], len(packed()) + 1), (bytes(HEADER_SIZE), 100), (b"CROUPIER" * 4, 100)],
    ids=["another size", "no magic", "another format"],
)
async def test_what_does_not_begin_as_an_artifact_is_refused_by_its_first_bytes(
    begin: bytes, announced: int, pieces: int
) -> None:
    size = HEADER_SIZE // pieces
    parts = [chunk(begin[at : at + size]) for at in range(0, HEADER_SIZE, size)]

    async def sent_on() -> AsyncIterator[pb.PublishRequest]:
        async for part in sent(header(announced), *parts):
            yield part
        pytest.fail("more is asked for")

    uploads = Uploads(UploadLimits())
    with pytest.raises(InvalidArtifact):
        async with uploads.receive(sent_on()):
            pass
    assert (uploads.count, uploads.held) == (0, 0)


@pytest.mark.parametrize("size", [60, 1], ids=["too many bytes", "too many"])
async def test_what_there_is_no_room_for_comes_again(size: int) -> None:
    uploads = Uploads(LIMITS)
    async with AsyncExitStack() as stack:
        for _ in range(2):
            await stack.enter_async_context(uploads.receive(sent(header(50))))
        with pytest.raises(UploadsFull) as refused:
            await stack.enter_async_context(uploads.receive(sent(header(size))))
        assert refused.value.retry_after > 0
    async with uploads.receive(sent(header(size))):
        assert uploads.count == 1


async def test_it_is_bounded_in_all() -> None:
    uploads = Uploads(UploadLimits(max_bytes=100, total_bytes=150))
    async with uploads.receive(sent(header(100))):
        with pytest.raises(UploadsFull):
            async with uploads.receive(sent(header(60))):
                pass


@pytest.mark.parametrize("parts", [(), (header(5),), (header(5), chunk(b"ab"))])
@pytest.mark.parametrize(
    "limits", [UploadLimits(idle_seconds=0.01), UploadLimits(total_seconds=0.01)], ids=["idle", "in all"]
)
async def test_who_says_nothing_more_is_told_off(
    parts: tuple[pb.PublishRequest, ...], limits: UploadLimits
) -> None:
    uploads = Uploads(limits)
    with pytest.raises(UploadTooSlow):
        async with uploads.receive(sent(*parts, hangs=True)):
            pass
    assert (uploads.count, uploads.held) == (0, 0)


@pytest.mark.parametrize(
    ("parts", "error"),
    [
        ((), InvalidRequest),
        ((chunk(b"x"),), InvalidRequest),
        ((header(5), header(5)), InvalidRequest),
        ((header(1), chunk(b"ab")), InvalidRequest),
        ((header(101),), TooLarge),
    ],
)
async def test_what_no_publisher_sends(parts: tuple[pb.PublishRequest, ...], error: type[Exception]) -> None:
    uploads = Uploads(LIMITS)
    with pytest.raises(error):
        async with uploads.receive(sent(*parts)):
            pass
    assert (uploads.count, uploads.held) == (0, 0)
