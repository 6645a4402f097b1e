"""What another generation would do, counted by `sharding.plan`, as a message."""

from __future__ import annotations

from collections.abc import Collection

from protos.versions.v1 import versions_pb2 as pb
from sharding.changes import changes
from sharding.generation import Generation
from sharding.plan import Plan, plan, refusals
from sharding.population import Loads
from version_manager.planning.population import Members

MOST_MOVES = 100
MOST_CELLS = 256
MOST_CHANGES = 100
# Words of one change; a hand of pins may have many.
_MOST_OF_A_CHANGE = 500


def planned(
    before: Generation,
    after: Generation,
    members: Members,
    rates: Loads | None,
    named: Collection[str],
    loads_per_second: float,
) -> pb.Plan:
    """What `after` would do in place of `before`, which has number 0 and no seats where there is none."""
    found = plan(before, after, members.population(rates))
    if not before.number:
        # Whatever is dealt first moves nobody.
        named = [seat.cell for seat in after.seats]
    lines = changes(before, after)
    return pb.Plan(
        active=before.number,
        tenants=len(members),
        tenants_moved=found.tenants_moved,
        slots=len(found.before.slots),
        slots_moved=found.slots_moved,
        cold_loads=found.cold_loads,
        cold_bytes=found.cold_bytes,
        warming_seconds=found.warming_seconds(loads_per_second),
        balance_before=found.balance_before,
        balance_after=found.balance_after,
        by_rates=rates is not None,
        overlap_before=found.overlap_before,
        overlap_after=found.overlap_after,
        cells=_cells(found),
        moves=[
            pb.PlannedMove(tenant=tenant, lost=lost, gained=gained)
            for tenant, lost, gained in found.moves(MOST_MOVES)
        ],
        shortfalls=[
            pb.PlannedShortfall(tenant=one.tenant, zones=one.zones, possible=one.possible)
            for one in found.shortfalls
        ],
        shortfalls_total=found.shortfalls_total,
        stranded=found.stranded,
        stranded_total=found.stranded_total,
        conflicts=found.conflicts,
        conflicts_total=found.conflicts_total,
        refusals=refusals(found, named),
        changes=[line[:_MOST_OF_A_CHANGE] for line in lines[:MOST_CHANGES]],
        changes_total=len(lines),
    )


def _cells(found: Plan) -> list[pb.PlannedCell]:
    changed = [cell for cell in found.cells if cell.gained or cell.lost]
    changed.sort(key=lambda cell: (-max(cell.gained, cell.lost), cell.cell))
    return [
        pb.PlannedCell(
            cell=one.cell,
            slots_before=one.slots_before,
            slots_after=one.slots_after,
            gained=one.gained,
            lost=one.lost,
            load_before=one.load_before,
            load_after=one.load_after,
            cold_loads=one.cold_loads,
            cold_bytes=one.cold_bytes or 0.0,
        )
        for one in changed[:MOST_CELLS]
    ]
