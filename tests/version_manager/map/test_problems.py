"""What is wrong is told once."""

from version_manager.map.problems import Misfits, Problem


def test_a_problem_is_reported_once_for_as_long_as_it_is_one():
    misfits, reported = Misfits(), []
    first, second = Problem("k", "active", "one"), Problem("k", "active", "two")
    misfits.blame(first, reported)
    misfits.blame(second, reported)
    assert (reported, misfits.by_key) == ([first], {"k": second})
    misfits.clear("k", "seed")
    assert misfits.by_key
    misfits.clear("k")
    misfits.clear("k", "")
    misfits.blame(second, reported)
    assert reported == [first, second]
