"""The S3 store against a real server that speaks S3: OpenStack Swift."""

import asyncio
import hashlib
import os
from contextlib import suppress

import pytest
from aiobotocore.session import get_session
from support.s3 import swift_s3
from support.spooled import SEGMENT, item, log_of, write

from croupier.errors import DataLoss, NotFound, Unavailable
from croupier.stores.objects import key_of, open_blobs, open_store
from croupier.stores.objects_file import FileBlobs
from croupier.stores.refused import StoreRefused
from croupier.stores.spool_folder import Spool
from croupierctl.log_files import open_log

pytestmark = pytest.mark.system

BUCKET = "artifacts"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with swift_s3(tmp_path_factory.mktemp("swift")) as server:
        yield server


@pytest.fixture
def environment(server, monkeypatch, tmp_path):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", server.access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", server.secret_key)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


@pytest.fixture
async def client(server, environment):
    """A plain S3 client beside the store, that sees and does what it likes."""
    async with get_session().create_client(
        "s3", endpoint_url=server.endpoint, region_name=server.region
    ) as client:
        with suppress(client.exceptions.BucketAlreadyOwnedByYou):
            await client.create_bucket(Bucket=BUCKET)
        yield client


@pytest.fixture
def url(server):
    return f"s3://{BUCKET}/team%20a/models?endpoint={server.endpoint}&region={server.region}"


@pytest.fixture
async def store(client, url):
    async with open_store(url) as store:
        yield store


def location(digest):
    return {"Bucket": BUCKET, "Key": f"team a/models/{key_of(digest)}"}


@pytest.mark.parametrize("size", [0, 1, 100_000, 9_000_000])
async def test_what_is_put_is_there_until_it_is_deleted(store, size):
    data = os.urandom(size)
    digest = await store.put(data)
    assert digest == hashlib.sha256(data).digest()
    assert await store.exists(digest)
    assert await store.get(digest) == data
    await store.delete(digest)
    await store.delete(digest)
    assert not await store.exists(digest)
    with pytest.raises(NotFound):
        await store.get(digest)


async def test_many_are_put_together(store):
    many = [os.urandom(200) for _ in range(80)]
    digests = [hashlib.sha256(data).digest() for data in many]
    await store.put_many(many[:50])
    assert await store.absent(digests) == set(digests[50:])
    await store.put_many(many)
    assert await store.absent(digests) == set()
    assert await store.get(digests[77]) == many[77]


async def test_an_object_lies_below_the_prefix(store, client):
    digest = await store.put(b"a model")
    assert (await client.head_object(**location(digest)))["ContentLength"] == 7


async def test_what_is_there_already_is_not_written_again(store, client):
    digest = await store.put(b"written once")
    before = (await client.head_object(**location(digest)))["ResponseMetadata"]["HTTPHeaders"]
    await store.put(b"written once")
    after = (await client.head_object(**location(digest)))["ResponseMetadata"]["HTTPHeaders"]
    assert before["last-modified"] == after["last-modified"]


async def test_two_stores_may_write_the_same_at_once(store, url):
    data = os.urandom(50_000)
    async with open_store(url) as other:
        digests = await asyncio.gather(*(writer.put(data) for writer in [store, other] * 4))
    assert len(set(digests)) == 1
    assert await store.get(digests[0]) == data


async def test_an_object_overwritten_behind_our_back_is_data_loss_until_it_is_put_again(store, client):
    digest = await store.put(b"the right model")
    await client.put_object(**location(digest), Body=b"the wrong model")
    with pytest.raises(DataLoss):
        await store.get(digest)
    await store.put(b"the right model")
    assert await store.get(digest) == b"the right model"


async def test_a_bucket_that_does_not_exist_is_the_operators_fault(client, url):
    async with open_store(url.replace(BUCKET, "elsewhere")) as store:
        with pytest.raises(StoreRefused, match="NoSuchBucket"):
            await store.put(b"a model")


@pytest.mark.parametrize(("user", "secret"), [("stranger", None), ("access_key", "wrong")])
async def test_wrong_credentials_are_the_operators_fault(client, server, url, monkeypatch, user, secret):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", getattr(server, user))
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", secret or server.secret_key)
    async with open_store(url) as store:
        for ask in (store.get, store.exists):
            with pytest.raises(StoreRefused):
                await ask(bytes(32))
        with pytest.raises(StoreRefused):
            await store.put(b"a model")


async def test_a_server_that_died_may_come_back(tmp_path, environment):
    with swift_s3(tmp_path) as server:
        url = f"s3://{BUCKET}?endpoint={server.endpoint}&region={server.region}"
        async with open_store(url) as store:
            with pytest.raises(StoreRefused):
                await store.get(bytes(32))
            server.kill()
            with pytest.raises(Unavailable):
                await store.get(bytes(32))


async def test_the_log_is_written_and_asked_there(client, url, tmp_path):
    (tmp_path / "artifacts").mkdir()
    writer = Spool(tmp_path / "spool", "a", 20 * SEGMENT, SEGMENT)
    for at in range(30):
        write(writer, item({"a": float(at)}, request_id=f"r{at}", family="fräud b" if at % 2 else "churn"))
    async with open_blobs(url) as blobs:
        log = log_of(tmp_path / "spool", blobs, FileBlobs(tmp_path / "artifacts"))
        log.gather()
        await log.write()
    writer.close()
    rows = await asyncio.to_thread(lambda: open_log(url).dataset("fräud b", None).to_table().to_pylist())
    assert sorted(row["request_id"] for row in rows) == sorted(f"r{at}" for at in range(30) if at % 2)
    assert {row["family"] for row in rows} == {"fräud b"}
    assert await asyncio.to_thread(lambda: open_log(url).dataset("other", None).to_table().num_rows) == 0
