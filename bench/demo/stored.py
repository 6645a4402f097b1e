"""Models whose callers send but some of the features: the others lie in the stack's embedded store.

They are those of one data set, whose body measures callers send, and whose blood serum measures are stored;
a family for each way to train them. Some of the stored ones are missing, and some are stale.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from bench.planted import Planted, Sources
from bench.training import TOLERANCE, Trained
from croupier.artifacts.format import view
from croupier.grpcio.manager import VersionManagerClient
from croupier.stores.feature_blob import NUMBER, Schema, encode
from croupier.stores.feature_schemas import Schemas
from croupier.stores.features import features_key, open_store
from croupier_client import AsyncClient
from croupier_client.decode import Prediction
from croupier_client.encode import Item
from croupier_client.messages import prediction as pb
from croupierctl.stack import Stack
from protos.versions.v1 import versions_pb2
from version_manager.model.family_wire import family_to_pb

DATASET = "diabetes"
_SENT, _GROUP = 4, "serum"
_MISSING = _STALE = 0.03
# The mean of each, in that data set.
_DEFAULT = 0.0
_HEARD_SECONDS = 20.0
_DEFAULTS = (pb.Origin.DEFAULT_MISSING, pb.Origin.DEFAULT_STALE)


class Said(NamedTuple):
    """What a result says beside its value: names and sources, how many defaults, whether it is degraded."""

    origins: tuple[tuple[str, int], ...]
    defaults: int
    degraded: bool

    @classmethod
    def of(cls, result: pb.Result) -> Said:
        origins = tuple([(origin.name, origin.source) for origin in result.origins])
        return cls(origins, result.defaults, result.degraded)


@dataclass(slots=True)
class Stored:
    """Right answers of such models: how many, with a default or while the store did not say; stored values
    by where replies say they came from, and how many `planted` ones of these answers are to be defaults.
    """

    families: int = 0
    sent: int = 0
    fetched: int = 0
    answers: int = 0
    defaulted: int = 0
    degraded: int = 0
    values: int = 0
    missing: int = 0
    stale: int = 0
    planted: int = 0

    def count(self, planted: Planted, entity: int, said: Said) -> None:
        self.answers += 1
        self.defaulted += said.defaults > 0
        self.degraded += said.degraded
        if said.degraded:
            return
        sources = [source for _, source in said.origins]
        self.values += sum(map(bool, planted.groups))
        self.missing += sources.count(pb.Origin.DEFAULT_MISSING)
        self.stale += sources.count(pb.Origin.DEFAULT_STALE)
        self.planted += int(np.isin(planted.sources[entity], _DEFAULTS).sum())


def shape(models: Sequence[Trained]) -> tuple[int, int, int]:
    """How many such families there are, features that callers send, and features that are stored."""
    some = {model.recipe.name: model for model in models if model.recipe.dataset == DATASET}
    wide = {len(view(model.artifact).features) for model in some.values()}
    return len(some), _SENT, max(wide, default=_SENT) - _SENT


def planted_of(model: Trained) -> Planted | None:
    """What the store has for the rows of a model; None: its callers send everything."""
    if model.recipe.dataset != DATASET:
        return None
    names = view(model.artifact).features
    groups = [""] * _SENT + [_GROUP] * (len(names) - _SENT)
    values, random = model.rows.astype(np.float64), np.random.default_rng(model.recipe.seed)
    return Planted.draw(*(names, groups, values, random), default=_DEFAULT, missing=_MISSING, stale=_STALE)


def entity_of(model: Trained, row: int) -> str:
    """No two models of a tenant are asked about the same one."""
    return f"{model.recipe.name}-{row}"


def item_of(model: Trained, planted: Planted, row: int) -> Item:
    named = zip(planted.names, planted.groups, planted.values[row].tolist(), strict=True)
    features = {name: value for name, group, value in named if not group}
    return Item(model.recipe.name, features, entity_id=entity_of(model, row), explain=True)


def is_right(model: Trained, planted: Planted, row: int, answer: Prediction, said: Said) -> bool:
    """Whether the answer is the library's own on the values that the reply says it used, and these are what
    was planted. If the store did not say in time, it has to say so.
    """
    sources: Sources = planted.said(dict(said.origins))
    (values,) = answer.outputs.values()
    return bool(
        np.allclose(values, model.says(planted.used(row, sources)[None]), rtol=TOLERANCE, atol=TOLERANCE)
        and planted.is_as_planted(row, sources)
        and said.defaults == (sources >= pb.Origin.DEFAULT_MISSING).sum()
        and said.degraded == (sources == pb.Origin.DEFAULT_DOWN).any()
    )


async def put(stack: Stack, manager: VersionManagerClient, models: Sequence[Trained]) -> None:
    """Have the features in the stack's store, and the families in its catalog."""
    now_ms, items = int(time.time() * 1000), []
    families, schemas = {}, set()
    for model in models:
        if (planted := planted_of(model)) is None:
            continue
        families[model.recipe.name] = planted.family(model.recipe.name)
        schema = Schema((name, NUMBER) for name, group in _grouped(planted) if group)
        schemas.add(schema)
        for held in planted.held():
            key = features_key(model.recipe.tenant, held.group, entity_of(model, held.entity))
            items.append((key, encode(schema, held.values, now_ms - held.age * 1000)))
    store = open_store(stack.features_url)
    try:
        for schema in schemas:
            await Schemas(store, time.monotonic).put(_GROUP, schema)
        await store.put_many(items, None)
    finally:
        await store.close()
    for name, family in families.items():
        await manager.apply_family(
            versions_pb2.ApplyFamilyRequest(family=family_to_pb(("", name), family), author="demo")
        )


def _grouped(planted: Planted) -> Sequence[tuple[str, str]]:
    return list(zip(planted.names, planted.groups, strict=True))


async def await_heard(client: AsyncClient, models: Sequence[Trained]) -> None:
    """Changes reach a router in order: see the newest arrive."""
    some = {model.recipe.name: model for model in models if planted_of(model) is not None}
    give_up = time.monotonic() + _HEARD_SECONDS
    for model in some.values():
        planted = planted_of(model)
        assert planted is not None
        asking, item = client.for_tenant(model.recipe.tenant), item_of(model, planted, 0)
        while time.monotonic() < give_up:
            (found,) = await asking.predict_many([item])
            if isinstance(found, Prediction) and found.origins:
                break
            await asyncio.sleep(0.02)
        else:
            raise RuntimeError(f"the router has not heard of the family {model.recipe.name}")
