import pytest

from protos.versions.v1 import versions_pb2 as pb


@pytest.fixture
def churn(fleet, run):
    versions = [pb.Version(number=n, artifact=bytes([n]) * 32, size=10, engine="onnx") for n in (1, 2)]
    fleet.models["acme", "churn"] = pb.Model(tenant="acme", name="churn", versions=versions)
    run("release", "set", "acme", "churn", "--split", "1=9000", "--split", "2=1000")
    run("cells", "add", "--all", "--hand-size", 3)
    run("shards", "hand-size", 2)
    return fleet


def test_every_decision_is_a_line(churn, run):
    lines = run("explain", "acme", "churn", "--key", "user-7").out.splitlines()
    abouts = [line[:13].strip() for line in lines]
    expected = ["release", "version", "artifact", "hand", "deal", "previous hand", "order"]
    assert abouts == [*expected, "cell", "cell", "cell"]
    assert "key user-7 falls on point" in lines[1]
    assert "generation 2 deals 2 cells" in lines[3]
    assert "is asked now" in lines[7]


def test_programs_get_the_facts(churn, ask):
    printed = ask("explain", "acme", "churn", "--version", 2)
    by_about = {decision["about"]: decision for decision in printed["decisions"]}
    assert by_about["artifact"]["artifact"] == "02" * 32
    assert by_about["version"]["rule"] == "exact"
    asked = [decision["cell"] for decision in printed["decisions"] if decision.get("asked")]
    assert asked == by_about["order"]["cells"][:1]


def test_a_fleet_without_a_shard_map(churn, run):
    churn.generations.clear()
    said = run("explain", "acme", "churn", code=1)
    assert "hint: seat the cells" in said.err


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["acme", "nothing"], "has no model nothing"),
        (["acme", "churn", "--label", "old"], "no label old"),
        (["acme", "../churn"], "slash"),
        (["acme", "churn", "--label", "x", "--version", "1"], "not both"),
    ],
)
def test_what_cannot_be_routed(churn, run, words, problem):
    assert problem in run("explain", *words, code=1).err


def test_the_generation_before_need_not_be_one_less(churn, run):
    churn.previous = 1
    churn.generations.append(churn.generations[-1])
    churn.generations[-1].number = 3
    assert "generation 1 dealt" in run("explain", "acme", "churn").out
