"""A planner over a map in memory."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import SimpleNamespace

from support.fakes import model
from support.steps import finished

from protos.versions.v1 import versions_pb2 as pb
from sharding.generation import Generation
from version_manager.map.image import Map
from version_manager.model.catalog import Catalog
from version_manager.planning.planner import Planner
from version_manager.rates import Rates
from version_manager.writes.shards import Shards


class PlannedWorld:
    """The map of `generation` with a model for each of `tenants`; `rates` are requests of ten seconds."""

    def __init__(self, generation: Generation | None, tenants: Iterable[str]) -> None:
        self.now = 0.0
        catalog = Catalog.build("c", 1, [model(tenant) for tenant in tenants])
        self.archive: dict[int, Generation] = {}
        self.mirror = SimpleNamespace(map=Map(catalog, {}, (), self.archive))
        self.works: dict[str, pb.Work] = {}
        self.rates = Rates(lambda: self.now)
        shards = Shards(None, self.mirror, None, None, None)  # type: ignore[arg-type]
        registry = SimpleNamespace(find=lambda cell: SimpleNamespace(work=self.works.get(cell)))
        self.planner = Planner(self.mirror, shards, self.rates, registry)  # type: ignore[arg-type]
        if generation is not None:
            self.serve(generation)

    def serve(self, *generations: Generation, **fields: object) -> None:
        """Have `generations` deal, the active one first."""
        self.archive.update({one.number: one for one in generations})
        served = {name: getattr(self.mirror.map, name) for name in ("catalog", "cells", "pointer")}
        self.mirror.map = Map(generations=generations, archive=self.archive, **served | fields)  # type: ignore[arg-type]

    def ask(self, requests: Mapping[str, int], more: int = 0) -> None:
        """Ten seconds of requests, and `more` of tenants that routers do not name."""
        keys = [
            pb.KeyCounts(tenant=tenant, counts=pb.Counts(requests=count))
            for tenant, count in requests.items()
        ]
        total = pb.Counts(requests=sum(requests.values()) + more)
        finished(self.rates.take("r", pb.Rates(incarnation=1, total=total, keys=keys)))
        self.now += 10.0
