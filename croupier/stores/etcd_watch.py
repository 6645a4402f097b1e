"""Following a prefix of etcd: everything once, then every change, over any trouble in between.

    head ──▶ position still good? ──no──▶ list ──▶ Listed
                     │yes                            │
                     └──────────▶ watch at position + 1 ──▶ Changed, Changed, …
                                       │
             lost, silent, cancelled, compacted: back off, then from the top

`Follower` decides and does no I/O; `follow` acts. What makes a position bad:

1. etcd compacted it: the changes in between are gone.
2. another cluster answers: the data was wiped or the endpoint points elsewhere.
3. the revision or the raft term went back: the data was wiped or restored from a backup. A wiped
   etcd with an unchanged configuration has its old cluster id again, so the id alone says little.

The follower then gets a fresh `Listed`; whether to believe it is the consumer's decision.

A watch can be silent because nothing changes or because it is dead, which TCP may never tell. So
after half of `silence` seconds without a message it asks for progress, and after the whole without
an answer it reconnects. Progress answers are a sign of life and no more: up to etcd 3.4.24 and 3.5.7
they may overtake events of lower revisions (etcd#15220), so they never move the position. Some
later releases leave them unanswered on a watch that had no event yet (etcd#17507): there a quiet
prefix reconnects every `silence` seconds, which loses nothing.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from contextlib import aclosing
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

from croupier.errors import CroupierError, Unavailable
from croupier.stores.etcd_connection import Connection, Stream
from croupier.stores.etcd_errors import Compacted
from croupier.stores.etcd_types import (
    Changed,
    Listed,
    Listing,
    decode_key,
    decode_pair,
    encode_prefix,
    prefix_range,
)
from croupier.telemetry.metrics import Counter
from protos.etcd.v3 import rpc_pb2 as pb

_log = logging.getLogger(__name__)

_RECONNECTS = Counter("croupier_etcd_watch_reconnects_total", "Watches that were lost and begun again")
_LISTINGS = Counter("croupier_etcd_watch_listings_total", "Times that a followed prefix was listed whole")

_RANGE: Callable[..., Any] = attrgetter("kv.Range")
_WATCH: Callable[..., Any] = attrgetter("watch.Watch")
_PROGRESS = pb.WatchRequest(progress_request=pb.WatchProgressRequest())


class SilentWatch(Unavailable):
    """A watch gave no sign of life for `silence` seconds. Passing."""

    reason = "ETCD_WATCH_SILENT"


class AnotherCluster(Unavailable):
    """A watch was answered by a cluster other than the one that was listed. Passing."""

    reason = "ETCD_ANOTHER_CLUSTER"


@dataclass(frozen=True, slots=True)
class Position:
    """How far a follower has got: it knows every change up to `revision` of `cluster_id`."""

    cluster_id: int
    raft_term: int
    revision: int


class Follower:
    """What one follower of a prefix knows, and what it makes of each message."""

    def __init__(self, prefix: str) -> None:
        self._key, self._end = prefix_range(encode_prefix(prefix))
        self._position: Position | None = None
        # Events of a response that etcd sends in fragments, until its last one is in.
        self._fragments: list[pb.Event] = []

    def head(self) -> pb.RangeRequest:
        """The question, answered by the cluster's majority, that `must_list` takes the answer of."""
        return pb.RangeRequest(key=self._key, limit=1, keys_only=True)

    def must_list(self, head: pb.ResponseHeader) -> bool:
        """Whether there is no position to go on from, or `head` shows that it is no longer good."""
        known = self._position
        return (
            known is None
            or head.cluster_id != known.cluster_id
            or head.raft_term < known.raft_term
            or head.revision < known.revision
        )

    def listed(self, listing: Listing, raft_term: int) -> Listed:
        """Go on from `listing`."""
        self._position = Position(listing.cluster_id, raft_term, listing.revision)
        return Listed(listing.items, listing.revision, listing.cluster_id)

    def watch(self) -> pb.WatchRequest:
        """The request for every change after the position."""
        assert self._position is not None
        self._fragments.clear()
        return pb.WatchRequest(
            create_request=pb.WatchCreateRequest(
                key=self._key,
                range_end=self._end,
                start_revision=self._position.revision + 1,
                # Catching up on large values then comes in messages of etcd's size limit.
                fragment=True,
            )
        )

    def receive(self, response: pb.WatchResponse) -> Changed | None:
        """What `response` changes; None for nothing.

        Raises:
            Compacted, AnotherCluster: the position is lost; list again.
            Unavailable: etcd has cancelled the watch; go on from the position.
        """
        assert self._position is not None
        if response.header.cluster_id != self._position.cluster_id:
            self._position = None
            raise AnotherCluster("etcd: another cluster answers the watch")
        if response.compact_revision:
            self._position = None
            raise Compacted(f"etcd: compacted at {response.compact_revision}, beyond the watch")
        if response.canceled:
            raise Unavailable(f"etcd cancelled the watch: {response.cancel_reason or 'no reason given'}")
        self._fragments.extend(response.events)
        if response.fragment:
            return None
        return self._complete(self._position)

    def _complete(self, position: Position) -> Changed | None:
        # An event up to the position is an old one sent again.
        events = [event for event in self._fragments if event.kv.mod_revision > position.revision]
        self._fragments.clear()
        if not events:
            return None
        # Not the header's revision: while etcd catches a watch up, that is the newest of the
        # store, and events between the two are still to come.
        revision = events[-1].kv.mod_revision
        self._position = Position(position.cluster_id, position.raft_term, revision)
        return _collapse(events, revision)


def _collapse(events: Iterable[pb.Event], revision: int) -> Changed:
    latest = {event.kv.key: event for event in events}
    deletes = [event for event in latest.values() if event.type == pb.Event.DELETE]
    return Changed(
        puts=tuple(decode_pair(event.kv) for event in latest.values() if event.type == pb.Event.PUT),
        deletes=tuple((decode_key(event.kv.key), event.kv.mod_revision) for event in deletes),
        revision=revision,
    )


async def follow(
    connection: Connection, lister: Callable[[str], Awaitable[Listing]], prefix: str
) -> AsyncGenerator[Listed | Changed, None]:
    """The events of `prefix`, a `Listed` first; `lister` lists it whole. Ends when closed only."""
    follower = Follower(prefix)
    pauses = connection.pauses()
    while True:
        try:
            async with aclosing(_follow_once(connection, lister, prefix, follower)) as events:
                async for event in events:
                    pauses.reset()
                    yield event
        except CroupierError as error:
            wait = pauses.next()
            _RECONNECTS.inc()
            _log.warning("the watch of %s: %s; again in %.2f s", prefix, error, wait)
            await asyncio.sleep(wait)


async def _follow_once(
    connection: Connection, lister: Callable[[str], Awaitable[Listing]], prefix: str, follower: Follower
) -> AsyncGenerator[Listed | Changed, None]:
    head = (await connection.call(_RANGE, follower.head(), is_read=True)).header
    if follower.must_list(head):
        _LISTINGS.inc()
        yield follower.listed(await lister(prefix), head.raft_term)
    async with connection.stream(_WATCH) as stream:
        await stream.write(follower.watch())
        while True:
            response = await _heard(stream, connection.config.silence)
            change = follower.receive(response)
            connection.watch_heard(response.header.revision)
            if change is not None:
                yield change


async def _heard(stream: Stream, silence: float) -> pb.WatchResponse:
    response: pb.WatchResponse | None = await stream.read(silence / 2)
    if response is None:
        await stream.write(_PROGRESS)
        response = await stream.read(silence / 2)
    if response is None:
        raise SilentWatch(f"etcd: no sign of life for {silence} s")
    return response
