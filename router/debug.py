"""What a router believes, as the admin port tells it (`croupier/telemetry/admin.py`).

    view      the catalog, the shard maps, and how old they are
    cells     each cell as the view has it, its breaker and its connection
    hot       models that several cells of their hand serve
    suspects  what is retried, held back and refused for the sake of cells
    tenant    ?name=acme[&model=churn]: the hand, and with a model its cells in order and its versions
    limits    tenants with limits, those first whose buckets are the emptiest
    families  what models of one name have in common, and which models have something else instead

Everything is told of this moment, and asked of the very parts that decide: nothing is kept for it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeVar

import msgspec

from croupier.bounded import Bounded
from croupier.names import check_name
from croupier.telemetry.admin import View, some
from router.admission import Admission
from router.attempt import Attempts
from router.buckets import Account
from router.cells import Cells
from router.copies import Copies, Hot, Name
from router.feeds import ViewFeed
from router.pick import is_connected, pick
from router.route import NoShardMap, dealt_by, route
from router.stale import Stale
from version_manager.model.family import Family
from version_manager.model.resolve import Ask, Target, choices

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Beliefs:
    """The parts of a router that know."""

    feed: ViewFeed
    cells: Cells
    attempts: Attempts
    admission: Admission
    stale: Stale
    copies: Copies

    @property
    def views(self) -> dict[str, View]:
        return {
            "view": lambda _: self._view(),
            "cells": lambda _: self._all_cells(),
            "suspects": lambda _: self._suspects(),
            "hot": lambda _: self._hot(),
            "tenant": self._tenant,
            "limits": lambda _: self._limits(),
            "families": lambda _: self._families(),
        }

    def why_not_ready(self) -> str:
        """Why this router does not serve; empty if it does."""
        if not self.feed.is_loaded:
            return "no catalog is loaded yet"
        view = self.feed.view
        if view.current is None:
            return "no shard map is active yet"
        if self.stale.is_behind:
            return f"cells refuse what shard map {view.current.generation.number} deals, and none newer comes"
        breakers, now = self.attempts.breakers, self.attempts.clock()
        if not any(is_connected(cell, breakers, now) for cell in view.cells.values()):
            return f"none of {len(view.cells)} cells can be reached"
        return ""

    def _view(self) -> object:
        view = self.feed.view
        return {
            "is_loaded": self.feed.is_loaded,
            "catalog": view.catalog.name,
            "revision": view.catalog.revision,
            "thaw": view.thaw,
            "models": view.catalog.size,
            "cells": len(view.cells),
            "families": len(view.families.families),
            "age_seconds": self.feed.age,
            "frozen_for": self.feed.refuses,
            "generations": [
                {
                    "number": generation.number,
                    "hand_size": msgspec.to_builtins(generation.hand_size),
                    "seats": len(generation.seats),
                    "overrides": len(generation.overrides),
                }
                for generation in view.generations
            ],
            # Of 10,000 tenants, those that the first of them deals to; the second one deals to the others.
            "ramp": view.ramp,
            "in_flight": self.admission.in_flight,
        }

    def _all_cells(self) -> object:
        return some(self.feed.view.cells, self._cell)

    def _cell(self, name: str) -> object:
        known = self.feed.view.cells.get(name)
        if known is None:
            return {"id": name, "state": "unknown"}
        cell = known.cell
        connection, calls = self.cells.connection(name)
        return {
            "id": name,
            "zone": cell.zone,
            "address": cell.address,
            "weight": cell.weight,
            "protocol": cell.protocol,
            "state": "departed" if known.departed else cell.state,
            "breaker": self.attempts.breakers.state(name, self.attempts.clock()),
            "ejected": self._ejected(name),
            "connection": connection,
            "calls": calls,
            "in_flight": self.attempts.loads.in_flight(name),
            # None: as many as come.
            "most_in_flight": self.attempts.loads.limit(name) or None,
            "latency_seconds": self.attempts.loads.latency(name),
        }

    def _ejected(self, name: str) -> object:
        found = self.attempts.breakers.ejection(name)
        if found is None:
            return None
        left = max(0.0, found.until - self.attempts.clock())
        return {"why": found.why, "times": found.times, "seconds": left}

    def _hot(self) -> object:
        return some(self.copies.known(self.attempts.clock()).items(), _told_of)

    def _suspects(self) -> object:
        suspects, now = self.attempts.suspects, self.attempts.clock()
        return {
            "retry_tokens": self.attempts.budget.tokens(now),
            "troubled": some(sorted(self.attempts.breakers.troubled), str),
            "held": _by_artifact(
                suspects.held, lambda hold: {"cells": hold.cells, "seconds": max(0.0, hold.until - now)}
            ),
            "refused": _by_artifact(
                suspects.refused,
                lambda refusal: {"reason": refusal.error.reason, "seconds": max(0.0, refusal.until - now)},
            ),
            "working": _by_artifact(suspects.working, sorted),
            "missed": _by_artifact(
                suspects.missed,
                lambda miss: {
                    "cells": miss.cells,
                    "seconds": max(0.0, now - miss.when),
                    "goes_alone": miss.goes_alone,
                },
            ),
        }

    def _limits(self) -> object:
        now = self.attempts.clock()
        accounts = [one for one in self.admission.buckets.accounts.values() if one.is_limited]
        accounts.sort(key=lambda one: min((bucket.fill(now) for _, bucket in one.buckets()), default=1.0))
        return some(accounts, self._account)

    def _account(self, account: Account) -> object:
        now = self.attempts.clock()
        return {
            "tenant": account.tenant,
            "share": account.share,
            "in_flight": account.in_flight,
            "most_in_flight": account.most,
            "streams": self.admission.streams(account.tenant),
            "uploading": self.admission.uploading(account.tenant),
            # What is in it from 1, full, down to 0; below that it is in debt.
            "buckets": {
                kind: {"per_second": 1.0 / bucket.step, "fill": bucket.fill(now)}
                for kind, bucket in account.buckets()
            },
        }

    def _families(self) -> object:
        families = self.feed.view.families
        return {
            "families": some(families.families.values(), _family),
            "own": some(families.models.values(), _family),
        }

    def _tenant(self, query: Mapping[str, str]) -> object:
        view, tenant = self.feed.view, check_name(query.get("name", ""), "name")
        if view.current is None:
            raise NoShardMap("no shard map is active yet")
        told: dict[str, object] = {
            "tenant": tenant,
            "dealt_by": dealt_by(view, tenant),
            # Not `hand`, which would remember what nobody asks for.
            "hand": view.current.explain(tenant).hand,
            "previous_hand": view.previous.explain(tenant).hand if view.previous is not None else (),
        }
        if "model" in query:
            told |= self._model(tenant, check_name(query["model"], "model"))
        return told

    def _model(self, tenant: str, model: str) -> dict[str, object]:
        view, now = self.feed.view, self.attempts.clock()
        found = choices(view.catalog, tenant, Ask(model))
        order = route(view, tenant, model)
        suspects = self.attempts.suspects
        return {
            "model": model,
            "copies": hot.copies if (hot := self.copies.hot.get((tenant, model))) is not None else 1,
            "order": order,
            "picked": pick(order, view.cells, self.attempts.breakers, now),
            "cells": [self._cell(name) for name in order],
            "versions": [
                {
                    "version": target.version,
                    "artifact": target.artifact,
                    "basis_points": points,
                    "is_refused": target.artifact in suspects.refused,
                    "is_held": target.artifact in suspects.held,
                }
                for points, target in _shares(found)
            ],
        }


def _family(one: Family) -> object:
    return {
        "tenant": one.tenant,
        "name": one.name,
        "number": one.number,
        "features": len(one.features),
        "stored": sum(feature.is_stored for feature in one.features),
        "store_failure": one.store_failure,
        "log_share": one.log.share if one.log else 0.0,
    }


def _told_of(item: tuple[Name, Hot]) -> object:
    (tenant, model), hot = item
    return {"tenant": tenant, "model": model, "copies": hot.copies, "requests_per_second": hot.rate}


def _shares(found: Sequence[tuple[int, Target]]) -> list[tuple[int, Target]]:
    """Each target with its own part of the traffic, in basis points, instead of where that ends."""
    ends = [0, *(end for end, _ in found)]
    return [(end - start, target) for (start, end), (_, target) in zip(pairwise(ends), found, strict=True)]


def _by_artifact(known: Bounded[bytes, T], tell: Callable[[T], object]) -> object:
    return some(known.items(), lambda item: {"artifact": item[0], "told": tell(item[1])})
