"""What is remembered of models that went."""

from support.cells import digest

from cell.residency.ghosts import Ghosts


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
