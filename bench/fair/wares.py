"""What offenders ask for, published for one tenant.

Of the cold models only names and releases are as many as told. Publishing each would take minutes, so their
records go to etcd as the version manager writes them, many in a transaction; and an artifact lies in the
store for those alone that will be asked for.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from bench.catalog import MODEL_INFER, MODEL_READY, PREDICT, Load
from bench.population import Population, rows
from croupier.artifacts.format import digest_of
from croupier.artifacts.packers.linear import pack_linear
from croupier.artifacts.packers.onnx import pack_onnx
from croupier.codes import Code
from croupier.grpcio.manager import VersionManagerClient
from croupier.stores.etcd import MAX_TRANSACTION, Etcd, Put
from croupier.stores.etcd_connection import EtcdConfig
from croupier.stores.objects import key_of
from croupier.transport.client import Channel
from croupier.transport.http2.client_call import ClientCall
from croupier_client.encode import Item
from croupier_client.encode import encode as encode_item
from croupier_client.messages import prediction
from croupierctl.stack import Stack
from protos.inference.v2 import inference_pb2
from protos.prediction.v1 import prediction_pb2
from version_manager.map.keys import Keys
from version_manager.map.records import encode
from version_manager.model.release import WHOLE, Release, Split, Version

TENANT = "offender"
# As many rows as a request may have, of features enough for 8 megabytes.
_WIDE_ROWS, _WIDE = 1_024, 2_048
# A product of so many matrices, which takes some tens of milliseconds.
_SLOW, _PRODUCTS, _SLOW_ROWS = 768, 24, 32
_ROUTED_SECONDS = 60.0
_NAMES = 64


@dataclass(frozen=True, slots=True)
class Wares:
    """`cold` models have a name and a release; `small` is a PredictRequest of one row."""

    cold: int
    small: bytes

    def one(self, *, items: int = 1) -> Load:
        """One row of an ordinary model, over and over, or so many of them in one request."""
        request = prediction_pb2.PredictRequest.FromString(self.small)
        body = prediction_pb2.PredictRequest(items=[*request.items] * items).SerializeToString()
        return _load(PREDICT, [body], items)

    def named(self) -> Load:
        """The same of many names."""
        request = prediction_pb2.PredictRequest.FromString(self.small)
        bodies = []
        for number in range(_NAMES):
            request.items[0].model = _name(number)
            bodies.append(request.SerializeToString())
        return _load(PREDICT, bodies)

    def cold_ones(self, first: int, count: int) -> Load:
        """Each once, from number `first`."""
        bodies = [_infer(cold_name((first + number) % self.cold), rows(1)) for number in range(count)]
        return _load(MODEL_INFER, bodies)

    def large(self) -> Load:
        return _load(MODEL_INFER, [_infer("wide", np.zeros((_WIDE_ROWS, _WIDE), np.float32))])

    def slow(self) -> Load:
        return _load(MODEL_INFER, [_infer("slow", np.ones((_SLOW_ROWS, _SLOW), np.float32))])

    def ready(self) -> Load:
        """Not a request for a prediction: whether one would find its model."""
        return _load(MODEL_READY, [inference_pb2.ModelReadyRequest(name="small").SerializeToString()])

    def tiny(self) -> Load:
        """One byte that is no request."""
        return _load(MODEL_INFER, [b"\xff"])


def _load(path: str, bodies: Sequence[bytes], items: int = 1) -> Load:
    return Load(path.encode(), [(TENANT.encode(), body) for body in bodies], b"", None, items)


def _infer(name: str, values: Any) -> bytes:
    request = inference_pb2.ModelInferRequest(model_name=name)
    request.inputs.add(name="input", datatype="FP32", shape=values.shape)
    request.raw_input_contents.append(values.astype("<f4").tobytes())
    return request.SerializeToString()


def cold_name(number: int) -> str:
    return f"cold-{number:06}"


def _name(number: int) -> str:
    return f"name-{number:02}"


async def publish(
    stack: Stack, manager: VersionManagerClient, small: bytes, row: Any, *, cold: int, asked: int
) -> Wares:
    """`small` is an ordinary artifact, and `row` one for it; of the `cold` models `asked` have an artifact.

    Returns when the router knows them all; there may be no cold ones.
    """
    request = prediction.PredictRequest(items=[encode_item(Item("small", row))])
    wares = Wares(cold, request.SerializeToString())
    artifacts = {"small": small, "wide": _wide(), "slow": _slow()}
    artifacts |= {_name(number): small for number in range(_NAMES)}
    for name, artifact in artifacts.items():
        await manager.publish(TENANT, name, artifact, release_if_first=True)
    await _publish_cold(stack.process("etcd").address, stack.folder / "objects", cold, min(asked, cold))
    await await_known(stack.router, wares.cold_ones(min(asked, cold) - 1, 1) if cold else wares.slow())
    return wares


async def _publish_cold(etcd: str, store: Path, count: int, asked: int) -> None:
    population, keys = Population(), Keys()
    ops: list[Put] = []
    async with Etcd(EtcdConfig((etcd,))) as client:
        for number in reversed(range(count)):
            size = population.size
            if number < asked:
                artifact = await asyncio.to_thread(_lay, store, population.artifact(number))
            else:
                artifact = hashlib.sha256(cold_name(number).encode()).digest()
            name = cold_name(number)
            version = Version(1, artifact, size, "forest", time.time())
            release = Release(1, (Split(1, WHOLE),))
            ops.append(Put(keys.version(TENANT, name, 1), encode(version)))
            ops.append(Put(keys.release(TENANT, name), encode(release)))
            if len(ops) >= MAX_TRANSACTION or not number:
                await client.transact([], ops)
                ops = []


def _lay(store: Path, artifact: bytes) -> bytes:
    """The digest of an artifact that now lies in the store; not flushed, as `bench.many` has it."""
    digest = digest_of(artifact)
    path = store / key_of(digest)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(artifact)
    return digest


async def await_known(router: str, load: Load) -> None:
    """Changes reach a router in order: the model of `load` is the last one.

    Raises:
        TimeoutError: it has not come.
    """
    channel = Channel(router)
    give_up = time.monotonic() + _ROUTED_SECONDS
    try:
        while await _code(channel, load) == Code.NOT_FOUND:
            if time.monotonic() > give_up:
                raise TimeoutError("the router does not know the last cold model")
            await asyncio.sleep(0.1)
    finally:
        await channel.close()


async def _code(channel: Channel, load: Load) -> int:
    ended: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    def done(call: ClientCall) -> None:
        ended.set_result(call.code)

    tenant = (b"croupier-tenant", load.tenant(0))
    channel.start(load.path, load.message(0), 10.0, done, (tenant,))
    return await ended


def _wide() -> bytes:
    from sklearn.linear_model import LinearRegression

    random = np.random.default_rng(1)
    return pack_linear(LinearRegression().fit(random.normal(size=(4, _WIDE)), np.arange(4.0)))


def _slow() -> bytes:
    """An ONNX graph that multiplies by one matrix again and again."""
    from onnx import TensorProto, helper, numpy_helper

    matrix = numpy_helper.from_array(np.eye(_SLOW, dtype=np.float32), "matrix")
    names = ["input", *(f"step-{number}" for number in range(1, _PRODUCTS)), "output"]
    nodes = [helper.make_node("MatMul", [before, "matrix"], [after]) for before, after in pairwise(names)]
    ends = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [None, _SLOW]) for name in ("input", "output")
    ]
    graph = helper.make_graph(nodes, "slow", ends[:1], ends[1:], [matrix])
    opsets = [helper.make_opsetid("", 13)]
    return pack_onnx(helper.make_model(graph, opset_imports=opsets, ir_version=8).SerializeToString())
