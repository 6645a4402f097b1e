"""The store is named once where it is its doing, and tenants that are refused for more than a moment."""

from __future__ import annotations

from support.statuses import cell, router, status

from croupierctl.seen import Answer, Fault, Seen
from croupierctl.strain import of_feature_store, of_routers, of_store, of_tenants
from protos.versions.v1 import versions_pb2 as pb

WAITS = pb.StoreReads(under_way=2, oldest_seconds=4.0)
SLOW = pb.StoreReads(done=5, mean_seconds=1.5)
FAILS = pb.StoreReads(failed=3, failure="STORE_TIMEOUT")
WELL = pb.StoreReads(done=100, mean_seconds=0.01)
IDLE = pb.StoreReads()


def with_stores(*stores: pb.StoreReads | None) -> Seen:
    told = status()
    del told.cells[:]
    for number, store in enumerate(stores, 1):
        one = cell(f"cell-{number}")
        if store is not None:
            one.cell.load.work.store.CopyFrom(store)
        told.cells.append(one)
    return Seen([Answer("m:1", told)])


def store_faults(*stores: pb.StoreReads | None) -> list[Fault]:
    return list(of_store(with_stores(*stores)))


def test_a_store_that_is_well_or_that_nobody_reads_has_no_fault() -> None:
    assert store_faults(WELL, IDLE, None) == []
    # One read is no mean, and one that failed of many no failure.
    assert store_faults(pb.StoreReads(done=1, mean_seconds=2.0)) == []
    assert store_faults(pb.StoreReads(done=99, failed=1, failure="UNAVAILABLE")) == []
    assert store_faults(pb.StoreReads(under_way=1, oldest_seconds=2.0)) == []


def test_one_cell_that_waits_is_named() -> None:
    (fault,) = store_faults(WAITS, WELL, WELL)
    assert (fault.part, fault.name) == ("store", "cell-1")
    assert fault.words == "cell cell-1 waits 4 s for the object store"
    # Nobody else reads there: it may be the cell, or the store.
    (fault,) = store_faults(IDLE, SLOW, None)
    assert fault.words == "cell cell-2 waits 2 s for the object store"


def test_a_store_that_all_wait_for_is_named_and_once() -> None:
    (fault,) = store_faults(WAITS, SLOW, WAITS, IDLE, WELL, None)
    assert (fault.part, fault.name) == ("store", "")
    assert "the object store is slow: 3 of 4 cells that read there wait for it, cell-1 for 4 s" in fault.words


def test_a_store_that_fails_is_named_with_the_reason() -> None:
    (fault,) = store_faults(FAILS, FAILS, IDLE)
    assert "the object store fails: 2 of 2 cells that read there could not, 6 times in the" in fault.words
    assert fault.words.endswith("last 10 s (STORE_TIMEOUT)")
    (fault,) = store_faults(pb.StoreReads(failed=1, failure="NOT_FOUND"), WELL, WELL)
    assert (
        "cell cell-1 could not read from the object store, once in the last 10 s (NOT_FOUND)" in fault.words
    )


def test_what_a_silent_cell_said_is_not_believed() -> None:
    seen = with_stores(WAITS)
    seen.answers[0].status.cells[0].heard = 9.0  # type: ignore[union-attr]
    assert list(of_store(seen)) == []


def at_routers(*troubles: pb.RouterTroubles | None) -> Seen:
    told = status()
    del told.routers[:]
    for number, one in enumerate(troubles, 1):
        told.routers.append(router(f"host:{number}"))
        told.routers[-1].report.address = f"h:{number}"
        if one is not None:
            told.routers[-1].report.troubles.CopyFrom(one)
    return Seen([Answer("m:1", told)])


def pressed(tenant: str = "acme", refused: int = 100, seconds: int = 5) -> pb.RouterTroubles:
    row = pb.TenantTrouble(
        tenant=tenant, in_flight=256, most_in_flight=256, refused=refused, refused_seconds=seconds
    )
    return pb.RouterTroubles(tenants=[row], tenants_total=1)


def test_a_tenant_that_is_refused_is_named_with_its_limit_and_where() -> None:
    (fault,) = of_tenants(at_routers(pressed(), None))
    assert (fault.part, fault.name) == ("tenant", "acme")
    assert fault.words == (
        "tenant acme is refused: it has 256 of 256 requests in flight at router h:1, and 100 were refused in "
        "the last 10 s"
    )
    assert "croupierctl why acme" in fault.advice
    (fault,) = of_tenants(at_routers(pressed(), pressed(refused=900)))
    assert "at router h:2 and 1 more, and 1,000 were refused" in fault.words


def test_a_limit_that_is_reached_for_a_moment_is_no_fault() -> None:
    assert list(of_tenants(at_routers(pressed(seconds=1), pressed(seconds=0)))) == []
    gone = at_routers(pressed())
    gone.answers[0].status.routers[0].heard = 60.0  # type: ignore[union-attr]
    assert list(of_tenants(gone)) == []


def test_of_very_many_tenants_the_worst_are_named() -> None:
    told = pb.RouterTroubles(tenants_total=500)
    for number in range(50):
        told.tenants.extend(pressed(f"t-{number}", refused=number).tenants)
    faults = list(of_tenants(at_routers(told)))
    assert [fault.name for fault in faults[:2]] == ["t-49", "t-48"]
    assert (len(faults), faults[-1].words) == (
        11,
        "490 further tenants are at their limit, or were refused for it",
    )


def test_a_router_without_its_feature_store_is_named_with_the_reason() -> None:
    alone = pb.RouterTroubles(feature_store="redis://h:6379 refuses the connection")
    told = at_routers(alone, pb.RouterTroubles())
    (fault,) = of_feature_store(told)
    assert fault.words == (
        "router h:1 gets nothing of the feature store: redis://h:6379 refuses the connection"
    )


def test_routers_without_their_feature_store_are_told_once_for_each_reason() -> None:
    gone, denied = pb.RouterTroubles(feature_store="gone"), pb.RouterTroubles(feature_store="denied")
    faults = of_feature_store(at_routers(gone, denied, gone, pb.RouterTroubles()))
    assert [fault.words for fault in faults] == [
        "router h:2 gets nothing of the feature store: denied",
        "2 of 4 routers get nothing of the feature store: gone",
    ]


def test_a_router_that_is_full_is_named() -> None:
    full = pb.RouterTroubles(in_flight=4096, most_in_flight=4096, refused=7_000, refused_seconds=3)
    (fault,) = of_routers(at_routers(full, pb.RouterTroubles(refused=1, refused_seconds=1)))
    assert fault.words == (
        "router h:1 refuses requests of everybody: it has 4,096 of 4,096 in flight, and refused 7,000 in the "
        "last 10 s"
    )
