"""A writer's folder has a spare segment while there may be one, and no more than it may hold."""

import errno
import os
import stat
import threading
from pathlib import Path
from random import Random
from typing import Any

import pytest
from support.spool_twin import SEGMENT, append, record

from croupier.stores.spool import LOCK
from croupier.stores.spool_folder import Spool
from croupier.stores.spool_reader import Place, ahead, is_writing, segments, sweep, writers

ONE = record(Random(1), request=bytes(1000))


def fill(spool: Spool) -> int:
    """Append until something is dropped; returns how many went in."""
    before = spool.appender.kept
    while append(spool.appender, ONE):
        pass
    return int(spool.appender.kept - before)


def inodes(spool: Spool) -> set[int]:
    return {path.stat().st_ino for path in spool.folder.iterdir() if path.name != LOCK}


def test_nobody_else_looks_into_it(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool", "a", 4 * SEGMENT, SEGMENT)
    assert stat.S_IMODE((tmp_path / "spool").stat().st_mode) == 0o700
    assert stat.S_IMODE(spool.folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in spool.folder.iterdir()} == {0o600}
    spool.close()


def test_segments_are_whole_before_they_are_used(tmp_path: Path) -> None:
    spool = Spool(tmp_path, "a", 4 * SEGMENT, SEGMENT)
    assert segments(spool.folder) == [0, 1]
    files = [path.stat() for path in spool.folder.glob("*.segment")]
    assert [(file.st_size, file.st_blocks * 512 >= SEGMENT) for file in files] == [(SEGMENT, True)] * 2
    spool.close()


def test_it_grows_to_its_bound_and_drops_the_rest(tmp_path: Path) -> None:
    spool = Spool(tmp_path, "a", 3 * SEGMENT, SEGMENT)
    each = fill(spool)
    for _ in range(3):
        spool.tend()
        fill(spool)
    assert segments(spool.folder) == [0, 1, 2]
    assert spool.appender.kept == each // 2 * 3
    assert spool.appender.dropped == 4
    spool.close()


def test_all_writers_share_the_bound(tmp_path: Path) -> None:
    gone = Spool(tmp_path, "a", 3 * SEGMENT, SEGMENT)
    gone.close()
    spool = Spool(tmp_path, "b", 3 * SEGMENT, SEGMENT)
    assert segments(spool.folder) == [0]
    spool.close()


def test_what_a_reader_removes_makes_room(tmp_path: Path) -> None:
    spool = Spool(tmp_path, "a", 2 * SEGMENT, SEGMENT)
    fill(spool)
    spool.tend()
    assert not spool.appender.has_spare
    (spool.folder / f"{0:016x}.segment").unlink()
    spool.tend()
    assert append(spool.appender, ONE)
    assert segments(spool.folder) == [1, 2]
    spool.close()


def test_what_a_reader_gives_back_is_the_next_segment(tmp_path: Path) -> None:
    spool = Spool(tmp_path, "a", 3 * SEGMENT, SEGMENT)
    each = fill(spool)
    spool.tend()
    files = inodes(spool)
    assert len(files) == 3
    place, read = Place(), 0
    for _ in range(5):
        found, place = ahead(tmp_path, "a", place, 10 * SEGMENT)
        read += sum(one.count for one in found)
        sweep(tmp_path, "a", place)
        spool.tend()
        fill(spool)
    assert (inodes(spool), min(segments(spool.folder)) > 3) == (files, True)
    assert spool.appender.dropped < 10
    assert read == spool.appender.kept - sum(one.count for one in ahead(tmp_path, "a", place, 10**9)[0])
    assert read >= 3 * each
    spool.close()


def test_nothing_is_left_in_what_is_given_back(tmp_path: Path) -> None:
    spool = Spool(tmp_path, "a", 9 * SEGMENT, SEGMENT)
    for _ in range(8):
        fill(spool)
        spool.tend()
    sweep(tmp_path, "a", Place(segment=7))
    given_back = sorted(spool.folder.glob("*.empty"))
    assert [path.read_bytes() for path in given_back] == [bytes(SEGMENT)] * 5
    assert segments(spool.folder)[0] == 7
    spool.close()


@pytest.mark.parametrize("is_link", [False, True])
def test_what_is_given_back_and_is_no_segment_is_not_used(is_link: bool, tmp_path: Path) -> None:
    spool = Spool(tmp_path, "a", 9 * SEGMENT, SEGMENT)
    if is_link:
        (tmp_path / "elsewhere").write_bytes(bytes(SEGMENT))
        (spool.folder / "x.empty").symlink_to(tmp_path / "elsewhere")
    else:
        (spool.folder / "x.empty").write_bytes(bytes(SEGMENT - 1))
    fill(spool)
    spool.tend()
    assert not spool.appender.has_spare
    spool.tend()
    assert spool.appender.has_spare
    assert not list(spool.folder.glob("*.empty"))
    spool.close()


def test_what_waits_for_one_writer_makes_room_for_another_that_needs_it(tmp_path: Path) -> None:
    idle = Spool(tmp_path, "a", 4 * SEGMENT, SEGMENT)
    fill(idle)
    idle.tend()
    sweep(tmp_path, "a", Place(segment=1))
    assert len(list(idle.folder.glob("*.empty"))) == 1
    spool = Spool(tmp_path, "b", 4 * SEGMENT, SEGMENT)
    assert segments(spool.folder) == [0, 1]
    assert not list(idle.folder.glob("*.empty"))
    assert len(list(tmp_path.glob("*/*.segment"))) == 4
    spool.close()
    idle.close()


def test_a_full_disk_is_met_when_a_segment_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(file: int, at: int, size: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    spool = Spool(tmp_path, "a", 8 * SEGMENT, SEGMENT)
    assert not append(spool.appender, ONE)
    spool.tend()
    assert [line.levelname for line in caplog.records] == ["WARNING"]
    assert segments(spool.folder) == []
    assert sorted(path.name for path in spool.folder.iterdir()) == ["writer.lock"]
    monkeypatch.undo()
    spool.tend()
    assert append(spool.appender, ONE)
    assert spool.appender.dropped == 1
    spool.close()


def test_a_thread_makes_the_next_one_when_one_is_full(tmp_path: Path) -> None:
    spool = Spool(tmp_path, "a", 100 * SEGMENT, SEGMENT)
    tended = threading.Semaphore(0)
    tend = spool.tend

    def told() -> None:
        tend()
        tended.release()

    spool.tend = told  # type: ignore[method-assign]
    spool.begin()
    for _ in range(10):
        while spool.appender.has_spare:
            append(spool.appender, ONE)
        assert tended.acquire(timeout=30)
        while not spool.appender.has_spare:
            assert tended.acquire(timeout=30)
    assert spool.appender.dropped == 0
    spool.close()


def test_the_thread_rests_between_pieces_of_a_segment(tmp_path: Path) -> None:
    size = 2**20
    rests: list[int] = []
    finished = threading.Event()

    def rest() -> None:
        rests.append(threading.get_ident())
        if len(rests) == 8:
            finished.set()

    spool = Spool(tmp_path, "a", 3 * size, size, rest)
    assert rests == []
    spool.begin()
    while spool.appender.has_spare:
        append(spool.appender, ONE)
    assert finished.wait(timeout=30)
    spool.close()
    assert len(rests) == 8
    assert threading.get_ident() not in rests


def test_a_folder_has_one_writer(tmp_path: Path) -> None:
    spool = Spool(tmp_path, "a", 2 * SEGMENT, SEGMENT)
    with pytest.raises(OSError, match="not empty"):
        Spool(tmp_path, "a", 2 * SEGMENT, SEGMENT)
    assert is_writing(spool.folder)
    spool.close()
    assert not is_writing(spool.folder)


def test_room_for_one_segment_is_none(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="two segments"):
        Spool(tmp_path, "a", 2 * SEGMENT - 1, SEGMENT)


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo])
def test_what_is_no_file_in_its_place_is_no_segment(tmp_path: Path, make: Any) -> None:
    spool = Spool(tmp_path, "a", 4 * SEGMENT, SEGMENT)
    make(spool.folder / f"{2:016x}.new")
    fill(spool)
    spool.tend()
    assert not spool.appender.has_spare
    spool.close()


def test_readers_meet_no_folder_without_its_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def crash(*_: object) -> None:
        assert writers(tmp_path) == []
        raise OSError("killed")

    monkeypatch.setattr(os, "rename", crash)
    with pytest.raises(OSError, match="killed"):
        Spool(tmp_path, "a", 4 * SEGMENT, SEGMENT)
