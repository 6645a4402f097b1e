"""What goes into etcd and comes out of it, free of grpc and of etcd's own messages.

Keys are text. A key that is not UTF-8, which only somebody else can have put there, survives as
surrogate escapes, so that it can be reported and deleted instead of stopping a listing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from croupier.errors import InvalidRequest
from protos.etcd.v3 import rpc_pb2 as pb

_ALL = b"\0"


@dataclass(frozen=True, slots=True)
class KeyValue:
    """A key as it stood at some revision; `lease` is 0 when the key has none."""

    key: str
    value: bytes
    mod_revision: int
    create_revision: int
    lease: int


@dataclass(frozen=True, slots=True)
class Listing:
    """Every key under a prefix at one revision, in the order of the keys' bytes."""

    items: tuple[KeyValue, ...]
    revision: int
    cluster_id: int


@dataclass(frozen=True, slots=True)
class Span:
    """The keys from `since` on that begin with `prefix`; without one, that key alone."""

    since: str
    prefix: str = ""


@dataclass(frozen=True, slots=True)
class Put:
    """With `keeps_value`, only the lease is new: the key has to be there, and `value` is not looked at."""

    key: str
    value: bytes
    lease: int = 0
    keeps_value: bool = False


@dataclass(frozen=True, slots=True)
class Delete:
    """Delete a key or, with `prefix`, every key that begins with it."""

    key: str
    prefix: bool = False


@dataclass(frozen=True, slots=True)
class Compare:
    """True if the key was last written at `mod_revision`; 0: if the key does not exist."""

    key: str
    mod_revision: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a transaction; `revision` is etcd's after it, done or not."""

    succeeded: bool
    revision: int


@dataclass(frozen=True, slots=True)
class Listed:
    """Everything under a followed prefix: it replaces whatever the follower knew."""

    items: tuple[KeyValue, ...]
    revision: int
    cluster_id: int


@dataclass(frozen=True, slots=True)
class Changed:
    """What changed under a followed prefix since the event before, up to `revision`.

    A key is in `puts` or in `deletes` and in there once, as its latest change left it.
    `deletes` has (key, mod_revision of the deletion).
    """

    puts: tuple[KeyValue, ...]
    deletes: tuple[tuple[str, int], ...]
    revision: int


def prefix_range(prefix: bytes) -> tuple[bytes, bytes]:
    """The (key, range_end) by which etcd means every key that begins with `prefix`.

    The end is the prefix with its last byte that is not 0xff one higher and the rest cut off; a
    prefix of nothing but 0xff has no such end, for which etcd's word is a zero byte
    (etcd API guide, "Key-Value API": range_end).
    """
    trimmed = prefix.rstrip(b"\xff")
    end = trimmed[:-1] + bytes((trimmed[-1] + 1,)) if trimmed else _ALL
    return prefix or _ALL, end


def encode_key(key: str) -> bytes:
    """Raises InvalidRequest for the empty key, which etcd does not have."""
    if not key:
        raise InvalidRequest("a key in etcd cannot be empty", field="key")
    return encode_prefix(key)


def encode_prefix(prefix: str) -> bytes:
    return prefix.encode("utf-8", "surrogateescape")


def decode_key(key: bytes) -> str:
    return key.decode("utf-8", "surrogateescape")


def decode_pair(pair: pb.KeyValue) -> KeyValue:
    return KeyValue(
        key=decode_key(pair.key),
        value=pair.value,
        mod_revision=pair.mod_revision,
        create_revision=pair.create_revision,
        lease=pair.lease,
    )


def encode_put(put: Put) -> pb.PutRequest:
    value = b"" if put.keeps_value else put.value
    return pb.PutRequest(key=encode_key(put.key), value=value, lease=put.lease, ignore_value=put.keeps_value)


def encode_delete(delete: Delete) -> pb.DeleteRangeRequest:
    """An empty prefix would delete all that etcd holds, so it is refused like an empty key."""
    key = encode_key(delete.key)
    return pb.DeleteRangeRequest(key=key, range_end=prefix_range(key)[1] if delete.prefix else b"")


def encode_compare(compare: Compare) -> pb.Compare:
    return pb.Compare(
        key=encode_key(compare.key),
        target=pb.Compare.MOD,
        result=pb.Compare.EQUAL,
        mod_revision=compare.mod_revision,
    )


def encode_op(op: Put | Delete) -> pb.RequestOp:
    arm: dict[str, Any] = (
        {"request_put": encode_put(op)}
        if isinstance(op, Put)
        else {"request_delete_range": encode_delete(op)}
    )
    return pb.RequestOp(**arm)


def encode_span(span: Span, most: int) -> pb.RequestOp:
    """The operation that reads at most so many keys of `span`."""
    end = prefix_range(encode_key(span.prefix))[1] if span.prefix else b""
    found = pb.RangeRequest(key=encode_key(span.since), range_end=end, limit=most)
    return pb.RequestOp(request_range=found)
