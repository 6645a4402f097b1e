"""Commands in traces: what servers are told, and the command's own span."""

from __future__ import annotations

from contextlib import suppress

import pytest
from support.collector import grpc_collector

from croupier import errors
from croupier.grpcio.outgoing import outgoing
from croupier.settings import InvalidSettings
from croupier.telemetry.traces import current
from croupierctl.tracing import traced

TRACE, SPAN = f"{10:032x}", f"{11:016x}"
PARENT = f"00-{TRACE}-{SPAN}-01"


def test_nobody_is_told_of_a_command_that_is_in_no_trace() -> None:
    with traced("cells ls", "", ""):
        assert current.get() is None


def test_what_is_asked_is_below_the_span_that_runs_the_command() -> None:
    with traced("cells ls", PARENT, ""):
        assert dict(outgoing())["traceparent"] == PARENT
    assert current.get() is None


@pytest.mark.parametrize("endpoint", ["", "http://127.0.0.1:1"])
def test_a_trace_that_is_not_sampled_stays_so(endpoint: str) -> None:
    with traced("cells ls", f"00-{TRACE}-{SPAN}-00", endpoint):
        assert current.get() is None


def test_a_command_is_a_span_of_its_own_for_a_collector(capsys: pytest.CaptureFixture[str]) -> None:
    with grpc_collector() as (kept, endpoint):
        with suppress(errors.NotFound), traced("models show", PARENT, endpoint):
            told = dict(outgoing())["traceparent"]
            raise errors.NotFound("no model")
        with traced("cells ls", "", endpoint):
            pass
    (service, failed), (_, alone) = kept.spans
    assert (service, failed.name) == ("croupierctl", "croupierctl models show")
    assert (failed.trace_id.hex(), failed.parent_span_id.hex()) == (TRACE, SPAN)
    assert told == f"00-{TRACE}-{failed.span_id.hex()}-01"
    assert failed.status.message == "NOT_FOUND"
    assert (alone.name, alone.parent_span_id, alone.status.code) == ("croupierctl cells ls", b"", 0)
    assert capsys.readouterr().err.splitlines() == [f"trace: {TRACE}", f"trace: {alone.trace_id.hex()}"]
    # What a process counts is nobody's who runs a command.
    assert kept.metrics == []


@pytest.mark.parametrize("parent", ["mine", PARENT[:-1], f"00-{0:032x}-{SPAN}-01"])
def test_a_parent_that_is_none_is_an_error(parent: str) -> None:
    with pytest.raises(errors.InvalidRequest, match="is no traceparent"), traced("cells ls", parent, ""):
        pass


@pytest.mark.parametrize("endpoint", ["collector:4317", "http://collector:4317", "ftp://127.0.0.1:1"])
def test_an_endpoint_that_is_none_or_not_safe_is_an_error(endpoint: str) -> None:
    with pytest.raises(InvalidSettings), traced("cells ls", "", endpoint):
        pass
