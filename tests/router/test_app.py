import asyncio
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from support.fakes import FakeManager, digest, metric, model, no_change, snapshot_path
from support.ports import free_port
from support.waiting import eventually
from support.worlds import Router, failing, router, world

from croupier.grpcio.channels import open_async
from croupier.protocol import CURRENT
from croupier.settings import InvalidSettings
from protos.inference.v2 import inference_pb2
from router import app, snapshot
from router.admission import Admission
from router.breakers import Breakers
from router.copies import Copies, Hot
from router.view import ViewChange
from version_manager.model.catalog import Delta


def nowhere() -> str:
    return f"127.0.0.1:{free_port()}"


def _refuses(address: str) -> bool:
    with socket.socket() as probe:
        host, _, port = address.rpartition(":")
        return probe.connect_ex((host, int(port))) != 0


async def is_serving(channel: grpc.aio.Channel, service: str = "") -> bool:
    stub: Any = health_pb2_grpc.HealthStub(channel)
    answer = await stub.Check(health_pb2.HealthCheckRequest(service=service), wait_for_ready=True)
    return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)


async def test_until_a_catalog_is_loaded_the_router_is_alive_and_not_ready(tmp_path: Path) -> None:
    listen, manager = nowhere(), FakeManager()
    manager.address = nowhere()
    async with router(manager.address, wait=False, listen=listen) as front:
        inference = front.inference
        live = await inference.ServerLive(inference_pb2.ServerLiveRequest(), wait_for_ready=True)
        assert live.live
        assert not (await inference.ServerReady(inference_pb2.ServerReadyRequest())).ready
        assert not await is_serving(front.channel)
        async with failing(grpc.StatusCode.UNAVAILABLE, "RetryInfo"):
            await front.infer()
        async with manager:
            for service in ("", "inference.GRPCInferenceService", "croupier.prediction.v1.PredictionService"):
                await eventually(lambda service=service: is_serving(front.channel, service), service)
            async with failing(grpc.StatusCode.NOT_FOUND):
                await front.infer()
            # There is a catalog, and no cell.
            assert not (await inference.ServerReady(inference_pb2.ServerReadyRequest())).ready


async def test_a_router_starts_from_its_snapshot_with_no_version_manager(tmp_path: Path) -> None:
    path = snapshot_path(tmp_path)
    async with world([model(versions=(1, 2))], snapshot=path) as made:
        await eventually(path.exists, "the first snapshot")
        made.change(ViewChange(Delta.of(0, (model(name="late"),)), removed_cells=("cell-0",)))
        await eventually(lambda: snapshot.read(path).catalog.revision == 2, "the second snapshot")
        await made.manager.stop()
        async with router(nowhere(), snapshot=path) as again:
            assert (await again.inference.ServerReady(inference_pb2.ServerReadyRequest())).ready
            for name in ("churn", "late"):
                answer = await again.infer(name)
                assert list(answer.raw_output_contents) == [
                    made.hand(name=name)[0].id.encode(),
                    digest(f"acme/{name}/1"),
                ]
        assert snapshot.read(path).cells["cell-0"].departed


async def test_a_damaged_snapshot_is_ignored_and_written_anew(tmp_path: Path) -> None:
    path, before = snapshot_path(tmp_path), metric("croupier_router_bad_snapshots_total")
    path.parent.mkdir()
    path.write_bytes(b"croupier-router-snapshot 1\n damaged")
    async with world(snapshot=path) as made:
        assert metric("croupier_router_bad_snapshots_total") == before + 1
        assert await made.router.infer()
        await eventually(lambda: snapshot.read_if_good(path), "a good one")


async def test_a_router_with_a_snapshot_goes_on_from_its_revision(tmp_path: Path) -> None:
    path = snapshot_path(tmp_path)
    async with world(snapshot=path) as made:
        await eventually(path.exists, "the snapshot")
        made.manager.asked.clear()
        async with router(made.manager.address, snapshot=path):
            await eventually(lambda: made.manager.asked, "the watch")
            assert made.manager.asked[0].protocol == CURRENT
            assert (made.manager.asked[0].revision, made.manager.asked[0].catalog) == (1, "cluster-1")


async def test_a_new_release_is_served_as_soon_as_it_is_known() -> None:
    async with world([model(versions=(1, 2))]) as made:
        assert (await made.router.infer()).model_version == "1"
        made.change(ViewChange(Delta.of(0, (model(versions=(1, 2), splits=((2, 10_000),)),))))

        async def released() -> bool:
            return bool((await made.router.infer()).model_version == "2")

        await eventually(released, "version 2")


async def test_the_version_manager_gone_costs_no_answer() -> None:
    async with world() as made:
        await made.manager.stop()
        for _ in range(3):
            assert await made.router.infer()
        assert metric("croupier_router_view_age_seconds") > 0


async def test_ejected_cells_and_hot_models_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    async with world():
        names = ("croupier_router_ejected_cells", "croupier_router_hot_models")
        assert [metric(name) for name in names] == [0, 0]
        monkeypatch.setattr(Breakers, "ejections", 3)
        monkeypatch.setattr(Copies, "known", lambda self, now: {("acme", "churn"): Hot(now, copies=2)})
        assert [metric(name) for name in names] == [3, 1]


async def test_how_late_its_loop_is_bounds_what_a_router_lets_in(monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[float] = []
    monkeypatch.setattr(Admission, "beat", lambda self, late, now: heard.append(late))
    async with world():

        async def is_told() -> bool:
            return bool(heard)

        await eventually(is_told, "a beat")


async def test_cells_that_lost_their_registration_are_asked_still() -> None:
    async with world() as made:
        made.change(no_change(removed_cells=tuple(made.cells)))
        made.change(ViewChange(Delta.of(0, (model(name="marker"),))))

        async def seen() -> bool:
            try:
                return bool(await made.router.infer("marker"))
            except grpc.aio.AioRpcError:
                return False

        await eventually(seen, "the change")
        assert await made.router.infer()


async def test_a_stopping_router_ends_what_runs() -> None:
    async with world() as made:
        release = asyncio.Event()

        async def wait(call: Any) -> None:
            await release.wait()

        first = made.hand()[0]
        first.before = wait
        stopping = router(made.manager.address)
        other = await stopping.__aenter__()
        async with open_async(other.address) as channel:
            asking = asyncio.create_task(Router(channel, "").infer())
            await eventually(lambda: first.calls, "the call")
            ending = asyncio.create_task(stopping.__aexit__(None, None, None))
            await eventually(lambda: _refuses(other.address), "no new connections")
            assert not ending.done()
            release.set()
            assert (await asking).model_version == "1"
            await ending


async def test_several_routers_may_share_a_port() -> None:
    async with world(reuse_port=True) as made:
        shared = made.router.address
        async with router(made.manager.address, listen=shared, reuse_port=True) as second:
            assert second.address == shared
            for _ in range(8):
                async with open_async(shared) as channel:
                    assert await Router(channel, shared).infer()


async def test_an_address_in_use_is_an_error_in_words() -> None:
    async with world() as made:
        with pytest.raises(InvalidSettings, match="in use"):
            async with router(made.manager.address, listen=made.router.address):
                pass


async def test_a_token_key_that_cannot_be_used_is_an_error_in_words(tmp_path: Path) -> None:
    short = tmp_path / "short.key"
    short.write_bytes(b"short")
    for key, problem in ((tmp_path / "missing", "missing cannot be read"), (short, "shorter than 32 bytes")):
        with pytest.raises(InvalidSettings, match=problem):
            async with router(nowhere(), token_key=key):
                pass


@pytest.mark.system
async def test_the_process_says_that_it_is_ready_serves_and_ends_well(tmp_path: Path) -> None:
    async with world() as made:
        argv = ["-m", "router.app", "--listen", "127.0.0.1:0", "--manager", made.manager.address]
        process = await asyncio.create_subprocess_exec(
            sys.executable, *argv, "--snapshot", str(tmp_path / "s"), stdout=subprocess.PIPE
        )
        try:
            assert process.stdout is not None
            line = (await asyncio.wait_for(process.stdout.readline(), 20)).decode()
            assert line.startswith("croupier-router on 127.0.0.1:")
            assert line.endswith(" ready\n")
            async with open_async(line.split()[2]) as channel:
                assert await Router(channel, "").infer()
            await eventually((tmp_path / "s").exists, "the snapshot")
            process.terminate()
            assert await asyncio.wait_for(process.wait(), 20) == 0
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()


def test_its_loop_waits_less_long_for_the_lock_and_for_a_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    before, taken = sys.getswitchinterval(), []
    monkeypatch.setattr(sys, "argv", ["croupier-router", "--listen", "0.0.0.0:0"])
    # This process's logs and slices are the tests'.
    monkeypatch.setattr(app.logs, "configure", lambda *_: None)
    monkeypatch.setattr(app, "take_short_slices", lambda: taken.append(threading.current_thread()))
    try:
        # It refuses to serve strangers, after it has begun.
        with pytest.raises(SystemExit):
            app.main()
        assert sys.getswitchinterval() == pytest.approx(app.LOCK_SECONDS) != before
        assert taken == [threading.main_thread()]
    finally:
        sys.setswitchinterval(before)
