"""What verbs print: tables and words for people, JSON for programs.

Results go to standard output, notes and errors to standard error, so that output can be piped.
A value that reads differently for people is a `Shown`.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn
from rich.table import Table
from rich.text import Text

from croupierctl.session import current

# Beyond a terminal nothing is wrapped or cut: lines are for grep.
_PIPE_WIDTH = 1000


@dataclass(frozen=True, slots=True)
class Shown:
    """`value` for programs, `text` for people."""

    value: Any
    text: str


def table(columns: Sequence[str], rows: Sequence[Sequence[Any]], *, empty: str = "nothing there") -> None:
    """Print rows below `columns`, or a list of objects with the columns as keys."""
    if current().as_json:
        keys = [column.replace(" ", "_") for column in columns]
        emit([dict(zip(keys, row, strict=True)) for row in rows])
        return
    if not rows:
        note(empty)
        return
    grid = Table(box=None, pad_edge=False, header_style="bold")
    for index, column in enumerate(columns):
        numeric = all(_is_number(row[index]) for row in rows)
        grid.add_column(column, justify="right" if numeric else "left", no_wrap=True)
    for row in rows:
        grid.add_row(*[Text(_text(value)) for value in row])
    _console().print(grid)


def record(fields: Mapping[str, Any]) -> None:
    """Print one thing, a field a line, or an object."""
    if current().as_json:
        emit({name.replace(" ", "_"): value for name, value in fields.items()})
        return
    grid = Table(box=None, pad_edge=False, show_header=False)
    grid.add_column(style="bold", no_wrap=True)
    grid.add_column(overflow="fold")
    for name, value in fields.items():
        grid.add_row(name, Text(_text(value)))
    _console().print(grid)


def say(words: str, *, indent: int = 0) -> None:
    """Print a paragraph for people; programs get `emit` instead."""
    if not current().as_json:
        _console().print(Text(" " * indent + words), soft_wrap=True)


def emit(value: Any) -> None:
    """Print `value` as JSON; bytes become hexadecimal."""
    print(json.dumps(value, indent=2, ensure_ascii=False, default=_plain))


def note(words: str) -> None:
    """Tell a person something that is not the result."""
    Console(stderr=True, highlight=False).print(Text(words), soft_wrap=True)


def progress() -> Progress:
    """A bar over bytes on standard error; silent unless a person watches."""
    console = Console(stderr=True)
    hidden = current().as_json or not console.is_terminal
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn())
    return Progress(*columns, console=console, transient=True, disable=hidden)


def size(count: int) -> Shown:
    """A number of bytes."""
    amount = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if amount < 1000:
            return Shown(count, f"{amount:.3g} {unit}")
        amount /= 1000
    return Shown(count, f"{amount:.3g} TB")


def moment(seconds: float) -> Shown:
    """A time in seconds since 1970, in UTC."""
    return Shown(seconds, time.strftime("%Y-%m-%d %H:%M:%SZ", time.gmtime(seconds)) if seconds else "")


def share(basis_points: int) -> Shown:
    """Basis points as a percentage."""
    return Shown(basis_points, f"{basis_points / 100:g} %")


def digest(value: bytes, *, short: bool = True) -> Shown:
    """A SHA-256; people recognise it by its first twelve digits."""
    return Shown(value.hex(), value.hex()[:12] if short else value.hex())


def listing(values: Sequence[Any]) -> Shown:
    """A list, for people with commas."""
    return Shown(list(values), ", ".join(map(_text, values)))


def _console() -> Console:
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=_PIPE_WIDTH)


def _text(value: Any) -> str:
    match value:
        case Shown():
            return value.text
        case bool():
            return "yes" if value else "no"
        case float():
            return f"{value:g}"
        case None:
            return ""
        case _:
            return str(value)


def _is_number(value: Any) -> bool:
    value = value.value if isinstance(value, Shown) else value
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _plain(value: Any) -> Any:
    match value:
        case Shown():
            return value.value
        case bytes():
            return value.hex()
        case _:
            raise TypeError(f"{type(value).__name__} has no JSON form")
