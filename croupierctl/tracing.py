"""A command as part of a trace: of whoever runs it, and with a span of its own where a collector takes that.

A pipeline that is traced says by TRACEPARENT in the environment which span it is in, as the metadata of a
request do; what servers do for the command is below that span. With a collector the command is a span itself,
of that trace or one that it begins, and says on standard error which.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from croupier.errors import InvalidRequest

if TYPE_CHECKING:
    from croupier.telemetry.traces import Parent


@contextmanager
def traced(verb: str, parent: str, endpoint: str) -> Iterator[None]:
    """Do the block as the command `verb`: called by `parent`, a traceparent, and for the collector at
    `endpoint`; empty for none.

    Raises:
        InvalidRequest: a parent that is no traceparent.
        InvalidSettings: an endpoint that is none, or is plaintext and not on this machine.
    """
    if not parent and not endpoint:
        yield
        return
    # Most commands are not traced, and wait for none of this.
    from croupier.telemetry.traces import parse

    found = parse([parent.encode()])
    if parent and found is None:
        raise InvalidRequest(f"{parent!r} is no traceparent", field="traceparent")
    if found is not None and not found.is_sampled:
        yield
    elif endpoint:
        with _as_span(verb, found, endpoint):
            yield
    else:
        assert found is not None
        with _below(found):
            yield


@contextmanager
def _below(parent: Parent) -> Iterator[None]:
    """What is called is the caller's own, whose span is not ours to end."""
    from random import Random

    from croupier.telemetry.traces import Kind, Span, Tracer, current

    nobody = Tracer(0.0, lambda span: None, rng=Random())  # noqa: S311 - ids, no secrets
    trace_id, span_id, _, state = parent
    token = current.set(Span("", Kind.INTERNAL, trace_id, span_id, 0, state, 0, nobody))
    try:
        yield
    finally:
        current.reset(token)


@contextmanager
def _as_span(verb: str, parent: Parent | None, endpoint: str) -> Iterator[None]:
    from random import Random

    from croupier.settings import TelemetrySettings
    from croupier.telemetry.traces import Kind, Tracer, current
    from croupier.transport.steps import ending_of

    settings = TelemetrySettings(otlp_endpoint=endpoint)
    settings.check_telemetry(insecure=False)
    from croupier.telemetry.otlp import Spans

    spans = Spans(settings, "croupierctl")
    tracer = Tracer(1.0, spans.emit, rng=Random())  # noqa: S311 - ids, no secrets
    span = tracer.span(f"croupierctl {verb}", Kind.INTERNAL, parent)
    print(f"trace: {span.trace_id:032x}", file=sys.stderr)
    token = current.set(span)
    try:
        yield
    except BaseException as error:
        span.end(ending_of(error))
        raise
    finally:
        current.reset(token)
        span.end()
        spans.close()
