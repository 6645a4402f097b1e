"""What is told of ramps and of the generations that were."""

from dataclasses import replace

from support.records import generation

from protos.versions.v1 import versions_pb2 as pb
from version_manager.cells.handover import Progress
from version_manager.map.records import Active
from version_manager.shard_answers import history, ramp_to_pb


def test_a_ramp_is_told_as_it_is_kept():
    told = ramp_to_pb(Active(3, 2, 250, 600.0, "errors", "ann", "more", 7.0))
    assert told == pb.Ramp(
        active=3,
        previous=2,
        basis_points=250,
        seconds=600,
        paused="errors",
        author="ann",
        reason="more",
        at=7,
    )


def test_there_is_no_history_before_the_first_generation():
    assert history({}) == pb.ShardHistory()


def test_each_generation_is_compared_with_the_one_before_it_that_is_there():
    many = [f"cell-{number}" for number in range(50)]
    archive = {
        9: generation(9, *many),
        2: generation(2, "cell-1"),
        4: replace(generation(4, "cell-1", "x"), author="ann", reason="more", at=7.0),
    }
    found = history(archive).generations
    assert [one.number for one in found] == [9, 4, 2]
    assert [one.changes_total for one in found] == [50, 1, 0]
    assert [len(one.changes) for one in found] == [20, 1, 0]
    assert (found[1].author, found[1].reason, found[1].at) == ("ann", "more", 7.0)


def test_a_ramp_that_waits_says_for_how_much():
    told = ramp_to_pb(Active(2, 1, 0, 60.0), Progress(3, 9))
    assert (told.warmed, told.to_warm) == (3, 9)
    assert not ramp_to_pb(Active(2, 1, 0, 60.0)).to_warm
