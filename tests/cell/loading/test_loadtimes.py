import pytest

from cell.loading.loadtimes import DISK, STORE, LoadTimes
from croupier.latencies import BUCKETS, bucket_of


def test_nothing_measured_takes_no_time() -> None:
    assert LoadTimes().expected(STORE) == 0.0


def test_the_first_measurement_is_believed_and_later_ones_move_it() -> None:
    times = LoadTimes()
    times.note(STORE, 0.8)
    assert times.expected(STORE) == 0.8
    times.note(STORE, 0.0)
    assert times.expected(STORE) == pytest.approx(0.7)


def test_loads_from_anywhere_are_counted_by_how_long_they_took() -> None:
    times = LoadTimes()
    for source, seconds in ((STORE, 0.8), (DISK, 0.8), (DISK, 1e9)):
        times.note(source, seconds)
    counted = {place: count for place, count in enumerate(times.counts) if count}
    assert counted == {bucket_of(0.8): 2, BUCKETS - 1: 1}


def test_the_sources_are_apart() -> None:
    times = LoadTimes()
    times.note(DISK, 0.1)
    assert times.expected(STORE) == 0.0


def test_it_follows_a_store_that_turns_slow() -> None:
    times = LoadTimes()
    times.note(STORE, 0.01)
    for _ in range(12):
        times.note(STORE, 1.0)
    assert 0.75 < times.expected(STORE) < 1.0
