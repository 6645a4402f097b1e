import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable

from support.cells import ticks
from support.join_service import JoinService
from support.waiting import eventually

from cell.crash.quarantine import Death, Named, Phase, Quarantine
from cell.loading.host import HostReport
from cell.register import Endpoint, Pace, Registration
from croupier.backoff import Backoff
from croupier.errors import AlreadyExists, Conflict, Unavailable
from croupier.grpcio.manager import VersionManagerClient
from croupier.protocol import CURRENT
from protos.versions.v1 import versions_pb2 as pb

ENDPOINT = Endpoint("cell-1", "zone-a", "127.0.0.1:1234", 2.0)
REPORT = HostReport(100, 60, 3, 1, 7.5, 20, 15)
FAST = Pace(report=0.005, backoff=Backoff(0.1, 5.0), silence=5.0)

Join = Callable[[AsyncIterator[pb.JoinRequest]], AsyncIterator[pb.JoinResponse]]


class FakeManager:
    """Answers each report until told otherwise; one behaviour a join, the last for all further ones."""

    def __init__(self, *joins: Join) -> None:
        self.joins = list(joins) or [self.answer]
        self.reports: list[pb.Cell] = []
        # Of streams that only report.
        self.heard: list[pb.Cell] = []
        self.joined = 0

    def report(self, reports: AsyncIterator[pb.JoinRequest]) -> AsyncIterator[pb.JoinResponse]:
        return self.hear(reports)

    async def hear(self, reports: AsyncIterator[pb.JoinRequest]) -> AsyncIterator[pb.JoinResponse]:
        async for report in reports:
            self.heard.append(report.cell)
            yield pb.JoinResponse(lease_seconds=5)

    def join(self, reports: AsyncIterator[pb.JoinRequest]) -> AsyncIterator[pb.JoinResponse]:
        self.joined += 1
        behaviour = self.joins[0] if len(self.joins) == 1 else self.joins.pop(0)
        return behaviour(reports)

    async def answer(self, reports: AsyncIterator[pb.JoinRequest]) -> AsyncIterator[pb.JoinResponse]:
        async for report in reports:
            self.reports.append(report.cell)
            yield pb.JoinResponse(lease_seconds=5)


async def refuse(reports: AsyncIterator[pb.JoinRequest]) -> AsyncIterator[pb.JoinResponse]:
    raise Unavailable("away")
    yield pb.JoinResponse()


async def hang_up(reports: AsyncIterator[pb.JoinRequest]) -> AsyncIterator[pb.JoinResponse]:
    await anext(reports)
    yield pb.JoinResponse(lease_seconds=5)


async def fall_silent(reports: AsyncIterator[pb.JoinRequest]) -> AsyncIterator[pb.JoinResponse]:
    await anext(reports)
    yield pb.JoinResponse(lease_seconds=0.01)
    await asyncio.Event().wait()


class Sleeps:
    """Takes no time and remembers what was asked for."""

    def __init__(self) -> None:
        self.asked: list[float] = []

    def __call__(self, seconds: float) -> Awaitable[None]:
        self.asked.append(seconds)
        return asyncio.sleep(0)


class Running:
    """A registration that runs inside a `with` block."""

    def __init__(self, *managers: FakeManager | VersionManagerClient, pace: Pace = FAST) -> None:
        self.sleeps = Sleeps()
        self.registration = Registration(
            managers, ENDPOINT, lambda: REPORT, pace=pace, rng=random.Random(1), sleep=self.sleeps
        )

    async def __aenter__(self) -> "Running":
        self.task = asyncio.create_task(self.registration.run())
        return self

    async def __aexit__(self, *_: object) -> None:
        assert not self.task.done()
        self.task.cancel()
        await asyncio.wait([self.task])
        assert self.task.cancelled()


async def test_reports_who_it_is_and_how_full_it_is() -> None:
    manager = FakeManager()
    async with Running(manager):
        await eventually(lambda: len(manager.reports) >= 3, "three reports")
    load = pb.Load(
        capacity_bytes=100,
        used_bytes=60,
        resident=3,
        loading=1,
        oldest_seconds=7.5,
        requests=20,
        hits=15,
    )
    assert manager.reports[0] == pb.Cell(
        id="cell-1",
        zone="zone-a",
        address="127.0.0.1:1234",
        weight=2.0,
        state="active",
        load=load,
        protocol=CURRENT,
    )
    assert manager.reports[2].load == load


async def test_joins_again_after_the_manager_hung_up() -> None:
    manager = FakeManager(hang_up, hang_up)
    manager.joins.append(manager.answer)
    async with Running(manager) as running:
        await eventually(lambda: bool(manager.reports), "a report after two broken streams")
    assert len(running.sleeps.asked) == 2


async def test_a_stream_that_has_ended_reports_no_more() -> None:
    ended: list[AsyncIterator[pb.JoinRequest]] = []

    async def end(reports: AsyncIterator[pb.JoinRequest]) -> AsyncIterator[pb.JoinResponse]:
        ended.append(reports)
        await anext(reports)
        yield pb.JoinResponse(lease_seconds=5)

    manager = FakeManager(end)
    manager.joins.append(manager.answer)
    async with Running(manager):
        await eventually(lambda: bool(manager.reports), "a report on the next stream")
        assert await anext(ended[0], None) is None


async def test_joins_again_after_silence() -> None:
    manager = FakeManager(fall_silent)
    manager.joins.append(manager.answer)
    async with Running(manager):
        await eventually(lambda: bool(manager.reports), "a report after silence")


async def test_backs_off_with_jitter_and_for_ever() -> None:
    async with Running(FakeManager(refuse)) as running:
        await eventually(lambda: len(running.sleeps.asked) >= 60, "sixty attempts")
    asked = running.sleeps.asked
    assert all(0.05 <= seconds <= 5.0 for seconds in asked)
    assert asked[0] <= 0.1
    assert max(asked[10:]) > 2.0
    assert len(set(asked)) == len(asked)


async def test_an_answer_resets_the_back_off() -> None:
    manager = FakeManager(*[refuse] * 20, hang_up, refuse)
    async with Running(manager) as running:
        await eventually(lambda: len(running.sleeps.asked) >= 23, "attempts after an answer")
    assert running.sleeps.asked[20] <= 0.1


async def test_a_manager_that_will_not_have_it_is_asked_again() -> None:
    async def conflict(reports: AsyncIterator[pb.JoinRequest]) -> AsyncIterator[pb.JoinResponse]:
        raise AlreadyExists("another cell has this id")
        yield pb.JoinResponse()

    manager = FakeManager(conflict)
    manager.joins.append(manager.answer)
    async with Running(manager):
        await eventually(lambda: bool(manager.reports), "a report")


async def test_two_cells_of_one_id_back_off_further_each_time() -> None:
    async def superseded(reports: AsyncIterator[pb.JoinRequest]) -> AsyncIterator[pb.JoinResponse]:
        await anext(reports)
        yield pb.JoinResponse(lease_seconds=5)
        raise Conflict("the cell has joined again")

    async with Running(FakeManager(superseded)) as running:
        await eventually(lambda: len(running.sleeps.asked) >= 40, "many attempts")
    assert max(running.sleeps.asked[:2]) <= 0.2
    assert max(running.sleeps.asked) > 2.5


async def test_draining_is_said_at_once_and_known_when_answered() -> None:
    manager = FakeManager()
    async with Running(manager, pace=Pace(report=3600)) as running:
        await eventually(lambda: len(manager.reports) == 1, "the first report")
        assert await running.registration.drain(5.0)
    assert [cell.state for cell in manager.reports] == ["active", "draining"]


async def test_draining_does_not_wait_for_a_manager_that_is_away() -> None:
    async with Running(FakeManager(refuse)) as running:
        await ticks()
        assert not await running.registration.drain(0.01)


async def test_a_drain_that_is_cancelled() -> None:
    async with Running(FakeManager(refuse)) as running:
        draining = asyncio.create_task(running.registration.drain(60.0))
        await ticks()
        draining.cancel()
        await asyncio.wait([draining])
        assert draining.cancelled()


async def test_quarantined_artifacts_are_reported_and_lifted_when_the_manager_says_so() -> None:
    quarantine = Quarantine()
    for number in range(70):
        crash = Named(bytes([number]) * 32, Phase.LOAD, signal="SIGABRT")
        quarantine.judge(Death((crash,), "SIGABRT"), float(number))

    async def lift_the_last(reports: AsyncIterator[pb.JoinRequest]) -> AsyncIterator[pb.JoinResponse]:
        async for report in reports:
            manager.reports.append(report.cell)
            yield pb.JoinResponse(lease_seconds=5, lift=[bytes([69]) * 32])

    manager = FakeManager(lift_the_last)
    registration = Registration(
        [manager],
        ENDPOINT,
        lambda: REPORT,
        pace=FAST,
        quarantine=quarantine,
        lift=quarantine.lift,
        rng=random.Random(1),
    )
    running = asyncio.create_task(registration.run())
    await eventually(lambda: len(manager.reports) >= 2, "two reports")
    running.cancel()
    await asyncio.wait([running])
    first, second = (report.load for report in manager.reports[:2])
    assert (first.quarantined_total, len(first.quarantined)) == (70, 64)
    assert first.quarantined[-1] == pb.Quarantined(
        artifact=bytes([69]) * 32, since=69.0, why="SIGABRT", phase="load"
    )
    assert second.quarantined_total == 69
    assert second.quarantined[-1].artifact == bytes([68]) * 32


async def test_through_a_real_stream(manager: tuple[JoinService, str]) -> None:
    service, address = manager
    async with VersionManagerClient(address) as client:
        async with Running(client) as running:
            await eventually(lambda: len(service.reports) >= 2, "two reports")
            assert await running.registration.drain(5.0)
        await eventually(lambda: service.left == 1, "the stream's end")
    assert service.reports[0].id == "cell-1"
    assert service.reports[-1].state == "draining"


async def until_home(*managers: FakeManager) -> tuple[FakeManager, list[FakeManager]]:
    """The manager that has the cell registered, and the others, once all have heard of it."""
    await eventually(
        lambda: all(one.heard or one.reports for one in managers) and any(one.reports for one in managers),
        "every manager knows the cell",
    )
    (home,) = [one for one in managers if one.reports]
    return home, [one for one in managers if one is not home]


async def test_one_manager_registers_the_cell_and_the_others_hear_of_it() -> None:
    managers = [FakeManager() for _ in range(3)]
    async with Running(*managers):
        home, others = await until_home(*managers)
        await eventually(lambda: all(len(one.heard) >= 3 for one in others), "reports everywhere")
    assert (home.joined, home.heard) == (1, [])
    assert [one.joined for one in others] == [0, 0]


def test_which_manager_it_is_differs_from_cell_to_cell() -> None:
    def first(seed: int) -> int:
        managers = [FakeManager() for _ in range(3)]
        registration = Registration(managers, ENDPOINT, lambda: REPORT, rng=random.Random(seed))
        return [peer.is_home.is_set() for peer in registration._peers].index(True)

    assert {first(seed) for seed in range(30)} == {0, 1, 2}


class Mortal(FakeManager):
    """A manager that can be ended: its streams break, and further ones."""

    def __init__(self) -> None:
        super().__init__()
        self.died = asyncio.Event()

    async def live(self, stream: AsyncIterator[pb.JoinResponse]) -> AsyncIterator[pb.JoinResponse]:
        dying = asyncio.ensure_future(self.died.wait())
        try:
            while True:
                answer = asyncio.ensure_future(anext(stream))
                await asyncio.wait((answer, dying), return_when=asyncio.FIRST_COMPLETED)
                if dying.done():
                    answer.cancel()
                    await asyncio.wait([answer])
                    raise Unavailable("it died")
                yield answer.result()
        finally:
            dying.cancel()

    def join(self, reports: AsyncIterator[pb.JoinRequest]) -> AsyncIterator[pb.JoinResponse]:
        return self.live(super().join(reports))

    def report(self, reports: AsyncIterator[pb.JoinRequest]) -> AsyncIterator[pb.JoinResponse]:
        return self.live(super().report(reports))


async def test_when_the_manager_dies_one_that_answers_registers_the_cell_at_once() -> None:
    managers = [Mortal() for _ in range(3)]
    async with Running(*managers) as running:
        home, others = await until_home(*managers)
        dead = next(one for one in others)
        dead.died.set()
        await eventually(lambda: bool(running.sleeps.asked), "the death of one that only heard is noticed")
        home.died.set()
        (left,) = [one for one in others if one is not dead]
        await eventually(lambda: bool(left.reports), "the cell is registered by the one that is left")
        assert (left.joined, dead.joined) == (1, 0)
        # Back again, they only hear of it.
        home.reports.clear()
        for one in (home, dead):
            one.died.clear()
            one.heard.clear()
        await eventually(lambda: bool(home.heard and dead.heard), "both are told again")
        assert left.joined == 1
        assert not home.reports


async def test_two_cells_of_one_id_do_not_throw_each_other_out_at_one_manager_after_the_other() -> None:
    async def superseded(reports: AsyncIterator[pb.JoinRequest]) -> AsyncIterator[pb.JoinResponse]:
        await anext(reports)
        yield pb.JoinResponse(lease_seconds=5)
        raise Conflict("the cell has joined again")

    managers = [FakeManager(superseded), FakeManager(superseded)]
    async with Running(*managers) as running:
        await eventually(lambda: len(running.sleeps.asked) >= 40, "many attempts")
    assert sorted(one.joined > 0 for one in managers) == [False, True]
    assert max(running.sleeps.asked) > 2.5


async def test_draining_is_said_to_every_manager() -> None:
    managers = [FakeManager(), FakeManager()]
    async with Running(*managers, pace=Pace(report=3600)) as running:
        home, (other,) = await until_home(*managers)
        assert await running.registration.drain(5.0)
        await eventually(lambda: len(other.heard) == 2, "the other hears of it")
    assert [cell.state for cell in home.reports] == ["active", "draining"]
    assert [cell.state for cell in other.heard] == ["active", "draining"]


async def test_of_several_managers_a_silent_one_is_left_before_the_lease_ends() -> None:
    def patience(managers: int, lease: float) -> float:
        peers = [FakeManager() for _ in range(managers)]
        return Registration(peers, ENDPOINT, lambda: REPORT, rng=random.Random(1))._longest_silence(lease)

    assert [patience(1, lease) for lease in (10.0, 1.5)] == [10.0, 1.5]
    assert [patience(2, lease) for lease in (10.0, 4.0, 3.0, 1.5)] == [5.0, 2.0, 2.0, 1.5]


async def test_each_report_says_what_runs_the_cell() -> None:
    parts: list[pb.Part] = []

    async def note(reports: AsyncIterator[pb.JoinRequest]) -> AsyncIterator[pb.JoinResponse]:
        async for report in reports:
            parts.append(report.part)
            yield pb.JoinResponse(lease_seconds=5)

    told = iter([pb.Part(release="1"), pb.Part(release="2")])
    registration = Registration(
        [FakeManager(note)],
        ENDPOINT,
        lambda: REPORT,
        pace=FAST,
        rng=random.Random(1),
        part=lambda: next(told, pb.Part(release="3")),
    )
    running = asyncio.create_task(registration.run())
    await eventually(lambda: len(parts) > 2, "three reports")
    running.cancel()
    await asyncio.wait([running])
    assert [part.release for part in parts[:3]] == ["1", "2", "3"]
