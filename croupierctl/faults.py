"""What is wrong with a deployment, from what its version managers tell: pure.

Of cells that is the matter of `cell_faults`, of the store and of tenants that of `strain`.
"""

from __future__ import annotations

from collections.abc import Iterator

from croupierctl.cell_faults import of_cell
from croupierctl.seen import ROUTER_SILENCE, Fault, Seen, span, words
from croupierctl.strain import of_feature_store, of_routers, of_store, of_tenants
from protos.versions.v1 import versions_pb2 as pb

# A watch says something every two seconds, and that of etcd every two and a half.
VIEW_SILENCE = 6.0
WATCH_SILENCE = 8.0
# Of what etcd may take, when it says how much that is.
_NEARLY_FULL = 0.8

_THAW = (
    "see what is lost: croupierctl catalog status; bring it back, or, if the loss is meant: "
    "croupierctl catalog thaw --reason WHY"
)
_BAD_RECORD = (
    "what was good there is served on: write it back with croupierctl catalog repair, or mend the value"
)
_BAD_KEY = "no part of this release reads it: delete it with etcdctl del, if no other release does"


def faults(seen: Seen) -> Iterator[Fault]:
    """Everything that is wrong now, and notes; what will be is the matter of `upkeep`."""
    yield from _of_managers(seen)
    yield from _of_etcd(seen)
    yield from _of_records(seen)
    yield from _of_the_map(seen)
    for name, router in sorted(seen.routers.items()):
        yield from _of_router(f"router {router.report.address or name} ({name})", name, router)
    said = words(seen)
    for name, cell in sorted(seen.cells.items()):
        yield from of_cell(name, cell, said.get(name, ()))
    yield from of_store(seen)
    yield from of_feature_store(seen)
    yield from of_routers(seen)
    yield from of_tenants(seen)


def _of_managers(seen: Seen) -> Iterator[Fault]:
    for answer in seen.answers:
        if answer.status is None:
            yield Fault(
                *("manager", answer.target),
                f"version manager {answer.target} does not tell: {answer.failure}",
                "see whether it runs and can be reached; others serve meanwhile, and its log says more",
            )
    for target, status in seen.told:
        if status.frozen:
            since = f" for {span(status.now - status.frozen_since)}" if status.frozen_since else ""
            yield Fault(
                *("manager", target),
                f"version manager {target} lets the map stand{since}: {status.frozen}",
                _THAW,
            )
        etcd = status.etcd
        if not etcd.HasField("watched") or etcd.watched > WATCH_SILENCE:
            heard = f"for {span(etcd.watched)}" if etcd.HasField("watched") else "at all"
            yield Fault(
                *("manager", target),
                f"version manager {target} has not heard etcd {heard}: what it serves may be old",
                "see to etcd and the way to it; if etcd is well, restart the version manager",
            )
    catalogs = {status.catalog: target for target, status in seen.told}
    if len(catalogs) > 1:
        which = ", ".join(f"{target} serves {name}" for name, target in sorted(catalogs.items()))
        yield Fault(
            *("manager", ""),
            f"the version managers do not serve one catalog: {which}",
            "see that each is told the same --etcd and --prefix; after a thaw, restart the one that lags",
        )


def _of_etcd(seen: Seen) -> Iterator[Fault]:
    by_endpoint: dict[str, list[tuple[str, pb.EtcdMember]]] = {}
    for target, status in seen.told:
        for member in status.etcd.members:
            by_endpoint.setdefault(member.endpoint, []).append((target, member))
    for endpoint, told in sorted(by_endpoint.items()):
        failed = [(target, member.failure) for target, member in told if member.failure]
        if failed:
            who = "any version manager" if len(failed) == len(told) else ", ".join(dict(failed))
            yield Fault(
                *("etcd", endpoint),
                f"etcd {endpoint} does not answer {who}: {failed[0][1]}",
                "see to that member, or to the way there; without a majority of them, everything is served "
                "and nothing can be changed",
            )
        if well := [member for _, member in told if not member.failure]:
            yield from _of_member(endpoint, well[0])


def _of_member(endpoint: str, member: pb.EtcdMember) -> Iterator[Fault]:
    for error in member.errors:
        if "NOSPACE" in error:
            advice = "give it room: etcdctl compact, etcdctl defrag, then etcdctl alarm disarm"
        else:
            advice = "see the alarms with etcdctl alarm list, and etcd's log"
        yield Fault("etcd", endpoint, f"etcd {endpoint} complains: {error}", advice)
    if not member.has_leader:
        yield Fault(
            *("etcd", endpoint),
            f"etcd {endpoint} has no leader",
            "bring the other members back: nothing can be changed until a majority of them is there",
        )
    if member.quota_bytes and member.size_bytes > _NEARLY_FULL * member.quota_bytes:
        yield Fault(
            *("etcd", endpoint),
            f"etcd {endpoint} is {member.size_bytes / member.quota_bytes:.0%} full",
            "delete audit entries that are too old, then etcdctl compact and etcdctl defrag",
        )


def _of_records(seen: Seen) -> Iterator[Fault]:
    found = {record.key: record for _, status in seen.told for record in status.bad_records}
    for key, record in sorted(found.items()):
        where = f", field {record.field}" if record.field else ""
        yield Fault(
            *("record", key),
            f"{key} in etcd is passed over{where}: {record.message}",
            _BAD_KEY if record.kind == "unknown" else _BAD_RECORD,
        )
    more = max((status.bad_records_total for _, status in seen.told), default=0) - len(found)
    if more > 0:
        yield Fault(
            *("record", ""),
            f"{more:,} further keys in etcd are passed over",
            "croupierctl catalog repair writes back what was good, and names what it cannot mend",
        )


def _of_the_map(seen: Seen) -> Iterator[Fault]:
    if seen.told and not any(status.generation for _, status in seen.told):
        yield Fault(
            *("map", ""),
            "no shard map deals: no tenant has cells",
            "seat the cells that are registered: croupierctl cells add --all; if a map was lost, "
            "have it back first: croupierctl shards repair",
        )
    ramps = {status.ramp.active: status.ramp for _, status in seen.told if status.HasField("ramp")}
    for number, ramp in sorted(ramps.items()):
        yield _of_ramp(number, ramp)
    if seen.told and not seen.routers:
        yield Fault("router", "", "no router reports here: none runs, or all are of the release before")
    if more := max((status.cells_total - len(status.cells) for _, status in seen.told), default=0):
        yield Fault("cell", "", f"{more:,} further cells are not looked at")


def _of_ramp(number: int, ramp: pb.Ramp) -> Fault:
    share = f"{ramp.basis_points / 100:g} % of the tenants"
    if not ramp.paused and ramp.seconds:
        left = ramp.seconds * (1 - ramp.basis_points / 10_000)
        words = f"generation {number} takes over from {ramp.previous}: it deals to {share}"
        return Fault("map", "ramp", f"{words}, and to all within {span(left)}")
    return Fault(
        *("map", "ramp"),
        f"generation {number} deals to {share} and goes no further: {ramp.paused or 'it has no time for it'}",
        "see to it, then: croupierctl shards ramp --resume or --finish; or croupierctl shards rollback",
    )


def _of_router(who: str, name: str, router: pb.RouterStatus) -> Iterator[Fault]:
    report = router.report
    if router.heard > ROUTER_SILENCE:
        yield Fault(
            *("router", name),
            f"{who} has not reported for {span(router.heard)}",
            "it hangs, or was killed: look at its log, and start it again",
        )
        return
    if not report.serving:
        yield Fault(
            *("router", name),
            f"{who} serves nothing: it has no catalog yet",
            "see that it is told the version managers and can reach them: --manager",
        )
        return
    if report.not_ready:
        yield Fault(
            *("router", name),
            f"{who} is not ready: {report.not_ready}",
            "callers are to be kept from it until it is: see that it, and the version manager that it hears, "
            "are up to date, and its log; restart it if it stays so",
        )
    if not report.HasField("view_age"):
        yield Fault(
            *("router", name),
            f"{who} serves from its snapshot: it has not heard a watch since it started",
            "see that it can reach the version managers of --manager; its log says why it cannot",
        )
    elif report.view_age > VIEW_SILENCE:
        yield Fault(
            *("router", name),
            f"{who} has heard no watch for {span(report.view_age)}: it serves what it had",
            "see that it can reach the version managers of --manager; its log says why it cannot",
        )
    if report.refuses:
        yield Fault(
            *("router", name),
            f"{who} keeps its catalog at revision {report.revision} and takes no other: {report.refuses}",
            _THAW,
        )
    elif router.behind:
        yield Fault(
            *("router", name),
            f"{who} is behind: it serves revision {report.revision} of {report.catalog or 'no catalog'}",
            "if it does not pass in some seconds, look at its log, and restart it",
        )
