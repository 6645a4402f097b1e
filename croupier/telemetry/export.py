"""Begins what sends metrics and traces away, if a process was told where to."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from random import Random
from typing import TYPE_CHECKING

from croupier.settings import TelemetrySettings
from croupier.telemetry.traces import Tracer

if TYPE_CHECKING:
    from croupier.telemetry.otlp import Otlp


async def exporting(settings: TelemetrySettings, program: str, stack: AsyncExitStack) -> Tracer | None:
    """Export until `stack` is closed; what begins spans, or None where nobody takes them."""
    if not settings.otlp_endpoint:
        return None
    otlp = await asyncio.to_thread(_open, settings, program)
    stack.push_async_callback(asyncio.to_thread, otlp.close)
    return Tracer(settings.trace_ratio, otlp.emit, rng=Random())  # noqa: S311 - ids, no secrets


def _open(settings: TelemetrySettings, program: str) -> Otlp:
    # It takes a good part of a second, and most processes export nothing.
    from croupier.telemetry.otlp import Otlp

    return Otlp(settings, program)
