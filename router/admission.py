"""Sheds early: a limit on requests in flight for each tenant, and one for all together.

Counts, not queues: a request over a limit is refused at once and told when to come back, while
there is still room to answer those that were let in. The tenant's own limit is looked at first,
since "you send too much" helps a caller more than "we are full".
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from heapq import nsmallest

from croupier.errors import CroupierError, QuotaExceeded, Unavailable
from croupier.recent import Noted, Recent

# Tenants that were refused, of which that is remembered.
_MOST_REFUSED = 200
# The refusals of the router's own limit, which is no tenant's name.
_OWN = ""


class Overloaded(Unavailable):
    """The router has as many requests in flight as it may. Ours, passing."""

    reason = "ROUTER_OVERLOADED"


@dataclass(frozen=True, slots=True)
class Pressed:
    """A tenant that is at its limit, or was refused lately."""

    tenant: str
    in_flight: int
    refused: Noted


class Admission:
    """`limit` for all requests in flight, `per_tenant` for one tenant's; `retry_after` in seconds.

    `clock` is monotonic, in seconds, and asked when a request is refused.
    """

    def __init__(
        self,
        limit: int,
        per_tenant: int,
        *,
        retry_after: float = 0.1,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.limit = limit
        self.per_tenant = per_tenant
        self._retry_after = retry_after
        self._clock = clock
        self._refused: Recent[str] = Recent(_MOST_REFUSED)
        self._total = 0
        self._tenants: dict[str, int] = {}

    @property
    def in_flight(self) -> int:
        return self._total

    def enter(self, tenant: str) -> None:
        """Count one request in; whoever enters leaves.

        Raises:
            QuotaExceeded: the tenant is at its limit.
            Overloaded: the router is at its own.
        """
        count = self._tenants.get(tenant, 0)
        if count >= self.per_tenant or self._total >= self.limit:
            raise self._refusal(tenant, count)
        self._tenants[tenant] = count + 1
        self._total += 1

    def leave(self, tenant: str) -> None:
        count = self._tenants[tenant]
        if count == 1:
            del self._tenants[tenant]
        else:
            self._tenants[tenant] = count - 1
        self._total -= 1

    @property
    def refused(self) -> Noted:
        """What the router's own limit has refused lately."""
        return self._refused.of(_OWN, self._clock())

    def pressed(self, most: int) -> tuple[list[Pressed], int]:
        """The tenants in trouble with their limit, the most refused first, and how many there are."""
        refused = self._refused.all(self._clock())
        refused.pop(_OWN, None)
        full = [tenant for tenant, count in self._tenants.items() if count >= self.per_tenant]
        tenants, none = {*refused, *full}, Noted()
        worst = nsmallest(most, tenants, key=lambda tenant: (-refused.get(tenant, none).count, tenant))
        in_flight = self._tenants
        found = [Pressed(one, in_flight.get(one, 0), refused.get(one, none)) for one in worst]
        return found, len(tenants)

    def _refusal(self, tenant: str, count: int) -> CroupierError:
        is_own = count < self.per_tenant
        self._refused.note(_OWN if is_own else tenant, self._clock())
        if is_own:
            return Overloaded("the router has too many requests in flight", retry_after=self._retry_after)
        return QuotaExceeded(
            f"tenant {tenant} has {count} requests in flight, its limit",
            retry_after=self._retry_after,
            subject=tenant,
        )
