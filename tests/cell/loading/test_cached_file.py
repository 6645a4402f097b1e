from pathlib import Path

import pytest
from support.irregular import KINDS, put

from cell.loading.cached_file import read_cached


@pytest.fixture
def warm(tmp_path: Path) -> bytes:
    """The path of a file that was read. Skips where the file system cannot say what it has in memory."""
    path = tmp_path / "file"
    path.write_bytes(b"content")
    path.read_bytes()
    name = str(path).encode()
    if read_cached(name, 7) is None:
        pytest.skip("this file system does not read without waiting")
    return name


def test_a_file_in_the_page_cache(warm: bytes) -> None:
    assert read_cached(warm, 7) == b"content"


def test_a_file_above_the_limit(warm: bytes) -> None:
    assert read_cached(warm, 6) is None


def test_an_empty_file(warm: bytes) -> None:
    Path(warm.decode()).write_bytes(b"")
    assert read_cached(warm, 7) == b""


def test_what_is_no_file(tmp_path: Path) -> None:
    assert read_cached(str(tmp_path).encode(), 100_000) is None
    assert read_cached(str(tmp_path / "absent").encode(), 100_000) is None


def test_no_descriptor_is_left_open(warm: bytes) -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    for limit in (7, 6):
        for _ in range(10):
            read_cached(warm, limit)
    assert len(list(Path("/proc/self/fd").iterdir())) == before


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_no_regular_file_is_not_waited_for(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "file"
    put(kind, path)
    assert read_cached(str(path).encode(), 100) is None
