"""Each cause that a tenant's requests may be slow for is named, and what is none is not."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from support.statuses import status

from croupierctl.causes import Asked, causes
from croupierctl.seen import Answer, Fault, Seen
from protos.versions.v1 import versions_pb2 as pb

HAND = ["cell-1", "cell-2"]


class World:
    """Acme with a model churn, all well, to be harmed."""

    def __init__(self) -> None:
        self.status = status()
        self.told = pb.TenantStatus(models=2, generation=2, hand=HAND, routers=1, routers_telling=1)
        self.model = ""
        self.found: pb.Model | None = None
        self.names: list[str] | None = None
        self.usage: pb.Usage | None = None
        self.rates: pb.RateRow | None = None

    def causes(self) -> list[Fault]:
        seen = Seen([Answer("m:1", self.status)])
        more = (self.model, self.found, self.names, self.usage, self.rates)
        return list(causes(Asked("acme", seen, self.told, *more)))

    def only(self) -> Fault:
        (found,) = self.causes()
        return found


@pytest.fixture
def world() -> World:
    return World()


def test_a_tenant_that_is_well_has_no_cause(world: World) -> None:
    assert world.causes() == []
    world.model, world.found = "churn", pb.Model(release=pb.Release(splits=[pb.Split(version=1)]))
    assert world.causes() == []


def test_a_name_that_nobody_has(world: World) -> None:
    world.told.models = 0
    world.told.alike.extend(["acme-1", "acne"])
    assert "did you mean acme-1, acne?" in world.only().words


def test_a_hand_that_is_empty(world: World) -> None:
    del world.told.hand[:]
    assert "the hand of acme is empty" in world.only().words
    # Before the first map nobody has one, and no rule is to be looked for.
    world.told.generation = 0
    assert world.causes() == []


def test_a_model_that_is_not_there_or_has_no_release(world: World) -> None:
    world.model, world.names = "chrun", ["churn", "price"]
    assert "tenant acme has no model chrun: did you mean churn?" in world.only().words
    world.model, world.names, world.found = "churn", None, pb.Model()
    assert "model churn has no release" in world.only().words


def test_a_version_with_traffic_that_is_in_no_memory_is_worth_knowing(world: World) -> None:
    splits = [pb.Split(version=1, basis_points=9_000), pb.Split(version=2, basis_points=1_000)]
    world.model, world.found = "churn", pb.Model(release=pb.Release(splits=splits))
    world.usage = pb.Usage(cells=[pb.CellUsage(versions=[pb.VersionUsage(version=1)])])
    note = world.only()
    assert "version 2 is in no cell's memory" in note.words
    assert not note.is_wrong
    # Nobody asks for one that gets no traffic.
    splits[1].basis_points = 0
    world.found = pb.Model(release=pb.Release(splits=splits))
    assert world.causes() == []


def test_a_limit_that_it_is_at_or_is_refused_for(world: World) -> None:
    world.told.troubles.add(router="h:1", in_flight=256, most_in_flight=256)
    note = world.only()
    assert (note.is_wrong, note.words) == (
        False,
        "it is at its limit at router h:1: 256 of 256 requests in flight",
    )
    world.told.troubles[0].refused, world.told.troubles[0].refused_seconds = 500, 3
    fault = world.only()
    assert "it has 256 of 256 requests in flight at router h:1, and 500 were refused" in fault.words


def test_a_limit_that_it_was_at_for_a_moment_is_a_note_however_many_routers_say_so(world: World) -> None:
    for number in range(30):
        world.told.troubles.add(
            router=f"h:{number}", in_flight=3, most_in_flight=256, refused=1, refused_seconds=1
        )
    found = world.causes()
    assert [note.is_wrong for note in found] == [False] * 5
    assert found[0].words == "it is at its limit at router h:0: 3 of 256 requests in flight"


def test_limits_of_its_own_that_refuse_it(world: World) -> None:
    for number, refused in enumerate((300, 12)):
        world.told.troubles.add(
            router=f"h:{number}",
            in_flight=3,
            most_in_flight=512,
            limits=[
                pb.LimitTrouble(limit="rate", value=100.0, share=0.5, refused=refused, refused_seconds=9)
            ],
        )
    fault = world.only()
    assert fault.words == "it is at its limit: rate 100/s (refused 312 in the last 10 s at 2 routers)"
    assert fault.advice.endswith("to allow more: croupierctl tenants limit acme --rate")
    del world.told.troubles[1:]
    world.told.troubles[0].limits[0].limit = "streams"
    world.told.troubles[0].limits[0].value = 256
    fault = world.only()
    assert fault.words == "it is at its limit: streams 256 a router (refused 300 in the last 10 s)"
    assert "--max-streams-per-tenant" in fault.advice
    world.told.troubles[0].limits[0].limit = "uploads"
    fault = world.only()
    assert fault.words == "it is at its limit: uploads 256 bytes a router (refused 300 in the last 10 s)"
    assert "--max-uploading-bytes-per-tenant" in fault.advice
    # What a later release knows is told as it says it.
    world.told.troubles[0].limits[0].limit, world.told.troubles[0].limits[0].value = "wishes", 2e6
    assert "its limit: wishes 2,000,000 (refused" in world.only().words


def test_versions_that_are_quarantined_or_do_not_end(world: World) -> None:
    why = pb.Quarantined(artifact=b"\xab" * 32, why="SIGSEGV", phase="score")
    for cell in HAND:
        world.told.refused.add(model="churn", version=7, cell=cell, quarantined=why)
    fault = world.only()
    assert "version 7 of churn is quarantined on cell-1, cell-2 (SIGSEGV at score)" in fault.words
    assert fault.advice.endswith("cells lift " + "ab" * 32)
    del world.told.refused[:]
    world.told.running.add(model="churn", version=7, cell="cell-1", run=pb.LongRun(seconds=4.0))
    assert "version 7 of churn has run on cell-1 for 4 s" in world.only().words
    # What runs now is said before what was stopped earlier.
    world.told.running[0].run.stopped = 3
    assert "version 7 of churn has run on cell-1 for 4 s" in world.only().words
    world.told.running[0].run.CopyFrom(pb.LongRun(stopped=3))
    assert "was stopped on cell-1 3 times in the last 10 s" in world.only().words


def test_of_versions_however_many_the_first_are_told(world: World) -> None:
    why = pb.Quarantined(artifact=b"\xab" * 32, why="SIGSEGV", phase="score")
    for version in range(1, 31):
        world.told.refused.add(model="churn", version=version, cell="cell-1", quarantined=why)
        world.told.running.add(model="churn", version=version, cell="cell-1", run=pb.LongRun(seconds=4.0))
    assert [fault.words.split()[1] for fault in world.causes()] == ["1", "2", "3", "4", "5"] * 2


def open_breaker(world: World, *cells: str) -> None:
    for cell in cells:
        world.status.routers[0].report.troubles.cells.add(
            cell=cell, breaker="open", why="unreachable", opened=1, seconds=1.0
        )


def test_cells_that_are_cooling(world: World) -> None:
    open_breaker(world, "cell-1", "a cell of others")
    fault = world.only()
    assert "1 of 2 cells of its hand is cooling" in fault.words
    assert "the others serve meanwhile" in fault.advice
    open_breaker(world, "cell-2")
    fault = world.only()
    assert "2 of 2 cells of its hand are cooling" in fault.words
    assert "wait or fail" in fault.advice
    # One request is let through to see whether it is well again: the others still go elsewhere.
    world.status.routers[0].report.troubles.cells[0].breaker = "half-open"
    assert "2 of 2 cells of its hand are cooling" in world.only().words
    # Nobody asks them now: whether they are well is not known.
    for trouble in world.status.routers[0].report.troubles.cells:
        trouble.breaker = "overdue"
    assert world.causes() == []


def test_models_that_do_not_fit(world: World) -> None:
    load = world.status.cells[0].cell.load
    load.used_bytes, load.oldest_seconds = 950, 2.0
    load.work.CopyFrom(pb.Work(seconds=10.0, loaded=700, evictions=690))
    fits, full = world.causes()
    assert "do not fit: 1 of 2 give up what is in use, with 4,200 cold loads a minute" in fits.words
    assert "cell cell-1 gives up models that are in use" in full.words
    # A few that had to go are no storm.
    load.work.evictions = 9
    assert [fault.words for fault in world.causes()] == [full.words]


def rates(requests: int, **counts: int) -> pb.RateRow:
    window = pb.RateWindow(seconds=10.0, counts=pb.Counts(requests=requests, **counts))
    return pb.RateRow(tenant="acme", windows=[window])


@pytest.mark.parametrize(
    ("row", "words"),
    [
        (rates(100, cold=38), "38% of its requests are cold"),
        (rates(100, failed=3), "3% of its requests fail"),
        (rates(100, refused=50), "50% of its requests are refused"),
        (rates(100, cold=19, refused=9), ""),
        (rates(19, cold=19, failed=19, refused=19), ""),
    ],
)
def test_shares_of_its_requests(world: World, row: pb.RateRow, words: str) -> None:
    world.rates = row
    found = world.causes()
    assert [words in fault.words for fault in found] == ([True] if words else [])


def test_shares_are_of_the_first_window_that_has_begun(world: World) -> None:
    world.rates = rates(100, cold=38)
    world.rates.windows.insert(0, pb.RateWindow())
    assert "38% of its requests are cold" in world.only().words


@pytest.mark.parametrize(
    ("code", "reason", "words", "advice"),
    [
        ("INTERNAL", "INTERNAL", "requests end with INTERNAL at cell-1", "by their ids"),
        ("NOT_FOUND", "NO_RELEASE", "requests end with NOT_FOUND (NO_RELEASE)", "models ls"),
        ("OK", "", "requests are slow at cell-1: one took 2.5 s", "tries"),
    ],
)
def test_the_latest_requests(world: World, code: str, reason: str, words: str, advice: str) -> None:
    row = pb.EndedRequest(tenant="acme", code=code, reason=reason, seconds=2.5, cells=["cell-1"], ago=5.0)
    world.told.requests.extend([row, row])
    fault = world.only()
    assert words in fault.words
    assert advice in fault.advice
    for one in world.told.requests:
        one.ago = 31.0
    assert world.causes() == []


def test_of_kinds_however_many_the_latest_are_told_with_the_slowest_of_each(world: World) -> None:
    for number in range(30):
        for seconds in (1.5, 2.5):
            world.told.requests.add(
                tenant="acme", code="OK", reason=f"REASON_{number}", seconds=seconds, ago=5.0
            )
    found = world.causes()
    assert [fault.words for fault in found] == ["requests are slow: one took 2.5 s"] * 5


HARMS: list[tuple[Callable[[pb.Status], object], str]] = [
    (lambda s: setattr(s.cells[0], "heard", 9.0), "cell cell-1 hangs"),
    (lambda s: setattr(s, "frozen", "etcd lost 3"), "lets the map stand"),
    (
        lambda s: s.cells[0].cell.load.work.store.MergeFrom(pb.StoreReads(oldest_seconds=9, under_way=1)),
        "waits 9 s",
    ),
    (
        lambda s: s.bad_records.add(key="croupier/models/acme/x/release", message="?"),
        "acme/x/release in etcd",
    ),
]


@pytest.mark.parametrize(("harm", "words"), HARMS, ids=[words for _, words in HARMS])
def test_what_it_depends_on_is_its_matter_too(
    world: World, harm: Callable[[pb.Status], object], words: str
) -> None:
    harm(world.status)
    world.status.bad_records_total = len(world.status.bad_records)
    assert words in world.only().words


def test_what_is_wrong_elsewhere_is_not(world: World) -> None:
    world.told.hand[:] = ["cell-2"]
    world.status.cells[0].heard = 9.0
    world.status.bad_records.add(key="croupier/models/globex/x/release", message="?")
    world.status.bad_records_total = 1
    trouble = pb.TenantTrouble(tenant="globex", refused=10, refused_seconds=5)
    world.status.routers[0].report.troubles.tenants.append(trouble)
    assert world.causes() == []


def test_of_its_cells_notes_are_told_too_and_of_those_before_and_of_everybody_faults_alone(
    world: World,
) -> None:
    world.status.cells[0].cell.state = "draining"
    note = world.only()
    assert (note.words, note.is_wrong) == ("cell cell-1 is draining", False)
    world.told.hand[:], world.told.previous_hand[:] = ["cell-2"], ["cell-1"]
    assert world.causes() == []
    world.status.cells[0].heard = 9.0
    assert "cell cell-1 hangs" in world.causes()[0].words
    world.status.cells[0].heard = 0.5
    # That no router reports is a note.
    del world.status.routers[:]
    assert world.causes() == []


def test_a_record_of_a_tenant_whose_name_begins_alike_is_none_of_it(world: World) -> None:
    world.status.bad_records.add(key="croupier/models/acme-2/x/release", message="?")
    world.status.bad_records_total = 1
    assert world.causes() == []


def test_what_is_not_known_is_said_and_nothing_made_of_it() -> None:
    asked = Asked("acme", Seen([Answer("m:1", status())]), failures={"how much it asks for": "it hangs"})
    (note,) = causes(asked)
    assert (note.is_wrong, note.words) == (False, "how much it asks for is not known: it hangs")
