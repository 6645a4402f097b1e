"""What an SRE does to the shard map by the command line, while callers ask."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from support.harm import await_registered, hand_of, with_manager
from support.load import TENANTS
from support.waiting import wait_until

from croupier.grpcio.manager import VersionManagerClient
from croupierctl.stack import Stack
from protos.versions.v1 import versions_pb2 as pb

ONE = TENANTS[0].name


def croupierctl(stack: Stack, *words: str, fails: bool = False) -> Any:
    """What it prints, of several things the first; with `fails`, the error that it must end with."""
    argv = [
        sys.executable,
        "-m",
        "croupierctl",
        "--manager",
        stack.manager,
        "--router",
        stack.router,
        "--json",
    ]
    done = subprocess.run([*argv, *words], capture_output=True, text=True, check=False, timeout=120)
    assert (done.returncode != 0) == fails, done.stderr
    return json.JSONDecoder().raw_decode(done.stderr if fails else done.stdout)[0]


@contextmanager
def as_it_was(stack: Stack) -> Iterator[None]:
    """Hands are what they were when the block has ended, by a rollback to the generation of its beginning."""
    number = croupierctl(stack, "shards", "show")["number"]
    hands = {one.name: hand_of(stack, one.name) for one in TENANTS}
    yield
    croupierctl(stack, "shards", "rollback", "--to", str(number), "--force", "the test is over")
    assert hands == {one.name: hand_of(stack, one.name) for one in TENANTS}
    await_registered(stack)


@pytest.mark.fault("A cell is drained with `--wait`, and given back", "no error")
def test_a_cell_is_drained_by_the_command_line(fleet: Stack, load) -> None:
    with as_it_was(fleet), load() as seen:
        croupierctl(fleet, "cells", "drain", "cell-0", "--wait", "--reason", "rack 7")
        assert all("cell-0" not in hand_of(fleet, one.name) for one in TENANTS)
        croupierctl(fleet, "cells", "undrain", "cell-0")
    seen.check()


@pytest.mark.fault("A cell is replaced by a new one", "no error")
def test_a_cell_is_replaced(fleet: Stack, load) -> None:
    fleet.start_cell(6)
    try:
        with as_it_was(fleet), load() as seen:
            croupierctl(fleet, "cells", "replace", "cell-1", "cell-6")
            assert all("cell-1" not in hand_of(fleet, one.name) for one in TENANTS)
        seen.check()
    finally:
        fleet.processes.pop("cell-6").stop()
    await_registered(fleet)


@pytest.mark.fault("All cells of a zone are drained, and the change is taken back", "no error")
def test_a_zone_is_drained(fleet: Stack, load) -> None:
    with as_it_was(fleet), load() as seen:
        croupierctl(fleet, "zones", "drain", "zone-a")
        assert all({"cell-0", "cell-3"}.isdisjoint(hand_of(fleet, one.name)) for one in TENANTS)
        croupierctl(fleet, "shards", "rollback")
    seen.check()


@pytest.mark.fault("A tenant gets a larger hand, a pin, and cells of its own", "no error")
def test_a_tenant_is_moved_and_isolated(fleet: Stack, load) -> None:
    with as_it_was(fleet), load() as seen:
        croupierctl(fleet, "tenants", "hand", ONE, "--size", "4")
        assert len(hand_of(fleet, ONE)) == 4
        croupierctl(fleet, "tenants", "hand", ONE, "--pin", "cell-2")
        assert hand_of(fleet, ONE) == ("cell-2",)
        croupierctl(fleet, "shards", "rollback")
        croupierctl(fleet, "tenants", "isolate", ONE, "--cells", "1", "--force", "it is one in six")
        (own,) = hand_of(fleet, ONE)
        assert all(own not in hand_of(fleet, one.name) for one in TENANTS[1:])
    seen.check()


@pytest.mark.fault("A change is rolled back while its ramp runs", "no error, nobody outside both hands")
def test_a_rollback_during_a_ramp(fleet: Stack, load, tmp_path) -> None:
    with as_it_was(fleet), load() as seen:
        croupierctl(
            fleet, "shards", "hand-size", "2", "--ramp", "30s", "--force", "every hand is one smaller"
        )
        seen.phase = "ramp"
        wait_until(lambda: ramp_of(fleet) >= 500, "the ramp has begun", timeout=30.0)
        refused = croupierctl(fleet, "cells", "drain", "cell-0", fails=True)
        assert refused["reason"] == "RAMP_RUNNING"
        croupierctl(fleet, "shards", "rollback")
        assert ramp_of(fleet) == 10_000
    seen.check()


@pytest.mark.fault("Sixteen maps follow each other at once, each with another cell for all", "no error")
def test_maps_that_follow_each_other_at_once(fleet: Stack, load) -> None:
    before = with_manager(fleet, lambda manager: manager.get_generation())
    with as_it_was(fleet), load() as seen:
        for number in range(16):
            deal_all_to(fleet, before, f"cell-{number % 4}")
            if number % 4 == 3:
                # So that cells report in between.
                until = seen.answered + 200
                wait_until(lambda until=until: seen.answered > until, "answers")
    seen.check()


def deal_all_to(stack: Stack, before: pb.Generation, cell: str) -> None:
    """A new generation as `before`, with that cell alone in each hand."""

    async def call(manager: VersionManagerClient) -> None:
        wanted = pb.Generation()
        wanted.CopyFrom(before)
        for tenant in TENANTS:
            wanted.overrides[tenant.name].CopyFrom(pb.Override(pins=[cell]))
        active = await manager.get_generation()
        await manager.set_generation(wanted, expected_number=active.number)

    with_manager(stack, call)


def ramp_of(stack: Stack) -> int:
    """How many of 10,000 tenants the active generation deals to."""
    found = with_manager(stack, lambda manager: manager.get_generation())
    return found.ramp.basis_points if found.HasField("ramp") else 10_000
