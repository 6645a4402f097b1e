"""A reader's part of the spool: what lies in the folders of all writers of a host, from where one was.

A `Place` is how far one writer's records were read: its segment, where in it the next record begins, and
what that should be called. It is for whoever reads to keep it; nothing is written into the spool but that
segments are removed that are of no more use (`sweep`). A segment is, when all of it was read and its writer
has moved on or ended.
"""

from __future__ import annotations

import fcntl
import logging
import mmap
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from croupier.files import open_regular
from croupier.stores.spool import EMPTY, HEADER, LOCK, SUFFIX, Header, read_header, records_from
from croupier.stores.spool_folder import fill

_log = logging.getLogger(__name__)

# Of each writer that lives, so many segments are given back and wait for it: as many as a logger writes
# together unless it is told otherwise, and one. With fewer, the writer would have to make others.
_GIVEN_BACK = 5


@dataclass(frozen=True, slots=True)
class Place:
    """Before record `sequence`, at byte `at` of segment `segment`; `dropped` is what the writer said then."""

    segment: int = 0
    at: int = HEADER.size
    sequence: int = 0
    dropped: int = 0


@dataclass(frozen=True, slots=True)
class Range:
    """Records of one segment from byte `begin` to `end`: `count` whole ones, `lost` that should be there."""

    incarnation: str
    segment: int
    begin: int
    end: int
    count: int
    lost: int
    dropped: int

    @property
    def size(self) -> int:
        return self.end - self.begin


def writers(spool: Path) -> list[str]:
    """Those that have a folder, the oldest first."""
    try:
        found = [entry.name for entry in os.scandir(spool) if entry.is_dir(follow_symlinks=False)]
    except FileNotFoundError:
        return []
    return sorted(name for name in found if not name.startswith("."))


def segments(folder: Path) -> list[int]:
    """The numbers of the segments of a writer."""
    found = []
    for name in os.listdir(folder):
        if name.endswith(SUFFIX):
            with suppress(ValueError):
                found.append(int(name.removesuffix(SUFFIX), 16))
    return sorted(found)


def path_of(spool: Path, incarnation: str, segment: int) -> Path:
    return spool / incarnation / f"{segment:016x}{SUFFIX}"


def ahead(spool: Path, incarnation: str, place: Place, most_bytes: int) -> tuple[list[Range], Place]:
    """What is there behind `place`, `most_bytes` and one record at most, and the place behind that."""
    ranges: list[Range] = []
    for number in segments(spool / incarnation):
        if number < place.segment or most_bytes <= 0:
            continue
        with mapped(path_of(spool, incarnation, number)) as data:
            header = None if data is None else read_header(data)
            if data is None or header is None:
                continue
            # Before it is read: or what came meanwhile would be passed by.
            is_final = header.is_closed or _has_begun(spool, incarnation, number + 1)
            if number > place.segment:
                place = replace(place, segment=number, at=HEADER.size)
            found, place = _in_segment(data, header, incarnation, place, most_bytes)
        if found is not None:
            ranges.append(found)
            most_bytes -= found.size
        if not is_final:
            break
    return ranges, place


def _has_begun(spool: Path, incarnation: str, segment: int) -> bool:
    with mapped(path_of(spool, incarnation, segment)) as data:
        return data is not None and read_header(data) is not None


def _in_segment(
    data: memoryview, header: Header, incarnation: str, place: Place, most_bytes: int
) -> tuple[Range | None, Place]:
    begin, at, sequence, count = place.at, place.at, place.sequence, 0
    lost = 0
    if begin == HEADER.size and header.first > sequence:
        lost, sequence = header.first - sequence, header.first
    for found in records_from(data, begin):
        if found.sequence < sequence:
            # No writer of ours goes back.
            break
        lost += found.sequence - sequence
        at, sequence, count = found.after, found.sequence + 1, count + 1
        if at - begin >= most_bytes:
            break
    dropped = max(0, header.dropped - place.dropped)
    place = replace(place, at=at, sequence=sequence, dropped=place.dropped + dropped)
    if at == begin and not lost and not dropped:
        return None, place
    return Range(incarnation, header.number, begin, at, count, lost, dropped), place


def payloads(spool: Path, part: Range) -> Iterator[bytes]:
    """The bytes of each record of a range that is still there."""
    with mapped(path_of(spool, part.incarnation, part.segment)) as data:
        if data is None:
            _log.error("a segment of the spool is gone: %s of %s", part.segment, part.incarnation)
            return
        for found in records_from(data[: part.end], part.begin):
            yield bytes(data[found.begin : found.end])


def sweep(spool: Path, incarnation: str, place: Place) -> bool:
    """Remove what is behind `place` for good; whether the writer has ended and nothing is left of it."""
    folder = spool / incarnation
    behind = [path_of(spool, incarnation, number) for number in segments(folder) if number < place.segment]
    is_alive = is_writing(folder)
    for path in behind:
        if is_alive and len(list(folder.glob(f"*{EMPTY}"))) < _GIVEN_BACK:
            _give_back(path)
        else:
            path.unlink(missing_ok=True)
    if is_alive:
        return False
    left = segments(folder)
    # A writer that was killed has its last segment, and perhaps a spare that it never used.
    if ahead(spool, incarnation, place, 1)[0]:
        return False
    for number in left:
        path_of(spool, incarnation, number).unlink(missing_ok=True)
    for name in os.listdir(folder):
        (folder / name).unlink(missing_ok=True)
    folder.rmdir()
    return True


def _give_back(path: Path) -> None:
    """Have a segment all zeros, and then for its writer: nothing of what was in it is kept."""
    try:
        file = open_regular(path, os.O_RDWR)
        try:
            fill(file, os.fstat(file).st_size)
        finally:
            os.close(file)
        path.rename(path.with_suffix(EMPTY))
    except OSError:
        path.unlink(missing_ok=True)


def is_writing(folder: Path) -> bool:
    """Whether the process lives that writes there."""
    try:
        lock = open_regular(folder / LOCK, os.O_RDWR)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(lock)
    return False


@contextmanager
def mapped(path: Path) -> Iterator[memoryview | None]:
    """The bytes of a file, read only; None if there is none, or nothing in it."""
    try:
        file = open_regular(path)
    except OSError:
        yield None
        return
    try:
        size = os.fstat(file).st_size
        if not stat.S_ISREG(os.fstat(file).st_mode) or size < HEADER.size:
            yield None
            return
        with mmap.mmap(file, size, prot=mmap.PROT_READ) as whole, memoryview(whole) as data:
            yield data
    finally:
        os.close(file)
