"""What goes with every call that a part of ours makes: the request's id, and the span that calls.

Both hold for the task that calls (`request_ids.current`, `traces.current`), whoever has set them: the server
whose handler it is, or the command line.
"""

from __future__ import annotations

import sys

from croupier.request_ids import REQUEST_ID, current_id
from croupier.telemetry.traces import current

# Who traces a process with OpenTelemetry has imported the first; the second says on every channel itself
# which span calls.
_API, _INSTRUMENTED = "opentelemetry.propagate", "opentelemetry.instrumentation.grpc"
_KEYS = ("traceparent", "tracestate")


def outgoing() -> list[tuple[str, str]]:
    """The metadata that tell a server what the call is part of."""
    request_id = current_id()
    return [*([(REQUEST_ID, request_id)] if request_id else []), *trace_pairs()]


def trace_pairs() -> list[tuple[str, str]]:
    """Of those, what says which span calls."""
    span = current.get()
    if span is not None:
        return [(key.decode(), value.decode("latin-1")) for key, value in span.pairs()]
    return _of_opentelemetry()


def _of_opentelemetry() -> list[tuple[str, str]]:
    """The span of a program that publishes and is traced with OpenTelemetry, which is never imported here."""
    api = sys.modules.get(_API)
    if api is None or _INSTRUMENTED in sys.modules:
        return []
    carrier: dict[str, str] = {}
    api.inject(carrier)
    return [(key, carrier[key]) for key in _KEYS if key in carrier]
