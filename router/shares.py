"""Which part of a tenant's limits is this router's: managers say it, from what all routers tell them.

Limits hold over all routers, and no request asks another router. So each keeps a part of every limit: that
part of the tenant's requests that comes to it. What was heard last holds: from whichever manager, and for as
long as none is there, since where requests come to changes slowly.

Of a tenant that is not named, each of the routers has an equal part. While nobody has said anything, this is
the only router, as far as anybody knows.

Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

_NOTHING: Mapping[str, float] = MappingProxyType({})


class Shares:
    """The last word."""

    def __init__(self) -> None:
        self._told = _NOTHING
        self._equal = 1.0

    def of(self, tenant: str) -> float:
        """Above 0, and 1 at most."""
        return self._told.get(tenant, self._equal)

    def hear(self, routers: int, told: Mapping[str, float]) -> bool:
        """There are so many `routers`, and of some tenants the share is `told`. 0 of them: nothing is said.

        What is no share is passed over. Returns whether any share is another now.
        """
        if routers < 1:
            return False
        before = self._equal, self._told
        self._equal = 1 / routers
        # NaN is within no bounds.
        self._told = {tenant: share for tenant, share in told.items() if 0 < share <= 1}
        return before != (self._equal, self._told)
