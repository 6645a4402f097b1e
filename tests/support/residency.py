"""Residencies with a few models in them."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import Any

from support.cells import digest

from cell.residency.policies import Lru, Policy
from cell.residency.residency import Lease, Plan, Residency


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
    """Models a, b, ... with these sizes, in this order of use, none in use; LRU unless another is given."""
    residency: Residency[str] = Residency(capacity, policy or Lru())
    for now, (name, size) in enumerate(zip("abcdefghij", sizes, strict=False)):
        admit(residency, digest(name), size, now).release()
    return residency


def resident(residency: Residency[Any]) -> list[bytes]:
    """Who is resident: who would go first in front, about, and parked ones last."""
    queues = [*residency._policy.queues(), *residency._floors.queues()]
    return [entry.digest for queue in queues for entry in queue]


def evict(residency: Residency[Any], *digests: bytes) -> list[Any]:
    """Have these go; returns their models."""
    return residency._evict(Plan(0, digests))


class Cell:
    """A residency that loads what is missing, as models of one letter."""

    def __init__(self, policy: Policy, capacity: int = 5) -> None:
        self.residency: Residency[str] = Residency(capacity, policy)

    def ask(self, name: str, size: int = 1) -> bool:
        residency, key = self.residency, digest(name)
        if residency.find(key, 0.0) is not None:
            return True
        residency.reserve(key, residency.plan(size))
        residency.admit(key, name, size, 0.0)[0].release()
        return False

    def ask_all(self, names: Iterable[str]) -> None:
        for name in names:
            self.ask(name)

    @property
    def resident(self) -> str:
        return "".join(sorted(name for name in map(chr, range(33, 127)) if digest(name) in self.residency))

    def would_go(self, size: int) -> str:
        names = {digest(chr(code)): chr(code) for code in range(33, 127)}
        return "".join(names[victim] for victim in self.residency.plan(size).victims)
