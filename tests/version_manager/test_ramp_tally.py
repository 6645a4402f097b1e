"""Counts of cells that come, go and begin anew."""

from types import SimpleNamespace

from croupier.latencies import BUCKETS
from protos.versions.v1 import versions_pb2 as pb
from version_manager.model.fleet import Cell, Load
from version_manager.ramp_tally import Tally


def cell(requests: int, hits: int, work: pb.Work | None = None) -> SimpleNamespace:
    return SimpleNamespace(cell=Cell("a", "z", "", load=Load(requests=requests, hits=hits)), work=work)


def loaded(*counts: int, first: int = 10) -> pb.Work:
    return pb.Work(first_load_bucket=first, load_buckets=counts)


class Heard:
    def __init__(self) -> None:
        self.heard: dict[str, SimpleNamespace] = {}
        self.tally = Tally(self)  # type: ignore[arg-type]

    def after(self, **cells: SimpleNamespace) -> tuple[int, int, dict[int, int]]:
        """Requests, hits and loads by bucket once the cells told this."""
        self.heard = cells
        found = self.tally.sample(7, 1)
        assert (found.requests, found.failed, len(found.loads)) == (7, 1, BUCKETS)
        return found.asked, found.hits, {place: count for place, count in enumerate(found.loads) if count}


def test_what_was_counted_before_a_cell_was_heard_is_left_out() -> None:
    heard = Heard()
    assert heard.after(a=cell(100, 90, loaded(5))) == (0, 0, {})
    assert heard.after(a=cell(110, 95, loaded(6)), b=cell(1_000, 1_000, loaded(8))) == (10, 5, {10: 1})


def test_of_a_cell_that_began_anew_all_counts() -> None:
    heard = Heard()
    heard.after(a=cell(100, 90, loaded(5, 5)))
    assert heard.after(a=cell(4, 2, loaded(5, 6))) == (4, 2, {10: 5, 11: 6})
    # It served more than before already, and loads tell.
    assert heard.after(a=cell(9, 9, loaded(1, first=11))) == (13, 11, {10: 5, 11: 7})
    assert heard.after(a=cell(1, 1, pb.Work())) == (14, 12, {10: 5, 11: 7})
    # More requests than before, but fewer hits.
    assert heard.after(a=cell(9, 0, pb.Work())) == (23, 12, {10: 5, 11: 7})
    # Fewer, and as many hits.
    assert heard.after(a=cell(3, 0, pb.Work())) == (26, 12, {10: 5, 11: 7})


def test_as_many_loads_elsewhere_are_those_of_a_cell_that_began_anew() -> None:
    heard = Heard()
    heard.after(a=cell(0, 0, loaded(5, first=10)))
    assert heard.after(a=cell(0, 0, loaded(5, first=9))) == (0, 0, {9: 5})


def test_what_is_told_with_other_ends_is_counted_by_its_buckets() -> None:
    heard = Heard()
    heard.after(a=cell(0, 0, loaded(5, first=10)))
    assert heard.after(a=cell(0, 0, loaded(1, 0, 7, first=8))) == (0, 0, {8: 1, 10: 2})


def test_a_cell_that_is_gone_takes_nothing_away_and_one_of_the_release_before_tells_no_loads() -> None:
    heard = Heard()
    heard.after(a=cell(0, 0, loaded()), b=cell(0, 0))
    assert heard.after(a=cell(5, 5, loaded(3)), b=cell(2, 1, pb.Work(loaded=9))) == (7, 6, {10: 3})
    assert heard.after() == (7, 6, {10: 3})
    assert heard.after(a=cell(9, 9, loaded(9))) == (7, 6, {10: 3})


def test_nonsense_counts_nothing_that_has_no_bucket() -> None:
    heard = Heard()
    heard.after(a=cell(0, 0, loaded()))
    assert heard.after(a=cell(0, 0, loaded(1, 1, first=BUCKETS - 1))) == (0, 0, {BUCKETS - 1: 1})
