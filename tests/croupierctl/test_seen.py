"""What several managers tell of one thing is one, and words fit sentences."""

import pytest
from support.statuses import router, status

from croupierctl.seen import Answer, Fault, Seen, some, span, state, words
from protos.versions.v1 import versions_pb2 as pb


def seen(*told: pb.Status) -> Seen:
    return Seen([Answer(f"m-{number}:8400", one) for number, one in enumerate(told)])


def test_who_heard_it_last_is_believed() -> None:
    first, second = status(), status()
    first.cells[0].heard, second.cells[0].heard = 3.0, 0.1
    first.routers[0].heard, second.routers[0].heard = 0.1, 3.0
    second.cells[1].ClearField("heard")
    found = seen(first, second)
    assert found.cells["cell-1"].heard == 0.1
    assert found.cells["cell-2"].heard == 0.5
    assert found.routers["host:7"].heard == 0.1
    assert Seen([Answer("a:1", None, "away")]).told == []


def test_what_routers_say_of_a_cell_has_become_older_since_they_said_it() -> None:
    told = status()
    told.routers.extend([router("host:8"), router("gone")])
    troubles = [
        pb.CellTrouble(cell="cell-1", opened=1, seconds=2.0, failed_ago=0.5),
        pb.CellTrouble(cell="cell-2", given_up=3),
    ]
    for one in told.routers:
        one.report.troubles.cells.extend(troubles)
    told.routers[1].report.address = ""
    told.routers[2].heard = 60.0
    found = words(seen(told))
    assert [(one.router, one.trouble.seconds, one.trouble.failed_ago) for one in found["cell-1"]] == [
        ("h:8500", 2.5, 1.0),
        ("host:8", 2.5, 1.0),
    ]
    assert [one.trouble.seconds for one in found["cell-2"]] == [0.0, 0.0]


def test_only_what_has_an_advice_is_wrong() -> None:
    assert Fault("cell", "a", "it hangs", "end it").is_wrong
    assert not Fault("cell", "a", "it drains").is_wrong


def test_of_many_names_some_are_said() -> None:
    assert some(["a"]) == "a"
    assert some(["a", "b", "c"]) == "a, b, c"
    assert some(["a", "b", "c", "d", "e"]) == "a, b, c and 2 more"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (-3, "0 s"),
        (0.4, "0 s"),
        (119, "119 s"),
        (121, "2 minutes"),
        (7_300, "2 hours"),
        (3e5, "3 days"),
    ],
)
def test_durations_read_well(seconds: float, words: str) -> None:
    assert span(seconds) == words


def test_a_cell_that_is_warming_is_said_to_be() -> None:
    assert state(pb.Cell(state="draining", warming=True)) == "warming"
    assert state(pb.Cell(state="draining")) == "draining"
