"""The command line against a real fleet."""

import json

import pytest
from support.waiting import wait_until
from typer.testing import CliRunner

from croupier.artifacts.checked import with_checked
from croupier.artifacts.comparison import Comparison
from croupier_client import Client, Item
from croupierctl.app import app

pytestmark = pytest.mark.system


@pytest.fixture
def run(stack):
    def call(*words, code=0):
        options = ["--json", "--manager", stack.manager, "--router", stack.router]
        result = CliRunner().invoke(app, [*options, *map(str, words)])
        assert result.exit_code == code, (result.stdout, result.stderr, result.exception)
        return json.loads(result.stdout) if result.stdout else result.stderr

    return call


@pytest.fixture
def artifact(wine, tmp_path):
    path = tmp_path / "wine.artifact"
    path.write_bytes(with_checked(wine.artifact, Comparison("sklearn", "1.9.1", 0, 400, 1e-6)))
    return path


def test_a_model_from_publishing_to_removal(run, artifact, wine):
    row = ",".join(str(value) for value in wine.rows[0])
    tenant = "ctl"
    (found,) = run("models", "publish", tenant, "wine", artifact)
    assert found["engine"] == "onnx"
    assert "no release" in run("predict", tenant, "wine", "--row", row, code=1)
    released = run("release", "set", tenant, "wine", 1, "--label", "stable=1")
    assert released["release"] == 1
    asked = ("predict", tenant, "wine", "--row", row, "--min-revision", released["revision"])
    assert run(*asked)["version"] == 1
    answer = run("predict", tenant, "wine", "--row", row, "--label", "stable")
    assert answer["outputs"]["probabilities"] == pytest.approx(wine.probabilities[0].tolist(), abs=1e-5)
    assert "names version 1" in run("models", "rm", tenant, "wine", "--version", 1, "--yes", code=1)
    removed = run("models", "rm", tenant, "wine", "--yes")
    used = [version["requests"] for cell in removed["usage"] for version in cell["versions"]]
    # All of its hand loaded it before it was released.
    assert (len(used), sum(used)) == (len(removed["usage"]), 2)
    assert run("models", "ls", tenant) == []


def test_a_cell_loads_what_it_is_told_to(run, artifact, wine):
    (found,) = run("models", "publish", "ctl", "warmed", artifact)
    cell = run("hand", "ctl")["cells"][0]["cell"]
    rows = run("cells", "warm", cell, found["artifact"])
    assert rows == [{"artifact": found["artifact"], "state": "resident", "why": ""}]
    (failed,) = run("cells", "warm", cell, "00" * 32, code=1)
    assert failed["state"] == "failed"
    assert failed["why"]


def test_the_cell_that_is_explained_is_the_cell_that_answers(stack, run, artifact, wine):
    run("models", "publish", "ctl", "explained", artifact, "--release")
    decisions = run("explain", "ctl", "explained", "--key", "user-7")["decisions"]
    (asked,) = [decision["cell"] for decision in decisions if decision.get("asked")]
    assert asked in [cell["cell"] for cell in run("hand", "ctl")["cells"]]

    def requests():
        (found,) = [cell["requests"] for cell in run("cells", "ls") if cell["cell"] == asked]
        return found

    before = requests()
    with Client(stack.router, tenant="ctl") as client:
        wait_until(lambda: client.predict("explained", wine.rows[0]).version == 1, "it is routed")
        client.predict_many([Item("explained", row) for row in wine.rows])
    wait_until(lambda: requests() >= before + len(wine.rows), f"{asked} reports that it was asked")


def test_the_shard_map_is_shown(run):
    shown = run("shards", "show")
    assert {seat["cell"] for seat in shown["seats"]} == {cell["cell"] for cell in run("cells", "ls")}
    assert shown["hand_size"] == 2
