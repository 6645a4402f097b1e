"""Which requests leave a line in the log, and what it says."""

from __future__ import annotations

import logging
import re
from typing import Any

import grpc
import pytest
from support.fakes import hang
from support.waiting import eventually
from support.worlds import World, failing, world

from croupier.request_ids import Known, RequestId
from croupier.telemetry.logs import Limiter, OneLine
from protos.prediction.v1 import prediction_pb2 as pb
from router.access_log import AccessLog
from router.units import Unit

CALLER = Known(RequestId("mine-7"))


def tried(cells: tuple[str, ...], count: int) -> Unit:
    unit = Unit(b"", cells)
    unit.tried = count
    return unit


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    formatter = OneLine("%(levelname)s %(name)s: %(message)s")
    return [formatter.format(record) for record in caplog.records]


def end(log: AccessLog, seconds: float, *units: Unit, code: str = "OK", tenant: str = "acme") -> None:
    """As a server does."""
    if seconds >= log.from_seconds:
        log.ended(CALLER, "Predict", code, seconds, units, lambda: tenant)


def test_a_slow_request_leaves_a_line(caplog: pytest.LogCaptureFixture) -> None:
    log = AccessLog(1.0, 0.0, random=lambda: 0.0)
    end(log, 0.999)
    end(log, 1.5, tried(("b", "a", "c"), 2), code="UNAVAILABLE")
    assert lines(caplog) == [
        "WARNING router.access_log: slow: Predict UNAVAILABLE request_id=mine-7 method=Predict "
        "code=UNAVAILABLE tenant=acme attempts=2 cells=b,a ms=1500.0"
    ]


def test_a_line_says_how_many_answers_came_after_a_load(caplog: pytest.LogCaptureFixture) -> None:
    units = [tried(("a",), 1) for _ in range(3)]
    units[0].is_cold = units[2].is_cold = True
    end(AccessLog(1.0, 0.0, random=lambda: 0.0), 1.5, *units)
    assert " items=3 cold=2 attempts=1 cells=a " in lines(caplog)[0]


def test_cells_of_many_items_are_told_once_and_not_all(caplog: pytest.LogCaptureFixture) -> None:
    units = [tried((f"cell-{number % 20}", "z"), 1 + (number == 0)) for number in range(1_000)]
    end(AccessLog(1.0, 0.0, random=lambda: 0.0), 2.0, *units)
    (line,) = lines(caplog)
    assert " items=1000 attempts=2 cells=cell-0,z,cell-1," in line
    assert ",cell-6,+13 ms=2000.0" in line


def test_nothing_is_logged_that_is_turned_off(caplog: pytest.LogCaptureFixture) -> None:
    log = AccessLog(0.0, 0.0, random=lambda: 0.0)
    end(log, 1e9)
    assert lines(caplog) == []


def test_a_sample_of_all_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    draws = iter([0.05, 0.1, 0.5, 0.099])
    log = AccessLog(1.0, 0.1, random=lambda: next(draws))
    for _ in range(4):
        end(log, 0.001)
    end(log, 2.0)
    assert [line.partition(" request_id")[0] for line in lines(caplog)] == [
        "INFO croupier.access: Predict OK",
        "INFO croupier.access: Predict OK",
        "WARNING router.access_log: slow: Predict OK",
    ]


def test_a_tenant_forges_nothing(caplog: pytest.LogCaptureFixture) -> None:
    end(AccessLog(1.0, 0.0, random=lambda: 0.0), 2.0, tenant="acme code=OK\nERROR")
    (line,) = lines(caplog)
    assert 'tenant="acme code=OK\\nERROR"' in line


def test_slow_ones_of_a_kind_are_bounded(caplog: pytest.LogCaptureFixture) -> None:
    log = AccessLog(1.0, 0.0, random=lambda: 0.0)
    for number in range(3_000):
        end(log, 2.0, code=("OK", "UNAVAILABLE")[number % 2], tenant=f"tenant-{number}")
    limiter = Limiter(lambda: 0.0)
    assert sum(limiter.filter(record) for record in caplog.records) == 40
    assert len(limiter._kinds) == 2


# Through a router


def fields(caplog: pytest.LogCaptureFixture) -> list[Any]:
    return [record.__dict__["fields"] for record in caplog.records if hasattr(record, "fields")]


async def test_every_way_to_end_is_logged_where_all_are_wanted(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    async with world(access_log_ratio=1.0) as stage:
        await stage.router.infer()
        async with failing(grpc.StatusCode.NOT_FOUND):
            await stage.router.infer("nothing")
        await stage.router.predict("churn", "nothing")
        stream = stage.router.prediction.PredictStream(metadata=stage.router.metadata)
        await stream.write(pb.PredictStreamRequest(request=pb.PredictRequest(items=[pb.Item(model="churn")])))
        await stream.done_writing()
        assert len([answer async for answer in stream]) == 1
        async with failing(grpc.StatusCode.UNAUTHENTICATED):
            await stage.router.inference.ModelInfer(pb.PredictRequest(), metadata=())
    told = fields(caplog)
    assert [(each["method"], each["code"], each["tenant"], each.get("model")) for each in told] == [
        ("ModelInfer", "OK", "acme", "churn"),
        ("ModelInfer", "NOT_FOUND", "acme", None),
        ("Predict", "OK", "acme", "churn"),
        ("PredictStream", "OK", "acme", "churn"),
        ("ModelInfer", "UNAUTHENTICATED", "", None),
    ]
    hand = [cell.id for cell in stage.hand()]
    assert {each["cells"] for each in told} == {hand[0], ""}


async def test_a_request_that_hangs_says_which_cells_it_was_at(caplog: pytest.LogCaptureFixture) -> None:
    async with world(slow_request_ms=50.0, attempt_timeout=0.05) as stage:
        hand = stage.hand()
        for cell in hand:
            cell.before = hang
        async with failing(grpc.StatusCode.DEADLINE_EXCEEDED):
            await stage.router.infer(timeout=0.3)
        await eventually(lambda: fields(caplog), "the request has ended")
    (told,) = fields(caplog)
    assert told["cells"] == ",".join(cell.id for cell in hand)
    assert (told["tenant"], told["model"], told["attempts"]) == ("acme", "churn", 2)
    assert told["ms"] >= 50
    assert re.fullmatch("CANCELLED|DEADLINE_EXCEEDED", told["code"])


async def test_a_quick_request_leaves_nothing(stage: World, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    await stage.router.infer()
    assert fields(caplog) == []
