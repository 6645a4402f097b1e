"""What a log says of an exception: its kind, where it came from, and words that may be told.

In place of Python's own traceback, which has paths of files, and for an exception of any library the words
that it chose, with whatever value it could not deal with: a caller's features, or a key. Modules and lines
say as much of where it was. Words are told of our own errors, which are written for that, and of the
operating system's, which name no value of a request.

A traceback is bounded: of a deep one the ends are told, and of a long chain the latest.
"""

from __future__ import annotations

import os
import traceback
from collections.abc import Iterator
from types import TracebackType

from croupier.errors import CroupierError

_MOST_FRAMES = 40
_MOST_ERRORS = 8
_MOST_TEXT = 1_000


def lines_of(error: BaseException, *, with_words: bool = False) -> list[str]:
    """The lines that tell of `error`, causes first; `with_words` has those of any exception."""
    told: list[str] = []
    for each in _chain(error):
        told += _frames(each.__traceback__)
        told.append(_words(each, with_words=with_words))
    return told


def _chain(error: BaseException) -> list[BaseException]:
    """What led to `error`, the first one first, and those that it is a group of."""
    found: list[BaseException] = []
    _visit(error, set(), found)
    return found


def _visit(each: BaseException | None, seen: set[int], found: list[BaseException]) -> None:
    # No function within `_chain`: that would know itself, and keep the errors until the collector came.
    if each is None or id(each) in seen or len(seen) >= _MOST_ERRORS:
        return
    seen.add(id(each))
    cause = each.__cause__ if each.__cause__ or each.__suppress_context__ else each.__context__
    _visit(cause, seen, found)
    for part in each.exceptions if isinstance(each, BaseExceptionGroup) else ():
        _visit(part, seen, found)
    found.append(each)


def _frames(trace: TracebackType | None) -> Iterator[str]:
    frames = [
        f"  {frame.f_globals.get('__name__', '?')}:{line} in {frame.f_code.co_name}"
        for frame, line in traceback.walk_tb(trace)
    ]
    if len(frames) > _MOST_FRAMES:
        left_out = len(frames) - _MOST_FRAMES
        frames[_MOST_FRAMES // 2 : -_MOST_FRAMES // 2] = [f"  ({left_out} more)"]
    yield from frames


def _words(error: BaseException, *, with_words: bool) -> str:
    kind = f"{type(error).__module__}.{type(error).__qualname__}".removeprefix("builtins.")
    if isinstance(error, CroupierError) or with_words:
        text = str(error)
    elif isinstance(error, OSError) and error.errno is not None:
        text = os.strerror(error.errno)
    else:
        return kind
    return f"{kind}: {text[:_MOST_TEXT]}"
