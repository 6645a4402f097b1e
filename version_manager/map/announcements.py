"""What every part that has joined understands, which decides what may be written into a record.

    cells      cells/<id>/protocol             each one's
    routers    managers/<id>: watchers         the least of those that watch that manager
    managers   managers/<id>: protocol         each one's

So every manager knows it of all, from its map. A record of a schema that somebody does not know is
written by no manager (`writer`); who joins afterwards, of the release before, passes over what is new to it.

A manager of the release before this one announces nothing, and cannot be seen.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress

from croupier import protocol
from croupier.errors import CroupierError
from croupier.stores.etcd import Etcd, Lease, Put
from version_manager.map import schema
from version_manager.map.keys import Keys
from version_manager.map.mirror import Mirror
from version_manager.map.records import Announced, encode

_log = logging.getLogger(__name__)


class Announcements:
    """Those of this manager's watchers, and of all others as the map has them.

    `pause` are the seconds after which the own record is looked at again, or tried again.
    """

    def __init__(self, mirror: Mirror, *, pause: float = 2.0) -> None:
        self._mirror = mirror
        self._pause = pause
        self._watchers: Counter[int] = Counter()
        self._changed = asyncio.Event()

    @contextmanager
    def watching(self, number: int) -> Iterator[None]:
        """For as long as a router watches that announced `number`."""
        self._watchers[number] += 1
        self._changed.set()
        try:
            yield
        finally:
            self._watchers[number] -= 1
            if not self._watchers[number]:
                del self._watchers[number]
            self._changed.set()

    @property
    def watchers(self) -> Mapping[int, int]:
        """How many watch this manager, by the number that they announced."""
        return self._watchers

    def lowest(self) -> int:
        """The least that any part understands."""
        served = self._mirror.map
        own = self._own()
        cells = (cell.protocol for cell in served.cells.values())
        managers = (min(one.protocol, one.watchers) for one in served.managers.values())
        return min(own.protocol, own.watchers, *cells, *managers)

    def understood(self) -> int:
        """The highest schema that every part understands."""
        return schema.understood(self.lowest())

    async def keep(self, etcd: Etcd, keys: Keys, lease_seconds: float) -> None:
        """Keep this manager's own record in etcd until cancelled."""
        while True:
            try:
                async with etcd.lease(lease_seconds) as lease:
                    await self._hold(etcd, keys, lease)
            except CroupierError as error:
                _log.warning("this manager cannot announce itself: %s", error)
            await asyncio.sleep(self._pause)

    async def _hold(self, etcd: Etcd, keys: Keys, lease: Lease) -> None:
        name = f"{lease.id:016x}"
        written: Announced | None = None
        while not lease.lost.is_set():
            own = self._own()
            # Compared with the map too: somebody may have deleted it, or written over it.
            if own != written or self._mirror.map.managers.get(name) != own:
                await etcd.transact([], [Put(keys.manager(name), encode(own), lease.id)])
                written = own
            self._changed.clear()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), self._pause)

    def _own(self) -> Announced:
        return Announced(protocol.CURRENT, min((protocol.CURRENT, *self._watchers)))
