"""The log is written when there is enough, or what there is is old; and again when it failed."""

import asyncio
from pathlib import Path
from random import Random

import pytest
from support.spooled import SEGMENT, MemoryBlobs, item, log_of, write

from croupier.errors import Unavailable
from croupier.stores.objects_file import FileBlobs
from croupier.stores.spool_folder import Spool
from logger.batches import Log
from logger.follow import Follower


class Away(MemoryBlobs):
    is_away = False

    async def replace(self, key: str, data: bytes) -> None:
        if self.is_away:
            raise Unavailable("it is away")
        await super().replace(key, data)


class World:
    def __init__(self, tmp_path: Path) -> None:
        (tmp_path / "artifacts").mkdir()
        self.now = 0.0
        self.late: list[bool] = []
        self.store = Away()
        self.writer = Spool(tmp_path / "spool", "a", 20 * SEGMENT, SEGMENT)
        self.log: Log = log_of(
            tmp_path / "spool", self.store, FileBlobs(tmp_path / "artifacts"), most_bytes=3000
        )
        self.follower = Follower(
            self.log,
            flush_seconds=60.0,
            poll_seconds=0.001,
            clock=lambda: self.now,
            rng=Random(1),
            hurry=lambda is_late: self.late.append(is_late),
        )

    def ask(self, count: int = 1) -> None:
        for _ in range(count):
            write(self.writer, item({"a": 1.0}))


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


async def test_few_records_wait_until_they_are_old(world: World) -> None:
    assert not await world.follower.turn()
    world.ask()
    assert not await world.follower.turn()
    world.now = 59.9
    assert not await world.follower.turn()
    world.now = 60.0
    assert await world.follower.turn()
    assert len(world.store.rows()) == 1
    world.ask()
    assert not await world.follower.turn()


async def test_many_do_not(world: World) -> None:
    world.ask(30)
    assert await world.follower.turn()


async def test_whoever_has_a_file_to_write_again_at_once_is_late(world: World) -> None:
    for _ in range(2):
        world.late.clear()
        world.ask(100)
        while await world.follower.turn():
            pass
        assert world.late == [False] + [True] * (len(world.late) - 1)
        assert len(world.late) > 2
    # What is left is no whole file.
    assert await world.follower.turn(at_once=True)
    assert not world.late[-1]


async def test_at_the_end_nobody_waits(world: World) -> None:
    world.ask()
    assert await world.follower.turn(at_once=True)


async def test_what_an_ended_writer_never_used_goes(world: World) -> None:
    world.ask()
    await world.follower.turn()
    unused = Spool(world.writer.folder.parent, "b", 20 * SEGMENT, SEGMENT)
    await world.follower.turn()
    assert unused.folder.exists()
    unused.close()
    assert not await world.follower.turn()
    assert not unused.folder.exists()
    assert await world.follower.turn(at_once=True)
    assert len(world.store.rows()) == 1


async def test_it_says_why_nothing_is_written_until_it_is(world: World) -> None:
    world.ask()
    world.store.is_away = True
    assert not await world.follower.turn(at_once=True)
    assert world.follower.why_not == "nothing is written: it is away"
    world.store.is_away = False
    assert await world.follower.turn()
    assert world.follower.why_not == ""
    assert len(world.store.rows()) == 1


async def test_it_runs_until_it_is_stopped(world: World) -> None:
    task = asyncio.create_task(world.follower.run())
    world.ask(30)
    while not world.store.held:
        await asyncio.sleep(0)
    world.follower.stop()
    await task


async def test_a_bug_ends_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken() -> None:
        raise RuntimeError("a bug")

    world.ask()
    with monkeypatch.context() as patch:
        patch.setattr(world.log, "write", broken)
        assert not await world.follower.turn(at_once=True)
    assert world.follower.why_not == "nothing is written: a bug"
    assert "Traceback" in caplog.text
    assert await world.follower.turn(at_once=True)
    assert world.follower.why_not == ""
    assert len(world.store.rows()) == 1
