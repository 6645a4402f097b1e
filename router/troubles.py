"""What this router has trouble with, for its report: cells, tenants at their limit, the latest bad requests.

All of it is bounded, the worst first, and asked of the parts that know when a report is made.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from heapq import nsmallest
from math import ceil

from croupier.recent import Growth
from protos.versions.v1 import versions_pb2 as pb
from router.admission import Admission
from router.attempt import Attempts
from router.breakers import Trouble
from router.copies import Copies
from router.latest import Latest

_MOST_CELLS = 100
_MOST_TENANTS = 50
_MOST_HOT = 100
# Characters.
_MOST_WHY = 300


@dataclass(frozen=True, slots=True)
class Troubles:
    """`retries` are those that were made, and those that the budget did not allow, since the beginning."""

    attempts: Attempts
    admission: Admission
    latest: Latest
    copies: Copies
    retries: Callable[[], tuple[int, int]]
    # Why the feature store does not answer; "" while it does.
    feature_store: Callable[[], str] = str
    _growth: Growth = field(default_factory=Growth)

    def told(self) -> pb.RouterTroubles:
        """As of now."""
        now, admission = self.attempts.clock(), self.admission
        _, (retries, denied) = self._growth.look(now, self.retries())
        cells, cells_total = self.attempts.breakers.troubles(now, _MOST_CELLS)
        pressed, pressed_total = admission.pressed(_MOST_TENANTS)
        refused = admission.refused
        return pb.RouterTroubles(
            in_flight=admission.in_flight,
            most_in_flight=admission.limit,
            most_in_flight_of_tenant=admission.per_tenant,
            refused=refused.count,
            refused_seconds=refused.seconds,
            retries=retries,
            retries_denied=denied,
            cells=[self._cell(name, trouble, now) for name, trouble in cells.items()],
            cells_total=cells_total,
            tenants=[
                pb.TenantTrouble(
                    tenant=one.tenant,
                    in_flight=one.in_flight,
                    most_in_flight=one.most,
                    refused=one.refused.count,
                    refused_seconds=one.refused.seconds,
                    limits=[
                        pb.LimitTrouble(
                            limit=limit.kind,
                            value=limit.limit,
                            share=limit.share,
                            refused=limit.refused.count,
                            refused_seconds=limit.refused.seconds,
                        )
                        for limit in one.limits
                    ],
                )
                for one in pressed
            ],
            tenants_total=pressed_total,
            requests=[
                pb.EndedRequest(
                    request_id=one.request_id,
                    tenant=one.tenant,
                    model=one.model,
                    method=one.method,
                    code=one.code,
                    reason=one.reason,
                    seconds=one.seconds,
                    cells=one.cells,
                    attempts=one.attempts,
                    ago=now - one.at,
                )
                for one in self.latest.all()
            ],
            uses=self._uses(),
            hot=self._hot(now),
            feature_store=self.feature_store()[:_MOST_WHY],
        )

    def _uses(self) -> list[pb.CellUse]:
        busiest = nsmallest(
            _MOST_CELLS, self.attempts.loads, key=lambda load: (not load.limit, -load.in_flight, load.cell)
        )
        return [
            pb.CellUse(
                cell=load.cell,
                in_flight=load.in_flight,
                limit=ceil(load.limit),
                latency_seconds=load.latency,
            )
            for load in busiest
        ]

    def _hot(self, now: float) -> list[pb.HotModel]:
        known = self.copies.known(now).items()
        return [
            pb.HotModel(tenant=tenant, model=model, copies=hot.copies, requests_per_second=hot.rate)
            for (tenant, model), hot in nsmallest(_MOST_HOT, known, key=lambda one: (-one[1].rate, one[0]))
        ]

    def _cell(self, name: str, trouble: Trouble, now: float) -> pb.CellTrouble:
        is_failing = bool(trouble.opened)
        return pb.CellTrouble(
            cell=name,
            breaker=self.attempts.breakers.state(name, now),
            why=trouble.why if is_failing else "",
            seconds=now - trouble.since if is_failing else 0.0,
            failed_ago=now - trouble.failed if is_failing else 0.0,
            opened=trouble.opened,
            given_up=trouble.given_up.count,
            given_up_seconds=trouble.given_up.seconds,
        )
