"""`croupierctl status` as people and programs see it."""

import json
import threading

import pytest
from support.ports import free_port
from support.statuses import part, status
from support.version_manager_fake import FakeManager
from typer.testing import CliRunner

from croupier.errors import PermissionDenied
from croupierctl.app import app
from protos.versions.v1 import versions_pb2 as pb


@pytest.fixture(autouse=True)
def terminal(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")


@pytest.fixture
def other(manager):
    """A second manager of the deployment, beside `manager`."""
    manager.status = status()
    with FakeManager() as fake:
        fake.status = status()
        yield fake


def test_a_well_deployment_is_told_so(run, manager):
    manager.status = status()
    shown = run("status").out
    assert "All is well." in shown
    for words in ("e:2379", "3.4.23", manager.target, "h:8500", "current", "cell-2", "active", "17 min"):
        assert words in shown
    assert all(len(line) <= 80 for line in shown.splitlines())


def test_programs_get_all_of_it(ask, manager):
    manager.status = status()
    told = ask("status")
    assert (told["well"], told["faults"], told["notes"]) == (True, [], [])
    assert told["etcd"] == [
        {"endpoint": "e:2379", "version": "3.4.23", "revision": 9, "size_bytes": 2000, "has_leader": True}
    ]
    assert told["routers"][0]["view"] == "current"
    assert [cell["cell"] for cell in told["cells"]] == ["cell-1", "cell-2"]


def test_what_is_wrong_is_told_in_lines_that_fit_and_by_the_exit_code(run, manager):
    manager.status = status()
    manager.status.bad_records.add(
        key="croupier/mod\x1b[31mels\nx", kind="release", field="lables", message="unknown field " * 20
    )
    manager.status.bad_records_total = 1
    manager.status.part.CopyFrom(part(tls_certificate=3))
    shown = run("status", code=1).out
    assert "2 things are wrong:" in shown
    assert r"1. croupier/mod\x1b[31mels x in etcd is passed over, field lables" in shown
    assert "(--tls-certificate) ends in 3 days." in " ".join(shown.split())
    assert "\x1b" not in shown
    assert all(len(line) <= 80 for line in shown.splitlines())
    told = json.loads(run("status", "--json", code=1).out)
    assert told["well"] is False
    assert [(fault["part"], fault["name"]) for fault in told["faults"]] == [
        ("record", "croupier/mod\x1b[31mels\nx"),
        ("certificate", f"version manager {manager.target}"),
    ]
    assert all(fault["advice"] for fault in told["faults"])


def test_many_faults_and_parts_are_cut_unless_all_are_asked_for(run, manager):
    manager.status = status()
    for number in range(200):
        manager.status.bad_records.add(key=f"croupier/{number:03}", kind="unknown", message="no key")
        manager.status.cells.add().CopyFrom(manager.status.cells[0])
        manager.status.cells[-1].cell.id = f"further-{number:03}"
    manager.status.bad_records_total = 5_000
    shown = run("status", code=1).out
    assert "201 things are wrong:" in shown
    assert "and 181 more: --all" in shown
    assert "and 190 more: --all" in shown
    assert len(shown.splitlines()) < 120
    shown = run("status", "--all", code=1).out
    assert "4,800 further keys" in shown
    assert "further-199" in shown


def test_notes_are_told_and_all_is_well(run, manager):
    manager.status = status()
    manager.status.cells[0].cell.state = "draining"
    shown = run("status").out
    assert "note: cell cell-1 is draining." in shown
    assert "All is well." in shown


def test_it_cannot_be_found_out_without_an_answer(run, manager):
    manager.failures.append(PermissionDenied("no"))
    assert f"version manager {manager.target}: no" in run("status", code=2).err
    manager.status = None
    assert "of a release before this one" in run("status", code=2).err
    gone = CliRunner().invoke(app, ["--manager", f"127.0.0.1:{free_port()}", "status"])
    assert gone.exit_code == 2
    assert "it cannot be connected to" in gone.stderr
    assert CliRunner().invoke(app, ["--manager", " , ", "status"]).exit_code == 1


def call(*targets: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["--manager", ",".join(targets), "status"])
    return result.exit_code, " ".join(result.stdout.split())


def test_every_manager_is_asked(manager, other):
    assert call(manager.target, other.target, manager.target)[0] == 0
    other.status.cells[0].cell.zone = "elsewhere"
    other.status.cells[0].heard = 0.1
    code, shown = call(manager.target, other.target)
    assert code == 1
    assert "cell cell-1 is in elsewhere" in shown


def test_a_manager_that_is_away_or_hangs_keeps_the_other_ones_answer_from_nobody(manager, other):
    code, shown = call(f"127.0.0.1:{free_port()}", other.target)
    assert code == 1
    assert "does not tell: it cannot be connected to" in shown
    assert "One thing is wrong" in shown
    hanging = threading.Event()

    def hang(*_: object) -> pb.Status:
        hanging.wait(20)
        return pb.Status()

    manager.GetStatus = hang
    try:
        manager.__exit__()
        manager.__enter__()
        code, shown = call(manager.target, other.target)
    finally:
        hanging.set()
    assert code == 1
    assert "does not tell: it has not answered for 1.75 s" in shown


def test_it_looks_again_until_it_is_interrupted(run, manager, monkeypatch):
    manager.status = status()
    looks = []

    def interrupt(seconds: float) -> None:
        looks.append(seconds)
        if len(looks) > 1:
            raise KeyboardInterrupt

    monkeypatch.setattr("croupierctl.status.time.sleep", interrupt)
    result = CliRunner().invoke(app, ["--manager", manager.target, "status", "--watch"])
    assert result.stdout.count("All is well.") == 2
    assert looks == [2.0, 2.0]
