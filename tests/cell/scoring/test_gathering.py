"""When requests that wait for company are ready."""

from types import SimpleNamespace
from typing import Any

from cell.scoring.gathering import Gathering
from croupier.deadline import Deadline


def job(rows: int = 1, deadline: float = 1e9) -> Any:
    return SimpleNamespace(rows=rows, deadline=Deadline(deadline))


def test_they_wait_for_a_time() -> None:
    group = Gathering(10.0, 8)
    group.add(job(), 9.0)
    assert not group.is_ready(9.9)
    assert group.is_ready(10.0)


def test_they_do_not_wait_once_a_call_is_full() -> None:
    group = Gathering(10.0, 8)
    for rows in (3, 4):
        group.add(job(rows), 9.0)
    assert not group.is_ready(9.0)
    group.add(job(), 9.0)
    assert group.is_ready(9.0)
    assert len(group.jobs) == 3


def test_one_without_time_takes_the_others_along() -> None:
    group = Gathering(10.0, 8)
    group.add(job(), 9.0)
    group.add(job(deadline=10.0), 9.2)
    assert group.is_ready(9.2)
