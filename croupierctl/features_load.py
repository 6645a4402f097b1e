"""`croupierctl features load`: a file of features into the store, in bulk.

Where it is stands beside the file, in FILE.loading, so that a load that was stopped goes on from there: it
says what file it is about by its size and time, and where to. What is written twice is written the same.
"""

from __future__ import annotations

import asyncio
import json
import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import typer

from croupier.files import write_whole
from croupier.stores.feature_schemas import Schemas
from croupier.stores.features import FeatureStore, redacted
from croupierctl import output
from croupierctl.arguments import duration
from croupierctl.feature_file import FeatureFile, columns_of
from croupierctl.feature_store import Group, Store, ask_store

_SAID_AFTER = 1.0


@dataclass(frozen=True, slots=True)
class _Place:
    """What a position is of."""

    size: int
    modified_ns: int
    group: str
    store: str
    fingerprint: str


def load(
    group: Group,
    file: Annotated[
        Path, typer.Argument(exists=True, dir_okay=False, help="A .parquet or .csv file.", show_default=False)
    ],
    store: Store,
    tenant: Annotated[
        str, typer.Option(help="The customer of all rows, in place of a column.", show_default=False)
    ] = "",
    tenant_column: Annotated[str, typer.Option(metavar="NAME", help="Says whose a row is.")] = "tenant",
    entity_column: Annotated[str, typer.Option(metavar="NAME", help="Says what a row is about.")] = "entity",
    time_column: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="Says when a row's values held: times, or ms since 1970. By default, now.",
            show_default=False,
        ),
    ] = "",
    features: Annotated[
        str, typer.Option(metavar="NAMES", help="The columns to load: a,b,c. By default, all others.")
    ] = "",
    keep: Annotated[
        float | None,
        typer.Option(
            parser=duration, metavar="TIME", help="Forget them after so long, such as 7d.", show_default=False
        ),
    ] = None,
    compress: Annotated[bool, typer.Option("--compress", help="Compress what is kept of each.")] = False,
    from_row: Annotated[
        int | None,
        typer.Option(
            min=0, help="Pass over so many rows. By default, those that were loaded.", show_default=False
        ),
    ] = None,
) -> None:
    """Load a table of features, a row for each entity.

    Every column of numbers or texts is a feature. A load that was stopped goes on where it was; rows of one
    entity are written in their order, so that the last of them stays.
    """
    if file.suffix not in (".parquet", ".csv"):
        raise typer.BadParameter(f"{file} is neither .parquet nor .csv")
    wanted = [name.strip() for name in features.split(",") if name.strip()]
    table = FeatureFile(
        file, group, columns_of(tenant, tenant_column, entity_column, time_column, wanted), compress=compress
    )
    status = file.stat()
    fingerprint = f"{table.schema.fingerprint:016x}"
    place = _Place(status.st_size, status.st_mtime_ns, group, redacted(store), fingerprint)
    beside = file.with_name(file.name + ".loading")
    start = _position(beside, place) if from_row is None else from_row
    if start and from_row is None:
        output.note(f"{start} rows of it were loaded before: going on from there")
    reached, begun = start, time.monotonic()

    def remember(row: int) -> None:
        nonlocal reached
        reached = row
        write_whole(beside, json.dumps({**asdict(place), "row": row}).encode())

    try:
        ask_store(store, lambda opened: _load(opened, group, table, start, keep, remember))
    except BaseException:
        output.note(f"{reached} rows are loaded: the same command goes on from there")
        raise
    beside.unlink(missing_ok=True)
    seconds = time.monotonic() - begun
    count = reached - start
    output.record(
        {
            "group": group,
            "rows": count,
            "features": output.listing(table.schema.names),
            "schema": fingerprint,
            "seconds": output.Shown(seconds, f"{seconds:.3g}"),
            "rows a second": output.Shown(count / seconds, f"{count / seconds:.0f}"),
        }
    )


async def _load(
    store: FeatureStore,
    group: str,
    table: FeatureFile,
    start: int,
    keep: float | None,
    remember: Callable[[int], None],
) -> None:
    """Pack the next rows while some are being written."""
    await Schemas(store, time.monotonic).put(group, table.schema)
    row, said = start, -math.inf
    with output.progress(of_bytes=False) as bar:
        task = bar.add_task("loading", total=table.rows or None, completed=start)
        writing: asyncio.Task[None] | None = None
        count = 0
        try:
            for items in table.items(start):
                if writing is not None:
                    await writing
                    row += count
                    bar.update(task, completed=row)
                    if time.monotonic() - said > _SAID_AFTER:
                        remember(row)
                        said = time.monotonic()
                writing, count = asyncio.ensure_future(store.put_many(items, keep)), len(items)
                # It is sent now, and not after the next ones are packed.
                await asyncio.sleep(0)
            if writing is not None:
                await writing
                row += count
        finally:
            if writing is not None:
                writing.cancel()
            remember(row)


def _position(beside: Path, place: _Place) -> int:
    """The row that a load of this file into this store reached; 0: none did."""
    try:
        found = json.loads(beside.read_bytes())
        row = int(found.pop("row"))
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return 0
    return row if found == asdict(place) and row > 0 else 0
