"""What a process says of itself on its admin port, beside its metrics.

    /healthz      200 while its event loop turns, else 503
    /readyz       200 while it serves, else 503 and why it does not, in words
    /debug/       the names of its views
    /debug/NAME   what it believes, as JSON; some views take a query: ?name=acme&model=churn

It is asked in the page's thread and worked out on the event loop that serves, so nobody sees half of a change
and nothing needs a lock; but requests wait meanwhile, so a view looks at few things (`some`). The loop is
asked for one thing at a time, and for `SECONDS` at most. Once it has not come to something in that time it
owes a turn, and until that has come, everybody is told at once that it hangs: nothing piles up for it.

A view is for whoever may reach the port, an operator of this machine if nobody widened it. It has names,
numbers and digests; no token, payload, key or value of a feature.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sys
import threading
from collections.abc import Callable, Iterable, Mapping, Sized
from concurrent.futures import Future
from dataclasses import dataclass
from itertools import islice
from types import FrameType
from typing import Protocol, TypeVar
from urllib.parse import parse_qsl

from croupier.errors import CroupierError, InvalidRequest, NotFound, Unavailable

_log = logging.getLogger(__name__)

SECONDS = 2.0
# Entries that a view tells of one kind.
MOST = 100
_MOST_FIELDS = 8
_FRAMES = 8
_DEBUG = "/debug/"
_BUG = "this view has a bug, which the log shows"
_STATUSES = (
    (InvalidRequest, "400 Bad Request"),
    (NotFound, "404 Not Found"),
    (Unavailable, "503 Service Unavailable"),
)

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

# From the fields of a query to what JSON can say; raises CroupierError.
View = Callable[[Mapping[str, str]], object]


class SizedIterable(Sized, Iterable[T_co], Protocol[T_co]):
    """Of a known size, whatever it is: counted without being looked at."""


class Hangs(Exception):
    """The event loop has not come to what it was asked for. Ours."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a page is answered with."""

    status: str
    body: bytes
    content_type: str = "text/plain; charset=utf-8"


class Admin:
    """Made in the event loop that serves. `debug` is filled with views; `ready` says why it does not serve,
    and nothing once it does.
    """

    def __init__(self, *, seconds: float = SECONDS) -> None:
        self.debug: dict[str, View] = {}
        self.ready: Callable[[], str] = lambda: "it is starting"
        self._loop = asyncio.get_running_loop()
        self._thread = threading.get_ident()
        self._seconds = seconds
        # Of the page's loop: the one that asks.
        self._asking = asyncio.Lock()
        self._owes_a_turn = False

    async def answer(self, path: str, query: str) -> Answer | None:
        """The answer to a path; None if it is none of these. Called in another loop's thread."""
        if path == "/healthz":
            return await self._say(lambda: "")
        if path == "/readyz":
            return await self._say(lambda: self.ready())
        if path.startswith(_DEBUG):
            return await self._tell(path.removeprefix(_DEBUG), query)
        return None

    async def _say(self, why_not: Callable[[], str]) -> Answer:
        try:
            problem = await self._ask(why_not)
        except Hangs as error:
            problem = str(error)
        return Answer("503 Service Unavailable" if problem else "200 OK", f"{problem or 'ok'}\n".encode())

    async def _tell(self, name: str, query: str) -> Answer:
        try:
            view = self._view(name)
            fields = _fields(query)
            told = await self._ask(lambda: view(fields))
        except Hangs as error:
            return _failure("503 Service Unavailable", "HANGS", str(error))
        except CroupierError as error:
            status = next((status for kind, status in _STATUSES if isinstance(error, kind)), "")
            return _failure(status or "500 Internal Server Error", error.reason, error.message)
        try:
            return Answer("200 OK", _json(told), "application/json")
        except (TypeError, ValueError):
            _log.exception("a view says what JSON cannot")
            return _failure("500 Internal Server Error", "BUG", _BUG)

    def _view(self, name: str) -> View:
        if not name:
            return lambda _: sorted(self.debug)
        found = self.debug.get(name)
        if found is None:
            raise NotFound(f"there is no such view; there are {', '.join(sorted(self.debug)) or 'none'}")
        return found

    async def _ask(self, work: Callable[[], T]) -> T:
        """What `work` gives on the event loop that serves, or raises there. Raises Hangs."""
        try:
            async with asyncio.timeout(self._seconds), self._asking:
                if self._owes_a_turn:
                    raise Hangs(f"the event loop hangs{self._where()}")
                result: Future[T] = Future()
                self._owes_a_turn = True
                self._loop.call_soon_threadsafe(self._work, work, result)
                return await asyncio.wrap_future(result)
        except TimeoutError:
            raise Hangs(f"the event loop has not turned for {self._seconds:g} s{self._where()}") from None
        except RuntimeError as error:
            raise Hangs("the event loop has ended") from error

    def _where(self) -> str:
        """What the thread of the loop is at now, as far as Python knows."""
        frame = sys._current_frames().get(self._thread)  # noqa: SLF001 - documented, and there is no other
        return f", at {whereabouts(frame)}" if frame is not None else ""

    def _work(self, work: Callable[[], T], result: Future[T]) -> None:
        self._owes_a_turn = False
        # Whoever asked may have gone.
        if not result.set_running_or_notify_cancel():
            return
        try:
            result.set_result(work())
        except CroupierError as error:
            result.set_exception(error)
        except Exception:  # noqa: BLE001 - a bug in a view ends nothing but the view
            _log.exception("a view could not be told")
            result.set_exception(CroupierError(_BUG, reason="BUG"))


def whereabouts(frame: FrameType | None) -> str:
    """Where a thread is: its innermost lines, that one first."""
    lines: list[str] = []
    while frame is not None and len(lines) < _FRAMES:
        code = frame.f_code
        path = "/".join(code.co_filename.split("/")[-3:])
        lines.append(f"{path}:{frame.f_lineno} {code.co_name}")
        frame = frame.f_back
    return " < ".join(lines)


def some(things: SizedIterable[T], tell: Callable[[T], object], most: int = MOST) -> dict[str, object]:
    """The first of `things` as a view tells them, at most `most`, and how many more there are."""
    told = [tell(thing) for thing in islice(things, most)]
    return {"entries": told, "more": len(things) - len(told)}


def _fields(query: str) -> dict[str, str]:
    try:
        return dict(parse_qsl(query, keep_blank_values=True, max_num_fields=_MOST_FIELDS))
    except ValueError:
        raise InvalidRequest(f"a query has at most {_MOST_FIELDS} fields") from None


def _failure(status: str, reason: str, words: str) -> Answer:
    return Answer(status, _json({"error": {"reason": reason, "message": words}}), "application/json")


def _json(told: object) -> bytes:
    return json.dumps(told, allow_nan=False, default=_plain).encode() + b"\n"


def _plain(value: object) -> object:
    if isinstance(value, bytes):
        return value.hex()
    raise TypeError(f"{type(value).__name__} is not for JSON")
