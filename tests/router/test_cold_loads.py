"""A budget that is charged afterwards, on a clock that is set by hand."""

from __future__ import annotations

from random import Random

import pytest
from support.fakes import generation, model, view

from croupier.codes import Code
from croupier.errors import Cancelled, CroupierError, DeadlineExceeded, NotFound, QuotaExceeded, Unavailable
from croupier.recent import Noted
from protos.inference.v2 import inference_pb2
from protos.prediction.v1 import prediction_pb2 as pb
from router.admission import Admission, Limited
from router.buckets import Account
from router.cold_loads import ColdLoads
from router.pipeline import decide
from router.routes import Routes
from router.units import Unit
from version_manager.model.fleet import Cell
from version_manager.model.limits import Limits, TenantLimits

NAMES = [f"model-{number}" for number in range(30)]
VIEW = view([model(name=name) for name in NAMES], (generation(["a"]),), [Cell("a", "zone-0", "a:1")])


class Front:
    """Requests of acme, which may have two models a second loaded."""

    def __init__(self, cold_loads: float | None = 2.0) -> None:
        self.now = 0.0
        self.admission = Admission(100, 100, clock=lambda: self.now)
        self.admission.follow(TenantLimits(tenants={"acme": Limits(rate=1000.0, cold_loads=cold_loads)}))
        self.now = 100.0
        self.cold = ColdLoads(self.admission)
        self.routes = Routes(decide, Random(0).random)
        self.routes.follow(VIEW)

    def unit(self, name: str = "model-0", *, cold: bool = False, outcome: object = b"") -> Unit:
        request = inference_pb2.ModelInferRequest(model_name=name).SerializeToString()
        (unit,) = self.routes.infer("acme", request)
        unit.tried, unit.is_cold, unit.outcome = 1, cold, outcome  # type: ignore[assignment]
        return unit

    def end(self, *units: Unit, took: float = 0.0) -> None:
        account = self.enter()
        self.cold.ended(account, list(units), self.now - took, self.now)
        self.admission.leave(account)

    def enter(self) -> Account:
        return self.admission.enter("acme", 0, self.now)

    def wait(self) -> float:
        """Seconds until something may be loaded again."""
        account = self.enter()
        self.admission.leave(account)
        assert account.cold is not None
        assert account.charge(1, 0, self.now) == (account.cold.wait(self.now) > 0)
        return max(0.0, account.cold.wait(self.now))


def test_cold_answers_are_charged_into_debt_and_time_pays() -> None:
    front = Front()
    front.end(front.unit("model-0"))
    assert front.wait() == 0.0
    for name in NAMES[:6]:
        front.end(front.unit(name, cold=True))
    assert front.wait() == pytest.approx(2.5, abs=0.01)
    front.now += 2.6
    assert front.wait() == 0.0


def test_who_waited_for_the_same_load_pays_once_and_for_the_next_one_again() -> None:
    front = Front()
    for late in range(50):
        front.now += 0.001
        front.end(front.unit(cold=True), took=0.5 + late / 1000)
    front.end(front.unit("model-1", cold=True), took=0.5)
    assert front.wait() == pytest.approx(0.5, abs=0.1)
    front.now += 10
    front.end(front.unit(cold=True), took=0.5)
    front.end(front.unit("model-1", cold=True), took=0.5)
    assert front.wait() == pytest.approx(0.5, abs=0.1)


@pytest.mark.parametrize(
    ("error", "costs"),
    [
        (Cancelled("the caller hung up"), True),
        (DeadlineExceeded("late"), True),
        (Unavailable("the load would take too long", reason="LOAD_TOO_SLOW"), True),
        (Unavailable("overloaded"), False),
        (NotFound("no such version"), False),
    ],
)
def test_who_does_not_wait_for_a_load_pays_as_well(error: CroupierError, costs: bool) -> None:
    front = Front()
    for name in NAMES:
        front.end(front.unit(name, outcome=error))
    assert (front.wait() > 10) == costs
    # Of what came to no cell, none loads anything.
    front = Front()
    for name in NAMES:
        unit = front.unit(name, outcome=error)
        unit.tried = 0
        front.end(unit)
    assert front.wait() == 0.0


def test_what_a_cell_refuses_to_load_is_over_the_limit_until_the_debt_is_paid() -> None:
    front = Front()
    for name in NAMES:
        front.end(front.unit(name, cold=True))
    refused = front.unit(outcome=QuotaExceeded("not loaded", reason="COLD_LOADS"))
    other = front.unit(outcome=QuotaExceeded("another", reason="OTHER"))
    front.end(refused, other)
    error = refused.outcome
    assert isinstance(error, QuotaExceeded)
    assert error.message.startswith("tenant acme is at its limit of 2 cold loads a second; ")
    assert error.metadata == {"subject": "acme", "limit": "cold_loads", "value": "2"}
    assert 14.4 < error.retry_after < 14.6 * 1.2
    assert isinstance(other.outcome, QuotaExceeded)
    assert other.outcome.message == "another"
    # It has loaded nothing, and costs nothing.
    assert front.wait() == pytest.approx(14.5, abs=0.1)
    (pressed,) = front.admission.pressed(10)[0]
    assert pressed.limits == (Limited("cold_loads", 2.0, 1.0, Noted(1, 1)),)


def test_an_item_that_a_cell_refuses_to_load_says_so_too() -> None:
    front = Front()
    results = [
        pb.Result(status=pb.Status(code=Code.RESOURCE_EXHAUSTED, reason=reason)).SerializeToString()
        for reason in ("COLD_LOADS", "TOO_LARGE")
    ]
    items = [front.unit(name, outcome=one) for name, one in zip(NAMES, [*results, b""], strict=False)]
    for item, code in zip(items, (8, 8, 0), strict=True):
        item.code = code
    front.end(*items)
    assert isinstance(items[0].outcome, QuotaExceeded)
    assert [item.outcome for item in items[1:]] == [results[1], b""]


def test_a_tenant_without_such_a_limit_pays_for_nothing() -> None:
    front = Front(None)
    for name in NAMES:
        front.end(front.unit(name, cold=True))
    account = front.enter()
    assert not account.charge(1, 0, front.now)
    assert account.cold is None
