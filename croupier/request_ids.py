"""What a request is called: in its replies and errors, in logs, and at the cells that it comes to.

A caller may give an id, as the metadata `x-request-id`: at most 128 bytes of printable ASCII without spaces,
so that it is one word in a log, whoever wrote it. Any other is as none. Then it gets one of ours, which is
not made before somebody needs it: nobody asks what a request was called that went well. It is the process's
own word, which no other has, and a number.

What happens in a task of its own finds the id in `current`; what is done for many requests at once has to be
told. See docs/decisions/0036-request-ids.md.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from itertools import count
from typing import Any, Protocol

REQUEST_ID = "x-request-id"
REQUEST_ID_KEY = REQUEST_ID.encode()
MAX_BYTES = 128
_FORM = re.compile(rb"[!-~]{1,128}")
_PROCESS = secrets.token_hex(6)
_numbers = count(1)


def read(values: Sequence[bytes]) -> str:
    """The id that the values of `x-request-id` give; "" for none that can be used."""
    if len(values) != 1 or _FORM.fullmatch(values[0]) is None:
        return ""
    return values[0].decode()


def make() -> str:
    """An id that no other request has."""
    return f"{_PROCESS}-{next(_numbers):x}"


class RequestId:
    """An id that was given, or that is made when it is first asked for: `str(request_id)`."""

    __slots__ = ("_value",)

    def __init__(self, given: str = "") -> None:
        self._value = given

    def __str__(self) -> str:
        if not self._value:
            self._value = make()
        return self._value

    def adopt(self, made: str) -> None:
        """Be called as somebody else made it already, who answered for this request."""
        self._value = self._value or made


class Named(Protocol):
    """A request that may be asked what it is called.

    `is_named`: its caller gave an id or wants to hear of one, so that it goes with the request everywhere.
    `span` is what is traced of it, if it is; `priority` what its caller says of that (`priorities`).
    """

    @property
    def is_named(self) -> bool: ...

    @property
    def request_id(self) -> RequestId: ...

    @property
    def span(self) -> Any: ...

    @property
    def priority(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Known:
    """A request whose id goes with it everywhere, whatever its caller asked for."""

    request_id: RequestId
    is_named: bool = True
    span: Any = None
    priority: int = 0


# The request for which this task works.
current: ContextVar[RequestId | None] = ContextVar("request_id", default=None)


def current_id() -> str:
    """The id of the request for which this task works; "" outside of any."""
    found = current.get()
    return "" if found is None else str(found)
