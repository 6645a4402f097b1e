"""`croupierctl log`: questions about what was predicted, answered by DuckDB from the log's files.

It reads, and nothing else: DuckDB is given the rows as a table, and may reach neither files nor the network,
whatever the SQL says.
"""

from __future__ import annotations

import csv
import json
import sys
import time
from datetime import datetime
from typing import Annotated, Any

import typer

from croupier.errors import InvalidRequest
from croupierctl import output
from croupierctl.arguments import duration
from croupierctl.log_files import log_url, moment_ago, needed, open_log
from croupierctl.servers import current

app = typer.Typer(no_args_is_help=True)

Log = Annotated[
    str,
    typer.Option(
        "--log",
        envvar="CROUPIERCTL_LOG",
        metavar="URL",
        help="Where the log is: file:///folder or s3://bucket/prefix?endpoint=...",
        show_default="log in $CROUPIER_HOME, else in .croupier here",
    ),
]

_COLUMNS = "time, request_id, tenant, version, code, entity, outputs, took_us, defaults, degraded"
_HOUR = 3600.0


class BadQuery(InvalidRequest):
    """SQL that DuckDB does not take. The operator's."""

    reason = "BAD_QUERY"


@app.command()
def query(
    family: Annotated[str, typer.Argument(help="The family, which is what its models are called.")],
    since: Annotated[
        float,
        typer.Option(metavar="TIME", parser=duration, help="Look back 90s, 10m or 1h30m.", show_default="1h"),
    ] = _HOUR,
    where: Annotated[
        str, typer.Option(metavar="SQL", help="Which rows: \"features['age'].number > 30\".")
    ] = "",
    sql: Annotated[
        str, typer.Option(metavar="SQL", help="A whole query of the table `log`: select count(*) from log.")
    ] = "",
    limit: Annotated[int, typer.Option(min=1, help="Rows at most, without --sql.")] = 100,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV.")] = False,
    log: Log = "",
) -> None:
    """Print the predictions of a family."""
    if sql and where:
        raise typer.BadParameter("give either --where or --sql")
    begin = moment_ago(since, time.time())
    url = log_url(log)
    rows = open_log(url).dataset(family, begin)
    wanted = "*" if as_csv or current().as_json else _COLUMNS
    condition = f" WHERE ({where}\n)" if where else ""
    # Whoever asks may say any SQL, which reaches these rows alone.
    asked = f"SELECT {wanted} FROM log{condition} ORDER BY time LIMIT {limit}"  # noqa: S608
    found = answer(rows, begin, sql or asked)
    if not found.num_rows:
        words = "nothing that fits" if where or sql else "nothing"
        output.note(f"{words} was logged of {family} since {begin:%Y-%m-%d %H:%M:%SZ} in {url}")
    _print(found, as_csv)


def answer(rows: Any, begin: datetime, sql: str) -> Any:
    """What `sql` says of `rows` from `begin` on, which it knows as `log`: a table of pyarrow.

    Raises:
        BadQuery
    """
    dataset, duckdb = needed("pyarrow.dataset"), needed("duckdb")
    known = rows.scanner(filter=dataset.field("time") >= begin)
    config = {"enable_external_access": "false", "python_enable_replacements": "false"}
    with duckdb.connect(":memory:", config=config) as connection:
        connection.register("log", known)
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute("SET lock_configuration = true")
        try:
            found = connection.sql(sql)
            if found is None:
                raise BadQuery("that asks nothing")
            return found.to_arrow_table()
        except duckdb.Error as error:
            raise BadQuery(str(error)) from error


def _print(table: Any, as_csv: bool) -> None:
    names = table.column_names
    rows = _rows(table)
    if as_csv:
        writer = csv.writer(sys.stdout)
        writer.writerow(names)
        writer.writerows([_cell(value) for value in row] for row in rows)
    elif current().as_json:
        output.emit([dict(zip(names, row, strict=True)) for row in rows])
    elif rows:
        output.table(names, [[_short(value) for value in row] for row in rows])


def _rows(table: Any) -> list[list[Any]]:
    """By column; a map without entries is an object as well."""
    is_map = needed("pyarrow").types.is_map
    maps = {field.name for field in table.schema if is_map(field.type)}
    return [
        [{} if name in maps and value == [] else _plain(value) for name, value in row.items()]
        for row in table.to_pylist()
    ]


def _plain(value: Any) -> Any:
    """As JSON has it; a map is an object, and what is null of a struct is left out."""
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, list) and value and all(isinstance(one, tuple) and len(one) == 2 for one in value):
        return {str(key): _plain(inner) for key, inner in value}
    if isinstance(value, dict):
        return {name: _plain(inner) for name, inner in value.items() if inner is not None}
    if isinstance(value, (list, tuple)):
        return [_plain(inner) for inner in value]
    return value.hex() if isinstance(value, bytes) else value


def _cell(value: Any) -> Any:
    """Of CSV: objects and lists are JSON."""
    return json.dumps(value, ensure_ascii=False) if isinstance(value, (dict, list)) else value


def _short(value: Any) -> Any:
    """For people: an output is its values."""
    if isinstance(value, dict):
        return ", ".join(f"{name}={_values(inner)}" for name, inner in value.items())
    return value


def _values(value: Any) -> str:
    if isinstance(value, dict):
        return " ".join(_values(inner) for inner in value.values())
    if isinstance(value, list):
        return " ".join(_values(one) for one in value)
    return f"{value:g}" if isinstance(value, float) else str(value)
