"""Each record is in the log once, wherever a logger ends and another one begins."""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from random import Random
from typing import Any

import pyarrow as pa
import pytest
from support.spooled import NOW, SEGMENT, WIDE, MemoryBlobs, artifact, item, log_of, record, write

from croupier.errors import Unavailable
from croupier.stores.objects import VerifiedObjects
from croupier.stores.objects_file import FileBlobs
from croupier.stores.spool import Kind
from croupier.stores.spool_folder import Spool
from croupier.stores.spool_reader import path_of, writers
from logger.batches import Log
from logger.files import JsonLines, Parquet
from logger.rows import Row

HOUR = 3_600_000_000


class Killed(BaseException):
    """In place of SIGKILL."""


@pytest.fixture
async def artifacts(tmp_path: Path) -> FileBlobs:
    (tmp_path / "artifacts").mkdir()
    blobs = FileBlobs(tmp_path / "artifacts")
    await VerifiedObjects(blobs).put(artifact(WIDE))
    return blobs


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    return tmp_path / "spool"


def fill(writer: Spool, count: int, first: int = 0) -> None:
    """`count` requests of two families."""
    for at in range(first, first + count):
        one = item({"a": float(at)}, request_id=f"r-{at}", family=f"f{at % 2}", time_us=NOW + at // 10 * HOUR)
        assert write(writer, one)


async def run(log: Log) -> None:
    log.gather()
    await log.write()


async def run_often(log: Log) -> None:
    for _ in range(20):
        await run(log)


def ids(store: MemoryBlobs) -> Counter[str]:
    return Counter(row["request_id"] for row in store.rows())


def expected(count: int) -> Counter[str]:
    return Counter(f"r-{at}" for at in range(count))


async def test_what_is_in_the_spool_is_written_and_goes(spool: Path, artifacts: FileBlobs) -> None:
    store, writer = MemoryBlobs(), Spool(spool, "a", 20 * SEGMENT, SEGMENT)
    fill(writer, 60)
    log = log_of(spool, store, artifacts)
    await run(log)
    assert ids(store) == expected(60)
    logger = log.progress.logger
    assert min(store.held) == f"family=f0/date=2026-11-27/hour=12/{logger}-0000000000.parquet"
    assert log.progress.totals.rows == 60
    writer.close()
    await run(log)
    assert writers(spool) == []
    assert len(store.held) == 12


async def test_of_many_writers_each_is_read(spool: Path, artifacts: FileBlobs) -> None:
    store = MemoryBlobs()
    for at, name in enumerate("abc"):
        writer = Spool(spool, name, 20 * SEGMENT, SEGMENT)
        fill(writer, 20, 20 * at)
        writer.close()
    await run(log_of(spool, store, artifacts))
    assert ids(store) == expected(60)
    assert writers(spool) == []


def killing_at(place: int) -> Callable[[str], None]:
    """A step that ends the logger when it has taken `place` of them."""
    left = [place]

    def step(_: str) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise Killed

    return step


async def test_wherever_it_is_killed_no_row_is_there_twice_and_none_is_missing(
    spool: Path, artifacts: FileBlobs
) -> None:
    steps, place = 10**9, 0
    while place < steps:
        folder = spool / str(place)
        store, writer = MemoryBlobs(), Spool(folder, "a", 30 * SEGMENT, SEGMENT)
        fill(writer, 60)
        seen: list[str] = []
        log = log_of(folder, store, artifacts, most_bytes=9000, step=seen.append)
        if place == 0:
            for _ in range(5):
                await run(log)
            steps = len(seen)
            assert steps > 10
            assert ids(store) == expected(60)
        else:
            log = log_of(folder, store, artifacts, most_bytes=9000, step=killing_at(place))
            with pytest.raises(Killed):
                await run_often(log)
            fill(writer, 20, 60)
            # With other settings: what was begun is written as it was begun.
            again = log_of(folder, store, artifacts, most_bytes=3000)
            await run_often(again)
            assert ids(store) == expected(80)
            assert again.progress.totals.rows == 80
        writer.close()
        place += 1


@pytest.mark.parametrize("seed", range(2))
async def test_so_it_is_when_it_is_killed_again_and_again(
    seed: int, spool: Path, artifacts: FileBlobs
) -> None:
    rng = Random(seed)
    store, writer, count = MemoryBlobs(), Spool(spool, "a", 50 * SEGMENT, SEGMENT), 0
    for _ in range(20):
        fill(writer, more := rng.randrange(9), count)
        count += more
        most = rng.choice([1000, 3000, 9000])
        log = log_of(spool, store, artifacts, most_bytes=most, step=killing_at(rng.randrange(12)))
        with pytest.raises(Killed):
            await run_often(log)
    log = log_of(spool, store, artifacts)
    for _ in range(3):
        await run(log)
    assert ids(store) == expected(count)
    writer.close()


async def test_a_store_that_is_away_is_given_the_same_later(spool: Path, artifacts: FileBlobs) -> None:
    class Away(MemoryBlobs):
        is_away = True

        async def replace(self, key: str, data: bytes) -> None:
            if self.is_away and len(self.held) == 1:
                raise Unavailable("away")
            await super().replace(key, data)

    store, writer = Away(), Spool(spool, "a", 20 * SEGMENT, SEGMENT)
    fill(writer, 30)
    log = log_of(spool, store, artifacts)
    for _ in range(3):
        with pytest.raises(Unavailable):
            await run(log)
    fill(writer, 10, 30)
    store.is_away = False
    for _ in range(2):
        await run(log)
    assert ids(store) == expected(40)
    writer.close()


async def test_a_store_that_hangs_is_given_up(spool: Path, artifacts: FileBlobs) -> None:
    class Hanging(MemoryBlobs):
        async def replace(self, key: str, data: bytes) -> None:
            await asyncio.Event().wait()

    writer = Spool(spool, "a", 20 * SEGMENT, SEGMENT)
    fill(writer, 1)
    with pytest.raises(Unavailable, match="took more"):
        await run(log_of(spool, Hanging(), artifacts, put_seconds=0.001))
    writer.close()


async def test_what_was_dropped_is_counted(spool: Path, artifacts: FileBlobs) -> None:
    store, writer = MemoryBlobs(), Spool(spool, "a", 2 * SEGMENT, SEGMENT)
    kept = 0
    for at in range(200):
        kept += write(writer, item({"a": 1.0}, request_id=f"r-{at}"))
    log = log_of(spool, store, artifacts)
    await run(log)
    assert log.progress.totals.rows == kept == len(store.rows())
    assert log.progress.totals.dropped == 200 - kept > 0
    again = log_of(spool, store, artifacts)
    await run(again)
    assert again.progress.totals == log.progress.totals
    writer.close()


async def test_what_is_damaged_is_counted_as_lost(spool: Path, artifacts: FileBlobs) -> None:
    store, writer = MemoryBlobs(), Spool(spool, "a", 20 * SEGMENT, SEGMENT)
    fill(writer, 60)
    path = path_of(spool, "a", 0)
    data = bytearray(path.read_bytes())
    data[1000] ^= 1
    path.write_bytes(data)
    log = log_of(spool, store, artifacts)
    await run(log)
    assert log.progress.totals.rows + log.progress.totals.lost == 60
    assert log.progress.totals.lost > 0
    writer.close()


async def test_so_is_what_is_gone_when_it_is_written(spool: Path, artifacts: FileBlobs) -> None:
    store, writer = MemoryBlobs(), Spool(spool, "a", 20 * SEGMENT, SEGMENT)
    fill(writer, 60)
    log = log_of(spool, store, artifacts)
    log.gather()
    path_of(spool, "a", 0).unlink()
    await log.write()
    assert log.progress.totals.rows + log.progress.totals.lost == 60
    assert log.progress.totals.lost > 0
    writer.close()


@pytest.mark.parametrize(
    "changes",
    [
        {"reply": b"\xff"},
        {"request": b"\x0a"},
        {"rule": b"{"},
        {"rule": b'{"a":"forget"}'},
        {"kind": 9},
        {"added": b"\xe2\x3e\x01x"},
    ],
)
async def test_what_nobody_can_read_is_kept_aside(
    changes: dict[str, Any], spool: Path, artifacts: FileBlobs
) -> None:
    store, writer = MemoryBlobs(), Spool(spool, "a", 20 * SEGMENT, SEGMENT)
    write(writer, item({"a": 1.0}, request_id="r-0"))
    write(writer, item({"a": 1.0}, request_id="r-1", **changes))
    write(writer, item({"a": 1.0}, request_id="r-2"))
    log = log_of(spool, store, artifacts)
    await run(log)
    assert set(ids(store)) == {"r-0", "r-2"}
    assert log.progress.totals.undecodable == 1
    (kept,) = (spool / "undecodable").iterdir()
    assert b"r-1" in kept.read_bytes()
    writer.close()


async def test_a_dense_row_whose_artifact_is_gone_is_kept_aside(spool: Path, artifacts: FileBlobs) -> None:
    store, writer = MemoryBlobs(), Spool(spool, "a", 20 * SEGMENT, SEGMENT)
    write(writer, item(values=(1.0, 2.0, 3.0), artifact=bytes(32)))
    write(writer, item({"a": 1.0}, artifact=bytes(32)))
    log = log_of(spool, store, artifacts)
    await run(log)
    assert (log.progress.totals.rows, log.progress.totals.undecodable) == (1, 1)
    writer.close()


async def test_a_bug_stops_nothing(
    spool: Path, artifacts: FileBlobs, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object) -> Any:
        raise RuntimeError("a bug")

    monkeypatch.setattr("logger.batches.rows_of", broken)
    store, writer = MemoryBlobs(), Spool(spool, "a", 20 * SEGMENT, SEGMENT)
    write(writer, item({"a": 1.0}))
    log = log_of(spool, store, artifacts)
    await run(log)
    assert log.progress.totals.undecodable == 1
    assert "a bug" in caplog.text
    writer.close()


async def test_a_time_that_is_none_stops_nothing(spool: Path, artifacts: FileBlobs) -> None:
    store, writer = MemoryBlobs(), Spool(spool, "a", 20 * SEGMENT, SEGMENT)
    write(writer, record(Kind.ITEM, b"", b"", time_us=-(2**62)))
    write(writer, item({"a": 1.0}))
    log = log_of(spool, store, artifacts)
    await run(log)
    assert (log.progress.totals.rows, log.progress.totals.undecodable) == (1, 1)
    writer.close()


async def test_a_family_is_one_folder_whatever_it_is_called(spool: Path, artifacts: FileBlobs) -> None:
    store, writer = MemoryBlobs(), Spool(spool, "a", 20 * SEGMENT, SEGMENT)
    write(writer, item({"a": 1.0}, family="ä=b%c d"))
    await run(log_of(spool, store, artifacts))
    assert [key.split("/")[0] for key in store.held] == ["family=%C3%A4%3Db%25c%20d"]
    writer.close()


async def test_what_was_begun_is_written_as_it_was_begun_by_one_with_another_sink(
    spool: Path, artifacts: FileBlobs
) -> None:
    store, writer = MemoryBlobs(), Spool(spool, "a", 4 * SEGMENT, SEGMENT)
    fill(writer, 10)
    with pytest.raises(Killed):
        await run(log_of(spool, store, artifacts, step=killing_at(1)))
    await run(log_of(spool, store, artifacts, JsonLines()))
    assert ids(store) == expected(10)
    writer.close()


class Picky(Parquet):
    """Writes no rows of these requests, and of all others no more than so many in a piece."""

    refused: tuple[str, ...] = ()
    most = 1000

    def encode(self, pieces: Iterable[Sequence[Row]]) -> bytes:
        return super().encode(self.checked(piece) for piece in pieces)

    def checked(self, piece: Sequence[Row]) -> Sequence[Row]:
        if len(piece) > self.most or any(row.request_id in self.refused for row in piece):
            raise pa.ArrowCapacityError("too much")
        return piece


@pytest.mark.parametrize("refused", [(), ("r-0",), ("r-3", "r-4", "r-9"), tuple(expected(10))])
@pytest.mark.parametrize("most", [1000, 2])
async def test_what_cannot_be_written_is_kept_aside_alone_and_once(
    refused: tuple[str, ...],
    most: int,
    spool: Path,
    artifacts: FileBlobs,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Picky, "refused", refused)
    monkeypatch.setattr(Picky, "most", most)
    monkeypatch.setattr("logger.batches.KINDS", {"parquet": Picky})
    store, writer = MemoryBlobs(), Spool(spool, "a", 4 * SEGMENT, SEGMENT)
    fill(writer, 10)
    with pytest.raises(Killed):
        await run(log_of(spool, store, artifacts, Picky(), step=killing_at(2)))
    [*before] = store.held.items()
    assert before
    for _ in range(2):
        log = log_of(spool, store, artifacts, Picky())
        await run(log)
    assert before == [(name, store.held[name]) for name, _ in before]
    assert ids(store) == expected(10) - Counter(refused)
    assert (log.progress.totals.rows, log.progress.totals.undecodable) == (10 - len(refused), len(refused))
    kept = b"".join(one.read_bytes() for one in (spool / "undecodable").glob("*"))
    assert all(kept.count(one.encode()) == 1 for one in refused)
    writer.close()
