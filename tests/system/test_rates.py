"""Rates of real routers: they add up, and one that restarts, or is killed, counts no request twice."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from support.fleet import Wine, publish
from support.waiting import wait_until
from typer.testing import CliRunner

from croupier.grpcio.manager import VersionManagerClient
from croupier_client import Client
from croupierctl.app import app
from croupierctl.stack import Stack
from croupierctl.stack_process import Process
from protos.versions.v1 import versions_pb2 as pb

pytestmark = pytest.mark.system
TENANT = "counted"


def counted(stack: Stack, *, models: bool = False) -> pb.Counts:
    """All that the version manager has added up for the tenant."""

    async def call() -> pb.GetRatesResponse:
        async with VersionManagerClient(stack.manager) as manager:
            return await manager.get_rates(pb.GetRatesRequest(tenant=TENANT, models=models))

    rows = asyncio.run(call()).rows
    return rows[0].total.counts if rows else pb.Counts()


def answered(stack: Stack) -> int:
    counts = counted(stack)
    return counts.requests - counts.refused


def ask(router: Process, wine: Wine, times: int) -> None:
    with Client(router.address, tenant=TENANT) as client:
        for _ in range(times):
            client.predict("wine", wine.rows[0])


def usage(stack: Stack) -> list[dict[str, Any]]:
    found = CliRunner().invoke(app, ["--manager", stack.manager, "tenants", "usage", TENANT, "--json"])
    assert found.exit_code == 0, found.output
    rows: list[dict[str, Any]] = json.loads(found.stdout)
    return rows


def test_two_routers_add_up_and_no_restart_counts_twice(stack: Stack, wine: Wine, tmp_path: Path) -> None:
    one, other = (
        stack.start_router("router-1", tmp_path / "1"),
        stack.start_router("router-2", tmp_path / "2"),
    )
    try:
        publish(stack, TENANT, "wine", wine.artifact)
        for router in (one, other):
            with Client(router.address, tenant=TENANT) as client:
                wait_until(lambda: bool(client.predict("wine", wine.rows[0]).version), "it is routed")
        ask(one, wine, 20)
        ask(other, wine, 10)
        wait_until(lambda: answered(stack) == 32, "both are counted")
        # What it did not tell yet it tells when it ends.
        ask(one, wine, 5)
        stack.restart("router-1")
        ask(one, wine, 7)
        wait_until(lambda: answered(stack) == 44, "its next life is counted")
        other.kill()
        stack.restart("router-2")
        ask(other, wine, 3)
        wait_until(lambda: answered(stack) == 47, "and that of one that was killed")
        counts = counted(stack, models=True)
        assert (counts.requests, counts.failed) == (47, 0)
        assert [(row["model"], row["version"]) for row in usage(stack)] == [("", None), ("wine", 1)]
    finally:
        for router in (one, other):
            stack.processes.pop(router.name).stop()
