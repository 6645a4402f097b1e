import pytest

from croupier.errors import InternalError
from croupier.roles import Caller, Role
from croupier.stores.etcd_errors import EtcdPermissionDenied, EtcdUnauthenticated
from version_manager.calling import actor_of, own_faults
from version_manager.map.audit import Actor


class Context:
    def peer(self) -> str:
        return "ipv4:10.0.0.1:5"


def test_whoever_calls_is_an_actor() -> None:
    caller = Caller(Role.OPERATOR, "sre", frozenset())
    assert actor_of(lambda context: caller, Context()) == Actor(str(caller), "ipv4:10.0.0.1:5")  # type: ignore[arg-type]
    assert actor_of(lambda context: None, Context()).name == ""  # type: ignore[arg-type]


@pytest.mark.parametrize("error", [EtcdUnauthenticated, EtcdPermissionDenied])
def test_that_etcd_refuses_the_manager_is_not_the_callers_fault(error: type[Exception]) -> None:
    with pytest.raises(InternalError), own_faults():
        raise error("no")
