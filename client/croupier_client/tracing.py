"""The trace that the calling process is in, if it has OpenTelemetry: the router's spans become part of it."""

from __future__ import annotations

import sys
from collections.abc import Iterable

# As it names them, and nothing else: a propagator may have more to say than a header may be.
_KEYS = ("traceparent", "tracestate")
_API, _INSTRUMENTED = "opentelemetry.propagate", "opentelemetry.instrumentation.grpc"


def trace_pairs() -> list[tuple[str, str]]:
    """The metadata that say which span calls; none outside of any, or where the channel itself says it.

    The library is never imported here: whoever traces has done so.
    """
    api = sys.modules.get(_API)
    if api is None or _INSTRUMENTED in sys.modules:
        return []
    carrier: dict[str, str] = {}
    api.inject(carrier)
    return only_trace(carrier.items())


def only_trace(pairs: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Of `pairs`, those that say which span calls."""
    return sorted((key, value) for key, value in pairs if key in _KEYS)
