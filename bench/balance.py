"""Requests over the hands of a fleet, placed by the router's own code: how many find their model in memory,
and how even the cells come out.

    sticky    every request goes to the first cell of its model's order
    balanced  as a router does it: hot models on two to four cells, and busy cells passed over

Nothing is served: a cell is a cache of so many models, the least recently used of which goes first, and has
a call in flight for as long as an answer takes, longer where the model has to be loaded. Arrivals are
Poisson's, and models are asked for by Zipf's law. The first third of them warms up and does not count.
"""

from __future__ import annotations

import heapq
from collections import Counter, OrderedDict
from dataclasses import dataclass

import numpy as np

from bench.traces import popularity
from protos.inference.v2 import inference_pb2
from router.balance import Balance
from router.copies import Copies
from router.loads import Loads
from router.remembered import Route
from router.route import route
from router.routes import Routes
from router.view import View
from sharding.dealer import Dealer
from sharding.generation import Generation, Seat
from version_manager.model.catalog import Catalog
from version_manager.model.encode import write_model
from version_manager.model.release import WHOLE, Model
from version_manager.model.resolve import Ask, Target

_EXPONENT = 0.9
_SECONDS = 0.1
_LOAD_SECONDS = 0.2
# What a cell has in flight in the mean, if nothing is loaded.
_BUSY = 24
# Of the models, as many fit into all cells together.
_RESIDENT = 0.64
_ZONES = 4
_HAND = 4


@dataclass(frozen=True, slots=True)
class Evenness:
    placed: str
    hit_rate: float
    max_over_mean: float
    # Models that several cells served in the end.
    hot_models: int


def compare(*, cells: int, tenants: int, models: int, requests: int) -> list[Evenness]:
    """Both ways, over the same requests."""
    resident = max(1, int(models * _RESIDENT / cells))
    seats = tuple(Seat(f"cell-{number}", f"zone-{number % _ZONES}") for number in range(cells))
    dealer = Dealer(Generation(number=1, seed=1, hand_size=_HAND, seats=seats))
    rng = np.random.default_rng(3)
    ranks = np.searchsorted(np.cumsum(popularity(models, _EXPONENT)), rng.random(requests)).clip(
        0, models - 1
    )
    asked = rng.permutation(models)[ranks].tolist()
    pauses = rng.exponential(_SECONDS / (_BUSY * cells), requests)
    arrivals = (1.0 + np.cumsum(pauses)).tolist()
    took = rng.exponential(_SECONDS, requests).tolist()
    return [
        _replay(name, _HAND if name == "balanced" else 0, dealer, tenants, resident, asked, arrivals, took)
        for name in ("sticky", "balanced")
    ]


def _replay(
    name: str,
    near: int,
    dealer: Dealer,
    tenants: int,
    resident: int,
    asked: list[int],
    arrivals: list[float],
    took: list[float],
) -> Evenness:
    loads, copies = Loads(), Copies()
    balance, routes = Balance(loads, copies), _routes(dealer, near)
    messages = {model: _message(model, tenants) for model in set(asked)}
    caches: dict[str, OrderedDict[int, None]] = {seat.cell: OrderedDict() for seat in dealer.generation.seats}
    ends: list[tuple[float, int, str, int]] = []
    counts: Counter[str] = Counter()
    hits, warm = 0, len(asked) // 3
    for number, (model, now) in enumerate(zip(asked, arrivals, strict=True)):
        while ends and ends[0][0] <= now:
            _, _, ended, slot = heapq.heappop(ends)
            loads.of(ended).end(slot)
        units = routes.infer(*messages[model])
        balance.place(units, now)
        cell, slot = units[0].cells[0], units[0].slot
        cache, seconds = caches[cell], took[number]
        is_hit = model in cache
        if is_hit:
            cache.move_to_end(model)
        else:
            cache[model] = None
            seconds += _LOAD_SECONDS
            if len(cache) > resident:
                cache.popitem(last=False)
        loads.of(cell).begin(slot)
        heapq.heappush(ends, (now + seconds, number, cell, slot))
        if number >= warm:
            counts[cell] += 1
            hits += is_hit
    even = max(counts.values()) * len(caches) / sum(counts.values())
    return Evenness(name, hits / (len(asked) - warm), even, len(copies.known(arrivals[-1])))


def _message(model: int, tenants: int) -> tuple[str, bytes]:
    request = inference_pb2.ModelInferRequest(model_name=f"model-{model}")
    return f"tenant-{model % tenants}", request.SerializeToString()


def _routes(dealer: Dealer, near: int) -> Routes:
    view = View(Catalog.build(), dealer)

    def decide(view: View, tenant: str, ask: Ask) -> Route:
        order = route(view, tenant, ask.model)
        targets = ((WHOLE, Target(tenant, ask.model, 1, bytes(32))),)
        record = write_model(Model(tenant, ask.model, {}))
        return Route(record, targets, order, order, near=near)

    routes = Routes(decide, lambda: 0.0)
    routes.follow(view)
    return routes
