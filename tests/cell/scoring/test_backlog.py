from dataclasses import dataclass

import pytest

from cell.scoring import backlog
from cell.scoring.backlog import Backlog


@dataclass
class Call:
    owner: int
    number: int
    is_open: bool = True

    @property
    def message(self) -> int:
        return self.owner


@pytest.fixture(autouse=True)
def owners(monkeypatch: pytest.MonkeyPatch) -> None:
    """A call's message says its owner as it is."""
    monkeypatch.setattr(backlog, "owner_at_end", lambda message: message)


def drained(waiting: Backlog, cost: float = 1.0) -> list[tuple[int, int]]:
    taken = []
    while found := waiting.take():
        owner, call = found
        taken.append((owner, call.number))
        waiting.charge(owner, cost)
    return taken


def test_owners_take_turns_however_many_calls_one_has() -> None:
    waiting = Backlog()
    waiting.put([Call(1, number) for number in range(4)])
    waiting.put([Call(2, 10)])
    taken = drained(waiting)
    assert sorted(taken) == [(1, 0), (1, 1), (1, 2), (1, 3), (2, 10)]
    assert taken.index((2, 10)) <= 1
    assert not waiting


def test_an_owners_calls_keep_their_order() -> None:
    waiting = Backlog()
    waiting.put([Call(owner, number) for number in range(5) for owner in (1, 2, 3)])
    taken = drained(waiting)
    for owner in (1, 2, 3):
        assert [number for its, number in taken if its == owner] == [0, 1, 2, 3, 4]


def test_calls_that_nobody_waits_for_are_passed_over() -> None:
    waiting = Backlog()
    waiting.put([Call(1, 0, is_open=False), Call(1, 1), Call(2, 2, is_open=False)])
    assert drained(waiting) == [(1, 1)]
    assert (bool(waiting), waiting.take()) == (False, None)
