from collections import Counter

import numpy as np
from support.cells import digest

from cell.residency.sketches import Ghosts, Sketch


def test_a_ghost_is_taken_once() -> None:
    ghosts = Ghosts()
    ghosts.add(digest("a"))
    assert ghosts.take(digest("b")) is False
    assert ghosts.take(digest("a")) is True
    assert ghosts.take(digest("a")) is False


def test_the_oldest_ghosts_are_forgotten() -> None:
    ghosts = Ghosts()
    for name in "abcdefghij":
        ghosts.add(digest(name))
    assert [name for name in "abcdefghij" if ghosts.take(digest(name))] == list("cdefghij")


def test_ghosts_are_as_many_as_the_resident_models_at_most() -> None:
    ghosts = Ghosts()
    for models in range(0, 5000, 7):
        ghosts.fit(models)
        assert models / 2 < len(ghosts) <= max(8, models)


def test_growing_forgets_no_ghost() -> None:
    ghosts = Ghosts()
    ghosts.fit(1024)
    keys = [digest(str(number)) for number in range(300)]
    for key in keys:
        ghosts.add(key)
    ghosts.fit(4096)
    # A set of eight may overflow before that: 300 in 128 sets leave few to chance.
    assert sum(map(ghosts.take, keys)) >= 295


def test_a_full_table_remembers_about_the_latest() -> None:
    ghosts = Ghosts()
    ghosts.fit(4096)
    keys = [digest(str(number)) for number in range(20_000)]
    for key in keys:
        ghosts.add(key)
    found = [ghosts.take(key) for key in keys]
    assert sum(found) == 4096
    assert sum(found[-2048:]) > 2000
    assert sum(found[:10_000]) < 20


def test_counts_are_never_too_low() -> None:
    sketch = Sketch()
    sketch.fit(100)
    asked = Counter(np.random.default_rng(1).zipf(1.5, 800).clip(1, 100).tolist())
    for number, count in asked.items():
        for _ in range(count):
            sketch.add(digest(str(number)))
    counts = {number: sketch.count(digest(str(number))) for number in asked}
    assert all(counts[number] >= min(15, count) for number, count in asked.items())
    assert sum(counts[number] == min(15, count) for number, count in asked.items()) > 0.9 * len(asked)


def test_growing_keeps_the_counts() -> None:
    sketch = Sketch()
    for _ in range(7):
        sketch.add(digest("a"))
    sketch.fit(1000)
    assert len(sketch) == 8192
    assert sketch.count(digest("a")) == 7


def test_old_fame_fades() -> None:
    sketch = Sketch()
    sketch.fit(1000)
    for _ in range(12):
        sketch.add(digest("a"))
    for number in range(10 * len(sketch) // 8 - 12):
        sketch.add(digest(str(number % 1000)))
    assert sketch.count(digest("a")) == 6
