"""`croupierctl models publish-many`: a list of files becomes a version of each model in it.

    rows ──▶ packed, several at a time ──▶ one call of the manager ──▶ journal
       └── done before, by the journal                └── or why not ──▶ journal, summary

Each file is packed as `models publish` packs it, in a process of its own within limits. A packed artifact
that says what it was compared with was tried then: it is read and sent, without another trial.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import typer

from croupier.artifacts.apart import Limits
from croupier.artifacts.checked import checked_of
from croupier.artifacts.format import MAGIC, view
from croupier.artifacts.packers.files import FileKind
from croupier.errors import CroupierError, InvalidRequest, NotFound
from croupier.grpcio.bulk import BulkItem, BulkOutcome
from croupier.grpcio.manager import VersionManagerClient
from croupierctl import output
from croupierctl.change import user
from croupierctl.journal import Journal, stamp
from croupierctl.manifest import Row, read_manifest
from croupierctl.prepare import How, prepare
from croupierctl.publish import parse_features
from croupierctl.servers import ask_manager, current

_MIB = 1 << 20
_LIMITS = Limits()
_SAID = 20
_TOLD = 1_000
_FLUSH_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class _Packed:
    """What came of a row before it is sent: an artifact, or why there is none. `seen`: the file's stamp."""

    row: Row
    seen: list[int]
    artifact: bytes = b""
    error: CroupierError | None = None


@dataclass(slots=True)
class _Tally:
    """What became of the rows; `revision` is the last one that was told."""

    before: int = 0
    published: int = 0
    known: int = 0
    released: int = 0
    revision: str = ""
    failures: list[tuple[Row, CroupierError]] = field(default_factory=list)

    @property
    def done(self) -> int:
        return self.before + self.published + self.known


def publish_many(
    manifest: Annotated[
        Path,
        typer.Argument(
            exists=True,
            dir_okay=False,
            help="A .parquet, .csv or .jsonl with a row for each model: tenant, model, file[, version].",
            show_default=False,
        ),
    ],
    release: Annotated[
        bool,
        typer.Option(
            "--release", help="Move all its model's traffic to each. Cells load it when asked, not before."
        ),
    ] = False,
    reason: Annotated[
        str, typer.Option(metavar="WORDS", help="What it is for: kept with releases. Else the command.")
    ] = "",
    kind: Annotated[
        FileKind | None,
        typer.Option(help="What the files are; told by their first bytes.", show_default=False),
    ] = None,
    features: Annotated[
        str, typer.Option(metavar="NAMES", help="Features of all models: a,b,c, or @FILE with one a line.")
    ] = "",
    accepts_missing: Annotated[
        bool,
        typer.Option(
            help="NaN is a value that the models know; trees take a feature that is left out for it."
        ),
    ] = False,
    unchecked: Annotated[
        bool, typer.Option("--unchecked", help="Publish without a comparison, which the versions then say.")
    ] = False,
    jobs: Annotated[int, typer.Option(min=1, max=256, help="Files that are packed at a time.")] = (
        os.cpu_count() or 1
    ),
    max_memory: Annotated[
        int, typer.Option(min=256, metavar="MIB", help="Memory that packing a file may take.")
    ] = _LIMITS.memory_bytes // _MIB,
    max_cpu: Annotated[
        int, typer.Option(min=1, metavar="SECONDS", help="CPU time that packing a file may take.")
    ] = _LIMITS.cpu_seconds,
    max_time: Annotated[
        float, typer.Option(min=0.1, metavar="SECONDS", help="Time that packing a file may take.")
    ] = _LIMITS.wall_seconds,
    max_size: Annotated[
        int, typer.Option(min=1, metavar="MIB", help="The largest file, and the largest artifact.")
    ] = _LIMITS.file_bytes // _MIB,
) -> None:
    """Publish a list of files, each as the next version of its model.

    A run that was stopped goes on from there, and what is published already is not sent again. A row that
    fails holds up no other: the summary says which did, and why, and the exit code is 1.
    """
    how = How(
        kind=kind,
        features=parse_features(features),
        accepts_missing=accepts_missing,
        unchecked=unchecked,
        limits=Limits(max_memory * _MIB, max_cpu, max_time, max_size * _MIB),
    )
    rows = read_manifest(manifest)
    told = {
        "release": release,
        "kind": kind,
        "features": how.features,
        "accepts_missing": accepts_missing,
        "unchecked": unchecked,
    }
    tally, begun = _Tally(), time.monotonic()
    with Journal(manifest, current().manager, told) as journal:
        run = _Run(rows, how, jobs, journal, tally)
        said = reason or f"models publish-many {manifest.name}"
        try:
            ask_manager(lambda manager: run.publish(manager, release=release, reason=said))
        except BaseException:
            output.note(f"{tally.done} of {len(rows)} rows are done: the same command goes on from there")
            raise
    if not tally.failures:
        journal.remove()
    _print(len(rows), tally, time.monotonic() - begun, journal)
    if tally.failures:
        raise typer.Exit(1)


class _Run:
    def __init__(self, rows: Sequence[Row], how: How, jobs: int, journal: Journal, tally: _Tally) -> None:
        self._rows = rows
        self._how = how
        self._jobs = jobs
        self._journal = journal
        self._tally = tally
        # Of what is on its way, by model.
        self._sent: dict[tuple[str, str], _Packed] = {}
        self._flushed = time.monotonic()

    async def publish(self, manager: VersionManagerClient, *, release: bool, reason: str) -> None:
        left = [row for row in self._rows if not self._journal.version_of(row)]
        self._tally.before = len(self._rows) - len(left)
        if self._tally.before:
            output.note(f"{self._tally.before} rows were done before: going on from there")
        with output.progress(of_bytes=False) as bar:
            packing = bar.add_task("packing", total=len(left))
            publishing = bar.add_task("publishing", total=len(left))
            items = self._items(left, lambda: bar.advance(packing), lambda: bar.advance(publishing))
            outcomes = manager.publish_many(items, release=release, reason=reason, author=user())
            async with aclosing(outcomes) as found:
                async for outcome in found:
                    self._note(outcome)
                    bar.advance(publishing)

    async def _items(self, rows: Sequence[Row], packed: Any, failed: Any) -> AsyncIterator[BulkItem]:
        async with aclosing(_pack(rows, self._how, self._jobs)) as found:
            async for one in found:
                packed()
                if one.error is not None:
                    self._fail(one.row, one.error)
                    failed()
                    continue
                self._sent[one.row.tenant, one.row.model] = one
                yield BulkItem(one.row.tenant, one.row.model, one.artifact, one.row.version)

    def _note(self, outcome: BulkOutcome) -> None:
        one = self._sent.pop((outcome.item.tenant, outcome.item.name))
        if outcome.version is None:
            assert outcome.error is not None
            self._fail(one.row, outcome.error)
            return
        self._journal.done(one.row, one.seen, outcome.version.number, outcome.release)
        self._tally.known += outcome.known
        self._tally.published += not outcome.known
        self._tally.released += bool(outcome.release)
        self._tally.revision = outcome.revision or self._tally.revision
        if time.monotonic() > self._flushed + _FLUSH_SECONDS:
            self._journal.flush()
            self._flushed = time.monotonic()

    def _fail(self, row: Row, error: CroupierError) -> None:
        self._journal.failed(row, error)
        self._tally.failures.append((row, error))


async def _pack(rows: Sequence[Row], how: How, jobs: int) -> AsyncGenerator[_Packed, None]:
    """Each of `rows`, packed; those first that are ready first."""
    loop = asyncio.get_running_loop()
    pool = ThreadPoolExecutor(jobs, thread_name_prefix="pack")
    ready: asyncio.Queue[asyncio.Future[_Packed]] = asyncio.Queue()
    under_way = 0
    try:
        for row in rows:
            if under_way >= 2 * jobs:
                yield (await ready.get()).result()
                under_way -= 1
            loop.run_in_executor(pool, _packed, row, how).add_done_callback(ready.put_nowait)
            under_way += 1
        for _ in range(under_way):
            yield (await ready.get()).result()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _packed(row: Row, how: How) -> _Packed:
    if row.problem is not None:
        return _Packed(row, [], error=row.problem)
    seen = stamp(row.file)
    try:
        return _Packed(row, seen, _compared_before(row.file, how) or prepare(row.file, how).artifact)
    except CroupierError as error:
        return _Packed(row, seen, error=error.without_frames())
    except typer.BadParameter as error:
        return _Packed(row, seen, error=InvalidRequest(error.message, field="file"))
    except (OSError, ValueError) as error:
        return _Packed(row, seen, error=NotFound(f"{row.file} cannot be read: {error}", reason="NO_FILE"))


def _compared_before(path: Path, how: How) -> bytes:
    """The packed artifact at `path`, if it says what it was compared with; else nothing."""
    if how.features or how.accepts_missing or how.kind not in (None, FileKind.ARTIFACT):
        return b""
    with path.open("rb") as file:
        begin = file.read(len(MAGIC))
        if begin != MAGIC:
            return b""
        data = begin + file.read(how.limits.file_bytes + 1)
    if len(data) > how.limits.file_bytes:
        return b""
    checked = checked_of(view(data))
    return data if checked is not None and checked.was_made else b""


def _print(rows: int, tally: _Tally, seconds: float, journal: Journal) -> None:
    fields: dict[str, Any] = {
        "rows": rows,
        "published": tally.published,
        "known": tally.known,
        "done before": tally.before,
        "released": tally.released,
        "failed": len(tally.failures),
        "seconds": output.Shown(seconds, f"{seconds:.3g}"),
        "revision": tally.revision,
    }
    if tally.failures:
        reasons = Counter(error.reason for _, error in tally.failures)
        fields["why"] = output.Shown(
            dict(reasons), ", ".join(f"{reason}: {count}" for reason, count in reasons.most_common())
        )
    if current().as_json:
        fields["failures"] = [_failure(row, error) for row, error in tally.failures[:_TOLD]]
    output.record(fields)
    for row, error in tally.failures[:_SAID]:
        output.note(f"row {row.number}, {row.tenant}/{row.model}: {error.reason}: {error.message}")
    if tally.failures:
        output.note(f"all that failed are in {journal.path}; the same command tries them again")


def _failure(row: Row, error: CroupierError) -> dict[str, Any]:
    return {
        "row": row.number,
        "tenant": row.tenant,
        "model": row.model,
        "file": str(row.file),
        "reason": error.reason,
        "error": error.message,
    }
