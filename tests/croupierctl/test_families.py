"""What an operator does with families, and what is printed of it."""

import pytest

from croupier.errors import Unimplemented
from croupierctl import family_file
from protos.versions.v1 import versions_pb2 as pb
from version_manager.model.family_wire import family_from_pb

FILE = """\
name: churn
owner: growth
features:
  - name: age
    low: 0
  - {name: spend, source: store, group: spending, default: 0, max_age: 7d}
log: {share: 25%}
"""


@pytest.fixture
def path(tmp_path):
    found = tmp_path / "churn.yaml"
    found.write_text(FILE)
    return found


@pytest.fixture(autouse=True)
def _ann(monkeypatch):
    monkeypatch.setattr("getpass.getuser", lambda: "ann")


def apply(run, path, text=FILE, *words, **options):
    path.write_text(text)
    return run("families", "apply", path, *words, **options)


def test_a_file_is_applied(ask, run, manager, path):
    assert ask("families", "apply", path) == {
        "family": "churn",
        "config": 1,
        "before": 0,
        "removed": False,
        "changed": ["all"],
        "dry_run": False,
        "warnings": [],
    }
    compared, asked = manager.asked_families
    assert (compared.dry_run, asked.dry_run) == (True, False)
    assert (asked.expected_number, asked.reason, asked.author) == (0, "families apply churn.yaml", "ann")
    assert family_from_pb(asked.family, 1).features == family_file.parse(FILE.encode()).features
    told = apply(run, path, FILE.replace("7d", "1h"), "--reason", "fresher").out
    assert "-  max_age: 7d" in told.replace("    ", "  ")
    assert "+  max_age: 1h" in told.replace("    ", "  ")
    assert "churn: config 2 holds, after 1" in told
    assert manager.asked_families[-1].reason == "fresher"
    assert manager.asked_families[-1].expected_number == 1


def test_it_goes_through_standard_input(run, manager):
    run("families", "apply", "-", input=FILE)
    assert manager.families["", "churn"][0].owner == "growth"


def test_of_one_model_alone(ask, run, manager, path):
    assert ask("families", "apply", path, "--model", "acme/churn")["family"] == "acme/churn"
    assert ("acme", "churn") in manager.families
    assert ask("families", "show", "acme/churn")["family"] == "acme/churn"
    for model in ("acme/fraud", "churn", "/churn", "acme/"):
        code = 1 if model == "acme/fraud" else 2
        assert "churn" in run("families", "apply", path, "--model", model, code=code).err or code == 2
    told = ask("families", "rm", "acme/churn", "--reason", "as everybody")
    assert (told["removed"], told["config"], told["changed"]) == (True, 2, ["all"])
    assert manager.asked_families[-1].family.removed


def test_a_file_that_changes_another_config_is_a_conflict(run, manager, path):
    apply(run, path)
    apply(run, path, f"number: 1\n{FILE}".replace("growth", "risk"))
    refused = apply(run, path, f"number: 1\n{FILE}", code=1).err
    assert "families diff" in refused
    assert len(manager.families["", "churn"]) == 2


def test_what_is_wrong_in_a_file_is_said(run, manager, path):
    refused = apply(run, path, FILE.replace("max_age", "max_ago"), code=1).err
    assert "features[1].max_ago: there is no such field; did you mean max_age?" in refused
    assert "families schema" in refused
    assert not manager.asked_families
    path.write_bytes(b" " * (family_file.MAX_BYTES + 1))
    assert "larger than any family" in run("families", "apply", path, code=1).err


def findings(*levels):
    told = [
        pb.Finding(level=level, feature="age", message=f"it is {at}", models=7, tenants=["acme", "zeta"])
        for at, level in enumerate(levels)
    ]
    return pb.KeptFamily(findings=told, sample=pb.Sample(models=7, models_total=1_200, artifacts=3, failed=1))


def test_a_dry_run_says_what_models_say(ask, run, manager, path):
    manager.fits = findings(pb.Finding.WARNING, pb.Finding.INFORMATION)
    told = run("families", "apply", path, "--dry-run")
    assert "churn: config 1 would hold" in told.out
    assert [line.split()[:2] for line in told.out.splitlines()[-3:]] == [
        ["level", "feature"],
        ["warning", "age"],
        ["information", "age"],
    ]
    assert (
        "compared with 7 of 1,200 models that are released, by 3 artifacts; 1 could not be read" in told.err
    )
    assert "nothing was changed" in told.err
    assert not manager.families
    found = ask("families", "apply", path, "--dry-run")
    assert found["sample"] == {"models": 7, "models_total": 1_200, "artifacts": 3, "failed": 1}
    assert found["findings"][0] == {
        "level": "warning",
        "feature": "age",
        "what": "it is 0",
        "models": 7,
        "tenants": ["acme", "zeta"],
    }
    manager.fits = pb.KeptFamily()
    assert "nothing to compare with" in run("families", "apply", path, "--dry-run").err


def test_a_dry_run_fails_where_requests_would(run, manager, path):
    manager.fits = findings(pb.Finding.ERROR, pb.Finding.WARNING)
    told = run("families", "apply", path, "--dry-run", code=1)
    assert "error" in told.out
    assert "with this config requests would fail: see the errors above" in told.err


def test_what_requests_would_fail_for_is_applied_only_unchecked(run, manager, path):
    manager.fits = findings(pb.Finding.ERROR)
    told = run("families", "apply", path, code=1)
    assert "requests would fail" in told.err
    assert "nothing was changed" in told.err
    assert "would hold" in told.out
    assert not manager.families
    manager.fits = findings(pb.Finding.WARNING)
    assert "config 1 holds" in run("families", "apply", path).out
    manager.fits = findings(pb.Finding.ERROR)
    assert "config 2 holds" in apply(run, path, FILE.replace("7d", "1h"), "--unchecked").out


def test_what_is_shown_can_be_applied(ask, run, manager, path):
    apply(run, path)
    shown = run("families", "show", "churn", "--as-file").out
    assert family_file.parse(shown.encode()).number == 1
    told = apply(run, path, shown)
    assert "churn: config 2 holds, after 1" in told.out
    assert not [line for line in told.out.splitlines() if line.startswith(("+", "-"))]
    assert ask("families", "show", "churn", "--as-file")["name"] == "churn"


def test_what_holds_is_shown(ask, run, manager, path):
    apply(run, path)
    told = run("families", "show", "churn").out
    lines = [line.split() for line in told.splitlines()]
    assert ["owner", "growth"] in lines
    assert ["log", "25", "%", "of", "requests"] in lines
    assert ["age", "number", "request", "required", "0", "…"] in lines
    assert ["spend", "number", "store", "spending", "of", "{entity_id}", "0", "7d"] in lines
    found = ask("families", "show", "churn")
    assert (found["config"], found["author"], len(found["features"])) == (1, "ann", 2)
    assert ask("families", "ls")[0]["family"] == "churn"
    assert ask("families", "ls", "acme") == []
    assert run("families", "ls").out.split()[:3] == ["family", "config", "features"]
    assert "25 %" in run("families", "ls").out


def test_history_diff_and_rollback(ask, run, manager, path):
    for owner in ("growth", "risk", "risk"):
        apply(run, path, FILE.replace("growth", owner))
    run("families", "rm", "churn")
    rows = ask("families", "history", "churn")
    assert [(row["config"], row["changed"]) for row in rows] == [
        (4, "taken away"),
        (3, ""),
        (2, "owner"),
        (1, ""),
    ]
    assert ask("families", "diff", "churn", 1, 2)["changed"] == ["owner"]
    told = run("families", "diff", "churn", 1, 2).out.splitlines()
    assert told[:2] == ["--- config 1", "+++ config 2"]
    assert {"-owner: growth", "+owner: risk"} < set(told)
    assert "says what 2 does" in run("families", "diff", "churn", 2, 3).err
    assert "taken away by config 4" in run("families", "show", "churn", code=1).err
    assert ask("families", "show", "churn", "--number", 1)["owner"] == "growth"
    assert "config 5 would hold" in run("families", "rollback", "churn", "--to", 1, "--dry-run").out
    assert ask("families", "rollback", "churn", "--to", 1)["config"] == 5
    assert manager.families["", "churn"][0].owner == "growth"
    assert manager.asked_families[-1].expected_number == 4
    assert "families ls" in run("families", "rollback", "fraud", code=1).err


def test_the_form_of_the_file_is_told(ask):
    assert "FileFeature" in ask("families", "schema")["$defs"]


def test_a_manager_of_the_release_before_is_told_so(run, manager, path):
    manager.failures = [Unimplemented("what?")]
    assert run("families", "ls", code=1).err
