"""Logs: one line an event on standard error, with the time in UTC and the program's name.

A line is words and fields: `extra={"fields": {"tenant": …}}` adds some, and the id of the request that it is
about is one, wherever that is known. As text, fields stand behind the words; as JSON a line is one object.

What callers and records say gets into messages, so every control character is escaped here, once: nobody
forges a line, or a field. The lines of a traceback stand behind a bar, for the same reason. What is of no use
to whoever reads it, and to whoever should not, is left out here as well: the folders of a file.

What repeats is left out: so many of one kind (a logger and its words, whatever is filled in) at once and a
second, and the next one says how many there were. A model that fails on all its requests would else write
kilobytes for each.
"""

from __future__ import annotations

import json
import logging
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Any, TypeAlias

from croupier.bounded import Bounded
from croupier.request_ids import current_id
from croupier.telemetry import failures

# Frames of HTTP/2 connections (`croupier/transport/http2/frame_log.py`), which nobody wants by mistake.
FRAMES = "croupier.transport.frames"
# Requests that an operator wants to see, so many of them as `--access-log-ratio` says.
ACCESS = "croupier.access"
_BURST = 20
_PER_SECOND = 1.0
# More of those, and still no more than a disk takes.
_MOST_ACCESSES = 100.0
# Kinds that are told apart; beyond that the one that was seen longest ago begins anew.
_MOST_KINDS = 1_000

_ESCAPES = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160))}
# Line ends of Unicode, which some viewers honour, and what reverses the text behind it.
_ESCAPES |= {code: f"\\u{code:04x}" for code in (*range(0x2028, 0x202F), *range(0x2066, 0x206A))}
_ESCAPES |= {ord("\n"): "\\n", ord("\r"): "\\r", ord("\t"): "\\t"}
_BAR = "  | "
_TIMES = "%Y-%m-%dT%H:%M:%S"
# What needs no quotes in a field: printable ASCII but spaces, quotes and `=`.
_WORD = re.compile("[!#-<>-~]+")
# The folders of an absolute path, of which there is at least one, up to the last name.
_FOLDERS = re.compile(r"""(?:\bfile://|\bunix:|(?<![\w.:/@-]))(?:/[^/\s'"]+)+/(?=[^/\s'"])""")

_Failure: TypeAlias = (
    tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]
)


def escaped(text: str) -> str:
    """`text` on one line, with nothing that a terminal obeys."""
    return text.translate(_ESCAPES)


def without_folders(text: str) -> str:
    """`text` with the names of files alone where it has their paths."""
    return _FOLDERS.sub("…/", text)


def fields_of(record: logging.LogRecord) -> dict[str, Any]:
    """What a record says besides its words."""
    fields: dict[str, Any] = getattr(record, "fields", {})
    request_id = getattr(record, "request_id", "") or current_id()
    return {"request_id": request_id, **fields} if request_id else fields


class OneLine(logging.Formatter):
    """A record in one line, and its traceback behind bars; `with_words`: as in `failures`."""

    def __init__(self, form: str, times: str | None = None, *, with_words: bool = False) -> None:
        super().__init__(form, times)
        self._with_words = with_words

    def format(self, record: logging.LogRecord) -> str:
        # A record keeps a traceback as the first formatter wrote it, for all: ours is for nobody else, and
        # another's has what ours leaves out.
        kept, record.exc_text = record.exc_text, None
        try:
            return super().format(record)
        finally:
            record.exc_text = kept

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 (logging names it)
        fields = "".join(f" {name}={_value(value)}" for name, value in fields_of(record).items())
        return escaped(without_folders(super().formatMessage(record))) + fields

    def formatException(self, ei: _Failure) -> str:  # noqa: N802 (logging names it)
        lines = _lines(ei, with_words=self._with_words)
        return "\n".join(_BAR + escaped(line) for line in lines)

    def formatStack(self, stack_info: str) -> str:  # noqa: N802 (logging names it)
        return "\n".join(_BAR + escaped(without_folders(line)) for line in stack_info.splitlines())


class JsonLine(logging.Formatter):
    """A record as one JSON object on one line, all of it ASCII; `with_words`: as in `failures`."""

    converter = staticmethod(time.gmtime)

    def __init__(self, program: str, *, with_words: bool = False) -> None:
        super().__init__()
        self._program = program
        self._with_words = with_words

    def format(self, record: logging.LogRecord) -> str:
        told = {
            **fields_of(record),
            "time": f"{self.formatTime(record, _TIMES)}.{int(record.msecs):03d}Z",
            "level": record.levelname,
            "program": self._program,
            "logger": record.name,
            "message": without_folders(record.getMessage()),
        }
        if record.exc_info:
            told["traceback"] = "\n".join(_lines(record.exc_info, with_words=self._with_words))
        return json.dumps(told, default=str)


def _value(value: object) -> str:
    """A field's value as one word, in quotes where it is none."""
    text = str(value)
    return text if _WORD.fullmatch(text) else json.dumps(text)


def _lines(failure: _Failure, *, with_words: bool) -> list[str]:
    if failure[1] is None:
        return []
    found = failures.lines_of(failure[1], with_words=with_words)
    return [without_folders(part) for line in found for part in line.splitlines()]


@dataclass(slots=True)
class _Kind:
    tokens: float
    at: float
    left_out: int = 0


class Limiter(logging.Filter):
    """Lets `burst` records of a kind through at once, and `per_second` of them."""

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        *,
        burst: float = _BURST,
        per_second: float = _PER_SECOND,
    ) -> None:
        super().__init__()
        self._clock = clock
        self._burst = burst
        self._per_second = per_second
        self._kinds: Bounded[tuple[str, str], _Kind] = Bounded(_MOST_KINDS)

    def filter(self, record: logging.LogRecord) -> bool:
        if record.name == FRAMES:
            return True
        now, key = self._clock(), (record.name, str(record.msg))
        burst, per_second = self._burst, self._per_second
        if record.name == ACCESS:
            burst = per_second = _MOST_ACCESSES
        kind = self._kinds[key] = self._kinds.get(key) or _Kind(burst, now)
        kind.tokens = min(burst, kind.tokens + (now - kind.at) * per_second)
        kind.at = now
        if kind.tokens < 1.0:
            kind.left_out += 1
            return False
        kind.tokens -= 1.0
        if kind.left_out:
            record.msg = f"{record.msg} (and {kind.left_out} more like it)"
            kind.left_out = 0
        return True


def configure(program: str, level: str = "info", form: str = "text") -> None:
    """Send this process's logs of `level` and above to standard error, as "text" or "json".

    "frames" is "debug" and every frame. From "debug" on, exceptions of libraries are told with their words.

    Raises:
        ValueError: an unknown level.
    """
    is_all = level == "frames"
    named = "DEBUG" if is_all else level.upper()
    if named not in logging.getLevelNamesMapping():
        # Before anything has changed.
        raise ValueError(f"there is no level {named}")
    with_words = level in ("frames", "debug")
    formatter: logging.Formatter = JsonLine(program, with_words=with_words)
    if form == "text":
        line = f"%(asctime)s.%(msecs)03dZ %(levelname)s {program} %(name)s: %(message)s"
        formatter = OneLine(line, _TIMES, with_words=with_words)
        formatter.converter = time.gmtime
    handler = logging.StreamHandler()
    handler.setFormatter(formatter)
    handler.addFilter(Limiter())
    logging.basicConfig(level=named, handlers=[handler], force=True)
    logging.getLogger(FRAMES).setLevel(logging.DEBUG if is_all else logging.WARNING)
