"""A fleet on few processors, whose router and callers stand for machines of their own.

Who calls and the router have a processor at once whenever they want one, each on a core of its own: they
would wait beside an offender's threads otherwise, and be felt by everybody through no fault of a cell.
Cells go before whatever else runs, and after these two; an offender gives way to all (`offender`). So what
callers notice is what cells and router do.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from bench import processes
from bench.shards import quota
from croupierctl.stack import Stack


@contextmanager
def apart(stack: Stack, load: int, share: float | None = None) -> Iterator[bool]:
    """In the block the process `load` and the router wait for nobody, and cells for these alone.

    Cells share what is left; with `share` they are on the load's core, and each has so much of it at most.
    Gives whether that is so.
    """
    router = stack.process("router").pid
    cells = {name: one.pid for name, one in stack.processes.items() if name.startswith("cell-")}
    cores = processes.cores()
    with (
        quota.preferred(cells) if share is None else quota.held(cells, share) as are_held,
        processes.confined(router, cores.proxy),
        processes.confined(load, cores.load),
        quota.going_first({"router": router, "load": load}) as are_first,
    ):
        yield are_held and are_first
