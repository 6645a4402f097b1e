"""Tells what was written to etcd by somebody else than a version manager: `etcdctl put`, mostly.

A version manager writes nothing without an entry of the audit in the same transaction, and so of the same
revision. A key of ours that was written at a revision without one was written from outside, by whomever. What
cells and managers keep under their leases is theirs.

Each such revision gets an entry of its own, from whichever manager is first: the keys, what stood there
before and what after, what is wrong with it, and for the shard map what it changes.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from croupier.bounded import Bounded
from croupier.errors import CroupierError
from croupier.stores.etcd import Compare, Etcd, KeyValue
from croupier.stores.etcd_errors import Compacted
from croupier.telemetry.metrics import Counter
from sharding.changes import changes
from sharding.generation import Generation
from version_manager.map.audit import OUTSIDE, Audit
from version_manager.map.keys import BadRecord, Keys
from version_manager.map.records import Active, Record, decode

_log = logging.getLogger(__name__)
_EDITS = Counter(
    "croupier_version_manager_outside_edits_total", "Revisions of etcd that no version manager wrote"
)

# Revisions that wait to be looked at, and those that are looked at together.
_WAITING = 10_000
_AT_ONCE = 500
# Of the keys of one revision, so many are told, and so much of each value, and of what it changes: an entry
# has to fit into etcd.
_NAMED = 20
_MOST_WORDS = 1_000
_MOST_LINES = 50
_MOST_OF_A_LINE = 200
_AGAIN_SECONDS = 5.0
# How far the clocks of managers may be apart, and the news of a change on its way: the audit sorts by time,
# and nothing older is looked through.
_LATEST = 600 * 10**9


@dataclass(slots=True)
class _Written:
    """The keys of one revision. `is_old`: nobody knows when that was."""

    keys: set[str] = field(default_factory=set)
    is_old: bool = False


class Edits:
    """`saw` is called with what was written to etcd, by anybody; `clock` gives nanoseconds since 1970."""

    def __init__(self, keys: Keys) -> None:
        self._keys = keys
        self._waiting: Bounded[int, _Written] = Bounded(_WAITING)
        self._noted = asyncio.Event()

    def saw(self, puts: Iterable[KeyValue], *, is_old: bool = False) -> None:
        for pair in puts:
            if pair.lease and self._keys.is_leased(pair.key):
                continue
            written = self._waiting.get(pair.mod_revision)
            if written is None:
                written = self._waiting[pair.mod_revision] = _Written(is_old=is_old)
            written.keys.add(pair.key)
            self._noted.set()

    async def keep(self, etcd: Etcd, audit: Audit, clock: Callable[[], int]) -> None:
        """Look at what was seen, and write an entry for what is from outside, until cancelled."""
        while True:
            await self._noted.wait()
            self._noted.clear()
            while self._waiting:
                try:
                    await self._settle(etcd, audit, clock())
                except CroupierError as error:
                    _log.warning("edits from outside are not audited yet: %s", error)
                    await asyncio.sleep(_AGAIN_SECONDS)

    async def _settle(self, etcd: Etcd, audit: Audit, now: int) -> None:
        """Some that wait; what is done waits no longer."""
        some = dict(islice(self._waiting.items(), _AT_ONCE))
        is_old = any(written.is_old for written in some.values())
        since = self._keys.audit(0 if is_old else max(0, now - _LATEST), "")
        audited = await etcd.revisions(self._keys.audits, since, min(some), max(some))
        for revision, written in some.items():
            if revision not in audited:
                await self._write(etcd, audit, revision, sorted(written.keys))
            self._waiting.pop(revision, None)

    async def _write(self, etcd: Etcd, audit: Audit, revision: int, written: list[str]) -> None:
        edits = [await self._edit(etcd, key, revision) for key in written[:_NAMED]]
        target = edits[0]["key"] if len(written) == 1 else f"{len(written)} keys"
        key = self._keys.audit_outside(revision, "edit")
        entry = audit.entry(OUTSIDE, "edit", target, key=key, revision=revision, edits=edits)
        outcome = await etcd.transact([Compare(key, 0)], [entry])
        if outcome.succeeded:
            _EDITS.inc()
            names = [edit["key"] for edit in edits]
            _log.warning(
                "%d keys were written from outside at revision %d: %r", len(written), revision, names
            )

    async def _edit(self, etcd: Etcd, key: str, revision: int) -> dict[str, Any]:
        """What is told of one key; `before` is null where nothing was, and missing if etcd forgot it."""
        told: dict[str, Any] = {"key": _text(key.encode("utf-8", "surrogateescape"))}
        before: KeyValue | None = None
        with suppress(Compacted):
            before = await etcd.get(key, revision=revision - 1)
            told["before"] = _text(before.value) if before else None
        with suppress(Compacted):
            after = await etcd.get(key, revision=revision)
            told["after"] = _text(after.value) if after else None
            try:
                now = self._decode(after)
            except BadRecord as error:
                told["fault"] = error.message[:_MOST_WORDS]
            else:
                told |= await self._changed(etcd, revision, before, now)
        return told

    async def _changed(
        self, etcd: Etcd, revision: int, before: KeyValue | None, now: Record | None
    ) -> dict[str, list[str]]:
        """What an edit of the shard map changes in it, as far as it can be told."""
        with suppress(BadRecord):
            was = self._decode(before)
            if isinstance(was, Active) and isinstance(now, Active):
                was = await self._generation(etcd, was.active, revision - 1)
                now = await self._generation(etcd, now.active, revision)
            if isinstance(was, Generation) and isinstance(now, Generation):
                return {"changes": [line[:_MOST_OF_A_LINE] for line in changes(was, now)[:_MOST_LINES]]}
        return {}

    async def _generation(self, etcd: Etcd, number: int, revision: int) -> Record | None:
        return self._decode(await etcd.get(self._keys.generation(number), revision=revision))

    def _decode(self, pair: KeyValue | None) -> Record | None:
        """Raises BadRecord."""
        return decode(self._keys.parse(pair.key), pair.value) if pair else None


def _text(value: bytes) -> str:
    """`value`, which may be no text, and have no end."""
    shown = value[:_MOST_WORDS].decode("utf-8", "backslashreplace")
    return shown if len(value) <= _MOST_WORDS else f"{shown}…"
