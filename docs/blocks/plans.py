"""What the plans of three usual changes say, counted anew by the planner."""

from __future__ import annotations

from collections.abc import Sequence

from blocks.results import table
from sharding.edits import Edit, add, drain, in_zone, resize
from sharding.generation import Generation, Seat
from sharding.plan import Plan, Population, plan, refusals

_CELLS, _ZONES, _HAND, _TENANTS = 16, 4, 4, 20_000
_SEED = 14
_SAID = (
    "tenants that move",
    "slots that move",
    "cold loads, of all models",
    "load, max over mean",
    "pairs that share no cell",
    "without force",
)


def three() -> str:
    """A row for each thing that a plan says, a column for each change."""
    fleet = Generation(number=1, seed=_SEED, hand_size=_HAND, seats=_seats(range(_CELLS)))
    edits = {
        "a zone is drained": drain(fleet, in_zone(fleet, "zone-a")),
        "the fleet is doubled": add(fleet, _seats(range(_CELLS, 2 * _CELLS))),
        "hands shrink by one": resize(fleet, _HAND - 1),
    }
    people = Population([f"tenant-{number}" for number in range(_TENANTS)])
    columns = [_told(plan(fleet, edit.after, people), edit) for edit in edits.values()]
    return table(["", *edits], ([said, *row] for said, *row in zip(_SAID, *columns, strict=True)))


def _seats(numbers: Sequence[int]) -> tuple[Seat, ...]:
    return tuple(Seat(f"cell-{number}", f"zone-{'abcd'[number % _ZONES]}") for number in numbers)


def _told(planned: Plan, edit: Edit) -> list[str]:
    return [
        _share(planned.tenants_moved, _TENANTS),
        _share(planned.slots_moved, len(planned.before.slots)),
        f"{planned.cold_loads / _TENANTS:.1%}",
        f"{planned.balance_before:.3f} → {planned.balance_after:.3f}",
        f"{_none(planned.overlap_before)} → {_none(planned.overlap_after)}",
        "refused" if refusals(planned, edit.cells) else "made",
    ]


def _none(overlap: Sequence[int]) -> str:
    return _share(overlap[0], sum(overlap))


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.1%}"
