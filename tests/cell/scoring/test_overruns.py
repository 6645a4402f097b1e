import pytest

from cell.scoring.overruns import Overran, Overruns

MODEL, OTHER = bytes([1]) * 32, bytes([2]) * 32


def is_refused(overruns: Overruns, digest: bytes, now: float) -> bool:
    try:
        overruns.check(digest, now)
    except Overran:
        return True
    return False


def test_a_model_that_never_ends_is_refused_and_tried_again_later() -> None:
    overruns = Overruns(10.0, first=30.0, longest=100.0)
    overruns.stopped(MODEL, 9.0, 0.0)
    assert not is_refused(overruns, MODEL, 0.0)
    overruns.stopped(MODEL, 1.0, 1.0)
    assert is_refused(overruns, MODEL, 30.0)
    assert not is_refused(overruns, OTHER, 30.0)
    assert not is_refused(overruns, MODEL, 31.0)
    overruns.stopped(MODEL, 10.0, 41.0)
    assert is_refused(overruns, MODEL, 100.0)
    assert not is_refused(overruns, MODEL, 101.0)
    overruns.stopped(MODEL, 10.0, 111.0)
    assert is_refused(overruns, MODEL, 210.0)
    assert not is_refused(overruns, MODEL, 211.0)


def test_one_that_ends_in_between_is_not_refused() -> None:
    overruns = Overruns(10.0)
    for now in range(100):
        overruns.stopped(MODEL, 9.0, now)
        overruns.ended(MODEL)
    assert not is_refused(overruns, MODEL, 100.0)


def test_runs_that_their_callers_cut_short_say_little() -> None:
    overruns = Overruns(10.0)
    for now in range(500):
        overruns.stopped(MODEL, 0.01, now)
    assert not is_refused(overruns, MODEL, 500.0)


def test_there_is_room_for_so_many() -> None:
    overruns = Overruns(10.0)
    for number in range(5_000):
        overruns.stopped(number.to_bytes(32), 10.0, 0.0)
    assert len(overruns._records) == 4_096
    with pytest.raises(Overran):
        overruns.check((4_999).to_bytes(32), 1.0)


def test_what_was_stopped_lately_is_told_and_what_callers_cut_short_is_not() -> None:
    overruns = Overruns(10.0)
    assert overruns.lately(100.0) == (b"", 0)
    for now in range(100, 103):
        overruns.stopped(MODEL, 2.0, now)
        overruns.stopped(OTHER, 0.01, now)
    assert overruns.lately(103.0) == (MODEL, 3)
    # Known for a while also of one that ends again.
    overruns.ended(MODEL)
    assert overruns.lately(103.0) == (MODEL, 3)
    assert overruns.lately(120.0) == (b"", 0)
