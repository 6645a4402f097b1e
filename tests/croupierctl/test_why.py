"""`croupierctl why` as people and programs see it."""

from __future__ import annotations

import json
import threading
from typing import Any

import pytest
from support.ports import free_port
from support.statuses import status
from typer.testing import CliRunner

from croupier.errors import InternalError
from croupierctl.app import app
from protos.versions.v1 import versions_pb2 as pb


@pytest.fixture(autouse=True)
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")


@pytest.fixture
def known(manager: Any) -> Any:
    """A manager that knows acme, with a model churn and two cells, all well."""
    manager.status = status()
    for one in manager.status.cells:
        one.cell.load.work.CopyFrom(pb.Work(seconds=10, loaded=5, store=pb.StoreReads()))
    for router in manager.status.routers:
        router.report.troubles.CopyFrom(pb.RouterTroubles(most_in_flight=4096))
    manager.tenant_status = pb.TenantStatus(
        models=1, generation=2, hand=["cell-1", "cell-2"], routers=1, routers_telling=1
    )
    version = pb.Version(number=7, artifact=b"\xab" * 32, size=1000, engine="forest")
    release = pb.Release(number=3, splits=[pb.Split(version=7, basis_points=10_000)])
    manager.models["acme", "churn"] = pb.Model(
        tenant="acme", name="churn", versions=[version], release=release
    )
    used = [pb.VersionUsage(version=7, requests=120, idle_seconds=2.0)]
    manager.usage = pb.Usage(cells=[pb.CellUsage(cell="cell-1", versions=used), pb.CellUsage(cell="cell-2")])
    return manager


def test_a_tenant_that_is_well_is_told_so(run: Any, known: Any) -> None:
    shown = run("why", "acme").out
    assert "tenant acme: 1 model; generation 2 deals it 2 cells" in shown
    for word in ("cell-1", "cell-2", "50% of 1 kB", "closed", "30"):
        assert word in shown
    assert "All is well." in shown


def test_a_model_is_told_with_its_versions_and_where_they_are(run: Any, known: Any) -> None:
    shown = run("why", "acme", "churn").out
    assert "model churn, release 3:" in shown
    (line,) = [line for line in shown.splitlines() if "forest" in line]
    assert line.split() == ["7", "100", "%", "forest", "1", "kB", "cell-1", "120"]


def test_programs_get_all_of_it(ask: Any, known: Any) -> None:
    told = ask("why", "acme", "churn")
    assert (told["well"], told["faults"], told["tenant"], told["models"]) == (True, [], "acme", 1)
    assert [cell["cell"] for cell in told["hand"]] == ["cell-1", "cell-2"]
    assert told["hand"][0]["cold_loads_a_minute"] == 30
    assert told["versions"][0]["resident"] == ["cell-1"]
    assert told["requests"] == []


def test_what_is_wrong_is_told_with_the_latest_requests_and_by_the_exit_code(run: Any, known: Any) -> None:
    known.tenant_status.requests.add(
        request_id="id-\x1b[31m\n7",
        tenant="acme",
        model="churn",
        code="UNAVAILABLE",
        reason="CELL_UNREACHABLE",
        seconds=1.5,
        cells=["cell-1"],
        attempts=2,
        ago=3.0,
    )
    trouble = pb.CellTrouble(cell="cell-1", breaker="open", why="silent", opened=2, seconds=4, failed_ago=1)
    known.status.routers[0].report.troubles.cells.append(trouble)
    known.tenant_status.refused.add(
        model="churn", version=7, cell="cell-2", quarantined=pb.Quarantined(why="SIGSEGV", phase="score")
    )
    shown = run("why", "acme", "churn", code=1).out
    words = " ".join(shown.split())
    assert "\x1b" not in shown
    assert r"id-\x1b[31m\n7" in shown
    assert "1,500 ms" in shown
    assert "open (silent) at h:8500" in shown
    assert "1 of 2 cells of its hand is cooling" in words
    assert "version 7 of churn is quarantined on cell-2 (SIGSEGV at score)" in words
    assert "cell cell-1 hangs: router h:8500 had no answer from it" in words
    assert "requests end with UNAVAILABLE (CELL_UNREACHABLE) at cell-1, the last one 3 s ago" in words
    told = json.loads(run("why", "acme", "--json", code=1).out)
    assert told["requests"][0]["reason"] == "CELL_UNREACHABLE"
    assert told["hand"][0]["breaker"] == "open"


def test_what_the_release_before_does_not_tell_is_unknown_and_not_nothing(run: Any, known: Any) -> None:
    for one in known.status.cells:
        one.cell.load.ClearField("work")
    known.status.routers[0].report.ClearField("troubles")
    known.tenant_status.routers_telling = 0
    known.usage = None
    shown = run("why", "acme", "churn").out
    assert shown.count("unknown") >= 8
    assert "closed" not in shown
    assert "1 of 1 routers are of a release that does not tell" in " ".join(shown.split())
    told = json.loads(run("why", "acme", "--json").out)
    assert told["hand"][0]["breaker"] is told["hand"][0]["waiting_rows"] is None
    # A manager that does not know the question is no reason to say nothing.
    known.tenant_status = None
    shown = run("why", "acme", code=2).out
    assert "it is of a release before this one" in " ".join(shown.split())
    assert "Whether anything is wrong is not known." in shown
    assert json.loads(run("why", "acme", "--json", code=2).out)["well"] is None


def test_a_name_that_is_not_there_is_told_with_what_may_be_meant(run: Any, known: Any) -> None:
    known.tenant_status.models = 0
    known.tenant_status.alike.append("acme")
    assert "there is no tenant acmee: none has a model here: did you mean acme?" in " ".join(
        run("why", "acmee", code=1).out.split()
    )
    known.tenant_status.models = 1
    shown = " ".join(run("why", "acme", "chrun", code=1).out.split())
    assert "tenant acme has no model chrun: did you mean churn?" in shown
    assert "InvalidName" not in run("why", "../acme", code=1).err


def test_it_cannot_be_found_out_without_an_answer(run: Any, known: Any) -> None:
    gone = CliRunner().invoke(app, ["--manager", f"127.0.0.1:{free_port()}", "why", "acme"])
    assert gone.exit_code == 2
    assert "it cannot be connected to" in gone.stderr


def test_what_fails_or_hangs_keeps_the_rest_from_nobody(run: Any, known: Any) -> None:
    hanging = threading.Event()

    def hang(*_: object) -> pb.Usage:
        hanging.wait(20)
        return pb.Usage()

    def fail(*_: object) -> pb.GetRatesResponse:
        raise InternalError("broken")

    known.GetUsage, known.GetRates = hang, fail
    known.__exit__()
    known.__enter__()
    try:
        result = CliRunner().invoke(app, ["--manager", known.target, "why", "acme", "churn"])
    finally:
        hanging.set()
    shown = " ".join(result.stdout.split())
    assert "what cells have in memory is not known: it has not answered for 1.2 s" in shown
    assert "how much it asks for is not known" in shown
    assert "model churn, release 3:" in shown
