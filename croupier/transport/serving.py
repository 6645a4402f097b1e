"""The server that processes of ours run: their handlers, and with them health and reflection."""

from __future__ import annotations

from collections.abc import Iterable
from random import Random

from croupier.access import Access
from croupier.settings import ServerTls
from croupier.transport.http2.limits import Limits
from croupier.transport.server import BareServer
from croupier.transport.services.health import HealthService
from croupier.transport.services.reflection import Reflection


class Server(BareServer):
    """Register handlers, then `start`; `health` says which services serve."""

    def __init__(
        self,
        *,
        limits: Limits = Limits(),
        tls: ServerTls | None = None,
        access: Access | None = None,
        reuse_port: bool = False,
        rng: Random | None = None,
    ) -> None:
        super().__init__(limits=limits, tls=tls, access=access, reuse_port=reuse_port, rng=rng)
        self.health = HealthService()

    async def start(self, listen: str, services: Iterable[str] = ()) -> str:
        """Bind `listen` and serve; returns the address with the port that was bound.

        `services` are the full names that health and reflection tell of.

        Raises:
            InvalidSettings: the address cannot be bound, or a PEM file cannot be used.
        """
        names = [*services]
        self.health.add_to(self)
        Reflection(names).add_to(self)
        address = self.open(listen)
        for name in names:
            self.health.set(name, True)
        return address

    async def stop(self, grace: float = 5.0) -> None:
        """Say NOT_SERVING, take no more calls, and close when those under way end or `grace` is over."""
        self.health.stop()
        await self.drain()
        # Only now: on connections that still took calls, clients would watch again at once.
        self.health.end()
        await self.close(grace)
