"""Threads that read artifacts: what came of each file, how many compute, and at which priority."""

import gc
import hashlib
import os
import select
from pathlib import Path

import pytest
from support.irregular import KINDS, put
from support.loading import read

from cell.loading.file_image import ABSENT, CORRUPT, FAILED, READ, TOO_LARGE
from cell.loading.file_reader import Reader
from cell.loading.gate import Gate
from cell.loading.priority import NICE
from cell.loading.sources import in_memory

CONTENT = b"content" * 1000


def key(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


@pytest.fixture
def reader() -> Reader:
    return Reader(Gate(), 1)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "file"
    path.write_bytes(CONTENT)
    return path


def name(path: Path) -> bytes:
    return os.fsencode(path)


@pytest.mark.parametrize("content", [b"", b"a", CONTENT, os.urandom(3 * 2**20)])
def test_a_file_is_read_by_its_path_and_by_a_descriptor(
    reader: Reader, tmp_path: Path, content: bytes
) -> None:
    (tmp_path / "file").write_bytes(content)
    for where in ({"path": name(tmp_path / "file")}, {"file": in_memory(content)}):
        image = read(reader, key(content), **where)
        assert (image.outcome, image.size, image.digest) == (READ, len(content), key(content))
        assert bytes(memoryview(image)) == content
        assert memoryview(image).readonly


def test_what_is_no_regular_file_fails_at_once(reader: Reader, tmp_path: Path) -> None:
    for kind in KINDS:
        put(kind, tmp_path / kind)
        image = read(reader, key(b""), path=name(tmp_path / kind))
        assert image.outcome == FAILED
        assert "not a regular file" in str(image.error)
        with pytest.raises(BufferError):
            memoryview(image)
    assert read(reader, key(b""), path=name(tmp_path)).outcome == FAILED
    assert read(reader, key(b""), path=name(tmp_path / "absent")).outcome == ABSENT


def test_a_file_that_is_too_large_is_not_read(reader: Reader, file: Path) -> None:
    for most, outcome in ((len(CONTENT) - 1, TOO_LARGE), (len(CONTENT), READ)):
        assert read(reader, key(CONTENT), path=name(file), most=most).outcome == outcome


@pytest.mark.parametrize("drops", [False, True])
def test_other_bytes_than_the_digest_says_are_corrupt_and_may_be_removed(
    reader: Reader, file: Path, drops: bool
) -> None:
    image = read(reader, key(b"other"), path=name(file), drops_corrupt=drops)
    assert image.outcome == CORRUPT
    assert file.exists() != drops
    with pytest.raises(BufferError):
        memoryview(image)


def test_a_copy_is_kept_whole_for_its_owner_alone_or_not_at_all(
    reader: Reader, file: Path, tmp_path: Path
) -> None:
    keep, part = tmp_path / "ab" / "kept", tmp_path / "ab" / "kept.part"
    how = {"path": name(file), "keep": name(keep), "part": name(part)}
    image = read(reader, key(CONTENT), **how, keep_most=len(CONTENT) - 1)
    assert (image.is_kept, image.keep_error, keep.exists()) == (False, None, False)
    put("fifo", keep)
    image = read(reader, key(CONTENT), **how)
    assert (image.is_kept, image.keep_error) == (True, None)
    assert keep.read_bytes() == CONTENT
    assert keep.stat().st_mode & 0o777 == 0o600
    keep.unlink()
    keep.mkdir()
    image = read(reader, key(CONTENT), **how)
    assert (image.outcome, image.is_kept) == (READ, False)
    assert isinstance(image.keep_error, OSError)
    assert os.listdir(keep.parent) == ["kept"]
    assert read(reader, key(b"other"), **how).is_kept is False


def test_all_that_is_submitted_comes_back_once(tmp_path: Path) -> None:
    reader = Reader(Gate(2), 4)
    expected = {}
    for number in range(300):
        content = b"%d" % number
        (tmp_path / str(number)).write_bytes(content)
        expected[reader.submit(key(content), 100, path=name(tmp_path / str(number)))] = content
    found: dict[int, bytes] = {}
    while len(found) < 300:
        assert select.select([reader], [], [], 10.0)[0]
        for image in reader.take():
            assert image.number not in found
            found[image.number] = bytes(memoryview(image))
    assert found == expected
    assert reader.take() == []


def test_one_thread_less_computes_than_there_are_cores(tmp_path: Path) -> None:
    assert Gate().most == max(1, len(os.sched_getaffinity(0)) - 1)
    content = os.urandom(2**20)
    (tmp_path / "file").write_bytes(content)
    gate = Gate(1)
    readers = [Reader(gate, 3), Reader(gate, 3)]
    for reader in readers:
        for _ in range(20):
            reader.submit(key(content), 2**21, path=name(tmp_path / "file"))
    for reader in readers:
        left = 20
        while left:
            assert select.select([reader], [], [], 10.0)[0]
            left -= len(reader.take())
    assert gate.peak == 1


def nices(thread_name: str) -> set[int]:
    found = set()
    for task in Path("/proc/self/task").iterdir():
        stat = (task / "stat").read_text()
        if f"({thread_name})" in stat:
            found.add(int(stat.rpartition(")")[2].split()[16]))
    return found


def test_its_threads_step_back_behind_the_event_loop(reader: Reader, file: Path) -> None:
    read(reader, key(CONTENT), path=name(file))
    assert nices("read") == {min(19, os.nice(0) + NICE)}
    assert os.getpriority(os.PRIO_PROCESS, 0) == os.nice(0)


def test_closing_with_work_under_way_leaves_nothing_open(tmp_path: Path, file: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(20):
        reader = Reader(Gate(), 2)
        for _ in range(50):
            reader.submit(key(CONTENT), 10**6, path=name(file))
        reader.submit(key(CONTENT), 10**6, file=in_memory(CONTENT))
        reader.close()
        reader.close()
        del reader
    gc.collect()
    assert len(os.listdir("/proc/self/fd")) <= before + 1


def test_a_digest_has_32_bytes(reader: Reader) -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        reader.submit(b"short", 1, path=b"x")
