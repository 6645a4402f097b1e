"""Files that are damaged, gone, or none at all; an object store that is not there."""

from __future__ import annotations

import hashlib
import os
import shutil
import time
from functools import partial
from pathlib import Path

import pytest
from support.fleet import publish
from support.harm import await_registered, error_of, hand_of
from support.load import MODEL, TENANTS, Tenant
from support.waiting import wait_until

from croupier_client import Client
from croupierctl.stack import Stack


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def restart_cells(stack: Stack, names: list[str]) -> None:
    for name in names:
        stack.restart(name)
    await_registered(stack)


@pytest.mark.fault("Every cached artifact of a cell is damaged, and it restarts", "no error")
def test_a_cache_is_damaged(fleet: Stack, load) -> None:
    cell = hand_of(fleet, TENANTS[0].name)[0]
    with load() as seen:
        for path in files(fleet.folder / "cache" / cell):
            path.write_bytes(b"\xa5" * path.stat().st_size)
        restart_cells(fleet, [cell])
    seen.check()


@pytest.mark.fault("A cell's cache folder is deleted while it runs, and it restarts", "no error")
def test_a_cache_is_deleted(fleet: Stack, load) -> None:
    cell = hand_of(fleet, TENANTS[0].name)[0]
    with load() as seen:
        shutil.rmtree(fleet.folder / "cache" / cell)
        time.sleep(0.5)
        restart_cells(fleet, [cell])
    seen.check()


@pytest.mark.fault("FIFOs stand where a cell keeps its artifacts and lists, and it restarts", "no error")
def test_fifos_in_a_cache(fleet: Stack, load) -> None:
    cell = hand_of(fleet, TENANTS[0].name)[0]
    with load() as seen:
        fleet.process(cell).stop()
        found = files(fleet.folder / "cache" / cell)
        assert found
        for path in found:
            path.unlink()
            os.mkfifo(path)
        restart_cells(fleet, [cell])
    seen.check()


@pytest.mark.fault(
    "The object store is gone, and every cell restarts", "no error for models that a cell has on its disk"
)
def test_the_object_store_is_gone(fleet: Stack, load) -> None:
    objects, away = fleet.folder / "objects", fleet.folder / "objects.away"
    with load() as seen:
        objects.rename(away)
        try:
            restart_cells(fleet, [f"cell-{number}" for number in range(fleet.cells)])
        finally:
            away.rename(objects)
    seen.check()


@pytest.mark.fault(
    "A model's object is damaged before any cell has it", "its callers: DATA_LOSS; others: no error"
)
def test_an_object_is_damaged(fleet: Stack, load) -> None:
    damaged = Tenant("damaged", 1_000)
    digest = hashlib.sha256(damaged.artifact).hexdigest()
    with load() as seen:
        publish(fleet, damaged.name, MODEL, damaged.artifact, release=False)
        path = fleet.folder / "objects" / digest[:2] / digest
        path.write_bytes(path.read_bytes()[:-1])
        with Client(fleet.router, tenant=damaged.name, retries=0) as client:
            said = partial(error_of, client, MODEL, (1.0, 2.0), version=1)
            wait_until(lambda: said() == "DataLoss", "the damage is told")
            assert {said() for _ in range(20)} == {"DataLoss"}
    seen.check()


@pytest.mark.fault("The router's snapshot is cut short, and a router starts on it", "no error")
def test_a_snapshot_is_cut_short(fleet: Stack, load, tmp_path: Path) -> None:
    whole = fleet.snapshot.read_bytes()
    with load() as seen:
        for number, size in enumerate((0, 1, len(whole) // 2, len(whole) - 1)):
            snapshot = tmp_path / f"snapshot-{number}"
            snapshot.write_bytes(whole[:size])
            name = f"router-{number}"
            other = fleet.start_router(name, snapshot)
            with load(other.address) as on_other:
                pass
            on_other.check()
            other.stop()
            del fleet.processes[name]
    seen.check()
