"""The view on disk, so that a router can start while the version manager is gone.

A sealed file (`croupier/sealed.py`) of watch events that build the view, each behind its length (4 bytes,
little-endian). There is always a whole file, which only its owner reads. One that is damaged, or of another
format, is refused, counted and ignored: the router then waits for the version manager like a new one.
"""

from __future__ import annotations

import asyncio
import logging
import struct
from collections.abc import Callable, Iterator
from pathlib import Path

from google.protobuf.message import DecodeError

from croupier.errors import InternalError
from croupier.sealed import CorruptFile, read_sealed, write_sealed
from croupier.telemetry.metrics import Counter
from croupier.telemetry.stalls import section
from protos.versions.v1 import versions_pb2 as pb
from router.events import events_of, view_of
from router.feeds import ViewFeed
from router.view import View

_log = logging.getLogger(__name__)
_BAD = Counter("croupier_router_bad_snapshots_total", "Snapshot files that were refused")
_FAILED = Counter("croupier_router_snapshot_failures_total", "Snapshots that could not be written")

_MAGIC = b"croupier-router-snapshot 1\n"
_LENGTH = struct.Struct("<I")
# Writing takes at most this share of the time, however large the catalog is.
_WRITING_SHARE = 0.1


def write(path: Path, view: View) -> None:
    """Put `view` at `path`, whole or not at all.

    Raises:
        OSError: the disk would not take it.
    """
    encoded = (event.SerializeToString() for event in events_of(view))
    with section("snapshot"):
        write_sealed(path, _MAGIC, (_LENGTH.pack(len(event)) + event for event in encoded))


def read(path: Path) -> View:
    """The view at `path`.

    Raises:
        CorruptFile: the file is damaged, or not a snapshot.
        OSError: there is none, or it cannot be read.
    """
    body = read_sealed(path, _MAGIC)
    try:
        return view_of(_events(body))
    except (DecodeError, struct.error, InternalError) as error:
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


async def keep(feed: ViewFeed, path: Path, *, clock: Callable[[], float], delay: float = 0.25) -> None:
    """Write the feed's view to `path` whenever it has changed, for ever.

    Changes that come within `delay` seconds of each other share one write, which a thread makes.
    """
    written: View | None = None
    while True:
        view = await feed.changed_from(written)
        began = clock()
        try:
            await asyncio.to_thread(write, path, view)
        except OSError as error:
            _FAILED.inc()
            _log.error("the snapshot could not be written: %s", error)
        written = view
        await asyncio.sleep(max(delay, (clock() - began) / _WRITING_SHARE))


def _events(body: memoryview) -> Iterator[pb.WatchEvent]:
    at = 0
    while at < len(body):
        (length,) = _LENGTH.unpack_from(body, at)
        at += _LENGTH.size
        yield pb.WatchEvent.FromString(bytes(body[at : at + length]))
        at += length
