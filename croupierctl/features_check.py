"""`croupierctl features check`: what of a group cannot be read, or is old."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Annotated

import typer

from croupier.stores.feature_schemas import Schemas
from croupier.stores.features import FeatureStore, parse_key
from croupierctl import output
from croupierctl.arguments import duration
from croupierctl.feature_scan import Found, found_in
from croupierctl.feature_store import Group, Store, ask_store

_EXAMPLES = 10
PROBLEMS = ("bad blob", "unknown schema", "wrong type")


@dataclass(slots=True)
class _Seen:
    entities: int = 0
    stale: int = 0
    problems: Counter[str] = field(default_factory=Counter)
    features: Counter[str] = field(default_factory=Counter)
    examples: list[tuple[str, str, str]] = field(default_factory=list)

    def add(self, found: Found, stale_before_ms: float) -> None:
        self.entities += 1
        self.features.update(list(found.values or ()))
        self.stale += 0 < found.event_ms < stale_before_ms
        if not found.problem:
            return
        self.problems[found.problem] += 1
        key = parse_key(found.key)
        if key is not None and len(self.examples) < _EXAMPLES:
            self.examples.append((key.tenant, key.entity.decode(errors="replace"), found.problem))


def check(
    group: Group,
    store: Store,
    tenant: Annotated[str, typer.Option(help="Of this customer alone.", show_default=False)] = "",
    max_age: Annotated[
        float | None,
        typer.Option(parser=duration, metavar="TIME", help="Older ones are stale.", show_default=False),
    ] = None,
) -> None:
    """Say what of a group cannot be read, or is old.

    It exits with 1 if something cannot be read. A key that holds no string, or bytes that no writer of
    features wrote, is served as missing.
    """
    stale_before = 0.0 if max_age is None else (time.time() - max_age) * 1000

    async def work(opened: FeatureStore) -> _Seen:
        seen = _Seen()
        async for found in found_in(opened, Schemas(opened, time.monotonic), group, tenant):
            seen.add(found, stale_before)
        return seen

    seen = ask_store(store, work, only_reads=True)
    output.record(
        {
            "group": group,
            "entities": seen.entities,
            **{name: seen.problems[name] for name in PROBLEMS},
            "stale": None if max_age is None else seen.stale,
            "features": output.Shown(
                dict(sorted(seen.features.items())),
                "\n".join(f"{name}: {count}" for name, count in sorted(seen.features.items())),
            ),
            "examples": output.Shown(
                [dict(zip(("tenant", "entity", "problem"), one, strict=True)) for one in seen.examples],
                "\n".join(f"{tenant}/{entity}: {problem}" for tenant, entity, problem in seen.examples),
            ),
        }
    )
    if not seen.entities:
        output.note(f"nothing is stored in group {group}: croupierctl features scan lists what is")
    if seen.problems.total():
        raise typer.Exit(1)
