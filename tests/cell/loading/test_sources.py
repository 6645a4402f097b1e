"""Where artifacts lie in a folder, what a failure there means, and files that have no name."""

import errno
import os
from pathlib import Path

import pytest

from cell.loading.sources import Folder, in_memory, unreadable
from croupier.errors import CroupierError, NotFound, Unavailable
from croupier.names import InvalidName
from croupier.stores.objects import open_store
from croupier.stores.refused import StoreRefused

DIGEST = bytes(range(32))


async def test_an_artifact_lies_where_the_store_puts_it(tmp_path: Path) -> None:
    folder = tmp_path / "Köln"
    async with open_store(f"file://{folder}") as store:
        digest = await store.put(b"data")
    assert Path(os.fsdecode(Folder(folder).path(digest))).read_bytes() == b"data"


@pytest.mark.parametrize("digest", [b"", b"short", bytes(33), b"../" + bytes(28)])
def test_what_is_no_digest_is_no_path(tmp_path: Path, digest: bytes) -> None:
    with pytest.raises(InvalidName):
        Folder(tmp_path).path(digest)


def test_a_digest_of_any_bytes_stays_in_the_folder(tmp_path: Path) -> None:
    for digest in (b"/" * 32, b"." * 32, bytes(32), b"\xff" * 32):
        path = Path(os.fsdecode(Folder(tmp_path).path(digest)))
        assert path == tmp_path / digest.hex()[:2] / digest.hex()


@pytest.mark.parametrize(
    ("error", "meaning"),
    [
        (FileNotFoundError(errno.ENOENT, "absent"), NotFound),
        (PermissionError(errno.EACCES, "closed"), StoreRefused),
        (OSError(errno.EIO, "broken"), Unavailable),
        (OSError(errno.EINVAL, "not a regular file"), Unavailable),
    ],
)
def test_a_failure_of_the_folder(tmp_path: Path, error: OSError, meaning: type[CroupierError]) -> None:
    found = Folder(tmp_path).failure(error, DIGEST)
    assert type(found) is meaning
    if meaning is NotFound:
        assert DIGEST.hex() in found.message


def test_a_folder_that_is_gone_has_lost_nothing(tmp_path: Path) -> None:
    """A file server that is not mounted: to say that a model is gone would be believed."""
    gone = Folder(tmp_path / "gone")
    assert type(gone.failure(FileNotFoundError(errno.ENOENT, "absent"), DIGEST)) is Unavailable


def test_what_cannot_be_read_of_a_store_may_be_tried_again() -> None:
    assert type(unreadable(OSError(errno.EIO, "broken"))) is Unavailable


@pytest.mark.parametrize("data", [b"", b"x", os.urandom(2**20)])
def test_a_file_in_memory_has_the_data_from_its_beginning_and_no_name(data: bytes) -> None:
    file = in_memory(data)
    try:
        assert os.lseek(file, 0, os.SEEK_CUR) == 0
        assert os.read(file, len(data) + 1) == data
        assert os.fstat(file).st_nlink == 0
        assert not os.get_inheritable(file)
    finally:
        os.close(file)


def test_a_file_that_could_not_be_written_is_closed() -> None:
    before = os.listdir("/proc/self/fd")
    with pytest.raises(TypeError):
        in_memory("text")  # type: ignore[arg-type]
    assert os.listdir("/proc/self/fd") == before
