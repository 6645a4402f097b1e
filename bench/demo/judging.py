"""What act two says: who felt the poison, who should have, and whether that is within bounds. Pure.

Tenants stand in columns, by how many cells of the poisoned hand they share. Errors and wrong answers are
counted, and bounds on them are exact. Latencies depend on what else the machine does, so they decide only
by comparison with others of the same moment:

- All cells share this machine's processors, so that each latency is divided by the median, at that moment,
  of the tenants with no cell in common. Rounds with held threads alternate with pauses. **A model felt it**
  if the median of what is left is over all rounds more than three times what it is over all pauses, and a
  tenant if one of its models did.
- **Those with no cell in common felt it together** if their median was more than three times as high in
  *every* round as in the pause behind it.

**Who could feel it**: a model that is scored in a thread (the native engines need none for one row) and whose
first cell is of the hand. It is asked there, and would wait, if cells did not leave a thread for others
beside one tenant's slow runs. That at most half of these felt it all the same is asked for only where others
wait far less than for a held thread: on a busy machine nobody can tell.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

import numpy as np
from numpy.typing import NDArray

from bench.demo.act_two import CRASHED, DEAD, HELD, KILLED, PAUSE, QUIET, Phase
from bench.demo.loading import Seen
from bench.openloop import Floats

_FELT = 3.0
_TOGETHER = 3.0
# Of those with no cell in common, so many may seem to have felt it.
_CHANCE = 0.02
_FAR_BELOW = 6.0
_MOMENT_SECONDS = 0.1
# From a cell's death to when routers know of it: what was under way then is neither here nor there.
_KNOWN_SECONDS = 0.5

Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Column:
    """The tenants that share `shared` cells with the poisoned hand; `expected` is the formula's share.

    `p95_ms` and `errors` are by phase; `waiting` have a model that needs a thread beside the poison, `waited`
    of these felt it; `unanswered` got nothing but errors once the whole hand was dead.
    """

    shared: int
    expected: float
    tenants: int
    p95_ms: dict[str, float]
    errors: dict[str, int]
    waiting: int
    waited: int
    felt: int
    unanswered: int


@dataclass(frozen=True, slots=True)
class Bound:
    """Something that was predicted and seen, and whether it holds."""

    what: str
    predicted: str
    seen: str
    holds: bool


@dataclass(frozen=True, slots=True)
class Tenancy:
    """By model: its tenant, how many cells that shares, and whether it should wait behind the poison."""

    tenants: Sequence[str]
    shared: Sequence[int]
    waits: Sequence[bool]

    def of(self, models: Flags) -> set[str]:
        """Whose these models are."""
        return {tenant for tenant, is_one in zip(self.tenants, models.tolist(), strict=True) if is_one}


def _phases(seen: Seen, phases: Sequence[Phase], *names: str) -> Flags:
    """Which requests were due in the phases of these names."""
    found = np.zeros(len(seen.due), dtype=bool)
    for one in phases:
        if one.name in names:
            found |= (seen.due >= one.began) & (seen.due < one.ended)
    return found


def columns(
    seen: Seen, phases: Sequence[Phase], tenancy: Tenancy, expected: Sequence[float], felt: set[str]
) -> list[Column]:
    shared = np.array(tenancy.shared)[seen.models]
    waiting, (_, without) = tenancy.of(np.array(tenancy.waits)), when_dead(seen, phases, tenancy)
    spans = {name: _phases(seen, phases, name) for name in (QUIET, HELD, PAUSE, CRASHED, KILLED, DEAD)}
    found = []
    for cells, chance in enumerate(expected):
        here = shared == cells
        tenants = tenancy.of(np.array(tenancy.shared) == cells)
        found.append(
            Column(
                shared=cells,
                expected=chance,
                tenants=len(tenants),
                p95_ms={name: _p95_ms(seen.latencies[here & span]) for name, span in spans.items()},
                errors={name: int((seen.failed & here & span).sum()) for name, span in spans.items()},
                waiting=len(tenants & waiting),
                waited=len(tenants & waiting & felt),
                felt=len(tenants & felt),
                unanswered=len(tenants & without),
            )
        )
    return found


def who_felt(seen: Seen, phases: Sequence[Phase], tenancy: Tenancy) -> set[str]:
    """The tenants one of whose models felt it."""
    held, paused = _phases(seen, phases, HELD), _phases(seen, phases, PAUSE)
    relative = _relative(seen, held | paused, np.array(tenancy.shared)[seen.models] == 0)
    return {
        tenant
        for model, tenant in enumerate(tenancy.tenants)
        if _ratio(relative, held & (seen.models == model), paused & (seen.models == model)) > _FELT
    }


def _relative(seen: Seen, span: Flags, control: Flags) -> Floats:
    """Latencies in `span` as multiples of the median of the `control`, or of all where there is none, at that
    moment; infinite where nobody can tell.
    """
    found = np.full(len(seen.due), np.inf)
    moments = np.floor(seen.due / _MOMENT_SECONDS)
    control = span & np.isfinite(seen.latencies) & (control if control.any() else True)
    for moment in np.unique(moments[control]):
        here = span & (moments == moment)
        found[here] = seen.latencies[here] / np.median(seen.latencies[here & control])
    return found


def when_dead(seen: Seen, phases: Sequence[Phase], tenancy: Tenancy) -> tuple[set[str], set[str]]:
    """Who asked once the whole hand was dead, and who of them got nothing but errors."""
    dead = _phases(seen, phases, DEAD)
    began = min((one.began for one in phases if one.name == DEAD), default=0.0)
    dead &= seen.due >= began + _KNOWN_SECONDS
    models = np.arange(len(tenancy.tenants))
    asked, answered = np.isin(models, seen.models[dead]), np.isin(models, seen.models[dead & ~seen.failed])
    return tenancy.of(asked), tenancy.of(asked) - tenancy.of(answered)


def together(seen: Seen, phases: Sequence[Phase], tenancy: Tenancy) -> list[float]:
    """By round: how many times as high the median of those with no cell in common was as in the pause."""
    alone = np.array(tenancy.shared)[seen.models] == 0
    held = [one for one in phases if one.name == HELD]
    paused = [one for one in phases if one.name == PAUSE]
    return [
        _ratio(seen.latencies, alone & _phases(seen, [a], HELD), alone & _phases(seen, [b], PAUSE))
        for a, b in zip(held, paused, strict=True)
    ]


def bounds(
    seen: Seen, phases: Sequence[Phase], tenancy: Tenancy, found: Sequence[Column], hold_ms: float
) -> list[Bound]:
    """All that decides whether the act has passed, `found` being its columns."""
    tenants = sum(column.tenants for column in found)
    outside, sharing = found[0], found[1:]
    could = sum(column.tenants for column in sharing)
    felt, waiting, waited, unanswering = (
        sum(getattr(column, name) for column in found) for name in ("felt", "waiting", "waited", "unanswered")
    )
    chance = max(1, ceil(_CHANCE * outside.tenants)) if outside.tenants else 0
    alone = np.array(tenancy.shared)[seen.models] == 0
    others = _median_ms(seen.latencies[_phases(seen, phases, HELD) & (alone if alone.any() else True)])
    can_tell = others * _FAR_BELOW < hold_ms
    most = waiting // 2 if can_tell else waiting
    rounds = together(seen, phases, tenancy) if outside.tenants else []
    wrong = int(seen.wrong.sum())
    early = (QUIET, HELD, PAUSE, KILLED)
    # Whoever shares all and did not ask meanwhile has not been told anything.
    asked, _ = when_dead(seen, phases, tenancy)
    dead = len(asked & tenancy.of(np.array(tenancy.shared) == found[-1].shared))
    return [
        Bound("act two: wrong answers", "0", f"{wrong:,} of {len(seen.due):,}", wrong == 0),
        _none("errors: threads held, or one cell killed", found, early),
        _none("errors: cells crash; one cell shared, or none", found[:2], (CRASHED,)),
        _none("errors: hand killed; not all of it shared", found[:-1], (DEAD,)),
        Bound(
            "no answer, hand killed: who shares all of it",
            _share(dead, tenants),
            _share(unanswering, tenants),
            unanswering == found[-1].unanswered == dead,
        ),
        Bound(
            "felt held threads: at most who shares a cell",
            f"≤ {_share(could + chance, tenants)}",
            _share(felt, tenants),
            felt <= could + chance,
        ),
        Bound(
            "  of these, who shares none: at most by chance",
            f"≤ {chance}",
            f"{outside.felt} of {outside.tenants}",
            outside.felt <= chance,
        ),
        Bound(
            "  of these, who needs a thread there",
            f"≤ {most} of {waiting}" if can_tell else f"{waiting}, too busy to tell",
            str(waited),
            waited <= most,
        ),
        Bound(
            "slower then: all who share no cell, by round",
            f"one < × {_TOGETHER:g}",
            f"× {min(rounds):.1f} to {max(rounds):.1f}" if rounds else "nobody",
            not rounds or min(rounds) < _TOGETHER,
        ),
    ]


def _none(what: str, found: Sequence[Column], phases: Sequence[str]) -> Bound:
    errors = sum(column.errors[name] for column in found for name in phases)
    return Bound(what, "0", f"{errors:,}", errors == 0)


def _share(count: int, of: int) -> str:
    return f"{count} of {of} ({count / of:.1%})"


def _ratio(latencies: Floats, held: Flags, paused: Flags) -> float:
    """1 where there is nothing to compare."""
    with_it, without = _median_ms(latencies[held]), _median_ms(latencies[paused])
    return with_it / without if with_it and without else 1.0


def _median_ms(latencies: Floats) -> float:
    """Of the answers; 0 without any."""
    answered = latencies[np.isfinite(latencies)]
    return float(np.median(answered)) * 1e3 if len(answered) else 0.0


def _p95_ms(latencies: Floats) -> float:
    answered = latencies[np.isfinite(latencies)]
    return float(np.quantile(answered, 0.95)) * 1e3 if len(answered) else 0.0
