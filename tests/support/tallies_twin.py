"""`router.tallies` in plain Python, for names that somebody else admits; and units of routes to count."""

from __future__ import annotations

from collections import Counter
from typing import Any

from support.fakes import generation, model, view

from croupier.codes import Code
from croupier.errors import CroupierError
from croupier.latencies import BUCKETS, bucket_of
from croupier.transport.status import code_of
from protos.inference.v2 import inference_pb2
from router.attempt import Outcome
from router.pipeline import decide
from router.routes import Routes
from router.units import Unit
from version_manager.model.fleet import Cell
from version_manager.model.release import WHOLE

_FAILED = {
    Code.UNKNOWN,
    Code.DEADLINE_EXCEEDED,
    Code.FAILED_PRECONDITION,
    Code.INTERNAL,
    Code.UNAVAILABLE,
    Code.DATA_LOSS,
}
HALF = WHOLE // 2


def came_of(code: int) -> str:
    return "failed" if code in _FAILED else "refused"


class PlainTallies:
    """Counts by name for whoever `admit` has named, and in `all` for everybody."""

    def __init__(self, *, slow_seconds: float) -> None:
        self.all: Counter[str] = Counter()
        self.rows: dict[str, Counter[str]] = {}
        self._slow_seconds = slow_seconds

    def admit(self, name: str) -> None:
        self.rows[name] = Counter()

    def ended(self, tenant: str, units: list[Unit], seconds: float) -> None:
        for unit in units:
            counted = self._counted(unit.outcome, unit.code, seconds)
            counted["cold"] = int(unit.is_cold)
            counted["retried"] = int(unit.tried > 1)
            target = unit.target
            self._add(tenant, target and f"{tenant}/{target.model}/{target.version}", counted)

    def refused(self, tenant: str, code: int, seconds: float) -> None:
        self._add(tenant, None, self._counted(b"", code, seconds))

    def _counted(self, outcome: Outcome | None, code: int, seconds: float) -> Counter[str]:
        counted = Counter(requests=1, slow=int(seconds >= self._slow_seconds))
        counted[f"bucket {bucket_of(seconds)}"] = 1
        if outcome is None:
            counted["failed"] = 1
        elif isinstance(outcome, CroupierError):
            counted[came_of(code_of(outcome))] = 1
        elif code:
            counted[came_of(code)] = 1
        return counted

    def _add(self, tenant: str, version: str | None, counted: Counter[str]) -> None:
        for row in (self.all, self.rows.get(tenant), self.rows.get(version or "")):
            if row is not None:
                row.update(counted)


def plain(counts: Any) -> Counter[str]:
    """What `Table.counts` gives, in the form of the twin."""
    *fields, first, buckets = counts
    names = ("requests", "refused", "failed", "cold", "retried", "slow")
    found = Counter(dict(zip(names, fields, strict=True)))
    assert first + len(buckets) <= BUCKETS
    found.update({f"bucket {first + place}": count for place, count in enumerate(buckets)})
    return +found


def routes_of(tenants: list[str], *, models: int = 2, random: Any = lambda: 0.25) -> Routes:
    """Routes for so many models of each tenant; the first has its traffic split over two versions."""
    split = [model(tenant, "m0", (1, 2), splits=((1, HALF), (2, HALF))) for tenant in tenants]
    others = [model(tenant, f"m{at}") for tenant in tenants for at in range(1, models)]
    routes = Routes(decide, random)
    routes.follow(view([*split, *others], (generation(["a"]),), [Cell("a", "zone-0", "a:1")]))
    return routes


def unit_of(routes: Routes, tenant: str, name: str = "m1", outcome: Outcome | None = b"") -> Unit:
    request = inference_pb2.ModelInferRequest(model_name=name)
    (unit,) = routes.infer(tenant, request.SerializeToString())
    unit.outcome = outcome
    return unit
