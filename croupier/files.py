"""Files that a process of ours keeps for itself: read only if they are regular, written whole or not at all.

Whoever can put a name into a folder can put a FIFO, a socket, a device or a symbolic link there, and to open
one of these may wait for ever, on the event loop even. So what should be a regular file is opened without
waiting and without following a link, and looked at before it is read: anything else is an `OSError`, as a
damaged disk would be.

A file is written beside its place and renamed over it. Its reader sees the old one or the new one, and
whatever else stood there is gone. Only its owner may read it unless somebody says otherwise: models and
catalogs are customers' property.

All of it may wait for a disk, so that an event loop calls it in a thread.
"""

from __future__ import annotations

import errno
import logging
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

_log = logging.getLogger(__name__)

OWNER_ONLY = 0o600
_OWN_FOLDER = 0o700
EVERYBODY_READS = 0o644

_SAFELY = os.O_NONBLOCK | os.O_NOFOLLOW | os.O_NOCTTY | os.O_CLOEXEC
_UNFINISHED = ".part"


def open_regular(path: Path, flags: int = os.O_RDONLY, mode: int = OWNER_ONLY) -> int:
    """A descriptor of the regular file at `path`; `mode` is for one that is made (O_CREAT).

    Raises:
        OSError: there is none, it cannot be opened, or something else has its name.
    """
    try:
        descriptor = os.open(path, flags | _SAFELY, mode)
    except OSError as error:
        if error.errno in {errno.ELOOP, errno.ENXIO}:
            raise _irregular(path) from error
        raise
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise _irregular(path)
    return descriptor


def read_regular(path: Path) -> bytes:
    """The bytes of the regular file at `path`.

    Raises:
        OSError: as `open_regular`, or it cannot be read.
    """
    with os.fdopen(open_regular(path), "rb") as file:
        return file.read()


def own_folder(path: Path) -> None:
    """Have a folder at `path` that nobody else looks into; one that is there is closed to others.

    Raises:
        OSError: it cannot be made.
    """
    path.mkdir(mode=_OWN_FOLDER, parents=True, exist_ok=True)
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & ~_OWN_FOLDER:
        try:
            path.chmod(mode & _OWN_FOLDER)
        except OSError as error:
            # Somebody else's, who lends it to us: its files are closed all the same.
            _log.warning("others may look into %s: %s", path, error)


def stamp_of(path: Path) -> tuple[int, ...] | None:
    """What tells a file from the one before, and from itself with other permissions; None without one.

    Follows links."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_ino


@contextmanager
def writing_whole(
    path: Path,
    *,
    mode: int = OWNER_ONLY,
    is_durable: bool = False,
    names_later: bool = False,
    unfinished: Path | None = None,
) -> Iterator[BinaryIO]:
    """A new file that stands at `path` when the block ends, and nowhere if it raises.

    `is_durable` flushes it, its name and its folder's name to the disk; with `names_later` the caller
    flushes the names, together with others (`sync_folder`). `unfinished` is where it grows, in the same
    folder: beside `path` under a fixed name, so that a crash leaves one at most. Several processes that may
    write the same file each say another name.

    Raises:
        OSError: the disk would not take it.
    """
    beside = unfinished or path.with_name(path.name + _UNFINISHED)
    with suppress(FileNotFoundError):
        os.unlink(beside)
    try:
        with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _SAFELY, mode), "wb") as file:
            # The umask may have taken more away.
            os.fchmod(file.fileno(), mode)
            yield file
            file.flush()
            if is_durable:
                os.fsync(file.fileno())
        os.replace(beside, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(beside)
        raise
    if is_durable and not names_later:
        # The names are on the disk only when their folders are.
        sync_folder(path.parent)
        sync_folder(path.parent.parent)


def write_whole(
    path: Path,
    data: bytes,
    *,
    mode: int = OWNER_ONLY,
    is_durable: bool = False,
    names_later: bool = False,
    unfinished: Path | None = None,
) -> None:
    """Have `data` at `path`; see `writing_whole`."""
    with writing_whole(
        path, mode=mode, is_durable=is_durable, names_later=names_later, unfinished=unfinished
    ) as file:
        file.write(data)


def sync_folder(folder: Path) -> None:
    """Have the names in `folder` on the disk. Raises OSError."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _irregular(path: Path) -> OSError:
    return OSError(errno.EINVAL, "not a regular file", str(path))
