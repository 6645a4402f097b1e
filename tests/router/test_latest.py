"""Which requests are kept for whoever asks why, and how many at most."""

from __future__ import annotations

from typing import Any

import grpc
import pytest
from support.fakes import hang
from support.waiting import eventually
from support.worlds import failing, world

from croupier.request_ids import Known, RequestId
from protos.prediction.v1 import prediction_pb2 as pb
from router.latest import MOST_OF_TENANT, MOST_TENANTS, Latest
from router.units import Unit


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def latest(clock: Clock) -> Latest:
    return Latest(1.0, clock=clock)


def end(latest: Latest, tenant: str, code: str = "INTERNAL", seconds: float = 0.1, **told: Any) -> None:
    units = told.pop("units", ())
    latest.ended(Known(RequestId("id-1")), "Predict", code, seconds, units, lambda: tenant, **told)


def test_what_failed_or_was_slow_is_kept_and_nothing_else(latest: Latest, clock: Clock) -> None:
    for code, seconds in (
        ("OK", 0.999),
        ("CANCELLED", 0.1),
        ("OK", 1.0),
        ("NOT_FOUND", 0.0),
        ("CANCELLED", 2.0),
    ):
        clock.now += 1
        end(latest, "acme", code, seconds)
    end(latest, "", "UNAUTHENTICATED")
    assert [(one.code, one.at) for one in latest.all()] == [
        ("CANCELLED", 105.0),
        ("NOT_FOUND", 104.0),
        ("OK", 103.0),
    ]


def test_who_hangs_up_has_not_failed(latest: Latest) -> None:
    end(latest, "acme", "CANCELLED", 0.999)
    assert latest.all() == []


def test_none_is_slow_where_that_is_turned_off(clock: Clock) -> None:
    latest = Latest(0.0, clock=clock)
    end(latest, "acme", "OK", 1e9)
    assert latest.all() == []


def test_it_says_what_was_tried_and_not_what_was_asked(latest: Latest) -> None:
    units = [Unit(b"a secret row", ("a", "b", "c")), Unit(b"", ("d", "b", "e", "f", "g"))]
    units[0].tried, units[1].tried = 2, 4
    end(latest, "acme", units=units, reason="LOST_AGAIN")
    (one,) = latest.all()
    assert (one.request_id, one.tenant, one.model, one.method) == ("id-1", "acme", "", "Predict")
    assert (one.reason, one.cells, one.attempts) == ("LOST_AGAIN", ("a", "b", "d", "e"), 4)
    assert "secret" not in repr(one)


def test_a_flood_of_one_tenant_pushes_out_nobody(latest: Latest, clock: Clock) -> None:
    end(latest, "quiet")
    for number in range(1_000):
        clock.now += 0.01
        end(latest, "loud", ("INTERNAL", "UNAVAILABLE")[number % 2])
    told = latest.all()
    assert [one.tenant for one in told] == ["loud"] * MOST_OF_TENANT + ["quiet"]


def test_in_a_flood_of_one_kind_some_are_kept(latest: Latest, clock: Clock) -> None:
    for _ in range(100):
        clock.now += 0.01
        end(latest, "loud")
    assert len({int(one.at * 4) for one in latest.all()}) == MOST_OF_TENANT


def test_what_is_of_another_kind_or_slow_is_kept_though_one_was_just_before(
    latest: Latest, clock: Clock
) -> None:
    for code, seconds in (("INTERNAL", 0.1), ("INTERNAL", 1.0), ("NOT_FOUND", 0.1), ("NOT_FOUND", 0.1)):
        clock.now += 0.01
        end(latest, "acme", code, seconds)
    assert [(one.code, one.seconds) for one in latest.all()] == [
        ("NOT_FOUND", 0.1),
        ("INTERNAL", 1.0),
        ("INTERNAL", 0.1),
    ]


def test_a_tenant_that_fails_again_is_not_the_first_to_go(latest: Latest, clock: Clock) -> None:
    for number in range(MOST_TENANTS):
        end(latest, f"tenant-{number}")
    clock.now += 1
    end(latest, "tenant-0")
    end(latest, "another")
    assert {one.tenant for one in latest.all()} == {
        "another",
        *(f"tenant-{number}" for number in range(MOST_TENANTS) if number != 1),
    }


def test_tenants_are_bounded(latest: Latest) -> None:
    for number in range(1_000):
        end(latest, f"tenant-{number}")
    assert len(latest.all()) == MOST_TENANTS
    assert latest.all()[0].tenant.startswith("tenant-9")


# Through a router


async def test_a_router_reports_them_by_tenant_model_and_reason() -> None:
    async with world(slow_request_ms=50.0, attempt_timeout=0.05) as stage:
        hand = stage.hand()
        for cell in hand:
            cell.before = hang
        async with failing(grpc.StatusCode.DEADLINE_EXCEEDED):
            await stage.router.infer(timeout=0.3)
        async with failing(grpc.StatusCode.NOT_FOUND):
            await stage.router.infer("nothing")
        # A stranger's is nobody's.
        async with failing(grpc.StatusCode.UNAUTHENTICATED):
            await stage.router.inference.ModelInfer(pb.PredictRequest(), metadata=())

        def told() -> list[Any]:
            report = stage.manager.reports[-1] if stage.manager.reports else None
            return list(report.troubles.requests) if report is not None else []

        await eventually(lambda: len(told()) == 2, "the report")
        # Whose deadline it was that passed first, the caller's or the router's, is theirs.
        slow, failed = sorted(told(), key=lambda one: one.code == "NOT_FOUND")
    assert (failed.tenant, failed.code, failed.reason, failed.model) == ("acme", "NOT_FOUND", "NOT_FOUND", "")
    assert (slow.tenant, slow.model, slow.attempts) == ("acme", "churn", 2)
    assert list(slow.cells) == [cell.id for cell in hand]
    assert slow.seconds >= 0.05
    assert 0.0 <= slow.ago < 60.0
