from hypothesis import given
from hypothesis import strategies as st

from router.feature_cache import Recent

steps = st.lists(
    st.tuples(st.integers(0, 5), st.integers(0, 9), st.integers(0, 4000), st.integers(1, 20)), max_size=60
)


def test_what_holds_no_longer_is_not_known() -> None:
    recent: Recent[str] = Recent(10_000)
    recent.put("a", "old", until=5.0, size=1)
    assert recent.get("a", 4.9) == "old"
    assert recent.get("a", 5.0) is None
    recent.put("a", "new", until=9.0, size=1)
    assert recent.get("a", 5.0) == "new"
    assert len(recent) == 1


def test_the_oldest_give_way_and_what_is_too_large_is_not_kept() -> None:
    recent: Recent[int] = Recent(1000)
    for number in range(4):
        recent.put(number, number, until=9.0, size=100)
    assert [recent.get(number, 0.0) for number in range(4)] == [None, None, 2, 3]
    recent.put(3, 33, until=9.0, size=1000)
    assert recent.get(3, 0.0) is None
    assert recent.get(2, 0.0) == 2


def test_without_room_nothing_is_known() -> None:
    recent: Recent[int] = Recent(0)
    recent.put("a", 1, until=9.0, size=0)
    assert len(recent) == 0


@given(steps)
def test_what_is_held_stays_within_the_bound(found: list[tuple[int, int, int, int]]) -> None:
    recent: Recent[int] = Recent(5000)
    latest: dict[int, tuple[int, int]] = {}
    for key, value, size, until in found:
        recent.put(key, value, until, size)
        latest[key] = value, until
        assert recent.size <= 5000
        assert (recent.size == 0) == (len(recent) == 0)
        known = recent.get(key, 10)
        assert known is None or (known == value and until > 10)
