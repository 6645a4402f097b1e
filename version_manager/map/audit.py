"""Who changed what, when: one key in etcd for every mutation, written in its transaction.

So there is no change without its entry and no entry without its change. Cells that come and go are
not audited: they are not somebody's decision. Entries sort by time; an operator reads them with
`etcdctl get --prefix croupier-audit/`, and deletes those that are too old.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec

from croupier.stores.etcd import Put
from version_manager.map.keys import Keys


@dataclass(frozen=True, slots=True)
class Actor:
    """Whoever calls. `name` is role/id from the client certificate, empty without; `peer` is the address, and
    `request_id` what the call is called.
    """

    name: str
    peer: str
    request_id: str = ""


# For what a version manager does by itself, and what was done to etcd without one.
MANAGER = Actor("version manager", "")
OUTSIDE = Actor("outside", "")


class Audit:
    """Makes entries. `clock` gives nanoseconds since 1970; `rng` tells entries of one moment apart."""

    def __init__(self, keys: Keys, clock: Callable[[], int], rng: random.Random) -> None:
        self._keys = keys
        self._clock = clock
        self._rng = rng

    def entry(self, actor: Actor, what: str, target: str, *, key: str = "", **details: Any) -> Put:
        """The operation that records "`actor` did `what` to `target`"; `key` empty: under one of its own."""
        now = self._clock()
        value = {
            "at": datetime.fromtimestamp(now / 1e9, UTC).isoformat(timespec="milliseconds"),
            "who": actor.name,
            "peer": actor.peer,
            "what": what,
            "target": target,
            **details,
        }
        if actor.request_id:
            value["request_id"] = actor.request_id
        own = self._keys.audit(now, f"{self._rng.getrandbits(32):08x}")
        return Put(key or own, msgspec.json.encode(value))
