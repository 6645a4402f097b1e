"""How a tenant's limits are divided among routers: each has the part of them that it has of the requests.

Limits hold over all routers, so their parts add up to the whole. A part follows what the router was asked for
lately, refused requests among them: a tenant at its limit is refused, and asks on. It is a mean over seconds,
of which a router that has just started has none: what it tells first counts as if it had always been so.

    share = what it is asked / what all are asked, drawn towards an equal part

It is drawn there by as much as the tenant is below its limit (`_DRAWN`). At the limit and above, parts are
those of the traffic; far below, where nothing has to be exact, each router has room for requests that move to
it from another, which would otherwise refuse a tenant that asks for little. Nobody is below `_FLOOR` of an
equal part, for there is no request without a part.

Routers that tell of no tenants (`--rates-top 0`) have an equal part of everything, the others what is left.

Pure. Memory is bounded by `MOST` pairs of a router and a tenant.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Generator, Iterator, Mapping

from version_manager.model.limits import NO_LIMITS, TenantLimits

MOST = 100_000
# Seconds after which half of the mean is of the time since.
_HALF = 3.0
_LEAST_SECONDS = 0.5
# Drawn to an equal part as by so many requests a second, spread evenly: this part of its limit, and a few.
_DRAWN = 0.05
_FEW = 0.5
_FLOOR = 0.02
# Tenants that are looked at in one go, in a fraction of a millisecond.
_SLICE = 100
# Requests a second that are none any more.
_IDLE = 0.001


class Shares:
    """`limits` tells what holds now: of other tenants nothing is kept."""

    def __init__(self, limits: Callable[[], TenantLimits]) -> None:
        self._limits = limits
        # Requests a second of each tenant, by router, and of all routers together.
        self._asked: dict[str, dict[str, float]] = {}
        self._totals: dict[str, float] = {}
        self._pairs = 0

    def asked(self, router: str, requests: Mapping[str, int], seconds: float) -> Generator[None, None, None]:
        """A router was asked for so many `requests` of each tenant in the last `seconds`, and no others.

        It yields after each slice of them.
        """
        seconds = max(seconds, _LEAST_SECONDS)
        weight = 1 - 0.5 ** (seconds / _HALF)
        limits, known = self._limits(), self._asked.setdefault(router, {})
        for place, tenant in enumerate([*known, *(requests.keys() - known.keys())], 1):
            rate, before = requests.get(tenant, 0) / seconds, known.get(tenant)
            mean = rate if before is None else before + weight * (rate - before)
            if mean < _IDLE or limits.of(tenant) == NO_LIMITS:
                mean = 0.0
            elif before is None and self._pairs >= MOST:
                continue
            self._set(known, tenant, mean)
            if place % _SLICE == 0:
                yield
                if self._asked.get(router) is not known:
                    # It was taken for gone meanwhile.
                    return
        if not known:
            del self._asked[router]

    def keep(self, routers: Collection[str]) -> None:
        """Forget all others: they are gone, and those that are left are asked for what they were.

        One that only was silent tells next what it was asked for meanwhile, and is where it was.
        """
        for router in self._asked.keys() - set(routers):
            known = self._asked.pop(router)
            for tenant in list(known):
                self._set(known, tenant, 0.0)

    def of(self, router: str, routers: int, quiet: int = 0) -> Iterator[tuple[str, float]]:
        """The part of each tenant's limits that is this router's, of so many `routers`; `quiet` ones of them
        tell of no tenants.
        """
        limits, equal = self._limits(), 1 / routers
        for tenant, asked in list(self._asked.get(router, {}).items()):
            drawn = _FEW + _DRAWN * (limits.of(tenant).rate or 0.0)
            part = (asked + drawn * equal) / (max(self._totals.get(tenant, 0.0), asked) + drawn)
            share = (1 - _FLOOR) * part + _FLOOR * equal
            yield tenant, min(1.0, share * (1 - quiet * equal))

    def _set(self, known: dict[str, float], tenant: str, mean: float) -> None:
        before = known.pop(tenant, None)
        self._pairs += (mean > 0) - (before is not None)
        total = self._totals.pop(tenant, 0.0) - (before or 0.0) + mean
        if mean > 0:
            known[tenant] = mean
        if total >= _IDLE:
            self._totals[tenant] = total
