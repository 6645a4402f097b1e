"""Tells what was deleted in etcd by somebody else than a version manager: `etcdctl del --prefix`, mostly.

What is too little to freeze the map (`guard`) is believed, and must not go by unseen. A version manager never
deletes a thing alone: with a version or a model it writes the model's spent numbers, with old generations the
pointer, with an old config the one that holds, each in one transaction. So a deletion without its companion
of the same revision, or a later one, is from outside, and every manager can tell, whichever of them it was
that deleted.

Each is logged and counted, and audited once, by whichever manager is first: who it was, etcd does not say.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterable, Mapping

from croupier.errors import CroupierError
from croupier.stores.etcd import Compare, Etcd
from croupier.telemetry.metrics import Counter
from version_manager.map.audit import OUTSIDE, Audit
from version_manager.map.keys import (
    BadRecord,
    ChunkKey,
    GenerationKey,
    Key,
    Keys,
    OldConfigKey,
    ReleaseKey,
    VersionKey,
)

_log = logging.getLogger(__name__)
_DELETIONS = Counter(
    "croupier_version_manager_outside_deletions_total", "Keys in etcd that no version manager deleted"
)

# Of the keys of one revision, so many are named.
_NAMED = 100
# Revisions that wait for etcd to take their entry.
_WAITING = 1000
_AGAIN_SECONDS = 5.0


def from_outside(
    keys: Keys, deletes: Mapping[str, int], mod_revision: Callable[[str], int]
) -> dict[int, list[str]]:
    """The keys of ours in `deletes` (key to revision) that no version manager deleted, by revision.

    `mod_revision` tells when a key was last written, up to the last of those revisions.
    """
    found: dict[int, list[str]] = {}
    for text, revision in deletes.items():
        try:
            key = keys.parse(text)
        except BadRecord:
            continue
        if isinstance(key, ChunkKey) and not mod_revision(keys.generation(key.number)):
            # Whoever wrote it has not got as far as the head, and it ended with its lease.
            continue
        companion = _companion(keys, key)
        if companion is None or mod_revision(companion) < revision:
            found.setdefault(revision, []).append(text)
    return found


def _companion(keys: Keys, key: Key) -> str | None:
    """What a version manager writes when it deletes `key`; None if it never does."""
    match key:
        case VersionKey() | ReleaseKey():
            return keys.spent(key.tenant, key.name)
        case GenerationKey() | ChunkKey():
            return keys.active
        case OldConfigKey():
            return keys.config(key.tenant, key.name)
        case _:
            return None


class Outside:
    """Logs, counts and audits; `note` is called with what `from_outside` found."""

    def __init__(self, keys: Keys) -> None:
        self._keys = keys
        self._waiting: deque[tuple[int, list[str]]] = deque(maxlen=_WAITING)
        self._noted = asyncio.Event()

    def note(self, found: Mapping[int, Iterable[str]]) -> None:
        for revision, deleted in sorted(found.items()):
            names = sorted(deleted)
            _DELETIONS.inc(len(names))
            _log.warning(
                "%d keys were deleted from outside at revision %d: %r",
                *(len(names), revision, names[:_NAMED]),
            )
            self._waiting.append((revision, names))
            self._noted.set()

    async def keep(self, etcd: Etcd, audit: Audit) -> None:
        """Write an entry for each revision that was noted, until cancelled."""
        while True:
            await self._noted.wait()
            self._noted.clear()
            while self._waiting:
                revision, names = self._waiting[0]
                try:
                    await self._write(etcd, audit, revision, names)
                except CroupierError as error:
                    _log.warning("deletions from outside are not audited yet: %s", error)
                    await asyncio.sleep(_AGAIN_SECONDS)
                    continue
                self._waiting.popleft()

    async def _write(self, etcd: Etcd, audit: Audit, revision: int, names: list[str]) -> None:
        named = [name.encode("utf-8", "backslashreplace").decode() for name in names[:_NAMED]]
        key = self._keys.audit_outside(revision)
        entry = audit.entry(OUTSIDE, "delete", f"{len(names)} keys", key=key, revision=revision, keys=named)
        # One entry, however many managers saw it.
        await etcd.transact([Compare(key, 0)], [entry])
