"""What holds a ramp, and what does not."""

import pytest

from version_manager.ramp_bounds import Bounds, Judge, Sample

BOUNDS = Bounds(errors=0.01, hits=0.1, load_seconds=2.0, least_requests=100)


class Fleet:
    """Counts on; a second at a time."""

    def __init__(self, *, is_known: bool = True) -> None:
        self.judge = Judge(BOUNDS)
        self.now = 1_000.0
        self.sample = Sample()
        self.generation = 1
        if is_known:
            self.second(0, seconds=70, is_rising=False)

    def second(
        self, failed: int = 0, hits: int = 100, *, seconds: int = 1, is_rising: bool = True, **load
    ) -> str:
        """Seconds of a hundred requests each."""
        why = ""
        for _ in range(seconds):
            self.now += 1
            known = self.sample
            self.sample = Sample(
                known.requests + 100, known.failed + failed, known.asked + 100, known.hits + hits, **load
            )
            why = why or self.judge.look(self.now, self.sample, self.generation, is_rising=is_rising)
        return why

    def begin(self) -> None:
        self.generation += 1
        assert self.judge.look(self.now, self.sample, self.generation, is_rising=True) == ""


def test_a_ramp_that_does_no_harm_goes_on():
    fleet = Fleet()
    fleet.begin()
    assert fleet.second(1, 91, seconds=300) == ""


def test_errors_beyond_what_there_was_hold_it():
    fleet = Fleet()
    fleet.begin()
    assert fleet.second(2) == "2.0 % of the requests fail, and 0.0 % did before"


def test_errors_that_were_there_before_do_not():
    fleet = Fleet()
    fleet.second(5, seconds=60, is_rising=False)
    fleet.begin()
    assert fleet.second(6, seconds=100) == ""
    assert fleet.second(20, seconds=100).endswith("and 5.0 % did before")


def test_misses_hold_it():
    fleet = Fleet()
    fleet.begin()
    assert fleet.second(hits=89) == (
        "89.0 % of the requests find their model in memory, and 100.0 % did before"
    )


def test_a_long_good_ramp_does_not_hide_a_bad_minute():
    fleet = Fleet()
    fleet.begin()
    assert fleet.second(seconds=3_600) == ""
    assert fleet.second(3, seconds=60)


def test_silence_decides_nothing():
    fleet = Fleet()
    fleet.begin()
    fleet.sample = Sample(fleet.sample.requests + 99, 99, fleet.sample.asked + 99, fleet.sample.hits)
    assert fleet.judge.look(fleet.now + 1, fleet.sample, 2, is_rising=True) == ""


def test_without_a_before_errors_are_compared_with_none_and_hits_with_nothing():
    fleet = Fleet(is_known=False)
    fleet.begin()
    assert fleet.second(1, 10, seconds=60) == ""
    assert fleet.second(2, 10, seconds=60).startswith("1.")


@pytest.mark.parametrize(
    ("before", "loads", "slowest", "is_held"),
    [
        (0.1, 20, 1.9, False),
        (0.1, 20, 2.1, True),
        (0.1, 19, 9.0, False),
        (1.0, 20, 2.9, False),
        (1.0, 20, 3.1, True),
        (0.0, 50, 2.1, True),
    ],
)
def test_slow_loads_hold_it(before, loads, slowest, is_held):
    fleet = Fleet()
    fleet.second(loads=5, slowest_load=before, is_rising=False)
    fleet.begin()
    why = fleet.second(loads=loads, slowest_load=slowest)
    assert why == (
        f"the slowest of the latest loads took {slowest:.1f} s, and {before:.1f} s before" if is_held else ""
    )


def test_one_that_is_gone_on_with_is_judged_by_what_follows():
    fleet = Fleet()
    fleet.begin()
    assert fleet.second(50)
    assert fleet.second(50, seconds=5, is_rising=False) == ""
    assert fleet.second(seconds=30) == ""
    assert fleet.second(50, seconds=3)
