"""A cell that hangs is told from one that waits for something else; and what passes by itself is no fault."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from support.statuses import cell

from croupierctl.cell_faults import of_cell
from croupierctl.seen import Fault, Word
from protos.versions.v1 import versions_pb2 as pb

Harm = Callable[[pb.CellStatus], object]


def said(router: str = "h:1", **told: object) -> Word:
    """That a cell was silent for two attempts, but for what is `told`."""
    silent = {"why": "silent", "opened": 2, "seconds": 3.0, "failed_ago": 0.5, "breaker": "open"}
    return Word(router, pb.CellTrouble(cell="cell-1", **{**silent, **told}))  # type: ignore[arg-type]


def found(*words: Word, harm: Harm = lambda _: None) -> list[Fault]:
    one = cell()
    one.cell.load.work.CopyFrom(pb.Work(seconds=10.0, store=pb.StoreReads()))
    harm(one)
    return list(of_cell("cell-1", one, words))


def test_a_cell_that_is_well_has_no_fault() -> None:
    assert found() == []
    assert list(of_cell("cell-1", cell(), ())) == []


def test_a_cell_that_reports_and_does_not_answer_hangs() -> None:
    (fault,) = found(said())
    assert fault.words == "cell cell-1 hangs: router h:1 had no answer from it for 3 s, though it reports"
    assert "end its process" in fault.advice
    (fault,) = found(said(), said("h:2", seconds=8.0), said("h:3", opened=1))
    assert "routers h:1, h:2 had no answer from it for 8 s" in fault.words


def test_a_cell_whose_report_is_overdue_hangs_and_routers_have_their_say() -> None:
    (fault,) = found(said(), harm=lambda one: setattr(one, "heard", 5.0))
    assert "its report is overdue by 4 s, and router h:1 had no answer from it for 3 s" in fault.words
    (fault,) = found(harm=lambda one: setattr(one, "heard", 5.0))
    assert fault.words.endswith("overdue by 4 s")


@pytest.mark.parametrize(
    "word",
    [
        # Once may be a second in which its machine was busy, or in which it restarted.
        said(opened=1),
        # What nobody has tried again since says nothing of now.
        said(failed_ago=13.0),
        said(why="unreachable", seconds=3.0),
        said(why="unavailable", seconds=3.0),
        # It answers again.
        said(opened=0, why="", seconds=0.0, failed_ago=0.0),
        said(opened=0, why="", given_up=19, given_up_seconds=10),
        said(opened=0, why="", given_up=500, given_up_seconds=2),
    ],
)
def test_what_passes_is_no_fault(word: Word) -> None:
    assert found(word) == []


def store_waits(one: pb.CellStatus) -> None:
    one.cell.load.work.store.oldest_seconds = 3.0
    one.cell.load.work.oldest_load_seconds = 3.0


def test_who_waits_for_the_store_does_not_hang() -> None:
    assert found(said(), harm=store_waits) == []


def test_what_a_cell_is_at_explains_its_silence_before_it_lasts() -> None:
    assert found(said(), harm=lambda one: setattr(one.cell.load.work.store, "oldest_seconds", 1.5)) == []
    assert found(said(), harm=run(seconds=1.0)) == []


def test_a_model_that_loads_for_long_is_named() -> None:
    (fault,) = found(said(), harm=lambda one: setattr(one.cell.load.work, "oldest_load_seconds", 4.0))
    assert "keeps callers waiting: a model has been loading for 4 s" in fault.words
    # Where nobody was kept waiting by it, it is just a large one.
    assert found(harm=lambda one: setattr(one.cell.load.work, "oldest_load_seconds", 4.0)) == []


def run(seconds: float = 0.0, stopped: int = 0) -> Harm:
    told = pb.LongRun(artifact=b"\xab" * 32, seconds=seconds, stopped=stopped)
    return lambda one: one.cell.load.work.run.CopyFrom(told)


def test_a_model_that_does_not_end_is_named_and_not_its_cell() -> None:
    (fault,) = found(said(), harm=run(seconds=4.0))
    assert fault.words == "on cell cell-1 a model has run for 4 s: artifact abababababab"
    (fault,) = found(harm=run(stopped=3))
    assert (
        "runs of a model are stopped since they do not end, 3 in the last 10 s: artifact abab" in fault.words
    )
    assert found(harm=run(seconds=2.0)) == found(harm=run(stopped=1)) == []


def test_a_cell_that_cannot_be_connected_to_or_refuses_all_is_named_after_a_while() -> None:
    (fault,) = found(said(why="unreachable", seconds=5.0))
    assert "cannot be connected to at h:1: router h:1 tried for 5 s, though it reports" in fault.words
    refusing = said(why="unavailable", seconds=5.0)
    (fault,) = found(refusing)
    assert "turns requests away: router h:1 got nothing else for 5 s" in fault.words
    # That is what draining is.
    (note,) = found(refusing, harm=lambda one: setattr(one.cell, "state", "draining"))
    assert not note.is_wrong


def test_a_cell_that_answers_others_and_is_slow_is_named() -> None:
    words = [said(opened=0, why="", given_up=15, given_up_seconds=4), said(opened=0, why="", given_up=10)]
    (fault,) = found(*words)
    assert "cell-1 is slow: of the calls to it in the last 10 s, 25 got no answer" in fault.words
    assert found(*words, harm=store_waits) == []


def missing(left: float | None) -> list[Fault]:
    told = pb.CellStatus(cell=pb.Cell(id="cell-1"), seated=True, seat_zone="a", left=left)
    return list(of_cell("cell-1", told, ()))


def test_a_cell_that_left_a_moment_ago_may_come_back() -> None:
    (note,) = missing(2.0)
    assert (note.is_wrong, note.words) == (False, "cell cell-1 has just left: it may come back at once")
    for left in (5.0, None):
        (fault,) = missing(left)
        assert "has a seat and is not registered" in fault.words
        assert fault.is_wrong
