"""etcd that dies, hangs, fills up, forgets, goes back in time or holds nonsense."""

from __future__ import annotations

import itertools
import os
import signal
import time

import pytest
from support.fleet import publish
from support.harm import (
    Kept,
    addresses,
    await_registered,
    backup,
    etcdctl,
    is_answering,
    keys,
    replace_etcd,
    with_manager,
)
from support.load import MODEL, TENANTS, Tenant
from support.waiting import wait_until

from croupier.errors import CroupierError
from croupierctl.stack import Stack

_probes = (Tenant("probe", number).artifact for number in itertools.count(5_000))
NONSENSE = ["", "{}", "[", "null", '{"number": 1e999}', "\x00\xff", '{"splits": [{"version": 1}]}']


def takes_changes(stack: Stack) -> bool:
    """Whether the version manager publishes something new."""
    return publish(stack, "probe", MODEL, next(_probes)) > 0


@pytest.mark.fault("etcd is killed", "no error")
def test_etcd_is_killed(fleet: Stack, load) -> None:
    with load() as seen:
        fleet.process("etcd").kill()
        time.sleep(2.0)
        fleet.restart("etcd")
        wait_until(lambda: takes_changes(fleet), "changes are taken")
    seen.check()


@pytest.mark.fault("etcd hangs for longer than the cells' leases (SIGSTOP)", "no error")
def test_etcd_hangs(fleet: Stack, load) -> None:
    etcd = fleet.process("etcd")
    with load() as seen:
        etcd.signal(signal.SIGSTOP)
        try:
            time.sleep(12.0)
        finally:
            etcd.signal(signal.SIGCONT)
        await_registered(fleet)
    seen.check()


@pytest.mark.fault("etcd comes back empty", "no error; the map is frozen until a backup is restored")
def test_etcd_comes_back_empty(fleet: Stack, load, tmp_path) -> None:
    saved = backup(fleet, tmp_path / "saved")
    with load() as seen:
        replace_etcd(fleet, None)
        wait_until(lambda: is_frozen(fleet), "the map is frozen", timeout=40.0)
        replace_etcd(fleet, saved)
        wait_until(lambda: takes_changes(fleet), "changes are taken", timeout=40.0)
        await_registered(fleet)
    seen.check()


@pytest.mark.fault(
    "An older backup of etcd is restored, and then the right one", "no error; frozen in between"
)
def test_an_older_backup_is_restored(fleet: Stack, load, tmp_path) -> None:
    older = backup(fleet, tmp_path / "older")
    publish(fleet, "lately", MODEL, TENANTS[1].artifact)
    newer = backup(fleet, tmp_path / "newer")
    with load() as seen:
        replace_etcd(fleet, older)
        wait_until(lambda: is_frozen(fleet), "the map is frozen", timeout=40.0)
        replace_etcd(fleet, newer)
        wait_until(lambda: takes_changes(fleet), "changes are taken", timeout=40.0)
        await_registered(fleet)
    seen.check()


@pytest.mark.fault("All models are deleted from etcd by prefix", "no error; frozen until they are back")
def test_all_models_are_deleted(fleet: Stack, load) -> None:
    with load() as seen, Kept(fleet) as kept:
        etcdctl(fleet, "del", "--prefix", "croupier/models/")
        wait_until(lambda: is_frozen(fleet), "the map is frozen")
        kept.put_back()
        wait_until(lambda: takes_changes(fleet), "changes are taken")
    seen.check()


@pytest.mark.fault("With the map frozen, every cell is restarted at a new address", "no error")
def test_cells_move_while_the_map_is_frozen(fleet: Stack, load) -> None:
    with load() as seen, Kept(fleet) as kept:
        etcdctl(fleet, "del", "--prefix", "croupier/models/")
        wait_until(lambda: is_frozen(fleet), "the map is frozen")
        before = addresses(fleet)
        for number in range(fleet.cells):
            fleet.restart(f"cell-{number}")
            await_registered(fleet)
        assert not before.items() & addresses(fleet).items()
        kept.put_back()
        wait_until(lambda: takes_changes(fleet), "changes are taken")
    seen.check()


@pytest.mark.fault("Nonsense is put under every key, cells included", "no error")
def test_nonsense_under_every_key(fleet: Stack, load) -> None:
    with load() as seen, Kept(fleet) as kept:
        for nonsense in NONSENSE[1:4]:
            for key in keys(fleet):
                etcdctl(fleet, "put", key, nonsense)
        time.sleep(1.0)
        kept.put_back()
        wait_until(lambda: takes_changes(fleet), "changes are taken")
        await_registered(fleet)
    seen.check()


@pytest.mark.fault(
    "A typo in the shard map's pointer, then managers and routers restart", "no error, no hand changes"
)
def test_a_typo_and_a_restart(fleet: Stack, load) -> None:
    with load() as seen, Kept(fleet) as kept:
        etcdctl(fleet, "put", "croupier/shards/active", '{"active": 999}')
        for key in keys(fleet, "croupier/shards/generations/"):
            etcdctl(fleet, "put", key, "{typo}")
        fleet.process("version-manager").kill()
        fleet.restart("version-manager")
        other = fleet.start_router("other-router", fleet.snapshot)
        with load(other.address) as on_other:
            time.sleep(0.5)
        other.stop()
        del fleet.processes["other-router"]
        kept.put_back()
        wait_until(lambda: takes_changes(fleet), "changes are taken")
    seen.check()
    on_other.check()


@pytest.mark.fault("etcd is full (its quota is reached) and takes no writes", "no error")
def test_etcd_is_full(fleet: Stack, load) -> None:
    etcd = fleet.process("etcd")
    argv = etcd.argv
    try:
        with load() as seen:
            etcd.argv = [*argv, "--quota-backend-bytes", "400000"]
            fleet.restart("etcd")
            wait_until(lambda: is_full(fleet), "etcd takes no writes")
            assert not is_writable(fleet)
            etcd.argv = [*argv, "--quota-backend-bytes", str(2**31)]
            fleet.restart("etcd")
            etcdctl(fleet, "alarm", "disarm")
            wait_until(lambda: takes_changes(fleet), "changes are taken")
            await_registered(fleet)
        seen.check()
    finally:
        etcd.argv = argv


@pytest.mark.fault("etcd is compacted while the manager is cut off from what happened", "no error")
def test_etcd_is_compacted(fleet: Stack, load) -> None:
    manager = fleet.process("version-manager")
    with load() as seen:
        os.kill(manager.pid, signal.SIGSTOP)
        try:
            for number in range(20):
                etcdctl(fleet, "put", f"croupier/elsewhere/{number}", "x")
            revision = etcdctl(fleet, "endpoint", "status", "--write-out", "json").split('"revision":')[1]
            etcdctl(fleet, "compact", revision.split(",")[0])
        finally:
            os.kill(manager.pid, signal.SIGCONT)
        etcdctl(fleet, "del", "--prefix", "croupier/elsewhere/")
        wait_until(lambda: takes_changes(fleet), "changes are taken")
    seen.check()


def is_frozen(stack: Stack) -> bool:
    """Whether a change is refused since the map is frozen.

    It is asked for first: a change that etcd still took would be missing once the right content is back.
    """
    if not is_answering(stack) or not with_manager(stack, lambda manager: manager.get_freeze()).frozen:
        return False
    try:
        takes_changes(stack)
    except CroupierError as error:
        return error.reason == "MAP_FROZEN"
    return False


def is_writable(stack: Stack) -> bool:
    try:
        return takes_changes(stack)
    except CroupierError:
        return False


def is_full(stack: Stack) -> bool:
    """Write until etcd raises its alarm."""
    try:
        etcdctl(stack, "put", "elsewhere", "x" * 100_000)
    except Exception:  # noqa: BLE001 (etcdctl says no)
        return "NOSPACE" in etcdctl(stack, "alarm", "list")
    return False
