"""What a training pipeline calls, against a version manager in memory, and its waiting for routers."""

import pytest
from support.version_manager_fake import FakeManager

from croupier.errors import Conflict, DeadlineExceeded, InvalidRequest, NotFound
from croupier.grpcio.publisher import BlockingPublisher, Publisher, Released
from protos.versions.v1 import versions_pb2 as pb


@pytest.fixture
def manager():
    with FakeManager() as fake:
        yield fake


@pytest.fixture
def models(manager):
    with BlockingPublisher(manager.target) as publisher:
        yield publisher


def test_a_version_is_published_and_released(manager, models):
    assert models.publish("acme", "churn", b"one") == 1
    assert models.publish("acme", "churn", b"two") == 2
    made = models.release("acme", "churn", 2, labels={"stable": 1}, reason="nightly")
    assert (made.number, made.shares, made.labels, made.revision) == (
        1,
        {2: 10_000},
        {"stable": 1},
        "fake:99",
    )
    asked = manager.releases[-1]
    assert (asked.reason, asked.skip_warming, asked.HasField("salt")) == ("nightly", False, False)


def test_what_is_left_out_stays(manager, models):
    for data in (b"one", b"two"):
        models.publish("acme", "churn", data)
    models.release("acme", "churn", shares={1: 9_000, 2: 1_000}, labels={"stable": 1})
    made = models.release("acme", "churn", salt="autumn", warm=False)
    assert (made.shares, made.labels) == ({1: 9_000, 2: 1_000}, {"stable": 1})
    asked = manager.releases[-1]
    assert (asked.expected_number, asked.salt, asked.skip_warming) == (1, "autumn", True)
    with pytest.raises(Conflict):
        models.release("acme", "churn", 1, expected=1)
    with pytest.raises(InvalidRequest):
        models.release("acme", "churn", 1, shares={2: 10_000})


def test_an_earlier_release_is_served_again(manager, models):
    models.publish("acme", "churn", b"one")
    models.release("acme", "churn", 1)
    assert models.rollback("acme", "churn", 1, reason="worse").restores == 1
    assert manager.rollbacks[-1].reason == "worse"
    manager.release_history.releases.add(number=3, author="ann", at=5.0)
    assert models.history("acme", "churn") == [Released("acme", "churn", 3, {}, author="ann", at=5.0)]
    with pytest.raises(NotFound):
        models.history("acme", "nothing")


MADE = Released("acme", "churn", 4, {1: 10_000}, revision="cluster.t1:7")


def router(address: str, revision: int, catalog: str = "cluster.t1") -> pb.RouterStatus:
    return pb.RouterStatus(report=pb.RouterReport(address=address, catalog=catalog, revision=revision))


async def test_it_is_waited_for_until_every_router_serves_it(manager):
    manager.statuses = [
        pb.Status(routers=[router("a:1", 6), router("b:1", 9)]),
        pb.Status(routers=[router("a:1", 8, "other"), router("b:1", 9)]),
    ]
    manager.status = pb.Status(routers=[router("a:1", 7), router("b:1", 9)])
    async with Publisher(manager.target) as models:
        await models.wait_served(MADE)
    assert manager.statuses == []


@pytest.mark.parametrize(
    ("routers", "words"),
    [
        ([], "no router reports"),
        ([router("a:1", 6), router("b:1", 7)], "not by a:1$"),
        ([router(f"r{n}:1", 6) for n in range(7)], "r4:1 and 2 more$"),
    ],
)
def test_who_does_not_serve_it_is_told(manager, models, routers, words):
    manager.status = pb.Status(routers=routers)
    with pytest.raises(DeadlineExceeded, match=words):
        models.wait_served(MADE, timeout=0.0)


def test_what_has_no_revision_is_not_waited_for(models):
    with pytest.raises(InvalidRequest):
        models.wait_served(Released("acme", "churn", 4, {1: 10_000}))
