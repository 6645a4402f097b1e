"""What holds a ramp, and what does not."""

from collections.abc import Mapping
from dataclasses import replace

import pytest

from croupier.latencies import bucket_of
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
        self,
        failed: int = 0,
        hits: int = 100,
        *,
        seconds: int = 1,
        is_rising: bool = True,
        loads: Mapping[float, int] = {},
    ) -> str:
        """Seconds of a hundred requests each. `loads`: how many took how long."""
        why = ""
        for _ in range(seconds):
            self.now += 1
            known = self.sample
            counts = [*known.loads]
            for took, count in loads.items():
                counts[bucket_of(took)] += count
            self.sample = Sample(
                *(known.requests + 100, known.failed + failed),
                *(known.asked + 100, known.hits + hits, tuple(counts)),
            )
            why = why or self.judge.look(self.now, self.sample, self.generation, is_rising=is_rising)
        return why

    def begin(self) -> None:
        self.generation += 1
        assert self.judge.look(self.now, self.sample, self.generation, is_rising=True) == ""


def test_a_ramp_that_does_no_harm_goes_on():
    fleet = Fleet()
    fleet.begin()
    assert fleet.second(1, 90, seconds=300) == ""


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


def test_errors_of_long_before_forgive_nothing():
    fleet = Fleet()
    fleet.second(5, seconds=60, is_rising=False)
    fleet.second(seconds=70, is_rising=False)
    fleet.begin()
    assert fleet.second(2).endswith("and 0.0 % did before")


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
    assert fleet.second(1, 10, seconds=30) == ""
    assert fleet.second(2, 10, seconds=29).startswith("1.")


def test_the_first_whole_minute_is_the_baseline_of_a_ramp_that_was_under_way():
    fleet = Fleet(is_known=False)
    fleet.second(hits=90, loads={1.0: 9})
    assert not fleet.judge.has_baseline
    assert fleet.second(hits=90, loads={1.0: 9}, seconds=59) == ""
    assert not fleet.judge.has_baseline
    assert fleet.second(hits=90, loads={1.0: 9}) == ""
    assert fleet.judge.has_baseline
    # What comes later is not what it is compared with.
    assert fleet.second(hits=81, loads={2.9: 9}, seconds=300) == ""
    assert fleet.second(hits=81, loads={6.0: 9}, seconds=60).endswith("s, and up to 1.1 s before")
    fleet.second(seconds=61, is_rising=False)
    assert fleet.second(hits=60, seconds=60).endswith("and 90.0 % did before")


def test_a_ramp_that_was_seen_to_begin_has_its_baseline_at_once():
    fleet = Fleet(is_known=False)
    fleet.second(is_rising=False)
    assert not fleet.judge.has_baseline
    fleet.begin()
    assert fleet.judge.has_baseline


@pytest.mark.parametrize(
    ("before", "loads", "is_held"),
    [
        ({0.1: 100}, {1.9: 100}, False),
        ({0.1: 100}, {2.3: 100}, True),
        # The slowest of a hundred is not the 99th.
        ({0.1: 100}, {0.1: 99, 30.0: 1}, False),
        ({0.1: 100}, {0.1: 98, 30.0: 2}, True),
        # Too few to say.
        ({0.1: 100}, {9.0: 99}, False),
        ({1.0: 100}, {2.9: 100}, False),
        ({1.0: 100}, {4.0: 100}, True),
        # Those before were too few to forgive anything.
        ({1.0: 99}, {2.9: 100}, True),
        ({}, {2.3: 100}, True),
    ],
)
def test_loads_that_become_slow_hold_it(before, loads, is_held):
    fleet = Fleet()
    fleet.second(loads=before, is_rising=False)
    fleet.begin()
    assert bool(fleet.second(loads=loads)) == is_held


def test_what_is_said_of_slow_loads_is_their_99th_percentile():
    fleet = Fleet()
    fleet.second(loads={0.5: 500}, is_rising=False)
    fleet.begin()
    assert fleet.second(loads={0.1: 900, 5.0: 100}) == (
        "99 % of the loads take up to 5.5 s, and up to 0.6 s before"
    )


def test_a_ramp_of_few_requests_is_judged_by_all_of_them():
    fleet = Fleet()
    fleet.begin()
    held = ""
    for second in range(1, 121):
        known = fleet.sample
        fleet.sample = replace(known, requests=known.requests + 1, failed=known.failed + (second % 10 == 0))
        held = held or fleet.judge.look(fleet.now + second, fleet.sample, 2, is_rising=True)
    assert held == "10.0 % of the requests fail, and 0.0 % did before"


def test_a_long_good_ramp_does_not_hide_a_minute_of_slow_loads():
    fleet = Fleet()
    fleet.begin()
    assert fleet.second(seconds=3_600, loads={0.1: 100}) == ""
    assert fleet.second(seconds=60, loads={0.1: 95, 5.0: 5})


def test_the_last_minute_is_since_the_look_that_is_just_older_than_it():
    """Looks that come rarely are of a longer time, and of no longer one than between two of them."""
    fleet = Fleet()
    fleet.begin()
    failed = 0
    for look in range(1, 60):
        # 9 of the 1,000 requests of each; of the last, 15.
        failed += 9 if look < 59 else 15
        fleet.sample = Sample(7_000 + look * 1_000, failed)
        held = fleet.judge.look(fleet.now + 70 * look, fleet.sample, 2, is_rising=True)
        assert held == ("" if look < 59 else "1.5 % of the requests fail, and 0.0 % did before")


def test_one_that_is_gone_on_with_is_judged_by_what_follows():
    fleet = Fleet()
    fleet.begin()
    assert fleet.second(50)
    assert fleet.second(50, seconds=5, is_rising=False) == ""
    # Of what was counted while it did not rise.
    assert fleet.second(50) == ""
    assert fleet.second(seconds=30) == ""
    assert fleet.second(50, seconds=3)
