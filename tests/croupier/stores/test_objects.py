"""Content addressing, on blobs that a test can spoil, and which URLs name a store."""

import asyncio
import hashlib
import sys

import pytest

from croupier.errors import DataLoss, NotFound, Unavailable
from croupier.names import InvalidName
from croupier.settings import InvalidSettings
from croupier.stores import objects
from croupier.stores.objects import VerifiedObjects, key_of, open_store

DATA = b"a model"
DIGEST = hashlib.sha256(DATA).digest()


class MemoryBlobs:
    """Blobs in a dictionary; `calls` says what was asked of them."""

    def __init__(self):
        self.held = {}
        self.calls = []
        self.gate = asyncio.Event()
        self.gate.set()

    async def read(self, key):
        self.calls.append("read")
        await self.gate.wait()
        if key not in self.held:
            raise NotFound(key)
        return self.held[key]

    async def create(self, key, data):
        self.calls.append("create")
        self.held.setdefault(key, data)

    async def replace(self, key, data):
        self.calls.append("replace")
        self.held[key] = data

    async def exists(self, key):
        return key in self.held

    async def delete(self, key):
        self.held.pop(key, None)


@pytest.fixture
def blobs():
    return MemoryBlobs()


@pytest.fixture
def store(blobs):
    return VerifiedObjects(blobs)


def test_the_key_of_a_digest_is_its_hexadecimal_below_its_first_byte():
    assert key_of(bytes.fromhex("ab" * 32)) == "ab/" + "ab" * 32


@pytest.mark.parametrize("digest", [b"", b"x" * 31, b"x" * 33])
async def test_what_is_no_digest_is_refused(store, digest):
    for ask in (store.get, store.exists, store.delete):
        with pytest.raises(InvalidName):
            await ask(digest)


async def test_what_is_put_is_there_until_it_is_deleted(store):
    assert not await store.exists(DIGEST)
    assert await store.put(DATA) == DIGEST
    assert await store.exists(DIGEST)
    assert await store.get(DIGEST) == DATA
    await store.delete(DIGEST)
    await store.delete(DIGEST)
    with pytest.raises(NotFound):
        await store.get(DIGEST)


async def test_what_is_there_already_is_not_written_again(store, blobs):
    await store.put(DATA)
    await store.put(DATA)
    assert blobs.calls == ["read", "create", "read"]


@pytest.mark.parametrize("spoilt", [b"", DATA[:-1], DATA + b"\0", b"b model"])
async def test_other_bytes_are_data_loss_and_putting_again_mends_them(store, blobs, spoilt):
    await store.put(DATA)
    blobs.held[key_of(DIGEST)] = spoilt
    with pytest.raises(DataLoss) as caught:
        await store.get(DIGEST)
    assert caught.value.metadata == {"artifact": DIGEST.hex()}
    await store.put(DATA)
    assert await store.get(DIGEST) == DATA


async def test_the_empty_artifact_can_be_kept(store):
    assert await store.get(await store.put(b"")) == b""


async def test_a_cancelled_get_leaves_the_store_usable(store, blobs):
    await store.put(DATA)
    blobs.gate.clear()
    getting = asyncio.create_task(store.get(DIGEST))
    async with asyncio.timeout(5):
        while blobs.calls != ["read", "create", "read"]:
            await asyncio.sleep(0)
    getting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await getting
    blobs.gate.set()
    assert await store.get(DIGEST) == DATA


async def test_a_cancelled_put_has_written_nothing(store, blobs):
    blobs.gate.clear()
    putting = asyncio.create_task(store.put(DATA))
    async with asyncio.timeout(5):
        while not blobs.calls:
            await asyncio.sleep(0)
    putting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await putting
    assert blobs.held == {}


@pytest.mark.parametrize(
    "url",
    [
        "",
        "/var/lib/models",
        "gs://bucket/prefix",
        "file://relative",
        "file:relative",
        "file://host/folder",
        "file:///folder?x=1",
        "file:///folder#x",
        "s3://",
        "s3:///prefix",
        "s3://bucket:80/prefix",
        "s3://key:secret@bucket/prefix",
        "s3://bucket/prefix?secret=x",
        "s3://bucket/prefix?endpoint=",
        "s3://bucket/prefix?endpoint=127.0.0.1:9000",
        "s3://bucket/prefix?endpoint=ftp://127.0.0.1",
        "s3://bucket/prefix?endpoint=http://user:secret@127.0.0.1:9000",
        "s3://bucket/prefix#x",
    ],
)
def test_a_url_that_names_no_store_is_refused(url):
    with pytest.raises(InvalidSettings) as caught:
        open_store(url)
    assert "key:secret" not in str(caught.value)


async def test_a_region_that_cannot_be_is_refused():
    with pytest.raises(InvalidSettings):
        async with open_store("s3://bucket?region=a%20b"):
            pass


async def test_a_file_store_makes_its_folder(tmp_path):
    folder = tmp_path / "a b" / "c"
    async with open_store(f"file://{tmp_path}/a%20b/c") as store:
        await store.put(DATA)
    assert (folder / key_of(DIGEST)).read_bytes() == DATA


async def test_a_folder_that_cannot_be_made_is_the_operators(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(InvalidSettings, match="cannot be made"):
        async with open_store(f"file://{tmp_path}/file/folder"):
            pass


async def test_a_file_store_does_not_import_the_s3_client():
    code = (
        "import asyncio, sys\n"
        "from croupier.stores.objects import open_store\n"
        "open_store('file:///tmp')\n"
        "sys.exit('aiobotocore' in sys.modules or 'botocore' in sys.modules)\n"
    )
    child = await asyncio.create_subprocess_exec(sys.executable, "-c", code)
    assert await child.wait() == 0


MANY = [f"model {number}".encode() for number in range(100)]
DIGESTS = [hashlib.sha256(data).digest() for data in MANY]


@pytest.mark.parametrize("url", ["", "file"])
async def test_many_are_put_together_and_those_that_are_there_looked_at(blobs, tmp_path, url):
    async def check(store):
        assert await store.absent(DIGESTS) == set(DIGESTS)
        await store.put_many([])
        await store.put_many([*MANY[:40], *MANY[:40]])
        assert await store.absent(DIGESTS) == set(DIGESTS[40:])
        await store.put_many(MANY)
        assert await store.absent(DIGESTS) == set()
        assert [await store.get(digest) for digest in DIGESTS] == MANY

    if url:
        async with open_store(f"file://{tmp_path}") as store:
            await check(store)
    else:
        await check(VerifiedObjects(blobs))


async def test_one_of_many_that_is_damaged_is_mended(store, blobs):
    await store.put_many(MANY[:3])
    blobs.held[key_of(DIGESTS[1])] = b"spoilt"
    await store.put_many(MANY)
    assert blobs.held == {key_of(digest): data for digest, data in zip(DIGESTS, MANY, strict=True)}


async def test_only_so_many_are_under_way_at_a_time(store, blobs):
    running = most = 0
    create = blobs.create

    async def counted(key, data):
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0)
        await create(key, data)
        running -= 1

    blobs.create = counted
    await store.put_many(MANY)
    assert 1 < most <= objects._AT_ONCE


async def test_what_goes_wrong_with_one_of_many_is_raised(store, blobs):
    async def broken(key, data):
        if key == key_of(DIGESTS[50]):
            raise Unavailable("no space left")

    blobs.create = broken
    with pytest.raises(Unavailable, match="no space"):
        await store.put_many(MANY)
