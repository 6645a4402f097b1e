from dataclasses import dataclass

import pytest

from cell.scoring import backlog
from cell.scoring.backlog import Backlog
from croupier.codel import Codel
from croupier.fairness import PATIENCE

NOW = 0.0


@dataclass
class Call:
    owner: int
    number: int
    is_open: bool = True
    arrived: float = 0.0

    @property
    def message(self) -> int:
        return self.owner


@pytest.fixture(autouse=True)
def owners(monkeypatch: pytest.MonkeyPatch) -> None:
    """A call's message says its owner as it is, and its priority in the hundreds."""
    monkeypatch.setattr(backlog, "who_at_end", lambda message: (message // 100, message % 100))


def drained(waiting: Backlog, cost: float = 1.0) -> list[tuple[int, int]]:
    taken = []
    while found := waiting.take(NOW):
        who, call = found
        taken.append((who[1], call.number))
        waiting.charge(who, cost)
    return taken


def test_owners_take_turns_however_many_calls_one_has() -> None:
    waiting = Backlog()
    waiting.put([Call(1, number) for number in range(4)], NOW)
    waiting.put([Call(2, 10)], NOW)
    taken = drained(waiting)
    assert sorted(taken) == [(1, 0), (1, 1), (1, 2), (1, 3), (2, 10)]
    assert taken.index((2, 10)) <= 1
    assert not waiting


def test_an_owners_calls_keep_their_order() -> None:
    waiting = Backlog()
    waiting.put([Call(owner, number) for number in range(5) for owner in (1, 2, 3)], NOW)
    taken = drained(waiting)
    for owner in (1, 2, 3):
        assert [number for its, number in taken if its == owner] == [0, 1, 2, 3, 4]


def test_calls_that_nobody_waits_for_are_passed_over() -> None:
    waiting = Backlog()
    waiting.put([Call(1, 0, is_open=False), Call(1, 1), Call(2, 2, is_open=False)], NOW)
    assert drained(waiting) == [(1, 1)]
    assert (bool(waiting), waiting.take(NOW)) == (False, None)


def test_what_is_lower_comes_last_and_does_not_starve() -> None:
    waiting = Backlog()
    waiting.put([Call(401, 1000)], NOW)
    waiting.put([Call(owner, number) for number in range(30) for owner in (1, 2)], NOW)
    numbers = [number for _, number in drained(waiting)]
    assert numbers.index(1000) == PATIENCE


def test_while_calls_stand_the_newest_of_who_waits_are_refused() -> None:
    waiting = Backlog(lambda: Codel(target=1.0, interval=10.0))
    waiting.put([Call(1, number) for number in range(30)], NOW)
    for now in (2.0, 5.0, 12.0):
        assert waiting.put([Call(1, 100)], now) == []
        assert waiting.take(now) is not None
    late, other, lower = Call(1, 200), Call(2, 300), Call(401, 400)
    assert waiting.put([late, other, lower], 12.0) == [(0, late)]
    # Somebody has waited for a moment only: it stands no more.
    other.arrived = 12.0
    while waiting.take(12.5) != ((0, 2), other):
        pass
    assert waiting.put([late], 12.5) == []
