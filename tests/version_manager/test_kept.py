"""Of a report so much is kept, whatever who reports says."""

import math

from protos.versions.v1 import versions_pb2 as pb
from version_manager.kept import kept

LONG = "x" * 10_000


def test_of_limits_that_refused_a_tenant_few_are_kept() -> None:
    limits = [pb.LimitTrouble(limit=LONG, value=float("nan"), refused=1)] * 1_000
    told = kept(pb.RouterTroubles(tenants=[pb.TenantTrouble(tenant="acme", limits=limits)]))
    assert len(told.tenants[0].limits) == 8
    assert (len(told.tenants[0].limits[0].limit), told.tenants[0].limits[0].value) == (300, 0.0)


def test_what_is_within_bounds_is_kept_as_it_is() -> None:
    troubles = pb.RouterTroubles(
        in_flight=3,
        cells=[pb.CellTrouble(cell="a", why="silent", seconds=3.5, opened=2)],
        tenants=[pb.TenantTrouble(tenant="acme", refused=7)],
        requests=[pb.EndedRequest(request_id="r", tenant="acme", cells=["a", "b"])],
    )
    report = pb.RouterReport(id="r", serving=True, view_age=0.0, troubles=troubles)
    assert kept(report) == report
    work = pb.Work(seconds=9.5, misses=3, store=pb.StoreReads(failed=1, failure="NOT_FOUND"))
    assert kept(work) == work


def test_what_was_not_told_stays_unknown() -> None:
    told = kept(pb.RouterReport(id="r"))
    assert not told.HasField("troubles")
    assert not told.HasField("view_age")
    assert not kept(pb.Work()).HasField("store")
    assert kept(pb.RouterReport(troubles=pb.RouterTroubles())).HasField("troubles")


def test_everything_has_an_end() -> None:
    troubles = pb.RouterTroubles(
        cells=[pb.CellTrouble(cell=LONG, why=LONG)] * 1_000,
        tenants=[pb.TenantTrouble(tenant=LONG)] * 1_000,
        requests=[pb.EndedRequest(request_id=LONG, cells=[LONG] * 10)] * 100,
    )
    told = kept(pb.RouterReport(refuses=LONG, troubles=troubles))
    assert (len(told.troubles.cells), len(told.troubles.tenants), len(told.troubles.requests)) == (
        100,
        50,
        48,
    )
    assert told.ByteSize() < 150_000
    part = kept(pb.Part(release=LONG, certificates=[pb.Certificate(setting=LONG)] * 1_000))
    assert part.ByteSize() < 2_000
    work = pb.Work(run=pb.LongRun(artifact=b"x" * 10_000), store=pb.StoreReads(failure=LONG))
    assert kept(work).ByteSize() < 1_000


def test_a_number_is_one_and_what_is_not_known_is_dropped() -> None:
    work = kept(pb.Work(seconds=math.nan, load_seconds=math.inf, store=pb.StoreReads(mean_seconds=-math.inf)))
    assert (work.seconds, work.load_seconds, work.store.mean_seconds) == (0.0, 0.0, 0.0)
    # Field 99 is none of this release.
    later = pb.Work.FromString(pb.Work(misses=1).SerializeToString() + b"\x9a\x06\x04abcd")
    assert kept(later).SerializeToString() == pb.Work(misses=1).SerializeToString()
