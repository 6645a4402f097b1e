"""The spool: what a router answered, on its way to whoever writes it down.

    router ── spool_writer ── <spool>/<incarnation>/<number>.segment ── spool_reader ── logger
                                spool_folder makes them                   removes them

Each process that writes has a folder of its own, named by its incarnation, and is the only one that writes
there. Segments are files of one size, made whole before they are used, so that a full disk is met then. One
that was read is filled with zeros and given back to a writer that lives: pages that there are already cost
it a tenth of new ones, and much less where a host lends a machine its memory only as it is touched.

    segment   header, 64 bytes │ record │ record │ … │ zeros
    header    "CRSPOOL1" │ u64 bytes of the segment │ u64 its number │ u64 sequence number of its first record
              │ u64 dropped by this writer so far │ u32 1 once it is full │ u32 CRC-32C of the first 32 bytes
    record    u32 size │ u32 CRC-32C of all that follows │ u64 sequence number │ `size` bytes │ zeros up to 8
    bytes     72 bytes of numbers and lengths (`_HEAD`) │ request id │ tenant │ model │ family │ shadow of │
              artifact │ rule │ request │ shared │ added │ reply

All little-endian. A size of 0 is the end so far. A record whose CRC is wrong is damaged: it is passed over if
a whole one stands where it says that it ends, else the rest of the segment is given up. Either way the
sequence numbers tell how many are lost.

`request` is the caller's ModelInferRequest or Item, `added` the fields that the router put behind it (shared
features, and those that it fetched, field 1004), `shared` the `Shared` of an item's request.

`rule` is what the family's log says of sensitive fields, as JSON: it goes with the record, so that a logger
needs no catalog, and hides what was to be hidden when the request was answered (decision 64).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum, IntFlag

from croupier.stores.spool_writer import crc32c

MAGIC = b"CRSPOOL1"
SUFFIX = ".segment"
# What was a segment, read to its end, and is all zeros again: its writer may have it for the next one.
EMPTY = ".empty"
# Held for as long as the process lives that writes into a folder.
LOCK = "writer.lock"
HEADER = struct.Struct("<8sQQQQII16x")
FRAME = struct.Struct("<IIQ")
_HEAD = struct.Struct("<BBBxIqQQI6H5I4x")
_CONSTANT_BYTES = 32
_FORM = 1


class Kind(IntEnum):
    """What was asked: a ModelInferRequest, or an Item of a PredictRequest."""

    INFER = 0
    ITEM = 1


class Flag(IntFlag):
    DEGRADED = 1


class BadRecord(ValueError):
    """Bytes that no writer of ours made."""


@dataclass(slots=True)
class Record:
    """One answered request. `time_us` since 1970; `number` of the family's config; `item` its place.

    Not frozen: a logger makes very many, and that would take it five times as long.
    """

    kind: int
    flags: int
    item: int
    time_us: int
    version: int
    number: int
    took_us: int
    request_id: str
    tenant: str
    model: str
    family: str
    shadow_of: str
    artifact: bytes
    rule: bytes
    request: bytes
    shared: bytes
    added: bytes
    reply: bytes


@dataclass(frozen=True, slots=True)
class Header:
    """What a segment says of itself."""

    size: int
    number: int
    first: int
    dropped: int
    is_closed: bool


@dataclass(frozen=True, slots=True)
class Found:
    """A record's place in its segment: its bytes, and where the next one begins."""

    sequence: int
    begin: int
    end: int
    after: int


def pack(record: Record) -> bytes:
    """The bytes of a record."""
    names = [
        record.request_id.encode(),
        record.tenant.encode(),
        record.model.encode(),
        record.family.encode(),
        record.shadow_of.encode(),
        record.artifact,
    ]
    parts = [record.rule, record.request, record.shared, record.added, record.reply]
    head = _HEAD.pack(
        *(_FORM, record.kind, record.flags, record.item, record.time_us, record.version, record.number),
        record.took_us,
        *map(len, names),
        *map(len, parts),
    )
    return b"".join((head, *names, *parts))


def unpack(data: bytes | memoryview) -> Record:
    """The record that `data` is.

    Raises:
        BadRecord: it is none.
    """
    try:
        form, kind, flags, item, time_us, version, number, took_us, *sizes = _HEAD.unpack_from(data)
        if form != _FORM or len(data) != _HEAD.size + sum(sizes):
            raise BadRecord("a record of another form or length")
        whole, parts, at = bytes(data), [], _HEAD.size
        for size in sizes:
            parts.append(whole[at : at + size])
            at += size
        request_id, tenant, model, family, shadow_of = [part.decode() for part in parts[:5]]
    except (struct.error, UnicodeDecodeError) as error:
        raise BadRecord("a record that is not whole") from error
    names = request_id, tenant, model, family, shadow_of
    return Record(kind, flags, item, time_us, version, number, took_us, *names, *parts[5:])


def peek(data: bytes) -> tuple[int, str, bytes]:
    """When a record is of, its family and its artifact, without all the rest of it.

    Raises:
        BadRecord: it says none.
    """
    try:
        _, _, _, _, time_us, _, _, _, *sizes = _HEAD.unpack_from(data)
        begin = _HEAD.size + sum(sizes[:3])
        family = data[begin : begin + sizes[3]].decode()
    except (struct.error, UnicodeDecodeError) as error:
        raise BadRecord("a record that is not whole") from error
    begin += sizes[3] + sizes[4]
    return time_us, family, data[begin : begin + sizes[5]]


def read_header(data: bytes | memoryview) -> Header | None:
    """What a segment's first bytes say; None for what is no segment, or is none yet."""
    if len(data) < HEADER.size:
        return None
    magic, size, number, first, dropped, is_closed, crc = HEADER.unpack_from(data)
    if magic != MAGIC or crc != crc32c(data[:_CONSTANT_BYTES]):
        return None
    return Header(size, number, first, dropped, is_closed != 0)


def records_from(data: memoryview, at: int) -> Iterator[Found]:
    """The whole records of a segment from `at` on; those that are damaged are passed over."""
    while (found := _look(data, at)) is not None:
        at, is_whole = found.after, _is_whole(data, found)
        if is_whole:
            yield found
        else:
            after = _look(data, at)
            if after is None or not _is_whole(data, after):
                return


def _look(data: memoryview, at: int) -> Found | None:
    """The record that seems to begin at `at`."""
    begin = at + FRAME.size
    if begin > len(data):
        return None
    size, _, sequence = FRAME.unpack_from(data, at)
    if size < _HEAD.size or begin + size > len(data):
        return None
    return Found(sequence, begin, begin + size, (begin + size + 7) & ~7)


def _is_whole(data: memoryview, found: Found) -> bool:
    crc = int.from_bytes(data[found.begin - 12 : found.begin - 8], "little")
    return crc == crc32c(data[found.begin - 8 : found.end])
