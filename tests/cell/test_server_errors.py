"""A status for each thing that can be wrong, as a real client of a real cell sees it."""

import hashlib
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from support.cell_server import CellServer, infer_request, open_cell, row_item
from support.cells import digest
from support.graphs import matmul, packed
from support.http2_peer import RawPeer, data, headers, message, request_fields
from support.models import FEATURES, train_small

from croupier.errors import (
    DataLoss,
    DeadlineExceeded,
    FailedPrecondition,
    InvalidRequest,
    NotFound,
    QuotaExceeded,
    TooLarge,
    Unimplemented,
)
from croupier.stores.objects import key_of
from protos.inference.v2 import inference_pb2 as oip
from protos.prediction.v1 import prediction_pb2 as pb

Small = tuple[Any, np.ndarray[Any, Any], bytes]
INFER = "/inference.GRPCInferenceService/ModelInfer"
PREDICT = "/croupier.prediction.v1.PredictionService/Predict"


def bad_datatype(request: oip.ModelInferRequest) -> None:
    request.inputs[0].datatype = "FP64"


def bad_shape(request: oip.ModelInferRequest) -> None:
    request.inputs[0].shape[1] = 11


def bad_length(request: oip.ModelInferRequest) -> None:
    request.raw_input_contents[0] = request.raw_input_contents[0][:-1]


def bad_name(request: oip.ModelInferRequest) -> None:
    request.inputs[0].name = "../input\0"


def bad_output(request: oip.ModelInferRequest) -> None:
    request.outputs.add(name="nothing")


def bad_nan(request: oip.ModelInferRequest) -> None:
    request.raw_input_contents[0] = np.full(20, math.nan, np.float32).tobytes()


def bad_batch(request: oip.ModelInferRequest) -> None:
    request.inputs[0].shape[0] = 51
    request.raw_input_contents[0] = bytes(51 * 40)


def bad_digest(request: oip.ModelInferRequest) -> None:
    request.artifact = b"short"


@pytest.mark.parametrize(
    ("spoil", "field"),
    [
        (bad_datatype, "inputs[0].datatype"),
        (bad_shape, "inputs[0].shape"),
        (bad_length, "raw_input_contents[0]"),
        (bad_name, "inputs[0].name"),
        (bad_output, "outputs[0].name"),
        (bad_nan, "inputs[0]"),
        (bad_batch, "inputs[0].shape"),
        (bad_digest, "artifact"),
    ],
)
async def test_what_is_wrong_with_a_tensor_is_named(
    server: CellServer,
    key: bytes,
    small: Small,
    spoil: Callable[[oip.ModelInferRequest], None],
    field: str,
) -> None:
    request = infer_request(key, small[1][:2], raw=True)
    spoil(request)
    with pytest.raises(InvalidRequest) as caught:
        await server.infer(request)
    assert caught.value.field == field
    await server.infer(infer_request(key, small[1][:2], raw=True))


async def test_an_undecodable_message(server: CellServer) -> None:
    for method in (INFER, PREDICT):
        with pytest.raises(InvalidRequest):
            await server.send_bytes(method, b"\xff\xff\xff")


async def test_too_many_items_and_none(server: CellServer, key: bytes, small: Small) -> None:
    item = row_item(key, small[1][0])
    for items in ([item] * 51, []):
        with pytest.raises(InvalidRequest) as caught:
            await server.predict(*items)
        assert caught.value.field == "items"
    assert len(await server.predict(*[item] * 50)) == 50


async def test_each_item_has_its_own_outcome(server: CellServer, key: bytes, small: Small) -> None:
    _, rows, _ = small
    twice = pb.Features(features=[pb.Feature(name=FEATURES[0], number=1)] * 2)
    unknown = pb.Features(features=[pb.Feature(name="nonsense", number=1)])
    results = await server.predict(
        row_item(key, rows[0]),
        row_item(b"", rows[0]),
        row_item(key, rows[0][:3]),
        pb.Item(artifact=key, version=3, features=twice),
        pb.Item(artifact=key, version=3, features=unknown),
        row_item(key, [math.nan] * 10),
        row_item(digest("nowhere"), rows[0]),
        row_item(key, rows[1]),
    )
    assert [result.status.code for result in results] == [0, 3, 3, 3, 3, 3, 5, 0]
    assert [result.version for result in results] == [3, 0, 0, 0, 0, 0, 0, 3]
    assert results[4].status.reason == "INVALID_REQUEST"
    assert "nonsense" in results[4].status.message


async def test_an_artifact_that_is_nowhere(server: CellServer) -> None:
    with pytest.raises(NotFound):
        await server.describe(digest("nowhere"))


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"no artifact", "ARTIFACT_REFUSED"),
        (packed(b"no model"), "ARTIFACT_REFUSED"),
        (packed(matmul(), engine="abacus"), "UNKNOWN_ENGINE"),
    ],
)
async def test_an_artifact_that_cannot_serve(server: CellServer, data: bytes, reason: str) -> None:
    key = await server.store.put(data)
    for _ in range(2):
        with pytest.raises(FailedPrecondition) as caught:
            await server.describe(key)
        assert caught.value.reason == reason


async def test_a_model_larger_than_the_cell(tmp_path: Path, small: Small) -> None:
    async with open_cell(tmp_path, capacity_bytes=1000) as server:
        key = await server.store.put(small[2])
        with pytest.raises(FailedPrecondition) as caught:
            await server.infer(infer_request(key, small[1][:1]))
        assert caught.value.reason == "MODEL_TOO_LARGE"


@pytest.mark.parametrize("damage", [lambda data: data[:-7], lambda data: data[:-1] + b"!"])
async def test_a_corrupt_artifact_is_refused_by_its_digest(
    server: CellServer, small: Small, damage: Callable[[bytes], bytes]
) -> None:
    key = hashlib.sha256(small[2]).digest()
    path = server.folder / "objects" / key_of(key)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(damage(small[2]))
    with pytest.raises(DataLoss):
        await server.infer(infer_request(key, small[1][:1]))


async def test_a_message_over_the_limit(server: CellServer) -> None:
    with pytest.raises((QuotaExceeded, TooLarge)):
        await server.send_bytes(INFER, bytes(17 * 2**20))


async def test_too_many_cold_models(tmp_path: Path) -> None:
    async with open_cell(tmp_path, load_threads=1, max_loads=1) as server:
        models = [train_small(seed) for seed in range(6)]
        keys = [await server.store.put(artifact) for _, _, artifact in models]
        results = await server.predict(*(row_item(key, models[0][1][0]) for key in keys))
    assert [result.status.code for result in results] == [0, 14, 14, 14, 14, 14]
    assert {result.status.reason for result in results[1:]} == {"LOAD_QUEUE_FULL"}
    assert all(result.status.retry_after_ms > 0 for result in results[1:])


async def test_too_many_rows_waiting(tmp_path: Path, small: Small) -> None:
    async with open_cell(tmp_path, max_queued_rows=5) as server:
        key = await server.store.put(small[2])
        await server.describe(key)
        results = await server.predict(*[row_item(key, small[1][0])] * 12)
    codes = [result.status.code for result in results]
    assert codes[:5] == [0] * 5
    assert set(codes[5:]) == {14}
    assert results[-1].status.reason == "OVERLOADED"


async def test_a_deadline_that_has_passed(server: CellServer, key: bytes, small: Small) -> None:
    with pytest.raises(DeadlineExceeded):
        await server.infer(infer_request(key, small[1][:1]), timeout=0.0)


async def test_what_only_a_router_serves(server: CellServer, key: bytes) -> None:
    with pytest.raises(Unimplemented):
        await server.send_bytes("/inference.GRPCInferenceService/ModelReady", b"")
    call = server.prediction.PredictStream(iter([pb.PredictStreamRequest(id=1)]))
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call.read()
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


@pytest.mark.parametrize(
    ("method", "one"),
    [(INFER, b"\x2a\0"), (INFER, b"\x32\0"), (INFER, b"\x22\0"), (PREDICT, b"\x0a\0")],
    ids=["inputs", "outputs", "parameters", "items"],
)
async def test_a_request_of_a_great_many_empty_parts_is_never_parsed(
    server: CellServer, method: str, one: bytes
) -> None:
    # As 16 MiB they were half a GiB, in each cell of the hand.
    with pytest.raises(InvalidRequest) as refused:
        await server.send_bytes(method, one * 500_000)
    assert refused.value.reason == "MESSAGE_TOO_HEAVY"


@pytest.mark.parametrize("method", [INFER, PREDICT])
async def test_nor_is_one_of_a_great_many_fields_that_nobody_knows(server: CellServer, method: str) -> None:
    inside = b"\x78\x01" * 500_000
    part = bytes([0x2A if method == INFER else 0x0A, *b"\xc0\x84\x3d"]) + inside
    with pytest.raises(InvalidRequest) as refused:
        await server.send_bytes(method, part)
    assert refused.value.reason == "TOO_MANY_FIELDS"


@pytest.mark.parametrize("method", [INFER, PREDICT])
async def test_and_it_is_refused_before_it_is_there(server: CellServer, method: str) -> None:
    part = bytes([0x2A if method == INFER else 0x0A]) + b"\x80\x80\x80\x02"
    begun = message(bytes(8 * 2**20))[:5] + part + b"\x78\x01" * 65_537 + bytes(32)
    async with RawPeer.connect(server.cell.address) as peer:
        # The window is wider once its settings are acknowledged.
        await peer.settled()
        peer.send(headers(1, request_fields(method)))
        peer.send(*(data(1, begun[at : at + 16_384], 0) for at in range(0, len(begun), 16_384)))
        assert (await peer.heard(1)).status == ("200", "3")
