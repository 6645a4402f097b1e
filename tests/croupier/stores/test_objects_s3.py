"""What each answer of an S3 server means, told by a server that answers as a test says."""

import asyncio
from contextlib import asynccontextmanager

import pytest
from support.ports import free_port

from croupier.errors import NotFound, Unavailable
from croupier.stores.objects_s3 import open_bucket
from croupier.stores.refused import StoreRefused

KEY = "ab/abcd"


class ScriptedServer:
    """Answers one request a connection with the next line of its script; `requests` are the heads."""

    def __init__(self, *script):
        self.script = list(script)
        self.requests = []
        self.arrived = asyncio.Event()
        self.hung_up = asyncio.Event()

    async def serve(self, reader, writer):
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        self.requests.append(head)
        self.arrived.set()
        answer = self.script.pop(0) if self.script else b""
        if answer is None:
            await reader.read()
            self.hung_up.set()
        else:
            writer.write(answer)
        writer.close()
        await writer.wait_closed()


def answer(status, code="", body=b"", length=None):
    body = body or (f"<Error><Code>{code}</Code><Message>m</Message></Error>".encode() if code else b"")
    length = len(body) if length is None else length
    head = f"HTTP/1.1 {status} Status\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
    return head.encode() + body


@pytest.fixture(autouse=True)
def credentials(monkeypatch, tmp_path):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


@asynccontextmanager
async def bucket_of(script):
    server = await asyncio.start_server(script.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with (
        server,
        open_bucket("bucket", "models", endpoint=f"http://127.0.0.1:{port}", region="us-east-1") as blobs,
    ):
        yield blobs


async def test_a_key_lies_below_the_prefix_of_the_bucket():
    script = ScriptedServer(answer(200, body=b"data"))
    async with bucket_of(script) as blobs:
        assert await blobs.read(KEY) == b"data"
    assert script.requests[0].startswith(f"GET /bucket/models/{KEY} HTTP/1.1")


async def test_a_write_is_conditional_and_signed_with_its_digest():
    script = ScriptedServer(answer(200))
    async with bucket_of(script) as blobs:
        await blobs.create(KEY, b"data")
    (head,) = script.requests
    assert "If-None-Match: *" in head
    # SHA-256 of b"data".
    expected = "3a6eb0790f39ac87c94f3856b2dd2c5d110e6811602261a9a923d3bb23adc8b7"
    assert f"X-Amz-Content-SHA256: {expected}" in head
    assert "crc" not in head.lower()


async def test_another_writer_may_be_first():
    async with bucket_of(ScriptedServer(answer(412, "PreconditionFailed"))) as blobs:
        await blobs.create(KEY, b"data")


async def test_a_server_without_conditional_writes_gets_a_plain_one():
    script = ScriptedServer(answer(501, "NotImplemented"), answer(200))
    async with bucket_of(script) as blobs:
        await blobs.create(KEY, b"data")
    assert ["If-None-Match" in head for head in script.requests] == [True, False]


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (answer(404, "NoSuchKey"), NotFound),
        (answer(404, "NoSuchBucket"), StoreRefused),
        (answer(400, "AuthorizationHeaderMalformed"), StoreRefused),
        (answer(401, "Unauthorized"), StoreRefused),
        (answer(403, "AccessDenied"), StoreRefused),
        (answer(501, "NotImplemented"), StoreRefused),
        (answer(408, "RequestTimeout"), Unavailable),
        (answer(409, "ConditionalRequestConflict"), Unavailable),
    ],
)
async def test_what_an_answer_means(reply, expected):
    async with bucket_of(ScriptedServer(reply, reply, reply)) as blobs:
        with pytest.raises(expected):
            await blobs.read(KEY)


async def test_an_overloaded_server_is_asked_three_times():
    script = ScriptedServer(*[answer(503, "SlowDown")] * 9)
    async with bucket_of(script) as blobs:
        with pytest.raises(Unavailable):
            await blobs.read(KEY)
    assert len(script.requests) == 3


async def test_an_answer_that_breaks_off_may_be_whole_next_time():
    async with bucket_of(ScriptedServer(answer(200, body=b"da", length=4))) as blobs:
        with pytest.raises(Unavailable):
            await blobs.read(KEY)


async def test_a_server_that_is_not_there_may_come_back():
    endpoint = f"http://127.0.0.1:{free_port()}"
    async with open_bucket("bucket", "", endpoint=endpoint, region="us-east-1") as blobs:
        with pytest.raises(Unavailable):
            await blobs.read(KEY)


async def test_no_credentials_are_the_operators_fault(monkeypatch):
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    script = ScriptedServer()
    async with bucket_of(script) as blobs:
        with pytest.raises(StoreRefused, match="credentials"):
            await blobs.read(KEY)
    assert script.requests == []


async def test_a_cancelled_read_hangs_up_and_the_next_one_works():
    script = ScriptedServer(None, answer(200, body=b"data"))
    async with bucket_of(script) as blobs, asyncio.timeout(10):
        reading = asyncio.create_task(blobs.read(KEY))
        await script.arrived.wait()
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        await script.hung_up.wait()
        assert await blobs.read(KEY) == b"data"
