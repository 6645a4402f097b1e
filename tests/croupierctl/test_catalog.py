from protos.versions.v1 import versions_pb2 as pb


def test_what_was_repaired_is_told(fleet, ask, run):
    run("cells", "add", "--all")
    fleet.damaged = ["croupier/models/acme/churn/release", "croupier/shards/active"]
    fleet.beyond_repair = ["croupier/what"]
    assert ask("shards", "repair") == {
        "generation": 1,
        "seats": 8,
        "repaired": ["croupier/shards/active"],
        "left": ["croupier/what"],
    }
    said = run("catalog", "repair")
    assert "croupier/models/acme/churn/release" in said.out
    assert "no good value is known" in said.err
    assert "nothing was to be repaired" in run("catalog", "repair").err


FREEZE = pb.Freeze(
    frozen=True,
    why="etcd lost 300 of 300 models at once",
    lost_models=300,
    models=[pb.ModelKey(tenant="acme", name=f"m{number}") for number in range(100)],
    cluster="00000000000000ab",
    revision=812,
)


def test_a_freeze_is_shown(fleet, ask, run):
    assert ask("catalog", "status")["frozen"] is False
    fleet.freeze = FREEZE
    printed = ask("catalog", "status")
    assert (printed["lost_models"], len(printed["models"]), printed["revision"]) == (300, 100, 812)
    assert "acme/m99 and 200 more" in run("catalog", "status").out


def test_a_thaw_shows_what_is_lost_and_asks(fleet, run, ask):
    fleet.freeze = FREEZE
    said = run("catalog", "thaw", "--reason", "a drill", code=1, input="n\n")
    assert "etcd lost 300 of 300 models" in said.out
    assert not fleet.thaws
    run("catalog", "thaw", "--reason", "a drill", input="y\n")
    (asked,) = fleet.thaws
    assert (asked.reason, asked.cluster, asked.revision) == ("a drill", "00000000000000ab", 812)
    assert "nothing to thaw" in run("catalog", "thaw", "--reason", "again", "--yes", code=1).err


def test_programs_say_yes_and_everybody_says_why(fleet, run, ask):
    fleet.freeze = FREEZE
    run("catalog", "thaw", "--yes", code=2)
    run("catalog", "thaw", "--reason", "a drill", "--json", code=2)
    assert ask("catalog", "thaw", "--reason", "a drill", "--yes")["lost_models"] == 300


def test_what_was_lost_meanwhile_is_still_frozen(fleet, run):
    fleet.freeze = FREEZE
    fleet.still_frozen = pb.Freeze(frozen=True, why="etcd lost 5 of 7 models at once")
    said = run("catalog", "thaw", "--reason", "a drill", "--yes", code=1).err
    assert "still frozen: etcd lost 5 of 7 models" in said
    assert "hint: see what etcd lost: croupierctl catalog status" in said
