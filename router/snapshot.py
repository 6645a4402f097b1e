"""The view on disk, so that a router can start while the version manager is gone.

    "croupier-router-snapshot 1\\n" │ SHA-256 of the body, 32 bytes │ body
    body: watch events that build the view, each behind its length (4 bytes, little-endian)

There is always a whole file (`croupier/files.py`), which only its owner reads. One that is
damaged, or of another format, is refused, counted and ignored: the router then waits for
the version manager like a new one.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import struct
from collections.abc import Callable, Iterator
from pathlib import Path

from google.protobuf.message import DecodeError

from croupier.errors import DataLoss, InternalError
from croupier.files import read_regular, writing_whole
from croupier.telemetry.metrics import Counter
from protos.versions.v1 import versions_pb2 as pb
from router.events import events_of, view_of
from router.feeds import Feed
from router.view import View

_log = logging.getLogger(__name__)
_BAD = Counter("croupier_router_bad_snapshots_total", "Snapshot files that were refused")
_FAILED = Counter("croupier_router_snapshot_failures_total", "Snapshots that could not be written")

_MAGIC = b"croupier-router-snapshot 1\n"
_DIGEST_BYTES = 32
_LENGTH = struct.Struct("<I")
# Writing takes at most this share of the time, however large the catalog is.
_WRITING_SHARE = 0.1


class CorruptSnapshot(DataLoss):
    """A snapshot file that is not what was written. The operator's: look at the disk."""


def write(path: Path, view: View) -> None:
    """Put `view` at `path`, whole or not at all.

    Raises:
        OSError: the disk would not take it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256()
    with writing_whole(path, is_durable=True) as file:
        file.write(_MAGIC + bytes(_DIGEST_BYTES))
        for event in events_of(view):
            encoded = event.SerializeToString()
            record = _LENGTH.pack(len(encoded)) + encoded
            digest.update(record)
            file.write(record)
        file.seek(len(_MAGIC))
        file.write(digest.digest())


def read(path: Path) -> View:
    """The view at `path`.

    Raises:
        CorruptSnapshot: the file is damaged, or not a snapshot.
        OSError: there is none, or it cannot be read.
    """
    data = memoryview(read_regular(path))
    start = len(_MAGIC) + _DIGEST_BYTES
    if data[: len(_MAGIC)] != _MAGIC:
        raise CorruptSnapshot(f"{path} is not a snapshot of this format")
    body = data[start:]
    if hashlib.sha256(body).digest() != data[len(_MAGIC) : start]:
        raise CorruptSnapshot(f"{path} does not match its checksum")
    try:
        return view_of(_events(body))
    except (DecodeError, struct.error, InternalError) as error:
        raise CorruptSnapshot(f"{path} does not hold a view") from error


def read_if_good(path: Path) -> View | None:
    """The view at `path`; None, with a line in the log, when there is none that can be used."""
    try:
        return read(path)
    except FileNotFoundError:
        return None
    except (CorruptSnapshot, OSError) as error:
        _BAD.inc()
        _log.error("the snapshot is ignored: %s", error)
        return None


async def keep(feed: Feed, path: Path, *, clock: Callable[[], float], delay: float = 0.25) -> None:
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
