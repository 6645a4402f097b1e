"""What is done for a call that is traced, as spans of its trace.

    with step("store"):                 a span, whose parent is that of the step around it
        await self._store.put(data)     of a call that is not traced it is nothing

A task that serves a call of its own finds its span in `traces.current`, for what a step is about passes
through many hands there. On the way of a hot prediction nothing is looked up like that: a call knows its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType, TracebackType

from croupier.codes import Code
from croupier.telemetry.traces import Kind, Span, Value, current
from croupier.transport.status import code_of


@contextmanager
def step(
    name: str, attributes: Mapping[str, Value] = MappingProxyType({}), *, kind: Kind = Kind.INTERNAL
) -> Iterator[Span | None]:
    """A span of what the block does, below that of what is around it; without one there, None and nothing."""
    parent = current.get()
    if parent is None:
        yield None
        return
    with step_of(parent, name, kind) as span:
        for key, value in attributes.items():
            span.note(key, value)
        token = current.set(span)
        try:
            yield span
        finally:
            current.reset(token)


class step_of:  # noqa: N801 - it reads as the statement that it makes
    """A span of what the block does, below `parent`; for who serves no call in a task of its own."""

    __slots__ = ("_span",)

    def __init__(self, parent: Span, name: str, kind: Kind = Kind.INTERNAL) -> None:
        self._span = parent.child(name, kind)

    def __enter__(self) -> Span:
        return self._span

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._span.end(Code.OK if error is None else ending_of(error))


def ending_of(error: BaseException) -> int:
    """The code with which a span ends over `error`."""
    return Code.CANCELLED if isinstance(error, (asyncio.CancelledError, GeneratorExit)) else code_of(error)
