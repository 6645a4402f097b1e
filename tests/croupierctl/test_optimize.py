from croupier.errors import FailedPrecondition
from protos.versions.v1 import versions_pb2 as pb

PROPOSAL = pb.OptimizeShardsResponse(
    active=3,
    overrides={
        "acme": pb.Override(pins=["cell-1", "cell-2"]),
        "beta": pb.Override(pins=["cell-3"], excludes=["cell-4"]),
    },
    balance_before=1.385,
    balance_after=1.093,
)


def test_pins_are_proposed(manager, run):
    manager.proposal = PROPOSAL
    lines = [" ".join(line.split()) for line in run("shards", "optimize", "--most", 7).out.splitlines()]
    assert lines == [
        "tenant pins",
        "acme cell-1, cell-2",
        "beta cell-3",
        "",
        "the heaviest cell of generation 3 carries 1.385 times the mean, with these 1.093 times",
    ]
    assert manager.asked.most == 7


def test_programs_get_overrides_of_a_shard_map(manager, ask):
    manager.proposal = PROPOSAL
    told = ask("shards", "optimize")
    assert (told["active"], told["balance_after"]) == (3, 1.093)
    assert told["overrides"]["beta"] == {
        "pins": ["cell-3"],
        "excludes": ["cell-4"],
        "hand_size": 0,
        "isolation_group": "",
    }


def test_nothing_may_be_better_than_what_is_dealt(manager, run):
    assert "no pins would spread the load better" in run("shards", "optimize").err


def test_without_rates_there_is_something_to_do(manager, run):
    manager.failures = [FailedPrecondition("no router tells of requests lately", reason="NO_RATES")]
    assert "croupierctl top" in run("shards", "optimize", code=1).err


def test_pins_become_the_next_generation(fleet, run, ask):
    run("cells", "add", "--all", "--hand-size", 3)
    fleet.proposal = PROPOSAL
    said = run("shards", "optimize", "--apply", "--dry-run")
    assert "+ override acme: pins cell-1, cell-2" in said.out
    assert len(fleet.generations) == 1
    assert ask("shards", "optimize", "--apply")["generation"] == 2
    assert [*fleet.generations[-1].overrides["beta"].excludes] == ["cell-4"]
    assert fleet.changes[-1].reason == "shards optimize --most 256 --apply"
