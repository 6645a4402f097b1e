"""Whom the command line asks, and what it says when they do not answer."""

import pytest
from support.certificates import Authority
from support.ports import free_port

from croupier import errors
from croupier.errors import InvalidRequest, Unavailable
from croupier.grpcio.manager import VersionManagerClient
from croupierctl.servers import MANAGER, ROUTER, Servers, ServerUnavailable, ask_manager, begin, current


@pytest.fixture
def told():
    """Sets whom verbs see, and takes it back."""
    before = current()
    yield begin
    begin(before)


def test_verbs_see_what_the_root_was_told(told):
    told(Servers(manager="m:1", as_json=True))
    assert current() == Servers("m:1", ROUTER, as_json=True)
    told(Servers())
    assert (current().manager, current().router, current().ca) == (MANAGER, ROUTER, None)


def test_the_manager_is_asked(told, fleet):
    told(Servers(fleet.target))
    assert [cell.id for cell in ask_manager(VersionManagerClient.list_cells)] == [
        cell.id for cell in fleet.cells
    ]


def test_what_it_answers_is_raised(told, manager):
    told(Servers(manager.target))
    manager.failures.append(errors.Conflict("stale", reason="STALE", current="7"))
    with pytest.raises(errors.Conflict, match="stale") as refused:
        ask_manager(VersionManagerClient.list_cells)
    assert (refused.value.reason, refused.value.metadata) == ("STALE", {"current": "7"})


def test_a_manager_that_is_not_there_is_named(told):
    target = f"127.0.0.1:{free_port()}"
    told(Servers(target))
    with pytest.raises(ServerUnavailable, match=f"the version manager at {target} is unavailable") as refused:
        ask_manager(VersionManagerClient.list_cells)
    assert refused.value.metadata == {"target": target}


def test_a_manager_that_answers_is_not_unavailable(told, manager):
    """What it cannot do now is told as that."""
    told(Servers(manager.target))
    manager.failures.append(Unavailable("etcd: no connection", reason="ETCD_UNAVAILABLE"))
    with pytest.raises(Unavailable, match=r"^etcd: no connection$") as refused:
        ask_manager(VersionManagerClient.list_cells)
    assert not isinstance(refused.value, ServerUnavailable)


def test_of_several_managers_one_that_answers_is_enough(told, manager):
    told(Servers(f"127.0.0.1:{free_port()},{manager.target}"))
    assert list(ask_manager(VersionManagerClient.list_cells)) == []


@pytest.mark.parametrize("missing", ["ca", "certificate", "key"])
def test_a_file_that_cannot_be_read_is_named_before_anybody_is_asked(told, tmp_path, missing):
    authority = Authority(tmp_path)
    caller = authority.issue("caller")
    files = {"ca": authority.certificate, "certificate": caller.certificate, "key": caller.key}
    told(Servers("nobody:1", **{**files, missing: tmp_path / "missing.pem"}))
    with pytest.raises(InvalidRequest, match=r"cannot read .*missing.pem: No such file"):
        ask_manager(VersionManagerClient.list_cells)


@pytest.mark.parametrize("half", ["certificate", "key"])
def test_half_of_a_certificate_is_refused(told, tmp_path, half):
    told(Servers("nobody:1", ca=tmp_path / "ca.pem", **{half: tmp_path / "half.pem"}))
    with pytest.raises(InvalidRequest, match="go together"):
        ask_manager(VersionManagerClient.list_cells)
