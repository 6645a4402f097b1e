"""What verbs print: tables and words for people, JSON for programs.

Results go to standard output, notes and errors to standard error, so that output can be piped.
A value that reads differently for people is a `Shown`.
"""

from __future__ import annotations

import json
import sys
import time
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from croupierctl.servers import current

if TYPE_CHECKING:
    from rich.progress import Progress

    from croupier.errors import CroupierError

_GAP = "  "
# Whether what programs get is several values, each on a line.
_as_lines: ContextVar[bool] = ContextVar("as_lines", default=False)


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
    columns_shown = []
    for at, name in enumerate(columns):
        found = [row[at] for row in rows]
        are_numbers = [_is_number(value) for value in found if value is not None]
        to_right = bool(are_numbers) and all(are_numbers)
        columns_shown.append(_aligned([name, *map(_text, found)], to_right=to_right))
    head, *lines = (_GAP.join(line).rstrip() for line in zip(*columns_shown, strict=True))
    print(_bold(head), *lines, sep="\n")


def record(fields: Mapping[str, Any]) -> None:
    """Print one thing, a field a line, or an object."""
    if current().as_json:
        emit({name.replace(" ", "_"): value for name, value in fields.items()})
        return
    width = max(map(_width, fields), default=0)
    below = "\n" + " " * width + _GAP
    for name, value in fields.items():
        words = printable(_words(value)).replace("\n", below)
        print(f"{_bold(_padded(name, width))}{_GAP}{words}".rstrip())


def say(words: str, *, indent: int = 0) -> None:
    """Print a paragraph for people; programs get `emit` instead."""
    if not current().as_json:
        print(" " * indent + printable(words))


def emit(value: Any) -> None:
    """Print `value` as JSON; bytes become hexadecimal."""
    indent = None if _as_lines.get() else 2
    print(json.dumps(value, indent=indent, ensure_ascii=False, default=_plain), flush=True)


@contextmanager
def json_lines(wanted: bool) -> Iterator[None]:
    """If `wanted`, each value that is printed for programs is a line: of what goes on, there are several."""
    token = _as_lines.set(wanted)
    try:
        yield
    finally:
        _as_lines.reset(token)


def note(words: str) -> None:
    """Tell a person something that is not the result."""
    print(printable(words), file=sys.stderr)


def warnings(found: Iterable[str]) -> dict[str, list[str]]:
    """What is probably not meant: told on standard error, and a field of a result for programs."""
    told = list(found)
    for words in told:
        note(f"warning: {words}")
    return {"warnings": told} if current().as_json else {}


def problem(error: CroupierError, hint: str) -> None:
    """Tell what is wrong and what to do about it, on standard error: in words, or as an object."""
    if current().as_json:
        told = {"error": str(error), "reason": error.reason, "hint": hint, "metadata": error.metadata}
        if error.request_id:
            told["request_id"] = error.request_id
        print(json.dumps(told, indent=2, ensure_ascii=False), file=sys.stderr)
        return
    note(f"error: {error}")
    if hint:
        note(f"hint: {hint}")
    if error.request_id:
        note(f"request id: {error.request_id}")


def progress(*, of_bytes: bool = True) -> Progress:
    """A bar over bytes, or things, on standard error; silent unless a person watches."""
    # Only who uploads waits for its import.
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, MofNCompleteColumn, Progress, TextColumn

    console = Console(stderr=True)
    hidden = current().as_json or not console.is_terminal
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn() if of_bytes else MofNCompleteColumn(),
    )
    return Progress(*columns, console=console, transient=True, disable=hidden)


def bar() -> Progress | None:
    """A bar over what goes on, on standard error; None unless a person watches."""
    if current().as_json or not sys.stderr.isatty():
        return None
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

    columns = (
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.description}", markup=False),
    )
    return Progress(*columns, console=Console(stderr=True))


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
    return Shown(list(values), ", ".join(map(_words, values)))


def _aligned(texts: Sequence[str], *, to_right: bool) -> list[str]:
    """`texts` with spaces, all of one width."""
    width = max(map(_width, texts))
    return [_padded(text, width, to_right=to_right) for text in texts]


def _padded(text: str, width: int, *, to_right: bool = False) -> str:
    room = " " * (width - _width(text))
    return room + text if to_right else text + room


def _width(text: str) -> int:
    """The columns of a terminal that `text` takes."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(sign) else 1 + (unicodedata.east_asian_width(sign) in "WF")
        for sign in text
    )


def _bold(text: str) -> str:
    return f"\x1b[1m{text}\x1b[0m" if sys.stdout.isatty() else text


def printable(text: str, allowed: str = "\n\t") -> str:
    """`text` without what could steer a terminal: names and reasons come from others."""
    if text.isprintable():
        return text
    return "".join(sign if sign.isprintable() or sign in allowed else ascii(sign)[1:-1] for sign in text)


def _text(value: Any) -> str:
    return printable(_words(value), allowed="")


def _words(value: Any) -> str:
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
