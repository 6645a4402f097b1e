import sys
from types import ModuleType

import pytest

from croupier_client.tracing import trace_pairs

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class Propagate(ModuleType):
    """Stands in for `opentelemetry.propagate`."""

    def __init__(self, **said):
        super().__init__("opentelemetry.propagate")
        self.said = said

    def inject(self, carrier):
        carrier.update(self.said)


@pytest.fixture(autouse=True)
def without(monkeypatch):
    for name in [name for name in sys.modules if name.startswith("opentelemetry")]:
        monkeypatch.delitem(sys.modules, name)


def test_who_does_not_trace_says_nothing_and_imports_nothing():
    assert trace_pairs() == []
    assert "opentelemetry" not in sys.modules


def test_the_span_that_calls_is_said(monkeypatch):
    monkeypatch.setitem(
        sys.modules, "opentelemetry.propagate", Propagate(traceparent=PARENT, tracestate="a=1")
    )
    assert trace_pairs() == [("traceparent", PARENT), ("tracestate", "a=1")]


def test_other_headers_of_a_propagator_stay_here(monkeypatch):
    monkeypatch.setitem(
        sys.modules, "opentelemetry.propagate", Propagate(traceparent=PARENT, baggage="user=secret")
    )
    assert trace_pairs() == [("traceparent", PARENT)]


def test_a_channel_that_says_it_itself_is_not_helped(monkeypatch):
    monkeypatch.setitem(sys.modules, "opentelemetry.propagate", Propagate(traceparent=PARENT))
    name = "opentelemetry.instrumentation.grpc"
    monkeypatch.setitem(sys.modules, name, ModuleType(name))
    assert trace_pairs() == []
