"""Blobs in a folder: whole or not at all, and what goes wrong with disks."""

import asyncio
import errno
import hashlib
import os
import stat
import threading

import pytest

from croupier.errors import DataLoss, NotFound, Unavailable
from croupier.stores import objects_file
from croupier.stores.objects import key_of, open_store
from croupier.stores.objects_file import FileBlobs
from croupier.stores.refused import StoreRefused

KEY = "ab/abcd"


@pytest.fixture
def blobs(tmp_path):
    return FileBlobs(tmp_path)


def files_below(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


async def test_a_blob_is_a_file_that_everybody_may_read(blobs, tmp_path):
    await blobs.create(KEY, b"data")
    assert await blobs.exists(KEY)
    assert await blobs.read(KEY) == b"data"
    assert files_below(tmp_path) == [KEY]
    assert stat.S_IMODE((tmp_path / KEY).stat().st_mode) == 0o644


async def test_a_blob_that_is_not_there(blobs):
    assert not await blobs.exists(KEY)
    await blobs.delete(KEY)
    with pytest.raises(NotFound):
        await blobs.read(KEY)


async def test_a_file_is_flushed_before_it_gets_its_name(blobs, monkeypatch):
    steps = []
    fsync, replace = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda handle: (steps.append("fsync"), fsync(handle)))
    monkeypatch.setattr(os, "replace", lambda *names: (steps.append("replace"), replace(*names)))
    await blobs.create(KEY, b"data")
    assert steps == ["fsync", "replace", "fsync", "fsync"]


async def test_a_full_disk_leaves_nothing_behind(blobs, tmp_path, monkeypatch):
    def full(handle):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(Unavailable, match="No space left"):
        await blobs.create(KEY, b"data")
    assert files_below(tmp_path) == []


async def test_a_full_disk_leaves_the_old_bytes(blobs, tmp_path, monkeypatch):
    await blobs.create(KEY, b"old")

    def full(*names):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(Unavailable):
        await blobs.replace(KEY, b"new")
    assert await blobs.read(KEY) == b"old"
    assert files_below(tmp_path) == [KEY]


async def test_a_folder_that_may_not_be_used_is_the_operators(blobs, monkeypatch):
    def denied(path):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(objects_file, "read_regular", denied)
    with pytest.raises(StoreRefused, match="Permission denied"):
        await blobs.read(KEY)


async def test_another_failure_of_the_disk_may_pass(blobs, tmp_path):
    (tmp_path / KEY).mkdir(parents=True)
    with pytest.raises(Unavailable):
        await blobs.read(KEY)


async def test_a_store_that_is_not_mounted_has_lost_nothing(tmp_path):
    folder, away = tmp_path / "objects", tmp_path / "away"
    folder.mkdir()
    blobs = FileBlobs(folder)
    await blobs.create(KEY, b"data")
    folder.rename(away)
    with pytest.raises(Unavailable):
        await blobs.read(KEY)
    with pytest.raises(Unavailable):
        await blobs.create(KEY, b"data")
    away.rename(folder)
    assert await blobs.read(KEY) == b"data"


async def test_a_cancelled_write_is_whole_or_not_there(blobs, tmp_path, monkeypatch):
    entered, proceed = threading.Event(), threading.Event()
    fsync = os.fsync

    def slow(handle):
        entered.set()
        assert proceed.wait(10)
        fsync(handle)

    monkeypatch.setattr(os, "fsync", slow)
    writing = asyncio.create_task(blobs.create(KEY, b"data"))
    await asyncio.to_thread(entered.wait, 10)
    writing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await writing
    assert not await blobs.exists(KEY)
    proceed.set()
    # The thread finishes what it began, as a writer in another process would.
    async with asyncio.timeout(5):
        while not await blobs.exists(KEY):
            await asyncio.sleep(0)
    assert await blobs.read(KEY) == b"data"
    assert files_below(tmp_path) == [KEY]


async def test_many_writers_of_one_artifact_leave_one_whole_file(tmp_path):
    data = os.urandom(1 << 16)
    async with open_store(f"file://{tmp_path}") as store:
        digests = await asyncio.gather(*(store.put(data) for _ in range(20)))
        assert set(digests) == {hashlib.sha256(data).digest()}
        assert await store.get(digests[0]) == data
    assert files_below(tmp_path) == [key_of(digests[0])]


async def test_a_file_that_changed_behind_our_back_is_data_loss(tmp_path):
    async with open_store(f"file://{tmp_path}") as store:
        digest = await store.put(b"a model")
        (tmp_path / key_of(digest)).write_bytes(b"b model")
        with pytest.raises(DataLoss):
            await store.get(digest)
        await store.put(b"a model")
        assert await store.get(digest) == b"a model"


def many(count):
    keys = [hashlib.sha256(bytes([number])).hexdigest() for number in range(count)]
    return {f"{key[:2]}/{key}": f"data {key}".encode() for key in keys}


async def test_of_many_each_is_flushed_before_its_name_and_their_folders_after_all_names(
    blobs, tmp_path, monkeypatch
):
    steps = []
    fsync, replace = os.fsync, os.replace

    def told_fsync(handle):
        path = os.readlink(f"/proc/self/fd/{handle}")
        fsync(handle)
        steps.append(("flushed", os.path.relpath(path, tmp_path)))

    def told_replace(source, target):
        steps.append(("named", os.path.relpath(source, tmp_path)))
        replace(source, target)

    monkeypatch.setattr(os, "fsync", told_fsync)
    monkeypatch.setattr(os, "replace", told_replace)
    some = many(60)
    await blobs.create_each(some)
    assert files_below(tmp_path) == sorted(some)
    for at, (what, path) in enumerate(steps):
        if what == "named":
            assert ("flushed", path) in steps[:at]
    last = max(at for at, (what, _) in enumerate(steps) if what == "named")
    folders = sorted({key[:2] for key in some} | {"."})
    # Each of them once, and when all its names were there.
    assert sorted(path for what, path in steps[last + 1 :]) == folders


async def test_many_are_like_each_alone(blobs, tmp_path):
    some = many(20)
    await blobs.create_each(some)
    assert await blobs.exist([*some, KEY]) == [True] * 20 + [False]
    for key, data in some.items():
        assert await blobs.read(key) == data
        assert stat.S_IMODE((tmp_path / key).stat().st_mode) == 0o644
    await blobs.create_each({})
    await blobs.settle([])


async def test_a_disk_that_is_full_half_way_leaves_no_half_files(blobs, tmp_path, monkeypatch):
    fsync, left = os.fsync, iter(range(10))

    def full(handle):
        if next(left, None) is None:
            raise OSError(errno.ENOSPC, "No space left on device")
        fsync(handle)

    monkeypatch.setattr(os, "fsync", full)
    some = many(60)
    with pytest.raises(Unavailable, match="No space left"):
        await blobs.create_each(some)
    found = files_below(tmp_path)
    assert set(found) < set(some)
    assert all((tmp_path / key).read_bytes() == some[key] for key in found)


async def test_many_for_a_folder_that_is_gone_come_again(tmp_path):
    gone = FileBlobs(tmp_path / "gone")
    with pytest.raises(Unavailable):
        await gone.create_each(many(3))
    assert await gone.exist([KEY]) == [False]
