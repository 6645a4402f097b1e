"""Tells a fleet what tenants may take, as an operator does: through the version manager's API."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from croupier.grpcio.manager import VersionManagerClient
from protos.versions.v1 import versions_pb2 as pb
from version_manager.model.limits import NO_LIMITS, Limits
from version_manager.model.wire import limits_to_pb

EVERYBODY = ""
# Until every router has heard of a change.
_HEARD_SECONDS = 0.5


async def limit(manager: VersionManagerClient, tenant: str, limits: Limits) -> None:
    """What `tenant` may take from now on, or EVERYBODY who has no limits of its own."""
    reason = "a bench"
    await manager.set_limits(pb.SetLimitsRequest(tenant=tenant, limits=limits_to_pb(limits), reason=reason))
    await asyncio.sleep(_HEARD_SECONDS)


@asynccontextmanager
async def limited(manager: VersionManagerClient, tenant: str, limits: Limits) -> AsyncIterator[None]:
    """The same, while in the block."""
    await limit(manager, tenant, limits)
    try:
        yield
    finally:
        await limit(manager, tenant, NO_LIMITS)
