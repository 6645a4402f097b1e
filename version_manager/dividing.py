"""What a router is told with the answer to its report: how many there are, and its part of tenants' limits.

A manager that has just started has heard too little to divide by, and says nothing: routers keep what the
manager before it said.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator

from protos.versions.v1 import versions_pb2 as pb
from version_manager.rates import Rates
from version_manager.routers import Routers
from version_manager.shares import Shares

# Seconds until every router has reported a few times.
_YOUNG = 5.0
# Tenants that are told of in one go.
_SLICE = 50
# Seconds after which it is counted anew who is there.
_COUNTED = 1.0


class Dividing:
    """`clock` is monotonic, in seconds."""

    def __init__(
        self, routers: Routers, rates: Rates, shares: Shares, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._routers = routers
        self._rates = rates
        self._shares = shares
        self._clock = clock
        self._from = clock() + _YOUNG
        self._present: set[str] = set()
        self._quiet = 0
        self._counted_at = float("-inf")

    def add_to(self, answer: pb.ReportRouterResponse, router: str) -> Generator[None, None, None]:
        """Say in `answer` what is `router`'s, which has reported just now. It yields after each slice."""
        now = self._clock()
        if now < self._from:
            return
        if now - self._counted_at >= _COUNTED or router not in self._present:
            self._counted_at = now
            self._present = self._routers.present()
            self._quiet = len(self._present - self._rates.telling())
            self._shares.keep(self._present)
        answer.routers = len(self._present)
        shares = self._shares.of(router, max(1, answer.routers), self._quiet)
        for place, (tenant, share) in enumerate(shares, 1):
            answer.shares.add(tenant=tenant, share=share)
            if place % _SLICE == 0:
                yield
