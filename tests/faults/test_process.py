"""Processes that die, stop, hang and come back."""

from __future__ import annotations

import os
import signal
import threading
import time

import pytest
from support.harm import await_registered, children, hand_of, is_answering, stopped
from support.load import TENANTS
from support.waiting import wait_until

from croupierctl.stack import Stack

ACME = TENANTS[0].name


@pytest.mark.fault("A cell is killed (SIGKILL), its parent with it", "no error")
def test_a_cell_is_killed(fleet: Stack, load) -> None:
    cell = hand_of(fleet, ACME)[0]
    with load() as seen:
        fleet.process(cell).kill()
        time.sleep(1.0)
        fleet.restart(cell)
        await_registered(fleet)
    seen.check()


@pytest.mark.fault("A cell's process gets SIGKILL, its parent starts it again", "no error")
def test_a_supervised_cell_is_killed(fleet: Stack, load) -> None:
    parent = fleet.process(hand_of(fleet, ACME)[0]).pid
    (cell, *_) = children(parent)
    with load() as seen:
        os.kill(cell, signal.SIGKILL)
        wait_until(lambda: cell not in children(parent), "the parent has another one")
        await_registered(fleet)
    seen.check()


@pytest.mark.fault("A cell hangs for three seconds (SIGSTOP)", "no error")
def test_a_cell_hangs(fleet: Stack, load) -> None:
    pids = children(fleet.process(hand_of(fleet, ACME)[0]).pid)
    with load() as seen, stopped(pids):
        time.sleep(3.0)
    seen.check()


@pytest.mark.fault("A cell is told to stop (SIGTERM)", "no error")
def test_a_cell_drains(fleet: Stack, load) -> None:
    cell = hand_of(fleet, ACME)[0]
    with load() as seen:
        assert fleet.process(cell).stop() == 0
        fleet.restart(cell)
        await_registered(fleet)
    seen.check()


@pytest.mark.fault("Every cell is restarted in turn, each at a new address", "no error")
def test_a_rolling_restart_of_cells(fleet: Stack, load) -> None:
    with load() as seen:
        for number in range(fleet.cells):
            fleet.restart(f"cell-{number}")
            await_registered(fleet)
    seen.check()


@pytest.mark.fault(
    "A whole hand is killed", "its tenants: UNAVAILABLE at once; tenants of other cells: no error"
)
def test_a_whole_hand_is_killed(fleet: Stack, load) -> None:
    hand = set(hand_of(fleet, ACME))
    others = {one.name for one in TENANTS if set(hand_of(fleet, one.name)) - hand}
    with load() as seen:
        for cell in hand:
            fleet.process(cell).kill()
        time.sleep(2.0)
        for cell in hand:
            fleet.restart(cell)
        await_registered(fleet)
    seen.check(errors=seen.sent)
    assert not others & seen.failed.keys()
    assert {error.split()[0] for error in seen.errors} <= {"Unavailable"}


@pytest.mark.fault("The version manager is killed", "no error")
def test_the_manager_is_killed(fleet: Stack, load) -> None:
    with load() as seen:
        fleet.process("version-manager").kill()
        time.sleep(2.0)
        fleet.restart("version-manager")
        await_registered(fleet)
    seen.check()


@pytest.mark.fault("The version manager hangs for longer than the cells' leases", "no error")
def test_the_manager_hangs(fleet: Stack, load) -> None:
    with load() as seen, stopped([fleet.process("version-manager").pid]):
        time.sleep(12.0)
    seen.check()
    wait_until(lambda: is_answering(fleet), "the manager answers")
    await_registered(fleet)


@pytest.mark.fault("Manager and etcd are killed, and a router restarts on its snapshot", "no error")
def test_a_router_starts_without_a_control_plane(fleet: Stack, load, tmp_path) -> None:
    with load() as seen:
        fleet.process("version-manager").kill()
        fleet.process("etcd").kill()
        snapshot = tmp_path / "snapshot"
        snapshot.write_bytes(fleet.snapshot.read_bytes())
        other = fleet.start_router("other-router", snapshot)
        with load(other.address) as on_other:
            time.sleep(0.5)
        other.stop()
        del fleet.processes["other-router"]
        fleet.restart("etcd")
        fleet.restart("version-manager")
        await_registered(fleet)
    seen.check()
    on_other.check()


@pytest.mark.fault(
    "Manager, etcd and every cell are killed at once and come back", "UNAVAILABLE until cells are back"
)
def test_everything_behind_the_router_is_killed(fleet: Stack, load) -> None:
    names = ["version-manager", "etcd", *(f"cell-{number}" for number in range(fleet.cells))]
    with load() as seen:
        threads = [threading.Thread(target=fleet.process(name).kill) for name in names]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for name in ("etcd", "version-manager", *names[2:]):
            fleet.restart(name)
        await_registered(fleet)
    seen.check(errors=seen.sent)
    assert {error.split()[0] for error in seen.errors} <= {"Unavailable"}
