"""Sheds early: a limit on requests in flight for each tenant, and one for all together.

Counts, not queues: a request over a limit is refused at once and told when to come back, while
there is still room to answer those that were let in. The tenant's own limit is looked at first,
since "you send too much" helps a caller more than "we are full".
"""

from __future__ import annotations

from croupier.errors import CroupierError, QuotaExceeded, Unavailable


class Overloaded(Unavailable):
    """The router has as many requests in flight as it may. Ours, passing."""

    reason = "ROUTER_OVERLOADED"


class Admission:
    """`limit` for all requests in flight, `per_tenant` for one tenant's; `retry_after` in seconds."""

    def __init__(self, limit: int, per_tenant: int, *, retry_after: float = 0.1) -> None:
        self._limit = limit
        self._per_tenant = per_tenant
        self._retry_after = retry_after
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
        if count >= self._per_tenant or self._total >= self._limit:
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

    def _refusal(self, tenant: str, count: int) -> CroupierError:
        if count < self._per_tenant:
            return Overloaded("the router has too many requests in flight", retry_after=self._retry_after)
        return QuotaExceeded(
            f"tenant {tenant} has {count} requests in flight, its limit",
            retry_after=self._retry_after,
            subject=tenant,
        )
