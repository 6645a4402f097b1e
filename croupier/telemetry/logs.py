"""Logs: one line an event on standard error, with the time in UTC and the program's name.

What callers and records say gets into messages, so every control character is escaped here, once: nobody
forges a line. The lines of a traceback stand behind a bar, for the same reason.

What repeats is left out: so many of one kind (a logger and its words, whatever is filled in) at once and a
second, and the next one says how many there were. A model that fails on all its requests would else write
kilobytes for each.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import TypeAlias

from croupier.bounded import Bounded

# Frames of HTTP/2 connections (`croupier/transport/http2/frame_log.py`), which nobody wants by mistake.
FRAMES = "croupier.transport.frames"
_BURST = 20
_PER_SECOND = 1.0
# Kinds that are told apart; beyond that the one that was seen longest ago begins anew.
_MOST_KINDS = 1_000

_ESCAPES = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160))}
# Line ends of Unicode, which some viewers honour, and what reverses the text behind it.
_ESCAPES |= {code: f"\\u{code:04x}" for code in (*range(0x2028, 0x202F), *range(0x2066, 0x206A))}
_ESCAPES |= {ord("\n"): "\\n", ord("\r"): "\\r", ord("\t"): "\\t"}
_BAR = "  | "

_Failure: TypeAlias = (
    tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]
)


def escaped(text: str) -> str:
    """`text` on one line, with nothing that a terminal obeys."""
    return text.translate(_ESCAPES)


class OneLine(logging.Formatter):
    """A record in one line, and its traceback behind bars."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 (logging names it)
        return escaped(super().formatMessage(record))

    def formatException(self, ei: _Failure) -> str:  # noqa: N802 (logging names it)
        return "\n".join(_BAR + escaped(line) for line in super().formatException(ei).splitlines())

    def formatStack(self, stack_info: str) -> str:  # noqa: N802 (logging names it)
        return "\n".join(_BAR + escaped(line) for line in stack_info.splitlines())


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
        kind = self._kinds[key] = self._kinds.get(key) or _Kind(self._burst, now)
        kind.tokens = min(self._burst, kind.tokens + (now - kind.at) * self._per_second)
        kind.at = now
        if kind.tokens < 1.0:
            kind.left_out += 1
            return False
        kind.tokens -= 1.0
        if kind.left_out:
            record.msg = f"{record.msg} (and {kind.left_out} more like it)"
            kind.left_out = 0
        return True


def configure(program: str, level: str = "info") -> None:
    """Send this process's logs of `level` and above to standard error; "frames" is "debug" and every frame.

    Raises:
        ValueError: an unknown level.
    """
    formatter = OneLine(
        f"%(asctime)s.%(msecs)03dZ %(levelname)s {program} %(name)s: %(message)s", "%Y-%m-%dT%H:%M:%S"
    )
    formatter.converter = time.gmtime
    handler = logging.StreamHandler()
    handler.setFormatter(formatter)
    handler.addFilter(Limiter())
    is_all = level == "frames"
    logging.basicConfig(level="DEBUG" if is_all else level.upper(), handlers=[handler], force=True)
    logging.getLogger(FRAMES).setLevel(logging.DEBUG if is_all else logging.WARNING)
