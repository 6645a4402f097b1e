"""What a manager knows of its routers: who is silent, who is behind, and no more than so many."""

import pytest
from support.records import KEYS, FakeEtcd, model_keys, shard_keys

from croupier.errors import InvalidRequest
from protos.versions.v1 import versions_pb2 as pb
from version_manager import routers as module
from version_manager.kept import kept
from version_manager.map.mirror import Mirror
from version_manager.routers import Routers


class World:
    """A manager's map at revision 10, and its routers, on a clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 100.0
        self.etcd = FakeEtcd(model_keys("acme", "churn") | shard_keys(2, 1))
        self.mirror = Mirror(None, KEYS)  # type: ignore[arg-type]
        self.mirror.take(self.etcd.listed())
        self.routers = Routers(self.mirror, lambda: self.now)

    def change(self) -> None:
        self.mirror.take(self.etcd.put(model_keys("acme", f"model-{self.etcd.revision}")))

    def report(self, name: str = "r", revision: int = 10, *, catalog: str = "", **fields: object) -> None:
        catalog = catalog or self.mirror.map.catalog.name
        self.routers.report(pb.RouterReport(id=name, catalog=catalog, revision=revision, **fields))  # type: ignore[arg-type]

    def behind(self) -> list[str]:
        return [router.report.id for router, _ in self.routers.all() if router.is_behind]


@pytest.fixture
def world() -> World:
    return World()


def test_a_router_is_known_with_its_silence_until_it_says_that_it_ends(world: World) -> None:
    world.report(address="a:1", serving=True, view_age=0.5)
    world.now += 3
    ((router, silence),) = world.routers.all()
    assert (router.report.address, router.report.view_age, silence) == ("a:1", 0.5, 3.0)
    world.report()
    ((router, silence),) = world.routers.all()
    assert (router.report.HasField("view_age"), silence) == (False, 0.0)
    world.report(leaving=True)
    assert world.routers.all() == []
    world.report(leaving=True)


def test_those_are_present_that_were_heard_lately(world: World) -> None:
    world.report("a:1", address="a:1")
    world.report("b:1")
    assert world.routers.present() == {"a:1", "b:1"}
    world.now += 4.5
    world.report("a:2", address="a:1")
    # The first was killed, and this one was started in its place.
    world.now += 0.5
    assert world.routers.present() == {"a:2", "b:1"}
    world.now += 1
    assert world.routers.present() == {"a:2"}


def test_a_router_that_went_without_a_word_is_forgotten_in_the_end(world: World) -> None:
    world.report("gone")
    world.now += 200
    world.report("there")
    assert len(world.routers.all()) == 2
    world.now += 200
    assert [router.report.id for router, _ in world.routers.all()] == ["there"]


def test_a_router_that_was_killed_is_not_told_of_once_it_is_back(world: World) -> None:
    for name in ("host:1", "host:2", "other:1"):
        world.report(name, address="0.0.0.0:8500")
    world.now += 1
    # On one port of a host, of which the first was killed, and the second hangs.
    world.report("host:2", address="0.0.0.0:8500")
    world.now += 3
    world.report("host:3", address="0.0.0.0:8500")
    world.report("other:1", address="0.0.0.0:8500")
    assert [router.report.id for router, _ in world.routers.all()] == ["host:3", "other:1"]
    world.now += 3
    world.report("host:3", address="0.0.0.0:8500")
    world.report("host:4", address="0.0.0.0:8501")
    world.now += 3
    told = [(router.report.id, silence) for router, silence in world.routers.all()]
    assert told == [("other:1", 6.0), ("host:3", 3.0), ("host:4", 3.0)]
    world.now += 1
    world.report("host:5", address="0.0.0.0:8500")
    world.report("host:5", address="0.0.0.0:8500", leaving=True)
    assert [router.report.id for router, _ in world.routers.all()] == ["other:1", "host:4"]


def test_only_who_lacks_an_old_change_is_behind(world: World) -> None:
    def after(seconds: float, revision: int) -> list[str]:
        world.now += seconds
        world.report(revision=revision)
        return world.behind()

    assert after(0, 10) == []
    assert after(5, 10) == []
    world.change()
    # On its way, however often it is reported; and then not any more.
    assert after(0.1, 10) == []
    assert after(1.0, 10) == []
    assert after(1.5, 10) == ["r"]
    assert after(0.1, 11) == []
    # Whoever keeps up with one change after another is never behind.
    for _ in range(20):
        world.change()
        assert after(0.5, world.etcd.revision - 1) == []


def test_what_changes_nothing_for_routers_puts_none_behind(world: World) -> None:
    world.report()
    world.mirror.take(world.etcd.put({KEYS.spent("acme", "gone"): b'{"version":3}'}))
    world.now += 10
    world.report()
    world.now += 10
    world.report()
    assert world.behind() == []


def test_a_router_with_another_catalog_is_behind_after_a_while(world: World) -> None:
    world.report(catalog="old", revision=99)
    assert world.behind() == []
    world.now += 10
    world.report(catalog="old", revision=99)
    assert world.behind() == ["r"]


def test_who_reports_cannot_make_it_grow(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InvalidRequest):
        world.report("")
    with pytest.raises(InvalidRequest):
        world.report("r" * 1000)
    part = pb.Part(release="x" * 1000, certificates=[pb.Certificate(setting="s" * 1000)] * 100)
    world.report(refuses="x" * 10_000, part=part)
    ((router, _),) = world.routers.all()
    assert router.report.ByteSize() < 3_000
    assert router.report.part == kept(part)
    for number in range(module.MOST + 5):
        world.report(f"r-{number}")
    assert len(world.routers.all()) == module.MOST


def test_who_was_refused_for_a_limit_lately_is_marked(world: World) -> None:
    for name, limit in (("a", "rate"), ("b", "bytes"), ("c", "rows")):
        limits = [pb.LimitTrouble(limit=limit, refused=3), pb.LimitTrouble(limit="streams")]
        tenants = [
            pb.TenantTrouble(tenant="acme", limits=limits),
            pb.TenantTrouble(tenant="other", refused=1),
        ]
        world.report(name, troubles=pb.RouterTroubles(tenants=tenants))
        # The first of them is not heard any more.
        world.now += 6
    rows = [pb.RateRow(tenant=tenant) for tenant in ("acme", "globex", "other")]
    world.routers.mark_limited(rows)
    assert [list(row.at_limits) for row in rows] == [["rows"], [], ["in_flight"]]
