import pytest

from croupier.recent import Noted
from router.breakers import Breakers, Trouble


@pytest.fixture
def breakers() -> Breakers:
    return Breakers(threshold=3, first=1.0, longest=4.0, probe=2.0)


def test_a_cell_that_cannot_be_reached_is_passed_by_for_longer_each_time(breakers: Breakers) -> None:
    now, waits = 0.0, []
    for _ in range(4):
        breakers.started("a", now)
        breakers.unreachable("a", now)
        began = now
        while breakers.is_open("a", now):
            now += 0.25
        waits.append(now - began)
    assert waits == [1.0, 2.0, 4.0, 4.0]


def test_requests_that_fail_together_are_one_failure(breakers: Breakers) -> None:
    for _ in range(20):
        breakers.unreachable("a", 0.0)
    assert breakers.is_open("a", 0.9)
    assert not breakers.is_open("a", 1.0)


def test_one_request_probes_while_the_others_pass_by(breakers: Breakers) -> None:
    breakers.unreachable("a", 0.0)
    assert not breakers.is_open("a", 1.0)
    breakers.started("a", 1.0)
    assert breakers.is_open("a", 1.0)
    breakers.answered("a", 1.5)
    assert not breakers.is_open("a", 1.5)


def test_a_probe_that_fails_starts_the_next_period(breakers: Breakers) -> None:
    breakers.unreachable("a", 0.0)
    breakers.started("a", 1.0)
    breakers.refused("a", 1.5)
    assert breakers.is_open("a", 3.4)
    assert not breakers.is_open("a", 3.5)


def test_a_probe_that_is_never_heard_of_again_makes_room_for_another(breakers: Breakers) -> None:
    breakers.unreachable("a", 0.0)
    breakers.started("a", 1.0)
    assert not breakers.is_open("a", 3.0)


def test_refusals_in_a_row_open_its_breaker_and_an_answer_breaks_the_row(breakers: Breakers) -> None:
    breakers.refused("a", 0.0)
    breakers.refused("a", 0.1)
    breakers.answered("a", 0.2)
    breakers.refused("a", 0.3)
    breakers.refused("a", 0.4)
    assert not breakers.is_open("a", 0.4)
    breakers.refused("a", 0.5)
    assert breakers.is_open("a", 1.4)
    assert not breakers.is_open("a", 1.5)


def test_an_answer_heals_completely(breakers: Breakers) -> None:
    for now in (0.0, 1.0, 3.0):
        breakers.started("a", now)
        breakers.unreachable("a", now)
    breakers.answered("a", 3.0)
    assert not breakers.is_open("a", 3.0)
    breakers.unreachable("a", 4.0)
    assert not breakers.is_open("a", 5.0)


def test_a_silent_cell_is_passed_by_unless_it_answered_somebody_meanwhile(breakers: Breakers) -> None:
    breakers.answered("a", 5.0)
    breakers.silent("a", 4.0, 6.0, whole=True)
    assert not breakers.is_open("a", 6.0)
    breakers.silent("a", 5.5, 6.5, whole=True)
    assert breakers.is_open("a", 7.4)


def test_silences_too_short_to_tell_count_in_a_row(breakers: Breakers) -> None:
    for now in (1.0, 2.0):
        breakers.silent("a", now - 0.1, now, whole=False)
        assert not breakers.is_open("a", now)
    breakers.silent("a", 2.9, 3.0, whole=False)
    assert breakers.is_open("a", 3.5)


def test_a_forgotten_cell_is_a_new_one(breakers: Breakers) -> None:
    breakers.unreachable("a", 0.0)
    breakers.forget(["a", "never heard of"])
    assert not breakers.is_open("a", 0.0)


def test_its_state_in_a_word(breakers: Breakers) -> None:
    assert breakers.state("a", 0.0) == "closed"
    breakers.refused("a", 0.0)
    assert breakers.state("a", 0.0) == "closed"
    breakers.unreachable("a", 0.0)
    assert [breakers.state("a", now) for now in (0.0, 0.9, 1.0)] == ["open", "open", "overdue"]
    breakers.started("a", 1.0)
    assert [breakers.state("a", now) for now in (1.0, 2.9, 3.0)] == ["half-open", "half-open", "overdue"]
    breakers.answered("a", 3.0)
    assert breakers.state("a", 3.0) == "closed"


def told(breakers: Breakers, now: float) -> dict[str, Trouble]:
    return breakers.troubles(now, 100)[0]


def test_the_worst_cells_are_told_of(breakers: Breakers) -> None:
    for number in range(300):
        breakers.silent(f"cell-{number}", 9.0, 10.0, whole=True)
    breakers.silent("cell-200", 11.5, 12.5, whole=True)
    breakers.unreachable("cell-7", 12.5)
    for _ in range(2):
        breakers.silent("cell-100", 9.0, 10.0, whole=True)
    found, total = breakers.troubles(13.0, 3)
    assert (list(found), total) == (["cell-200", "cell-7", "cell-100"], 300)


def test_what_a_cell_did_is_told_until_it_answers(breakers: Breakers) -> None:
    assert told(breakers, 0.0) == {}
    breakers.answered("a", 9.0)
    breakers.silent("a", 10.0, 11.0, whole=True)
    breakers.started("a", 12.0)
    breakers.silent("a", 12.0, 13.0, whole=True)
    assert told(breakers, 13.0) == {"a": Trouble("silent", 10.0, 13.0, 2, Noted(2, 2))}
    breakers.unreachable("a", 15.5)
    assert told(breakers, 16.0) == {"a": Trouble("unreachable", 10.0, 15.5, 3, Noted(2, 2))}
    breakers.answered("a", 17.0)
    # It answers; that calls were given up is known for some seconds.
    assert told(breakers, 17.0)["a"].opened == 0
    assert told(breakers, 30.0) == {}
    for now in (40.0, 40.1, 40.2):
        breakers.refused("a", now)
    assert told(breakers, 41.0) == {"a": Trouble("unavailable", 40.0, 40.2, 1, Noted())}
    breakers.forget(["a"])
    assert told(breakers, 41.0) == {}


def test_a_cell_that_is_busy_with_one_request_has_it_told_and_stays(breakers: Breakers) -> None:
    breakers.answered("a", 5.0)
    breakers.silent("a", 4.0, 6.0, whole=True)
    assert told(breakers, 6.0)["a"].given_up == Noted(1, 1)
    assert breakers.troubled == set()
