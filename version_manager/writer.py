"""One mutation in etcd: its compares, its operations and its audit entry, in one transaction."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from croupier.errors import Conflict
from croupier.stores.etcd import Compare, Delete, Etcd, Put
from version_manager.mirror import Mirror

_log = logging.getLogger(__name__)

_ATTEMPTS = 5

T = TypeVar("T")


class TooManyWriters(Conflict):
    """Others changed the same thing over and over in the meantime. The operator's: try again."""


class Writer:
    """Commits to etcd and waits until `mirror` shows it, for at most `patience` seconds.

    A commit that the mirror does not show in time is a commit nevertheless: it is logged, and the
    caller is told that it happened.
    """

    def __init__(self, etcd: Etcd, mirror: Mirror, *, patience: float = 5.0) -> None:
        self._etcd = etcd
        self._mirror = mirror
        self._patience = patience

    async def commit(self, compares: Sequence[Compare], ops: Sequence[Put | Delete], entry: Put) -> bool:
        """Do `ops` if all of `compares` hold; returns whether they did.

        Raises:
            MapFrozen: nothing is written while the map is frozen.
            Unavailable: etcd did not answer; it may have happened nevertheless.
        """
        self._mirror.check_writable()
        outcome = await self._etcd.transact(compares, [*ops, entry])
        if outcome.succeeded and not await self._mirror.reached(outcome.revision, self._patience):
            _log.warning("revision %d is written and not in the map yet", outcome.revision)
        return outcome.succeeded

    async def settle(self, attempt: Callable[[], Awaitable[T | None]]) -> T:
        """The result of `attempt`, which reads, decides and commits; None from it: try again.

        Raises:
            TooManyWriters: none of five attempts was committed.
        """
        for _ in range(_ATTEMPTS):
            result = await attempt()
            if result is not None:
                return result
        raise TooManyWriters("it is being changed by others again and again")
