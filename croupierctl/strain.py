"""What is wrong with the object store, and with tenants and routers at their limits: pure.

A store is one thing that many cells see: where most of those that read there wait, it is named, and once;
where one does, that one is. A limit that is reached for a moment is what limits are for: whom it has held up
in two of the last ten seconds is refused.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from croupierctl.cell_faults import is_heard, waits_for_store
from croupierctl.seen import ROUTER_SILENCE, Fault, Seen, some, span
from protos.versions.v1 import versions_pb2 as pb

# Of reads in ten seconds, so many that failed are no chance.
_FAILED_SHARE = 0.1
# Seconds out of ten in which requests were refused.
REFUSED_SECONDS = 2
_MOST_TENANTS = 10
# What the limits of a tenant are called by who sets them, and of what they are.
_LIMITS = {
    "rate": ("rate", "/s"),
    "in_flight": ("in-flight", ""),
    "cold_loads": ("cold-loads", "/s"),
    "rows": ("rows", "/s"),
    "bytes": ("bytes", "/s"),
    "streams": ("streams", " a router"),
    "uploads": ("uploads", " bytes a router"),
}
# Bounds of each router, which no limit of a tenant changes.
_OF_ROUTERS = {
    "streams": "it opens more streams than it may: a larger --max-streams-per-tenant of the routers",
    "uploads": "it sends too many large requests at once: --max-uploading-bytes-per-tenant of the routers",
}

_STORE_ADVICE = (
    "see to the store and the way there, and that what reads there is not short of processor; models that "
    "are loaded or on cells' disks are served meanwhile"
)


@dataclass(frozen=True, slots=True)
class _Reader:
    """A cell that waits for the store for so many `seconds`, or where `failed` of its reads did."""

    cell: str
    seconds: float
    failed: int
    failure: str


def of_store(seen: Seen) -> Iterator[Fault]:
    """That it is slow, or refuses."""
    heard = {
        name: cell.cell.load.work
        for name, cell in sorted(seen.cells.items())
        if is_heard(cell) and cell.cell.load.work.HasField("store")
    }
    reading = [name for name, work in heard.items() if _reads(work.store)]
    waiting, failing = [], []
    for name in reading:
        work = heard[name]
        store = work.store
        one = _Reader(name, waits_for_store(work), store.failed, store.failure)
        if one.seconds:
            waiting.append(one)
        elif store.failed and store.failed >= _FAILED_SHARE * (store.done + store.failed):
            failing.append(one)
    yield from _slow(waiting, len(reading))
    yield from _failing(failing, len(reading))


def _reads(store: pb.StoreReads) -> bool:
    return bool(store.done or store.failed or store.under_way)


def _slow(waiting: list[_Reader], reading: int) -> Iterator[Fault]:
    if len(waiting) > 1 and len(waiting) * 2 > reading:
        worst = max(waiting, key=lambda one: one.seconds)
        yield Fault(
            *("store", ""),
            f"the object store is slow: {len(waiting)} of {reading} cells that read there wait for it, "
            f"{worst.cell} for {span(worst.seconds)}",
            _STORE_ADVICE,
        )
        return
    for one in waiting:
        yield Fault(
            *("store", one.cell),
            f"cell {one.cell} waits {span(one.seconds)} for the object store",
            _STORE_ADVICE,
        )


def _failing(failing: list[_Reader], reading: int) -> Iterator[Fault]:
    if len(failing) > 1 and len(failing) * 2 > reading:
        reasons = sorted({one.failure for one in failing})
        yield Fault(
            *("store", ""),
            f"the object store fails: {len(failing)} of {reading} cells that read there could not, "
            f"{sum(one.failed for one in failing):,} times in the last 10 s ({some(reasons)})",
            _STORE_ADVICE,
        )
        return
    for one in failing:
        times = "once" if one.failed == 1 else f"{one.failed:,} times"
        yield Fault(
            *("store", one.cell),
            f"cell {one.cell} could not read from the object store, {times} in the last 10 s ({one.failure})",
            "see its log for which artifact that was, and whether the store has it and lets the cell in",
        )


def of_feature_store(seen: Seen) -> Iterator[Fault]:
    """That routers cannot read stored features: once for each reason."""
    heard = list(_heard(seen))
    by_reason: dict[str, list[tuple[str, str]]] = {}
    for name, router in heard:
        if why := router.report.troubles.feature_store:
            by_reason.setdefault(why, []).append((name, router.report.address or name))
    for why, routers in sorted(by_reason.items()):
        name, address = routers[0] if len(routers) == 1 else ("", "")
        who = f"router {address} gets" if name else f"{len(routers)} of {len(heard)} routers get"
        yield Fault(
            *("router", name),
            f"{who} nothing of the feature store: {why}",
            "see that the store of --features-store runs and lets the router in; meanwhile families have "
            "defaults, or are refused",
        )


def of_routers(seen: Seen) -> Iterator[Fault]:
    """That a router has as much to do as it may."""
    for name, router in _heard(seen):
        troubles = router.report.troubles
        if troubles.refused_seconds >= REFUSED_SECONDS:
            yield Fault(
                *("router", name),
                f"router {router.report.address or name} refuses requests of everybody: it has "
                f"{troubles.in_flight:,} of {troubles.most_in_flight:,} in flight, and refused "
                f"{troubles.refused:,} in the last 10 s",
                "start further routers; if cells answer slowly, see to those first",
            )


def of_tenants(seen: Seen) -> Iterator[Fault]:
    """That tenants are refused since they have as many requests in flight as they may."""
    by_tenant: dict[str, list[pb.TenantTrouble]] = {}
    further = 0
    for name, router in _heard(seen):
        troubles = router.report.troubles
        further = max(further, troubles.tenants_total - len(troubles.tenants))
        for one in troubles.tenants:
            if one.refused_seconds >= REFUSED_SECONDS:
                told = pb.TenantTrouble()
                told.CopyFrom(one)
                told.router = router.report.address or name
                by_tenant.setdefault(one.tenant, []).append(told)
    worst = sorted(by_tenant, key=lambda tenant: -sum(one.refused for one in by_tenant[tenant]))
    for tenant in worst[:_MOST_TENANTS]:
        yield refused(tenant, by_tenant[tenant])
    if more := max(0, len(worst) - _MOST_TENANTS) + further:
        yield Fault("tenant", "", f"{more:,} further tenants are at their limit, or were refused for it")


def refused(tenant: str, told: list[pb.TenantTrouble]) -> Fault:
    """The fault of a tenant that routers refuse; the worst of them is named."""
    worst = max(told, key=lambda one: one.refused)
    others = f" and {len(told) - 1} more" if len(told) > 1 else ""
    count = sum(one.refused for one in told)
    return Fault(
        *("tenant", tenant),
        f"tenant {tenant} is refused: it has {worst.in_flight:,} of {worst.most_in_flight:,} requests in "
        f"flight at router {worst.router}{others}, and {count:,} were refused in the last 10 s",
        f"see what it waits for: croupierctl why {tenant}; if its cells are well, it sends more than they "
        "answer: more cells for it, or a larger --max-in-flight-per-tenant of the routers",
    )


def at_limits(tenant: str, told: Iterable[pb.TenantTrouble]) -> Iterator[Fault]:
    """That it was refused for limits of its own: for each of them by how many routers, and how often."""
    by_limit: dict[str, list[pb.LimitTrouble]] = {}
    for trouble in told:
        for one in trouble.limits:
            by_limit.setdefault(one.limit, []).append(one)
    for limit, rows in sorted(by_limit.items()):
        at = f" at {len(rows)} routers" if len(rows) > 1 else ""
        name, unit = _LIMITS.get(limit, (limit, ""))
        advice = f"it sends more than it may; to allow more: croupierctl tenants limit {tenant} --{name}"
        if limit in _OF_ROUTERS:
            advice = _OF_ROUTERS[limit]
        yield Fault(
            *("tenant", tenant),
            f"it is at its limit: {name} {_number(max(row.value for row in rows))}{unit} (refused "
            f"{sum(row.refused for row in rows):,} in the last 10 s{at})",
            advice,
        )


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 else f"{value:,.6g}"


def _heard(seen: Seen) -> Iterator[tuple[str, pb.RouterStatus]]:
    for name, router in sorted(seen.routers.items()):
        if router.heard <= ROUTER_SILENCE:
            yield name, router
