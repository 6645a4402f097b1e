"""etcd over its v3 API: keys, transactions, leases and followed prefixes.

    async with Etcd(EtcdConfig(endpoints=("127.0.0.1:2379",))) as etcd:
        revision = await etcd.put("croupier/greeting", b"hello")
        async with aclosing(etcd.follow("croupier/")) as events:
            async for event in events:      # Listed, then Changed, Changed, …
                ...

The caller's obligations:

1. Decide by compares (`transact`), not by what was read a moment ago, and not by locks.
2. After `Unavailable` from a write, look whether it happened: its answer may have been lost.
3. Keep to etcd's sizes: 1.5 MiB a request, 128 operations a transaction.
4. End every call and follower before leaving the block.
"""

from __future__ import annotations

import random
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from operator import attrgetter
from types import TracebackType
from typing import Any, Self

from croupier.errors import InvalidRequest, Unavailable
from croupier.stores import etcd_lease, etcd_status, etcd_watch
from croupier.stores.etcd_connection import Connection, EtcdConfig
from croupier.stores.etcd_errors import Compacted
from croupier.stores.etcd_lease import Lease
from croupier.stores.etcd_status import MemberStatus
from croupier.stores.etcd_types import (
    Changed,
    Compare,
    Delete,
    KeyValue,
    Listed,
    Listing,
    Outcome,
    Put,
    Span,
    decode_pair,
    encode_compare,
    encode_delete,
    encode_key,
    encode_op,
    encode_prefix,
    encode_put,
    encode_span,
    prefix_range,
)
from croupier.telemetry.traces import Kind
from croupier.transport.steps import step
from protos.etcd.v3 import rpc_pb2 as pb

__all__ = [
    "Changed",
    "Compare",
    "Delete",
    "Etcd",
    "EtcdConfig",
    "KeyValue",
    "Lease",
    "Listed",
    "Listing",
    "Outcome",
    "Put",
    "Span",
]

_RANGE: Callable[..., Any] = attrgetter("kv.Range")
_PUT: Callable[..., Any] = attrgetter("kv.Put")
_DELETE: Callable[..., Any] = attrgetter("kv.DeleteRange")
_TXN: Callable[..., Any] = attrgetter("kv.Txn")

MAX_TRANSACTION = 128
_LISTING_ATTEMPTS = 3


class Etcd:
    """A client for one event loop. Every method raises as `Connection.call` does.

    `rng` spreads the waits between attempts.
    """

    def __init__(self, config: EtcdConfig, rng: random.Random | None = None) -> None:
        self._connection = Connection(config, rng or random.Random())  # noqa: S311

    async def __aenter__(self) -> Self:
        self._connection.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._connection.close()

    async def status(self, timeout: float) -> list[MemberStatus]:
        """How each endpoint is, known in `timeout` seconds; raises nothing."""
        return await etcd_status.ask(self._connection, timeout)

    def watched(self) -> tuple[int, float] | None:
        """Etcd's revision when what follows a prefix last had a sign of life, and seconds since; None before.

        A quiet watch has one every half of the config's `silence`, unless it hangs.
        """
        return self._connection.watched()

    async def get(self, key: str, *, revision: int = 0) -> KeyValue | None:
        """The key as it stands now, by the word of the cluster's majority; None without it.

        With `revision`, as it stood then. Raises Compacted if etcd has forgotten that.
        """
        request = pb.RangeRequest(key=encode_key(key), revision=revision)
        response = await self._call("Range", _RANGE, request, is_read=True)
        return decode_pair(response.kvs[0]) if response.kvs else None

    async def revisions(self, prefix: str, since: str, first: int, last: int) -> set[int]:
        """Those of `first` to `last` at which a key below `prefix`, from `since` on, was last written."""
        request = pb.RangeRequest(
            key=encode_key(since),
            range_end=prefix_range(encode_prefix(prefix))[1],
            min_mod_revision=first,
            max_mod_revision=last,
            keys_only=True,
        )
        response = await self._call("Range", _RANGE, request, is_read=True)
        return {pair.mod_revision for pair in response.kvs}

    async def range(self, prefix: str, *, page: int = 1000) -> Listing:
        """Every key that begins with `prefix`, at one revision, asked for `page` keys at a time."""
        for _ in range(_LISTING_ATTEMPTS - 1):
            try:
                return await self._list(prefix, page)
            except Compacted:
                # Compacted between two pages: the revision they share is gone, so take a newer one.
                continue
        return await self._list(prefix, page)

    async def list_many(self, spans: Sequence[Span], most: int) -> list[tuple[KeyValue, ...] | None]:
        """What is in each of `spans`, all at one revision; None of one that has more than `most` keys.

        Raises:
            InvalidRequest: more than 128 spans.
        """
        if len(spans) > MAX_TRANSACTION:
            raise InvalidRequest(f"a transaction has at most {MAX_TRANSACTION} operations", field="spans")
        request = pb.TxnRequest(success=(encode_span(span, most) for span in spans))
        response = await self._call("Txn", _TXN, request, is_read=True)
        found = [one.response_range for one in response.responses]
        return [None if one.more else tuple(map(decode_pair, one.kvs)) for one in found]

    async def put(self, key: str, value: bytes, *, lease: int = 0) -> int:
        """Write a key; returns the revision. Raises NotFound if there is no such lease."""
        response = await self._call("Put", _PUT, encode_put(Put(key, value, lease)))
        return int(response.header.revision)

    async def delete(self, key: str, *, prefix: bool = False) -> int:
        """Delete a key, if it exists, or with `prefix` all that begin with it; returns the revision."""
        response = await self._call("DeleteRange", _DELETE, encode_delete(Delete(key, prefix)))
        return int(response.header.revision)

    async def transact(self, compares: Sequence[Compare], ops: Sequence[Put | Delete]) -> Outcome:
        """Do all of `ops` if all of `compares` hold, else nothing, in one revision.

        Raises:
            InvalidRequest: more than 128 of either, or a key is put twice.
        """
        if max(len(compares), len(ops)) > MAX_TRANSACTION:
            raise InvalidRequest(
                f"a transaction has at most {MAX_TRANSACTION} compares and operations", field="ops"
            )
        request = pb.TxnRequest(compare=map(encode_compare, compares), success=map(encode_op, ops))
        response = await self._call("Txn", _TXN, request)
        return Outcome(response.succeeded, response.header.revision)

    def lease(self, ttl: float) -> AbstractAsyncContextManager[Lease]:
        """A lease of at least `ttl` seconds, kept alive for the block and revoked after it."""
        return etcd_lease.hold(self._connection, ttl)

    def follow(self, prefix: str) -> AsyncGenerator[Listed | Changed, None]:
        """All keys that begin with `prefix`, and then what changes; see `etcd_watch`.

        A `Listed` comes first, and again whenever the changes since the event before cannot be
        known. Never ends and never raises for what etcd does; close it (`contextlib.aclosing`).
        """
        return etcd_watch.follow(self._connection, self.range, prefix)

    async def _call(
        self, name: str, method: Callable[..., Any], request: Any, *, is_read: bool = False
    ) -> Any:
        with step(f"etcd {name}", kind=Kind.CLIENT):
            return await self._connection.call(method, request, is_read=is_read)

    async def _list(self, prefix: str, page: int) -> Listing:
        key, end = prefix_range(encode_prefix(prefix))
        items: list[KeyValue] = []
        header: pb.ResponseHeader | None = None
        while True:
            request = pb.RangeRequest(
                key=key, range_end=end, limit=page, revision=header.revision if header else 0
            )
            response = await self._call("Range", _RANGE, request, is_read=True)
            header = header or response.header
            if response.header.cluster_id != header.cluster_id:
                raise Unavailable("etcd: another cluster answers than the one that began the listing")
            items.extend(map(decode_pair, response.kvs))
            if not response.more:
                return Listing(tuple(items), header.revision, header.cluster_id)
            key = response.kvs[-1].key + b"\0"
