import pytest

from protos.versions.v1 import versions_pb2 as pb


@pytest.fixture
def seated(fleet, run):
    run("cells", "add", "--all", "--hand-size", 3)
    fleet.models["acme", "wine"] = pb.Model(tenant="acme", name="wine")
    return fleet


def rule(fleet, tenant="acme"):
    return fleet.generations[-1].overrides[tenant]


def test_a_tenant_gets_rules_of_its_own(seated, run, ask):
    made = ask("tenants", "hand", "acme", "--size", "50%", "--min", 2, "--exclude", "cell-1")
    assert made["changes"] == ["+ override acme: excludes cell-1; hand size 50 % of the cells, at least 2"]
    assert (rule(seated).hand_percent, rule(seated).hand_min, rule(seated).hand_size) == (50, 2, 4)
    assert seated.changes[-1].reason == "tenants hand acme --size 50% --min 2 --exclude cell-1"
    ask("tenants", "hand", "acme", "--group", "banks", "--pin", "cell-3")
    assert (rule(seated).isolation_group, [*rule(seated).pins], [*rule(seated).excludes]) == (
        "banks",
        ["cell-3"],
        ["cell-1"],
    )
    ask("tenants", "hand", "acme", "--clear", "--size", 5)
    assert rule(seated) == pb.Override(hand_size=5)
    ask("tenants", "hand", "acme", "--clear")
    assert not seated.generations[-1].overrides


def test_a_tenant_gets_cells_of_its_own_out_of_its_hand(seated, run, ask):
    hand = {one["cell"] for one in ask("hand", "acme")["cells"]}
    ask("tenants", "isolate", "acme", "--cells", 2)
    own = {seat.cell for seat in seated.generations[-1].seats if seat.dedicated == "acme"}
    assert len(own) == 2
    assert own < hand
    assert {one["cell"] for one in ask("hand", "acme")["cells"]} == own
    ask("tenants", "isolate", "acme", "--cells", 0)
    assert {one["cell"] for one in ask("hand", "acme")["cells"]} == hand


def test_a_tenant_that_is_not_there_is_said_to_be_none(seated, run):
    """It may get its rules before its first model; but cells are not taken from others for a typing error."""
    assert "there is no tenant acmee" in run("tenants", "hand", "acmee", "--size", 2).err
    assert rule(seated, "acmee").hand_size == 2
    said = run("tenants", "isolate", "acmee", "--cells", 2, code=1)
    assert "there is no tenant acmee: none has a model here" in said.err
    run("tenants", "isolate", "acmee", "--cells", 2, "--force", "its models come tomorrow")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("hand acme --pin cel-7", "cel-7 has no seat in generation 1: did you mean cell-7?"),
        ("hand acme --size 44", "a hand of 44 is larger than all that is dealt, 8 cells"),
        ("hand ../acme --size 2", "tenant"),
        ("isolate acme --cells 8", "none is left for all others"),
        ("isolate acme --cells 9", "8 cells can be dedicated to acme, and not 9"),
    ],
)
def test_what_cannot_be_meant_is_refused(seated, run, words, said):
    assert said in run("tenants", *words.split(), code=1).err
    assert len(seated.generations) == 1


@pytest.mark.parametrize(
    "words",
    ["hand acme", "hand acme --size 101%", "hand acme --size -1", "hand acme --min 3", "isolate acme"],
)
def test_a_wrong_command_line(run, words):
    run("tenants", *words.split(), code=2)
