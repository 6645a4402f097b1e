"""What is told of an exception, and what is not."""

from __future__ import annotations

import gc
import re
import weakref

import pytest

from croupier.errors import CroupierError, InternalError
from croupier.telemetry.failures import lines_of

SECRET = "customer-17's features"


def raised(error: Exception) -> Exception:
    """`error` as it is caught: with a traceback."""
    try:
        raise error
    except type(error) as caught:
        return caught


def test_where_it_was_is_told_by_modules_and_lines() -> None:
    where, words = lines_of(raised(InternalError("no luck")))
    assert re.fullmatch(rf"  {re.escape(__name__)}:\d+ in raised", where)
    assert words == "croupier.errors.InternalError: no luck"


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ValueError(SECRET), "ValueError"),
        (KeyError(SECRET), "KeyError"),
        (UnicodeEncodeError("ascii", SECRET, 0, 1, SECRET), "UnicodeEncodeError"),
        (FileNotFoundError(2, SECRET, SECRET), "FileNotFoundError: No such file or directory"),
        (OSError(SECRET), "OSError"),
    ],
)
def test_words_of_libraries_may_have_values_and_are_left_out(error: Exception, words: str) -> None:
    assert lines_of(raised(error))[-1] == words
    assert SECRET in lines_of(raised(error), with_words=True)[-1]


def test_causes_are_told_first_and_as_carefully() -> None:
    error = InternalError("no luck")
    error.__cause__ = raised(ValueError(SECRET))
    found = lines_of(error)
    assert found[1:] == ["ValueError", "croupier.errors.InternalError: no luck"]
    hidden = InternalError("no luck")
    hidden.__context__, hidden.__suppress_context__ = ValueError(SECRET), True
    assert lines_of(hidden) == ["croupier.errors.InternalError: no luck"]


def test_those_of_a_group_are_told() -> None:
    found = lines_of(ExceptionGroup(SECRET, [ValueError(SECRET), InternalError("no luck")]))
    assert found == ["ValueError", "croupier.errors.InternalError: no luck", "ExceptionGroup"]


def deep(levels: int) -> None:
    if levels == 0:
        raise InternalError("x" * 100_000)
    deep(levels - 1)


def test_nothing_makes_it_long() -> None:
    with pytest.raises(CroupierError) as caught:
        deep(200)
    error: BaseException = caught.value
    found = lines_of(error)
    assert len(found) == 42
    assert sum(map(len, found)) < 5_000
    for number in range(1_000):
        following = InternalError(str(number))
        following.__cause__ = error
        error = following
    assert len(lines_of(error)) <= 8


def test_errors_that_cause_each_other() -> None:
    one, two = InternalError("one"), InternalError("two")
    one.__cause__, two.__cause__ = two, one
    assert lines_of(one) == ["croupier.errors.InternalError: two", "croupier.errors.InternalError: one"]


class Effect(RuntimeError):
    """One that a weak reference can be made to."""


def test_what_is_told_is_kept_by_nobody() -> None:
    """Errors hold the frames that they came through, and those a request's values."""
    gc.collect()
    gc.disable()
    try:
        error = Effect("effect")
        error.__cause__ = ValueError("cause")
        assert lines_of(error)
        gone = weakref.ref(error)
        del error
        assert gone() is None
    finally:
        gc.enable()
