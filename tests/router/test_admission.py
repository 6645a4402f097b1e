from __future__ import annotations

from contextlib import suppress

import pytest
from support.fakes import metric

from croupier.errors import QuotaExceeded
from croupier.priorities import Priority
from croupier.recent import Noted
from croupier.transport.status import from_error, to_error
from router.admission import Admission, Limited, Overloaded, Pressed
from router.pressure import LEAST
from version_manager.model.limits import UNLIMITED, Limits, TenantLimits


class Front:
    """Admission on a clock that is set by hand."""

    def __init__(self, limit: int = 10, per_tenant: int = 2, **settings: float) -> None:
        self.now = 0.0
        self.admission = Admission(limit, per_tenant, clock=lambda: self.now, **settings)  # type: ignore[arg-type]
        self.now = 100.0

    def enter(self, tenant: str = "acme", size: int = 0, priority: int = 0) -> object:
        return self.admission.enter(tenant, size, self.now, priority)

    def refused(self, tenant: str = "acme", size: int = 0) -> QuotaExceeded:
        with pytest.raises(QuotaExceeded) as caught:
            self.enter(tenant, size)
        return caught.value

    def ask(self, count: int, tenant: str = "acme") -> None:
        for _ in range(count):
            self.admission.leave(self.admission.enter(tenant, 0, self.now))


def test_a_tenant_has_a_limit_of_its_own() -> None:
    front = Front(10, 2, retry_after=0.5)
    account = front.admission.enter("acme", 0, 0.0)
    front.enter()
    error = front.refused()
    assert error.retry_after == 0.5
    assert error.metadata == {"subject": "acme", "limit": "in_flight", "value": "2"}
    front.enter("globex")
    front.admission.leave(account)
    front.enter()


def test_all_together_have_a_limit() -> None:
    front = Front(3, 2, retry_after=0.5)
    held = [front.admission.enter(tenant, 0, 0.0) for tenant in ("a", "b", "c")]
    with pytest.raises(Overloaded) as caught:
        front.enter("d")
    assert caught.value.retry_after == 0.5
    front.admission.leave(held[1])
    front.enter("d")


def test_lower_priorities_are_refused_first_at_the_limit_of_all() -> None:
    front, let_in = Front(10, 100), []
    for priority in reversed(Priority):
        before = front.admission.in_flight
        with suppress(Overloaded):
            for _ in range(100):
                front.enter(priority=priority)
        let_in.append(front.admission.in_flight - before)
    assert let_in == [5, 2, 1, 1, 1]


def test_a_router_that_is_late_for_a_while_has_a_lower_limit_until_it_is_not() -> None:
    front = Front(1000, 1000)
    for _ in range(200):
        front.enter()
    for beat in range(40):
        front.admission.beat(0.1, front.now + 0.1 * beat)
    assert front.admission.limit == LEAST
    with pytest.raises(Overloaded):
        front.enter()
    for beat in range(1000):
        front.admission.beat(0.0, front.now + 10 + 0.1 * beat)
    assert front.admission.limit == 1000
    front.enter()


def test_a_refused_request_counts_for_nothing() -> None:
    front = Front(2, 1)
    account = front.admission.enter("acme", 0, 0.0)
    for _ in range(5):
        front.refused()
    assert front.admission.in_flight == 1
    front.admission.leave(account)
    assert front.admission.in_flight == 0
    assert front.admission.buckets.accounts == {}


def test_who_is_over_a_limit_hears_which_how_much_it_is_when_to_come_and_whom_to_ask() -> None:
    front = Front()
    front.admission.follow(TenantLimits(Limits(rate=4.0), {"acme": Limits(rate=8.0, rows=UNLIMITED)}))
    front.ask(8)
    error = front.refused()
    assert error.message == (
        "tenant acme is at its limit of 8 requests a second; whoever operates this can raise it: "
        "croupierctl tenants limit"
    )
    assert error.metadata == {"subject": "acme", "limit": "rate", "value": "8"}
    assert 0.125 * 0.998 <= error.retry_after <= 0.125 * 1.2
    status = from_error(error)
    told = to_error(status.code, status.message, status.details)
    assert isinstance(told, QuotaExceeded)
    assert (told.reason, told.metadata["limit"]) == ("QUOTA_EXCEEDED", "rate")
    assert told.retry_after == pytest.approx(error.retry_after)
    # The default holds for the others, and nothing of acme's is said to them.
    front.ask(4, "globex")
    assert "limit of 4 requests a second" in front.refused("globex").message


def test_limits_that_follow_hold_at_once_for_the_share_that_is_ours() -> None:
    front = Front(1000, 512)
    front.admission.follow(TenantLimits(Limits(rate=100.0, in_flight=64.0)), lambda tenant: 0.25)
    front.ask(25)
    # What is said is what was told to the tenant, and that of all routers.
    assert front.refused().metadata["value"] == "100"
    front.now += 10
    for _ in range(16):
        front.enter()
    error = front.refused()
    assert (error.metadata["limit"], error.metadata["value"]) == ("in_flight", "64")
    front.admission.follow(TenantLimits())
    front.ask(100)


def test_streams_have_a_bound_and_cost_a_request_each() -> None:
    front = Front(streams=2)
    with front.admission.stream("acme"), front.admission.stream("acme"):
        with pytest.raises(QuotaExceeded) as caught, front.admission.stream("acme"):
            raise AssertionError("it was let in")
        assert caught.value.metadata["limit"] == "streams"
        assert "limit of 2 open streams at a router" in caught.value.message
        with front.admission.stream("globex"):
            assert (front.admission.streams("acme"), front.admission.streams("globex")) == (2, 1)
    assert front.admission.streams("acme") == 0
    front.admission.follow(TenantLimits(Limits(rate=3.0)))
    for _ in range(3):
        with front.admission.stream("acme"):
            pass
    with pytest.raises(QuotaExceeded), front.admission.stream("acme"):
        raise AssertionError("it was let in")
    assert (front.admission.streams("acme"), front.admission.in_flight) == (0, 0)
    assert front.admission._streams == {}


def test_the_opening_of_a_stream_pays_for_its_first_request() -> None:
    front = Front()
    front.admission.follow(TenantLimits(Limits(rate=2.0)))
    front.now += 10
    with front.admission.stream("acme") as asks, front.admission.stream("acme"):
        front.refused()
        asks()
        front.ask(1)
        asks()
        front.refused()


def test_it_tells_who_was_refused_lately_and_who_is_at_the_limit() -> None:
    front = Front(3, 2)
    admission = front.admission
    assert admission.pressed(50)[0] == []
    held = [admission.enter(tenant, 0, front.now) for tenant in ("acme", "acme", "globex")]
    assert admission.pressed(50)[0] == [Pressed("acme", 2, 2)]
    for _ in range(3):
        for _ in range(5):
            front.refused()
        front.now += 1
    with pytest.raises(Overloaded):
        front.enter("globex")
    assert admission.pressed(50)[0] == [Pressed("acme", 2, 2, Noted(15, 3))]
    assert admission.refused == Noted(1, 1)
    admission.leave(held[0])
    assert admission.pressed(50)[0] == [Pressed("acme", 1, 2, Noted(15, 3))]
    front.now = 120.0
    assert admission.pressed(50)[0] == []
    assert admission.refused == Noted()


def test_it_tells_which_limits_refused_whom_the_worst_first() -> None:
    front = Front()
    before = metric("croupier_router_limit_refusals_total", limit="bytes")
    limits = {"acme": Limits(rate=2.0, bytes=1000.0), "globex": Limits(rate=1.0)}
    front.admission.follow(TenantLimits(tenants=limits), lambda tenant: 0.5)
    front.ask(1)
    front.ask(1, "globex")
    front.refused()
    for _ in range(3):
        front.refused("globex")
    front.now += 5
    front.admission.leave(front.admission.enter("acme", 10_000, front.now))
    for _ in range(4):
        front.refused()
    pressed, count = front.admission.pressed(50)
    assert count == 2
    assert pressed[0] == Pressed(
        "acme",
        0,
        2,
        limits=(Limited("bytes", 1000.0, 0.5, Noted(4, 1)), Limited("rate", 2.0, 0.5, Noted(1, 1))),
    )
    assert pressed[1].limits == (Limited("rate", 1.0, 0.5, Noted(3, 1)),)
    assert metric("croupier_router_limit_refusals_total", limit="bytes") == before + 4
    assert metric("croupier_router_limited_tenants") == 2
    # What was lifted since limits nobody any more.
    front.admission.follow(TenantLimits())
    assert all(not one.limits for one in front.admission.pressed(50)[0])


def test_what_it_knows_of_refused_tenants_is_bounded() -> None:
    front = Front(10, 0)
    for number in range(3_000):
        front.refused(f"tenant-{number}")
    assert front.admission.pressed(50)[1] == 500
    assert front.admission.buckets.accounts == {}


class TestUploads:
    """Large requests, before they are here."""

    LIMITS = TenantLimits(tenants={"acme": Limits(bytes=1000)})

    def over(self, front: Front, size: int) -> str:
        with pytest.raises(QuotaExceeded) as caught:
            front.admission.upload("acme", size)
        return caught.value.metadata["limit"]

    def test_without_limits_a_tenant_has_a_bound_for_what_is_on_its_way(self) -> None:
        front = Front(uploads=1000)
        ended = front.admission.upload("acme", 800)
        assert self.over(front, 201) == "uploads"
        front.admission.upload("acme", 200)()
        front.admission.upload("globex", 900)()
        ended()
        assert front.admission.uploading("acme") == 0
        # Alone it may be larger than that, or it would be told to try again for ever.
        front.admission.upload("acme", 2000)()
        assert (front.admission.buckets.accounts, front.admission.in_flight) == ({}, 0)

    def test_nothing_is_taken_in_of_a_tenant_that_is_in_debt(self) -> None:
        front = Front()
        front.admission.follow(self.LIMITS)
        front.ask(0)
        front.admission.upload("acme", 3000)()
        front.admission.leave(front.enter(size=3000))  # type: ignore[arg-type]
        assert self.over(front, 3000) == "bytes"
        front.now += 1.9
        assert self.over(front, 3000) == "bytes"
        front.now += 0.2
        front.admission.upload("acme", 3000)()

    def test_what_is_on_its_way_counts_as_if_it_were_here(self) -> None:
        front = Front()
        front.admission.follow(self.LIMITS)
        ended = front.admission.upload("acme", 600)
        front.admission.upload("acme", 600)
        with pytest.raises(QuotaExceeded) as caught:
            front.admission.upload("acme", 600)
        assert 0.2 <= caught.value.retry_after <= 0.25
        # It is refused before it is here, and those that were let in are let in.
        ended()
        front.enter(size=600)
        assert self.over(front, 600) == "bytes"
        front.enter(size=600)
        assert [one.kind for one in front.admission.pressed(9)[0][0].limits] == ["bytes"]

    def test_what_would_be_refused_for_another_limit_is_not_taken_in_either(self) -> None:
        front = Front(10, 1)
        front.enter()
        assert self.over(front, 10) == "in_flight"
        front = Front(1, 1)
        front.enter("globex")
        with pytest.raises(Overloaded):
            front.admission.upload("acme", 10)
        assert front.admission.uploading("acme") == 0

    def test_the_bound_is_told_as_the_routers_own(self) -> None:
        front = Front(uploads=1000)
        front.admission.upload("acme", 800)
        self.over(front, 201)
        [pressed], _ = front.admission.pressed(9)
        assert [(one.kind, one.limit, one.share) for one in pressed.limits] == [("uploads", 1000, 1.0)]
