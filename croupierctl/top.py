"""`croupierctl top`: who asks for how much now, and what they get; and the same of one tenant.

Each router counts its busiest tenants and versions, and tells every version manager; one of these is asked.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated, Any

import typer

from croupierctl import output
from croupierctl.servers import ask_manager, current
from protos.versions.v1 import versions_pb2 as pb
from version_manager.model.limits import Limits

_AGAIN_SECONDS = 2.0
_MOST_ROWS = 1000


class Order(StrEnum):
    """What comes first."""

    REQUESTS = "requests"
    ERRORS = "errors"
    COLD = "cold"
    LATENCY = "latency"


def top(
    models: Annotated[bool, typer.Option("--models", help="Models by version, in place of tenants.")] = False,
    by: Annotated[Order, typer.Option("--by", help="What comes first: the most of it.")] = Order.REQUESTS,
    rows: Annotated[int, typer.Option("--rows", "-n", min=1, max=_MOST_ROWS, help="How many to show.")] = 20,
    minute: Annotated[
        bool, typer.Option("--minute", help="Over the last minute, in place of the last ten seconds.")
    ] = False,
    watch: Annotated[
        bool, typer.Option("--watch", help="Look again every two seconds, until interrupted.")
    ] = False,
) -> None:
    """Show who asks for most now, and what they get.

    The figures are of the last ten seconds or a little more, of all routers together: requests a second,
    their share of all, what failed and what was refused for the caller's own fault, latency, and how many
    waited for a model to be loaded. The order is that of these seconds. Who is at a limit was refused for
    it in the last ten seconds (tenants limit).
    """
    request = pb.GetRatesRequest(models=models, order=by.name, top=rows)
    while True:
        answer = ask_manager(lambda manager: manager.get_rates(request))
        if watch and sys.stdout.isatty():
            print("\x1b[2J\x1b[H", end="")
        show(answer, models=models, window=-1 if minute else 0)
        if not watch:
            return
        time.sleep(_AGAIN_SECONDS)


def show(
    answer: pb.GetRatesResponse,
    *,
    models: bool,
    window: int = 0,
    limits: Limits | None = None,
    empty: str = "",
) -> None:
    """Print rows as they come, over one of their windows; beside a tenant's own rate how high it may be."""
    everybody = answer.all.windows[window].counts.requests if answer.all.windows else 0
    names = ("tenant", "model", "version") if models else ("tenant",)
    rate, *figures = ("requests/s", "share", "failed", "refused", "p50", "p99", "cold", "retried", "slow")
    columns = (*names, rate, *(("limit/s",) if limits else ()), *figures, *(() if models else ("at limit",)))
    rows = [
        (
            *_names(row, models=models),
            *_figures(row, row.windows[window], everybody, limits),
            *(() if models else (output.listing(row.at_limits),)),
        )
        for row in answer.rows
        if row.windows
    ]
    output.table(columns, rows, empty=empty or _nobody(answer))
    if rows and not current().as_json:
        seconds = answer.rows[0].windows[window].seconds
        left_out = answer.rows_total - len(rows)
        more = f"; {left_out:,} more of those that are counted" if left_out > 0 else ""
        output.say("")
        output.say(f"over {seconds:.0f} s, of {_plural(answer.routers, 'router')}{more}")


def _names(row: pb.RateRow, *, models: bool) -> tuple[Any, ...]:
    return (row.tenant, row.model, row.version or None) if models else (row.tenant,)


def _figures(row: pb.RateRow, window: pb.RateWindow, everybody: int, limits: Limits | None) -> Sequence[Any]:
    counts = window.counts
    rate = counts.requests / window.seconds if window.seconds else 0.0
    return (
        output.Shown(rate, f"{rate:,.4g}" if rate < 1000 else f"{rate:,.0f}"),
        *((None if row.model else limits.rate,) if limits else ()),
        _part(counts.requests, everybody),
        _part(counts.failed, counts.requests),
        _part(counts.refused, counts.requests),
        _latency(window.p50 if window.HasField("p50") else None),
        _latency(window.p99 if window.HasField("p99") else None),
        _part(counts.cold, counts.requests),
        _part(counts.retried, counts.requests),
        _part(counts.slow, counts.requests),
    )


def _part(count: int, of: int) -> output.Shown:
    """A share, from 0 to 1; nobody's of nothing."""
    if not of:
        return output.Shown(None, "")
    share = count / of
    return output.Shown(share, "0 %" if not count else f"{100 * share:.2g} %" if share < 0.995 else "100 %")


def _latency(seconds: float | None) -> output.Shown:
    if seconds is None:
        return output.Shown(None, "")
    return output.Shown(seconds, f"{seconds * 1e3:.3g} ms" if seconds < 1 else f"{seconds:.3g} s")


def _nobody(answer: pb.GetRatesResponse) -> str:
    if answer.routers:
        return "nobody asked for anything lately"
    return "no router tells this version manager of rates: it has just started, or none counts (--rates-top)"


def _plural(count: int, word: str) -> str:
    return f"{count:,} {word}" if count == 1 else f"{count:,} {word}s"
