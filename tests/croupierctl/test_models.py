from support.version_manager_fake import cell

from protos.versions.v1 import versions_pb2 as pb


def test_models_are_listed(run, ask, packed):
    run("models", "publish", "acme", "churn", packed, "--release")
    run("models", "publish", "zeta", "fraud", packed)
    rows = ask("models", "ls")
    assert [(row["tenant"], row["model"]) for row in rows] == [("acme", "churn"), ("zeta", "fraud")]
    assert rows[0]["traffic"] == [{"version": 1, "basis_points": 10_000}]
    assert rows[1]["release"] is None
    assert [row["model"] for row in ask("models", "ls", "zeta")] == ["fraud"]
    assert "1: 100 %" in run("models", "ls").out


def test_a_list_has_the_digests_of_all_versions(run, ask, manager, other, packed):
    run("models", "publish", "acme", "churn", other, packed)
    run("release", "set", "acme", "churn", 2)
    digests = [version.artifact.hex() for version in manager.models["acme", "churn"].versions]
    (row,) = ask("models", "ls")
    assert [(one["version"], one["artifact"]) for one in row["artifacts"]] == [*enumerate(digests, 1)]
    assert row["artifacts"][0]["checked"]["library"] == "onnxruntime"
    shown = run("models", "ls").out
    assert digests[1][:12] in shown
    assert digests[0][:12] not in shown


def test_long_lists_are_paged_and_cut(manager, run, ask, packed):
    for number in range(5):
        run("models", "publish", "acme", f"m{number}", packed)
    assert len(ask("models", "ls", "--limit", 0)) == 5
    said = run("models", "ls", "--limit", 3)
    assert "there are more than 3" in said.err
    assert "m2" in said.out
    assert "m3" not in said.out


def test_an_empty_list_says_so(run):
    assert run("models", "ls").err == "no models\n"


def test_a_models_versions_are_shown(run, ask, other, packed):
    run("models", "publish", "acme", "churn", other, packed)
    run("release", "set", "acme", "churn", "--split", "1=9000", "--split", "2=10%", "--label", "new=2")
    first, second = ask("models", "show", "acme", "churn")
    assert (first["traffic"], second["traffic"]) == (9000, 1000)
    assert (first["labels"], second["labels"]) == ([], ["new"])
    assert len(first["artifact"]) == 64
    shown = run("models", "show", "acme", "churn").out
    assert "2020-09-13 12:26:40Z" in shown
    assert "onnxruntime 1.32.0, 400 rows, within 0e+00" in shown
    assert first["compared"]["made"] == 400


def test_a_version_shows_the_cells_that_quarantined_it(run, ask, manager, other, packed):
    run("models", "publish", "acme", "churn", other, packed)
    artifact = manager.models["acme", "churn"].versions[1].artifact
    manager.cells = [
        cell(1, "zone-a"),
        cell(2, "zone-a", load=pb.Load(quarantined=[pb.Quarantined(artifact=artifact)])),
    ]
    assert [row["quarantined_by"] for row in ask("models", "show", "acme", "churn")] == [[], ["cell-2"]]


def test_removing_asks_first(manager, run, packed):
    run("models", "publish", "acme", "churn", packed)
    assert run("models", "rm", "acme", "churn", code=1, input="n\n")
    assert manager.models
    run("models", "rm", "acme", "churn", input="y\n")
    assert manager.models == {}


def test_who_removes_a_model_is_told_what_traffic_it_gets(manager, run, other, packed):
    run("models", "publish", "acme", "churn", other, packed)
    nothing = "nothing is released, so that it gets requests for exact versions only"
    assert nothing in run("models", "rm", "acme", "churn", code=1, input="n\n").err
    run("release", "set", "acme", "churn", "--split", "1=90%", "--split", "2=10%", "--label", "next=2")
    asked = run("models", "rm", "acme", "churn", code=1, input="n\n").err
    assert "release 1 serves it: version 1 90 %, version 2 10 %" in asked
    asked = run("models", "rm", "acme", "churn", "--version", 2, code=1, input="n\n").err
    assert "release 1 gives it 10 % of the model's requests and those for label next" in asked
    run("release", "set", "acme", "churn", 1, "--unlabel", "next")
    said = run("models", "rm", "acme", "churn", "--version", 2, "--yes").err
    assert said == (
        "removed version 2 of acme's model churn: release 2 gives it no request without a version; "
        "no cell of its tenant is active\n"
    )


def test_one_version_is_removed(manager, run, other, packed):
    run("models", "publish", "acme", "churn", other, packed)
    run("models", "rm", "acme", "churn", "--version", 1, "--yes")
    assert [version.number for version in manager.models["acme", "churn"].versions] == [2]


def test_a_model_that_is_not_there(run):
    said = run("models", "rm", "acme", "nothing", "--yes", code=1)
    assert "error: tenant acme has no model nothing" in said.err
