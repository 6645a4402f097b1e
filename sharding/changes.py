"""What a new shard map changes, in words: for people to look at before, and to keep after."""

from __future__ import annotations

from collections.abc import Iterator

from sharding.generation import Generation, Override, Seat


def changes(before: Generation, after: Generation) -> list[str]:
    """A line for each thing that is other in `after`; none: it deals as `before` does."""
    return [*_of_sizes(before, after), *_of_seats(before, after), *_of_overrides(before, after)]


def _of_sizes(before: Generation, after: Generation) -> Iterator[str]:
    if before.seats and before.seed != after.seed:
        yield f"seed: {before.seed} → {after.seed}"
    if before.hand_size != after.hand_size:
        yield f"hand size: {before.hand_size} → {after.hand_size}"


def _of_seats(before: Generation, after: Generation) -> Iterator[str]:
    old = {seat.cell: seat for seat in before.seats}
    new = {seat.cell: seat for seat in after.seats}
    for cell in sorted(old.keys() | new.keys()):
        match old.get(cell), new.get(cell):
            case None, Seat() as seat:
                yield f"+ seat {_seat(seat)}"
            case Seat() as seat, None:
                yield f"- seat {_seat(seat)}"
            case was, seat if was and seat and was != seat:
                yield f"~ seat {_seat(was)} → {_seat(seat)}"


def _of_overrides(before: Generation, after: Generation) -> Iterator[str]:
    for tenant in sorted(before.overrides.keys() | after.overrides.keys()):
        match before.overrides.get(tenant), after.overrides.get(tenant):
            case None, Override() as rule:
                yield f"+ override {tenant}: {_rule(rule)}"
            case Override() as rule, None:
                yield f"- override {tenant}: {_rule(rule)}"
            case was, rule if was and rule and was != rule:
                yield f"~ override {tenant}: {_rule(was)} → {_rule(rule)}"


def _seat(seat: Seat) -> str:
    words = f"{seat.cell} in {seat.zone}"
    if seat.weight != 1.0:
        words += f", weight {seat.weight:g}"
    if seat.dedicated:
        words += f", dedicated to {seat.dedicated}"
    return f"{words}, draining" if seat.draining else words


def _rule(rule: Override) -> str:
    said = [
        f"pins {', '.join(rule.pins)}" if rule.pins else "",
        f"excludes {', '.join(rule.excludes)}" if rule.excludes else "",
        f"hand size {rule.hand_size}" if rule.hand_size else "",
        f"isolation group {rule.isolation_group}" if rule.isolation_group else "",
    ]
    return "; ".join(filter(None, said)) or "nothing"
