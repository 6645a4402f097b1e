"""How often a tenant's cells were asked for a model, in words and for programs."""

from __future__ import annotations

from croupier.errors import Unimplemented
from croupier.grpcio.manager import VersionManagerClient
from croupierctl import output
from protos.versions.v1 import versions_pb2 as pb


async def ask_usage(manager: VersionManagerClient, tenant: str, model: str, version: int) -> pb.Usage | None:
    """None of a version manager of the release before, which cannot say."""
    try:
        return await manager.get_usage(tenant, model, version)
    except Unimplemented:
        return None


def shown(usage: pb.Usage | None) -> output.Shown:
    """What cells answered with a model since they loaded it."""
    if usage is None:
        return output.Shown(None, "this version manager cannot say how often it is asked for")
    cells = [
        {
            "cell": cell.cell,
            "failure": cell.failure,
            "versions": [
                {"version": one.version, "requests": one.requests, "idle_seconds": round(one.idle_seconds, 3)}
                for one in cell.versions
            ],
        }
        for cell in usage.cells
    ]
    return output.Shown(cells, _words(usage))


def _words(usage: pb.Usage) -> str:
    if not usage.cells:
        return "no cell of its tenant is active"
    silent = [f"cell {cell.cell} does not say ({cell.failure})" for cell in usage.cells if cell.failure]
    loaded = [cell for cell in usage.cells if cell.versions]
    if not loaded and len(silent) < len(usage.cells):
        silent.insert(0, "no cell that answers has it in memory" if silent else "no cell has it in memory")
    if not loaded:
        return "; ".join(silent)
    used = [one for cell in loaded for one in cell.versions]
    count = sum(one.requests for one in used)
    names = ", ".join(cell.cell for cell in loaded)
    where = f"{'cell' if len(loaded) == 1 else 'cells'} {names}"
    if count:
        times = "once" if count == 1 else f"about {count:,} times"
        words = f"{where} used it {times} since it was loaded, last {_ago(used)}"
    else:
        words = f"{where} did not use it since it was loaded {_ago(used)}"
    return "; ".join([words, *silent])


def _ago(used: list[pb.VersionUsage]) -> str:
    seconds = min((one.idle_seconds for one in used if one.requests), default=None)
    if seconds is None:
        seconds = min(one.idle_seconds for one in used)
    if seconds < 120:
        return f"{seconds:.0f} s ago"
    return f"{seconds / 60:.0f} min ago" if seconds < 7_200 else f"{seconds / 3_600:.0f} h ago"
