"""`croupierctl why` as people and programs see it."""

from __future__ import annotations

import json
import threading
from typing import Any

import grpc
import pytest
from click.testing import Result
from support.ports import free_port
from support.statuses import router, status
from support.version_manager_fake import FakeManager
from typer.testing import CliRunner

from croupier.errors import InternalError
from croupierctl import output, why
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
    for one_router in manager.status.routers:
        one_router.report.troubles.CopyFrom(pb.RouterTroubles(most_in_flight=4096))
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


def restart(known: Any, **calls: Any) -> None:
    """Have the manager answer some calls in another way."""
    for name, call in calls.items():
        setattr(known, name, call)
    known.__exit__()
    known.__enter__()


def refuse(code: grpc.StatusCode) -> Any:
    return lambda request, context: context.abort(code, "it refuses")


def ask_both(*managers: Any) -> Result:
    targets = ",".join(one.target for one in managers)
    return CliRunner().invoke(app, ["--manager", targets, "why", "acme"])


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


def test_what_routers_ask_of_its_cells_and_which_models_are_hot_is_told(run: Any, known: Any) -> None:
    use = pb.CellUse(cell="cell-1", in_flight=21, limit=16, latency_seconds=0.25, routers=2, limiting=1)
    known.tenant_status.uses.append(use)
    known.tenant_status.hot.add(tenant="acme", model="churn", copies=2, requests_per_second=120)
    shown = " ".join(run("why", "acme", "churn").out.split())
    assert "release 3, hot with 120 requests/s: 2 cells of its hand serve it:" in shown
    told = json.loads(run("why", "acme", "--json").out)
    assert (told["limits_in_flight"], told["hot"]) == ({"cell-1": 16}, {"churn": 2})
    of_hand = [(one["in_flight"], one["latency_seconds"]) for one in told["hand"]]
    assert of_hand == [(21, 0.25), (None, None)]


@pytest.mark.parametrize(
    ("limiting", "routers", "words"),
    [(0, 3, "21"), (1, 1, "21, at most 16"), (2, 3, "21, at most 16 of 2 of 3 routers")],
)
def test_a_limit_of_calls_in_flight_is_told_where_there_is_one(
    limiting: int, routers: int, words: str
) -> None:
    use = pb.CellUse(in_flight=21, limit=16 * bool(limiting), routers=routers, limiting=limiting)
    assert why._in_flight(use) == output.Shown(21, words)


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

    restart(known, GetUsage=hang, GetRates=fail)
    try:
        result = CliRunner().invoke(app, ["--manager", known.target, "why", "acme", "churn"])
    finally:
        hanging.set()
    shown = " ".join(result.stdout.split())
    assert "what cells have in memory is not known: it has not answered for 1.2 s" in shown
    assert "how much it asks for is not known" in shown
    assert "model churn, release 3:" in shown


def test_what_was_not_asked_for_or_is_of_a_release_before_is_no_failure(run: Any, known: Any) -> None:
    known.rates = None
    assert "is not known" not in run("why", "acme").out
    restart(known, GetUsage=refuse(grpc.StatusCode.NOT_FOUND))
    shown = run("why", "acme", "churn").out
    assert "is not known" not in shown
    # Not that nobody asked for it.
    (line,) = [line for line in shown.splitlines() if "forest" in line]
    assert line.split()[-2:] == ["unknown", "unknown"]


def test_a_manager_that_tells_no_status_may_know_the_tenant(run: Any, known: Any) -> None:
    known.status = None
    assert "generation 2 deals it 2 cells" in run("why", "acme", code=1).out


def test_of_several_managers_the_one_that_knows_most_is_believed(known: Any) -> None:
    with FakeManager() as fresh:
        fresh.status, fresh.tenant_status = known.status, pb.TenantStatus(models=1)
        for managers in ((fresh, known), (known, fresh)):
            assert "generation 2 deals it 2 cells" in ask_both(*managers).stdout


def test_who_may_not_know_of_a_tenant_is_told_so_once_all_say_it(known: Any) -> None:
    restart(known, GetTenant=refuse(grpc.StatusCode.PERMISSION_DENIED))
    denied = CliRunner().invoke(app, ["--manager", known.target, "why", "acme"])
    assert denied.exit_code != 0
    assert denied.stdout == ""
    assert "it refuses" in denied.stderr
    with FakeManager() as older:
        older.status, older.tenant_status = known.status, None
        assert "what its hand is and routers say of it is not known" in " ".join(
            ask_both(known, older).stdout.split()
        )


def test_of_rates_those_of_the_tenant_are_told(run: Any, known: Any) -> None:
    for tenant, requests in (("acme-2", 100), ("acme", 40)):
        window = pb.RateWindow(seconds=10.0, counts=pb.Counts(requests=requests))
        known.rates.rows.add(tenant=tenant, windows=[window])
    assert "in the last 10 s 40 requests" in run("why", "acme").out


def test_the_worst_of_what_routers_say_of_a_cell_is_told(run: Any, known: Any) -> None:
    known.status.routers.append(router("host:8"))
    first, second = (one.report.troubles.cells for one in known.status.routers)
    said = {"cell": "cell-1", "failed_ago": 1.0, "seconds": 1.0}
    first.add(**said, breaker="closed", why="unavailable", opened=9)
    shown = run("why", "acme").out
    assert "closed (" not in shown
    first[0].breaker, first[0].opened = "half-open", 1
    second.add(**said, breaker="open", why="unreachable", opened=2)
    assert "open (unreachable) at 2 routers" in " ".join(run("why", "acme", "--all", code=1).out.split())


def test_a_read_that_hangs_and_a_cell_that_is_away_are_seen_in_its_row(run: Any, known: Any) -> None:
    first, second = known.status.cells
    first.cell.load.work.store.CopyFrom(pb.StoreReads(mean_seconds=0.002, oldest_seconds=0.5))
    second.registered = False
    rows = json.loads(run("why", "acme", "--json", code=1).out)["hand"]
    assert (rows[0]["store_seconds"], rows[1]["state"]) == (0.5, "missing")


def test_versions_with_traffic_come_first_with_who_refuses_them(run: Any, known: Any) -> None:
    for number in (8, 9):
        known.models["acme", "churn"].versions.add(number=number, artifact=b"\xcd" * 32, engine="onnx")
    known.tenant_status.refused.add(model="other", version=8, cell="cell-2")
    rows = json.loads(run("why", "acme", "churn", "--json", code=1).out)["versions"]
    assert [row["version"] for row in rows] == [7, 9, 8]
    assert [row["refused"] for row in rows] == [[], [], []]


def test_every_row_is_shown_on_demand(run: Any, known: Any) -> None:
    known.tenant_status.hand[:] = [f"cell-{number}" for number in range(1, 17)]
    for number in range(30):
        known.tenant_status.requests.add(request_id=f"id-{number}", tenant="acme", code="OK", ago=99.0)
    brief, full = run("why", "acme").out, run("why", "acme", "--all").out
    assert (brief.count("missing"), full.count("missing")) == (10, 14)
    assert (brief.count("id-"), full.count("id-")) == (12, 30)


def test_a_code_is_not_repeated_as_its_reason(run: Any, known: Any) -> None:
    known.tenant_status.requests.add(tenant="acme", code="INTERNAL", reason="INTERNAL", ago=99.0)
    assert json.loads(run("why", "acme", "--json").out)["requests"][0]["reason"] == ""


def test_a_name_that_cannot_be_is_asked_of_nobody(run: Any, known: Any) -> None:
    asked = CliRunner().invoke(app, ["--manager", known.target, "why", "acme", "../churn"])
    assert asked.exit_code != 0
    assert "has no model" not in asked.stdout
