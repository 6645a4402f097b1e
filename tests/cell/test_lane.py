"""Lanes within this process; what outlives it is in `test_journal.py`."""

from __future__ import annotations

import struct
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from support.crashing import named

from cell.engines import lane

_LANE = struct.Struct("<32sqiii12x")


def names() -> dict[bytes, int]:
    """What is named now, and as what."""
    lanes = _LANE.iter_unpack(lane.snapshot()[64:])
    return {digest: phase for digest, _, _, phase, _ in lanes if phase}


def threads() -> int:
    return sum(thread != 0 for _, _, thread, _, _ in _LANE.iter_unpack(lane.snapshot()[64:]))


def test_a_block_names_its_artifact_and_then_none() -> None:
    with lane.Naming(named("a"), lane.LOAD):
        assert names() == {named("a"): lane.LOAD}
    with suppress(ZeroDivisionError), lane.Naming(named("b"), lane.SCORE):
        assert names() == {named("b"): lane.SCORE}
        raise ZeroDivisionError
    assert names() == {}


def test_each_thread_has_its_own_lane_and_gives_it_back() -> None:
    before = threads()
    everybody, done = threading.Barrier(9), threading.Event()

    def work(number: int) -> None:
        with lane.Naming(named(str(number)), lane.SCORE):
            everybody.wait()
            done.wait()

    working = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in working:
        thread.start()
    everybody.wait()
    assert names() == {named(str(number)): lane.SCORE for number in range(8)}
    done.set()
    for thread in working:
        thread.join()
    assert names() == {}
    assert threads() <= before


def test_more_threads_than_lanes_go_unnamed() -> None:
    count = lane.LANES + 20
    everybody, done = threading.Barrier(count + 1), threading.Event()

    def work(number: int) -> None:
        with lane.Naming(named(str(number)), lane.SCORE):
            everybody.wait()
            done.wait()

    working = [threading.Thread(target=work, args=(number,)) for number in range(count)]
    for thread in working:
        thread.start()
    everybody.wait()
    found = names()
    done.set()
    for thread in working:
        thread.join()
    assert lane.LANES - 2 <= len(found) <= lane.LANES
    assert found.keys() < {named(str(number)) for number in range(count)}


def test_a_digest_has_32_bytes() -> None:
    with pytest.raises(ValueError, match="32"):
        lane.Naming(b"short", lane.SCORE)


@pytest.fixture
def detached() -> Iterator[None]:
    yield
    lane.detach()


@pytest.mark.usefixtures("detached")
def test_a_file_is_attached_once(tmp_path: Path) -> None:
    path = tmp_path / "lanes"
    with path.open("w+b") as file:
        file.truncate(lane.SIZE)
        with pytest.raises(ValueError, match="40"):
            lane.attach(file.fileno(), b"")
        lane.attach(file.fileno(), bytes(range(40)))
        with pytest.raises(ValueError, match="already"):
            lane.attach(file.fileno(), bytes(40))
    with lane.Naming(named("a"), lane.LOAD), path.open("rb") as file:
        assert file.read() == lane.snapshot()
        assert lane.snapshot()[:40] == bytes(range(40))
    lane.detach()
    with lane.Naming(named("b"), lane.LOAD), path.open("rb") as file:
        assert named("b") in lane.snapshot()
        assert named("b") not in file.read()
