import asyncio
import json
import signal
import sys
from unittest.mock import AsyncMock

import pytest
from support.certificates import Authority
from support.etcd import EtcdServer
from support.manager import Fleet, artifact
from support.ports import free_port
from support.waiting import eventually

from croupier.errors import CroupierError
from croupier.grpcio.channels import credentials
from croupier.grpcio.manager import VersionManagerClient
from croupier.lifecycle import Lifecycle
from croupier.settings import InvalidSettings, load
from version_manager import app
from version_manager.app import VersionManager
from version_manager.settings import ManagerSettings


def told(*argv: str) -> ManagerSettings:
    return load(ManagerSettings, app.PROGRAM, argv, {})


@pytest.mark.parametrize(
    "argv",
    [
        ["--listen", "0.0.0.0:8400"],
        ["--lease-seconds", "0"],
        ["--history", "0"],
        ["--max-artifact-bytes", "-1"],
        ["--prefix", "/"],
        ["--store", "ftp://somewhere"],
        ["--etcd", "nowhere"],
        ["--etcd-user", "me", "--etcd-password-file", "/nowhere/at/all"],
    ],
)
async def test_settings_that_cannot_be_used_are_refused(argv, tmp_path):
    manager = VersionManager(told("--store", f"file://{tmp_path}", *argv), Lifecycle())
    with pytest.raises(InvalidSettings):
        await manager.start()
    await manager.stop()


async def test_it_can_be_stopped_while_it_waits_for_etcd(tmp_path):
    life = Lifecycle()
    etcd = ["--etcd", f"127.0.0.1:{free_port()}"]
    manager = VersionManager(told(*etcd, "--store", f"file://{tmp_path}"), life)
    starting = asyncio.create_task(manager.start())
    await asyncio.sleep(0)
    life.stop()
    assert await asyncio.wait_for(starting, 5) is False
    await manager.stop()
    await life.close()


async def test_an_address_in_use_is_an_error(fleet, tmp_path):
    life = Lifecycle()
    argv = ["--listen", fleet.address, "--etcd", fleet.etcd.endpoint, "--store", f"file://{tmp_path}"]
    manager = VersionManager(told(*argv), life)
    with pytest.raises(InvalidSettings):
        await manager.start()
    await manager.stop()
    await life.close()
    assert not life.failed


async def test_collections_are_spared_once_there_is_a_map_and_before_anybody_is_served(
    fleet, tmp_path, monkeypatch
):
    seen = []
    monkeypatch.setattr(app.gc, "collect", lambda: seen.append("collected"))
    monkeypatch.setattr(app.gc, "freeze", lambda: seen.append("frozen"))
    monkeypatch.setattr(VersionManager, "_serve", AsyncMock(side_effect=lambda parts: seen.append(parts)))
    await fleet.client.publish("acme", "churn", artifact())
    life = Lifecycle()
    argv = ["--etcd", fleet.etcd.endpoint, "--store", f"file://{tmp_path}", "--metrics-listen", "127.0.0.1:0"]
    serving = asyncio.create_task(app.serve(life, told(*argv)))
    await eventually(lambda: len(seen) == 3)
    assert seen[:2] == ["collected", "frozen"]
    assert seen[2].mirror.map.catalog.find("acme", "churn") is not None
    life.stop()
    await serving
    await life.close()


async def test_two_prefixes_in_one_etcd_are_two_deployments(fleet):
    await fleet.client.publish("acme", "churn", artifact())
    fleet._told["prefix"] = "staging"
    staging = await fleet.start_manager()
    with pytest.raises(CroupierError):
        await staging.get_model("acme", "churn")
    await staging.publish("acme", "fraud", artifact())
    found = [pair.key for pair in (await fleet.raw.range("staging")).items]
    keys = [key for key in found if not key.startswith("staging/managers/")]
    assert [key.rpartition("/")[0] for key in keys] == ["staging-audit", "staging/models/acme/fraud/versions"]


async def test_the_audit_has_the_role_in_the_callers_certificate(tmp_path):
    authority = Authority(tmp_path)
    server, caller = authority.issue("manager"), authority.issue("cn", uris=["croupier://publisher/ci"])
    tls = {
        "tls_certificate": server.certificate,
        "tls_key": server.key,
        "tls_client_ca": authority.certificate,
    }
    async with Fleet(tmp_path, **tls) as fleet:
        shown = credentials(authority.certificate, caller.certificate, caller.key)
        async with VersionManagerClient(fleet.address, shown) as client:
            await client.publish("acme", "churn", artifact())
        (entry,) = await fleet.audit()
        assert json.loads(entry)["who"] == "publisher/ci"


@pytest.mark.system
async def test_the_process_says_that_it_serves_and_ends_when_told(tmp_path):
    async with EtcdServer(tmp_path) as etcd:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "version_manager.app"),
            *("--listen", "127.0.0.1:0", "--etcd", etcd.endpoint),
            *("--store", f"file://{tmp_path}/objects", "--snapshot", str(tmp_path / "snapshot")),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            line = (await asyncio.wait_for(process.stdout.readline(), 20)).decode()
            assert line.startswith("croupier-version-manager on 127.0.0.1:")
            assert line.endswith(" ready\n")
            process.send_signal(signal.SIGTERM)
            assert await asyncio.wait_for(process.wait(), 10) == 0
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        errors = (await process.stderr.read()).decode()
        assert "Traceback" not in errors, errors
