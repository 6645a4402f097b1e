import asyncio
import stat
import threading
import time
from pathlib import Path
from random import Random

import pytest
from support.fakes import generation, metric, model, no_change, snapshot_path, view
from support.irregular import KINDS, put
from support.waiting import eventually

from croupier.sealed import CorruptFile, read_sealed, write_sealed
from protos.versions.v1 import versions_pb2 as pb
from router import events, snapshot
from router.feeds import ViewFeed
from router.view import View, ViewChange
from sharding.generation import Generation
from version_manager.model import wire
from version_manager.model.catalog import Delta
from version_manager.model.family import Family
from version_manager.model.fleet import Cell
from version_manager.model.limits import Limits

MAP = generation(["a", "b"])
FLEET = [Cell("a", "zone-0", "a:1"), Cell("b", "zone-1", "b:1")]
FAMILIES = ((("", "churn"), Family("churn", 2)),)
LIMITS = (("acme", Limits(rate=5)),)
VIEW = view([model(), model("globex")], (MAP,), FLEET, revision=5).after(
    no_change(removed_cells=("a",), limits=LIMITS, default_limits=Limits(in_flight=9), families=FAMILIES)
)
BAD = "croupier_router_bad_snapshots_total"
FAILED = "croupier_router_snapshot_failures_total"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return snapshot_path(tmp_path)


def feed() -> ViewFeed:
    async def silent(revision: int, catalog: str):
        await asyncio.Event().wait()
        yield

    return ViewFeed(silent, on_swap=lambda view: None, clock=time.monotonic, rng=Random(0))


def facts(found: View) -> tuple[object, ...]:
    return found.catalog, found.generations, dict(found.cells), found.limits, found.families


def test_what_was_written_is_read(path: Path) -> None:
    snapshot.write(path, VIEW)
    assert facts(snapshot.read(path)) == facts(VIEW)
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_a_file_is_replaced_as_a_whole(path: Path) -> None:
    snapshot.write(path, VIEW)
    path.with_name(path.name + ".part").write_bytes(b"left behind by a crash")
    assert facts(snapshot.read(path)) == facts(VIEW)
    later = view([model()], (MAP,), FLEET, revision=6)
    snapshot.write(path, later)
    assert facts(snapshot.read(path)) == facts(later)


def test_no_file_is_no_view(path: Path) -> None:
    before = metric(BAD)
    assert snapshot.read_if_good(path) is None
    assert metric(BAD) == before


@pytest.mark.parametrize("damage", ["truncated", "flipped", "empty", "other", "headless", "longer"])
def test_a_damaged_file_is_refused_and_counted(path: Path, damage: str) -> None:
    snapshot.write(path, VIEW)
    data = bytearray(path.read_bytes())
    if damage == "truncated":
        data = data[:-3]
    elif damage == "flipped":
        data[len(data) // 2 + 20] ^= 1
    elif damage == "empty":
        data = bytearray()
    elif damage == "other":
        data[data.index(b"1\n")] = ord("2")
    elif damage == "headless":
        data = data[:30]
    else:
        data += b"\0"
    path.write_bytes(data)
    before = metric(BAD)
    with pytest.raises(CorruptFile):
        snapshot.read(path)
    assert snapshot.read_if_good(path) is None
    assert metric(BAD) == before + 1


def test_a_rightly_signed_file_without_a_view_is_refused(path: Path) -> None:
    snapshot.write(path, VIEW)
    whole = path.read_bytes()
    start = len(snapshot._MAGIC) + 32
    for body in (b"", b"\x05", b"\x02\0\0\0\xff\xff", whole[start : start + 4 + whole[start]]):
        write_sealed(path, snapshot._MAGIC, [body])
        with pytest.raises(CorruptFile):
            snapshot.read(path)


def test_the_file_is_one_that_protobuf_writes_and_reads(path: Path) -> None:
    """As a router of the release before does."""
    snapshot.write(path, VIEW)
    body, events = bytes(read_sealed(path, snapshot._MAGIC)), []
    while body:
        size = int.from_bytes(body[:4], "little")
        events.append(pb.WatchEvent.FromString(body[4 : 4 + size]))
        body = body[4 + size :]
    found = [wire.model_from_pb(one) for event in events for one in event.chunk.models]
    assert found == list(VIEW.catalog)
    write_sealed(path, snapshot._MAGIC, [snapshot._record(event) for event in events])
    assert facts(snapshot.read(path)) == facts(VIEW)


async def test_the_file_follows_the_feed(path: Path) -> None:
    source = feed()
    keeper = asyncio.create_task(snapshot.keep(source, path, clock=time.monotonic, delay=0.01))
    try:
        await source.load(VIEW)
        await eventually(path.exists, "the first write")
        later = VIEW.after(no_change(cells=(Cell("a", "zone-0", "a:2"),)))
        await source.load(later)
        await eventually(lambda: facts(snapshot.read(path)) == facts(later), "the second write")
        limited = later.after(no_change(limits=(("globex", Limits(rate=7)),)))
        await source.load(limited)
        await eventually(lambda: facts(snapshot.read(path)) == facts(limited), "the third write")
    finally:
        keeper.cancel()
    with pytest.raises(asyncio.CancelledError):
        await keeper


async def test_no_thread_joins_models_and_no_turn_many(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A thread that does is sent away with the interpreter's lock, and then the loop stands still."""
    own, turns, fleets = threading.get_ident(), [0], []
    join, encode_fleet = events.chunk_event, events.generation_to_pb

    def chunk_event(records: list[bytes]) -> bytes:
        assert threading.get_ident() == own
        turns[-1] += len(records)
        return join(records)

    def generation_to_pb(found: Generation) -> pb.Generation:
        fleets.append(threading.get_ident())
        return encode_fleet(found)

    async def rest() -> None:
        turns.append(0)
        await asyncio.sleep(0)

    monkeypatch.setattr(events, "chunk_event", chunk_event)
    monkeypatch.setattr(events, "generation_to_pb", generation_to_pb)
    source = feed()
    keeper = asyncio.create_task(snapshot.keep(source, path, clock=time.monotonic, delay=0.0, rest=rest))
    try:
        large = view([model(name=f"m{number}") for number in range(1_095)], (MAP,), FLEET, revision=5)
        await source.load(large)
        await eventually(path.exists, "the first write")
        assert facts(snapshot.read(path)) == facts(large)
        assert max(turns) == snapshot._MODELS
        # Of a release, the map is not encoded again.
        later = large.after(ViewChange(Delta.of(6, (model("globex"),), ())))
        await source.load(later)
        await eventually(lambda: facts(snapshot.read(path)) == facts(later), "the second write")
        assert len(fleets) == 1
        assert own not in fleets
    finally:
        keeper.cancel()


async def test_a_full_disk_is_counted_and_tried_again_with_the_next_change(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, source = metric(FAILED), feed()
    path.parent.mkdir(parents=True)
    blocker = path.with_name(path.name + ".part")
    blocker.mkdir()
    keeper = asyncio.create_task(snapshot.keep(source, path, clock=time.monotonic, delay=0.01))
    try:
        await source.load(VIEW)
        await eventually(lambda: metric(FAILED) == before + 1, "the failure")
        blocker.rmdir()
        await source.load(view([model()], (MAP,), FLEET, revision=6))
        await eventually(path.exists, "the write")
    finally:
        keeper.cancel()


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_no_regular_file_is_not_waited_for_and_is_replaced(path: Path, kind: str) -> None:
    put(kind, path)
    assert snapshot.read_if_good(path) is None
    snapshot.write(path, VIEW)
    assert facts(snapshot.read(path)) == facts(VIEW)


def test_only_its_owner_may_read_it(path: Path) -> None:
    snapshot.write(path, VIEW)
    assert [stat.S_IMODE(each.stat().st_mode) for each in (path.parent, path)] == [0o700, 0o600]
