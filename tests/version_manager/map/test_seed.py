from hypothesis import given
from hypothesis import strategies as st

from version_manager.map.seed import Era, Seed

FIRST = Seed((Era(7),))


def test_each_generation_has_the_seed_of_its_era():
    seed = FIRST.changed(8, 5).changed(9, 12)
    assert [seed.of(number).seed for number in (1, 4, 5, 11, 12, 99)] == [7, 7, 8, 8, 9, 9]
    assert seed.current == Era(9, 12)


def test_a_generation_before_the_first_era_has_its_seed():
    assert Seed((Era(7, 5),)).of(1).seed == 7


@given(st.lists(st.tuples(st.integers(0, 2**64 - 1), st.integers(1, 100)), max_size=5))
def test_what_follows_was_changed(changes):
    known = FIRST
    for seed, since in changes:
        later = known.changed(seed, known.current.since + since)
        assert later.follows(known)
        assert later.follows(FIRST)
        assert not known.follows(later)
        known = later
    assert not known.follows(known)


def test_another_seed_does_not_follow():
    assert not Seed((Era(8), Era(9, 3))).follows(FIRST)
    assert not Seed((Era(8),)).follows(FIRST)
