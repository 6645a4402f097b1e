"""What a router tells of its troubles: the worst first, and no more than so many."""

from __future__ import annotations

from contextlib import suppress

import pytest
from support.fakes import hang
from support.limited import limited_loads
from support.waiting import eventually
from support.worlds import world

from croupier.errors import QuotaExceeded
from croupier.request_ids import Known, RequestId
from protos.versions.v1 import versions_pb2 as pb
from router.admission import Admission, Overloaded
from router.attempt import Attempts
from router.breakers import Breakers
from router.budget import RetryBudget
from router.copies import Copies, Hot
from router.latest import Latest
from router.troubles import Troubles
from router.wheel import Wheel
from version_manager.model.limits import Limits, TenantLimits


class Parts:
    """A router's, on a clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 100.0
        self.breakers = Breakers()
        self.retried = (0, 0)
        clock = lambda: self.now  # noqa: E731
        self.attempts = Attempts(self.breakers, RetryBudget(now=0.0), Wheel(), clock=clock)
        self.admission = Admission(3, 2, clock=clock)
        self.latest = Latest(1.0, clock=clock)
        self.copies = Copies()
        self.troubles = Troubles(
            self.attempts, self.admission, self.latest, self.copies, lambda: self.retried
        )

    def told(self, after: float = 0.0) -> pb.RouterTroubles:
        self.now += after
        return self.troubles.told()


@pytest.fixture
def parts() -> Parts:
    return Parts()


def test_a_router_without_troubles_says_so(parts: Parts) -> None:
    assert parts.told() == pb.RouterTroubles(most_in_flight=3, most_in_flight_of_tenant=2)


def test_why_the_feature_store_does_not_answer_is_told(parts: Parts) -> None:
    troubles = Troubles(
        *(parts.attempts, parts.admission, parts.latest, parts.copies, lambda: (0, 0)), lambda: "gone" * 1000
    )
    assert troubles.told().feature_store == ("gone" * 1000)[:300]


def test_what_cells_are_asked_and_which_models_are_hot_is_told_of_the_busiest(parts: Parts) -> None:
    limited = limited_loads(7.5, ["limited"])
    loads = parts.attempts.loads
    for number in range(100):
        for _ in range(number):
            loads.of(f"cell-{number:03}").begin(1)
    loads.of("cell-099").note_answer(1, 0.25)
    told = parts.told().uses
    assert (len(told), told[0], told[-1].in_flight) == (
        99,
        pb.CellUse(cell="cell-099", in_flight=99, latency_seconds=0.25),
        1,
    )
    assert [hot.model for hot in parts.told().hot] == []
    for number in range(200):
        parts.copies.hot["acme", f"m-{number:03}"] = Hot(parts.now, copies=2, rate=number)
    parts.copies.hot["acme", "one"] = Hot(parts.now, rate=1e6)
    hot = parts.told().hot
    assert (len(hot), hot[0]) == (
        100,
        pb.HotModel(tenant="acme", model="m-199", copies=2, requests_per_second=199.0),
    )
    attempts = Attempts(parts.breakers, RetryBudget(now=0.0), Wheel(), clock=lambda: parts.now, loads=limited)
    limited.of("busier").begin(1)
    first, second = (
        Troubles(attempts, parts.admission, parts.latest, parts.copies, lambda: (0, 0)).told().uses
    )
    assert (first.cell, first.limit, second.cell, second.limit) == ("limited", 8, "busier", 0)


def test_cells_tenants_requests_and_retries_are_told(parts: Parts) -> None:
    parts.told()
    parts.breakers.silent("a", 99.0, 100.0, whole=True)
    parts.admission.enter("acme", 0, parts.now)
    parts.admission.enter("acme", 0, parts.now)
    with pytest.raises(QuotaExceeded):
        parts.admission.enter("acme", 0, parts.now)
    parts.latest.ended(Known(RequestId("id")), "Predict", "INTERNAL", 0.5, (), lambda: "acme", "BUG")
    parts.retried = (7, 2)
    told = parts.told(after=2.0)
    (cell,) = told.cells
    assert (cell.cell, cell.breaker, cell.why, cell.seconds) == ("a", "overdue", "silent", 3.0)
    assert (cell.failed_ago, cell.opened, cell.given_up, cell.given_up_seconds) == (2.0, 1, 1, 1)
    (tenant,) = told.tenants
    assert (tenant.tenant, tenant.in_flight, tenant.most_in_flight) == ("acme", 2, 2)
    assert (tenant.refused, tenant.refused_seconds, told.in_flight) == (1, 1, 2)
    (request,) = told.requests
    assert (request.request_id, request.reason, request.ago, request.seconds) == ("id", "BUG", 2.0, 0.5)
    assert (told.retries, told.retries_denied) == (7, 2)
    parts.admission.follow(TenantLimits(Limits(rate=1.0)), lambda tenant: 0.5)
    for _ in range(3):
        with suppress(QuotaExceeded):
            parts.admission.leave(parts.admission.enter("globex", 0, parts.now))
    (limit,) = parts.told().tenants[0].limits
    assert (limit.limit, limit.value, limit.share) == ("rate", 1.0, 0.5)
    assert (limit.refused, limit.refused_seconds) == (2, 1)
    parts.retried = (7, 3)
    told = parts.told(after=20.0)
    assert (told.retries, told.retries_denied) == (0, 0)


def test_a_cell_that_answers_again_is_in_no_trouble(parts: Parts) -> None:
    parts.breakers.silent("a", 99.0, 100.0, whole=True)
    parts.breakers.answered("a", 101.0)
    (cell,) = parts.told(after=5.0).cells
    assert (cell.breaker, cell.why, cell.seconds, cell.opened, cell.given_up) == ("closed", "", 0.0, 0, 1)
    assert cell.failed_ago == 0.0


def test_what_is_refused_to_everybody_is_told(parts: Parts) -> None:
    for tenant in ("acme", "globex", "initech"):
        parts.admission.enter(tenant, 0, parts.now)
    with pytest.raises(Overloaded):
        parts.admission.enter("umbrella", 0, parts.now)
    told = parts.told()
    assert (told.in_flight, told.refused, told.refused_seconds) == (3, 1, 1)


def test_however_much_is_wrong_a_report_is_bounded(parts: Parts) -> None:
    parts.admission.buckets.per_tenant = 0
    for number in range(2_000):
        name = f"{'long' * 30}-{number}"
        parts.breakers.unreachable(name, 100.0)
        with pytest.raises(QuotaExceeded):
            parts.admission.enter(name, 0, parts.now)
        parts.latest.ended(Known(RequestId(name)), "Predict", "INTERNAL", 0.5, (), lambda name=name: name)  # type: ignore[misc]
    for now in (103.0, 106.0):
        parts.breakers.unreachable("worst", now)
    told = parts.told(after=7.0)
    assert (len(told.cells), told.cells_total, told.cells[0].cell) == (100, 2_001, "worst")
    assert (len(told.tenants), told.tenants_total) == (50, 500)
    assert told.ByteSize() < 50_000


async def test_a_cell_that_hangs_is_in_the_next_report() -> None:
    async with world(attempt_timeout=0.05) as stage:
        first = stage.hand()[0]
        first.before = hang
        await stage.router.infer()

        def told() -> list[pb.CellTrouble]:
            return [cell for report in stage.manager.reports for cell in report.troubles.cells]

        await eventually(told, "a report")
        assert (told()[0].cell, told()[0].why, told()[0].opened) == (first.id, "silent", 1)
        assert stage.manager.reports[-1].troubles.retries == 1
