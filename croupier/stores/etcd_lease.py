"""Leases: keys that go away with the process that put them.

A lease is kept alive from the background, three times in its time to live. It counts as lost
once etcd says so, or once nothing has confirmed it for its time to live, counted from before the
last confirmed question was sent. etcd may hold it a little longer than that (it extends leases
when its leader changes), so a holder stops before anybody else can see the keys gone.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any

from croupier.errors import CroupierError, InvalidRequest, NotFound, Unavailable
from croupier.stores.etcd_connection import Connection
from protos.etcd.v3 import rpc_pb2 as pb

_log = logging.getLogger(__name__)

_GRANT: Callable[..., Any] = attrgetter("lease.LeaseGrant")
_REVOKE: Callable[..., Any] = attrgetter("lease.LeaseRevoke")
_KEEP_ALIVE: Callable[..., Any] = attrgetter("lease.LeaseKeepAlive")

# Leaving must not take long when etcd is away: the lease then ends by itself.
_REVOKE_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Lease:
    """`ttl`: seconds, as etcd granted them. `lost` is set once the lease is no longer ours."""

    id: int
    ttl: float
    lost: asyncio.Event = field(default_factory=asyncio.Event)


@asynccontextmanager
async def hold(connection: Connection, ttl: float) -> AsyncIterator[Lease]:
    """A lease of at least `ttl` seconds, kept for the block and revoked after it.

    Raises:
        InvalidRequest: `ttl` is not above 0.
        Unavailable, …: etcd does not grant it; see `Connection.call`.
    """
    if not ttl > 0:
        raise InvalidRequest("a lease lives for more than 0 seconds", field="ttl")
    asked_at = asyncio.get_running_loop().time()
    granted = await connection.call(_GRANT, pb.LeaseGrantRequest(TTL=math.ceil(ttl)))
    lease = Lease(granted.ID, float(granted.TTL))
    keeper = asyncio.create_task(_keep(connection, lease, asked_at + lease.ttl), name=f"lease {lease.id:x}")
    try:
        yield lease
    finally:
        keeper.cancel()
        await asyncio.gather(keeper, return_exceptions=True)
        await _revoke(connection, lease)


async def _keep(connection: Connection, lease: Lease, expires_at: float) -> None:
    loop = asyncio.get_running_loop()
    pauses = connection.pauses()
    wait = lease.ttl / 3
    try:
        while wait > 0:
            await asyncio.sleep(wait)
            asked_at = loop.time()
            try:
                left = await _renew(connection, lease, timeout=min(lease.ttl / 3, expires_at - asked_at))
            except CroupierError as error:
                _log.warning("lease %x: %s", lease.id, error)
                wait = min(pauses.next(), expires_at - loop.time())
            else:
                pauses.reset()
                expires_at = asked_at + left
                wait = left / 3
        _log.warning("lease %x is lost", lease.id)
    finally:
        lease.lost.set()


async def _renew(connection: Connection, lease: Lease, timeout: float) -> float:
    """Seconds that the lease has from now on; 0 when etcd does not have it any more."""
    async with connection.stream(_KEEP_ALIVE, timeout) as stream:
        await stream.write(pb.LeaseKeepAliveRequest(ID=lease.id))
        response = await stream.read(timeout)
        if response is None:
            raise Unavailable("etcd does not answer the keep-alive")
    return float(response.TTL)


async def _revoke(connection: Connection, lease: Lease) -> None:
    try:
        await connection.call(_REVOKE, pb.LeaseRevokeRequest(ID=lease.id), timeout=_REVOKE_SECONDS)
    except NotFound:
        _log.debug("lease %x had ended", lease.id)
    except CroupierError as error:
        _log.warning("lease %x is left to expire: %s", lease.id, error)
