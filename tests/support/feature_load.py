"""A fleet whose routers read a real Redis, and callers who check every answer by what it says of itself.

    with feature_fleet(folder, redis) as fleet:
        with Asking([fleet.router]) as asking:
            harm()
    asking.check()

Two families have the same features, of which `y` and `z` are stored: SOFT is answered with defaults while the
store is down, HARD is not answered. One entity of a hundred has nothing stored, and one has it too old. Every
answer explains itself, and is compared with what these very values give.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import math
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import pytest
from support.fleet import publish
from support.load import Seen, Tally
from support.paths import with_tests
from support.waiting import wait_until
from typer.testing import CliRunner

from croupier.artifacts.packers.linear import pack_linear
from croupier.stores.feature_blob import Schema, encode
from croupier.stores.features import features_key, open_store, schema_key
from croupier_client import AsyncClient, Client, Prediction
from croupier_client.errors import CroupierError
from croupierctl.app import app
from croupierctl.stack import Stack

SOFT, HARD = "soft", "hard"
SECOND = "router-2"
TENANTS = ("acme", "globex")
GROUP = "person"
SCHEMA = Schema([("y", "number"), ("z", "number")])
DEFAULTS = (-1.0, -2.0)
ENTITIES = 20_000
_MAX_AGE = 3600.0
_TIMEOUT = 8.0
_PATIENCE = 60.0


def weights(tenant: str, model: str) -> tuple[float, float, float]:
    """Each tenant's model has others, so that another one's answer is wrong."""
    number = 1 + 2 * TENANTS.index(tenant) + (model == HARD)
    return float(number), 3.0 * number, 7.0 * number + 1.0


def artifact(weights: Sequence[float]) -> bytes:
    from sklearn.linear_model import LinearRegression

    rows = np.vstack([np.zeros(3), np.eye(3), np.ones(3)]).astype(np.float32)
    return pack_linear(LinearRegression().fit(rows, rows @ np.array(weights)), features=["x", "y", "z"])


def entity(number: int) -> str:
    return f"user-{number}"


def held(tenant: str, number: int) -> tuple[float, float]:
    """What is stored of an entity; another tenant's entity of the same name has something else."""
    return float(number % 977 + 1000 * TENANTS.index(tenant)), float(number % 31)


def is_missing(number: int) -> bool:
    return number % 100 == 0


def is_stale(number: int) -> bool:
    return number % 100 == 1


def specs(defaults: tuple[float, float] = DEFAULTS, **fields: Any) -> list[dict[str, Any]]:
    stored = {"source": "store", "group": GROUP, "max_age": _MAX_AGE, **fields}
    return [{"name": name, "default": one, **stored} for name, one in zip("yz", defaults, strict=True)]


def blob(values: tuple[float, float], age: float = 0.0) -> bytes:
    return encode(SCHEMA, dict(zip("yz", values, strict=True)), int((time.time() - age) * 1000))


async def fill(url: str, entities: int = ENTITIES) -> None:
    store = open_store(url)
    try:
        items = [(schema_key(GROUP, SCHEMA.fingerprint), SCHEMA.json)]
        for tenant, number in itertools.product(TENANTS, range(entities)):
            if not is_missing(number):
                age = 2 * _MAX_AGE if is_stale(number) else 0.0
                items.append((features_key(tenant, GROUP, entity(number)), blob(held(tenant, number), age)))
        await store.put_many(items, None)
    finally:
        await store.close()


def apply(stack: Stack, folder: Path, name: str, **fields: Any) -> int:
    """Apply a family's config; its number."""
    file = folder / f"{name}.json"
    file.write_text(json.dumps({"name": name, **fields}))
    words = ["--manager", stack.manager, "--json", "families", "apply", str(file)]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, (done.stdout, done.stderr, done.exception)
    return int(json.loads(done.stdout)["config"])


@contextmanager
def feature_fleet(folder: Path, url: str, **settings: Any) -> Iterator[Stack]:
    """Four cells in two zones, hands of two; every tenant has a model of either family."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", with_tests())
        patch.setenv("CROUPIER_ROUTER_METRICS_LISTEN", "127.0.0.1:0")
        with Stack(folder, cells=4, zones=2, hand_size=2, features_store=url, **settings) as stack:
            for name, failure in ((SOFT, "degrade"), (HARD, "fail")):
                apply(stack, folder, name, store_failure=failure, features=specs())
                for tenant in TENANTS:
                    publish(stack, tenant, name, artifact(weights(tenant, name)))
            await_features(stack.router)
            yield stack


def await_features(router: str) -> None:
    """Wait until every model of either family is answered by stored values."""
    for tenant in TENANTS:
        with Client(router, tenant=tenant) as client:
            for model in (SOFT, HARD):
                number = next(_numbers)
                wait_until(lambda: _is_stored(client, model, number), f"{tenant}/{model} is served")  # noqa: B023


def _is_stored(client: Client, model: str, number: int) -> bool:
    answer = client.predict(model, {"x": 1.0}, entity_id=entity(number), explain=True)
    return source(answer, "y") == "store"


# Entities that nobody has asked for yet: no router knows them.
_numbers = (number for number in itertools.count(2) if not is_missing(number) and not is_stale(number))


def fresh_entity() -> int:
    return next(_numbers) % ENTITIES


def source(answer: Prediction, name: str) -> str:
    return answer.origins[name].source if name in answer.origins else ""


def expected(tenant: str, model: str, number: int, answer: Prediction, x: float) -> float:
    """What the model gives on the features that the answer says that it used."""
    values = held(tenant, number)
    used = [
        value if source(answer, name) == "store" else default
        for name, value, default in zip("yz", values, DEFAULTS, strict=True)
    ]
    return math.fsum(weight * value for weight, value in zip(weights(tenant, model), (x, *used), strict=True))


@dataclass(frozen=True, slots=True)
class Answer:
    """`at` is the monotonic moment of its end, `error` its reason or class, `kind` where `y` is from."""

    router: str
    model: str
    number: int
    at: float
    took: float
    error: str = ""
    kind: str = ""
    degraded: bool = False
    wrong: str = ""


@dataclass
class Asking:
    """`rate` requests a second in all, to the routers and families in turn, about entities at random."""

    routers: Sequence[str]
    rate: float = 200.0
    models: Sequence[str] = (SOFT, HARD)
    seen: Seen = field(default_factory=Seen)
    answers: list[Answer] = field(default_factory=list)

    def __enter__(self) -> Self:
        self._done = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), name="asking")
        self._thread.start()
        self.await_answers(100)
        self.seen.phase = "during"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.seen.phase = "after"
        try:
            if error is None:
                self.await_answers(100)
        finally:
            self._done.set()
            self._thread.join()

    def await_answers(self, count: int) -> None:
        until = self.seen.answered + count
        wait_until(lambda: self.seen.answered >= until, "answers come", _PATIENCE)

    def between(self, begin: float, end: float, model: str = "") -> list[Answer]:
        """Of requests that were both sent and ended then."""
        return [
            one
            for one in self.answers
            if one.at - one.took >= begin and one.at <= end and one.model == (model or one.model)
        ]

    def back_after(self, moment: float, model: str, router: str) -> float:
        """Seconds until the first answer that is whole again."""
        whole = [
            one.at
            for one in self.answers
            if (one.model, one.router) == (model, router) and one.kind == "store" and one.at > moment
        ]
        return min(whole) - moment

    def check(self, *, errors: Sequence[str] = ()) -> None:
        """All were answered, rightly, or with one of `errors`."""
        wrong = [one for one in self.answers if one.wrong]
        assert not wrong, wrong[:5]
        assert self.seen.sent == len(self.answers)
        assert {one.error for one in self.answers if one.error} <= set(errors)

    async def _run(self) -> None:
        clients = [
            (router, tenant, AsyncClient(router, tenant=tenant, retries=0))
            for router in self.routers
            for tenant in TENANTS
        ]
        turns = itertools.cycle(itertools.product(self.models, clients))
        rng, due = np.random.default_rng(1), time.monotonic()
        calls: set[asyncio.Task[None]] = set()
        while not self._done.is_set():
            due += rng.exponential(1 / self.rate)
            await asyncio.sleep(due - time.monotonic())
            model, (router, tenant, client) = next(turns)
            self.seen.add(Tally(sent=1))
            call = asyncio.create_task(self._ask(router, tenant, client, model, int(rng.integers(ENTITIES))))
            calls.add(call)
            call.add_done_callback(calls.discard)
        await asyncio.gather(*calls)
        await asyncio.gather(*(client.close() for _, _, client in clients))

    async def _ask(self, router: str, tenant: str, client: AsyncClient, model: str, number: int) -> None:
        began, x = time.monotonic(), float(number % 13)
        try:
            answer = await client.predict(
                model, {"x": x}, entity_id=entity(number), explain=True, timeout=_TIMEOUT
            )
        except CroupierError as error:
            took, word = time.monotonic() - began, error.reason or type(error).__name__
            self.answers.append(Answer(router, model, number, time.monotonic(), took, word))
            tally = Tally()
            tally.fail(tenant, f"{type(error).__name__} {error.reason}")
            self.seen.add(tally)
        else:
            took = time.monotonic() - began
            wrong = self.wrong_of(tenant, model, number, answer, x)
            kind = source(answer, "y")
            self.answers.append(
                Answer(router, model, number, time.monotonic(), took, "", kind, answer.degraded, wrong)
            )
            self.seen.add(Tally(answered=1, wrong=bool(wrong), latencies=[took]))

    def wrong_of(self, tenant: str, model: str, number: int, answer: Prediction, x: float) -> str:
        """What is wrong with an answer; "" for nothing."""
        kinds = {source(answer, name) for name in "yz"}
        allowed = (
            "default missing" if is_missing(number) else "default stale" if is_stale(number) else "store"
        )
        if len(kinds) != 1 or not kinds <= {allowed, "default down"}:
            return f"{entity(number)} is said to come from {kinds}, and not {allowed}"
        is_down = kinds == {"default down"}
        if answer.degraded != is_down or answer.defaults != (0 if kinds == {"store"} else 2):
            return f"degraded {answer.degraded} and {answer.defaults} defaults, all from {kinds}"
        value, right = answer.outputs["value"][0], expected(tenant, model, number, answer, x)
        if not np.isclose(float(value), right, rtol=1e-5, atol=1e-2):
            return f"{value}, and not {right}, of {kinds}"
        return ""
