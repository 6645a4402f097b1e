from hypothesis import given
from hypothesis import strategies as st

from croupier.codel import Codel


def test_a_burst_is_no_standing_queue() -> None:
    codel = Codel(target=1.0, interval=10.0)
    for now in range(10):
        codel.waited(5.0, float(now))
    assert not codel.is_standing
    codel.waited(0.5, 10.0)
    codel.waited(5.0, 15.0)
    assert not codel.is_standing
    codel.waited(5.0, 25.0)
    assert codel.is_standing
    codel.waited(1.0, 26.0)
    assert not codel.is_standing


def test_an_empty_queue_stands_no_more() -> None:
    codel = Codel(target=1.0, interval=10.0)
    codel.waited(5.0, 0.0)
    codel.waited(5.0, 10.0)
    codel.emptied()
    assert not codel.is_standing
    codel.waited(5.0, 11.0)
    assert not codel.is_standing


@given(st.lists(st.tuples(st.floats(0, 3), st.floats(0, 4)), max_size=60))
def test_it_stands_if_the_least_wait_of_an_interval_was_long(taken: list[tuple[float, float]]) -> None:
    codel, now, seen = Codel(target=1.0, interval=10.0), 0.0, []
    for pause, waited in taken:
        now += pause
        codel.waited(waited, now)
        seen.append((now, waited))
        short = [at for at, seconds in seen if seconds <= 1.0]
        long_since = [at for at, _ in seen if not short or at > short[-1]]
        assert codel.is_standing == bool(long_since and now - long_since[0] >= 10.0)
