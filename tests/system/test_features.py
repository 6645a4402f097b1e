"""Features that are written by the SDK, read by a router from a real Redis, and not read while it is dead."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.feature_load import (
    DEFAULTS,
    GROUP,
    HARD,
    SOFT,
    TENANTS,
    apply,
    artifact,
    specs,
    weights,
)
from support.fleet import publish
from support.redis import RedisServer
from support.waiting import wait_until
from typer.testing import CliRunner

from croupier_client import Client, FeatureRecord, Prediction
from croupier_client.errors import CroupierError
from croupierctl.app import app
from croupierctl.stack import Stack

pytestmark = pytest.mark.system

ACME = TENANTS[0]


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    # What was written is there after a kill, however busy the disk is.
    flags = ("--appendonly", "yes", "--appendfsync", "always")
    server = RedisServer(tmp_path / "redis", flags=flags)
    asyncio.run(server.__aenter__())
    yield server
    asyncio.run(server.kill())


def ask(client: Client, model: str, name: str) -> Prediction | str:
    """The answer, or the reason of the error."""
    try:
        return client.predict(model, {"x": 1.0}, entity_id=name, explain=True)
    except CroupierError as error:
        return error.reason


def told(answer: Prediction | str) -> str:
    return answer if isinstance(answer, str) else answer.origins["y"].source if answer.origins else ""


def without_store(stack: Stack) -> bool:
    """Whether `status` says that the router gets nothing of its feature store."""
    done = CliRunner().invoke(app, ["--manager", stack.manager, "--json", "status"])
    return any("of the feature store" in one["words"] for one in json.loads(done.stdout)["faults"])


def test_features_are_written_read_and_missed(tmp_path: Path, redis: RedisServer) -> None:
    with Stack(tmp_path / "stack", cells=1, zones=1, hand_size=1, features_store=redis.url) as stack:
        for model, failure in ((SOFT, "degrade"), (HARD, "fail")):
            apply(stack, tmp_path, model, store_failure=failure, features=specs())
            publish(stack, ACME, model, artifact(weights(ACME, model)))
        with Client(stack.router, tenant=ACME, retries=0) as client:
            for model in (SOFT, HARD):
                wait_until(lambda: told(ask(client, model, "nobody")) == "default missing", "served")  # noqa: B023
            records = [FeatureRecord(GROUP, f"user-{number}", {"y": number, "z": 1.0}) for number in range(9)]
            assert client.write_features(records).written == len(records)
            answer = ask(client, SOFT, "user-3")
            assert isinstance(answer, Prediction)
            x, y, z = weights(ACME, SOFT)
            assert (answer.defaults, answer.degraded, told(answer)) == (0, False, "store")
            assert answer.value == pytest.approx(x + 3 * y + z, rel=1e-5)

            asyncio.run(redis.kill())
            answer = ask(client, SOFT, "user-4")
            assert isinstance(answer, Prediction)
            assert (answer.defaults, answer.degraded, told(answer)) == (2, True, "default down")
            assert answer.value == pytest.approx(x + DEFAULTS[0] * y + DEFAULTS[1] * z, rel=1e-5)
            assert ask(client, HARD, "user-5") == "FEATURE_STORE_DOWN"
            # The router tells once a second, of what it was asked lately.
            wait_until(lambda: ask(client, HARD, "user-5") and without_store(stack), "status tells")

            asyncio.run(redis.start())
            for model in (SOFT, HARD):
                wait_until(lambda: told(ask(client, model, "user-6")) == "store", "it is read again")  # noqa: B023
            wait_until(lambda: not without_store(stack), "status tells no more")
