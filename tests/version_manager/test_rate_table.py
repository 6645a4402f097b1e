"""Counts and their windows, on a clock set by hand; compared with one that keeps every addition."""

from random import Random

import numpy as np
import pytest

from version_manager.rate_table import STEP, WINDOWS, Key, RateTable


class World:
    """A table of two columns for `most` keys, and every addition to it."""

    def __init__(self, most: int = 100) -> None:
        self.now = 1000.0
        self.table = RateTable(2, most, lambda: self.now)
        self.added: list[tuple[float, str, int]] = []

    def add(self, **counts: int) -> None:
        keys = [Key(tenant) for tenant in counts]
        self.table.add(keys, np.array([[count, 2 * count] for count in counts.values()], np.uint64))
        self.added += [(self.now, tenant, count) for tenant, count in counts.items()]

    def lately(self, which: int = 0) -> dict[str, int]:
        """What was added to each key within a window."""
        window = self.table.windows()[which]
        return {
            key.tenant: int(row[0]) for key, row in zip(self.table.keys, window.counts, strict=True) if row[0]
        }


@pytest.fixture
def world() -> World:
    return World()


def test_a_window_has_what_was_added_in_it(world: World) -> None:
    world.now += 1
    world.add(acme=3)
    world.add(acme=1, globex=2)
    world.now += 2
    short, long = world.table.windows()
    assert (short.seconds, long.seconds) == (3.0, 3.0)
    assert short.counts.tolist() == [[4, 8], [2, 4]]
    world.now += 20
    assert (world.lately(0), world.lately(1)) == ({}, {"acme": 4, "globex": 2})
    world.now += 60
    assert world.lately(1) == {}
    seconds, total = world.table.total()
    assert (seconds.tolist(), total.tolist()) == ([82.0, 82.0], [[4, 8], [2, 4]])


def test_windows_are_what_was_added_since_they_began_whenever_that_was() -> None:
    rng, world = Random(3), World(most=200)
    names = [f"tenant-{at}" for at in range(200)]
    for _ in range(400):
        world.now += rng.choice([0.125, 1.0, 1.0, 4.0, 30.0 if rng.random() < 0.1 else 0.5])
        if rng.random() < 0.8:
            world.add(**{name: rng.randrange(5) for name in rng.sample(names[: 3 + len(world.added)], 3)})
        for which, window in enumerate(world.table.windows()):
            began = world.now - window.seconds
            full = world.now - 1000.0 > WINDOWS[which]
            assert not full or WINDOWS[which] <= window.seconds <= WINDOWS[which] + STEP
            expected: dict[str, int] = {}
            for at, name, count in world.added:
                # What comes at the very moment of a copy comes behind it.
                if at >= began and count:
                    expected[name] = expected.get(name, 0) + count
            assert world.lately(which) == expected


def test_with_one_key_too_many_that_goes_which_changed_longest_ago() -> None:
    world = World(most=3)
    for name in ("a", "b", "c", "a"):
        world.now += STEP
        world.add(**{name: 7})
    world.add(d=1)
    assert sorted(key.tenant for key in world.table.keys) == ["a", "c", "d"]
    # Its row begins with nothing, now and in the past.
    assert world.lately(1) == {"a": 14, "c": 7, "d": 1}
    world.now += STEP
    world.add(b=1)
    assert world.lately(1) == {"a": 14, "d": 1, "b": 1}


def test_a_table_takes_no_more_memory_than_its_keys_need() -> None:
    small, large = World(most=1000), World(most=1000)
    for number in range(5000):
        large.now += 0.1
        small.now += 0.1
        large.add(**{f"tenant-{number}": 1})
        small.add(acme=1)
    assert len(large.table.keys) == 1000
    # Two columns of 8 bytes and when it began; and fourteen copies of 4 bytes.
    assert large.table.nbytes <= 1000 * (2 * 8 + 8 + 14 * 2 * 4)
    assert small.table.nbytes < large.table.nbytes / 10


def test_a_window_is_right_beyond_what_a_copy_can_count(world: World) -> None:
    world.add(acme=2**40 + 5)
    for _ in range(20):
        world.now += STEP
        world.add(acme=3)
    assert world.lately(0) == {"acme": 9}
