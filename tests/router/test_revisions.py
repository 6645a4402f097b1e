"""Requests that wait for a revision: alone by a clock that stands, and in a router."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

import pytest
from grpc import StatusCode as Code
from support.fakes import model
from support.waiting import eventually
from support.worlds import World, failing, world

from croupier.errors import CroupierError, InvalidRequest
from protos.inference.v2 import inference_pb2
from protos.prediction.v1 import prediction_pb2 as pb
from router.revisions import (
    MOST,
    MOST_OF_A_TENANT,
    OtherCatalog,
    RevisionNotReached,
    Revisions,
    Waiter,
    Wanted,
    read_wanted,
)
from router.view import View, ViewChange
from router.wheel import Wheel
from version_manager.model.catalog import Catalog, Delta


def at(revision: int, name: str = "c") -> View:
    return View(Catalog.build(name, revision))


@dataclass
class Stage:
    """`ends` has what came of each waiter that ended, by its number."""

    now: float = 100.0
    ends: dict[int, CroupierError | None] = field(default_factory=dict)
    wheel: Wheel = field(default_factory=Wheel)

    def __post_init__(self) -> None:
        self.revisions = Revisions(self.wheel, clock=lambda: self.now)

    def wait(self, number: int, wanted: Wanted, *, tenant: str = "acme", seconds: float = 10.0) -> Waiter:
        return self.revisions.wait(
            wanted, tenant, self.now + seconds, lambda error: self.ends.__setitem__(number, error)
        )

    def pass_by(self, seconds: float) -> None:
        self.now += seconds
        self.wheel.advance(self.now)


@pytest.fixture
def alone() -> Stage:
    return Stage()


def test_who_waited_goes_when_the_view_comes_in_the_order_of_coming(alone: Stage) -> None:
    alone.revisions.follow(at(4))
    assert alone.revisions.reached(Wanted("c", 4))
    assert not alone.revisions.reached(Wanted("c", 5))
    for number, revision in enumerate((6, 5, 6, 7)):
        alone.wait(number, Wanted("c", revision))
    alone.revisions.follow(at(6))
    assert list(alone.ends.items()) == [(0, None), (1, None), (2, None)]
    alone.revisions.follow(at(9))
    assert alone.ends[3] is None
    assert (len(alone.revisions), len(alone.wheel)) == (0, 0)


def test_who_waited_for_nothing_is_told_to_try_again_within_half_of_the_time(alone: Stage) -> None:
    alone.revisions.follow(at(4))
    alone.wait(0, Wanted("c", 5), seconds=1.0)
    alone.wait(1, Wanted("c", 5), seconds=60.0)
    alone.pass_by(0.49)
    assert alone.ends == {}
    alone.pass_by(0.02)
    assert isinstance(alone.ends[0], RevisionNotReached)
    assert alone.ends[0].retry_after > 0
    alone.pass_by(1.4)
    assert 1 not in alone.ends
    alone.pass_by(0.1)
    assert isinstance(alone.ends[1], RevisionNotReached)
    alone.revisions.follow(at(5))
    assert len(alone.ends) == 2


def test_revisions_of_other_catalogs_do_not_compare(alone: Stage) -> None:
    alone.revisions.follow(at(900, "old"))
    assert not alone.revisions.reached(Wanted("new", 5))
    alone.wait(0, Wanted("new", 5))
    alone.wait(1, Wanted("lost", 5))
    alone.revisions.follow(at(7, "new"))
    assert alone.ends == {0: None}
    alone.pass_by(3.0)
    # Trying again would not help.
    assert isinstance(alone.ends[1], OtherCatalog)


def test_a_router_that_knows_nothing_yet_will_know(alone: Stage) -> None:
    alone.wait(0, Wanted("c", 5))
    alone.pass_by(3.0)
    assert isinstance(alone.ends[0], RevisionNotReached)


def test_a_cancelled_one_is_forgotten(alone: Stage) -> None:
    waiter = alone.wait(0, Wanted("c", 5))
    waiter.cancel()
    waiter.cancel()
    alone.revisions.follow(at(5))
    alone.pass_by(3.0)
    assert alone.ends == {}
    assert waiter.then is None
    assert (len(alone.revisions), len(alone.wheel)) == (0, 0)


def test_one_that_goes_may_cancel_the_next(alone: Stage) -> None:
    waiters: list[Waiter] = []
    alone.revisions.wait(Wanted("c", 5), "acme", 200.0, lambda _: waiters[0].cancel())
    waiters.append(alone.wait(1, Wanted("c", 5)))
    alone.revisions.follow(at(5))
    assert alone.ends == {}


def test_what_waits_is_bounded_for_a_tenant_and_in_all(alone: Stage) -> None:
    for number in range(MOST_OF_A_TENANT):
        alone.wait(number, Wanted("c", 5), tenant="greedy")
    with pytest.raises(RevisionNotReached):
        alone.wait(0, Wanted("c", 5), tenant="greedy")
    for number in range(MOST - MOST_OF_A_TENANT):
        alone.wait(number, Wanted("c", 5), tenant=f"t{number}")
    with pytest.raises(RevisionNotReached):
        alone.wait(0, Wanted("c", 5), tenant="late")
    alone.revisions.follow(at(5))
    alone.wait(0, Wanted("c", 6), tenant="greedy")
    assert len(alone.revisions) == 1


@pytest.mark.parametrize(
    "values",
    [
        (b"",),
        (b"5",),
        (b":5",),
        (b"c:",),
        (b"c:-5",),
        (b"c:5x",),
        (b"c:5", b"c:6"),
        (b"c c:5",),
        (b"c" * 65 + b":5",),
        (b"c:" + b"9" * 20,),
        ("c:\u0665".encode(),),
        (b"c:5\n",),
    ],
)
def test_what_is_no_revision(values: tuple[bytes, ...]) -> None:
    with pytest.raises(InvalidRequest):
        read_wanted(values)


def test_what_is_one() -> None:
    assert read_wanted((b"00ab.1:17",)) == Wanted("00ab.1", 17)


# In a router.


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[Revisions]:
    """The router's own one, once there is one."""
    found: list[Revisions] = []

    def make(wheel: Wheel, **settings: Any) -> Revisions:
        found.append(Revisions(wheel, **settings))
        return found[0]

    monkeypatch.setattr("router.app.Revisions", make)
    return found


@pytest.fixture
async def stage(made: list[Revisions]) -> Any:
    async with world() as found:
        yield found


def published(stage: World, name: str) -> ViewChange:
    return ViewChange(Delta.of(0, (model(name=name),), ()))


def token(stage: World, ahead: int) -> tuple[tuple[str, str], ...]:
    catalog = stage.view.catalog
    return (
        *stage.router.metadata,
        ("croupier-min-revision", f"{catalog.name}:{catalog.revision + ahead}"),
    )


def infer(stage: World, name: str, ahead: int, **kwargs: Any) -> Any:
    request = inference_pb2.ModelInferRequest(model_name=name)
    return stage.router.inference.ModelInfer(
        request, metadata=token(stage, ahead), **{"timeout": 10.0, **kwargs}
    )


async def test_a_model_is_served_to_whoever_knows_that_it_was_published(stage: World) -> None:
    async with failing(Code.NOT_FOUND):
        await stage.router.infer("fresh")
    asking = [infer(stage, "fresh", 1), infer(stage, "fresh", 1, timeout=None)]
    request = pb.PredictRequest(items=[pb.Item(model="fresh")])
    asking.append(stage.router.prediction.Predict(request, metadata=token(stage, 1)))
    stream = stage.router.prediction.PredictStream(metadata=token(stage, 1))
    await stream.write(pb.PredictStreamRequest(id=1, request=request))
    await stage.router.infer()
    assert not any(call.done() for call in asking)
    stage.change(published(stage, "fresh"))
    await asyncio.gather(*asking)
    answer = await stream.read()
    assert answer.response.results[0].status.code == 0
    # From now on it is known, and there is nothing to wait for.
    await infer(stage, "fresh", 0)


async def test_one_that_does_not_come_is_unavailable_in_time(stage: World) -> None:
    async with failing(Code.UNAVAILABLE, "RetryInfo", "ErrorInfo"):
        await infer(stage, "fresh", 1, timeout=0.2)
    async with failing(Code.INVALID_ARGUMENT, "BadRequest"):
        metadata = (*stage.router.metadata, ("croupier-min-revision", "yesterday"))
        await stage.router.inference.ModelInfer(
            inference_pb2.ModelInferRequest(model_name="churn"), metadata=metadata
        )


async def test_a_stranger_does_not_wait(stage: World) -> None:
    async with failing(Code.UNAUTHENTICATED):
        await stage.router.inference.ModelInfer(
            inference_pb2.ModelInferRequest(model_name="churn"), metadata=token(stage, 1)[1:]
        )


async def test_a_caller_who_goes_while_waiting_leaves_nothing(stage: World, made: list[Revisions]) -> None:
    asking = infer(stage, "fresh", 1)
    stream = stage.router.prediction.PredictStream(metadata=token(stage, 1))
    await stream.write(pb.PredictStreamRequest(id=1))
    await eventually(lambda: len(made[0]) == 2, "both wait")
    asking.cancel()
    stream.cancel()
    await eventually(lambda: not len(made[0]), "neither waits")
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert await asking.code() == Code.CANCELLED
