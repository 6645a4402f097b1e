import asyncio
import hashlib
import json
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from support.cell_server import infer_request, open_cell
from support.join_service import JoinService
from support.slices import slice_microseconds
from support.waiting import eventually

from cell.crash.journal import QUARANTINE
from cell.crash.quarantine import Death, Named, Phase, Quarantine
from croupier.errors import CroupierError, FailedPrecondition
from croupier.grpcio.channels import open_async
from croupier.names import InvalidName
from croupier.priority import LONG_SLICE_MICROSECONDS
from croupier.settings import InvalidSettings
from croupier.stores.objects import open_store
from protos.inference.v2 import inference_pb2_grpc

Manager = tuple[JoinService, str]

_HEAVY = (
    "aiobotocore",
    "botocore",
    "grpc",
    "lightgbm",
    "onnx",
    "onnxruntime",
    "pandas",
    "scipy",
    "skl2onnx",
    "sklearn",
    "treelite",
    "xgboost",
)


def test_a_cell_starts_without_what_it_does_not_need_to_serve() -> None:
    script = f"import sys, cell.app; print([name for name in {_HEAVY!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        ({"id": "../x"}, InvalidName),
        ({"zone": ""}, InvalidName),
        ({"weight": 0.0}, InvalidSettings),
        ({"weight": float("nan")}, InvalidSettings),
        ({"max_rows": 0}, InvalidSettings),
        ({"capacity_bytes": -1}, InvalidSettings),
        ({"listen": "0.0.0.0:0"}, InvalidSettings),
        ({"store": "ftp://x"}, InvalidSettings),
    ],
)
async def test_settings_that_cannot_be(
    tmp_path: Path, wrong: dict[str, Any], error: type[CroupierError]
) -> None:
    with pytest.raises(error):
        async with open_cell(tmp_path, **wrong):
            pass


async def test_an_address_in_use(tmp_path: Path) -> None:
    async with open_cell(tmp_path / "a") as first:
        with pytest.raises(InvalidSettings):
            async with open_cell(tmp_path / "b", listen=first.cell.address):
                pass


async def test_it_registers_where_it_serves_and_says_what_it_holds(
    tmp_path: Path, manager: Manager, small: Any
) -> None:
    service, address = manager
    async with open_cell(tmp_path, id="c1", zone="z1", weight=2.0, manager=(address,)) as server:
        await eventually(lambda: bool(service.reports), "a report")
        first = service.reports[0]
        assert (first.id, first.zone, first.weight, first.state) == ("c1", "z1", 2.0, "active")
        assert first.address == server.cell.address
        assert first.load.capacity_bytes == 2**26
        await server.infer(infer_request(await server.store.put(small[2]), small[1][:1]))
        await eventually(lambda: service.reports[-1].load.resident == 1, "a report of the model")
        assert service.reports[-1].load.requests == 1
        # A cell that is given no time to drain may leave without a word.
        assert server.cell._registration is not None
        assert await server.cell._registration.drain(60.0)
        assert service.reports[-1].state == "draining"
    await eventually(lambda: service.left > 0, "the stream's end")


async def test_a_quarantined_model_is_refused_at_once_and_others_are_served(
    tmp_path: Path, small: Any
) -> None:
    artifact = hashlib.sha256(small[2]).digest()
    quarantine = Quarantine()
    crash = Death((Named(artifact, Phase.SCORE, signal="SIGSEGV"),), "SIGSEGV")
    quarantine.judge(crash, 0.0)
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / QUARANTINE).write_text(json.dumps(quarantine.dump()))
    async with open_cell(tmp_path) as server:
        await server.store.put(small[2])
        with pytest.raises(FailedPrecondition, match="SIGSEGV") as caught:
            await server.infer(infer_request(artifact, small[1][:1]))
        assert caught.value.reason == "QUARANTINED"
    async with open_cell(tmp_path / "other") as server:
        assert (await server.infer(infer_request(await server.store.put(small[2]), small[1][:1]))).outputs


async def test_it_tells_the_address_that_it_was_told(tmp_path: Path, manager: Manager) -> None:
    service, address = manager
    async with open_cell(tmp_path, manager=(address,), advertise="cells.example:9000"):
        await eventually(lambda: bool(service.reports), "a report")
    assert service.reports[0].address == "cells.example:9000"


async def test_it_serves_without_a_manager_there(tmp_path: Path, small: Any) -> None:
    async with open_cell(tmp_path, manager=("127.0.0.1:1",)) as server:
        assert (await server.infer(infer_request(await server.store.put(small[2]), small[1][:1]))).outputs


@pytest.mark.system
async def test_threads_that_score_let_in_at_once_whoever_wakes(tmp_path: Path, small: Any) -> None:
    async with open_cell(tmp_path) as server:
        key = await server.store.put(small[2])
        await server.inference.ModelInfer(infer_request(key, small[1][:1]))
        scoring = [one.native_id for one in threading.enumerate() if one.name.startswith("score")]
        assert scoring
        found = {slice_microseconds(thread or 0) for thread in scoring}
    assert found <= {0, LONG_SLICE_MICROSECONDS}


async def test_the_process_serves_drains_and_exits_cleanly(
    tmp_path: Path, manager: Manager, small: Any
) -> None:
    service, address = manager
    url = f"file://{tmp_path / 'objects'}"
    async with open_store(url) as store:
        key = await store.put(small[2])
    flags = ["--id", "c9", "--store", url, "--cache-dir", str(tmp_path / "cache"), "--manager", address]
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "cell.app", *flags, "--drain-seconds", "0.2", stdout=asyncio.subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        line = (await process.stdout.readline()).decode()
        assert line.startswith("croupier-cell c9 on 127.0.0.1:")
        assert line.endswith(" ready\n")
        async with open_async(line.split()[3]) as channel:
            stub: Any = inference_pb2_grpc.GRPCInferenceServiceStub(channel)
            assert (await stub.ModelInfer(infer_request(key, small[1][:1]), timeout=10)).outputs
            await eventually(lambda: bool(service.reports), "a report")
            process.send_signal(signal.SIGTERM)
            await eventually(lambda: service.reports[-1].state == "draining", "a report of draining")
            assert await asyncio.wait_for(process.wait(), 10) == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    await eventually(lambda: service.left == 1, "the stream's end")
