"""How a server ended a call while it was sent to: streams of predictions and the control plane's alike."""

import grpc
import pytest

from croupier.grpcio import ending as fleet
from croupier_client import ending as sdk

REPLACED = "Internal error from Core"
BOTH = pytest.mark.parametrize("ending", [fleet, sdk])


class Call:
    """A call of grpc.aio, which runs its callbacks for each status that is set."""

    def __init__(self):
        self.callbacks = []

    def add_done_callback(self, callback):
        self.callbacks.append(callback)

    def set_status(self, code, details):
        self.status = code, details
        for callback in self.callbacks:
            callback(self)

    async def code(self):
        return self.status[0]

    async def details(self):
        return self.status[1]

    async def trailing_metadata(self):
        return None


def shown(code, details):
    return grpc.aio.AioRpcError(code, grpc.aio.Metadata(), grpc.aio.Metadata(), details)


INTERNAL = shown(grpc.StatusCode.INTERNAL, REPLACED)


@BOTH
async def test_what_was_not_replaced_is_the_servers_own(ending):
    found = await ending.Ending(Call()).error(shown(grpc.StatusCode.NOT_FOUND, "no such model"))
    assert (type(found).__name__, str(found)) == ("NotFound", "no such model")


@BOTH
async def test_the_servers_own_status_is_seen_before_it_is_replaced(ending):
    call = Call()
    watched = ending.Ending(call)
    call.set_status(grpc.StatusCode.PERMISSION_DENIED, "not yours")
    call.set_status(grpc.StatusCode.INTERNAL, REPLACED)
    found = await watched.error(INTERNAL)
    assert (type(found).__name__, str(found)) == ("PermissionDenied", "not yours")


@BOTH
async def test_a_call_that_ended_well_ended_too_soon(ending):
    call = Call()
    watched = ending.Ending(call)
    call.set_status(grpc.StatusCode.OK, "")
    found = await watched.error(INTERNAL)
    assert (type(found).__name__, str(found)) == ("Unavailable", str(ending.ended_early()))


@BOTH
async def test_without_a_status_of_the_servers_the_connection_broke(ending, monkeypatch):
    monkeypatch.setattr(ending, "_PATIENCE", 0.0)
    found = await ending.Ending(Call()).error(INTERNAL)
    assert type(found).__name__ == "Unavailable"
    assert "broke" in str(found)
