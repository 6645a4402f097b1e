"""The log, each row once: from the spool to objects in a store, over any number of ends in between.

    gather ── records of all writers, until they are many or old; nothing is written down
    begin  ── the batch is on the disk: its records, by place, and its objects, by name
    put    ── each object, whole, under its name
    finish ── on the disk: the batch is done, its writers are where it ends
    sweep  ── segments that are of no more use go

Whatever ends the process, the next one is at one of two points. There is no batch on the disk: then nothing
of what was gathered is in the store, and it is gathered again. Or there is one: then all of its objects are
put, again or for the first time, under the same names and with the same rows. What decides the names
(family, hour) stands in the records themselves, and the records are where they were, for segments go last.

Objects are called `family=F/date=YYYY-MM-DD/hour=HH/<logger>-<batch>`, by the time of the request, in UTC.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from urllib.parse import quote

from croupier.errors import Unavailable
from croupier.stores import spool_reader
from croupier.stores.objects import Blobs
from croupier.stores.spool import BadRecord, peek
from croupier.stores.spool_reader import Place, Range
from croupier.telemetry.metrics import Counter, Gauge
from logger.aside import FOLDER, Aside
from logger.decoding import read, rows_of
from logger.files import KINDS, Kind, pieces_of
from logger.hiding import Hiding
from logger.progress import FILE, Batch, Progress, Totals
from logger.rows import Row
from logger.signatures import Signatures
from logger.tensors import Undecodable

_log = logging.getLogger(__name__)
_ROWS = Counter("croupier_logger_rows_total", "Rows that are in the store")
_OBJECTS = Counter("croupier_logger_objects_total", "Objects that were put into the store")
_BYTES = Counter("croupier_logger_object_bytes_total", "Their bytes")
_LOST = Counter("croupier_logger_lost_total", "Records that were damaged in the spool, or gone from it")
_DROPPED = Counter("croupier_logger_dropped_total", "Records that writers dropped since the spool was full")
_UNDECODABLE = Counter("croupier_logger_undecodable_total", "Records that nobody can read, kept aside")
_WRITERS = Gauge("croupier_logger_writers", "Writers whose folders are in the spool")

_HOUR_US = 3_600_000_000
# Besides folders of writers.
_OURS = {FOLDER}


class Gathered:
    """Records that are not written yet, by place."""

    def __init__(self, places: Mapping[str, Place]) -> None:
        self.places = dict(places)
        self.ranges: list[Range] = []
        self.size = 0

    def add(self, ranges: list[Range], incarnation: str, place: Place) -> None:
        self.ranges += ranges
        self.size += sum(part.size for part in ranges)
        self.places[incarnation] = place


class _Records:
    """Of a batch, as bytes."""

    def __init__(self) -> None:
        self.objects: dict[str, list[bytes]] = {}
        self.artifacts: dict[str, set[bytes]] = {}
        self.unreadable: list[bytes] = []
        self.count = 0


class Log:
    """From `spool` to `blobs`, `most_bytes` of records at a time. `step` is told of each step, by tests.

    Raises, from `Progress.load`: DataLoss, OSError.
    """

    def __init__(
        self,
        spool: Path,
        blobs: Blobs,
        signatures: Signatures,
        kind: Kind,
        hiding: Hiding,
        *,
        most_bytes: int,
        aside_bytes: int,
        put_seconds: float = 60.0,
        step: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._spool, self._blobs, self._signatures = spool, blobs, signatures
        self._kind, self._hiding = kind, hiding
        self._aside = Aside(spool / FOLDER, aside_bytes)
        self._most, self._put_seconds, self._step = most_bytes, put_seconds, step
        self.progress = Progress.load(spool)
        if not (spool / FILE).exists():
            self.progress.save(spool)
        self.gathered = Gathered(self.progress.places)

    @property
    def is_full(self) -> bool:
        """Whether as much was gathered as is written at a time."""
        return self.gathered.size >= self._most

    def gather(self) -> None:
        """Look what came since."""
        names = [name for name in spool_reader.writers(self._spool) if name not in _OURS]
        _WRITERS.set(len(names))
        for name in names:
            room = self._most - self.gathered.size
            if room <= 0:
                return
            place = self.gathered.places.get(name, Place())
            try:
                found, after = spool_reader.ahead(self._spool, name, place, room)
            except FileNotFoundError:
                continue
            if found:
                self.gathered.add(found, name, after)

    async def write(self) -> None:
        """Write what was gathered, or what another process began to.

        Raises:
            Unavailable, StoreRefused: the store does not take it now; call it again.
            OSError: the spool's own disk.
        """
        if self.progress.batch is None and not self.gathered.ranges:
            self.sweep()
            return
        kind = self._as_begun()
        found = await asyncio.to_thread(self._grouped, kind)
        if self.progress.batch is None:
            self._begin(list(found.objects))
        batch = self.progress.batch
        assert batch is not None
        rows = 0
        for name in batch.objects:
            rows += await self._put(name, found, kind)
        if found.unreadable:
            await asyncio.to_thread(self._aside.keep, f"{batch.number:010x}.records", found.unreadable)
            self._step("aside")
        self._finish(batch, rows, found)
        self.sweep()

    def _begin(self, objects: list[str]) -> None:
        gathered, number = self.gathered, self.progress.number
        batch = Batch(number, tuple(gathered.ranges), tuple(objects), dict(gathered.places))
        self.progress = self.progress.begun(batch)
        self.progress.save(self._spool)
        self._step("begun")

    def _as_begun(self) -> Kind:
        """How the batch is written: as it was begun to be, if that was by one with another sink."""
        objects = self.progress.batch.objects if self.progress.batch else ()
        known = (kind() for kind in KINDS.values() if objects and objects[0].endswith(kind.suffix))
        return next(known, self._kind)

    def _grouped(self, kind: Kind) -> _Records:
        """The batch's records by object, in order."""
        batch = self.progress.batch
        found = _Records()
        for part in self.gathered.ranges if batch is None else batch.ranges:
            for data in spool_reader.payloads(self._spool, part):
                found.count += 1
                try:
                    time_us, family, artifact = peek(data)
                    name = self._name_of(time_us, family, kind)
                except (BadRecord, Undecodable):
                    found.unreadable.append(data)
                else:
                    found.objects.setdefault(name, []).append(data)
                    found.artifacts.setdefault(name, set()).add(artifact)
        return found

    def _name_of(self, time_us: int, family: str, kind: Kind) -> str:
        file = f"{self.progress.logger}-{self.progress.number:010x}{kind.suffix}"
        return f"{_folder_of(time_us // _HOUR_US, family)}/{file}"

    async def _put(self, name: str, found: _Records, kind: Kind) -> int:
        """Put one object, even if all of its records turn out to be unreadable: its name stands."""
        await self._signatures.read(found.artifacts.get(name, set()))
        rows, data, bad = await asyncio.to_thread(self._encoded, found.objects.get(name, []), kind)
        self._signatures.forget()
        found.unreadable += bad
        try:
            async with asyncio.timeout(self._put_seconds):
                await self._blobs.replace(name, data)
        except TimeoutError as error:
            raise Unavailable(f"the store took more than {self._put_seconds:g} s for an object") from error
        _OBJECTS.inc()
        _BYTES.inc(len(data))
        self._step(f"put {name}")
        return rows

    def _encoded(self, records: list[bytes], kind: Kind) -> tuple[int, bytes, list[bytes]]:
        """How many rows there are in how they are written, and the records that nobody can read or write."""
        try:
            return self._encoded_in([records], kind)
        except Exception as error:  # noqa: BLE001 - of whatever record it is, the others are written
            _log.warning("records that cannot be written are looked for: %s", error, exc_info=error)
        runs, refused = self._sorted_out(records, kind)
        count, data, bad = self._encoded_in(runs, kind)
        return count, data, refused + bad

    def _sorted_out(self, records: list[bytes], kind: Kind) -> tuple[list[list[bytes]], list[bytes]]:
        """`records` in runs that can be written, in order, and those that cannot."""
        try:
            self._encoded_in([records], kind)
        except Exception as error:  # noqa: BLE001 - whatever it is, others do without it
            if len(records) <= 1:
                _log.warning("a record that cannot be written is kept aside: %s", error)
                return [], records
            middle = len(records) // 2
            runs, refused = self._sorted_out(records[:middle], kind)
            more_runs, more_refused = self._sorted_out(records[middle:], kind)
            return runs + more_runs, refused + more_refused
        return [records], []

    def _encoded_in(self, runs: Sequence[Sequence[bytes]], kind: Kind) -> tuple[int, bytes, list[bytes]]:
        """As `_encoded`; no piece of rows is of two of `runs`. Raises whatever there is."""
        count, bad = 0, list[bytes]()

        def rows(records: Sequence[bytes]) -> Iterator[Row]:
            nonlocal count
            for data in records:
                try:
                    found = self._rows(data)
                except Exception as error:  # noqa: BLE001 - whatever it is, the next record is another one
                    if not bad:
                        is_bug = not isinstance(error, Undecodable)
                        _log.warning("a record is kept aside: %s", error, exc_info=error if is_bug else None)
                    bad.append(data)
                else:
                    count += len(found)
                    yield from found

        data = kind.encode(piece for records in runs for piece in pieces_of(rows(records)))
        return count, data, bad

    def _rows(self, data: bytes) -> list[Row]:
        record = read(data)
        found = rows_of(record, self._signatures.get(record.artifact))
        for row in found:
            self._hiding.hide(row, record.rule)
        return found

    def _finish(self, batch: Batch, rows: int, found: _Records) -> None:
        # What was whole when it was gathered, and is not now.
        gone = sum(part.count for part in batch.ranges) - found.count
        lost = sum(part.lost for part in batch.ranges) + gone
        undecodable = len(found.unreadable)
        dropped = sum(part.dropped for part in batch.ranges)
        before = self.progress.totals
        totals = Totals(
            before.rows + rows,
            before.lost + lost,
            before.dropped + dropped,
            before.undecodable + undecodable,
        )
        self.progress = self.progress.done(totals)
        self.progress.save(self._spool)
        for counter, count in (
            (_ROWS, rows),
            (_LOST, lost),
            (_DROPPED, dropped),
            (_UNDECODABLE, undecodable),
        ):
            counter.inc(count)
        self.gathered = Gathered(self.progress.places)
        self._step("finished")

    def sweep(self) -> None:
        """Remove what is of no more use: of ended writers that never wrote anything, too."""
        there = [name for name in spool_reader.writers(self._spool) if name not in _OURS]
        gone = set(self.progress.places) - set(there)
        for name in there:
            if spool_reader.sweep(self._spool, name, self.progress.places.get(name, Place())):
                gone.add(name)
        for name in gone:
            self.gathered.places.pop(name, None)
            if name in self.progress.places:
                self.progress = self.progress.without(name)
                self.progress.save(self._spool)
        self._step("swept")


@lru_cache(4096)
def _folder_of(hour: int, family: str) -> str:
    """Of an hour since 1970."""
    try:
        time = datetime.fromtimestamp(hour * 3600, UTC)
    except (ValueError, OverflowError, OSError) as error:
        raise Undecodable("a time that is none") from error
    return f"family={quote(family, safe='')}/date={time:%Y-%m-%d}/hour={time:%H}"
