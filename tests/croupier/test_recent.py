"""What was lately is told to whoever looks, and what was before is not."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from croupier.recent import SECONDS, Growth, Noted, Recent, Times, Took


def test_what_was_noted_is_counted_until_it_is_old() -> None:
    recent: Recent[str] = Recent(10)
    for moment in (100.0, 100.9, 101.0, 104.5):
        recent.note("a", moment)
    recent.note("b", 101.0)
    assert recent.of("a", 105.0) == recent.of("a", 105.0) == Noted(4, 3)
    assert recent.all(105.0) == {"a": Noted(4, 3), "b": Noted(1, 1)}
    assert recent.of("a", 110.5) == Noted(2, 2)
    assert recent.all(120.0) == {}
    recent.forget("a")
    assert recent.of("a", 105.0) == Noted()


def test_keys_are_bounded_and_those_in_use_stay() -> None:
    recent: Recent[str] = Recent(2)
    for second in range(100, 130):
        recent.note("busy", second)
        recent.note(f"passing-{second}", second)
    assert recent.all(129.0).keys() == {"busy", "passing-129"}
    assert recent.of("busy", 129.0) == Noted(SECONDS, SECONDS)


def test_times_have_a_mean_and_a_slowest() -> None:
    times = Times()
    assert times.told(100.0) == Took()
    for seconds, moment in ((4.0, 100.0), (1.0, 105.0), (2.0, 105.5)):
        times.note(seconds, moment)
    assert times.told(106.0) == Took(3, 7 / 3, 4.0)
    assert times.told(111.0) == Took(2, 1.5, 2.0)


def test_growth_is_that_of_the_last_seconds_whoever_looks_how_often() -> None:
    growth = Growth()
    assert growth.look(100.0, (7, 1)) == (0.0, (0, 0))
    assert growth.look(100.5, (9, 1)) == (0.5, (2, 0))
    for number in range(1, 31):
        for _ in range(3):
            seconds, grown = growth.look(100.0 + number, (7 + 10 * number, 1))
    assert (seconds, grown) == (SECONDS, (100, 0))
    # What was before a pause says nothing of now.
    assert growth.look(200.0, (400, 1)) == (0.0, (0, 0))
    assert growth.look(201.0, (400, 1)) == (1.0, (0, 0))


@given(st.lists(st.floats(0, 40), min_size=1), st.floats(0, 45))
def test_a_window_is_what_a_list_of_moments_says(moments: list[float], later: float) -> None:
    recent: Recent[int] = Recent(1)
    times, now = Times(), max(moments) + later
    for moment in sorted(moments):
        recent.note(0, moment)
        times.note(moment, moment)
    lately = [moment for moment in moments if int(moment) > now - SECONDS]
    assert recent.of(0, now) == Noted(len(lately), len({int(moment) for moment in lately}))
    assert times.told(now).count == len(lately)
    assert times.told(now).slowest == max(lately, default=0.0)
