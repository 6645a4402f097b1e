"""What callers were answered is in the log, once, whatever ends; and each answer comes out again."""

import asyncio
import json
import time
from collections.abc import Iterator
from typing import Any

import lightgbm
import numpy as np
import pytest
from support.fleet import publish
from support.models import train_small
from support.natives import X, Y
from support.waiting import wait_until
from typer.testing import CliRunner

from croupier.artifacts.packers.forest import pack_forest
from croupier.grpcio.manager import VersionManagerClient
from croupier_client import AsyncClient
from croupierctl.app import app
from croupierctl.log_files import open_log
from croupierctl.scored_again import differences, score, scorer_of
from croupierctl.stack import Stack
from protos.versions.v1 import versions_pb2 as pb

pytestmark = pytest.mark.system

REQUESTS = 300


def forest() -> bytes:
    sets = lightgbm.Dataset(X, Y, params={"verbose": -1})
    return pack_forest(lightgbm.train({"num_leaves": 6, "verbose": -1, "num_threads": 1}, sets, 5))


@pytest.fixture(scope="module")
def logged(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("logged")
    with Stack(folder, cells=2, zones=2, hand_size=2, logs=True) as stack:
        publish(stack, "acme", "churn", forest())
        publish(stack, "acme", "silent", train_small()[2])

        async def apply() -> None:
            async with VersionManagerClient(stack.manager) as manager:
                family = pb.Family(name="churn", log=pb.LogRule(share=1.0))
                await manager.apply_family(pb.ApplyFamilyRequest(family=family, reason="test", author="test"))

        asyncio.run(apply())
        yield stack


async def _ask(stack: Stack, first: int, count: int) -> dict[str, float]:
    answers = {}
    async with AsyncClient(stack.router, tenant="acme") as client:
        for at in range(first, first + count):
            row = X[at % len(X)].astype(np.float32)
            found = await client.predict("churn", row, request_id=f"r{at}", timeout=20.0)
            answers[f"r{at}"] = float(next(iter(found.outputs.values()))[0])
    return answers


def ask(stack: Stack, first: int, count: int) -> dict[str, float]:
    return asyncio.run(_ask(stack, first, count))


def told(stack: Stack, *words: str) -> Any:
    result = CliRunner().invoke(app, ["--json", *words, "--log", stack.log_url])
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def in_the_log(stack: Stack) -> list[tuple[str, float]]:
    sql = "select request_id, map_values(outputs)[1].numbers[1] as y from log where request_id like 'r%'"
    return [(row["request_id"], row["y"]) for row in told(stack, "log", "query", "churn", "--sql", sql)]


def is_logged(stack: Stack) -> bool:
    """Whether routers have heard of the family."""
    asyncio.run(_ask(stack, 10**6, 1))
    time_out = time.monotonic() + 3
    while time.monotonic() < time_out:
        if in_the_log(stack):
            return True
        time.sleep(0.1)
    return False


def test_all_that_callers_were_answered_is_there_once_and_comes_out_again(logged: Stack) -> None:
    stack = logged
    wait_until(lambda: is_logged(stack), "the family is logged")
    answers = ask(stack, 0, REQUESTS // 3)
    # Whenever it is killed: what it began is done by the next one.
    stack.process("logger").kill()
    answers |= ask(stack, REQUESTS // 3, REQUESTS // 3)
    stack.restart("logger")
    answers |= ask(stack, 2 * REQUESTS // 3, REQUESTS // 3)
    stack.process("router").kill()
    wait_until(lambda: answers.keys() <= dict(in_the_log(stack)).keys(), "all of it is written")
    found = [(name, y) for name, y in in_the_log(stack) if name in answers]
    assert len(found) == REQUESTS
    assert dict(found) == answers
    for name in ("r0", "r7", f"r{REQUESTS - 1}"):
        (one,) = told(stack, "reproduce", name, "--family", "churn", "--store", stack.store_url)
        assert one["equal"], one
        assert one["features"]["Column_0"]["source"] == "request"
    stack.restart("router")
    rows = open_log(stack.log_url).dataset("churn", None).to_table().to_pylist()
    scorer = scorer_of(forest())
    again = [differences(dict(row["outputs"]), score(scorer, row, None)) for row in rows]
    assert len(again) > REQUESTS
    assert [found for found in again if found] == []


def test_a_model_of_no_family_is_not_logged(logged: Stack) -> None:
    async def call() -> None:
        async with AsyncClient(logged.router, tenant="acme") as client:
            await client.predict("silent", train_small()[1][0], timeout=20.0)

    asyncio.run(call())
    assert told(logged, "log", "query", "silent") == []


def test_nobody_else_reads_the_spool_or_the_log(logged: Stack) -> None:
    paths = [*(logged.folder / "spool").rglob("*"), *(logged.folder / "log").rglob("*.parquet")]
    assert paths
    assert {path.name for path in paths if path.stat().st_mode & 0o077} == set()
    assert (logged.folder / "spool").stat().st_mode & 0o777 == 0o700
