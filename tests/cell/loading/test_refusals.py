import random

import pytest
from support.cells import digest

from cell.engines import ArtifactRefused
from cell.loading.refusals import Refusals
from croupier.errors import CroupierError, NotFound, Unavailable

A, B, C = map(digest, "abc")


def middle(low: float, high: float) -> float:
    return (low + high) / 2


def is_refused(refusals: Refusals, key: bytes, now: float) -> bool:
    try:
        refusals.check(key, now)
    except CroupierError:
        return True
    return False


@pytest.mark.parametrize(
    ("error", "was_wanted", "seconds"),
    [
        (ArtifactRefused("broken"), False, 100.0),
        (ArtifactRefused("broken"), True, 50.0),
        (NotFound("gone"), True, 5.0),
        (Unavailable("away"), True, 0.0),
        (RuntimeError("a bug"), True, 0.0),
    ],
)
def test_how_long_a_failure_is_kept(error: Exception, was_wanted: bool, seconds: float) -> None:
    refusals = Refusals(100.0, middle)
    refusals.note(A, error, 10.0, was_wanted=was_wanted)
    assert is_refused(refusals, A, 10.0 + 0.99 * seconds) is (seconds > 0)
    assert not is_refused(refusals, A, 10.0 + seconds)


def test_no_two_failures_end_together() -> None:
    refusals = Refusals(100.0, random.Random(1).uniform)
    keys = [digest(str(number)) for number in range(100)]
    for key in keys:
        refusals.note(key, ArtifactRefused("broken"), 0.0, was_wanted=False)
    left = [sum(is_refused(refusals, key, now) for key in keys) for now in (80.0, 100.0, 120.0)]
    assert left[0] == 100
    assert 20 < left[1] < 80
    assert left[2] == 0


def test_what_is_raised_is_what_happened_without_its_frames() -> None:
    refusals = Refusals(100.0, middle)
    try:
        raise ArtifactRefused("broken") from ValueError("why")
    except ArtifactRefused as error:
        refusals.note(A, error, 0.0, was_wanted=True)
    with pytest.raises(ArtifactRefused, match="broken") as caught:
        refusals.check(A, 1.0)
    assert caught.value.reason == "ARTIFACT_REFUSED"
    assert caught.value.__cause__ is None
    _, kept = refusals._kept[A]
    assert (kept.__traceback__, kept.__cause__, kept.__context__) == (None, None, None)


def test_a_new_failure_replaces_the_old_one() -> None:
    refusals = Refusals(100.0, middle)
    refusals.note(A, ArtifactRefused("broken"), 0.0, was_wanted=True)
    refusals.note(A, NotFound("gone"), 1.0, was_wanted=True)
    with pytest.raises(NotFound):
        refusals.check(A, 2.0)
    assert not is_refused(refusals, A, 6.0)


def test_the_memory_of_failures_is_bounded() -> None:
    refusals = Refusals(100.0, middle, most=2)
    for key in (A, B, C):
        refusals.note(key, NotFound("gone"), 0.0, was_wanted=True)
    assert [is_refused(refusals, key, 1.0) for key in (A, B, C)] == [False, True, True]
