def test_what_was_repaired_is_told(fleet, ask, run):
    run("shards", "set", "--from-cells")
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
