"""Why a request goes where it goes: every decision of a route, in words and in facts.

Pure, and made of the functions that route: `version_manager.model.resolve`, `router.route` and `router.pick`.
So an explanation cannot drift from what a router does. What it cannot know is what a router has seen
itself: whose circuit breakers are open.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from croupierctl.hand import rule
from router.breakers import Breakers
from router.pick import pick
from router.route import route
from router.view import View
from version_manager.model.fleet import Cell, CellState
from version_manager.model.release import WHOLE, Model, Release, Split, split_point
from version_manager.model.resolve import Ask, Target, resolve


@dataclass(frozen=True, slots=True)
class Decision:
    """One decision: what it is about, what was decided and why, and the same for programs."""

    about: str
    words: str
    facts: dict[str, Any] = field(default_factory=dict)


def explain(view: View, tenant: str, ask: Ask) -> list[Decision]:
    """Every decision of the route of `ask`, in their order.

    Raises:
        CroupierError: what the router would answer instead.
    """
    model = view.catalog.get(tenant, ask.model)
    return [
        _release(model.release),
        *_versions(view, model, ask),
        *_hands(view, tenant),
        *_cells(view, tenant, ask.model),
    ]


def _release(release: Release | None) -> Decision:
    if release is None:
        return Decision("release", "none: only exact versions are served", {"number": None})
    splits = ", ".join(f"version {split.version} gets {split.basis_points:,}" for split in release.splits)
    labels = "; ".join(f"label {name} is on version {n}" for name, n in sorted(release.labels.items()))
    facts = {
        "number": release.number,
        "splits": [{"version": s.version, "basis_points": s.basis_points} for s in release.splits],
        "labels": dict(release.labels),
    }
    if release.salt:
        facts["salt"] = release.salt
    words = f"release {release.number}: of every {WHOLE:,} requests {splits}"
    return Decision("release", f"{words}; {labels}" if labels else words, facts)


def _versions(view: View, model: Model, ask: Ask) -> Iterator[Decision]:
    """What was asked for, and the artifacts that it may come to."""
    if ask.version or ask.label or ask.key:
        target = resolve(view.catalog, model.tenant, ask, 0)
        yield _choice(model, ask, target)
        yield _artifact(model, target)
        return
    # Fails as the router would when there is no release.
    resolve(view.catalog, model.tenant, ask, 0)
    assert model.release is not None
    words = "the request has no key: it is placed on the split at random, each time anew"
    if len(model.release.splits) == 1:
        words = f"all traffic goes to version {model.release.splits[0].version}"
    yield Decision("version", words, {"rule": "split", "point": None})
    starts = {version: start for start, _, version in _spans(model.release)}
    for split in model.release.splits:
        yield _artifact(model, resolve(view.catalog, model.tenant, ask, starts[split.version]), split)


def _choice(model: Model, ask: Ask, target: Target) -> Decision:
    facts: dict[str, Any] = {"version": target.version}
    if ask.version:
        words = f"the request asks for version {ask.version} itself: the release has no say"
        return Decision("version", words, facts | {"rule": "exact"})
    if ask.label:
        words = f"label {ask.label} is on version {target.version}"
        return Decision("version", words, facts | {"rule": "label", "label": ask.label})
    assert model.release is not None
    point = split_point(model.tenant, model.name, ask.key, model.release.salt)
    start, end = next((start, end) for start, end, _ in _spans(model.release) if start <= point < end)
    words = (
        f"key {ask.key} falls on point {point:,}, and points {start:,} to "
        f"{end - 1:,} are version {target.version}'s: it stays there "
        "until the split moves"
    )
    return Decision("version", words, facts | {"rule": "split", "key": ask.key, "point": point})


def _spans(release: Release) -> Iterator[tuple[int, int, int]]:
    """From where on, and up to where, which version gets the points of the traffic."""
    start = 0
    for one in release.spans():
        yield start, one.end, one.version
        start = one.end


def _artifact(model: Model, target: Target, split: Split | None = None) -> Decision:
    version = model.versions[target.version]
    kind = f"{version.engine}, {version.size:,} bytes"
    words = f"version {version.number} is {target.artifact.hex()[:12]}… ({kind})"
    if split is not None and split.basis_points < WHOLE:
        words = f"{split.basis_points / 100:g} %: {words}"
    facts = {"version": version.number, "artifact": target.artifact, "engine": version.engine}
    return Decision("artifact", words, facts | {"size": version.size})


def _hands(view: View, tenant: str) -> Iterator[Decision]:
    if view.current is None:
        return
    dealt = view.current.explain(tenant)
    facts: dict[str, Any] = {
        "generation": dealt.generation,
        "size_rule": dealt.size_rule.value,
        "dealt_as": dealt.dealt_as,
        "cells": list(dealt.hand),
    }
    words = f"generation {dealt.generation} deals {rule(dealt)}: {', '.join(dealt.hand) or 'none'}"
    yield Decision("hand", words, facts)
    places = "; ".join(
        f"{place.cell} is {'pinned' if not place.round else f'round {place.round}'} of {place.zone}"
        for place in dealt.places
    )
    zones = f"zones in the order {', '.join(dealt.zones)}"
    facts = {"zones": list(dealt.zones), "rounds": {place.cell: place.round for place in dealt.places}}
    yield Decision("deal", f"{zones}; {places}", facts)
    if view.previous is not None:
        before = view.previous.hand(tenant)
        gone = [cell for cell in before if cell not in dealt.hand]
        number = view.previous.generation.number
        words = f"generation {number} dealt the same cells"
        if gone:
            words = (
                f"generation {number} dealt {', '.join(gone)} as well, where the model may still be resident"
            )
        yield Decision("previous hand", words, {"generation": number, "cells": list(before)})


def _cells(view: View, tenant: str, model: str) -> Iterator[Decision]:
    order = route(view, tenant, model)
    words = f"for this model the hand is asked in the order {', '.join(order) or 'of no cell'}"
    yield Decision("order", words, {"cells": list(order)})
    picked = pick(order, view.cells, Breakers(), 0.0)
    if not picked:
        words = "no cell of the hand is registered: the answer is UNAVAILABLE"
        yield Decision("cell", words, {"cell": None, "asked": False})
    before: str | None = None
    for cell in picked:
        known = view.cells[cell].cell
        facts = {"cell": cell, "zone": known.zone, "address": known.address, "state": known.state.value}
        why = _first(known, order) if before is None else _later(view, tenant, known, before)
        words = f"{cell} in {known.zone} at {known.address} is asked {why}"
        yield Decision("cell", words, facts | {"asked": before is None})
        before = cell
    for cell in order:
        if cell not in view.cells:
            words = f"{cell} is not asked: it is not registered, so it has no address"
            yield Decision("cell", words, {"cell": cell, "asked": False})


def _first(cell: Cell, order: tuple[str, ...]) -> str:
    if cell.state is not CellState.ACTIVE:
        return f"now, though {cell.state.value}: no cell of the hand is active"
    passed = order[: order.index(cell.id)]
    return (
        f"now: the first that can be, after {', '.join(passed)}" if passed else "now: the first of the order"
    )


def _later(view: View, tenant: str, cell: Cell, before: str) -> str:
    why = f"if {before} fails"
    if cell.state is not CellState.ACTIVE:
        return f"{why}: it is {cell.state.value}, and comes after the active ones"
    if view.current is not None and cell.id not in view.current.hand(tenant):
        return f"{why}: it is of the previous hand alone"
    return why
