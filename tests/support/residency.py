"""Residencies with a few models in them."""

from __future__ import annotations

from collections.abc import Hashable

from support.cells import digest

from cell.residency.policies import Policy
from cell.residency.residency import Lease, Residency


def admit(
    residency: Residency[str],
    key: bytes,
    size: int,
    now: float = 0.0,
    *,
    aged: bool = False,
    group: Hashable | None = None,
) -> Lease[str]:
    """Load a model whose name is its digest."""
    residency.reserve(key, residency.plan(size))
    lease, _ = residency.admit(key, key.hex(), size, now, aged=aged, group=group)
    return lease


def filled(*sizes: int, capacity: int = 100, policy: Policy | None = None) -> Residency[str]:
    """Models a, b, ... with these sizes, in this order of use, none in use."""
    residency: Residency[str] = Residency(capacity, policy)
    for now, (name, size) in enumerate(zip("abcdefghij", sizes, strict=False)):
        admit(residency, digest(name), size, now).release()
    return residency
