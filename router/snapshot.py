"""The view on disk, so that a router can start while the version manager is gone.

A sealed file (`croupier/sealed.py`) of watch events that build the view, each behind its length (4 bytes,
little-endian). There is always a whole file, which only its owner reads. One that is damaged, or of another
format, is refused, counted and ignored: the router then waits for the version manager like a new one.

Models lie in it as they lie in the catalog: bytes, which nobody encodes or reads for it.

A router that runs joins these on its event loop, some models in a turn, and has a thread put that on
the disk, which needs no interpreter for it. A thread that encoded was sent away by the kernel, where others
wanted the processors too, with the interpreter's lock in its hand, and the loop stood still meanwhile.
"""

from __future__ import annotations

import asyncio
import logging
import struct
from collections.abc import Awaitable, Callable, Iterator
from itertools import chain
from pathlib import Path

from google.protobuf.message import DecodeError

from croupier.errors import InternalError, InvalidRequest
from croupier.sealed import CorruptFile, read_sealed, write_sealed
from croupier.telemetry.metrics import Counter
from croupier.telemetry.stalls import section
from protos.versions.v1 import versions_pb2 as pb
from router.events import (
    begin_of,
    encoded_models_of,
    end_of,
    events_of,
    families_of,
    fleet_of,
    limits_of,
    view_of,
)
from router.feeds import ViewFeed
from router.view import View
from version_manager.model.encoded import chunk_models

_log = logging.getLogger(__name__)
_BAD = Counter("croupier_router_bad_snapshots_total", "Snapshot files that were refused")
_FAILED = Counter("croupier_router_snapshot_failures_total", "Snapshots that could not be written")

_MAGIC = b"croupier-router-snapshot 1\n"
_LENGTH = struct.Struct("<I")
# The disk is written to for at most this share of the time, however large the catalog is.
_WRITING_SHARE = 0.1
# Limits that are encoded in one turn of the loop, in a fifth of a millisecond, and models, whose bytes are
# only joined; seconds until the next of these turns: a tenth of the time in all.
_SLICE = 10
_MODELS = 500
_REST = 0.002
_BLOCK = 1 << 20


def write(path: Path, view: View) -> None:
    """Put `view` at `path`, whole or not at all.

    Raises:
        OSError: the disk would not take it.
    """
    write_sealed(path, _MAGIC, map(_record, events_of(view)))


def _record(event: pb.WatchEvent | bytes) -> bytes:
    encoded = event if isinstance(event, bytes) else event.SerializeToString()
    return _LENGTH.pack(len(encoded)) + encoded


def read(path: Path) -> View:
    """The view at `path`.

    Raises:
        CorruptFile: the file is damaged, or not a snapshot.
        OSError: there is none, or it cannot be read.
    """
    body = read_sealed(path, _MAGIC)
    try:
        return view_of(_events(body))
    except (DecodeError, struct.error, InternalError, InvalidRequest) as error:
        raise CorruptFile(f"{path} does not hold a view") from error


def read_if_good(path: Path) -> View | None:
    """The view at `path`; None, with a line in the log, when there is none that can be used."""
    try:
        return read(path)
    except FileNotFoundError:
        return None
    except (CorruptFile, OSError) as error:
        _BAD.inc()
        _log.error("the snapshot is ignored: %s", error)
        return None


async def keep(
    feed: ViewFeed,
    path: Path,
    *,
    clock: Callable[[], float],
    delay: float = 0.25,
    rest: Callable[[], Awaitable[None]] = lambda: asyncio.sleep(_REST),
) -> None:
    """Write the feed's view to `path` whenever it has changed, for ever.

    Changes that come within `delay` seconds of each other share one write. The loop has its turns in `rest`.
    """
    written: View | None = None
    fleet = b""
    while True:
        view = await feed.changed_from(written)
        if written is None or not _is_same_fleet(view, written):
            # It has no parts, and is seldom another one.
            fleet = await asyncio.to_thread(lambda view: _record(fleet_of(view)), view)
        blocks = await _encoded(view, fleet, rest)
        began = clock()
        try:
            await asyncio.to_thread(write_sealed, path, _MAGIC, blocks)
        except OSError as error:
            _FAILED.inc()
            _log.error("the snapshot could not be written: %s", error)
        # As large as the catalog, and the next ones are made before this name is theirs.
        blocks.clear()
        written = view
        await asyncio.sleep(max(delay, (clock() - began) / _WRITING_SHARE))


async def _encoded(view: View, fleet: bytes, rest: Callable[[], Awaitable[None]]) -> list[bytes]:
    """What `write` would write of `view`, in blocks; `fleet` is the record of its cells and generations."""
    blocks: list[bytes] = []
    block = bytearray(_record(begin_of(view)) + fleet)
    events: Iterator[pb.WatchEvent | bytes] = chain(
        limits_of(view, _SLICE), families_of(view), encoded_models_of(view, _MODELS), end_of(view)
    )
    while True:
        with section("snapshot"):
            if (event := next(events, None)) is None:
                return [*blocks, bytes(block)]
            block += _record(event)
            if len(block) >= _BLOCK:
                blocks.append(bytes(block))
                block.clear()
        await rest()


def _is_same_fleet(one: View, other: View) -> bool:
    is_same_map = one.current is other.current and one.previous is other.previous
    return is_same_map and one.cells is other.cells and one.ramp == other.ramp


def _events(body: memoryview) -> Iterator[pb.WatchEvent | list[bytes]]:
    at = 0
    while at < len(body):
        (length,) = _LENGTH.unpack_from(body, at)
        at += _LENGTH.size
        event = bytes(body[at : at + length])
        yield chunk_models(event) or pb.WatchEvent.FromString(event)
        at += length
