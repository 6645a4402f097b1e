"""Every answer of models whose features are partly stored, compared with the library's on what replies say
they used: a family of many tenants on a fleet of real processes.

Callers send twelve features; eight lie in the store, in two groups, some missing and some stale. Half of the
models are LightGBM's and half are linear ones of scikit-learn. The family is applied, and the features are
loaded, by the command line. Requests come as single ones by name, and as rows of several: without the stored
features, or with NaN for them.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import cache
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from bench import fleet, report
from bench.planted import FRESH_SECONDS, Planted
from bench.training import Recipe, Trained
from croupier.grpcio.manager import VersionManagerClient
from croupier_client import AsyncClient
from croupier_client.decode import Prediction
from croupier_client.encode import Item
from croupierctl import family_file
from croupierctl.stack import Stack
from protos.prediction.v1 import prediction_pb2 as pb

FAMILY = "score"
SENT, ENTITIES = 12, 10
_GROUPS = ("",) * SENT + ("spending",) * 5 + ("account",) * 3
_NAMES = tuple(f"f{number}" for number in range(len(_GROUPS)))
_SHARE = 0.01
# Far from what is sent and stored, so that an answer tells.
_DEFAULT = 4.0
_TOLERANCE = 1e-6
_AT_ONCE = 24
_TIMEOUT = 20.0
# A request of which the store did not say all in time is asked again, so often.
_TRIES = 20


@dataclass(slots=True)
class Answers:
    """What came of it. `values` of stored features by where replies say they came from, and `planted` ones.

    `wrong`: not the library's on what the reply says it used. `strange`: the reply says something else than
    what was planted. `telling`: answers that the true values of their defaults would have made another.
    """

    tenants: int
    answers: int = 0
    values: Counter[str] = field(default_factory=Counter)
    planted: Counter[str] = field(default_factory=Counter)
    defaulted: int = 0
    telling: int = 0
    degraded: int = 0
    wrong: int = 0
    strange: int = 0
    largest_difference: float = 0.0

    @property
    def passed(self) -> bool:
        return not self.wrong and not self.strange and self.values == self.planted

    def as_json(self) -> dict[str, Any]:
        stored = self.values.total()
        return {
            "tenants": self.tenants,
            "answers": self.answers,
            "features": {"sent": SENT, "stored": len(_GROUPS) - SENT},
            "values": dict(self.values),
            "planted": dict(self.planted),
            "shares": {name: count / stored for name, count in self.values.items()} if stored else {},
            "answers_with_defaults": self.defaulted,
            "of_which_telling": self.telling,
            "asked_again": self.degraded,
            "wrong": self.wrong,
            "not_as_planted": self.strange,
            "largest_difference": self.largest_difference,
            "passed": self.passed,
        }


def train(count: int, processes: int = 2) -> list[Trained]:
    """A model for each of `count` tenants, with rows of its entities."""
    recipes = [
        Recipe(f"tenant-{number:04}", FAMILY, "", ("lightgbm", "linear")[number % 2], number)
        for number in range(count)
    ]
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        return list(pool.map(_train, recipes, chunksize=16))


def _train(recipe: Recipe) -> Trained:
    random = np.random.default_rng(recipe.seed)
    rows = random.normal(size=(200, len(_NAMES)))
    target = rows @ random.normal(size=len(_NAMES)) + random.normal(size=len(rows))
    if recipe.algorithm == "linear":
        from sklearn.linear_model import LinearRegression

        from croupier.artifacts.packers.linear import pack_linear

        model: Any = LinearRegression().fit(rows, target)
        artifact = pack_linear(model, features=_NAMES)
    else:
        import lightgbm

        from croupier.artifacts.packers.forest import pack_forest

        sets = lightgbm.Dataset(rows, target, feature_name=list(_NAMES), params={"verbose": -1})
        model = lightgbm.train({"num_leaves": 12, "verbose": -1, "num_threads": 1}, sets, 20)
        artifact = pack_forest(model)
    asked = rows[:ENTITIES]
    return Trained(recipe, artifact, asked, model.predict(asked).reshape(-1, 1), (), model)


@cache
def _planted_by(tenant: str, seed: int, rows: bytes) -> Planted:
    values = np.frombuffer(rows).reshape(-1, len(_NAMES))
    random = np.random.default_rng(seed)
    return Planted.draw(*(_NAMES, _GROUPS, values, random), default=_DEFAULT, missing=_SHARE, stale=_SHARE)


def planted(model: Trained) -> Planted:
    return _planted_by(model.recipe.tenant, model.recipe.seed, model.rows.tobytes())


async def play(stack: Stack, models: Sequence[Trained]) -> Answers:
    """Publish, load, apply and ask; `stack` has nothing of it yet."""
    seen = Answers(len(models))
    async with VersionManagerClient(stack.manager) as manager:
        report.step(f"publishing {len(models):,} models")
        await fleet.publish(manager, list(models))
    since = await _load(stack, models)
    file = stack.folder / f"{FAMILY}.yaml"
    file.write_text(family_file.to_yaml(planted(models[0]).family(FAMILY)))
    await _croupierctl(stack, "families", "apply", str(file))
    async with AsyncClient(stack.router, timeout=_TIMEOUT) as client:
        await _await_family(client, models[-1])
        report.step("asking")
        waiting = iter(models)

        async def asker() -> None:
            for model in waiting:
                await _ask(client, model, seen, since)

        await asyncio.gather(*(asker() for _ in range(_AT_ONCE)))
    return seen


async def _load(stack: Stack, models: Sequence[Trained]) -> float:
    """By `croupierctl features load`, a file for each group; returns when they were as old as planted."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    since = time.time()
    held = [(model.recipe.tenant, one) for model in models for one in planted(model).held()]
    report.step(f"loading {len(held):,} blobs of features")
    for group in filter(None, dict.fromkeys(_GROUPS)):
        some = [(tenant, one) for tenant, one in held if one.group == group]
        names = [name for name, of in zip(_NAMES, _GROUPS, strict=True) if of == group]
        table = {
            "tenant": [tenant for tenant, _ in some],
            "entity": [str(one.entity) for _, one in some],
            "at": [int((since - one.age) * 1000) for _, one in some],
            **{name: [one.values.get(name) for _, one in some] for name in names},
        }
        file = stack.folder / f"{group}.parquet"
        pq.write_table(pa.table(table), file)
        options = ("--store", stack.features_url, "--time-column", "at")
        await _croupierctl(stack, "features", "load", group, str(file), *options)
    return since


async def _croupierctl(stack: Stack, *words: str) -> None:
    argv = (sys.executable, "-m", "croupierctl", "--manager", stack.manager, *words)
    process = await asyncio.create_subprocess_exec(
        *argv, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, said = await process.communicate()
    if process.returncode:
        raise RuntimeError(f"croupierctl {' '.join(words)}: {out.decode()}{said.decode()}")


async def _await_family(client: AsyncClient, model: Trained) -> None:
    asking, give_up = client.for_tenant(model.recipe.tenant), time.monotonic() + 20
    while time.monotonic() < give_up:
        (found,) = await asking.predict_many([Item(FAMILY, model.rows[0], entity_id="0", explain=True)])
        if isinstance(found, Prediction) and found.origins:
            return
        await asyncio.sleep(0.05)
    raise RuntimeError(f"routers have not heard of the family {FAMILY}")


async def _ask(client: AsyncClient, model: Trained, seen: Answers, since: float) -> None:
    asking = client.for_tenant(model.recipe.tenant)
    for items in _requests(model):
        for _ in range(_TRIES):
            found = await asking.predict_many([item for _, item in items])
            answers = [(entity, _checked(one)) for (entity, _), one in zip(items, found, strict=True)]
            for entity, answer in answers:
                _check(model, entity, answer, seen)
            if not any(answer.degraded for _, answer in answers):
                break
            seen.degraded += 1
        for entity, answer in answers:
            _count(model, entity, answer, seen, since)


def _requests(model: Trained) -> Iterator[list[tuple[int, Item]]]:
    """Entities and items of each request: single ones by name, the rest as rows of one request."""
    part = planted(model).sent
    narrow, full = model.rows[:, part], np.where(part, model.rows, np.nan)
    names = [name for name, is_sent in zip(_NAMES, part, strict=True) if is_sent]
    rows: list[tuple[int, Item]] = []
    for entity in range(len(model.rows)):
        if entity % 2:
            row = full[entity] if entity % 4 == 1 else narrow[entity]
            rows.append((entity, Item(FAMILY, row, entity_id=str(entity), explain=True)))
        else:
            named = dict(zip(names, narrow[entity].tolist(), strict=True))
            yield [(entity, Item(FAMILY, named, entity_id=str(entity), explain=True))]
    yield rows


def _checked(outcome: Any) -> Prediction:
    if isinstance(outcome, Prediction):
        return outcome
    raise outcome


def _source(word: str) -> int:
    return pb.Origin.Source.Value(word.upper().replace(" ", "_"))


def _said(model: Trained, answer: Prediction) -> Any:
    return planted(model).said({name: _source(one.source) for name, one in answer.origins.items()})


def _check(model: Trained, entity: int, answer: Prediction, seen: Answers) -> None:
    """Whether the answer is the library's on what it says it used."""
    used = planted(model).used(entity, _said(model, answer))
    (expected,) = np.ravel(model.says(used.reshape(1, -1)))
    (found,) = np.ravel(answer.outputs["value"])
    difference = abs(found - expected) / max(1.0, abs(expected))
    # NaN is no answer either.
    seen.wrong += not difference <= _TOLERANCE
    seen.largest_difference = float(np.fmax(seen.largest_difference, difference))


def _count(model: Trained, entity: int, answer: Prediction, seen: Answers, since: float) -> None:
    plan, said = planted(model), _said(model, answer)
    defaults = int((said >= pb.Origin.DEFAULT_MISSING).sum())
    ages = [one.age or 0.0 for one in answer.origins.values() if one.source == "store"]
    # The router looks at its clock now and then.
    oldest = FRESH_SECONDS + time.time() - since + 1
    seen.strange += not (
        plan.is_as_planted(entity, said)
        and answer.defaults == defaults
        and not answer.degraded
        and all(FRESH_SECONDS - 1 <= age <= oldest for age in ages)
    )
    seen.answers += 1
    seen.defaulted += defaults > 0
    difference = np.abs(np.ravel(answer.outputs["value"]) - model.expected[entity]).max()
    seen.telling += bool(defaults and difference > _TOLERANCE * max(1.0, abs(model.expected[entity, 0])))
    for counted, sources in ((seen.values, said), (seen.planted, plan.sources[entity])):
        for source in sources[~plan.sent].tolist():
            counted[pb.Origin.Source.Name(source).lower().replace("_", " ")] += 1


def run(folder: Path, features_store: str, tenants: int, cells: int = 4) -> Answers:
    """All of it, on a stack of its own."""
    report.step(f"answers: training models for {tenants:,} tenants")
    models = train(tenants)
    report.step(f"starting {cells} cells")
    with Stack(folder, cells, 2, 2, features_store=features_store) as stack:
        return asyncio.run(play(stack, models))
