"""Threads that read artifacts: what came of each file, how many compute, and at which priority."""

import gc
import hashlib
import os
import select
from pathlib import Path

import pytest
from support.loading import read

from cell.loading.file_reader import Reader
from cell.loading.gate import Gate
from cell.loading.sources import in_memory
from croupier.priority import NICE

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
