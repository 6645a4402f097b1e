"""`croupierctl reproduce`: a logged answer again, bit for bit, from its artifact and its features.

It asks no server: the log has what was scored, the object store the artifact, by its digest, and the engines
of a cell are here. So it answers on any machine, years later.
"""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

import typer

from croupier import settings
from croupier.artifacts.engines import NATIVE
from croupier.artifacts.format import view
from croupier.errors import CroupierError, NotFound
from croupier.stores.objects import open_store
from croupierctl import output
from croupierctl.log import Log
from croupierctl.log_files import log_url, needed, open_log
from croupierctl.servers import current


class NotLogged(NotFound):
    """A request that is not in the log: it was not in its family's share, or lies in another log."""

    reason = "NOT_LOGGED"


def reproduce(
    request_id: Annotated[str, typer.Argument(metavar="ID", help="The request's id, as the log has it.")],
    family: Annotated[str, typer.Option(help="Look in the log of this family alone.")] = "",
    store: Annotated[
        str,
        typer.Option(
            envvar="CROUPIERCTL_STORE",
            metavar="URL",
            help="The object store of artifacts.",
            show_default="objects in $CROUPIER_HOME, else in .croupier here",
        ),
    ] = "",
    log: Log = "",
) -> None:
    """Compute a logged answer again, and say whether it is the same.

    Exit code 1 if it is not.
    """
    rows = _rows(request_id, family, log)
    found = asyncio.run(_all(rows, store or f"file://{settings.home() / 'objects'}"))
    if current().as_json:
        output.emit(found)
    else:
        for one in found:
            _tell(one)
    if not all(one["equal"] for one in found):
        raise typer.Exit(1)


def _rows(request_id: str, family: str, log: str) -> list[dict[str, Any]]:
    dataset = needed("pyarrow.dataset")
    url = log_url(log)
    rows = open_log(url).dataset(family, None)
    found = rows.to_table(filter=dataset.field("request_id") == request_id).to_pylist()
    if not found:
        raise NotLogged(f"the log in {url} has no request {request_id}")
    return sorted(found, key=lambda row: (row["family"], row["time"], row["item"], row["row"]))


async def _all(rows: list[dict[str, Any]], url: str) -> list[dict[str, Any]]:
    artifacts: dict[str, bytes] = {}
    async with open_store(url) as store:
        for digest in dict.fromkeys(row["artifact"] for row in rows):
            artifacts[digest] = await store.get(bytes.fromhex(digest))
    requests = requests_of(rows)
    return [_one(row, artifacts[row["artifact"]], requests.get(record_of(row))) for row in rows]


def record_of(row: dict[str, Any]) -> tuple[Any, ...]:
    """What rows that were answered together have in common: callers may use an id again."""
    return row["time"], row["tenant"], row["artifact"], row["item"]


def requests_of(rows: list[dict[str, Any]]) -> dict[tuple[Any, ...], bytes]:
    """The tensors that were asked about, which the first of the rows of each has."""
    return {record_of(row): row["request"] for row in rows if row["request"] is not None}


def _one(row: dict[str, Any], artifact: bytes, request: bytes | None) -> dict[str, Any]:
    # NumPy and the engines take a while to import.
    from croupierctl.scored_again import differences, score, scorer_of

    told = {
        "request_id": row["request_id"],
        "item": row["item"],
        "row": row["row"],
        "time": row["time"].isoformat(),
        "tenant": row["tenant"],
        "model": row["model"],
        "version": row["version"],
        "artifact": row["artifact"],
        "engine": view(artifact).engine,
        "features": {
            name: {"value": _value(one), "source": one["source"]} for name, one in row["features"] or ()
        },
    }
    try:
        scorer = scorer_of(artifact)
        found = differences(dict(row["outputs"]), score(scorer, row, request))
    except CroupierError as error:
        return {**told, "equal": False, "why": str(error), "differences": []}
    named = [
        {"output": one.output, "place": one.place, "logged": one.logged, "now": one.now} for one in found
    ]
    return {**told, "equal": not found, "why": "", "differences": named}


def _value(one: dict[str, Any]) -> Any:
    return next((one[kind] for kind in ("text", "integer", "number") if one[kind] is not None), None)


def _tell(one: dict[str, Any]) -> None:
    where = f"item {one['item']}, row {one['row']}" if one["item"] or one["row"] else one["request_id"]
    name = f"{where}: {one['tenant']}/{one['model']} version {one['version']}"
    if one["equal"]:
        output.say(f"{name}: the same, bit for bit, from {len(one['features'])} features")
        return
    if one["why"]:
        output.say(f"{name}: cannot be computed again: {one['why']}")
        return
    output.say(f"{name}: not the same")
    for each in one["differences"]:
        output.say(f"{each['output']}[{each['place']}] was {each['logged']!r}, is {each['now']!r}", indent=2)
    if one["engine"] not in NATIVE:
        words = f"{one['engine']} sums in another order for another number of rows: the last bits may move"
        output.say(words, indent=2)
